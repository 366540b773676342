//! What a record costs between host and guest: packing, the call, and reading the answer, through the real SDK.
//!
//! `cargo bench -p tidemill --bench guest`; criterion's element rate is records, its time divided by the batch size
//! is the cost of one.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::{hint::black_box, path::Path, sync::Arc};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tidemill::{
    guest::{
        Binding, Component, Engine, EngineSettings, Instance, InstanceSettings, Invoke, Limits,
        Scope, ScopeEntry,
    },
    record::{Partition, Timestamp},
    store::{Database, DatabaseSettings, Kind as StoreKind, StoreSpec, TaskKey, TaskState},
};
use tidemill_layout::{BatchWriter, Entry, Headers, Kind, Origin, Outcome};

fn guest(engine: &Engine, package: &str) -> Component {
    let component =
        tidemill::guest::encode(&tidemill_guests::module(package)).expect("a component");
    engine.load(&component).expect("a checked component")
}

fn instance(component: &Component, function: &str) -> Instance {
    let (index, _) = component.function(function).expect("the guest has it");
    let settings = InstanceSettings {
        name: function.into(),
        index,
        config: Arc::from("{}"),
        limits: Limits::default(),
        clock: None,
        random: false,
    };
    Instance::new(component, &settings).expect("an instance")
}

/// Keys and values lie apart, as in a consumer's buffers: packing is part of the cost.
fn round(
    instance: &mut Instance,
    scope: &mut Scope,
    batch: &mut BatchWriter,
    keys: &[Vec<u8>],
    values: &[Vec<u8>],
) -> usize {
    batch.clear();
    batch.origin(Origin { topic: "trades", partition: 0 });
    for (offset, (key, value)) in (0..).zip(keys.iter().zip(values)) {
        batch.entry(&Entry {
            kind: Kind::Record,
            source: 0,
            origin: 0,
            attempt: 0,
            offset,
            timestamp: offset,
            key: Some(key),
            value: Some(value),
            headers: Headers::EMPTY,
        });
    }
    let entries = batch.entries();
    let answer = instance.invoke(batch.finish(), scope).expect("an answer");
    let outcome = Outcome::parse(&answer, entries).expect("an outcome");
    let mut emissions = 0;
    for emission in outcome.emissions() {
        black_box(emission.expect("an emission"));
        emissions += 1;
    }
    emissions
}

fn guest_call(criterion: &mut Criterion) {
    let engine = Engine::new(&EngineSettings::with_user_cache()).expect("an engine");
    let component = guest(&engine, "guest-bench");
    for function in ["pass_through", "filter_half", "transform"] {
        for value_bytes in [200, 1024] {
            let mut group = criterion.benchmark_group(format!("{function}/{value_bytes}B"));
            for size in [1, 10, 100, 1000] {
                let mut instance = instance(&component, function);
                let mut batch = BatchWriter::new();
                let mut scope = Scope::default();
                let keys: Vec<Vec<u8>> =
                    (0..size).map(|key| format!("user-{key:04}").into_bytes()).collect();
                let byte = |key: usize| u8::try_from(key % 256).expect("below 256");
                let values: Vec<Vec<u8>> =
                    (0..size).map(|key| vec![byte(key); value_bytes]).collect();
                group.throughput(Throughput::Elements(size as u64));
                group.bench_with_input(BenchmarkId::from_parameter(size), &size, |bencher, _| {
                    bencher.iter(|| round(&mut instance, &mut scope, &mut batch, &keys, &values));
                });
            }
            group.finish();
        }
    }
}

/// A state of one counter and one value, on a disk of its own.
fn state(folder: &Path) -> (Scope, Database) {
    let settings = DatabaseSettings { memory_bytes: 64 << 20 };
    let database = Database::open(folder, settings).expect("a database");
    let spec = |name: &str, kind| StoreSpec {
        name: name.into(),
        kind,
        ttl: None,
        broadcast: false,
        topic: name.into(),
    };
    let stores = vec![
        spec("counter", StoreKind::Counter),
        spec("value", StoreKind::Value),
        spec("meta", StoreKind::Meta),
    ];
    let key = TaskKey { app: "app".into(), part: "raw".into(), partition: 0 };
    let lease = database.lease(&key).expect("nobody else has it");
    let mut state =
        TaskState::open(&database, lease, &stores, &[], &[0; 3]).expect("an empty state");
    state.live().expect("it is complete");
    (Scope::new(Box::new(state), stores, Vec::new(), Partition(0), 1), database)
}

/// One state call an entry (two for `keep`: a get and a set), written in a transaction that stays open; and the same calls
/// without a guest, so that the difference is what the way to the store costs.
fn state_call(criterion: &mut Criterion) {
    const ENTRIES: u32 = 100;
    let engine = Engine::new(&EngineSettings::with_user_cache()).expect("an engine");
    let component = guest(&engine, "guest-raw");
    let keys: Vec<Vec<u8>> =
        (0..ENTRIES).map(|key| format!("user-{key:04}").into_bytes()).collect();
    let values = vec![vec![7; 200]; keys.len()];
    for (function, store) in [("count", 0), ("keep", 1)] {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut scope, _database) = state(folder.path());
        let bindings: Arc<[Option<Binding>]> = Arc::new([Some(Binding::Store(store)), None]);
        let mut group = criterion.benchmark_group(format!("state/{function}"));
        group.throughput(Throughput::Elements(ENTRIES.into()));
        let load = |scope: &mut Scope| {
            scope.state_mut().expect("it has one").begin();
            scope.begin((0..ENTRIES).map(|row| Timestamp(row.into())));
            scope.load(
                &bindings,
                (0..).zip(&keys).map(|(row, key)| ScopeEntry {
                    row,
                    timestamp: Timestamp(row.into()),
                    key: Some(key),
                    fired: false,
                }),
            );
        };
        let mut instance = instance(&component, function);
        let mut batch = BatchWriter::new();
        group.bench_function("guest", |bencher| {
            bencher.iter(|| {
                load(&mut scope);
                round(&mut instance, &mut scope, &mut batch, &keys, &values)
            });
        });
        group.bench_function("bare", |bencher| {
            bencher.iter(|| {
                load(&mut scope);
                for entry in 0..ENTRIES {
                    if store == 0 {
                        black_box(scope.add(0, entry, 1).expect("a count"));
                    } else {
                        black_box(scope.get(0, entry).expect("a value"));
                        scope.put(0, entry, Some(&values[0])).expect("it is written");
                    }
                }
            });
        });
        group.finish();
    }
}

criterion_group!(benches, guest_call, state_call);
criterion_main!(benches);
