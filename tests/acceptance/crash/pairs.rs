//! The left join: each question with each of its answers once, and alone, once, where it has none.

use std::collections::BTreeMap;

use rdkafka::Message;
use rdkafka::message::OwnedMessage;

use super::counts::{json, key};
use super::windowed::{AFTER_MS, BEFORE_MS, Windowed};
use crate::broker::Kafka;

/// A question and an answer, by their numbers.
type Pair = (u64, Option<u64>);
/// A number and a time.
type Event = (u64, i64);

pub fn check(kafka: &Kafka, windowed: &Windowed) {
    let asked = by_key(&kafka.read(&windowed.asked()));
    let answered = by_key(&kafka.read(&windowed.answered()));
    let mut expected = BTreeMap::<Pair, Vec<i64>>::new();
    for (key, questions) in &asked {
        let answers = answered.get(key).map_or(&[][..], Vec::as_slice);
        for (question, asked) in questions {
            let window = asked - BEFORE_MS..=asked + AFTER_MS;
            let mut matched = answers.iter().filter(|(_, at)| window.contains(at)).peekable();
            if matched.peek().is_none() {
                expected.insert((*question, None), vec![*asked]);
            }
            for (answer, at) in matched {
                expected.insert((*question, Some(*answer)), vec![*asked.max(at)]);
            }
        }
    }
    // All times at which a pair came out: one, if all is well.
    let mut found = BTreeMap::<Pair, Vec<i64>>::new();
    for record in kafka.read(&windowed.pairs()).iter().flatten() {
        let value = json(record);
        let pair = (value["left"].as_u64().expect("a number"), value["right"].as_u64());
        found.entry(pair).or_default().push(record.timestamp().to_millis().expect("a time"));
    }
    let topic = windowed.pairs();
    let not_in = |one: &BTreeMap<Pair, Vec<i64>>, other: &BTreeMap<Pair, Vec<i64>>| {
        let differs = one.iter().filter(|(pair, times)| other.get(pair) != Some(times));
        differs.map(|(pair, times)| (*pair, times.clone())).take(10).collect::<Vec<_>>()
    };
    let (lost, strange) = (not_in(&expected, &found), not_in(&found, &expected));
    assert!(
        lost.is_empty() && strange.is_empty(),
        "{topic}: not found of {} pairs, with their times: {lost:?}\nnot expected: {strange:?}",
        expected.len()
    );
    let alone = expected.keys().filter(|(_, answer)| answer.is_none()).count();
    println!("{topic}: {} pairs, {alone} questions without an answer", expected.len() - alone);
    assert!(alone > 0 && alone < expected.len(), "some questions have answers and some have none");
}

fn by_key(records: &[Vec<OwnedMessage>]) -> BTreeMap<String, Vec<Event>> {
    let mut events = BTreeMap::<String, Vec<Event>>::new();
    for record in records.iter().flatten() {
        let number = json(record)["number"].as_u64().expect("a number");
        let at = record.timestamp().to_millis().expect("a time");
        events.entry(key(record)).or_default().push((number, at));
    }
    events
}
