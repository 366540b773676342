//! What manifest and code make together, on components that say of themselves what a test wants them to.

use std::{
    fmt::Write as _,
    sync::{Mutex, OnceLock},
    time::Duration,
};

use insta::assert_snapshot;
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::*;
use crate::{
    guest::{Component, Engine, EngineSettings, encode},
    manifest::Manifest,
};

/// A slot: name, role as the interface numbers them, key and value codec.
pub(crate) type Slot = (&'static str, Role, &'static str, &'static str);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(crate) enum Role {
    Value = 0,
    Map = 1,
    Counter = 2,
    Aggregate = 3,
    Table = 4,
    Timer = 6,
}

/// Lays values out in memory as the canonical interface has them.
struct Memory {
    bytes: Vec<u8>,
}

impl Memory {
    fn put(&mut self, bytes: &[u8]) -> u32 {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        let at = u32::try_from(self.bytes.len()).unwrap();
        self.bytes.extend_from_slice(bytes);
        at
    }

    fn words(&mut self, words: &[u32]) -> u32 {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.put(&bytes)
    }

    fn text(&mut self, text: &str) -> [u32; 2] {
        [self.put(text.as_bytes()), u32::try_from(text.len()).unwrap()]
    }
}

/// A component with one function of that name, which takes text and uses these slots.
fn component(name: &str, slots: &[Slot]) -> Component {
    type Loaded = Mutex<BTreeMap<(String, Vec<Slot>), Component>>;
    static ENGINE: OnceLock<(Engine, Loaded)> = OnceLock::new();
    let (engine, loaded) = ENGINE.get_or_init(|| {
        let settings = EngineSettings { instances: 20, ..EngineSettings::default() };
        (Engine::new(&settings).unwrap(), Mutex::default())
    });
    let mut loaded = loaded.lock().unwrap();
    let load = || engine.load(&binary(name, slots)).unwrap();
    loaded.entry((name.to_owned(), slots.to_vec())).or_insert_with(load).clone()
}

fn binary(name: &str, slots: &[Slot]) -> Vec<u8> {
    let mut memory = Memory { bytes: vec![0; 64] };
    let name = memory.text(name);
    let codec = memory.text("text");
    let layouts = [memory.words(&[tidemill_layout::VERSION]), 1];
    let source = [&[0, 0, 0, 0][..], &codec, &codec, &[0, 0]].concat();
    let sources = [memory.words(&source), 1];
    let mut words = Vec::new();
    for (name, role, key, value) in slots {
        let (name, key, value) = (memory.text(name), memory.text(key), memory.text(value));
        words.extend([&name[..], &[*role as u32], &key, &value, &[0, 0, 0, 0, 0]].concat());
    }
    let slots = [memory.words(&words), u32::try_from(slots.len()).unwrap()];
    let description = [&name[..], &layouts, &sources, &slots, &[0, 0]].concat();
    let descriptions = [memory.words(&description), 1];
    let described = memory.words(&descriptions);
    let data = memory.bytes.iter().fold(String::new(), |mut data, byte| {
        write!(data, "\\{byte:02x}").unwrap();
        data
    });
    let module = format!(
        r#"(module
            (memory (export "memory") 4)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 65536)
            (func (export "describe") (result i32) i32.const {described})
            (func (export "init") (param i32 i32 i32) (result i32) i32.const 0)
            (func (export "handle") (param i32 i32) (result i32) unreachable)
            (data (i32.const 0) "{data}"))"#
    );
    let mut resolve = Resolve::default();
    let package =
        resolve.push_str("world.wit", include_str!("../../../guest-sdk/wit/world.wit")).unwrap();
    let world = resolve.select_world(&[package], Some("function")).unwrap();
    let mut module = wat::parse_str(module).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    encode(&module).unwrap()
}

/// An app `trial` of these functions: name, inputs, slots. `more` is the rest of its manifest.
pub(crate) fn build(functions: &[(&str, &str, &[Slot])], more: &str) -> Result<Topology, Error> {
    let components = functions.iter();
    let components =
        components.map(|(name, _, slots)| ((*name).to_owned(), component("code", slots))).collect();
    Topology::build(&manifest(functions, more), &components)
}

/// The manifest of such an app.
pub(crate) fn manifest(functions: &[(&str, &str, &[Slot])], more: &str) -> Manifest {
    let mut text = "app = \"trial\"\n".to_owned();
    for (name, inputs, _) in functions {
        writeln!(text, "[functions.{name}]\nmodule = \".\"\ninputs = {inputs}").unwrap();
    }
    text += more;
    Manifest::parse(&text, "tidemill.toml", &[], &|_| None).unwrap()
}

fn problems(functions: &[(&str, &str, &[Slot])], more: &str) -> String {
    build(functions, more).expect_err("something is wrong").to_string()
}

fn shown(topology: &Topology) -> String {
    let mut shown = String::new();
    for part in &topology.parts {
        let inputs: Vec<&str> = part.inputs.iter().map(|input| &*input.topic).collect();
        writeln!(shown, "{} reads {} by {}", part.name, inputs.join(", "), part.batch_records)
            .unwrap();
        for store in &part.stores {
            let ttl = store.ttl.map_or(String::new(), |ttl| format!(" for {ttl:?}"));
            let broadcast = if store.broadcast { " broadcast" } else { "" };
            writeln!(shown, "  {:?} {} in {}{ttl}{broadcast}", store.kind, store.name, store.topic)
                .unwrap();
        }
        for timer in &part.timers {
            writeln!(shown, "  Timer {timer}").unwrap();
        }
        for node in &part.nodes {
            writeln!(shown, "  {}: {:?}", node.name, node.bindings()).unwrap();
        }
    }
    shown
}

const TOTAL: Slot = ("total", Role::Counter, "", "i64");
const SEEN: Slot = ("last_seen", Role::Value, "", "json");
const USERS: Slot = ("users", Role::Table, "text", "json");
const RATES: Slot = ("rates", Role::Table, "text", "text");
const DUE: Slot = ("due", Role::Timer, "", "json");

#[test]
fn slots_are_bound_to_the_stores_tables_and_timers_of_their_part() {
    let topology = build(
        &[
            ("count", r#"["amounts"]"#, &[TOTAL, USERS]),
            ("watch-orders", r#"["orders"]"#, &[DUE, ("due", Role::Value, "", "text"), USERS]),
            ("plain", r#"["orders"]"#, &[]),
            ("lonely", r#"["else"]"#, &[USERS, RATES]),
        ],
        r#"
        [stores.total]
        ttl = "5m"
        [stores.due]
        kind = "value"
        [tables.users]
        topic = "people"
        [tables.rates]
        topic = "rates"
        broadcast = true
        "#,
    )
    .unwrap();
    assert_snapshot!(shown(&topology), @r"
    count reads amounts by 500
      Counter total in trial.total.changelog for 300s
      Table users in people
      Meta meta in trial.count.meta
      count: [Some(Store(0)), Some(Table(1))]
    lonely reads else by 500
      Table rates in rates broadcast
      Table users in people
      lonely: [Some(Table(1)), Some(Table(0))]
    watch_orders reads orders by 500
      Value due in trial.due.changelog
      Table users in people
      Meta meta in trial.watch_orders.meta
      Timer watch_orders.due
      plain: []
      watch-orders: [Some(Timer(0)), Some(Store(0)), Some(Table(1))]
    ");
    let tables: Vec<_> = topology.tables().map(|at| (at.part, at.store, &*at.spec.topic)).collect();
    assert_eq!(tables, [(0, 1, "people"), (1, 0, "rates"), (1, 1, "people"), (2, 1, "people")]);
    assert_eq!(topology.parts[0].max_ahead, Duration::from_secs(3600));
}

#[test]
fn functions_that_share_a_store_work_together_one_record_at_a_time() {
    let topology = build(
        &[
            ("add", r#"["in"]"#, &[TOTAL]),
            ("take", r#"["out"]"#, &[TOTAL, SEEN]),
            ("other", r#"["more"]"#, &[]),
        ],
        "[stores.total]\n[stores.last-seen]\n",
    )
    .unwrap();
    assert_snapshot!(shown(&topology), @r"
    add reads in, out by 1
      Value last_seen in trial.last_seen.changelog
      Counter total in trial.total.changelog
      Meta meta in trial.add.meta
      add: [Some(Store(1))]
      take: [Some(Store(1)), Some(Store(0))]
    other reads more by 500
      other: []
    ");
    assert!(topology.parts[0].shares_a_store());
    let stores: Vec<_> =
        topology.changelogs().map(|at| (at.part, at.store, &*at.spec.topic)).collect();
    let expected = [
        (0, 0, "trial.last_seen.changelog"),
        (0, 1, "trial.total.changelog"),
        (0, 2, "trial.add.meta"),
    ];
    assert_eq!(stores, expected);
    assert_eq!(topology.tables().count(), 0);
}

#[test]
fn what_code_declares_must_be_in_the_manifest() {
    let functions: &[(&str, &str, &[Slot])] =
        &[("count", r#"["in"]"#, &[TOTAL, SEEN, USERS, ("sums", Role::Aggregate, "", "")])];
    assert_snapshot!(problems(functions, ""), @r#"
    tidemill.toml:2: functions.count: the code declares the counter `total`, which the manifest does not have; add these lines: [stores.total] and kind = "counter"
    tidemill.toml:2: functions.count: the code declares the value `last_seen`, which the manifest does not have; add these lines: [stores.last_seen] and kind = "value"
    tidemill.toml:2: functions.count: the code declares the table `users`, which the manifest does not have; add these lines: [tables.users] and topic = "users"
    tidemill.toml:2: functions.count: the code declares the aggregate `sums`, which the manifest does not have; add these lines: [stores.sums] and compute = ["count"]
    "#);
    let functions = &functions[..1];
    let functions: &[(&str, &str, &[Slot])] = &[("count", functions[0].1, &[TOTAL, SEEN, USERS])];
    let more = "stores = [\"total\"]\ntables = []\n[stores.total]\nkind = \"value\"\n[stores.last-seen]\n[tables.users]\ntopic = \"users\"\n";
    assert_snapshot!(problems(functions, more), @r#"
    tidemill.toml:8: stores.total.kind: found "value", and the code of `count` has a counter in it; write kind = "counter", or leave it out
    tidemill.toml:5: functions.count.stores: the code uses the store `last_seen`, which is not in the list; add it, or leave the list out: it then may use all stores that it declares
    tidemill.toml:6: functions.count.tables: the code uses the table `users`, which is not in the list; add it, or leave the list out: it then may use all tables that it declares
    "#);
    let swapped = "[tables.total]\ntopic = \"x\"\n[stores.users]\n[stores.last_seen]\n";
    assert_snapshot!(problems(functions, swapped), @r#"
    tidemill.toml:2: functions.count: the code declares the counter `total`, which is a table in the manifest; give the table of the manifest another name, and add these lines: [stores.total] and kind = "counter"
    tidemill.toml:2: functions.count: the code declares the table `users`, which is a store in the manifest; give the store of the manifest another name, and add these lines: [tables.users] and topic = "users"
    "#);
}

#[test]
fn what_is_declared_and_not_used_is_fine() {
    let more = "stores = [\"total\", \"old\"]\ntables = [\"users\"]\n[stores.total]\n[stores.old]\nkind = \"map\"\n[tables.users]\ntopic = \"users\"\n";
    let topology = build(&[("count", r#"["in"]"#, &[TOTAL])], more).unwrap();
    assert_snapshot!(shown(&topology), @r"
    count reads in by 500
      Counter total in trial.total.changelog
      Meta meta in trial.count.meta
      count: [Some(Store(0))]
    ");
}

#[test]
fn functions_that_share_a_store_must_agree_on_it() {
    let shared = |slot: Slot| {
        let functions: &[(&str, &str, &[Slot])] =
            &[("one", r#"["in"]"#, &[TOTAL]), ("two", r#"["in"]"#, &[slot])];
        problems(functions, "[stores.total]\n")
    };
    let map = ("total", Role::Map, "text", "json");
    assert_snapshot!([shared(map), shared(("total", Role::Value, "", "json"))].join("\n"), @r"
    tidemill.toml:8: stores.total: `one` has a counter of i64 in it and `two` a map of text to json; functions that share a store must agree on it: give one of them a store of its own
    tidemill.toml:8: stores.total: `one` has a counter of i64 in it and `two` a value of json; functions that share a store must agree on it: give one of them a store of its own
    ");
}

#[test]
fn other_code_takes_over_where_inputs_and_state_are_the_same() {
    let of = |slots: &[Slot], more: &str| {
        build(
            &[("count", r#"["in"]"#, slots)],
            &format!("[stores.total]\n{more}[stores.last_seen]\n"),
        )
        .unwrap()
    };
    let first = of(&[TOTAL], "");
    assert!(of(&[TOTAL], "").reads_as(&first));
    assert!(!of(&[TOTAL, SEEN], "").reads_as(&first), "a further store");
    assert!(!of(&[TOTAL, DUE], "").reads_as(&first), "a timer");
    assert!(!of(&[TOTAL], "ttl = \"1s\"\n").reads_as(&first), "another time to live");
    let second = of(&[TOTAL, DUE], "");
    assert!(of(&[DUE, TOTAL], "").reads_as(&second), "the order in code does not matter");
}

#[test]
fn a_function_without_state_does_not_rename_what_is_kept() {
    let count: (&str, &str, &[Slot]) = ("count", r#"["in"]"#, &[TOTAL]);
    let before = build(&[count], "[stores.total]\n").unwrap();
    let after = build(&[count, ("add", r#"["in"]"#, &[])], "[stores.total]\n").unwrap();
    assert_eq!((&*before.parts[0].name, &*after.parts[0].name), ("count", "count"));
}
