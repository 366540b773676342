//! Graphs that were built step by step at work: without a manifest, a function, or JSON on any topic.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::{sync::Arc, time::Duration};

use tidemill::{
    aggregate::{Emit, KeyFormat, Spec, Windows},
    record::Timestamp,
    testing::{DriverSettings, Effect, Stimulus, TaskDriver},
    topology::{
        Aggregate, Builder, Comparison, Expr, Format, Join, JoinKind, KeyFrom, Projection, Rekey,
        Source, Table, VALUE,
    },
};
use tidemill_aggregates::{Aggregate as Computed, Compute};

const START: i64 = 1_767_225_600_000;
const SECOND: Duration = Duration::from_secs(1);

fn spec(windows: Option<Windows>, name: &str, computed: &str) -> Spec {
    let column = (name, Computed::parse(computed).unwrap());
    Spec {
        compute: Arc::new(Compute::new([column]).unwrap()),
        windows,
        grace: Duration::ZERO,
        retention: 3600 * SECOND,
        emit: Emit::Changes { every_update: true },
        idle: None,
        key_format: KeyFormat::Plain,
    }
}

fn driver(app: Builder) -> TaskDriver {
    let settings = DriverSettings { partitions: 3, now: Timestamp(START) };
    TaskDriver::of(app.build().unwrap(), settings).unwrap()
}

/// Sends a record so many milliseconds after the begin, and shows what comes of it: topic, time, key and value.
fn sent(
    driver: &mut TaskDriver,
    topic: &str,
    after: i64,
    key: Option<&str>,
    value: Option<&[u8]>,
) -> Vec<String> {
    let record = Stimulus {
        partition: None,
        timestamp: Timestamp(START + after),
        key: key.map(|key| key.as_bytes().to_vec()),
        value: value.map(<[u8]>::to_vec),
        headers: Vec::new(),
    };
    let shown = |bytes: &Option<Vec<u8>>| match bytes {
        None => "null".to_owned(),
        Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    };
    let effects = driver.send(topic, &record).unwrap();
    let shown = effects.iter().map(|effect| match effect {
        Effect::Out { topic, timestamp, key, value, .. } => {
            let value = match value.as_deref().map(<[u8; 8]>::try_from) {
                Some(Ok(long)) if topic.ends_with("-long") => i64::from_be_bytes(long).to_string(),
                _ => shown(value),
            };
            format!("{topic} {} {} {value}", timestamp.0 - START, shown(key))
        }
        other => format!("{other:?}"),
    });
    shown.collect()
}

fn long(number: i64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

#[test]
fn longs_are_filtered_summed_by_window_and_written_as_longs() {
    let mut app = Builder::new("trial");
    let numbers = app.source(Source::new("numbers").key(Format::String).value(Format::Long));
    let large = Expr::column(VALUE).compare(Comparison::Greater, Expr::literal(5));
    let large = app.filter("large", numbers, large);
    let windows = Some(Windows::Tumbling { size: 10 * SECOND });
    let sums = Aggregate::new("sums", spec(windows, "sum", "sum(value)"));
    let sums = app.aggregate(sums.from(large).value(Format::Long));
    app.sink(sums, "sums-long");
    let mut driver = driver(app);
    let mut send =
        |after, key, number| sent(&mut driver, "numbers", after, Some(key), Some(&long(number)));
    assert_eq!(send(0, "a", 7), ["sums-long 0 a 7"]);
    assert_eq!(send(1_000, "a", 5), [""; 0]);
    assert_eq!(send(9_999, "a", 8), ["sums-long 9999 a 15"]);
    assert_eq!(send(10_000, "a", 6), ["sums-long 10000 a 6"]);
    assert_eq!(send(10_001, "b", 9), ["sums-long 10001 b 9"]);
    let broken = sent(&mut driver, "numbers", 10_002, Some("a"), Some(b"abc"));
    assert_eq!(broken.len(), 1);
    assert!(broken[0].contains("value is no long: it has 3 bytes, not 8"), "{broken:?}");
}

#[test]
fn texts_are_sent_on_under_a_new_key_joined_and_counted() {
    let mut app = Builder::new("trial");
    let orders = app.source(Source::new("orders").value(Format::String));
    let by = KeyFrom::Column { format: Format::String, name: VALUE.to_owned() };
    let by_user = app.rekey(Rekey::new("by-user", orders, by));
    let users = app.table(Table::new("users", "users").value(Format::String));
    let rows = app.join(Join::table("named", by_user, users, JoinKind::Left));
    let names = [("name", Expr::column("right"))];
    let names = app.project(Projection::new("names", rows, names).value(Format::Json));
    app.sink(names, "names");
    let known = Expr::Not(Box::new(Expr::IsNull(Box::new(Expr::column("name")))));
    let counts = Aggregate::new("counts", spec(None, "count", "count()"));
    let counts = app.aggregate(counts.from(names).filter(known).value(Format::Long));
    app.sink(counts, "counts-long");
    let mut driver = driver(app);
    assert_eq!(sent(&mut driver, "users", 0, Some("u1"), Some(b"Ann")), [""; 0]);
    let mut send =
        |after, user: &str| sent(&mut driver, "orders", after, None, Some(user.as_bytes()));
    assert_eq!(send(1, "u1"), ["names 1 u1 {\"name\":\"Ann\"}", "counts-long 1 u1 1"]);
    assert_eq!(send(2, "u2"), ["names 2 u2 {\"name\":null}"]);
    assert_eq!(send(3, "u1"), ["names 3 u1 {\"name\":\"Ann\"}", "counts-long 3 u1 2"]);
    driver.restart().unwrap();
    let mut send =
        |after, user: &str| sent(&mut driver, "orders", after, None, Some(user.as_bytes()));
    assert_eq!(send(4, "u1"), ["names 4 u1 {\"name\":\"Ann\"}", "counts-long 4 u1 3"]);
}

#[test]
fn two_tables_are_joined_and_what_is_gone_is_null() {
    let mut app = Builder::new("trial");
    let [left, right] = ["left", "right"]
        .map(|name| app.table(Table::new(name, name).key(Format::String).value(Format::String)));
    let rows = app.join(Join::tables("both", left, right, JoinKind::Inner));
    let both = [("l", Expr::column("left")), ("r", Expr::column("right"))];
    let both = app.project(Projection::new("texts", rows, both));
    app.sink(both, "out");
    let mut driver = driver(app);
    assert_eq!(sent(&mut driver, "left", 0, Some("k"), Some(b"a")), [""; 0]);
    assert_eq!(
        sent(&mut driver, "right", 1, Some("k"), Some(b"b")),
        ["out 1 k {\"l\":\"a\",\"r\":\"b\"}"]
    );
    assert_eq!(sent(&mut driver, "left", 2, Some("k"), None), ["out 2 k null"]);
}
