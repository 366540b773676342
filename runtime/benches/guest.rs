//! What a record costs between host and guest: packing, the call, and reading the answer, through the real SDK.
//!
//! `cargo bench -p tidemill --bench guest`; criterion's element rate is records, its time divided by the batch size
//! is the cost of one.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::{hint::black_box, sync::Arc};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tidemill::guest::{
    Component, Engine, EngineSettings, Instance, InstanceSettings, Invoke, Limits,
};
use tidemill_layout::{BatchWriter, Entry, Headers, Kind, Origin, Outcome};

fn guest(engine: &Engine) -> Component {
    let component =
        tidemill::guest::encode(&tidemill_guests::module("guest-bench")).expect("a component");
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
    let answer = instance.invoke(batch.finish()).expect("an answer");
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
    let component = guest(&engine);
    for function in ["pass_through", "filter_half", "transform"] {
        for value_bytes in [200, 1024] {
            let mut group = criterion.benchmark_group(format!("{function}/{value_bytes}B"));
            for size in [1, 10, 100, 1000] {
                let mut instance = instance(&component, function);
                let mut batch = BatchWriter::new();
                let keys: Vec<Vec<u8>> =
                    (0..size).map(|key| format!("user-{key:04}").into_bytes()).collect();
                let byte = |key: usize| u8::try_from(key % 256).expect("below 256");
                let values: Vec<Vec<u8>> =
                    (0..size).map(|key| vec![byte(key); value_bytes]).collect();
                group.throughput(Throughput::Elements(size as u64));
                group.bench_with_input(BenchmarkId::from_parameter(size), &size, |bencher, _| {
                    bencher.iter(|| round(&mut instance, &mut batch, &keys, &values));
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, guest_call);
criterion_main!(benches);
