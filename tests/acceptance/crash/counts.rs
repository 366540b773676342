//! The count in windows: what each partition's results must be follows from its readings, in their order.

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::Message;
use rdkafka::message::{Headers, OwnedMessage};
use serde_json::Value;

use super::windowed::{GRACE_MS, SIZE_MS, Windowed};
use crate::broker::Kafka;

/// What comes out of a window.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Count {
    key: String,
    start: i64,
    end: i64,
    n: i64,
    sum: i64,
    /// The largest time of its readings.
    at: i64,
}

/// A reading: its number and its time.
type Reading = (u64, i64);

/// What must come of the readings of a partition.
#[derive(Debug, Default)]
struct Expected {
    /// In order.
    counts: Vec<Count>,
    late: BTreeSet<Reading>,
}

pub fn check(kafka: &Kafka, windowed: &Windowed) {
    let readings = kafka.read(&windowed.readings());
    let counts = kafka.read(&windowed.counts());
    let expected: Vec<Expected> = readings.iter().map(|of| expect(of)).collect();
    for (partition, (expected, found)) in expected.iter().zip(&counts).enumerate() {
        let found: Vec<Count> = found.iter().map(count).collect();
        let length = expected.counts.len().max(found.len());
        let differs = |at: &usize| expected.counts.get(*at) != found.get(*at);
        if let Some(at) = (0..length).find(differs) {
            let around = |counts: &[Count]| {
                let from = at.saturating_sub(2).min(counts.len());
                format!("{:#?}", &counts[from..counts.len().min(at + 3)])
            };
            panic!(
                "{}: partition {partition}: result {at} of {} differs\nexpected {}\nfound    {}",
                windowed.counts(),
                expected.counts.len(),
                around(&expected.counts),
                around(&found)
            );
        }
    }
    let (late, expected): (Vec<Reading>, Vec<Reading>) = (
        kafka.read(&windowed.late()).iter().flatten().map(reading).collect(),
        expected.into_iter().flat_map(|expected| expected.late).collect(),
    );
    let as_set: BTreeSet<Reading> = late.iter().copied().collect();
    assert_eq!(late.len(), as_set.len(), "{}: each late reading once", windowed.late());
    assert_eq!(as_set, expected.iter().copied().collect(), "{}", windowed.late());
    let results: usize = counts.iter().map(Vec::len).sum();
    println!("{}: {results} results, {} late readings", windowed.counts(), late.len());
    assert!(results > 0 && !expected.is_empty(), "windows closed, and some readings were late");
}

/// Time goes on with each reading, and it counts where its window is still open then; after it come the results of the
/// windows that are closed, by start and key.
fn expect(readings: &[OwnedMessage]) -> Expected {
    let mut expected = Expected::default();
    let (mut open, mut time) = (BTreeMap::<(i64, String), Count>::new(), i64::MIN);
    for record in readings {
        let (number, at) = reading(record);
        time = time.max(at);
        let start = at - at.rem_euclid(SIZE_MS);
        let end = start + SIZE_MS;
        if end > time - GRACE_MS {
            let key = key(record);
            let new = Count { key: key.clone(), start, end, n: 0, sum: 0, at };
            let count = open.entry((start, key)).or_insert(new);
            count.n += 1;
            count.sum += json(record)["v"].as_i64().expect("a number");
            count.at = count.at.max(at);
        } else {
            expected.late.insert((number, at));
        }
        while let Some(first) = open.first_entry().filter(|it| it.get().end <= time - GRACE_MS) {
            expected.counts.push(first.remove());
        }
    }
    expected
}

fn count(record: &OwnedMessage) -> Count {
    let value = json(record);
    let number = |name: &str| value[name].as_i64().expect("a number");
    Count {
        key: key(record),
        start: window(record, "tidemill.window.start"),
        end: window(record, "tidemill.window.end"),
        n: number("n"),
        sum: number("sum"),
        at: record.timestamp().to_millis().expect("a time"),
    }
}

/// A header of a result, in milliseconds.
pub fn window(record: &OwnedMessage, name: &str) -> i64 {
    let headers = record.headers().expect("a result has headers");
    let mut found = headers.iter().filter(|header| header.key == name);
    let value = found.next().expect("the window is in headers").value.expect("a value");
    std::str::from_utf8(value).expect("text").parse().expect("decimal")
}

fn reading(record: &OwnedMessage) -> Reading {
    let number = json(record)["number"].as_u64().expect("a number");
    (number, record.timestamp().to_millis().expect("a time"))
}

pub fn key(record: &OwnedMessage) -> String {
    String::from_utf8(record.key().expect("a key").to_vec()).expect("keys are text")
}

pub fn json(record: &OwnedMessage) -> Value {
    serde_json::from_slice(record.payload().expect("a value")).expect("JSON")
}
