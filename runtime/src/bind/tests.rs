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
    Output = 5,
    Timer = 6,
    Config = 7,
}

/// A function as its code describes it: shape of its only input as the interface numbers them, slots, and the columns it
/// reads of its aggregates, as `name: type`. An output with a key codec re-keys.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Described<'a> {
    name: &'a str,
    shape: u32,
    value: &'a str,
    slots: Vec<Slot>,
    columns: Vec<(&'a str, &'a str)>,
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
fn component(name: &'static str, slots: &[Slot]) -> Component {
    described(&Described {
        name,
        shape: 0,
        value: "text",
        slots: slots.to_vec(),
        columns: Vec::new(),
    })
}

/// A component with one function.
fn described(code: &Described<'static>) -> Component {
    type Loaded = Mutex<BTreeMap<Described<'static>, Component>>;
    static ENGINE: OnceLock<(Engine, Loaded)> = OnceLock::new();
    let (engine, loaded) = ENGINE.get_or_init(|| {
        let settings = EngineSettings { instances: 20, ..EngineSettings::default() };
        (Engine::new(&settings).unwrap(), Mutex::default())
    });
    let mut loaded = loaded.lock().unwrap();
    let load = || engine.load(&binary(code)).unwrap();
    loaded.entry(code.clone()).or_insert_with(load).clone()
}

fn binary(code: &Described<'_>) -> Vec<u8> {
    let Described { name, shape, value, slots, columns } = code;
    let mut memory = Memory { bytes: vec![0; 64] };
    let name = memory.text(name);
    let (key, value) = (memory.text("text"), memory.text(value));
    let layouts = [memory.words(&[tidemill_layout::VERSION]), 1];
    let source = [&[0, 0, 0, *shape][..], &key, &value, &[0, 0]].concat();
    let sources = [memory.words(&source), 1];
    let mut words = Vec::new();
    for (name, role, key, value) in slots {
        let rekeys = u32::from(*role == Role::Output && !key.is_empty());
        let (name, key, value) = (memory.text(name), memory.text(key), memory.text(value));
        let mut read = Vec::new();
        for (column, of) in columns.iter().filter(|_| *role == Role::Aggregate) {
            read.extend([memory.text(column), memory.text(of)].concat());
        }
        let read = [memory.words(&read), u32::try_from(read.len() / 4).unwrap()];
        words
            .extend([&name[..], &[*role as u32], &key, &value, &[rekeys], &read, &[0, 0]].concat());
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

/// The text of a manifest with code to it: what was built of both.
fn app(text: &str, codes: &[(&str, Described<'static>)]) -> Result<Topology, Error> {
    let manifest = Manifest::parse(text, "tidemill.toml", &[], &|_| None).unwrap();
    let components =
        codes.iter().map(|(name, code)| ((*name).to_owned(), described(code))).collect();
    Topology::build(&manifest, &components)
}

fn code(name: &'static str, shape: u32, value: &'static str, slots: &[Slot]) -> Described<'static> {
    Described { name, shape, value, slots: slots.to_vec(), columns: Vec::new() }
}

const PLAIN: u32 = 0;
const LEFT: u32 = 2;
const FULL: u32 = 4;
const WINDOWED: u32 = 5;

/// An output that keeps the key, and one that sets it.
const fn out(name: &'static str) -> Slot {
    (name, Role::Output, "", "json")
}

/// The whole graph as text.
pub(crate) fn graph(topology: &Topology) -> String {
    let mut shown = String::new();
    let topic = |at: usize| topology.outputs[at].to_string();
    for part in &topology.parts {
        writeln!(shown, "{} by {}", part.name, part.batch_records).unwrap();
        let to = |edges: &[crate::topology::Edge]| -> Vec<String> {
            edges.iter().map(|it| format!("{}.{}", part.nodes[it.node].name, it.source)).collect()
        };
        for input in &part.inputs {
            writeln!(shown, "  {} -> {}", input.topic, to(&input.readers).join(", ")).unwrap();
        }
        for (at, store) in part.stores.iter().enumerate() {
            let broadcast = if store.broadcast { " broadcast" } else { "" };
            let ttl = store.ttl.map_or(String::new(), |ttl| format!(" for {ttl:?}"));
            let spec = part.aggregates.get(&at).map_or(String::new(), |spec| {
                format!(": {} {:?} {:?}", spec.compute, spec.windows, spec.emit)
            });
            writeln!(shown, "  [{at}] {:?} {}{ttl}{broadcast}{spec}", store.kind, store.topic)
                .unwrap();
        }
        for node in &part.nodes {
            let work = match &node.work {
                crate::topology::Work::Function(function) => {
                    format!("function {:?}", function.bindings)
                }
                other => format!("{other:?}"),
            };
            writeln!(shown, "  {}: {work}", node.name).unwrap();
            if let Some(filter) = &node.filter {
                writeln!(shown, "    where {} of {:?}", filter.expr, filter.layout).unwrap();
            }
            for output in &node.outputs {
                let topics = output.topic.map(topic);
                let ways: Vec<String> = topics.into_iter().chain(to(&output.edges)).collect();
                writeln!(shown, "    {} -> {}", output.name, ways.join(", ")).unwrap();
            }
        }
    }
    for repartition in &topology.repartitions {
        writeln!(shown, "through {}", repartition.topic).unwrap();
    }
    shown
}

#[test]
fn a_function_feeds_an_aggregate_and_keeps_a_value_beside_it() {
    let fraud = Described {
        columns: vec![("count", "i64")],
        ..code(
            "fraud",
            PLAIN,
            "json",
            &[
                ("limit", Role::Config, "", "i64"),
                ("failures", Role::Aggregate, "", "json"),
                ("alerted", Role::Value, "", "json"),
                out("alerts"),
            ],
        )
    };
    let text = r#"
        app = "fraud"
        [functions.fraud]
        module  = "."
        inputs  = ["logins"]
        outputs = { alerts = "alerts" }
        config  = { limit = 5 }
        [stores.failures]
        window  = { sliding = "5m" }
        grace   = "10s"
        compute = ["count"]
        [stores.alerted]
        ttl     = "5m"
        "#;
    assert_snapshot!(graph(&app(text, &[("fraud", fraud.clone())]).unwrap()), @r"
    failures by 500
      logins -> fraud.0
      [0] Value fraud.alerted.changelog for 300s
      [1] Session fraud.failures.changelog: count = count() Some(Sliding { difference: 300s }) Changes { every_update: false }
      [2] Meta fraud.failures.meta
      fraud: function [None, Some(Aggregate(1)), Some(Store(0)), None]
        alerts -> alerts
      failures: Aggregate(AggregateNode { store: 1, feed: None, value: Json })
        results -> 
        late ->
    ");
    let wrong = |fraud: Described<'static>, more: &str| {
        let text = format!("{text}\n{more}");
        app(&text, &[("fraud", fraud)]).expect_err("something is wrong").to_string()
    };
    let columns = vec![("count", "text"), ("cents", "i64")];
    let reads = Described { columns, ..fraud.clone() };
    let mut value = fraud.clone();
    value.slots[1].1 = Role::Value;
    let mut feeds = fraud;
    feeds.slots[2].1 = Role::Aggregate;
    assert_snapshot!([wrong(reads, ""), wrong(value, ""), wrong(feeds, "")].join("\n--\n"), @r#"
    tidemill.toml:11: stores.failures.compute: the code reads `count` as text, and it is computed as int; let both say the same
    tidemill.toml:11: stores.failures.compute: the code reads `cents`, which is not computed; compute has count
    --
    tidemill.toml:8: stores.failures.kind: found "aggregate", and the code of `fraud` has a value in it; give the store of the code another name
    --
    tidemill.toml:12: stores.alerted.kind: found no kind, and the code of `fraud` has an aggregate in it; say what it computes, as in compute = ["count"]
    "#);
}

#[test]
fn two_streams_are_joined_behind_a_rekey() {
    let outputs = [out("paid"), out("overdue"), out("orphans")];
    let text = |kind: &str| {
        format!(
            r#"
            app = "checkout"
            [rekey.payments_by_order]
            input  = "payments"
            by     = "json:order_id"
            [joins.order_payment]
            left   = "orders"
            right  = "payments_by_order"
            kind   = "{kind}"
            within = {{ before = "0s", after = "10m" }}
            grace  = "30s"
            [topics.orders]
            late   = "late-orders"
            [functions.reconcile]
            module  = "."
            inputs  = ["order_payment"]
            outputs = {{ paid = "paid", overdue = "overdue", orphans = "orphan-payments" }}
            "#
        )
    };
    let built = |kind, shape, value| {
        app(&text(kind), &[("reconcile", code("reconcile", shape, value, &outputs))])
    };
    assert_snapshot!(graph(&built("full", FULL, "(json,json)").unwrap()), @r#"
    order_payment by 500
      checkout.payments_by_order.repartition -> order_payment.1
      orders -> order_payment.0
      [0] Join checkout.order_payment.changelog
      [1] Meta checkout.order_payment.meta
      order_payment: Join(JoinNode { kind: Full, pair: StreamStream { store: 0, before: 0ns, after: 600s, grace: 30s, idle: Some(30s) } })
        rows -> reconcile.0
        late_left -> late-orders
        late_right -> 
      reconcile: function [None, None, None]
        paid -> paid
        overdue -> overdue
        orphans -> orphan-payments
    payments_by_order by 500
      payments -> payments_by_order.0
      payments_by_order: Rekey(RekeyNode { by: Column { format: Json, name: "order_id" } })
        records -> checkout.payments_by_order.repartition
    through checkout.payments_by_order.repartition
    "#);
    let wrong =
        |kind, shape, value| built(kind, shape, value).expect_err("it does not fit").to_string();
    assert_snapshot!([
        wrong("full", LEFT, "(json,json)"),
        wrong("left", PLAIN, "json"),
        wrong("inner", WINDOWED, "json"),
    ].join("\n"), @r"
    tidemill.toml:16: functions.reconcile.inputs: the code takes rows of a left join, and `order_payment` is a full join; take `Full<L, R>` in the code, since either side may be missing
    tidemill.toml:16: functions.reconcile.inputs: the code takes plain records, and `order_payment` gives rows of a join; take `Joined<L, Option<R>>` in the code, since the right side may be missing
    tidemill.toml:16: functions.reconcile.inputs: the code takes results of windows, and `order_payment` gives none; name an aggregate store with windows as the input
    ");
    assert!(built("inner", LEFT, "(json,json)").is_ok(), "what may be missing need not be");
}

#[test]
fn a_store_is_fed_without_code_and_its_results_are_an_input() {
    let text = r#"
        app = "carts"
        [stores.cart]
        from      = "cart-events"
        window    = { session = "30m" }
        grace     = "1m"
        retention = "7d"
        compute   = { items = "collect-list(sku)", cents = "sum(cents)" }
        emit      = "final"
        [functions.abandoned]
        module  = "."
        inputs  = ["cart"]
        outputs = { carts = "abandoned-carts" }
        config  = { worth = 1000 }
        "#;
    let slots = [("worth", Role::Config, "", "i64"), out("carts")];
    let built = |shape| app(text, &[("abandoned", code("abandoned", shape, "json", &slots))]);
    assert_snapshot!(graph(&built(WINDOWED).unwrap()), @r#"
    cart by 500
      cart-events -> cart.0
      [0] Session carts.cart.changelog: items = collect-list(sku), cents = sum(cents) Some(Session { gap: 1800s }) Final
      [1] Meta carts.cart.meta
      cart: Aggregate(AggregateNode { store: 0, feed: Some(Feed { format: Json, columns: ["sku", "cents"] }), value: Json })
        results -> abandoned.0
        late -> 
      abandoned: function [None, None]
        carts -> abandoned-carts
    "#);
    assert_snapshot!([built(PLAIN), built(FULL)].map(|built| built.unwrap_err().to_string()).join("\n"), @r"
    tidemill.toml:12: functions.abandoned.inputs: the code takes plain records, and `cart` gives results of windows; take `Windowed<…>` in the code
    tidemill.toml:12: functions.abandoned.inputs: the code takes rows of a full join, and `cart` is no join; name a join as the input
    ");
}

#[test]
fn a_chain_is_cut_where_keys_change_and_at_topics() {
    let stores = ["completed", "pending"].map(|name| {
        format!(
            "[stores.{name}_per_minute]\nfrom = \"trade-settlements\"\nwhere = {{ disposition = \"{name}\" }}\n\
             window = {{ tumbling = \"60s\" }}\ngrace = \"10s\"\ncompute = [\"count\"]\noutput = \"{name}-per-minute\"\n"
        )
    });
    let text = format!(
        r#"
        app = "trades"
        [rekey.trades_by_user]
        input = "stocktrade"
        by    = "json:userid"
        [tables.users]
        topic = "users"
        [joins.enriched]
        left  = "trades_by_user"
        right = "users"
        kind  = "left"
        [functions.enrich]
        module  = "."
        inputs  = ["enriched"]
        outputs = {{ user_trades = "user_trades" }}
        [functions.settle]
        module  = "."
        inputs  = ["user_trades"]
        outputs = {{ settlements = "trade-settlements" }}
        config  = {{ large_trade = 100000 }}
        {}"#,
        stores.concat()
    );
    let enrich = code("enrich", LEFT, "(json,json)", &[out("user_trades")]);
    let slots =
        [("large_trade", Role::Config, "", "i64"), ("settlements", Role::Output, "text", "json")];
    let settle = code("settle", PLAIN, "json", &slots);
    let codes = [("enrich", enrich), ("settle", settle)];
    assert_snapshot!(graph(&app(&text, &codes).unwrap()), @r#"
    completed_per_minute by 500
      trade-settlements -> completed_per_minute.0, pending_per_minute.0
      [0] Window trades.completed_per_minute.changelog: count = count() Some(Tumbling { size: 60s }) Changes { every_update: false }
      [1] Window trades.pending_per_minute.changelog: count = count() Some(Tumbling { size: 60s }) Changes { every_update: false }
      [2] Meta trades.completed_per_minute.meta
      completed_per_minute: Aggregate(AggregateNode { store: 0, feed: Some(Feed { format: Json, columns: [] }), value: Json })
        where disposition = "completed" of One(Json)
        results -> completed-per-minute
        late -> 
      pending_per_minute: Aggregate(AggregateNode { store: 1, feed: Some(Feed { format: Json, columns: [] }), value: Json })
        where disposition = "pending" of One(Json)
        results -> pending-per-minute
        late -> 
    enrich by 500
      trades.trades_by_user.repartition -> enriched.0
      [0] Table users
      enriched: Join(JoinNode { kind: Left, pair: StreamTable { table: 0 } })
        rows -> enrich.0
      enrich: function [None]
        user_trades -> user_trades
    settle by 500
      user_trades -> settle.0
      settle: function [None, None]
        settlements -> trade-settlements
    trades_by_user by 500
      stocktrade -> trades_by_user.0
      trades_by_user: Rekey(RekeyNode { by: Column { format: Json, name: "userid" } })
        records -> trades.trades_by_user.repartition
    through trades.trades_by_user.repartition
    "#);
}
