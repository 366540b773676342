//! Operators of the host in a task: in the order of rows, undone with them, and their results as rows of their own.
//!
//! The operator here is a fake: it keeps, in windows of ten milliseconds, the values of each key one behind the other.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc, time::Duration};

use tidemill_layout::{Entry, HeaderPart, Headers, Part};

use super::harness::{Bench, Call, Ended, HostStep, Step, program, text};
use crate::{
    aggregate::Emit,
    guest::Scope,
    operator::{Arrival, Ask, Due, Host, Out, Reason, Sent},
    record::{HeadersWriter, Timestamp},
    store::{self, NodeProgress, Range},
    task::Verdict,
};

const SIZE: i64 = 10;
const THINNED: Emit = Emit::Changes { every_update: false };
const AT: Timestamp = Timestamp(0);
/// Under which keys of the map store windows and saved changes are.
const WINDOWS: &[u8] = b"w";
const SAVED: &[u8] = b"s";

/// What is changed and not sent, and when its pause is over.
type Dirty = BTreeMap<Vec<u8>, Timestamp>;

/// See the module's page. A window's name is its end, 8 bytes, and the key.
struct Windows {
    store: usize,
    /// What its results begin with.
    name: &'static str,
    emit: Emit,
    now: Timestamp,
    time: Option<Timestamp>,
    dirty: Dirty,
    /// By row: time and what was dirty before.
    before: Vec<(u32, Option<Timestamp>, Dirty)>,
}

fn windows(emit: Emit, idle: Option<Duration>) -> Step {
    named("", emit, idle)
}

fn named(name: &'static str, emit: Emit, idle: Option<Duration>) -> Step {
    let make = move |store| -> Box<dyn Host> {
        let (now, time, dirty, before) = (AT, None, Dirty::new(), Vec::new());
        Box::new(Windows { store, name, emit, now, time, dirty, before })
    };
    Step::Host(HostStep { make: Arc::new(make), emit, idle, is_fed: false })
}

fn end_of(window: &[u8]) -> Timestamp {
    Timestamp(i64::from_be_bytes(window[..8].try_into().unwrap()))
}

impl Windows {
    /// Remembers how it was before a row.
    fn remember(&mut self, row: u32) {
        if self.before.last().is_none_or(|(last, ..)| *last < row) {
            self.before.push((row, self.time, self.dirty.clone()));
        }
    }

    fn stored(&self, scope: &Scope, under: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let all = Range { limit: usize::MAX, bytes_max: usize::MAX, ..Range::default() };
        let state = scope.state().unwrap();
        let found = state.map_scan(self.store, under, &all, AT).unwrap();
        found.into_iter().map(|entry| (entry.key, entry.value)).collect()
    }

    fn put(&self, row: u32, scope: &mut Scope, under: &[u8], window: &[u8], value: Option<&[u8]>) {
        let state = scope.state_mut().unwrap();
        state.map_put(row, self.store, under, window, value, AT);
    }

    fn send(
        &self,
        window: &[u8],
        value: &[u8],
        closing: bool,
        out: &mut Out<'_>,
    ) -> ControlFlow<()> {
        let end = end_of(window);
        let mut headers = HeadersWriter::new();
        headers.push("end", Some(end.to_string().as_bytes()));
        out(Sent {
            output: 0,
            timestamp: Timestamp(end.millis() - 1),
            key: Part::Bytes(&window[8..]),
            value: Part::Bytes(&[self.name.as_bytes(), value].concat()),
            headers: HeaderPart::Replace(headers.headers()),
            closing,
        })
    }
}

impl Host for Windows {
    fn begin(&mut self, now: Timestamp, _scope: &mut Scope) {
        self.now = now;
        self.before.clear();
    }

    fn keep(&mut self, rows: u32) {
        while let Some((row, ..)) = self.before.last()
            && *row >= rows
        {
            (_, self.time, self.dirty) = self.before.pop().unwrap();
        }
    }

    fn take(
        &mut self,
        arrival: &Arrival<'_>,
        scope: &mut Scope,
        out: &mut Out<'_>,
    ) -> Result<(), Reason> {
        let (row, record) = (arrival.row, &arrival.record);
        let value = record.value.unwrap_or_default();
        if value == b"wrong" {
            return Err(Reason::Reject("it is wrong".to_owned()));
        }
        self.remember(row);
        let end = Timestamp((record.timestamp.millis() / SIZE + 1) * SIZE);
        if Some(end) <= self.time {
            let _ = out(Sent {
                output: 1,
                timestamp: record.timestamp,
                key: Part::Inherit,
                value: Part::Inherit,
                headers: HeaderPart::Inherit,
                closing: false,
            });
            return Ok(());
        }
        let mut window = end.millis().to_be_bytes().to_vec();
        window.extend_from_slice(record.key.unwrap_or_default());
        let state = scope.state().unwrap();
        let mut values =
            state.map_get(self.store, WINDOWS, &window, AT).unwrap().unwrap_or_default();
        values.extend_from_slice(value);
        self.put(row, scope, WINDOWS, &window, Some(&values));
        self.time = self.time.max(Some(record.timestamp));
        match self.emit {
            Emit::Changes { every_update: true } => {
                let _ = self.send(&window, &values, false, out);
            }
            Emit::Changes { every_update: false } => {
                self.dirty.insert(window, AT);
            }
            Emit::Every(pause) => {
                let until = self.now.millis() + i64::try_from(pause.as_millis()).unwrap();
                self.dirty.entry(window).or_insert(Timestamp(until));
            }
            Emit::Final => {
                for (window, values) in self.stored(scope, WINDOWS) {
                    if Some(end_of(&window)) > self.time {
                        break;
                    }
                    if self.send(&window, &values, true, out).is_break() {
                        break;
                    }
                    self.put(row, scope, WINDOWS, &window, None);
                }
            }
        }
        Ok(())
    }

    fn due(&mut self, ask: Ask, scope: &mut Scope, limit: usize) -> Result<Vec<Due>, store::Error> {
        let saved = self.stored(scope, SAVED).into_iter().map(|(window, _)| window);
        let marks: Vec<Vec<u8>> = match ask {
            Ask::Closed(time) => {
                let windows = self.stored(scope, WINDOWS).into_iter().map(|(window, _)| window);
                windows.filter(|window| end_of(window) <= time).collect()
            }
            Ask::Changed => self.dirty.keys().cloned().chain(saved).collect(),
            Ask::Paused(now) => {
                let over = self.dirty.iter().filter(|(_, until)| **until <= now);
                over.map(|(window, _)| window.clone()).collect()
            }
        };
        let due = |mark: Vec<u8>| {
            let end = end_of(&mark).millis();
            let name = format!("{},{end}", end - SIZE);
            Due { at: Timestamp(end - 1), key: mark[8..].to_vec(), mark, name }
        };
        Ok(marks.into_iter().take(limit).map(due).collect())
    }

    fn next_close(&mut self, scope: &mut Scope) -> Result<Option<Timestamp>, store::Error> {
        Ok(self.stored(scope, WINDOWS).first().map(|(window, _)| end_of(window)))
    }

    fn next_pause(&mut self, _scope: &mut Scope) -> Result<Option<Timestamp>, store::Error> {
        Ok(self.dirty.values().min().copied())
    }

    fn fire(
        &mut self,
        row: u32,
        due: &Due,
        scope: &mut Scope,
        out: &mut Out<'_>,
    ) -> Result<(), Reason> {
        self.remember(row);
        let state = scope.state().unwrap();
        let values = state.map_get(self.store, WINDOWS, &due.mark, AT).unwrap().unwrap();
        let _ = self.send(&due.mark, &values, false, out);
        if self.emit == Emit::Final {
            self.put(row, scope, WINDOWS, &due.mark, None);
            self.time = self.time.max(Some(end_of(&due.mark)));
        }
        self.dirty.remove(&due.mark);
        self.put(row, scope, SAVED, &due.mark, None);
        Ok(())
    }

    fn save_changes(&mut self, row: u32, scope: &mut Scope) -> Result<(), store::Error> {
        for window in std::mem::take(&mut self.dirty).into_keys() {
            self.put(row, scope, SAVED, &window, Some(b""));
        }
        Ok(())
    }

    fn progress(&self, _scope: &Scope) -> Option<NodeProgress> {
        Some(NodeProgress { node: "".into(), time: self.time, cursor: Vec::new() })
    }

    fn resume(&mut self, progress: &NodeProgress, _scope: &mut Scope) {
        self.time = progress.time;
    }
}

/// Sends on; `bad` in a value is rejected, `flaky` fails the first time, `later` asks to be run again.
fn echo(call: &mut Call<'_>, entry: &Entry<'_>) -> Result<(), Ended> {
    let value = text(entry);
    if value.contains("bad") {
        return Err(Ended::Reject("bad"));
    }
    if value.contains("flaky") && entry.attempt == 0 {
        return Err(Ended::Error("flaky"));
    }
    if value.contains("later") && entry.attempt < 2 {
        return Err(Ended::Later);
    }
    call.send(&value.to_uppercase());
    Ok(())
}

fn bench(steps: Vec<Step>) -> Bench {
    Bench::of(steps, true, 100, 1)
}

fn echoed(step: Step) -> Bench {
    bench(vec![step, Step::Function(program(echo))])
}

#[test]
fn rows_keep_their_order_through_nodes_of_both_kinds() {
    let mut bench = echoed(windows(Emit::Changes { every_update: true }, None));
    bench.push(&[(Some("a"), 1, "x"), (Some("b"), 2, "y"), (Some("a"), 3, "z")]);
    insta::assert_snapshot!(bench.lines().join("\n"), @r"
    out a x @9 end=10
    out1 a X @9 end=10
    out b y @9 end=10
    out1 b Y @9 end=10
    out a xz @9 end=10
    out1 a XZ @9 end=10
    ");
    assert_eq!(*bench.calls.lock().unwrap(), [3], "one call for the batch");
}

#[test]
fn what_rows_did_that_are_not_handled_is_undone() {
    let mut bench = echoed(windows(Emit::Changes { every_update: true }, None));
    bench.push(&[
        (Some("a"), 1, "x"),
        (Some("a"), 2, "bad"),
        (Some("a"), 25, "wrong"),
        (Some("a"), 3, "z"),
        (Some("a"), 31, "flaky"),
        (Some("a"), 5, "late"),
    ]);
    let (lines, failures) = bench.settle();
    insta::assert_snapshot!(lines.join("\n"), @r"
    out a x @9 end=10
    out1 a X @9 end=10
    dlq a bad @2 exception=reject message=bad offset=1 function=f1 attempts=1 key=a value=xbad
    dlq a wrong @25 exception=reject message=it is wrong offset=2 function=f0 attempts=1
    out a xz @9 end=10
    out1 a XZ @9 end=10
    out a flaky @39 end=40
    out1 a FLAKY @39 end=40
    late a late @5
    ");
    let nodes: Vec<_> = failures.iter().map(|failed| (failed.node, failed.attempts)).collect();
    assert_eq!(nodes, [(1, 1), (0, 1), (1, 1)]);
    let work = bench.task.take_work(0);
    assert_eq!((work.late, work.taken.records), (1, 4));
}

#[test]
fn closings_come_out_in_the_row_that_brings_them_about() {
    let mut bench = echoed(windows(Emit::Final, None));
    bench.push(&[
        (Some("a"), 1, "x"),
        (Some("b"), 2, "y"),
        (Some("a"), 12, "z"),
        (Some("a"), 13, "w"),
        (Some("a"), 40, "v"),
    ]);
    insta::assert_snapshot!(bench.lines().join("\n"), @r"
    out a x @9 end=10
    out1 a X @9 end=10
    out b y @9 end=10
    out1 b Y @9 end=10
    out a zw @19 end=20
    out1 a ZW @19 end=20
    ");
    assert_eq!(*bench.calls.lock().unwrap(), [3]);
}

#[test]
fn a_failure_behind_a_closing_is_the_results_own() {
    let mut bench = echoed(windows(Emit::Final, None));
    bench.push(&[
        (Some("a"), 1, "x"),
        (Some("b"), 2, "bad"),
        (Some("c"), 3, "flaky"),
        (Some("a"), 12, "z"),
        (Some("a"), 40, "v"),
    ]);
    bench.end();
    let (lines, failures) = bench.settle();
    insta::assert_snapshot!(lines.join("\n"), @r"
    out a x @9 end=10
    out1 a X @9 end=10
    dlq b bad @9 end=10 exception=reject message=bad window=0,10 function=f1 attempts=1 key=b value=bad
    out c flaky @9 end=10
    out1 c FLAKY @9 end=10
    out a z @19 end=20
    out1 a Z @19 end=20
    ");
    let verdicts: Vec<_> = failures.iter().map(|failed| failed.verdict).collect();
    assert_eq!(verdicts, [Verdict::DeadLetter, Verdict::Again]);
    assert_eq!(bench.task.take_work(0).taken.records, 5, "each record is handled once");
    assert_eq!(bench.task.progress().positions[0].1.0, 5);
}

#[test]
fn many_closings_at_once_come_out_some_at_a_time() {
    let mut bench = echoed(windows(Emit::Final, None));
    let keys: Vec<String> = (0..1001).map(|key| format!("k{key:04}")).collect();
    let mut records: Vec<_> = keys.iter().map(|key| (Some(key.as_str()), 1, "x")).collect();
    records.push((Some("k"), 12, "y"));
    bench.push(&records);
    let lines = bench.lines();
    let sent = keys
        .iter()
        .flat_map(|key| [format!("out {key} x @9 end=10"), format!("out1 {key} X @9 end=10")]);
    assert_eq!(lines, sent.collect::<Vec<_>>());
    let calls = bench.calls.lock().unwrap().clone();
    assert!(calls.iter().all(|entries| *entries <= 100), "{calls:?}");
}

#[test]
fn a_closing_behind_a_closing_fails_by_itself_too() {
    // The function hears both; only what the second one sends is bad.
    let picky =
        program(
            |call, entry| {
                if text(entry).starts_with("second:") { echo(call, entry) } else { Ok(()) }
            },
        );
    let steps = vec![
        windows(Emit::Final, None),
        named("second:", Emit::Final, None),
        Step::Function(picky),
    ];
    let mut bench = bench(steps);
    bench.push(&[
        (Some("a"), 1, "bad"),
        (Some("b"), 2, "x"),
        (Some("a"), 12, "y"),
        (Some("a"), 25, "z"),
    ]);
    let (lines, failures) = bench.settle();
    insta::assert_snapshot!(lines.join("\n"), @r"
    out a bad @9 end=10
    out b x @9 end=10
    dlq a second:bad @9 end=10 exception=reject message=bad window=0,10 function=f2 attempts=1 key=a value=second:bad
    out1 b second:x @9 end=10
    out2 b SECOND:X @9 end=10
    out a y @19 end=20
    ");
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(bench.task.take_work(1).taken.records, 3, "no result is taken twice");
}

#[test]
fn with_inputs_at_their_end_time_follows_the_clock() {
    let mut bench = echoed(windows(Emit::Final, Some(Duration::from_millis(500))));
    bench.push(&[(Some("a"), 9_998, "x"), (Some("b"), 9_999, "bad"), (Some("a"), 9_990, "y")]);
    assert!(bench.lines().is_empty());
    bench.end();
    assert!(bench.lines().is_empty());
    assert_eq!(bench.task.wakes_at(), Some(Timestamp(10_500)));
    bench.now = Timestamp(10_499);
    assert!(bench.lines().is_empty() && bench.task.is_settled(bench.now));
    bench.now = Timestamp(10_500);
    assert!(!bench.task.is_settled(bench.now));
    insta::assert_snapshot!(bench.lines().join("\n"), @r"
    out a xy @9999 end=10000
    out1 a XY @9999 end=10000
    dlq b bad @9999 end=10000 exception=reject message=bad window=9990,10000 function=f1 attempts=1 key=b value=bad
    ");
    assert!(bench.task.is_settled(bench.now) && bench.task.wakes_at().is_none());
    assert_eq!(bench.task.progress().nodes[0].time, Some(Timestamp(10_000)));
    assert_eq!(bench.task.progress().stream_time, Some(Timestamp(9_999)));
    bench.push(&[(Some("a"), 9_999, "too late")]);
    insta::assert_snapshot!(bench.lines().join("\n"), @r"
    late a too late @9999
    ");
}

#[test]
fn time_follows_the_clock_at_once_where_it_is_hurried() {
    let mut bench = echoed(windows(Emit::Final, Some(Duration::from_secs(5))));
    bench.push(&[(Some("a"), 9_990, "x"), (Some("a"), 10_000, "y")]);
    bench.end();
    bench.task.hurry(Timestamp(10_009));
    assert_eq!(bench.lines(), ["out a x @9999 end=10000", "out1 a X @9999 end=10000"]);
    bench.task.hurry(Timestamp(10_010));
    assert_eq!(bench.lines(), ["out a y @10009 end=10010", "out1 a Y @10009 end=10010"]);
}

#[test]
fn thinned_changes_come_out_before_an_epoch_is_sealed() {
    let mut bench = echoed(windows(THINNED, None));
    bench.push(&[
        (Some("a"), 1, "x"),
        (Some("a"), 2, "bad"),
        (Some("b"), 3, "y"),
        (Some("a"), 12, "z"),
    ]);
    assert!(bench.lines().is_empty());
    let (lines, waits) = bench.flush();
    insta::assert_snapshot!(lines.join("\n"), @r"
    dlq a xbad @9 end=10 exception=reject message=bad window=0,10 function=f1 attempts=1 key=a value=xbad
    out b y @9 end=10
    out1 b Y @9 end=10
    out a z @19 end=20
    out1 a Z @19 end=20
    ");
    assert!(!waits);
    assert!(bench.flush().0.is_empty(), "nothing is sent twice");
    bench.push(&[(Some("a"), 13, "more")]);
    bench.settle();
    assert_eq!(bench.flush().0, ["out a zmore @19 end=20", "out1 a ZMORE @19 end=20"]);
}

#[test]
fn a_record_that_is_waited_with_does_not_keep_changes_back() {
    let mut bench = echoed(windows(THINNED, None));
    let steps = vec![Step::Function(program(echo)), windows(THINNED, None)];
    let mut both = Bench::of(steps, true, 1, 1);
    both.push(&[(Some("a"), 1, "x"), (Some("a"), 2, "later")]);
    for _ in 0..2 {
        both.task.turn(both.now).unwrap();
    }
    assert_eq!(both.task.suspect().unwrap().1, 1);
    assert_eq!(both.flush(), (vec!["out1 a X @9 end=10".to_owned()], false));
    assert_eq!(both.task.suspect().unwrap().1, 1, "the record still waits");

    bench.push(&[(Some("a"), 1, "later"), (Some("b"), 2, "x")]);
    bench.settle();
    let (lines, waits) = bench.flush();
    assert!(waits && lines.is_empty(), "{lines:?}");
    bench.commit();
    bench.restart();
    let (lines, waits) = bench.flush();
    assert!(waits && lines.is_empty(), "what was not sent is still known: {lines:?}");
    bench.now = Timestamp(20_000);
    let (lines, waits) = bench.flush();
    assert!(waits && lines.is_empty(), "{lines:?}");
    bench.now = Timestamp(30_000);
    let (lines, waits) = bench.flush();
    insta::assert_snapshot!(lines.join("\n"), @r"
    out a later @9 end=10
    out1 a LATER @9 end=10
    out b x @9 end=10
    out1 b X @9 end=10
    ");
    assert!(!waits);
}

#[test]
fn paced_changes_come_out_when_their_pause_is_over() {
    let mut bench = echoed(windows(Emit::Every(Duration::from_millis(100)), None));
    bench.push(&[(Some("a"), 1, "x"), (Some("a"), 2, "y")]);
    assert!(bench.lines().is_empty() && bench.flush().0.is_empty());
    assert_eq!(bench.task.wakes_at(), Some(Timestamp(10_100)), "also where more may come");
    bench.now = Timestamp(10_100);
    assert_eq!(bench.lines(), ["out a xy @9 end=10", "out1 a XY @9 end=10"]);
    assert_eq!(bench.task.wakes_at(), None);
}

#[test]
fn a_task_goes_on_where_its_nodes_had_come_to() {
    let mut bench = echoed(windows(Emit::Final, None));
    bench.push(&[(Some("a"), 5, "x"), (Some("a"), 25, "y")]);
    bench.settle();
    bench.commit();
    bench.push(&[(Some("a"), 31, "z")]);
    bench.settle();
    bench.restart();
    bench.push(&[(Some("a"), 19, "late"), (Some("a"), 29, "w"), (Some("a"), 30, "v")]);
    insta::assert_snapshot!(bench.lines().join("\n"), @r"
    late a late @19
    out a yw @29 end=30
    out1 a YW @29 end=30
    ");
}

#[test]
fn other_code_goes_on_with_what_nodes_keep_in_memory() {
    let mut bench = echoed(windows(THINNED, None));
    bench.push(&[(Some("a"), 5, "x")]);
    bench.settle();
    bench.swap();
    assert_eq!(bench.flush().0, ["out a x @9 end=10", "out1 a X @9 end=10"]);
}

/// Feeds the store behind it with the row it is.
fn feeds(call: &mut Call<'_>, entry: &Entry<'_>) -> Result<(), Ended> {
    call.send(text(entry));
    let row = u8::try_from(entry.offset).unwrap();
    call.scope.map_put(super::harness::MAP, call.entry, &[row], Some(text(entry).as_bytes()))?;
    Ok(())
}

/// Sends on what it is fed with.
struct Fed(usize);

impl Host for Fed {
    fn take(&mut self, _: &Arrival<'_>, _: &mut Scope, _: &mut Out<'_>) -> Result<(), Reason> {
        panic!("it is fed")
    }

    fn collect(
        &mut self,
        scope: &mut Scope,
        out: &mut dyn FnMut(u32, Sent<'_>) -> ControlFlow<()>,
    ) -> Result<(), Reason> {
        let all = Range { limit: usize::MAX, bytes_max: usize::MAX, ..Range::default() };
        let found = scope.state().unwrap().map_scan(self.0, b"k", &all, AT).unwrap();
        for entry in found {
            let sent = Sent {
                output: 0,
                timestamp: Timestamp(77),
                key: Part::Inherit,
                value: Part::Bytes(&entry.value),
                headers: HeaderPart::Replace(Headers::EMPTY),
                closing: false,
            };
            if out(u32::from(entry.key[0]), sent).is_break() {
                break;
            }
        }
        Ok(())
    }
}

#[test]
fn what_functions_feed_a_store_with_comes_out_behind_them() {
    let host = HostStep {
        make: Arc::new(|store| Box::new(Fed(store))),
        emit: Emit::Changes { every_update: true },
        idle: None,
        is_fed: true,
    };
    let mut bench = bench(vec![
        Step::Function(program(feeds)),
        Step::Host(host),
        Step::Function(program(echo)),
    ]);
    bench.push(&[(Some("k"), 1, "x"), (Some("k"), 2, "y")]);
    insta::assert_snapshot!(bench.lines().join("\n"), @r"
    out k x @1
    out2 k X @1
    out1 k x @77
    out2 k X @77
    out k y @2
    out2 k Y @2
    out1 k y @77
    out2 k Y @77
    ");
}
