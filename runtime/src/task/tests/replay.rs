//! Whole batches come to what record-at-a-time processing comes to: outputs, dead letters, state, timers, stream time.
//!
//! Records are programs over a few keys; they fail in every way, set timers that are programs too, and feed a second
//! function that keeps state of its own; a third one hears both. However long the batches are, and whether a guest ends them where a timer
//! cuts them or goes on, the result is that of batches of one.

use proptest::{collection::vec, prelude::*};
use serde::{Deserialize, Serialize};
use tidemill_layout::Entry;

use super::harness::{
    Bench, COUNTER, Call, Ended, MAP, OTHER_TIMER, Settings, TIMER, VALUE, is_timer, program, text,
};
use crate::{
    guest::{Fault, MapRange},
    record::Timestamp,
};

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Step {
    Get,
    Put(u8),
    Delete,
    Add(i8),
    MapPut(u8, u8),
    MapDelete(u8),
    Scan { from: u8, reverse: bool, limit: u8 },
    Set { other: bool, after: i16, then: Vec<Step> },
    Cancel { other: bool },
    Due { other: bool },
    Send(u8),
    Reject,
    Error,
    Trap,
    Misuse,
}

fn step(depth: u32) -> BoxedStrategy<Step> {
    let any_key = 0..4_u8;
    let plain = prop_oneof![
        3 => Just(Step::Get),
        3 => any::<u8>().prop_map(Step::Put),
        1 => Just(Step::Delete),
        4 => any::<i8>().prop_map(Step::Add),
        3 => (any_key.clone(), any::<u8>()).prop_map(|(key, value)| Step::MapPut(key, value)),
        1 => any_key.clone().prop_map(Step::MapDelete),
        2 => (any_key, any::<bool>(), 0..4_u8)
            .prop_map(|(from, reverse, limit)| Step::Scan { from, reverse, limit }),
        1 => any::<bool>().prop_map(|other| Step::Cancel { other }),
        2 => any::<bool>().prop_map(|other| Step::Due { other }),
        5 => any::<u8>().prop_map(Step::Send),
    ];
    let bad =
        prop_oneof![Just(Step::Reject), Just(Step::Error), Just(Step::Trap), Just(Step::Misuse),];
    if depth == 0 {
        return prop_oneof![30 => plain, 1 => bad].boxed();
    }
    let set = (any::<bool>(), -5..40_i16, vec(step(depth - 1), 0..4))
        .prop_map(|(other, after, then)| Step::Set { other, after, then });
    prop_oneof![30 => plain, 8 => set, 2 => bad].boxed()
}

#[derive(Debug, Clone)]
struct Input {
    key: Option<u8>,
    time: i64,
    steps: Vec<Step>,
}

fn input() -> impl Strategy<Value = Input> {
    let key = prop_oneof![20 => (0..3_u8).prop_map(Some), 1 => Just(None)];
    // Out of order, and a few without an event time.
    let time = prop_oneof![20 => 0..100_i64, 1 => Just(-1)];
    (key, time, vec(step(2), 0..5)).prop_map(|(key, time, steps)| Input { key, time, steps })
}

fn first(call: &mut Call<'_>, entry: &Entry<'_>) -> Result<(), Ended> {
    let at = call.entry;
    let steps: Vec<Step> = serde_json::from_str(text(entry)).unwrap();
    let timer = |other: bool| if other { OTHER_TIMER } else { TIMER };
    if is_timer(entry) {
        call.send("fired");
    }
    for step in steps {
        match step {
            Step::Get => {
                let value = call.scope.get(VALUE, at)?;
                call.send(&format!("value {value:?}"));
            }
            Step::Put(value) => call.scope.put(VALUE, at, Some(&[value]))?,
            Step::Delete => call.scope.put(VALUE, at, None)?,
            Step::Add(delta) => {
                let count = call.scope.add(COUNTER, at, delta.into())?;
                call.send(&format!("count {count}"));
            }
            Step::MapPut(key, value) => call.scope.map_put(MAP, at, &[key], Some(&[value]))?,
            Step::MapDelete(key) => call.scope.map_put(MAP, at, &[key], None)?,
            Step::Scan { from, reverse, limit } => {
                let (from, to) =
                    if reverse { (None, Some(vec![from])) } else { (Some(vec![from]), None) };
                let range = MapRange { from, to, reverse, limit: limit.into() };
                let page = call.scope.map_scan(MAP, at, &range)?;
                call.send(&format!("page {page:?}"));
            }
            Step::Set { other, after, then } => {
                let due = (entry.timestamp + i64::from(after)).max(0);
                call.set(timer(other), due, &serde_json::to_vec(&then).unwrap())?;
            }
            Step::Cancel { other } => call.scope.cancel_timer(timer(other), at)?,
            Step::Due { other } => {
                let due = call.scope.timer(timer(other), at)?;
                call.send(&format!("due {due:?}"));
            }
            Step::Send(value) => call.send(&format!("sent {value}")),
            Step::Reject => return Err(Ended::Reject("no good")),
            Step::Error => return Err(Ended::Error("it broke")),
            Step::Trap => return Err(Ended::Fault(Fault::Trap { message: "boom".to_owned() })),
            Step::Misuse => call.scope.put(COUNTER, at, None)?,
        }
    }
    Ok(())
}

/// Counts what the first one sends, by key, and fails on some of it.
fn second(call: &mut Call<'_>, entry: &Entry<'_>) -> Result<(), Ended> {
    let at = call.entry;
    if is_timer(entry) {
        let count = call.scope.count(COUNTER, at)?;
        call.send(&format!("after {} there are {count}", text(entry)));
        return Ok(());
    }
    let count = call.scope.add(COUNTER, at, 1)?;
    call.scope.map_put(MAP, at, text(entry).as_bytes(), Some(b"."))?;
    if count % 3 == 0 {
        call.set(TIMER, entry.timestamp + count, text(entry).as_bytes())?;
    }
    call.send(&format!("{count} {}", text(entry)));
    match text(entry) {
        "sent 7" | "sent 70" => Err(Ended::Reject("seven")),
        "sent 8" | "sent 80" => Err(Ended::Fault(Fault::Trap { message: "eight".to_owned() })),
        _ => Ok(()),
    }
}

/// Counts what both send, in the order it comes.
fn third(call: &mut Call<'_>, entry: &Entry<'_>) -> Result<(), Ended> {
    let count = call.scope.add(COUNTER, call.entry, 1)?;
    call.send(&format!("{count}: {}", text(entry)));
    Ok(())
}

#[derive(Debug, PartialEq)]
struct Came {
    lines: Vec<String>,
    changed: Vec<(usize, Vec<u8>, Vec<u8>)>,
    stream_time: Option<Timestamp>,
}

fn run(inputs: &[Input], records: usize, obeys: bool, pieces: usize) -> Came {
    let programs = vec![program(first), program(second), program(third)];
    let mut bench = Bench::new(Settings { programs, obeys, records, partitions: 1 });
    bench.now = Timestamp(60);
    let rows: Vec<(Option<String>, i64, String)> = inputs
        .iter()
        .map(|input| {
            let key = input.key.map(|key| format!("k{key}"));
            (key, input.time, serde_json::to_string(&input.steps).unwrap())
        })
        .collect();
    let mut lines = Vec::new();
    for piece in rows.chunks(pieces) {
        let piece: Vec<_> =
            piece.iter().map(|(key, time, value)| (key.as_deref(), *time, &**value)).collect();
        bench.push(&piece);
        lines.extend(bench.lines());
    }
    bench.end();
    lines.extend(bench.lines());
    bench.now = Timestamp(10_000);
    lines.extend(bench.lines());
    let stream_time = bench.task.progress().stream_time;
    Came { lines, changed: bench.changed(), stream_time }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn batches_come_to_what_single_records_come_to(
        inputs in vec(input(), 1..25),
        records in 2..12_usize,
        obeys in any::<bool>(),
        pieces in 1..25_usize,
    ) {
        let alone = run(&inputs, 1, true, 25);
        let together = run(&inputs, records, obeys, pieces);
        prop_assert_eq!(alone, together);
    }
}
