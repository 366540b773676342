//! The manifest `tidemill.toml`: which functions an app has, and which topics they are bound to.
//!
//! Read in two steps: the TOML as written with the place of every value, then the [`Manifest`] as checked. What is
//! wrong is gathered and told at once, each with file, line, key, what was found and what would be right. A
//! `Manifest` that exists is right in itself; whether its topics exist and whether its functions declare what it
//! names is for others to check. Reads the file and the secrets it names, and touches nothing else.
//!
//! # What stands between topics and functions
//! Tables, joins, rekeys and stores share one namespace, in which `-` and `_` are the same letter, and win over topics;
//! `topic:users` is the topic of that name. An input is a topic, `function.output`, a join, a rekey, or a store that the
//! host computes.
//!
//! | section | key | |
//! |---|---|---|
//! | `[topics.X]` | `late` | where records go that come too late for a window; nowhere |
//! | | `key-format`, `format` | how keys and values are written: `json`, `string`, `bytes`, `long`, `double`; values of which the host reads fields are JSON where it is not said |
//! | `[rekey.X]` | `input` | what is sent on |
//! | | `by` | `json:FIELD` or `header:NAME`; not said: the key that a function's output gave it |
//! | | `topic`, `partitions` | `<app>.X.repartition`, with as many partitions as what it is joined with, else as its input |
//! | `[joins.X]` | `left`, `right` | inputs or tables; a table and a stream: the table is the right side |
//! | | `kind` | `inner`, `left`; of two streams or two tables also `right`, `full` |
//! | | `within` | of two streams: `"10m"`, or `{ before = "0s", after = "10m" }` |
//! | | `grace`, `idle` | of two streams: 0, and `"30s"` where rows wait for a match; `"off"` |
//! | | `key` | of a broadcast table: where the key of its row is, as `by`; the record's |
//! | `[stores.X]` | `compute` | `{ n = "count()", cents = "sum(cents)" }`; `["count"]` is short for `{ count = "count()" }` |
//! | | `from`, `where` | what feeds it, and with which fields; not said: functions do |
//! | | `window` | `{ tumbling = "60s" }`, `{ hopping = "60s", advance = "1s" }`, `{ sliding = "5m" }`, `{ session = "30m" }` |
//! | | `grace`, `retention` | 0, and an hour or what the window needs |
//! | | `emit` | `changes`, `final` or `every 10s`; `every-update = true`: each change, not the newest at each commit |
//! | | `idle` | of `final`: `"30s"`; `"off"` |
//! | | `output`, `format`, `key-format` | the topic of its results, `json`, and `plain` or `kafka-streams` |

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use bytesize::ByteSize;

use crate::{
    aggregate::Spec,
    record::Timestamp,
    store::Kind,
    topology::{Format, JoinKind, KeyFrom},
};

mod aggregate;
mod app;
mod declared;
mod flow;
mod function;
mod graph;
mod kafka;
mod names;
mod report;
mod section;
mod state;
#[cfg(test)]
mod tests;
mod tree;

pub use self::{
    app::parse_listen,
    kafka::{EMBEDDED, Kafka, refusal},
    names::{APP_NAME, AppName, TOPIC_NAME, code_name, is_name, is_topic},
    report::{Error, Problem},
};
use self::{kafka::Trust, report::Report};

/// What a manifest file is called where no name is given.
pub const FILE_NAME: &str = "tidemill.toml";

/// A manifest that is right in itself.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The file as messages name it.
    pub file: String,
    /// The app: also its consumer group and the begin of its topics' names.
    pub app: AppName,
    /// What holds across crashes.
    pub guarantee: Guarantee,
    /// Where a partition starts that has no committed position.
    pub start: Start,
    /// What happens where a committed position is no longer in the topic.
    pub on_missing_offset: OnMissingOffset,
    /// How often positions are committed.
    pub commit_interval: Duration,
    /// A record whose time is further ahead of the wall clock is rejected.
    pub max_ahead: Duration,
    /// The process that runs the app; the default where a host has its own.
    pub host: Host,
    /// `None`: the embedded log.
    pub kafka: Option<Kafka>,
    /// What is said of topics, by name.
    pub topics: BTreeMap<String, TopicSettings>,
    /// The stores by the code's names.
    pub stores: BTreeMap<String, StoreSettings>,
    /// The tables by the code's names; none is called as a store.
    pub tables: BTreeMap<String, TableSettings>,
    /// The joins by the code's names; none is called as a store or table.
    pub joins: BTreeMap<String, JoinSettings>,
    /// What is sent on under other keys, by the code's names; none is called as a store, table or join.
    pub rekeys: BTreeMap<String, RekeySettings>,
    /// The functions by the manifest's names. [`code_name`] is what their code is called.
    pub functions: BTreeMap<String, FunctionSettings>,
    /// Where keys are in the file.
    lines: Lines,
}

/// The lines of the keys of a file, by dotted path.
#[derive(Debug, Clone, Default)]
struct Lines(BTreeMap<String, usize>);

impl Lines {
    fn of(table: &tree::Table) -> Lines {
        let mut lines = Lines::default();
        lines.add("", table);
        lines
    }

    fn add(&mut self, path: &str, table: &tree::Table) {
        for entry in &table.0 {
            let path = section::join(path, &entry.key);
            if let tree::Place::Line(line) = entry.place {
                self.0.insert(path.clone(), line);
            }
            if let tree::Value::Table(table) = &entry.node.value {
                self.add(&path, table);
            }
        }
    }
}

/// What holds across crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarantee {
    /// Every record changes state and topics once.
    ExactlyOnce,
    /// No record is lost; one may be handled again.
    AtLeastOnce,
}

/// Where to start where no position is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the first record there is.
    Earliest,
    /// Behind the last record there is.
    Latest,
    /// At the first record whose timestamp is not before this.
    Timestamp(Timestamp),
}

/// What to do where a committed position is older than the topic's retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMissingOffset {
    /// Stop with an error.
    Fail,
    /// Go on at the first record there is.
    Earliest,
    /// Go on behind the last record there is.
    Latest,
}

/// `[host]`: the process that runs the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Where local files are.
    pub data: PathBuf,
    /// Threads; by default as many as cores.
    pub workers: usize,
    /// Where health, metrics and management are served.
    pub listen: SocketAddr,
    /// Bytes of memory for all state of the process: cache and write buffers.
    pub state_memory: usize,
}

/// `[topics.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicSettings {
    /// How many partitions; `None`: as the broker has it.
    pub partitions: Option<u32>,
    /// Replicas of each partition; `None`: as the broker has it.
    pub replicas: Option<u32>,
    /// Where the time of its records is; `None`: their timestamp.
    pub timestamp: Option<TimestampFrom>,
    /// Where records go that come too late for a window; `None`: nowhere.
    pub late: Option<String>,
    /// How keys are written, where that matters; `None`: not known.
    pub key_format: Option<Format>,
    /// How values are written; `None`: as who reads them takes them, JSON where the host reads fields.
    pub format: Option<Format>,
    /// Topic settings by Kafka's names.
    pub settings: BTreeMap<String, String>,
}

/// Where the time of a record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimestampFrom {
    /// In a field of the JSON value.
    Json(String),
    /// In a header.
    Header(String),
}

/// `[stores.NAME]`: state that the host keeps by key.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreSettings {
    /// As in the manifest.
    pub name: String,
    /// What it holds; `None`: the code says it.
    pub kind: Option<Kind>,
    /// How long after its last write, in event time, a value goes; `None`: never.
    pub ttl: Option<Duration>,
    /// What the host computes in it; `None`: nothing, functions write it.
    pub aggregate: Option<AggregateSettings>,
}

/// What the host computes in a store.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateSettings {
    /// Windows, what is computed, and when it comes out.
    pub spec: Spec,
    /// What feeds it; `None`: functions.
    pub from: Option<Input>,
    /// Only records whose JSON fields equal these feed it.
    pub filter: BTreeMap<String, serde_json::Value>,
    /// The topic of its results.
    pub output: Option<String>,
    /// How the value of a result is written.
    pub format: Format,
}

/// `[joins.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinSettings {
    /// As in the manifest.
    pub name: String,
    /// The left side.
    pub left: Input,
    /// The right side.
    pub right: Input,
    /// Which rows come out where one side is missing.
    pub kind: JoinKind,
    /// Whether both sides are tables, or joins of such.
    pub tables: bool,
    /// How long before and after a record of the left side one of the right side may be; of two streams only.
    pub within: Option<(Duration, Duration)>,
    /// How long after its end a window takes records that come late.
    pub grace: Duration,
    /// As in [`Spec::idle`].
    pub idle: Option<Duration>,
    /// Where the key of the row is, for a table that is on every host; `None`: the record's.
    pub key: Option<KeyFrom>,
}

/// `[rekey.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RekeySettings {
    /// As in the manifest.
    pub name: String,
    /// What is sent on.
    pub input: Input,
    /// Where the new key is; the record's own where the function that sends it gave it a new one.
    pub by: KeyFrom,
    /// The topic that it goes through; `None`: `<app>.<name>.repartition`.
    pub topic: Option<String>,
    /// How many partitions that has; `None`: as its readers need it.
    pub partitions: Option<u32>,
}

/// `[tables.NAME]`: a compacted topic in which functions look keys up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSettings {
    /// As in the manifest.
    pub name: String,
    /// The topic.
    pub topic: String,
    /// Every host holds all of it, so that any key can be looked up, whatever the topic's partitions.
    pub broadcast: bool,
}

/// `[functions.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionSettings {
    /// As in the manifest.
    pub name: String,
    /// Where its code is.
    pub module: Module,
    /// What it reads, at least one; with the code's names where it tells several apart, then all have one.
    pub inputs: Vec<(Option<String>, Input)>,
    /// Only records whose JSON fields equal these enter the function.
    pub filter: BTreeMap<String, serde_json::Value>,
    /// The code's output names, and the topics they are bound to.
    pub outputs: BTreeMap<String, String>,
    /// The code's config names, and their values.
    pub config: serde_json::Map<String, serde_json::Value>,
    /// The stores it may use, by the code's names; `None`: all that it declares.
    pub stores: Option<BTreeSet<String>>,
    /// The tables it may use, by the code's names; `None`: all that it declares.
    pub tables: Option<BTreeSet<String>>,
    /// How much goes into one call.
    pub batch: Batch,
    /// What a call may use.
    pub limits: Limits,
    /// What happens to a record that it asks to see later.
    pub on_failure: OnFailure,
    /// What it may use of the world.
    pub allow: Vec<Capability>,
}

/// Where a function's code is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Module {
    /// A crate's folder or a `.wasm` file.
    Path(PathBuf),
    /// Uploaded under a name; `None`: its newest version.
    Registry {
        /// Its name.
        name: String,
        /// Its version, from 1.
        version: Option<u32>,
    },
    /// Uploaded, by content: `sha256:` and 64 digits.
    Digest(String),
}

impl Module {
    /// `name@version` and `sha256:…`, which cannot be paths; `None` where the text is something else.
    pub fn reference(text: &str) -> Option<Module> {
        if let Some(digits) = text.strip_prefix("sha256:") {
            let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            return (digits.len() == 64 && digits.bytes().all(hex))
                .then(|| Module::Digest(text.to_owned()));
        }
        let (name, version) = text.split_once('@')?;
        let version = version.parse().ok().filter(|version| *version > 0)?;
        is_name(name).then(|| Module::Registry { name: name.to_owned(), version: Some(version) })
    }
}

/// As written in a manifest.
impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Module::Path(path) => path.display().fmt(f),
            Module::Registry { name, version: None } => f.write_str(name),
            Module::Registry { name, version: Some(version) } => write!(f, "{name}@{version}"),
            Module::Digest(digest) => f.write_str(digest),
        }
    }
}

/// What a function reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A topic.
    Topic(String),
    /// What another function of the app emits, without a topic in between.
    Function {
        /// The other function, by the manifest's name.
        function: String,
        /// Its output, by the code's name.
        output: String,
    },
    /// The rows of a join, by the code's name.
    Join(String),
    /// What is sent on under other keys, by the code's name.
    Rekey(String),
    /// The results of a store that the host computes, by the code's name.
    Store(String),
    /// The rows of a table, by the code's name: only a side of a join.
    Table(String),
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Topic(name)
            | Input::Join(name)
            | Input::Rekey(name)
            | Input::Store(name)
            | Input::Table(name) => f.write_str(name),
            Input::Function { function, output } => write!(f, "{function}.{output}"),
        }
    }
}

/// How much goes into one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Records at most.
    pub records: u32,
    /// Bytes at most; a larger record makes a batch of its own.
    pub bytes: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Batch { records: 500, bytes: 64 << 10 }
    }
}

/// What a call may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: usize,
    /// How long.
    pub time: Duration,
    /// Bytes of output per record.
    pub output: usize,
    /// Bytes of a log line; what is longer is cut.
    pub log_line: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let mib = |count| usize::try_from(ByteSize::mib(count).as_u64()).unwrap_or(usize::MAX);
        Limits { memory: mib(64), time: Duration::from_secs(1), output: mib(4), log_line: 1 << 10 }
    }
}

/// What happens to a record that a function asks to see later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnFailure {
    /// How often it is tried again before it is a dead letter; `None`: without end.
    pub retries: Option<u32>,
    /// The first and the longest wait.
    pub backoff: (Duration, Duration),
}

impl Default for OnFailure {
    fn default() -> Self {
        OnFailure { retries: None, backoff: (Duration::from_millis(100), Duration::from_secs(10)) }
    }
}

/// What a function may use of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// The time of day.
    Clock,
    /// Random bytes.
    Random,
}

impl Manifest {
    /// The manifest of an app of which nothing is said but its name.
    ///
    /// # Panics
    /// Where the name is none: see [`APP_NAME`].
    pub fn bare(app: &str) -> Manifest {
        let report = Report::new(FILE_NAME);
        let table = tree::read(&format!("app = {app:?}\n"), &[], &report);
        let trust = Trust::Local { folder: Path::new(""), env: &|_| None };
        app::read(FILE_NAME, &table, &report, trust).expect("the name of an app")
    }

    /// `store`, `table`, `join` or `rekey`, where something is called so.
    pub fn kind_of(&self, name: &str) -> Option<&'static str> {
        let name = code_name(name);
        let kinds = [
            (self.stores.contains_key(&name), "store"),
            (self.tables.contains_key(&name), "table"),
            (self.joins.contains_key(&name), "join"),
            (self.rekeys.contains_key(&name), "rekey"),
        ];
        kinds.into_iter().find(|(is, _)| *is).map(|(_, kind)| kind)
    }

    /// All that functions, joins, rekeys and stores are fed by.
    pub fn inputs(&self) -> impl Iterator<Item = &Input> {
        let functions = self.functions.values().flat_map(|it| it.inputs.iter().map(|(_, it)| it));
        let joins = self.joins.values().flat_map(|it| [&it.left, &it.right]);
        let rekeys = self.rekeys.values().map(|it| &it.input);
        let stores = self.stores.values().filter_map(|it| it.aggregate.as_ref()?.from.as_ref());
        functions.chain(joins).chain(rekeys).chain(stores)
    }

    /// The line of a key, or of the nearest one around it.
    pub fn line(&self, key: &str) -> Option<usize> {
        let mut key = key;
        loop {
            if let Some(line) = self.lines.0.get(key) {
                return Some(*line);
            }
            key = key.rsplit_once('.')?.0;
        }
    }

    /// Reads the file, or `tidemill.toml` in the folder. Each of `sets` is a `key=value` that overrides it.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn read(path: &Path, sets: &[String]) -> Result<Manifest, Error> {
        let path = if path.is_dir() { path.join(FILE_NAME) } else { path.to_owned() };
        let file: PathBuf = path.components().collect();
        let file = file.display().to_string();
        let text = std::fs::read_to_string(&path)
            .map_err(|source| Error::Read { path: file.clone(), source })?;
        Manifest::parse(&text, &file, sets, &|name| std::env::var(name).ok())
    }

    /// Reads a text as the file of that name would be read; paths in it are relative to the file's folder.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn parse(
        text: &str,
        file: &str,
        sets: &[String],
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Manifest, Error> {
        let folder = Path::new(file).parent().unwrap_or(Path::new(""));
        checked(text, file, sets, Trust::Local { folder, env })
    }

    /// Reads a manifest that was uploaded to a host: functions are uploaded ones, the connection is the host's, and
    /// nothing is filled in from files or the environment.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn uploaded(text: &str, file: &str, sets: &[String]) -> Result<Manifest, Error> {
        checked(text, file, sets, Trust::Uploaded)
    }
}

fn checked(text: &str, file: &str, sets: &[String], trust: Trust<'_>) -> Result<Manifest, Error> {
    let report = Report::new(file);
    let table = tree::read(text, sets, &report);
    let manifest = if report.is_empty() { app::read(file, &table, &report, trust) } else { None };
    report.finish(manifest)
}
