//! By hand-written tables, over real state, without a topic.
//!
//! A record is written `a=1@5`: key, value and time; `-` is null. A result reads `a [0,10) {"n":1}@5`: key, window, value
//! and time; `late a@5` is a late record, and `closing` stands in front of what came out since time went on.

use std::time::Duration;

use tempfile::TempDir;
use tidemill_layout::{Headers, WINDOW_END, WINDOW_START};

use super::*;
use crate::{
    aggregate::KeyFormat,
    record::{Offset, Partition, Record},
    store::{Database, DatabaseSettings, Kind, Progress, StoreSpec, TaskKey},
    topology::Format,
};

const COLUMNS: &[(&str, &str)] = &[("n", "count()"), ("s", "sum(v)")];

fn spec(windows: Option<Windows>, emit: Emit) -> Spec {
    let columns = COLUMNS.iter().map(|(name, text)| (*name, text.parse().unwrap()));
    Spec {
        compute: Arc::new(tidemill_aggregates::Compute::new(columns).unwrap()),
        windows,
        grace: Duration::ZERO,
        retention: Duration::from_secs(3600),
        emit,
        idle: None,
        key_format: KeyFormat::Plain,
    }
}

fn tumbling() -> Option<Windows> {
    Some(Windows::Tumbling { size: Duration::from_millis(10) })
}

const EACH: Emit = Emit::Changes { every_update: true };

/// An aggregate in a task of its own.
struct Rig {
    folder: TempDir,
    database: Option<Database>,
    spec: Arc<Spec>,
    aggregate: Aggregate,
    scope: Scope,
}

impl Rig {
    fn new(spec: Spec) -> Rig {
        Rig::written(spec, Format::Json)
    }

    fn written(spec: Spec, value: Format) -> Rig {
        let spec = Arc::new(spec);
        let feed = Feed { format: Format::Json, columns: spec.compute.arguments().to_vec() };
        let aggregate = Aggregate {
            store: 0,
            feed: Some(feed),
            writer: Writer::new(&spec, value),
            is_mute: false,
            spec: spec.clone(),
            arguments: Vec::new(),
        };
        let folder = tempfile::tempdir().unwrap();
        let mut rig = Rig { folder, database: None, spec, aggregate, scope: Scope::default() };
        rig.open();
        rig
    }

    fn open(&mut self) {
        self.scope = Scope::default();
        self.database = None;
        let settings = DatabaseSettings { memory_bytes: 8 << 20 };
        let database = Database::open(self.folder.path(), settings).unwrap();
        let kind = match self.spec.windows {
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
        let lease = database.lease(&key).unwrap();
        let mut state = TaskState::open(&database, lease, &stores, &[], &[]).unwrap();
        let progress = state.live().unwrap();
        let engines = vec![Some(Box::new(Engine::new(0, &self.spec)))];
        let scope = Scope::new(Box::new(state), stores.to_vec(), Vec::new(), Partition(0), 1);
        self.scope = scope.with_engines(engines);
        if let Some(node) = progress.nodes.first() {
            self.aggregate.resume(node, &mut self.scope);
        }
        self.database = Some(database);
    }

    fn begin(&mut self, now: i64) {
        self.aggregate.begin(Timestamp(now), &mut self.scope);
        self.scope.state_mut().unwrap().begin();
        self.scope.engine(0).unwrap().0.begin();
    }

    /// A record as a turn of its own: what comes of it.
    fn take(&mut self, text: &str) -> Result<Vec<String>, Reason> {
        self.begin(0);
        let (key, rest) = text.split_once('=').unwrap();
        let (value, at) = rest.split_once('@').unwrap();
        let value = match value {
            "-" => None,
            number if number.parse::<i64>().is_ok() => Some(format!(r#"{{"v":{number},"w":0}}"#)),
            other => Some(other.to_owned()),
        };
        let record = Record {
            offset: Offset(0),
            timestamp: Timestamp(at.parse().unwrap()),
            key: (key != "-").then_some(key.as_bytes()),
            value: value.as_ref().map(String::as_bytes),
            headers: Headers::default(),
        };
        let arrival = Arrival { row: 0, source: 0, record };
        self.aggregate.prefetch(&[arrival], &mut self.scope).unwrap();
        let mut out = Vec::new();
        let taken = self.aggregate.take(&arrival, &mut self.scope, &mut |sent| {
            out.push(shown(Some(&arrival), &sent));
            ControlFlow::Continue(())
        });
        taken.map(|()| out)
    }

    fn drive(&mut self, records: &[&str]) -> Vec<String> {
        records.iter().flat_map(|text| self.take(text).unwrap()).collect()
    }

    /// What waits comes out.
    fn fire(&mut self, ask: Ask) -> Vec<String> {
        let mut out = Vec::new();
        self.begin(0);
        let due = self.aggregate.due(ask, &mut self.scope, 100).unwrap();
        for (row, due) in (0..).zip(due) {
            self.aggregate
                .fire(row, &due, &mut self.scope, &mut |sent| {
                    out.push(format!("{}: {}", due.name, shown(None, &sent)));
                    ControlFlow::Continue(())
                })
                .unwrap();
        }
        out
    }

    fn commit(&mut self) {
        let node = self.aggregate.progress(&self.scope).unwrap();
        let nodes = vec![NodeProgress { node: "s".into(), ..node }];
        let state = self.scope.state_mut().unwrap();
        state.seal(&Progress { nodes, ..Progress::default() });
        let database = self.database.as_ref().unwrap();
        let mut batch = database.batch();
        state.commit(&mut batch, &[], Timestamp(0));
        database.write(batch).unwrap();
    }
}

fn shown(arrival: Option<&Arrival<'_>>, sent: &Sent<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if sent.output == LATE {
        assert_eq!((sent.key, sent.value), (Part::Inherit, Part::Inherit));
        let key = arrival.and_then(|arrival| arrival.record.key).unwrap_or_default();
        return format!("late {}@{}", text(key), sent.timestamp);
    }
    let Part::Bytes(key) = sent.key else { panic!("a result has a key") };
    let value = match sent.value {
        Part::Bytes(value) => text(value),
        Part::Null => "-".to_owned(),
        Part::Inherit => panic!("a result has a value of its own"),
    };
    let HeaderPart::Replace(headers) = sent.headers else { panic!("a result has its own headers") };
    let header = |name: &str| {
        let found = headers.iter().find(|header| header.name == name)?;
        Some(text(found.value.unwrap_or_default()))
    };
    let window = match (header(WINDOW_START), header(WINDOW_END)) {
        (Some(start), Some(end)) => format!(" [{start},{end})"),
        _ => String::new(),
    };
    let closing = if sent.closing { "closing " } else { "" };
    format!("{closing}{}{window} {value}@{}", text(key), sent.timestamp)
}

#[test]
fn each_update_of_a_tumbling_window() {
    let mut rig = Rig::new(spec(tumbling(), EACH));
    let out = rig.drive(&["a=1@3", "b=5@4", "a=2@1", "a=-@5", "a=1@12", "a=9@9", "-=1@99"]);
    assert_eq!(
        out,
        [
            r#"a [0,10) {"n":1,"s":1}@3"#,
            r#"b [0,10) {"n":1,"s":5}@4"#,
            r#"a [0,10) {"n":2,"s":3}@3"#,
            r#"a [0,10) {"n":3,"s":3}@5"#,
            r#"a [10,20) {"n":1,"s":1}@12"#,
            "late a@9",
        ]
    );
}

#[test]
fn what_cannot_be_read_or_added_is_rejected() {
    let mut rig = Rig::new(spec(tumbling(), EACH));
    for (record, why) in [
        ("a=nonsense@1", "expected ident"),
        (r#"a={"v":"x"}@1"#, "column `v` holds text"),
        ("a=9223372036854775807@1", ""),
        ("a=1@1", "sum(v) leaves the range of 64-bit integers"),
    ] {
        match rig.take(record) {
            Err(Reason::Reject(reason)) => assert!(reason.contains(why), "{reason}"),
            other => assert!(why.is_empty(), "{record} is {other:?}"),
        }
    }
}

#[test]
fn without_windows_there_are_no_headers_and_nulls_are_passed_over() {
    let mut rig = Rig::new(spec(None, EACH));
    let out = rig.drive(&["a=1@3", "a=-@4", "a=2@1"]);
    assert_eq!(out, [r#"a {"n":1,"s":1}@3"#, r#"a {"n":2,"s":3}@3"#]);
}

#[test]
fn a_window_comes_out_once_it_is_closed_also_after_a_gap_and_a_restart() {
    let mut rig = Rig::new(spec(tumbling(), Emit::Final));
    assert_eq!(rig.drive(&["b=1@3", "a=5@4", "a=2@9"]), [""; 0]);
    rig.commit();
    rig.open();
    assert_eq!(rig.aggregate.next_close(&mut rig.scope).unwrap(), Some(Timestamp(10)));
    let expected = [r#"closing a [0,10) {"n":2,"s":7}@9"#, r#"closing b [0,10) {"n":1,"s":1}@3"#];
    assert_eq!(rig.drive(&["a=1@9000000000"]), expected);
    rig.commit();
    rig.open();
    // Nothing comes out twice; what time the wall clock says is enough too.
    assert_eq!(rig.fire(Ask::Closed(Timestamp(9_000_000_009))), [""; 0]);
    assert_eq!(
        rig.fire(Ask::Closed(Timestamp(9_000_000_010))),
        [r#"9000000000,9000000010: a [9000000000,9000000010) {"n":1,"s":1}@9000000000"#]
    );
    assert_eq!(rig.drive(&["a=1@9000000003"]), ["late a@9000000003"]);
}

#[test]
fn an_operator_that_is_told_to_stop_stops() {
    let mut rig = Rig::new(spec(tumbling(), Emit::Final));
    rig.drive(&["a=1@3", "b=1@4", "c=1@5"]);
    rig.begin(0);
    let record = Record {
        offset: Offset(0),
        timestamp: Timestamp(50),
        key: Some(b"a"),
        value: Some(b"{}"),
        headers: Headers::default(),
    };
    let arrival = Arrival { row: 0, source: 0, record };
    let mut count = 0;
    rig.aggregate
        .take(&arrival, &mut rig.scope, &mut |_| {
            count += 1;
            ControlFlow::Break(())
        })
        .unwrap();
    assert_eq!(count, 1);
    // It is undone as a whole, and comes out one by one.
    rig.scope.keep(0);
    let fired = rig.fire(Ask::Closed(Timestamp(50)));
    assert_eq!(fired.len(), 3, "{fired:?}");
}

#[test]
fn changes_come_out_once_a_commit() {
    let mut rig = Rig::new(spec(tumbling(), Emit::Changes { every_update: false }));
    assert_eq!(rig.drive(&["b=1@3", "a=5@4", "b=2@9", "b=2@11"]), [""; 0]);
    assert_eq!(
        rig.fire(Ask::Changed),
        [
            r#"0,10: b [0,10) {"n":2,"s":3}@9"#,
            r#"0,10: a [0,10) {"n":1,"s":5}@4"#,
            r#"10,20: b [10,20) {"n":1,"s":2}@11"#,
        ]
    );
    assert_eq!(rig.fire(Ask::Changed), [""; 0]);
}

#[test]
fn a_session_that_grows_is_taken_back() {
    let session = Some(Windows::Session { gap: Duration::from_millis(5) });
    let mut rig = Rig::new(spec(session, EACH));
    let out = rig.drive(&["a=1@10", "a=2@14", "a=4@30", "a=8@22"]);
    assert_eq!(
        out,
        [
            r#"a [10,10) {"n":1,"s":1}@10"#,
            "a [10,10) -@10",
            r#"a [10,14) {"n":2,"s":3}@14"#,
            r#"a [30,30) {"n":1,"s":4}@30"#,
            "late a@22",
        ]
    );
}

#[test]
fn keys_and_values_as_kafka_streams_writes_them() {
    let count = [("n", "count()".parse().unwrap())];
    let compute = Arc::new(tidemill_aggregates::Compute::new(count).unwrap());
    let of = |windows| Spec {
        compute: compute.clone(),
        key_format: KeyFormat::KafkaStreams,
        ..spec(windows, EACH)
    };
    let mut rig = Rig::written(of(tumbling()), Format::Long);
    let mut out = Vec::new();
    let record = Record {
        offset: Offset(0),
        timestamp: Timestamp(12),
        key: Some(b"a"),
        value: Some(b"{}"),
        headers: Headers::default(),
    };
    let arrival = Arrival { row: 0, source: 0, record };
    let mut keep = |sent: Sent<'_>| {
        let (Part::Bytes(key), Part::Bytes(value)) = (sent.key, sent.value) else { panic!() };
        assert_eq!(sent.headers, HeaderPart::Replace(Headers::default()));
        out.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    rig.aggregate.take(&arrival, &mut rig.scope, &mut keep).unwrap();
    let session = Some(Windows::Session { gap: Duration::from_millis(5) });
    let mut rig = Rig::written(of(session), Format::Long);
    rig.aggregate.take(&arrival, &mut rig.scope, &mut keep).unwrap();
    let time = |millis: i64| millis.to_be_bytes().to_vec();
    let window = [&b"a"[..], &time(10)].concat();
    let session = [&b"a"[..], &time(12), &time(12)].concat();
    assert_eq!(out, [(window, time(1)), (session, time(1))]);
}

#[test]
fn what_functions_fed_comes_out_row_by_row() {
    for (emit, expected) in [
        (
            EACH,
            vec![
                (0, r#"a [0,10) {"n":1,"s":1}@3"#.to_owned()),
                (1, r#"a [10,20) {"n":1,"s":2}@12"#.to_owned()),
                (2, "late @4".to_owned()),
                (3, r#"a [30,40) {"n":1,"s":8}@31"#.to_owned()),
            ],
        ),
        (
            Emit::Final,
            vec![
                (1, r#"closing a [0,10) {"n":1,"s":1}@3"#.to_owned()),
                (2, "late @4".to_owned()),
                (3, r#"closing a [10,20) {"n":1,"s":2}@12"#.to_owned()),
            ],
        ),
    ] {
        let mut rig = Rig::new(spec(tumbling(), emit));
        rig.aggregate.feed = None;
        rig.begin(0);
        for (row, at, value) in [(0, 3, 1), (1, 12, 2), (2, 4, 4), (3, 31, 8)] {
            let (engine, state) = rig.scope.engine(0).unwrap();
            engine.add(state, row, b"a", Timestamp(at), &[Value::Int(value)]).unwrap();
        }
        let mut out = Vec::new();
        rig.aggregate
            .collect(&mut rig.scope, &mut |row, sent| {
                out.push((row, shown(None, &sent)));
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(out, expected);
    }
}

#[test]
fn what_nobody_wants_is_only_kept() {
    for emit in
        [EACH, Emit::Changes { every_update: false }, Emit::Final, Emit::Every(Duration::ZERO)]
    {
        let mut rig = Rig::new(spec(tumbling(), emit));
        rig.aggregate.is_mute = true;
        assert_eq!(rig.drive(&["a=1@3", "a=2@15", "a=4@2"]), ["late a@2"]);
        for ask in [Ask::Changed, Ask::Closed(Timestamp(99)), Ask::Paused(Timestamp(99))] {
            assert_eq!(rig.fire(ask), [""; 0]);
        }
        let (engine, state) = rig.scope.engine(0).unwrap();
        assert_eq!(engine.read(state, b"a", Timestamp(0), Timestamp(99)).unwrap().len(), 2);
    }
}
