//! What must be true once all is quiet: the inputs alone say what outputs, changelog and answers must be.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::message::{Headers, OwnedMessage};

use super::amounts::PARTITIONS;
use super::fleet::Member;
use super::totals::Totals;
use crate::broker::Kafka;
use crate::http;

const SETTLE_LIMIT: Duration = Duration::from_secs(120);
/// How often positions are asked for while they settle.
const LOOK: Duration = Duration::from_millis(200);

/// A line of a key: the number of the input, and an amount or a total.
type Line = (u64, i64);
type Lines = BTreeMap<String, Vec<Line>>;

/// Waits until the group has committed the end of the input, looking after the hosts meanwhile.
pub fn settle(kafka: &Kafka, totals: &Totals, fleet: &mut [Member]) {
    settle_input(kafka, totals, &totals.input(), fleet);
}

/// The same of one of its inputs.
pub fn settle_input(kafka: &Kafka, totals: &Totals, input: &str, fleet: &mut [Member]) {
    let ends = kafka.ends(input);
    let start = Instant::now();
    loop {
        let committed = kafka.committed(&totals.app, input, PARTITIONS);
        if committed == ends {
            return;
        }
        assert!(
            start.elapsed() < SETTLE_LIMIT,
            "{input}: {committed:?} are committed of {ends:?}, not within {SETTLE_LIMIT:?}"
        );
        fleet.iter_mut().for_each(Member::look);
        std::thread::sleep(LOOK);
    }
}

/// The outputs are what the inputs say, each once and in order. Answers the totals.
pub fn exactly_once(kafka: &Kafka, totals: &Totals) -> BTreeMap<String, i64> {
    let inputs = kafka.read(&totals.input());
    let outputs = kafka.read(&totals.output());
    let (expected, found) = (sums(&lines(&inputs)), lines(&outputs));
    for (key, expected) in &expected {
        let found = found.get(key).map_or(&[][..], Vec::as_slice);
        if let Some(index) =
            (0..expected.len().max(found.len())).find(|at| expected.get(*at) != found.get(*at))
        {
            let around = |lines: &[Line]| {
                let from = index.saturating_sub(3).min(lines.len());
                format!("{:?}", &lines[from..lines.len().min(index + 4)])
            };
            panic!(
                "{}: {key}: line {index} of {} (number of the input, total) differs\nexpected {}\nfound    {}",
                totals.app,
                expected.len(),
                around(expected),
                around(found)
            );
        }
    }
    let strange: Vec<&String> = found.keys().filter(|key| !expected.contains_key(*key)).collect();
    assert!(strange.is_empty(), "totals of keys without amounts: {strange:?}");
    places(&inputs, &outputs);
    last(&expected)
}

/// Nothing is lost: each input has an output, and no total is smaller than it should be. Answers the totals.
pub fn at_least_once(kafka: &Kafka, totals: &Totals) -> BTreeMap<String, i64> {
    let inputs = lines(&kafka.read(&totals.input()));
    let found = lines(&kafka.read(&totals.output()));
    for (key, lines) in &inputs {
        let found: BTreeSet<u64> =
            found.get(key).into_iter().flatten().map(|(number, _)| *number).collect();
        let lost: Vec<u64> =
            lines.iter().map(|(number, _)| *number).filter(|one| !found.contains(one)).collect();
        assert!(lost.is_empty(), "{}: {key}: no output of {lost:?}", totals.app);
    }
    for (key, expected) in &last(&sums(&inputs)) {
        let lines = &found[key];
        let (_, total) = lines.last().expect("a key has lines");
        let less = lines.windows(2).filter(|pair| pair[0].1 >= pair[1].1);
        assert!(
            total >= expected,
            "{}: {key}: {total} < {expected}; (number of the input, total) went back at {:?}",
            totals.app,
            less.collect::<Vec<_>>()
        );
    }
    last(&found)
}

/// The last record of each key in the changelog is its total.
pub fn changelog(kafka: &Kafka, totals: &Totals, expected: &BTreeMap<String, i64>) {
    let mut found = BTreeMap::new();
    for record in kafka.read(&totals.changelog()).iter().flatten() {
        match record.payload() {
            Some(value) => found.insert(key(record), count(value)),
            None => found.remove(&key(record)),
        };
    }
    assert_eq!(found, *expected, "{}: the changelog is not the state", totals.app);
}

/// Each key is answered by exactly one host, with its total.
pub fn answers(fleet: &[Member], totals: &Totals, expected: &BTreeMap<String, i64>) {
    for (key, total) in expected.iter().step_by(7) {
        let path = format!("/apps/{}/stores/total/keys/{key}", totals.app);
        let answers: Vec<http::Answer> = fleet
            .iter()
            .map(|member| http::get(&member.url(&path)).expect("a host answers"))
            .collect();
        let found: Vec<i64> = answers
            .iter()
            .filter(|answer| answer.status == 200)
            .map(|answer| answer.json()["value"].as_i64().expect("a count is a number"))
            .collect();
        assert_eq!(found, [*total], "{path}: {answers:?}");
    }
}

/// In the format of a counter: version, event time, count.
fn count(value: &[u8]) -> i64 {
    let (1, [time, count]) = (value[0], [&value[1..9], &value[9..]]) else {
        panic!("{value:?} is no counter of version 1")
    };
    assert!(i64::from_be_bytes(time.try_into().expect("8 bytes")) > 0, "an event time");
    i64::from_be_bytes(count.try_into().expect("a count has 8 bytes"))
}

fn key(record: &OwnedMessage) -> String {
    String::from_utf8(record.key().expect("a key").to_vec()).expect("keys are text")
}

fn number(record: &OwnedMessage) -> u64 {
    let headers = record.headers().expect("headers are inherited");
    let mut numbers = headers.iter().filter(|header| header.key == "number");
    let number = numbers.next().expect("the input's number").value.expect("a number");
    std::str::from_utf8(number).expect("text").parse().expect("decimal")
}

/// By key, in the order of its partition.
fn lines(records: &[Vec<OwnedMessage>]) -> Lines {
    let mut lines = Lines::new();
    for record in records.iter().flatten() {
        let value = std::str::from_utf8(record.payload().expect("a value")).expect("text");
        let line = (number(record), value.parse().expect("decimal"));
        lines.entry(key(record)).or_default().push(line);
    }
    lines
}

/// What the totals must be.
fn sums(amounts: &Lines) -> Lines {
    let of_key = |lines: &Vec<Line>| {
        let mut total = 0;
        let sum = |(number, amount): &Line| {
            total += amount;
            (*number, total)
        };
        lines.iter().map(sum).collect()
    };
    amounts.iter().map(|(key, lines)| (key.clone(), of_key(lines))).collect()
}

fn last(lines: &Lines) -> BTreeMap<String, i64> {
    let last = |lines: &Vec<Line>| lines.last().expect("a key has lines").1;
    lines.iter().map(|(key, lines)| (key.clone(), last(lines))).collect()
}

/// A key's totals are in the partition of its amounts, with their timestamps.
fn places(inputs: &[Vec<OwnedMessage>], outputs: &[Vec<OwnedMessage>]) {
    let place = |record: &OwnedMessage| {
        (number(record), (record.partition(), record.timestamp().to_millis()))
    };
    let inputs: BTreeMap<u64, _> = inputs.iter().flatten().map(place).collect();
    for (number, place) in outputs.iter().flatten().map(place) {
        assert_eq!(inputs[&number], place, "partition and timestamp of output {number}");
    }
}
