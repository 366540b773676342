//! What a record costs in the engine of an aggregate store and in the store, without formats and topics: count, sum, min,
//! max and avg of 10,000 keys, committed every 50,000 records.
//!
//! `cargo bench -p tidemill --bench aggregate`; criterion's element rate is records.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::{sync::Arc, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidemill::{
    aggregate::{Emit, Engine, KeyFormat, Spec, Windows},
    record::Timestamp,
    store::{
        Database, DatabaseSettings, Kind, NodeProgress, Progress, StoreSpec, TaskKey, TaskState,
    },
};
use tidemill_aggregates::{Compute, Value};

/// Records of one turn, for which rows are looked up ahead.
const TURN: u32 = 1000;
const TURNS_PER_COMMIT: u32 = 50;
const KEYS: u64 = 10_000;
/// Milliseconds of event time from a record to the next: 10,000 a second.
const STEP: i64 = 10;

fn spec(windows: Option<Windows>, emit: Emit) -> Arc<Spec> {
    let columns = [
        ("n", "count()"),
        ("sum", "sum(v)"),
        ("low", "min(v)"),
        ("high", "max(v)"),
        ("mean", "avg(v)"),
    ];
    let columns = columns.map(|(name, text)| (name, text.parse().expect("it is one")));
    Arc::new(Spec {
        compute: Arc::new(Compute::new(columns).expect("they are right")),
        windows,
        grace: Duration::ZERO,
        retention: Duration::from_secs(3600),
        emit,
        idle: None,
        key_format: KeyFormat::Plain,
    })
}

fn run(criterion: &mut Criterion, name: &str, windows: Option<Windows>, emit: Emit) {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path(), DatabaseSettings { memory_bytes: 256 << 20 })
        .expect("a database");
    let kind = match windows {
        Some(Windows::Sliding { .. } | Windows::Session { .. }) => Kind::Session,
        _ => Kind::Window,
    };
    let store = |name: &str, kind| StoreSpec {
        name: name.into(),
        kind,
        ttl: None,
        broadcast: false,
        topic: name.into(),
    };
    let stores = [store("s", kind), store("meta", Kind::Meta)];
    let key = TaskKey { app: "app".into(), part: "part".into(), partition: 0 };
    let lease = database.lease(&key).expect("nobody has it");
    let mut state = TaskState::open(&database, lease, &stores, &[], &[]).expect("a state");
    let mut engine = Engine::new(0, &spec(windows, emit));
    let keys: Vec<[u8; 8]> = (0..KEYS).map(u64::to_be_bytes).collect();
    let (mut record, mut turns) = (0_i64, 0_u32);
    let mut group = criterion.benchmark_group("aggregate");
    group.throughput(Throughput::Elements(u64::from(TURN)));
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            state.begin();
            engine.begin();
            let of = |record: i64| {
                // Scattered, and each as often as the others.
                let key = (record.unsigned_abs()).wrapping_mul(0x9E37_79B9_7F4A_7C15) % KEYS;
                (&keys[usize::try_from(key).expect("it is small")][..], Timestamp(record / STEP))
            };
            let ahead = (record..).map(of).take(TURN as usize);
            engine.prefetch(&mut state, ahead).expect("the disk is fine");
            for row in 0..TURN {
                let (key, at) = of(record);
                record += 1;
                let value = [Value::Int(record % 1000)];
                let added = engine.add(&mut state, row, key, at, &value).expect("it is fine");
                if engine.closes(added) {
                    let time = engine.time().expect("a record came");
                    while engine.may_close(&state, time).expect("the disk is fine") {
                        for change in engine.closed(&state, time, 256).expect("the disk is fine") {
                            engine.sent(row, &change);
                        }
                    }
                }
            }
            turns += 1;
            if turns % TURNS_PER_COMMIT == 0 {
                let mut row = 0;
                while let waiting = engine.changed(&state, 1000).expect("the disk is fine")
                    && !waiting.is_empty()
                {
                    state.begin();
                    engine.begin();
                    for waiting in waiting {
                        engine.fire(&mut state, row, &waiting).expect("the disk is fine");
                        row += 1;
                    }
                }
                let nodes = vec![NodeProgress { node: "s".into(), ..engine.progress() }];
                state.seal(&Progress { nodes, ..Progress::default() });
                let mut batch = database.batch();
                state.commit(&mut batch, &[], Timestamp(0));
                database.write(batch).expect("the disk is fine");
                engine.expire(&mut state, 10_000).expect("the disk is fine");
            }
        });
    });
}

fn aggregates(criterion: &mut Criterion) {
    let seconds = Duration::from_secs;
    let thinned = Emit::Changes { every_update: false };
    let tumbling = Some(Windows::Tumbling { size: seconds(10) });
    let hopping = Some(Windows::Hopping { size: seconds(60), advance: seconds(1) });
    let session = Some(Windows::Session { gap: seconds(5) });
    run(criterion, "no windows", None, thinned);
    run(criterion, "tumbling 10 s", tumbling, thinned);
    run(criterion, "tumbling 10 s, final", tumbling, Emit::Final);
    run(criterion, "hopping 60 s / 1 s, final", hopping, Emit::Final);
    run(criterion, "session 5 s", session, thinned);
    run(criterion, "sliding 1 s", Some(Windows::Sliding { difference: seconds(1) }), thinned);
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(5));
    targets = aggregates
}
criterion_main!(benches);
