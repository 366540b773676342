//! Apps on the task driver: records in, effects out, as text.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Mutex, OnceLock},
};

use tidemill::{
    broker::memory::Append,
    guest::{Component, Engine, EngineSettings, encode},
    manifest::Manifest,
    record::{HeadersWriter, Partition, Timestamp},
    testing::{DriveError, DriverSettings, Effect, Stimulus, TaskDriver},
};

const START: Timestamp = Timestamp(1_767_225_600_000);

fn component(package: &str) -> Component {
    static LOADED: OnceLock<(Engine, Mutex<BTreeMap<String, Component>>)> = OnceLock::new();
    let (engine, loaded) = LOADED.get_or_init(|| {
        (Engine::new(&EngineSettings::with_user_cache()).unwrap(), Mutex::default())
    });
    let mut loaded = loaded.lock().unwrap();
    let load = || engine.load(&encode(&tidemill_guests::module(package)).unwrap()).unwrap();
    loaded.entry(package.to_owned()).or_insert_with(load).clone()
}

/// Functions are named `package-something` or as in the faulty guest.
fn driver_of(manifest: &str, partitions: u32) -> Result<TaskDriver, DriveError> {
    let manifest = Manifest::parse(manifest, "tidemill.toml", &[], &|_| None).unwrap();
    let components = manifest.functions.keys().map(|name| {
        let package = match name.as_str() {
            "settle" => "settle",
            "timely" => "guest-timely",
            _ => "guest-faulty",
        };
        (name.clone(), component(package))
    });
    TaskDriver::new(&manifest, components.collect(), DriverSettings { partitions, now: START })
}

fn driver(manifest: &str) -> TaskDriver {
    driver_of(manifest, 1).unwrap()
}

const FAULTY: &str = r#"
    app = "trial"
    [functions.faulty]
    module = "faulty.wasm"
    inputs = ["commands"]
    outputs = { out = "done", huge = "done" }
    limits = { time = "200ms", memory = "32MiB", output = "1MiB" }
"#;

fn append(driver: &TaskDriver, topic: &str, value: &str) {
    let headers = HeadersWriter::new();
    let record = Append {
        partition: None,
        key: Some(b"k"),
        value: Some(value.as_bytes()),
        headers: headers.headers(),
        timestamp: Some(START),
    };
    driver.log().append(topic, &record).unwrap();
}

/// One batch of values.
fn drive(driver: &mut TaskDriver, topic: &str, values: &[&str]) -> String {
    for value in values {
        append(driver, topic, value);
    }
    show(&driver.at(START).unwrap())
}

fn text(bytes: &Option<Vec<u8>>) -> String {
    bytes.as_ref().map_or("null".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
}

fn show(effects: &[Effect]) -> String {
    let mut shown = String::new();
    for effect in effects {
        match effect {
            Effect::Out { topic, key, value, .. } => {
                writeln!(shown, "out {topic} {}={}", text(key), text(value))
            }
            Effect::Dead { function, value, reason, .. } => {
                writeln!(shown, "dead {function} {} ! {reason}", text(value))
            }
            Effect::Late { store, key, value } => {
                writeln!(shown, "late {store} {}={}", text(key), text(value))
            }
            Effect::Retry { function, attempt, reason } => {
                writeln!(shown, "retry {function} {attempt} ! {reason}")
            }
            Effect::Pause { function, reason } => writeln!(shown, "pause {function} ! {reason}"),
        }
        .unwrap();
    }
    shown
}

#[test]
fn every_failing_record_is_found_and_its_neighbours_are_handled_in_order() {
    let mut driver = driver(FAULTY);
    let values =
        ["a", "panic", "b", "reject", "c", "error", "d", "eat", "e", "huge", "f", "g", "panic"];
    insta::assert_snapshot!(drive(&mut driver, "commands", &values), @r"
    out done k=a
    dead faulty panic ! trap: panicked at tests/guests/faulty/src/lib.rs:32: at the disco
    out done k=b
    dead faulty reject ! reject: no good
    out done k=c
    dead faulty error ! error: it broke
    out done k=d
    dead faulty eat ! memory: it asked for more memory than `limits.memory` = 32.0 MiB
    out done k=e
    dead faulty huge ! output: a record for output `huge` has 2.0 MiB and `limits.output` is 1023.5 KiB
    out done k=f
    out done k=g
    dead faulty panic ! trap: panicked at tests/guests/faulty/src/lib.rs:32: at the disco
    ");
}

#[test]
fn a_retry_waits_and_nothing_behind_it_goes_on() {
    let mut driver = driver(FAULTY);
    insta::assert_snapshot!(drive(&mut driver, "commands", &["a", "retry", "b"]), @r"
    out done k=a
    retry faulty 1 ! retry: not yet
    ");
    let later = |millis: i64| Timestamp(START.millis() + millis);
    assert_eq!(show(&driver.at(later(99)).unwrap()), "", "the first wait is 100 ms");
    insta::assert_snapshot!(show(&driver.at(later(100)).unwrap()), @"retry faulty 2 ! retry: not yet");
    insta::assert_snapshot!(show(&driver.at(later(300)).unwrap()), @r"
    out done k=retry
    out done k=b
    ");
}

#[test]
fn the_function_may_choose_the_delay() {
    let mut driver = driver(FAULTY);
    insta::assert_snapshot!(drive(&mut driver, "commands", &["late"]), @"retry faulty 1 ! retry: in a minute");
    assert_eq!(show(&driver.at(Timestamp(START.millis() + 59_999)).unwrap()), "");
    insta::assert_snapshot!(show(&driver.at(Timestamp(START.millis() + 60_000)).unwrap()), @"out done k=late");
}

#[test]
fn a_time_out_waits_with_back_off_until_retries_are_used_up() {
    let mut driver =
        driver(&format!("{FAULTY}on-failure = {{ retries = 1, backoff = \"1s..10s\" }}\n"));
    insta::assert_snapshot!(drive(&mut driver, "commands", &["spin", "a"]), @"retry faulty 1 ! timeout: the call took longer than `limits.time` = 200ms");
    insta::assert_snapshot!(show(&driver.at(Timestamp(START.millis() + 1000)).unwrap()), @r"
    dead faulty spin ! timeout: the call took longer than `limits.time` = 200ms
    out done k=a
    ");
}

#[test]
fn what_fails_once_is_tried_in_a_fresh_instance() {
    let mut driver = driver(
        r#"
        app = "trial"
        [functions.moody]
        module = "faulty.wasm"
        inputs = ["in"]
        outputs = { out = "done" }
        "#,
    );
    // A fresh instance fails on it too, so it is dead; the same record later meets a fresh one that has not failed yet.
    insta::assert_snapshot!(drive(&mut driver, "in", &["a", "once", "b"]), @r"
    out done k=a
    dead moody once ! trap: panicked at tests/guests/faulty/src/lib.rs:63: only in an instance that is not fresh
    out done k=b
    ");
}

const CHAIN: &str = r#"
    app = "chain"
    [functions.double]
    module = "faulty.wasm"
    inputs = ["in"]
    outputs = { out = "doubled" }
    [functions.faulty]
    module = "faulty.wasm"
    inputs = ["double.out"]
    outputs = { out = "done", huge = "done" }
"#;

#[test]
fn a_chain_in_memory_gives_what_record_at_a_time_would() {
    let mut driver = driver(CHAIN);
    insta::assert_snapshot!(drive(&mut driver, "in", &["1", "2"]), @r"
    out doubled k=1a
    out done k=1a
    out doubled k=1b
    out done k=1b
    out doubled k=2a
    out done k=2a
    out doubled k=2b
    out done k=2b
    ");
}

#[test]
fn a_failure_down_the_chain_takes_all_effects_of_its_source_record() {
    let mut driver = driver(CHAIN);
    insta::assert_snapshot!(drive(&mut driver, "in", &["1", "split:ok,reject", "2"]), @r"
    out doubled k=1a
    out done k=1a
    out doubled k=1b
    out done k=1b
    dead faulty split:ok,reject ! reject: no good
    out doubled k=2a
    out done k=2a
    out doubled k=2b
    out done k=2b
    ");
}

#[test]
fn settle_decides_and_the_dead_letter_tells_where_it_came_from() {
    let mut driver = driver(
        r#"
        app = "trades"
        [functions.settle]
        module = "settle.wasm"
        inputs = ["user_trades"]
        outputs = { settlements = "trade-settlements" }
        config = { large_trade = 100000 }
        "#,
    );
    let trade = br#"{"userid":"User_7","symbol":"ZVV","quantity":1000,"price":500,"side":"BUY","account":"ABC123"}"#;
    let stimulus = Stimulus {
        timestamp: START,
        key: Some(b"User_7".to_vec()),
        value: Some(trade.to_vec()),
        ..Stimulus::default()
    };
    insta::assert_snapshot!(show(&driver.send("user_trades", &stimulus).unwrap()), @r#"out trade-settlements ZVV={"user":"User_7","symbol":"ZVV","amount":500000,"disposition":"Pending","reason":"Large trade","timestamp":1767225600000}"#);
    let nonsense = Stimulus { value: None, ..stimulus };
    driver.send("user_trades", &nonsense).unwrap();
    let letters = driver.log().read(
        &tidemill::record::TopicPartition::new("trades.settle.dlq", 0),
        tidemill::record::Position::START,
        tidemill::broker::Isolation::ReadCommitted,
        10,
    );
    let (letters, _) = letters.unwrap();
    let headers: Vec<String> = letters
        .get(0)
        .headers
        .iter()
        .filter(|header| header.name != "tidemill.digest")
        .map(|header| {
            format!(
                "{} = {}",
                header.name,
                String::from_utf8_lossy(header.value.unwrap_or_default())
            )
        })
        .collect();
    insta::assert_snapshot!(headers.join("\n"), @r"
    __streams.errors.exception = reject
    __streams.errors.message = value is null: take Option<…> to accept it
    __streams.errors.topic = user_trades
    __streams.errors.partition = 0
    __streams.errors.offset = 1
    tidemill.function = settle
    tidemill.attempts = 1
    ");
}

#[test]
fn event_time_comes_from_where_the_manifest_says_and_a_record_without_is_dead() {
    let mut driver = driver(
        r#"
        app = "timed"
        [topics.in]
        timestamp = "json:ts"
        [functions.faulty]
        module = "faulty.wasm"
        inputs = ["in"]
        outputs = { out = "done", huge = "done" }
        "#,
    );
    for value in [r#"{"ts":1234}"#, "{}"] {
        append(&driver, "in", value);
    }
    let effects = driver.at(START).unwrap();
    assert!(matches!(&effects[0], Effect::Out { timestamp: Timestamp(1234), .. }), "{effects:?}");
    insta::assert_snapshot!(show(&effects[1..]), @"dead faulty {} ! reject: no event time: the value has no field `ts`");
}

#[test]
fn only_records_that_the_filter_admits_enter_and_positions_move_all_the_same() {
    let mut driver = driver(
        r#"
        app = "filtered"
        [functions.faulty]
        module = "faulty.wasm"
        inputs = ["in"]
        where = { side = "BUY" }
        outputs = { out = "done", huge = "done" }
        "#,
    );
    insta::assert_snapshot!(drive(&mut driver, "in", &[r#"{"side":"BUY"}"#, r#"{"side":"SELL"}"#]), @r#"out done k={"side":"BUY"}"#);
    assert_eq!(show(&driver.restart().unwrap()), "", "everything was committed");
}

#[test]
fn several_inputs_are_merged_by_time_over_partitions_of_equal_number() {
    let mut driver = driver_of(
        r#"
        app = "merged"
        [functions.faulty]
        module = "faulty.wasm"
        inputs = ["a", "b"]
        outputs = { out = "done", huge = "done" }
        "#,
        2,
    )
    .unwrap();
    let headers = HeadersWriter::new();
    for (topic, partition, at) in [("a", 0, 3), ("b", 0, 1), ("b", 0, 2), ("a", 1, 9), ("a", 0, 4)]
    {
        let value = format!("{topic}{at}");
        let record = Append {
            partition: Some(Partition(partition)),
            key: None,
            value: Some(value.as_bytes()),
            headers: headers.headers(),
            timestamp: Some(Timestamp(at)),
        };
        driver.log().append(topic, &record).unwrap();
    }
    // A new worker knows of no input that it is at its end before it has read all of them.
    let effects = show(&driver.restart().unwrap());
    let of_partition_0: Vec<&str> = effects.lines().filter(|line| !line.contains("a9")).collect();
    assert_eq!(
        of_partition_0,
        ["out done null=b1", "out done null=b2", "out done null=a3", "out done null=a4"]
    );
    assert!(effects.contains("out done null=a9"));
}

#[test]
fn what_does_not_fit_is_told_before_anything_runs() {
    let problems = |manifest: &str| driver_of(manifest, 1).map(drop).unwrap_err().to_string();
    insta::assert_snapshot!(problems(
        r#"
        app = "trial"
        [functions.faulty]
        module = "faulty.wasm"
        inputs = { left = "in" }
        outputs = { out = "done", more = "more" }
        config = { speed = 3 }
        [functions.timely]
        module = "faulty.wasm"
        inputs = ["in"]
        "#,
    ), @r#"
    tidemill.toml:7: functions.faulty.config: the code has no config `speed`; it has no config at all
    tidemill.toml:6: functions.faulty.outputs: the code has no output `more`; it has huge, out
    tidemill.toml:6: functions.faulty.outputs: the code's output `huge` goes nowhere; bind it to a topic: outputs = { huge = "TOPIC" }
    tidemill.toml:5: functions.faulty.inputs: the code has no input `left`; the code has one input without a name: inputs = ["TOPIC"]
    tidemill.toml:8: functions.timely.allow: the code imports `tidemill:function/clock`, which is not granted; grant it with allow = ["clock"]
    tidemill.toml:8: functions.timely.outputs: the code's output `out` goes nowhere; bind it to a topic: outputs = { out = "TOPIC" }
    "#);
    insta::assert_snapshot!(problems(
        r#"
        app = "trial"
        [functions.picky]
        module = "faulty.wasm"
        inputs = ["in"]
        outputs = { out = "done" }
        config = { level = 300 }
        allow = ["clock"]
        "#,
    ), @"function `picky`: `init` failed: config `level`: invalid value: integer `300`, expected u8");
}
