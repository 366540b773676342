//! The manifest's top, `[host]` and `[topics.NAME]`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use bytesize::ByteSize;

use super::{
    AppName, FunctionSettings, Guarantee, Host, JoinSettings, Lines, Manifest, OnMissingOffset,
    RekeySettings, Start, StoreSettings, TableSettings, TimestampFrom, TopicSettings, aggregate,
    declared::{self, Declared, Items},
    flow, function,
    graph::{self, Step},
    kafka::{self, Trust},
    names::{APP_NAME, TOPIC_NAME, code_name, is_name, is_topic},
    report::Report,
    section::{Field, Section},
    state,
    tree::{Place, Table, Value},
};
use crate::record::Timestamp;

/// Reads a whole manifest. `None` where something is wrong, which is then reported.
pub(super) fn read(
    file: &str,
    table: &Table,
    report: &Report,
    trust: Trust<'_>,
) -> Option<Manifest> {
    let mut section = Section::new(report, "", &Place::Line(1), table);
    let app = section.need("app", "app = \"trades\"").and_then(|field| app(&field));
    let guarantee =
        section.get("guarantee").map_or(Some(Guarantee::ExactlyOnce), |field| guarantee(&field));
    let start = section.get("start").map_or(Some(Start::Earliest), |field| start(&field));
    let on_missing_offset = section
        .get("on-missing-offset")
        .map_or(Some(OnMissingOffset::Fail), |field| on_missing_offset(&field));
    let commit_interval = section.get("commit-interval").map_or(Some(COMMIT_INTERVAL), |field| {
        field.duration(Duration::from_millis(1), Duration::from_secs(60))
    });
    let max_ahead = section
        .get("max-ahead")
        .map_or(Some(MAX_AHEAD), |field| field.duration(Duration::from_millis(1), state::AGE));
    let host = section.get("host");
    let host = match (host, trust) {
        (Some(field), Trust::Uploaded) => {
            field.wrong("the host has its own", "leave [host] out of what you upload")
        }
        (Some(field), Trust::Local { folder, .. }) => read_host(&field, folder),
        (None, Trust::Uploaded) => Some(Host::default()),
        (None, Trust::Local { folder, .. }) => {
            Some(Host { data: folder.join(DATA), ..Host::default() })
        }
    };
    let kafka = section.get("kafka").and_then(|field| kafka::read(&field, trust));
    let topics = section.get("topics").map(|field| topics(&field)).unwrap_or_default();
    let mut declared = Declared::default();
    let functions = section.get("functions");
    declared.functions(functions.as_ref());
    let stores = declared.section("store", "stores", section.get("stores").as_ref());
    let tables = declared.section("table", "tables", section.get("tables").as_ref());
    let joins = declared.section("join", "joins", section.get("joins").as_ref());
    let rekeys = declared.section("rekey", "rekeys", section.get("rekey").as_ref());
    let read = Read {
        tables: state::tables(&tables),
        stores: state::stores(&stores, &declared),
        rekeys: flow::rekeys(&rekeys, &declared),
        functions: functions
            .as_ref()
            .map(|field| self::functions(field, &declared, trust))
            .unwrap_or_default(),
        joins: BTreeMap::new(),
    };
    let read = Read { joins: flow::joins(&joins, &declared, &read.tables), ..read };
    read.refuse_cycles(functions.as_ref(), [&joins, &rekeys, &stores], report);
    if functions.is_none() && !read.works() {
        report.at(
            &Place::Line(1),
            "functions",
            "missing",
            "write for instance [functions.settle] with module, inputs and outputs below it",
        );
    }
    section.finish();
    Some(Manifest {
        file: file.to_owned(),
        app: app?,
        guarantee: guarantee?,
        start: start?,
        on_missing_offset: on_missing_offset?,
        commit_interval: commit_interval?,
        max_ahead: max_ahead?,
        host: host?,
        kafka,
        topics,
        stores: read.stores,
        tables: read.tables,
        joins: read.joins,
        rekeys: read.rekeys,
        functions: read.functions,
        lines: Lines::of(table),
    })
}

const COMMIT_INTERVAL: Duration = Duration::from_millis(100);
const MAX_AHEAD: Duration = Duration::from_secs(60 * 60);
const STATE_MEMORY: ByteSize = ByteSize::mib(256);
const DATA: &str = ".tidemill";

fn app(field: &Field<'_>) -> Option<AppName> {
    AppName::parse(field.text(APP_NAME)?).or_else(|| field.expected(APP_NAME))
}

fn guarantee(field: &Field<'_>) -> Option<Guarantee> {
    const EXPECTED: &str = "\"exactly-once\" or \"at-least-once\"";
    match field.text(EXPECTED)? {
        "exactly-once" => Some(Guarantee::ExactlyOnce),
        "at-least-once" => Some(Guarantee::AtLeastOnce),
        _ => field.expected(EXPECTED),
    }
}

fn start(field: &Field<'_>) -> Option<Start> {
    const EXPECTED: &str = "\"earliest\", \"latest\" or { timestamp = \"2026-11-01T00:00:00Z\" }";
    match &field.node.value {
        Value::Text(text) if text == "earliest" => Some(Start::Earliest),
        Value::Text(text) if text == "latest" => Some(Start::Latest),
        Value::Table(_) => {
            let mut section = field.section(EXPECTED)?;
            let at = section
                .need("timestamp", "timestamp = \"2026-11-01T00:00:00Z\"")
                .and_then(|field| timestamp(&field));
            section.finish();
            at.map(Start::Timestamp)
        }
        _ => field.expected(EXPECTED),
    }
}

fn timestamp(field: &Field<'_>) -> Option<Timestamp> {
    const EXPECTED: &str = "a time with its zone, such as \"2026-11-01T00:00:00Z\"";
    let (Value::Text(text) | Value::Time(text)) = &field.node.value else {
        return field.expected(EXPECTED);
    };
    let time: Option<jiff::Timestamp> = text.parse().ok();
    time.map(|time| Timestamp(time.as_millisecond())).or_else(|| field.expected(EXPECTED))
}

fn on_missing_offset(field: &Field<'_>) -> Option<OnMissingOffset> {
    const EXPECTED: &str = "\"fail\", \"earliest\" or \"latest\"";
    match field.text(EXPECTED)? {
        "fail" => Some(OnMissingOffset::Fail),
        "earliest" => Some(OnMissingOffset::Earliest),
        "latest" => Some(OnMissingOffset::Latest),
        _ => field.expected(EXPECTED),
    }
}

fn read_host(field: &Field<'_>, folder: &Path) -> Option<Host> {
    let mut section =
        field.section("a table with `data`, `workers`, `listen` and `state-memory`")?;
    let default = Host::default();
    let data = match section.get("data") {
        Some(field) => field.text("a folder").map(|data| folder.join(data)),
        None => Some(folder.join(DATA)),
    };
    let workers = match section.get("workers") {
        Some(field) => field.number(1, 1_024).and_then(|workers| usize::try_from(workers).ok()),
        None => Some(default.workers),
    };
    let listen = section.get("listen").map_or(Some(default.listen), |field| {
        const EXPECTED: &str = "an address and a port, such as \"127.0.0.1:8080\"";
        parse_listen(field.text(EXPECTED)?).or_else(|| field.expected(EXPECTED))
    });
    let state_memory = section
        .get("state-memory")
        .map_or(Some(default.state_memory), |field| field.size(ByteSize::mib(8), ByteSize::tib(1)));
    section.finish();
    Some(Host { data: data?, workers: workers?, listen: listen?, state_memory: state_memory? })
}

/// `ADDRESS:PORT`; `localhost` is the IPv4 loopback.
pub fn parse_listen(text: &str) -> Option<SocketAddr> {
    if let Some(port) = text.strip_prefix("localhost:") {
        return Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().ok()?));
    }
    text.parse().ok()
}

impl Default for Host {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Host {
            data: DATA.into(),
            workers: cores,
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            state_memory: usize::try_from(STATE_MEMORY.as_u64()).unwrap_or(usize::MAX),
        }
    }
}

fn topics(field: &Field<'_>) -> BTreeMap<String, TopicSettings> {
    let Some(table) = field.table("a table of topics") else { return BTreeMap::new() };
    let mut topics = BTreeMap::new();
    for entry in &table.0 {
        let item = field.child(&entry.key, &entry.node);
        if !is_topic(&entry.key) {
            item.wrong::<()>("no topic", format_args!("expected {TOPIC_NAME}"));
        } else if let Some(settings) = topic(&item) {
            topics.insert(entry.key.clone(), settings);
        }
    }
    topics
}

fn topic(field: &Field<'_>) -> Option<TopicSettings> {
    let mut section = field
        .section("a table with `partitions`, `replicas`, `timestamp`, `late` and `settings`")?;
    let partitions = section.get("partitions").map(|field| field.number(1, 100_000));
    let replicas = section.get("replicas").map(|field| field.number(1, 1_000));
    let timestamp = section.get("timestamp").map(|field| timestamp_from(&field));
    let late = section.get("late").map(|field| declared::topic(&field));
    let key_format = section.get("key-format").map(|field| aggregate::format(&field));
    let format = section.get("format").map(|field| aggregate::format(&field));
    let settings = section.get("settings").and_then(|field| {
        let table = field
            .table("a table of Kafka's topic settings, such as { \"retention.ms\" = 3600000 }")?;
        let flat = kafka::flatten(&field, table);
        Some(
            flat.iter()
                .filter_map(|(name, field)| Some((name.clone(), kafka::scalar(field)?)))
                .collect(),
        )
    });
    section.finish();
    Some(TopicSettings {
        partitions: partitions.flatten(),
        replicas: replicas.flatten(),
        timestamp: timestamp.flatten(),
        late: late.flatten(),
        key_format: key_format.flatten(),
        format: format.flatten(),
        settings: settings.unwrap_or_default(),
    })
}

fn timestamp_from(field: &Field<'_>) -> Option<TimestampFrom> {
    const EXPECTED: &str = "\"json:FIELD\" or \"header:NAME\"";
    match field.text(EXPECTED)?.split_once(':') {
        Some(("json", name)) if !name.is_empty() => Some(TimestampFrom::Json(name.to_owned())),
        Some(("header", name)) if !name.is_empty() => Some(TimestampFrom::Header(name.to_owned())),
        _ => field.expected(EXPECTED),
    }
}

/// What records go through.
struct Read {
    stores: BTreeMap<String, StoreSettings>,
    tables: BTreeMap<String, TableSettings>,
    joins: BTreeMap<String, JoinSettings>,
    rekeys: BTreeMap<String, RekeySettings>,
    functions: BTreeMap<String, FunctionSettings>,
}

impl Read {
    /// Whether anything comes of records without a function.
    fn works(&self) -> bool {
        let fed =
            |store: &StoreSettings| store.aggregate.as_ref().is_some_and(|it| it.from.is_some());
        self.stores.values().any(fed)
    }

    fn refuse_cycles(
        &self,
        functions: Option<&Field<'_>>,
        [joins, rekeys, stores]: [&Items<'_>; 3],
        report: &Report,
    ) {
        let place = |items: &Items<'_>, name: &str, key: &str| {
            let item = items.iter().find(|(written, _)| written == name);
            item.map_or(Place::Line(1), |(_, field)| field.node.place_of(key))
        };
        let mut steps = Vec::new();
        for settings in self.functions.values() {
            let table = functions.and_then(|field| match &field.node.value {
                Value::Table(table) => table.get(&settings.name),
                _ => None,
            });
            steps.push(Step {
                section: "functions",
                name: &settings.name,
                key: "inputs",
                inputs: settings.inputs.iter().map(|(_, input)| input).collect(),
                topics: settings.outputs.values().map(String::as_str).collect(),
                place: table.map_or(Place::Line(1), |entry| entry.node.place_of("inputs")),
            });
        }
        steps.extend(self.joins.values().map(|join| Step {
            section: "joins",
            name: &join.name,
            key: "left",
            inputs: vec![&join.left, &join.right],
            topics: Vec::new(),
            place: place(joins, &join.name, "left"),
        }));
        steps.extend(self.rekeys.values().map(|rekey| Step {
            section: "rekey",
            name: &rekey.name,
            key: "input",
            inputs: vec![&rekey.input],
            topics: rekey.topic.iter().map(String::as_str).collect(),
            place: place(rekeys, &rekey.name, "input"),
        }));
        let computed = self.stores.values().filter_map(|it| Some((it, it.aggregate.as_ref()?)));
        steps.extend(computed.map(|(store, aggregate)| Step {
            section: "stores",
            name: &store.name,
            key: "from",
            inputs: aggregate.from.iter().collect(),
            topics: aggregate.output.iter().map(String::as_str).collect(),
            place: place(stores, &store.name, "from"),
        }));
        graph::refuse_cycles(&steps, report);
    }
}

fn functions(
    field: &Field<'_>,
    declared: &Declared,
    trust: Trust<'_>,
) -> BTreeMap<String, FunctionSettings> {
    let Some(table) = field.table("a table of functions") else { return BTreeMap::new() };
    if table.0.is_empty() {
        field.wrong::<()>(
            "found no function",
            "add [functions.NAME] with module, inputs and outputs below it",
        );
    }
    let mut functions = BTreeMap::new();
    for (index, entry) in table.0.iter().enumerate() {
        let item = field.child(&entry.key, &entry.node);
        let twin =
            table.0[..index].iter().find(|other| code_name(&other.key) == code_name(&entry.key));
        if !is_name(&entry.key) {
            item.wrong::<()>(
                "no name",
                "functions have lower-case letters, digits, `-` and `_`, and start with a letter",
            );
        } else if let Some(twin) = twin {
            let found = format!("the same name as {:?}: `-` and `_` are the same letter", twin.key);
            item.wrong::<()>(found, "give each function a name of its own");
        } else if let Some(settings) = function::read(&entry.key, &item, declared, trust) {
            functions.insert(entry.key.clone(), settings);
        }
    }
    functions
}
