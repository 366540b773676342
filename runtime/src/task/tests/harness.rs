//! Functions that are closures, and a task of one or two of them.

use std::sync::{Arc, Mutex, OnceLock};

use tidemill_layout::{
    Batch, Emission, Entry, Failure, HeaderPart, Headers, Kind, OutcomeWriter, Part,
};

use crate::{
    guest::{
        Binding, Component, Engine, EngineSettings, Fault, Instantiate, Invoke, Limits, Scope,
        encode,
    },
    operator::{Function, OutputCheck},
    record::{Offset, Partition, Position, Record, Records, Timestamp},
    store::{self, Database, DatabaseSettings, StoreSpec, TaskKey, TaskState},
    task::{Failed, Task, TaskId, Turn},
    topology::{Edge, EventTime, FunctionNode, Input, Node, OnFailure, Output, SubTopology, Work},
};

/// Slots of every function here.
pub(super) const VALUE: u32 = 0;
pub(super) const MAP: u32 = 1;
pub(super) const COUNTER: u32 = 2;
pub(super) const USERS: u32 = 3;
pub(super) const RATES: u32 = 4;
pub(super) const TIMER: u32 = 5;
pub(super) const OTHER_TIMER: u32 = 6;
/// Slots, stores and timers a function has.
const SLOTS: usize = 7;
const STORES: usize = 5;
const TIMERS: u16 = 2;

/// Why an entry is not handled.
#[derive(Debug)]
pub(super) enum Ended {
    Fault(Fault),
    Reject(&'static str),
    Error(&'static str),
    State(&'static str),
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Ended::Fault(fault)
    }
}

/// A call as a program sees it, while it handles one entry.
pub(super) struct Call<'a> {
    pub(super) scope: &'a mut Scope,
    writer: &'a mut OutcomeWriter,
    pub(super) entry: u32,
    cut: bool,
}

impl Call<'_> {
    /// Sends on, under the entry's key.
    pub(super) fn send(&mut self, value: &str) {
        self.send_as(Part::Inherit, value);
    }

    pub(super) fn send_as(&mut self, key: Part<'_>, value: &str) {
        self.writer.emit(&Emission {
            cause: self.entry,
            output: 0,
            key,
            value: Part::Bytes(value.as_bytes()),
            headers: HeaderPart::Inherit,
            timestamp: None,
            partition: None,
        });
    }

    pub(super) fn set(&mut self, slot: u32, due: i64, payload: &[u8]) -> Result<(), Fault> {
        self.cut |= self.scope.set_timer(slot, self.entry, due, payload)?;
        Ok(())
    }
}

/// What a function does with an entry.
pub(super) type Program = Arc<dyn Fn(&mut Call<'_>, &Entry<'_>) -> Result<(), Ended> + Send + Sync>;

#[derive(Clone)]
struct Fake {
    program: Program,
    obeys: bool,
    calls: Arc<Mutex<Vec<u32>>>,
}

impl Instantiate for Fake {
    fn instantiate(&self) -> Result<Box<dyn Invoke>, Fault> {
        Ok(Box::new(self.clone()))
    }
}

impl Invoke for Fake {
    fn invoke(&mut self, batch: &[u8], scope: &mut Scope) -> Result<Vec<u8>, Fault> {
        let batch = Batch::parse(batch).unwrap();
        self.calls.lock().unwrap().push(batch.len());
        let mut writer = OutcomeWriter::new();
        for (index, entry) in (0..).zip(batch.entries()) {
            let mark = writer.mark();
            let mut call =
                Call { scope: &mut *scope, writer: &mut writer, entry: index, cut: false };
            let ended = (self.program)(&mut call, &entry.unwrap());
            let cut = call.cut && self.obeys;
            let failure = match ended {
                Ok(()) if cut => return Ok(writer.into_bytes(index + 1, None)),
                Ok(()) => continue,
                Err(Ended::Fault(fault)) => return Err(fault),
                Err(Ended::Reject(reason)) => Failure::Reject(reason),
                Err(Ended::Error(reason)) => Failure::Error(reason),
                Err(Ended::State(reason)) => Failure::State(reason),
            };
            writer.rollback(mark);
            return Ok(writer.into_bytes(index, Some(failure)));
        }
        Ok(writer.into_bytes(batch.len(), None))
    }
}

/// Some component: what a node needs to have a digest.
fn component() -> Component {
    static COMPONENT: OnceLock<Component> = OnceLock::new();
    let load = || {
        let engine = Engine::new(&EngineSettings::with_user_cache()).unwrap();
        engine.load(&encode(&tidemill_guests::module("guest-timely")).unwrap()).unwrap()
    };
    COMPONENT.get_or_init(load).clone()
}

/// How a [`Bench`] is made.
pub(super) struct Settings {
    /// The functions, each feeding all behind it in memory and a topic of its own.
    pub(super) programs: Vec<Program>,
    /// Whether they end a batch where they are told to.
    pub(super) obeys: bool,
    /// Records of a turn.
    pub(super) records: usize,
    pub(super) partitions: u32,
}

/// A task with a state of its own.
pub(super) struct Bench {
    pub(super) task: Task,
    /// Entries of each call so far, of all functions.
    pub(super) calls: Arc<Mutex<Vec<u32>>>,
    pub(super) now: Timestamp,
    next: i64,
    _database: Database,
    _folder: tempfile::TempDir,
}

pub(super) fn program(
    program: impl Fn(&mut Call<'_>, &Entry<'_>) -> Result<(), Ended> + Send + Sync + 'static,
) -> Program {
    Arc::new(program)
}

/// A task of one function, over four partitions, of which it has 0.
pub(super) fn bench(
    does: impl Fn(&mut Call<'_>, &Entry<'_>) -> Result<(), Ended> + Send + Sync + 'static,
) -> Bench {
    let programs = vec![program(does)];
    Bench::new(Settings { programs, obeys: true, records: 100, partitions: 4 })
}

impl Bench {
    pub(super) fn new(settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database =
            Database::open(folder.path(), DatabaseSettings { memory_bytes: 8 << 20 }).unwrap();
        let part = part(settings.programs.len(), settings.records);
        let key = TaskKey { app: "app".into(), part: Arc::clone(&part.name), partition: 0 };
        let lease = database.lease(&key).unwrap();
        let tables: Vec<u32> = part.stores.iter().map(|store| u32::from(store.broadcast)).collect();
        let mut state =
            TaskState::open(&database, lease, &part.stores, &part.timers, &tables).unwrap();
        let mut rows = Records::new();
        for key in 0..20 {
            let (offset, timestamp) = (Offset(key), Timestamp(0));
            let key = format!("u{key}");
            let (key, value) = (Some(key.as_bytes()), Some(key.as_bytes()));
            rows.push(&Record { offset, timestamp, key, value, headers: Headers::EMPTY });
        }
        state.restore(3, "users-id", &rows, Position(20), Timestamp(0)).unwrap();
        state.live().unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let operator = |program: &Program| {
            let fake = Fake {
                program: Arc::clone(program),
                obeys: settings.obeys,
                calls: Arc::clone(&calls),
            };
            let output = OutputCheck { name: "out".into(), bytes_max: 1 << 20 };
            Function::new(Arc::new(fake), vec![output])
        };
        let operators = settings.programs.iter().map(operator).collect();
        let id = TaskId { part: 0, partition: Partition(0) };
        let task = Task::new(
            id,
            part,
            operators,
            &[Position::START],
            settings.partitions,
            Some(Box::new(state)),
            None,
        );
        Bench { task, calls, now: Timestamp(10_000), next: 0, _database: database, _folder: folder }
    }

    /// More records, as key, time and value.
    pub(super) fn push(&mut self, records: &[(Option<&str>, i64, &str)]) {
        let mut block = Records::new();
        for (key, timestamp, value) in records {
            block.push(&Record {
                offset: Offset(self.next),
                timestamp: Timestamp(*timestamp),
                key: key.map(str::as_bytes),
                value: Some(value.as_bytes()),
                headers: Headers::EMPTY,
            });
            self.next += 1;
        }
        self.task.push(0, block);
    }

    pub(super) fn end(&mut self) {
        self.task.end(0, Position(self.next));
    }

    /// Turns until nothing is left to do. Answers what was to be produced, as lines, and what failed.
    pub(super) fn settle(&mut self) -> (Vec<String>, Vec<Failed>) {
        let (mut lines, mut failures) = (Vec::new(), Vec::new());
        loop {
            match self.task.turn(self.now).unwrap() {
                Turn::Idle => return (lines, failures),
                Turn::Waiting(until) => self.now = until,
                Turn::Worked { effects, failed } => {
                    lines.extend((0..effects.len()).map(|index| line(&effects.output(index))));
                    failures.extend(failed.map(|failed| *failed));
                }
            }
        }
    }

    /// What was to be produced.
    pub(super) fn lines(&mut self) -> Vec<String> {
        self.settle().0
    }

    /// All that was changed since the start and is there, as a changelog would hold it, by store and key.
    pub(super) fn changed(&mut self) -> Vec<(usize, Vec<u8>, Vec<u8>)> {
        let progress = self.task.progress();
        let state = self.task.state_mut().unwrap();
        state.seal(&progress);
        let logged = (0..state.logged()).map(|index| state.log(index));
        let there =
            logged.filter_map(|log| Some((log.store, log.key.to_vec(), log.value?.to_vec())));
        let mut there: Vec<_> = there.collect();
        there.sort();
        there
    }
}

/// `topic key value @time`, and for a dead letter what it says of its failure.
fn line(output: &crate::task::OutputRecord<'_>) -> String {
    let text = |bytes: Option<&[u8]>| {
        bytes.map_or("null".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    let topic = ["dlq", "out", "out1", "out2"][output.topic];
    let time = output.timestamp.millis();
    let mut line = format!("{topic} {} {} @{time}", text(output.key), text(output.value));
    for header in output.headers.iter() {
        let name = header.name.rsplit('.').next().unwrap_or(header.name);
        if !["digest", "partition", "topic"].contains(&name) {
            line.push_str(&format!(" {name}={}", text(header.value)));
        }
    }
    line
}

fn part(functions: usize, batch_records: usize) -> Arc<SubTopology> {
    let mut stores = Vec::new();
    let mut timers: Vec<Arc<str>> = Vec::new();
    for function in 0..functions {
        let kinds = [
            ("value", store::Kind::Value, false),
            ("map", store::Kind::Map, false),
            ("counter", store::Kind::Counter, false),
            ("users", store::Kind::Table, false),
            ("rates", store::Kind::Table, true),
        ];
        stores.extend(kinds.map(|(name, kind, broadcast)| StoreSpec {
            name: format!("{name}{function}").into(),
            kind,
            ttl: (kind == store::Kind::Value).then(|| std::time::Duration::from_millis(40)),
            broadcast,
            topic: format!("app.{name}{function}").into(),
        }));
        timers.extend(["due", "also"].map(|name| Arc::from(format!("f{function}.{name}"))));
    }
    stores.push(StoreSpec {
        name: "meta".into(),
        kind: store::Kind::Meta,
        ttl: None,
        broadcast: false,
        topic: "app.meta".into(),
    });
    let node = |function: usize| {
        let store = function * STORES;
        let timer = u16::try_from(function).unwrap() * TIMERS;
        let bindings: [_; SLOTS] = [
            Binding::Store(store),
            Binding::Store(store + 1),
            Binding::Store(store + 2),
            Binding::Table(store + 3),
            Binding::Table(store + 4),
            Binding::Timer(timer),
            Binding::Timer(timer + 1),
        ];
        let edges = (function + 1..functions).map(|node| Edge { node, source: 0 });
        Node {
            name: format!("f{function}").into(),
            work: Work::Function(FunctionNode {
                component: component(),
                index: 0,
                config: "{}".into(),
                limits: Limits::default(),
                bindings: bindings.map(Some).into(),
                allow: Vec::new(),
            }),
            filter: Default::default(),
            outputs: vec![Output {
                name: "out".into(),
                topic: Some(1 + function),
                edges: edges.collect(),
            }],
            dead_letters: Some(0),
            on_failure: OnFailure {
                retries: None,
                backoff: std::time::Duration::from_millis(100),
                backoff_max: std::time::Duration::from_secs(1),
            },
        }
    };
    Arc::new(SubTopology {
        name: "f0".into(),
        inputs: vec![Input {
            topic: "in".into(),
            readers: vec![Edge { node: 0, source: 0 }],
            time: EventTime::Record,
        }],
        nodes: (0..functions).map(node).collect(),
        aggregates: Default::default(),
        stores,
        timers,
        max_ahead: std::time::Duration::from_secs(3600),
        batch_records,
        batch_bytes: 1 << 20,
    })
}

pub(super) fn is_timer(entry: &Entry<'_>) -> bool {
    entry.kind == Kind::Timer
}

pub(super) fn text<'a>(entry: &Entry<'a>) -> &'a str {
    std::str::from_utf8(entry.value.unwrap_or_default()).unwrap()
}
