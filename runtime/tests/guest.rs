//! Components, good and hostile, against the engine: what is accepted, what a call may do, and how it ends.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use tidemill::{
    clock::ManualClock,
    guest::{
        Component, Engine, EngineSettings, Error, Fault, Instance, InstanceSettings, Invoke,
        Limits, Scope, World, encode,
    },
    record::Timestamp,
};
use tidemill_layout::{BatchWriter, Entry, Failure, Headers, Kind, Origin, Outcome};

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(&EngineSettings::with_user_cache()).unwrap())
}

fn component(package: &str) -> Component {
    engine().load(&encode(&tidemill_guests::module(package)).unwrap()).unwrap()
}

fn faulty() -> &'static Component {
    static FAULTY: OnceLock<Component> = OnceLock::new();
    FAULTY.get_or_init(|| component("guest-faulty"))
}

fn instance(
    component: &Component,
    function: &str,
    config: &str,
    limits: Limits,
) -> Result<Instance, Fault> {
    let (index, _) = component.function(function).unwrap();
    let clock: Option<Arc<dyn tidemill::clock::Clock>> =
        Some(Arc::new(ManualClock::new(Timestamp(42))));
    let settings = InstanceSettings {
        name: function.into(),
        index,
        config: config.into(),
        limits,
        clock,
        random: false,
    };
    Instance::new(component, &settings)
}

fn batch(values: &[&str]) -> Vec<u8> {
    let mut batch = BatchWriter::new();
    batch.origin(Origin { topic: "t", partition: 3 });
    for (offset, value) in (0..).zip(values) {
        batch.entry(&Entry {
            kind: Kind::Record,
            source: 0,
            origin: 0,
            attempt: 0,
            offset,
            timestamp: 7,
            key: None,
            value: Some(value.as_bytes()),
            headers: Headers::EMPTY,
        });
    }
    batch.finish().to_vec()
}

fn quick() -> Limits {
    Limits { time: Duration::from_millis(200), ..Limits::default() }
}

#[track_caller]
fn fault(value: &str) -> Fault {
    let mut instance = instance(faulty(), "faulty", "{}", quick()).unwrap();
    instance.invoke(&batch(&[value]), &mut Scope::default()).unwrap_err()
}

#[test]
fn a_guest_of_the_sdk_has_no_wasi_and_says_what_it_is() {
    let settle = component("settle");
    assert_eq!(settle.world(), World::Packed);
    assert_eq!(settle.imports(), ["tidemill:function/log@1.0.0"]);
    assert!(
        component("guest-timely")
            .imports()
            .iter()
            .any(|import| import == "tidemill:function/clock@1.0.0")
    );
    insta::assert_json_snapshot!(settle.descriptions(), @r#"
    [
      {
        "name": "settle",
        "layouts": [
          1
        ],
        "sources": [
          {
            "name": null,
            "shape": "plain",
            "key": "text",
            "value": "json"
          }
        ],
        "slots": [
          {
            "name": "large_trade",
            "role": "config",
            "value": "json",
            "required": true
          },
          {
            "name": "settlements",
            "role": "output",
            "key": "text",
            "value": "json",
            "rekeys": true
          }
        ]
      }
    ]
    "#);
}

#[test]
fn a_guest_without_the_sdk_works_in_the_plain_world() {
    let plain = component("plain-filter");
    assert_eq!(plain.world(), World::Plain);
    let name = plain.descriptions()[0].name.clone();
    let mut instance = instance(&plain, &name, r#"{"word":"tide"}"#, quick()).unwrap();
    let answer =
        instance.invoke(&batch(&["high tide", "low", "tides"]), &mut Scope::default()).unwrap();
    let outcome = Outcome::parse(&answer, 3).unwrap();
    let causes: Vec<u32> = outcome.emissions().map(|emission| emission.unwrap().cause).collect();
    assert_eq!((outcome.handled, causes), (3, vec![0, 2]));
}

#[test]
fn faults_say_what_happened() {
    assert!(
        matches!(fault("panic"), Fault::Trap { message } if message.starts_with("panicked at ") && message.ends_with("at the disco"))
    );
    assert_eq!(fault("eat"), Fault::Memory { limit: 64 << 20 });
}

#[test]
fn an_endless_loop_ends_at_the_limit() {
    let start = Instant::now();
    assert_eq!(fault("spin"), Fault::Timeout { limit: Duration::from_millis(200) });
    assert!(start.elapsed() >= Duration::from_millis(200), "not before the limit");
}

#[test]
fn what_a_function_says_is_a_value_and_the_records_before_it_are_handled() {
    let mut instance = instance(faulty(), "faulty", "{}", quick()).unwrap();
    for (value, right) in [
        ("reject", Failure::Reject("no good")),
        ("error", Failure::Error("it broke")),
        ("retry", Failure::Retry { after_ms: None, reason: "not yet" }),
        ("late", Failure::Retry { after_ms: Some(60_000), reason: "in a minute" }),
    ] {
        let answer = instance.invoke(&batch(&["ok", value, "ok"]), &mut Scope::default()).unwrap();
        let outcome = Outcome::parse(&answer, 3).unwrap();
        assert_eq!(
            (outcome.handled, outcome.failure, outcome.len()),
            (1, Some(right), 1),
            "{value}"
        );
    }
}

#[test]
fn a_configuration_that_is_refused_names_its_key() {
    let error = instance(faulty(), "picky", r#"{"level":300}"#, quick()).err().unwrap();
    assert!(matches!(&error, Fault::Init { message } if message.contains("level")), "{error}");
}

#[test]
fn the_clock_is_the_hosts() {
    let mut instance = instance(&component("guest-timely"), "timely", "{}", quick()).unwrap();
    let answer = instance.invoke(&batch(&["?"]), &mut Scope::default()).unwrap();
    let outcome = Outcome::parse(&answer, 1).unwrap();
    let emission = outcome.emissions().next().unwrap().unwrap();
    assert_eq!(emission.value, tidemill_layout::Part::Bytes(b"42"));
}

#[test]
fn what_is_no_component_is_refused_with_what_to_do() {
    let load = |bytes: &[u8]| engine().load(bytes).map(drop).unwrap_err();
    assert!(matches!(load(b"nonsense"), Error::NotAComponent { .. }));
    assert!(matches!(load(b""), Error::NotAComponent { .. }));
    assert!(matches!(load(&tidemill_guests::module("settle")), Error::CoreModule));
    let cut = encode(&tidemill_guests::module("settle")).unwrap();
    assert!(matches!(load(&cut[..cut.len() / 2]), Error::NotAComponent { .. }));
}

#[test]
fn a_component_of_another_world_is_refused_by_what_it_lacks() {
    let load = |text: &str| engine().load(&wat::parse_str(text).unwrap()).map(drop).unwrap_err();
    let error = load("(component)");
    assert!(error.to_string().contains("it does not export describe, init, handle"), "{error}");
    let error = load(r#"(component (import "acme:db/query" (func)))"#);
    assert!(
        matches!(&error, Error::UnknownImport { import } if import.contains("acme:db/query")),
        "{error}"
    );
}
