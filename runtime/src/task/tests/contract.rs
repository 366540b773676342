//! What a guest may ask of the host, and what becomes of one that asks for more.

use super::harness::{
    Bench, COUNTER, Ended, MAP, RATES, Settings, TIMER, USERS, VALUE, bench, program, text,
};
use crate::{
    guest::{Fault, MapRange},
    operator::Reason,
    partitioner::partition_of,
    record::{Partition, Timestamp},
    task::Verdict,
};
use tidemill_layout::Part;

#[test]
fn what_a_failed_record_wrote_is_undone_and_its_neighbours_stay() {
    let mut bench = bench(|call, entry| {
        let at = call.entry;
        let count = call.scope.add(COUNTER, at, 1)?;
        call.scope.put(VALUE, at, Some(text(entry).as_bytes()))?;
        call.scope.map_put(MAP, at, text(entry).as_bytes(), Some(b"."))?;
        call.set(TIMER, 1_000, text(entry).as_bytes())?;
        match text(entry) {
            "reject" => return Err(Ended::Reject("no good")),
            "error" => return Err(Ended::Error("it broke")),
            "trap" => return Err(Ended::Fault(Fault::Trap { message: "boom".into() })),
            _ => {}
        }
        let page = call.scope.map_scan(MAP, at, &MapRange { limit: 10, ..MapRange::default() })?;
        let keys: Vec<_> =
            page.entries.iter().map(|entry| String::from_utf8_lossy(&entry.key)).collect();
        call.send(&format!("{count} {}", keys.join(",")));
        Ok(())
    });
    let values = ["1", "reject", "2", "error", "trap", "3", "trap", "4"];
    let records: Vec<_> = values.iter().map(|value| (Some("k"), 10, *value)).collect();
    bench.push(&records);
    insta::assert_snapshot!(bench.lines().join("\n"), @r"
    out k 1 1 @10
    dlq k reject @10 exception=reject message=no good offset=1 function=f0 attempts=1
    out k 2 1,2 @10
    dlq k error @10 exception=error message=it broke offset=3 function=f0 attempts=2
    dlq k trap @10 exception=trap message=boom offset=4 function=f0 attempts=2
    out k 3 1,2,3 @10
    dlq k trap @10 exception=trap message=boom offset=6 function=f0 attempts=2
    out k 4 1,2,3,4 @10
    ");
}

#[test]
fn a_record_without_a_key_is_rejected_and_those_around_it_are_handled() {
    let mut bench = bench(|call, entry| {
        let at = call.entry;
        let row = call.scope.row(USERS, at)?;
        if text(entry) == "table" {
            call.send(&format!("{row:?}"));
            return Ok(());
        }
        let count = call.scope.add(COUNTER, at, 1)?;
        call.send(&count.to_string());
        Ok(())
    });
    bench.push(&[(Some("k"), 1, ""), (None, 2, ""), (Some("k"), 3, ""), (None, 4, "table")]);
    insta::assert_snapshot!(bench.lines().join("\n"), @r"
    out k 1 @1
    dlq null  @2 exception=reject message=record has no key offset=1 function=f0 attempts=1
    out k 2 @3
    out null None @4
    ");
}

#[test]
fn misuse_is_a_fault_that_says_what_is_wrong() {
    let mut bench = bench(|call, entry| {
        let at = call.entry;
        match text(entry) {
            "slot" => call.scope.get(COUNTER, at).map(drop)?,
            "none" => call.scope.get(99, at).map(drop)?,
            "table" => call.scope.put(USERS, at, None)?,
            "timer" => call.scope.timer(VALUE, at).map(drop)?,
            "entry" => call.scope.get(VALUE, 99).map(drop)?,
            "past" => call.set(TIMER, -1, b"")?,
            "overflow" => {
                call.scope.add(COUNTER, at, i64::MAX)?;
                call.scope.add(COUNTER, at, 1)?;
            }
            "key" => call.scope.map_put(MAP, at, &[0; 65 << 10], None)?,
            _ => call.send(text(entry)),
        }
        Ok(())
    });
    let values =
        ["a", "slot", "none", "table", "timer", "b", "entry", "past", "overflow", "key", "c"];
    let records: Vec<_> = values.iter().map(|value| (Some("k"), 10, *value)).collect();
    bench.push(&records);
    let (lines, failures) = bench.settle();
    let lines: Vec<_> = lines.iter().map(|line| line.split(" offset=").next().unwrap()).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    out k a @10
    dlq k slot @10 exception=contract message=the function does not follow the contract: its slot 2 is no value
    dlq k none @10 exception=contract message=the function does not follow the contract: its slot 99 is no value
    dlq k table @10 exception=contract message=the function does not follow the contract: its slot 3 is no value
    dlq k timer @10 exception=contract message=the function does not follow the contract: its slot 0 is no timer
    out k b @10
    dlq k entry @10 exception=contract message=the function does not follow the contract: it names entry 99 in a call with 1
    dlq k past @10 exception=trap message=a timer cannot be due at -1: milliseconds since 1970 are right
    dlq k overflow @10 exception=trap message=`counter0`: the counter is 9223372036854775807 and 1 more is not in the range of 64 bits
    dlq k key @10 exception=trap message=a key for `map0` has 65.0 KiB and 64.0 KiB is the limit
    out k c @10
    ");
    assert!(failures.iter().all(|failed| failed.attempts <= 2));
}

#[test]
fn writes_are_bounded_and_large_ones_are_spread_over_turns() {
    let mut bench = bench(|call, entry| {
        let at = call.entry;
        let value = vec![7; 1 << 20];
        for key in 0..text(entry).parse::<u8>().unwrap() {
            call.scope.map_put(MAP, at, &[key], Some(&value))?;
        }
        call.send(text(entry));
        Ok(())
    });
    bench.push(&[
        (Some("a"), 1, "40"),
        (Some("b"), 2, "40"),
        (Some("c"), 3, "64"),
        (Some("d"), 4, "20"),
    ]);
    let (lines, failures) = bench.settle();
    assert_eq!(lines.len(), 4);
    assert!(
        lines[2].starts_with("dlq c 64 @3 exception=trap message=it writes more than 64.0 MiB"),
        "{}",
        lines[2]
    );
    assert_eq!(failures.len(), 2, "once more, and then not: {failures:?}");
    assert_eq!([&lines[0], &lines[1], &lines[3]], ["out a 40 @1", "out b 40 @2", "out d 20 @4"]);
}

#[test]
fn entries_are_gone_through_forward_only() {
    let mut bench = bench(|call, entry| {
        let at = call.entry;
        call.scope.count(COUNTER, at)?;
        let asked = if text(entry) == "back" { at.saturating_sub(1) } else { at };
        call.scope.add(COUNTER, asked, 1)?;
        // Alone it is entry 0, and that is right.
        call.send(text(entry));
        Ok(())
    });
    bench.push(&[(Some("a"), 1, "x"), (Some("a"), 1, "y"), (Some("b"), 1, "back")]);
    let (lines, failures) = bench.settle();
    assert_eq!(lines, ["out a x @1", "out a y @1", "out b back @1"]);
    assert!(failures.is_empty(), "alone it is right: {failures:?}");
    let state = bench.task.state().unwrap();
    assert_eq!(state.count(2, b"a", Timestamp(1)).unwrap(), 2);
    assert_eq!(state.count(2, b"b", Timestamp(1)).unwrap(), 1);
}

#[test]
fn a_lookup_that_could_miss_is_an_error_that_says_where_the_row_is() {
    let key = |of: u32| {
        (0..).map(|n| format!("u{n}")).find(|key| partition_of(key.as_bytes(), 4) == Partition(of))
    };
    let (here, there) = (key(0).unwrap(), key(3).unwrap());
    let mut bench = bench(move |call, entry| {
        let at = call.entry;
        let slot = if text(entry) == "rates" { RATES } else { USERS };
        for key in [&here, &there] {
            let found = call.scope.lookup(slot, at, key.as_bytes())?;
            call.send(&format!("{found:?}"));
        }
        Ok(())
    });
    bench.push(&[(Some("k"), 1, "users"), (Some("k"), 1, "rates")]);
    insta::assert_snapshot!(bench.lines().join("\n"), @r#"
    out k Ok(Some([117, 49])) @1
    out k Err("the key belongs to partition 3 of table `users0`, and this task has partition 0 of it: make the table complete on every host (`broadcast = true` in [tables.users0]), or re-key the input by what is looked up") @1
    out k Ok(None) @1
    out k Ok(None) @1
    "#);
}

#[test]
fn state_that_does_not_decode_pauses_until_the_task_is_resumed() {
    let mended = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_mended = std::sync::Arc::clone(&mended);
    let mut bench = bench(move |call, entry| {
        if text(entry) == "odd" && !is_mended.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(Ended::State("`total` is not a number"));
        }
        call.send(text(entry));
        Ok(())
    });
    bench.push(&[(Some("k"), 1, "a"), (Some("k"), 2, "odd"), (Some("k"), 3, "b")]);
    bench.end();
    let (lines, failures) = bench.settle();
    assert_eq!(lines, ["out k a @1"]);
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].verdict, Verdict::Pause);
    assert_eq!(failures[0].reason, Reason::State("`total` is not a number".to_owned()));
    assert_eq!(bench.task.paused(), Some("`f0`: `total` is not a number"));
    assert!(bench.task.is_settled(bench.now) && bench.lines().is_empty());
    bench.task.resume();
    assert_eq!(bench.settle().1.len(), 1, "it is as it was");
    mended.store(true, std::sync::atomic::Ordering::Relaxed);
    bench.task.resume();
    assert_eq!(bench.lines(), ["out k odd @2", "out k b @3"]);
}

#[test]
fn a_record_far_ahead_is_rejected_and_does_not_move_stream_time() {
    let mut bench = bench(|call, entry| {
        call.send(text(entry));
        Ok(())
    });
    let hour = 3_600_000;
    bench.now = Timestamp(1_767_261_600_000);
    let now = bench.now.millis();
    bench.push(&[
        (Some("k"), now + hour, "a"),
        (Some("k"), now + hour + 1, "b"),
        (Some("k"), 5, "c"),
    ]);
    let (lines, _) = bench.settle();
    assert_eq!(lines.len(), 3);
    assert!(
        lines[1].contains(
            "message=its time 2026-01-01T11:00:00.001Z is further ahead of the clock than max-ahead = 1h"
        ),
        "{}",
        lines[1]
    );
    assert_eq!(bench.task.progress().stream_time, Some(Timestamp(now + hour)));
}

#[test]
fn a_key_of_another_partition_does_not_reach_state_in_memory() {
    let first = program(|call, entry| {
        let key =
            if text(entry) == "same" { Part::Inherit } else { Part::Bytes(text(entry).as_bytes()) };
        call.send_as(key, text(entry));
        Ok(())
    });
    let second = program(|call, _| {
        let at = call.entry;
        let count = call.scope.add(COUNTER, at, 1)?;
        call.send(&count.to_string());
        Ok(())
    });
    let key = |of: u32| {
        (0..).map(|n| format!("u{n}")).find(|key| partition_of(key.as_bytes(), 4) == Partition(of))
    };
    let (here, there) = (key(0).unwrap(), key(3).unwrap());
    let settings =
        Settings { programs: vec![first, second], obeys: true, records: 100, partitions: 4 };
    let mut bench = Bench::new(settings);
    bench.push(&[
        (Some("k"), 1, "same"),
        (Some("k"), 2, &here),
        (Some("k"), 3, &there),
        (Some("k"), 4, "same"),
    ]);
    insta::assert_snapshot!(bench.lines().join("\n"), @r"
    out k same @1
    out1 k 1 @1
    out u1 u1 @2
    out1 u1 1 @2
    dlq k u5 @3 exception=partition message=its output `out` goes to `f1` in memory under a key that belongs to partition 3, and the state here is that of partition 0: re-key by a topic between the two (send the output to a topic and let `f1` read that) offset=2 function=f0 attempts=2
    out k same @4
    out1 k 2 @4
    ");
}
