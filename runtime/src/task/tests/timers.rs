//! When timers fire, and what they come to.

use super::harness::{
    Bench, COUNTER, Ended, OTHER_TIMER, Settings, TIMER, VALUE, bench, is_timer, program, text,
};
use crate::{record::Timestamp, task::Verdict};

/// `set:DUE`, `also:DUE`, `cancel`, `due`, or anything else; a timer says when it fired and with what.
fn alarm(
    call: &mut super::harness::Call<'_>,
    entry: &tidemill_layout::Entry<'_>,
) -> Result<(), Ended> {
    let at = call.entry;
    if is_timer(entry) {
        let left = call.scope.timer(TIMER, at)?;
        call.send(&format!("slot {} fired {} left {left:?}", entry.source, text(entry)));
        return Ok(());
    }
    match text(entry).split_once(':') {
        Some(("set", due)) => call.set(TIMER, due.parse().unwrap(), due.as_bytes())?,
        Some(("also", due)) => call.set(OTHER_TIMER, due.parse().unwrap(), due.as_bytes())?,
        _ if text(entry) == "cancel" => call.scope.cancel_timer(TIMER, at)?,
        _ if text(entry) == "due" => {
            let due = call.scope.timer(TIMER, at)?;
            call.send(&format!("due {due:?}"));
        }
        _ => call.send(text(entry)),
    }
    Ok(())
}

#[test]
fn a_timer_fires_before_the_record_that_makes_it_due() {
    let mut bench = bench(alarm);
    bench.push(&[
        (Some("a"), 10, "set:20"),
        (Some("a"), 19, "before"),
        (Some("a"), 20, "at"),
        (Some("a"), 30, "after"),
    ]);
    insta::assert_snapshot!(bench.lines().join("\n"), @r"
    out a before @19
    out a slot 5 fired 20 left None @20
    out a at @20
    out a after @30
    ");
    assert_eq!(*bench.calls.lock().unwrap(), [4, 1, 1, 2], "a batch ends where it is cut");
}

#[test]
fn a_guest_that_goes_on_behind_a_cut_comes_to_the_same() {
    let settings =
        Settings { programs: vec![program(alarm)], obeys: false, records: 100, partitions: 4 };
    let mut bench = Bench::new(settings);
    bench.push(&[
        (Some("a"), 10, "set:20"),
        (Some("b"), 12, "set:15"),
        (Some("a"), 14, "before"),
        (Some("a"), 20, "cancel"),
        (Some("b"), 21, "due"),
    ]);
    insta::assert_snapshot!(bench.lines().join("\n"), @r"
    out a before @14
    out b slot 5 fired 15 left None @15
    out a slot 5 fired 20 left None @20
    out b due None @21
    ");
}

#[test]
fn a_timer_is_cancelled_and_set_anew_and_one_in_the_past_fires_at_once() {
    let mut bench = bench(alarm);
    bench.push(&[
        (Some("a"), 10, "set:20"),
        (Some("a"), 11, "cancel"),
        (Some("a"), 30, "set:40"),
        (Some("a"), 31, "set:50"),
        (Some("a"), 45, "due"),
        (Some("b"), 46, "set:5"),
        (Some("b"), 46, "due"),
    ]);
    insta::assert_snapshot!(bench.lines().join("\n"), @r"
    out a due Some(50) @45
    out b slot 5 fired 5 left None @5
    out b due None @46
    ");
}

#[test]
fn several_fire_in_the_order_of_time_name_and_key_in_one_call() {
    let mut bench = bench(alarm);
    bench.push(&[
        (Some("b"), 1, "set:20"),
        (Some("a"), 2, "set:20"),
        (Some("a"), 3, "also:20"),
        (Some("c"), 4, "also:15"),
        (Some("x"), 100, "x"),
    ]);
    insta::assert_snapshot!(bench.lines().join("\n"), @r"
    out c slot 6 fired 15 left None @15
    out a slot 6 fired 20 left Some(20) @20
    out a slot 5 fired 20 left None @20
    out b slot 5 fired 20 left None @20
    out x x @100
    ");
    assert_eq!(*bench.calls.lock().unwrap(), [5, 3, 4, 1], "cut, the rest, the timers, the last");
}

#[test]
fn at_the_end_of_the_inputs_the_wall_clock_makes_them_due_and_stream_time_stays() {
    let mut bench = bench(alarm);
    bench.now = Timestamp(50);
    bench.push(&[(Some("a"), 10, "set:60"), (Some("a"), 11, "also:100")]);
    assert!(bench.lines().is_empty());
    bench.now = Timestamp(70);
    assert!(bench.lines().is_empty(), "more may come");
    bench.end();
    assert!(!bench.task.is_settled(bench.now), "a timer is due");
    assert_eq!(bench.lines(), ["out a slot 5 fired 60 left None @60"]);
    assert!(bench.task.is_settled(bench.now));
    assert_eq!(bench.task.wakes_at(), Some(Timestamp(100)));
    assert_eq!(bench.task.progress().stream_time, Some(Timestamp(11)));
    // A backlog finds the timer that it cancels.
    bench.push(&[(Some("a"), 20, "set:30"), (Some("a"), 25, "cancel"), (Some("a"), 40, "on")]);
    assert_eq!(bench.lines(), ["out a on @40"]);
}

#[test]
fn a_handler_sets_its_timer_anew_and_others_that_fire_later_see_it() {
    let mut bench = bench(|call, entry| {
        if !is_timer(entry) {
            return Ok(call.set(TIMER, entry.timestamp + 10, b"1")?);
        }
        let round: i64 = text(entry).parse().unwrap();
        call.send(text(entry));
        if round < 4 {
            call.set(TIMER, entry.timestamp + 7, (round + 1).to_string().as_bytes())?;
        }
        Ok(())
    });
    bench.push(&[(Some("a"), 0, ""), (Some("b"), 2, ""), (Some("c"), 1000, "")]);
    insta::assert_snapshot!(bench.lines().join("\n"), @r"
    out a 1 @10
    out b 1 @12
    out a 2 @17
    out b 2 @19
    out a 3 @24
    out b 3 @26
    out a 4 @31
    out b 4 @33
    ");
}

#[test]
fn a_timer_that_an_earlier_one_cancels_does_not_fire() {
    let mut bench = bench(|call, entry| {
        let at = call.entry;
        match (is_timer(entry), entry.source) {
            (false, _) => {
                call.set(TIMER, 20, b"later")?;
                call.set(OTHER_TIMER, 10, b"first")?;
            }
            (true, _) if entry.value == Some(b"first") => {
                call.send("first");
                if entry.key == Some(b"a") {
                    call.scope.cancel_timer(TIMER, at)?;
                } else {
                    call.set(TIMER, 200, b"moved")?;
                }
            }
            (true, _) => call.send(text(entry)),
        }
        Ok(())
    });
    bench.push(&[(Some("a"), 0, ""), (Some("b"), 0, "")]);
    bench.now = Timestamp(100);
    bench.end();
    assert_eq!(bench.lines(), ["out a first @10", "out b first @10"]);
    bench.now = Timestamp(200);
    assert_eq!(bench.lines(), ["out b moved @200"]);
}

#[test]
fn a_timer_that_fails_is_tried_again_and_becomes_a_dead_letter_of_its_own() {
    let mut bench = bench(|call, entry| {
        let at = call.entry;
        if !is_timer(entry) {
            return Ok(call.set(TIMER, 20, text(entry).as_bytes())?);
        }
        call.scope.add(COUNTER, at, 1)?;
        call.set(TIMER, 500, b"again")?;
        match text(entry) {
            "bad" => Err(Ended::Error("it broke")),
            "trap" => Err(Ended::Fault(crate::guest::Fault::Trap { message: "boom".into() })),
            _ => {
                let count = call.scope.count(COUNTER, at)?;
                call.send(&count.to_string());
                Ok(())
            }
        }
    });
    bench.push(&[
        (Some("a"), 0, "good"),
        (Some("b"), 0, "bad"),
        (Some("c"), 0, "trap"),
        (Some("d"), 0, "good"),
        (Some("e"), 30, "good"),
    ]);
    let (lines, failures) = bench.settle();
    insta::assert_snapshot!(lines.join("\n"), @r"
    out a 1 @20
    dlq b bad @20 exception=error message=it broke timer=f0.due function=f0 attempts=2
    dlq c trap @20 exception=trap message=boom timer=f0.due function=f0 attempts=2
    out d 1 @20
    out e 1 @20
    ");
    let verdicts: Vec<_> = failures.iter().map(|failed| failed.verdict).collect();
    let (again, dead) = (Verdict::Again, Verdict::DeadLetter);
    assert_eq!(verdicts, [again, dead, again, dead]);
    // Of those that failed nothing is kept, and their timers are over.
    let state = bench.task.state().unwrap();
    let counts =
        ["a", "b", "c", "d"].map(|key| state.count(2, key.as_bytes(), Timestamp(30)).unwrap());
    let due = ["a", "b", "c", "d"].map(|key| state.timer(0, key.as_bytes()).unwrap());
    assert_eq!(counts, [1, 0, 0, 1]);
    assert_eq!(due, [Some(Timestamp(500)), None, None, Some(Timestamp(500))]);
}

#[test]
fn a_timer_reads_state_as_of_when_it_was_due() {
    let mut bench = bench(|call, entry| {
        let at = call.entry;
        if is_timer(entry) {
            let value = call.scope.get(VALUE, at)?;
            call.send(if value.is_some() { "there" } else { "gone" });
            return Ok(());
        }
        call.scope.put(VALUE, at, Some(b"v"))?;
        Ok(call.set(TIMER, text(entry).parse().unwrap(), b"")?)
    });
    // Values live for 40 ms.
    bench.push(&[(Some("a"), 100, "139"), (Some("b"), 100, "140")]);
    bench.end();
    assert_eq!(bench.lines(), ["out a there @139", "out b gone @140"]);
}
