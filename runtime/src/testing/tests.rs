//! Apps of the host's own operators, from topic to topic on the embedded log.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use tidemill_aggregates::Compute;

use super::{DriverSettings, Effect, Stimulus, TaskDriver};
use crate::{
    aggregate::{Emit, KeyFormat, Spec, Windows},
    broker::memory::Append,
    record::{Headers, Timestamp},
    topology::{
        Aggregate, Builder, Expr, Format, Join, JoinKind, KeyFrom, Projection, Rekey, Source,
        Stream, Topology,
    },
};

/// 2026-01-01 in UTC.
const START: i64 = 1_767_225_600_000;
const THINNED: Emit = Emit::Changes { every_update: false };

fn spec(emit: Emit) -> Spec {
    let count = "count()".parse().unwrap();
    Spec {
        compute: Arc::new(Compute::new([("n", count)]).unwrap()),
        windows: Some(Windows::Tumbling { size: Duration::from_secs(10) }),
        grace: Duration::ZERO,
        retention: Duration::from_secs(3600),
        emit,
        idle: Some(Duration::from_secs(30)),
        key_format: KeyFormat::Plain,
    }
}

fn json(app: &mut Builder, topic: &str) -> Stream {
    app.source(Source::new(topic).key(Format::String).value(Format::Json))
}

/// Counts of what comes to `clicks`, to `counts`.
fn counts(emit: Emit) -> Topology {
    let mut app = Builder::new("trial");
    let clicks = json(&mut app, "clicks");
    let counts = app.aggregate(Aggregate::new("counts", spec(emit)).from(clicks));
    app.sink(counts, "counts");
    app.build().unwrap()
}

fn driver(topology: Topology) -> TaskDriver {
    let settings = DriverSettings { partitions: 1, now: Timestamp(START) };
    TaskDriver::of(topology, settings).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp(START + seconds * 1000)
}

/// `out TOPIC KEY VALUE @SECONDS`, and the same of what is late or dead.
fn show(effects: Vec<Effect>) -> String {
    let text = |bytes: &Option<Vec<u8>>| {
        let bytes = bytes.as_ref();
        bytes.map_or("null".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    let mut shown = String::new();
    for effect in effects {
        match effect {
            Effect::Out { topic, key, value, timestamp, .. } => {
                let at = (timestamp.millis() - START) / 1000;
                writeln!(shown, "out {topic} {} {} @{at}", text(&key), text(&value))
            }
            Effect::Late { store, key, value } => {
                writeln!(shown, "late {store} {} {}", text(&key), text(&value))
            }
            Effect::Dead { function, key, value, reason } => {
                writeln!(shown, "dead {function} {} {} ! {reason}", text(&key), text(&value))
            }
            other => writeln!(shown, "{other:?}"),
        }
        .unwrap();
    }
    shown
}

fn send(driver: &mut TaskDriver, topic: &str, seconds: i64, key: &str, value: &str) -> String {
    let stimulus = Stimulus {
        timestamp: at(seconds),
        key: Some(key.into()),
        value: Some(value.into()),
        ..Stimulus::default()
    };
    show(driver.send(topic, &stimulus).unwrap())
}

/// Records that are all there before any is handled.
fn append(driver: &TaskDriver, topic: &str, records: &[(&str, i64, &str)]) {
    for (key, seconds, value) in records {
        let record = Append {
            partition: None,
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
            headers: Headers::EMPTY,
            timestamp: Some(at(*seconds)),
        };
        driver.log().append(topic, &record).unwrap();
    }
}

#[test]
fn thinned_changes_come_out_once_a_commit() {
    let mut driver = driver(counts(THINNED));
    append(&driver, "clicks", &[("a", 1, "{}"), ("a", 2, "{}"), ("b", 3, "{}"), ("a", 4, "{}")]);
    insta::assert_snapshot!(show(driver.at(at(4)).unwrap()), @r#"
    out counts a {"n":3} @4
    out counts b {"n":1} @3
    "#);
    insta::assert_snapshot!(send(&mut driver, "clicks", 5, "a", "{}"), @r#"
    out counts a {"n":4} @5
    "#);
    assert_eq!(show(driver.restart().unwrap()), "", "nothing is sent again");
    insta::assert_snapshot!(send(&mut driver, "clicks", 6, "b", "{}"), @r#"
    out counts b {"n":2} @6
    "#);
}

#[test]
fn each_update_comes_out_and_what_is_late_is_told() {
    let mut driver = driver(counts(Emit::Changes { every_update: true }));
    append(&driver, "clicks", &[("a", 1, "{}"), ("a", 2, "{}"), ("b", 12, "{}"), ("a", 3, "{}")]);
    insta::assert_snapshot!(show(driver.at(at(12)).unwrap()), @r#"
    out counts a {"n":1} @1
    out counts a {"n":2} @2
    out counts b {"n":1} @12
    late counts a {}
    "#);
}

#[test]
fn final_results_come_when_a_record_or_the_clock_closes_their_window() {
    let mut driver = driver(counts(Emit::Final));
    append(&driver, "clicks", &[("a", 1, "{}"), ("b", 2, "{}"), ("a", 3, "{}")]);
    assert_eq!(show(driver.at(at(5)).unwrap()), "");
    insta::assert_snapshot!(send(&mut driver, "clicks", 11, "a", "{}"), @r#"
    out counts a {"n":2} @3
    out counts b {"n":1} @2
    "#);
    assert_eq!(show(driver.restart().unwrap()), "");
    assert_eq!(show(driver.at(at(19)).unwrap()), "");
    insta::assert_snapshot!(show(driver.at(at(20)).unwrap()), @r#"
    out counts a {"n":1} @11
    "#);
    insta::assert_snapshot!(send(&mut driver, "clicks", 19, "a", "{}"), @r#"
    late counts a {}
    "#);
}

#[test]
fn paced_results_come_by_the_clock() {
    let mut driver = driver(counts(Emit::Every(Duration::from_secs(60))));
    append(&driver, "clicks", &[("a", 1, "{}"), ("a", 2, "{}"), ("a", 12, "{}")]);
    assert_eq!(show(driver.at(at(12)).unwrap()), "");
    assert_eq!(show(driver.restart().unwrap()), "");
    insta::assert_snapshot!(show(driver.at(at(200)).unwrap()), @r#"
    out counts a {"n":2} @2
    out counts a {"n":1} @12
    "#);
    assert_eq!(show(driver.at(at(400)).unwrap()), "", "nothing changed");
}

#[test]
fn a_chain_over_a_repartition_topic_is_not_late_for_itself() {
    let mut app = Builder::new("trial");
    let clicks = json(&mut app, "clicks");
    let counts = app.aggregate(Aggregate::new("counts", spec(Emit::Final)).from(clicks));
    let column = KeyFrom::Column { format: Format::Json, name: "n".to_owned() };
    let by_count = app.rekey(Rekey::new("by_count", counts, column));
    let spread = app.aggregate(Aggregate::new("spread", spec(Emit::Final)).from(by_count));
    app.sink(spread, "spread");
    let mut driver = driver(app.build().unwrap());
    append(&driver, "clicks", &[("a", 1, "{}"), ("b", 2, "{}"), ("c", 3, "{}"), ("a", 4, "{}")]);
    assert_eq!(show(driver.at(at(5)).unwrap()), "");
    // Windows of both are closed by then, and results of the first belong into those of the second.
    insta::assert_snapshot!(show(driver.at(at(100)).unwrap()), @r#"
    out spread 1 {"n":2} @3
    out spread 2 {"n":1} @4
    "#);
}

#[test]
fn unmatched_rows_of_a_join_are_counted_in_memory() {
    let mut app = Builder::new("trial");
    let left = json(&mut app, "left");
    let right = json(&mut app, "right");
    let within = Duration::from_secs(5);
    let rows = app.join(
        Join::streams("rows", left, right, JoinKind::Left, within, within)
            .idle(Some(Duration::from_secs(30))),
    );
    let columns = [("missing", Expr::IsNull(Box::new(Expr::column("right"))))];
    let rows = app.project(Projection::new("flat", rows, columns).value(Format::Json));
    let missing = Aggregate::new("counts", spec(THINNED)).from(rows);
    let counts = app.aggregate(missing.filter(Expr::column("missing")));
    app.sink(counts, "counts");
    app.sink(rows, "rows");
    let mut driver = driver(app.build().unwrap());
    append(&driver, "left", &[("a", 1, "{}"), ("b", 2, "{}")]);
    append(&driver, "right", &[("a", 3, "{}")]);
    insta::assert_snapshot!(show(driver.at(at(4)).unwrap()), @r#"
    out rows a {"missing":false} @3
    "#);
    assert_eq!(show(driver.restart().unwrap()), "");
    insta::assert_snapshot!(show(driver.at(at(60)).unwrap()), @r#"
    out rows b {"missing":true} @2
    out counts b {"n":1} @2
    "#);
}

#[test]
fn a_record_that_cannot_be_aggregated_is_a_dead_letter_of_its_own() {
    let mut app = Builder::new("trial");
    let clicks = json(&mut app, "clicks");
    let mut sum = spec(THINNED);
    sum.compute = Arc::new(Compute::new([("cents", "sum(cents)".parse().unwrap())]).unwrap());
    let sums = app.aggregate(Aggregate::new("sums", sum).from(clicks));
    app.sink(sums, "sums");
    let mut driver = driver(app.build().unwrap());
    append(
        &driver,
        "clicks",
        &[
            ("a", 1, r#"{"cents":1}"#),
            ("a", 2, "nonsense"),
            ("a", 3, r#"{"cents":9223372036854775807}"#),
            ("a", 4, r#"{"cents":2}"#),
        ],
    );
    insta::assert_snapshot!(show(driver.at(at(4)).unwrap()), @r#"
    dead sums a nonsense ! reject: value is not JSON: expected ident at column 2
    out sums a {"cents":1} @1
    dead sums a {"cents":9223372036854775807} ! reject: sum(cents) leaves the range of 64-bit integers
    out sums a {"cents":3} @4
    "#);
}
