//! An app whose function is native, so that thousands of runs take seconds: a running total of each key.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tidemill::{
    guest::{
        Binding, Component, Engine, EngineSettings, Fault, Instantiate, Invoke, Limits, Scope,
        encode,
    },
    store::{Kind, StoreSpec},
    topology::{
        Edge, EventTime, FunctionNode, Input, Node, OnFailure, Output, StoreTopic, SubTopology,
        Topology, Work,
    },
    worker::Code,
};
use tidemill_layout::{Batch, Emission, HeaderPart, OutcomeWriter, Part};

pub const APP: &str = "running";
pub const INPUT: &str = "amounts";
pub const OUTPUT: &str = "totals";
pub const CHANGELOG: &str = "running.total.changelog";
pub const META: &str = "running.total.meta";
pub const TABLE: &str = "factors";
pub const RATES: &str = "rates";
pub const LETTERS: &str = "running.total.dlq";
pub const PARTITIONS: u32 = 4;

/// Adds the value to the counter of the key, and emits what it is then. With tables, what is added is the product with
/// the key's factor and the rate.
#[derive(Clone, Copy)]
struct Total {
    tables: bool,
}

impl Instantiate for Total {
    fn instantiate(&self) -> Result<Box<dyn Invoke>, Fault> {
        Ok(Box::new(*self))
    }
}

fn number(bytes: Option<Vec<u8>>) -> i64 {
    bytes.map_or(1, |bytes| String::from_utf8(bytes).unwrap().parse().unwrap())
}

impl Invoke for Total {
    fn invoke(&mut self, batch: &[u8], scope: &mut Scope) -> Result<Vec<u8>, Fault> {
        let batch = Batch::parse(batch).expect("the host packs what it may");
        let mut writer = OutcomeWriter::new();
        for (index, entry) in (0..).zip(batch.entries()) {
            let entry = entry.expect("the host packs what it may");
            let mut amount = number(entry.value.map(<[u8]>::to_vec));
            if self.tables {
                amount *= number(scope.row(1, index)?);
                amount *= number(scope.lookup(2, index, b"rate")?.ok().flatten());
            }
            let total = scope.add(0, index, amount)?.to_string();
            writer.emit(&Emission {
                cause: index,
                output: 0,
                key: Part::Inherit,
                value: Part::Bytes(total.as_bytes()),
                headers: HeaderPart::Inherit,
                timestamp: None,
                partition: None,
            });
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

fn store(name: &str, kind: Kind, broadcast: bool, topic: &str) -> StoreSpec {
    StoreSpec { name: name.into(), kind, ttl: None, broadcast, topic: topic.into() }
}

/// The app, with or without its tables.
pub fn code(tables: bool) -> Code {
    let mut stores = vec![store("total", Kind::Counter, false, CHANGELOG)];
    let mut bindings = vec![Some(Binding::Store(0))];
    if tables {
        stores.push(store("factors", Kind::Table, false, TABLE));
        stores.push(store("rates", Kind::Table, true, RATES));
        bindings.extend([Some(Binding::Table(1)), Some(Binding::Table(2))]);
    }
    stores.push(store("meta", Kind::Meta, false, META));
    let topics = stores
        .iter()
        .map(|store| StoreTopic {
            id: String::new(),
            partitions: if store.broadcast { 2 } else { PARTITIONS },
            record_bytes_max: usize::MAX,
        })
        .collect();
    let node = Node {
        name: "total".into(),
        work: Work::Function(FunctionNode {
            component: component(),
            index: 0,
            config: "{}".into(),
            limits: Limits::default(),
            bindings: bindings.into(),
            allow: Vec::new(),
        }),
        filter: None,
        outputs: vec![Output { name: "out".into(), topic: Some(0), edges: Vec::new() }],
        dead_letters: Some(1),
        on_failure: OnFailure {
            retries: None,
            backoff: Duration::from_millis(1),
            backoff_max: Duration::from_millis(10),
        },
    };
    let part = SubTopology {
        name: "total".into(),
        inputs: vec![Input {
            topic: INPUT.into(),
            readers: vec![Edge { node: 0, source: 0 }],
            time: EventTime::Record,
        }],
        nodes: vec![node],
        aggregates: BTreeMap::new(),
        stores,
        timers: Vec::new(),
        max_ahead: Duration::from_secs(3600),
        batch_records: 7,
        batch_bytes: 64 << 10,
    };
    let topology = Topology {
        app: APP.into(),
        parts: vec![Arc::new(part)],
        outputs: vec![OUTPUT.into(), LETTERS.into()],
        repartitions: Vec::new(),
    };
    Code {
        topology: Arc::new(topology),
        factories: vec![vec![Some(Arc::new(Total { tables }))]],
        record_bytes_max: vec![usize::MAX; 2],
        stores: vec![topics],
    }
}
