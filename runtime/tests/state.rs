//! What a component asks of the host's state, through the real imports: what it is answered, and how it ends where it asks
//! for more.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tidemill::{
    aggregate::{self, Emit, KeyFormat, Spec, Windows},
    guest::{
        Binding, Component, Engine, EngineSettings, Fault, Instance, InstanceSettings, Invoke,
        Limits, Scope, ScopeEntry, encode,
    },
    partitioner::partition_of,
    record::{Offset, Partition, Position, Record, Records, Timestamp},
    store::{Database, DatabaseSettings, Kind, StoreSpec, TaskKey, TaskState},
};
use tidemill_layout::{BatchWriter, Entry, Headers, Origin, Outcome, Part};

fn raw() -> &'static Component {
    static RAW: OnceLock<Component> = OnceLock::new();
    RAW.get_or_init(|| {
        let engine = Engine::new(&EngineSettings::with_user_cache()).unwrap();
        engine.load(&encode(&tidemill_guests::module("guest-raw")).unwrap()).unwrap()
    })
}

/// One function with a state of its own: partition 0 of 4.
struct Raw {
    index: u32,
    bindings: Arc<[Option<Binding>]>,
    instance: Instance,
    scope: Scope,
    _database: Database,
    _folder: tempfile::TempDir,
}

fn instance(index: u32) -> Instance {
    let settings = InstanceSettings {
        name: "raw".into(),
        index,
        config: "{}".into(),
        limits: Limits {
            time: Duration::from_millis(300),
            output_bytes: 1 << 20,
            ..Limits::default()
        },
        clock: None,
        random: false,
    };
    Instance::new(raw(), &settings).unwrap()
}

fn aggregated(windows: Option<Windows>, compute: &[(&str, &str)]) -> Arc<Spec> {
    let parsed = compute
        .iter()
        .map(|(name, text)| (*name, tidemill_aggregates::Aggregate::parse(text).unwrap()));
    Arc::new(Spec {
        windows,
        grace: Duration::from_secs(10),
        retention: Duration::from_secs(3600),
        emit: Emit::Changes { every_update: false },
        idle: None,
        key_format: KeyFormat::Plain,
        compute: Arc::new(tidemill_aggregates::Compute::new(parsed).unwrap()),
    })
}

impl Raw {
    fn new() -> Self {
        let bindings = [
            Some(Binding::Store(0)),
            Some(Binding::Store(1)),
            Some(Binding::Store(2)),
            Some(Binding::Table(3)),
            Some(Binding::Timer(0)),
            None,
        ];
        Raw::bound(0, bindings.into())
    }

    /// The function that feeds aggregates: slot 0 reads `sum`, `n` and `sum`, slot 2 nothing.
    fn feeding() -> Self {
        let bindings = [
            Some(Binding::Aggregate(4)),
            Some(Binding::Store(2)),
            Some(Binding::Aggregate(5)),
            None,
        ];
        Raw::bound(3, bindings.into())
    }

    fn bound(index: u32, bindings: Arc<[Option<Binding>]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database =
            Database::open(folder.path(), DatabaseSettings { memory_bytes: 8 << 20 }).unwrap();
        let spec = |name: &str, kind| StoreSpec {
            name: name.into(),
            kind,
            ttl: None,
            broadcast: false,
            topic: name.into(),
        };
        let stores = vec![
            spec("value", Kind::Value),
            spec("map", Kind::Map),
            spec("counter", Kind::Counter),
            spec("users", Kind::Table),
            spec("windows", Kind::Window),
            spec("silent", Kind::Window),
            spec("meta", Kind::Meta),
        ];
        let timers: Vec<Arc<str>> = vec!["raw.due".into()];
        let key = TaskKey { app: "app".into(), part: "raw".into(), partition: 0 };
        let lease = database.lease(&key).unwrap();
        let mut state = TaskState::open(&database, lease, &stores, &timers, &[0; 7]).unwrap();
        let mut rows = Records::new();
        for offset in 0..10 {
            let key = format!("u{offset}");
            rows.push(&Record {
                offset: Offset(offset),
                timestamp: Timestamp(0),
                key: Some(key.as_bytes()),
                value: Some(b"row"),
                headers: Headers::EMPTY,
            });
        }
        state.restore(3, "id", &rows, Position(10), Timestamp(0)).unwrap();
        state.live().unwrap();
        let engine = |store, windows, compute: &[(&str, &str)]| {
            Some(Box::new(aggregate::Engine::new(store, &aggregated(windows, compute))))
        };
        let minute = Windows::Tumbling { size: Duration::from_secs(60) };
        let mut engines: Vec<Option<Box<aggregate::Engine>>> = (0..4).map(|_| None).collect();
        engines.push(engine(4, Some(minute), &[("n", "count()"), ("sum", "sum(v)")]));
        engines.push(engine(5, None, &[("n", "count()")]));
        let scope = Scope::new(Box::new(state), stores, timers, Partition(0), 4);
        let scope = scope.with_engines(engines);
        let instance = instance(index);
        Raw { index, bindings, instance, scope, _database: database, _folder: folder }
    }

    /// Calls it with these commands, all under one key, a millisecond apart. Answers what it sent, and the entry it
    /// ended at where it did.
    fn ask(&mut self, commands: &[&str]) -> Result<Vec<String>, (Option<u32>, Fault)> {
        self.ask_as(Some("k"), commands)
    }

    fn ask_as(
        &mut self,
        key: Option<&str>,
        commands: &[&str],
    ) -> Result<Vec<String>, (Option<u32>, Fault)> {
        let commands: Vec<_> = (0..).zip(commands.iter().copied()).collect();
        self.ask_at(key, &commands)
    }

    /// And at these times.
    fn ask_at(
        &mut self,
        key: Option<&str>,
        commands: &[(i64, &str)],
    ) -> Result<Vec<String>, (Option<u32>, Fault)> {
        let key = key.map(str::as_bytes);
        let mut batch = BatchWriter::new();
        batch.origin(Origin { topic: "t", partition: 0 });
        for (timestamp, value) in commands.iter().copied() {
            batch.entry(&Entry {
                kind: tidemill_layout::Kind::Record,
                source: 0,
                origin: 0,
                attempt: 0,
                offset: timestamp,
                timestamp,
                key,
                value: Some(value.as_bytes()),
                headers: Headers::EMPTY,
            });
        }
        let times = || commands.iter().map(|(time, _)| Timestamp(*time));
        self.scope.state_mut().unwrap().begin();
        self.scope.begin(times());
        let entry = |(row, timestamp)| ScopeEntry { row, timestamp, key, fired: false };
        self.scope.load(&self.bindings, (0..).zip(times()).map(entry));
        let answer = self.instance.invoke(batch.finish(), &mut self.scope);
        let answer = answer.map_err(|fault| {
            self.instance = instance(self.index);
            (self.scope.take_culprit(), fault)
        })?;
        let outcome = Outcome::parse(&answer, batch.entries()).unwrap();
        let sent = outcome.emissions().map(|emission| match emission.unwrap().value {
            Part::Bytes(value) => String::from_utf8_lossy(value).into_owned(),
            other => panic!("{other:?}"),
        });
        Ok(sent.collect())
    }
}

#[test]
fn values_counters_and_maps_are_those_of_the_entrys_key() {
    let mut raw = Raw::new();
    let answers = raw.ask(&[
        "get 0 .; set 0 . one; get 0 .",
        "get 0 .; delete 0 .; get 0 .",
        "count 2 .; add 2 . 5; add 2 . -7; count 2 .",
        "map-get 1 . a; map-set 1 . a 1; map-set 1 . b 2; map-set 1 . c 3; map-get 1 . b; map-delete 1 . b; map-get 1 . b",
        "map-scan 1 . * * forward 10; map-scan 1 . * * reverse 1; map-scan 1 . b * forward 10; map-scan 1 . * a forward 10",
    ]);
    assert_eq!(
        answers.unwrap(),
        [
            "none, done, one",
            "one, done, none",
            "0, 5, -2, -2",
            "none, done, done, done, 2, done, none",
            "2 from a bytes 4 more false, 1 from c bytes 2 more true, 1 from c bytes 2 more false, 0 from none bytes 0 more false",
        ]
    );
    assert_eq!(
        raw.ask_as(Some("other"), &["get 0 .; count 2 .; map-get 1 . a"]).unwrap(),
        ["none, 0, none"]
    );
    assert_eq!(raw.ask(&["count 2 ."]).unwrap(), ["-2"]);
}

#[test]
fn pages_are_bounded_in_entries_and_bytes() {
    let mut raw = Raw::new();
    assert_eq!(
        raw.ask(&["map-long 1 . 1 1500", "map-scan 1 . * *"]).unwrap()[1],
        "1000 from 0 bytes 4443 more true"
    );
    raw.ask_as(Some("large"), &["map-long 1 . 300000 10"]).unwrap();
    assert_eq!(
        raw.ask_as(Some("large"), &["map-scan 1 . * *; map-scan 1 . 4 *; map-scan 1 . 9 *"])
            .unwrap(),
        [
            "4 from 0 bytes 1200004 more true, 4 from 4 bytes 1200004 more true, 1 from 9 bytes 300001 more false"
        ]
    );
}

#[test]
fn tables_have_the_rows_of_this_partition() {
    let mut raw = Raw::new();
    let key = |of: u32| {
        let mut keys = (0..10).map(|n| format!("u{n}"));
        keys.find(|key| partition_of(key.as_bytes(), 4) == Partition(of)).unwrap()
    };
    let (here, there) = (key(0), key(2));
    let answers = raw.ask_as(Some(&here), &["row 3 .", &format!("lookup 3 . {there}")]).unwrap();
    insta::assert_snapshot!(answers.join("\n"), @r"
    row
    the key belongs to partition 2 of table `users`, and this task has partition 0 of it: make the table complete on every host (`broadcast = true` in [tables.users]), or re-key the input by what is looked up
    ");
    assert_eq!(raw.ask(&[&format!("lookup 3 . {here}")]).unwrap(), ["row"]);
    assert_eq!(raw.ask_as(None, &["row 3 ."]).unwrap(), ["none"]);
}

#[test]
fn a_timer_that_cuts_the_batch_says_so() {
    let mut raw = Raw::new();
    let answers = raw.ask(&[
        "timer 4 .; timer-set 4 . 100 x; timer 4 .",
        "timer-set 4 . 3 x",
        "timer-cancel 4 .; timer 4 .",
        "timer-set 4 . 0 x",
    ]);
    assert_eq!(
        answers.unwrap(),
        ["None, cut false, Some(100)", "cut true", "done, None", "cut true"]
    );
    assert_eq!(raw.scope.cut(), Some(3));
    assert_eq!(raw.ask(&["timer-set 4 . 0 x"]).unwrap(), ["cut false"], "it fires before the next");
}

#[test]
fn what_is_wrong_ends_the_call_and_names_the_entry() {
    let mut raw = Raw::new();
    let contract = |what: &str| (None, Fault::Contract { what: what.to_owned() });
    let trap = |entry, message: &str| (Some(entry), Fault::Trap { message: message.to_owned() });
    let right = "count 2 .";
    for (commands, key, expected) in [
        (&[right, "get 2 ."][..], Some("k"), contract("its slot 2 is no value")),
        (&["add 0 . 1"], Some("k"), contract("its slot 0 is no counter")),
        (&["map-get 0 . a"], Some("k"), contract("its slot 0 is no map")),
        (&["row 0 ."], Some("k"), contract("its slot 0 is no table")),
        (&["set 3 . a"], Some("k"), contract("its slot 3 is no value")),
        (&["timer 5 ."], Some("k"), contract("its slot 5 is no timer")),
        (&["get 9 ."], Some("k"), contract("its slot 9 is no value")),
        (&["get 0 7"], Some("k"), contract("it names entry 7 in a call with 1")),
        (&[right, "count 2 .; get 0 -1"], Some("k"), contract("it goes back from entry 1 to 0")),
        (
            &[right, right, "get 0 ."],
            None,
            (Some(0), Fault::Reject { reason: "record has no key".to_owned() }),
        ),
        (
            &[right, "add 2 . 9223372036854775807; add 2 . 1"],
            Some("k"),
            trap(
                1,
                "`counter`: the counter is 9223372036854775807 and 1 more is not in the range of 64 bits",
            ),
        ),
        (
            &["long 0 . 1048577"],
            Some("k"),
            trap(0, "a value for `value` has 1.0 MiB and `limits.output` is 1.0 MiB"),
        ),
        (
            &["timer-set 4 . -5 x"],
            Some("k"),
            trap(0, "a timer cannot be due at -5: milliseconds since 1970 are right"),
        ),
    ] {
        assert_eq!(raw.ask_as(key, commands), Err(expected), "{commands:?}");
        // What the call wrote is still there for the task to undo, and the state is whole.
        raw.scope.keep(0);
        assert_eq!(raw.ask(&["count 2 ."]).unwrap(), ["0"], "{commands:?}");
    }
}

#[test]
fn rows_go_into_windows_and_the_columns_that_are_read_come_out() {
    let mut raw = Raw::feeding();
    let answers = raw.ask_at(
        Some("k"),
        &[
            (1_000, r#"row-add 0 . {"v":5}; windows 0 ."#),
            (59_000, r#"row-add 0 . {"w":7,"v":-2}; row-add 0 . null; row-add 0 . {"v":null}"#),
            (61_000, r#"windows 0 .; row-add 0 . {"v":1}; row-add 2 . {}; windows 2 ."#),
            (69_000, r#"row-add 0 . {"v":100}"#),
            (5_000, r#"row-add 0 . {"v":10}"#),
            (70_000, r#"row-add 0 . {"v":0}"#),
            (5_000, r#"row-add 0 . {"v":10}; windows 0 ."#),
        ],
    );
    assert_eq!(
        answers.unwrap(),
        [
            "[0,60000] [5,1,5], [0,60000] [5,1,5]",
            "[0,60000] [3,2,3], [0,60000] [3,3,3], [0,60000] [3,4,3]",
            ", [60000,120000] [1,1,1], [0,9223372036854775807] [], [0,9223372036854775807] []",
            "[60000,120000] [101,2,101]",
            "[0,60000] [13,5,13]",
            "[60000,120000] [101,3,101]",
            "late, ",
        ]
    );
    let other = raw.ask_at(Some("other"), &[(70_000, r#"row-add 0 . {"v":1}"#)]);
    assert_eq!(other.unwrap(), ["[60000,120000] [1,1,1]"]);
}

#[test]
fn rows_are_undone_with_their_row_of_the_turn() {
    let mut raw = Raw::feeding();
    let first = [(1_000, r#"row-add 0 . {"v":1}"#), (80_000, r#"row-add 0 . {"v":2}"#)];
    assert_eq!(raw.ask_at(Some("k"), &first).unwrap()[1], "[60000,120000] [2,1,2]");
    raw.scope.keep(1);
    // Time went back as well, so that it is not late.
    let again = raw.ask_at(Some("k"), &[(2_000, r#"row-add 0 . {"v":3}"#)]);
    assert_eq!(again.unwrap(), ["[0,60000] [4,2,4]"]);
}

#[test]
fn a_row_that_is_wrong_ends_the_call_and_names_the_entry() {
    let mut raw = Raw::feeding();
    let contract = |what: &str| (None, Fault::Contract { what: what.to_owned() });
    let right = (1_000, r#"row-add 0 . {"v":1}"#);
    let refused = |raw: &mut Raw, command: &str| {
        let refused = raw.ask_at(Some("k"), &[right, (1_000, command)]).unwrap_err();
        raw.scope.keep(0);
        let kept = raw.ask_at(Some("k"), &[(1_000, "windows 0 .")]).unwrap();
        assert_eq!(kept, [""], "{command}");
        refused
    };
    let trap = |raw: &mut Raw, command: &str| match refused(raw, command) {
        (Some(1), Fault::Trap { message }) => message,
        other => panic!("{command}: {other:?}"),
    };
    assert_eq!(refused(&mut raw, "row-add 1 . {}"), contract("its slot 1 is no aggregate"));
    assert_eq!(refused(&mut raw, "windows 3 ."), contract("its slot 3 is no aggregate"));
    assert_eq!(refused(&mut raw, "add 0 . 1"), contract("its slot 0 is no counter"));
    assert_eq!(
        refused(&mut raw, "count 1 .; row-add 0 -1 {}"),
        (None, Fault::Contract { what: "it goes back from entry 1 to 0".to_owned() })
    );
    let messages = [
        r#"row-add 0 . {"v":9223372036854775807}"#,
        r#"row-add 0 . {"v":"tea"}"#,
        "row-add 0 . 5",
        r#"row-add 0 . {"v":}"#,
    ]
    .map(|command| trap(&mut raw, command));
    insta::assert_snapshot!(messages.join("\n"), @r"
    `windows`: sum(v) leaves the range of 64-bit integers
    `windows`: sum(v): column `v` holds text, expected an int or a float
    `windows`: a row is a JSON object of columns: invalid type: integer `5`, expected an object at column 1
    `windows`: a row is a JSON object of columns: expected value at column 6
    ");
    let without_key = raw.ask_at(None, &[right]).unwrap_err();
    assert_eq!(without_key, (Some(0), Fault::Reject { reason: "record has no key".to_owned() }));
}

#[test]
fn a_loop_of_calls_ends_at_the_limit_of_time() {
    let mut raw = Raw::new();
    let fault = raw.ask(&["spin 2 ."]).unwrap_err();
    assert_eq!(fault, (None, Fault::Timeout { limit: Duration::from_millis(300) }));
}

#[test]
fn a_function_without_state_is_told_so() {
    let mut instance = instance(0);
    let mut batch = BatchWriter::new();
    batch.origin(Origin { topic: "t", partition: 0 });
    batch.entry(&Entry {
        kind: tidemill_layout::Kind::Record,
        source: 0,
        origin: 0,
        attempt: 0,
        offset: 0,
        timestamp: 0,
        key: Some(b"k"),
        value: Some(b"get 0 ."),
        headers: Headers::EMPTY,
    });
    let fault = instance.invoke(batch.finish(), &mut Scope::default()).unwrap_err();
    let what = "it asks for state where none is kept for it".to_owned();
    assert_eq!(fault, Fault::Contract { what });
}

#[test]
fn what_it_asks_for_is_its_capabilities() {
    assert_eq!(
        raw().imports(),
        [
            "tidemill:function/state@1.0.0",
            "tidemill:function/tables@1.0.0",
            "tidemill:function/timers@1.0.0",
            "tidemill:function/aggregates@1.0.0"
        ]
    );
}
