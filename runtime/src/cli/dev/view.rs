//! What is shown of a record: where it was, what came of it. When they come quickly, a line a second for all.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::json;

use super::screen::Screen;
use crate::{
    http::wire::RecordOut,
    record::{Record, Timestamp, TopicPartition},
    task::Verdict,
    testing::case::Value,
    worker::{self, Failure, Observer, Produced},
};

/// Records a second that are shown one by one.
const DENSE: u64 = 20;
const SECOND: Duration = Duration::from_secs(1);
/// Characters of a value that are shown.
const VALUE_CHARS_MAX: usize = 300;

/// The observer of `dev`.
pub(super) struct View {
    screen: Screen,
    json: bool,
    window: Mutex<Window>,
}

/// The current second.
struct Window {
    begun: Instant,
    records: u64,
    /// The last second had more than are shown one by one.
    dense: bool,
    hidden: Totals,
}

#[derive(Default)]
struct Totals {
    records: u64,
    outputs: u64,
    failures: u64,
    functions: BTreeMap<String, Duration>,
}

impl View {
    pub(super) fn new(screen: Screen, json: bool) -> Self {
        let window =
            Window { begun: Instant::now(), records: 0, dense: false, hidden: Totals::default() };
        View { screen, json, window: Mutex::new(window) }
    }

    /// Shows what was summed up, where its second is over.
    pub(super) fn tick(&self) {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = window.roll(Instant::now()) {
            // Where there is no room, the next second's line says it all the same.
            self.screen.try_send_line(line);
        }
    }
}

impl Observer for View {
    fn observe(&self, view: &worker::View<'_>) {
        if self.json {
            // A tool wants all of them, so the worker waits for it.
            self.screen.send_line(json(view).to_string());
            return;
        }
        self.tick();
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        window.records += 1;
        let shown =
            !window.dense && window.records <= DENSE && self.screen.try_send_line(text(view));
        if !shown {
            window.hidden.add(view);
        }
    }
}

impl Window {
    /// Begins a new second where the last one is over; the line that sums it up.
    fn roll(&mut self, now: Instant) -> Option<String> {
        let lasted = now.duration_since(self.begun);
        if lasted < SECOND {
            return None;
        }
        self.begun = now;
        self.dense = rate(self.records, lasted) > DENSE;
        self.records = 0;
        let hidden = std::mem::take(&mut self.hidden);
        (hidden.records > 0).then(|| hidden.line(lasted))
    }
}

fn rate(count: u64, lasted: Duration) -> u64 {
    let millis = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX).max(1);
    (count * 1_000 + millis / 2) / millis
}

impl Totals {
    fn add(&mut self, view: &worker::View<'_>) {
        self.records += 1;
        self.outputs += view.outputs.len() as u64;
        self.failures += u64::from(view.failure.is_some());
        for (function, took) in &view.functions {
            match self.functions.get_mut(*function) {
                Some(total) => *total += *took,
                None => {
                    self.functions.insert((*function).to_owned(), *took);
                }
            }
        }
    }

    fn line(&self, lasted: Duration) -> String {
        let mut parts = vec![
            format!("{} records/s", rate(self.records, lasted)),
            format!("{} out", rate(self.outputs, lasted)),
        ];
        if self.failures > 0 {
            parts.push(format!("{} ✗", self.failures));
        }
        let records = u32::try_from(self.records).unwrap_or(u32::MAX).max(1);
        let functions = self.functions.iter();
        parts.extend(
            functions
                .map(|(name, total)| format!("{name} {} a record", duration(*total / records))),
        );
        format!("   {}", parts.join(" · "))
    }
}

/// The lines of a record.
fn text(view: &worker::View<'_>) -> String {
    let record = &view.record;
    let place = format!("{}@{}", view.source, record.offset);
    let mut lines = vec![format!("{} {place}  {}", clock(record.timestamp), pair(record))];
    let failed = view.failure.as_ref().map(|failure| failure.function);
    for (function, took) in view.functions.iter().filter(|(function, _)| Some(*function) != failed)
    {
        lines.push(format!("   {function} {}", duration(*took)));
    }
    lines.extend(view.outputs.iter().map(|output| arrow("→", output)));
    lines.extend(view.late.iter().map(|late| format!("   too late for {}", late.node)));
    if let Some(failure) = &view.failure {
        lines.extend(failure_lines(failure));
    }
    lines.join("\n")
}

fn failure_lines(failure: &Failure<'_>) -> Vec<String> {
    let reason = format!("{}: {}", failure.reason.kind(), failure.reason);
    let mut lines =
        vec![format!("   {} ✗ {}", failure.function, reason.trim_end().replace('\n', "\n      "))];
    match failure.verdict {
        Verdict::Again => lines.push("   ↻ once more, in a fresh instance".to_owned()),
        Verdict::Wait(at) => {
            lines.push(format!("   ↻ again at {}, after {} attempts", clock(at), failure.attempts))
        }
        Verdict::Pause => {
            lines.push("   ‖ paused: resume it, or change the code".to_owned());
        }
        Verdict::DeadLetter => {}
    }
    if let Some(letter) = &failure.dead_letter {
        lines.push(format!("   ⇢ {}", place(letter)));
    }
    lines
}

fn arrow(arrow: &str, output: &Produced<'_>) -> String {
    format!("   {arrow} {}  {}", place(output), pair(&output.record))
}

fn place(output: &Produced<'_>) -> String {
    let offset = output.offset.map(|offset| format!("@{offset}")).unwrap_or_default();
    format!("{}/{}{offset}", output.topic, output.partition)
}

fn pair(record: &Record<'_>) -> String {
    let (key, value) = (Value::of(record.key), Value::of(record.value));
    format!(
        "{}  {}",
        short(&key.token().to_string(), record.key),
        short(&value.to_string(), record.value)
    )
}

fn short(text: &str, bytes: Option<&[u8]>) -> String {
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], bytes.map_or(0, <[u8]>::len)),
    }
}

/// `10:04:59.000`, UTC as in case files.
fn clock(at: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(at.millis()) {
        Ok(at) => at.strftime("%H:%M:%S%.3f").to_string(),
        Err(_) => at.to_string(),
    }
}

fn duration(took: Duration) -> String {
    match took.as_nanos() {
        nanos @ 0..10_000 => format!("{}.{} µs", nanos / 1_000, nanos % 1_000 / 100),
        nanos @ 10_000..10_000_000 => format!("{} µs", nanos / 1_000),
        nanos => format!("{} ms", nanos / 1_000_000),
    }
}

fn json(view: &worker::View<'_>) -> serde_json::Value {
    let produced = |output: &Produced<'_>| {
        let partition = TopicPartition::new(output.topic, output.partition.0);
        let offset = output.offset.map(|offset| offset.0);
        let mut value = json!(RecordOut::new(&partition, &output.record));
        value["offset"] = json!(offset);
        value
    };
    let failure = view.failure.as_ref().map(|failure| {
        json!({
            "function": failure.function,
            "attempts": failure.attempts,
            "kind": failure.reason.kind(),
            "reason": failure.reason.to_string(),
            "next": match failure.verdict {
                Verdict::Again => "again",
                Verdict::Wait(_) => "wait",
                Verdict::Pause => "pause",
                Verdict::DeadLetter => "dead-letter",
            },
            "dead_letter": failure.dead_letter.as_ref().map(produced),
        })
    });
    let functions =
        view.functions.iter().map(|(name, took)| json!({ "name": name, "nanos": nanos(*took) }));
    json!({
        "event": "record",
        "record": RecordOut::new(&view.source, &view.record),
        "outputs": view.outputs.iter().map(produced).collect::<Vec<_>>(),
        "late": view.late.iter().map(|late| late.node).collect::<Vec<_>>(),
        "functions": functions.collect::<Vec<_>>(),
        "failure": failure,
    })
}

fn nanos(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Headers, Offset, Partition},
        task::Reason,
    };

    fn record<'a>(key: &'a str, value: &'a str) -> Record<'a> {
        Record {
            offset: Offset(41),
            timestamp: Timestamp(1_767_261_899_000),
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
            headers: Headers::EMPTY,
        }
    }

    fn produced<'a>(topic: &'a str, record: Record<'a>) -> Produced<'a> {
        Produced { topic, partition: Partition(0), offset: Some(Offset(7)), record }
    }

    #[test]
    fn a_record_is_shown_with_its_outputs() {
        let view = worker::View {
            source: TopicPartition::new("logins", 0),
            record: record("ann", r#"{"ok":false}"#),
            outputs: vec![produced("alerts", record("ann", r#"{"user":"ann","failures":5}"#))],
            late: vec![worker::Late { node: "failures", key: Some(b"ann"), value: None }],
            failure: None,
            functions: vec![("fraud", Duration::from_micros(38))],
        };
        insta::assert_snapshot!(text(&view), @r#"
        10:04:59.000 logins/0@41  ann  {"ok":false}
           fraud 38 µs
           → alerts/0@7  ann  {"user":"ann","failures":5}
           too late for failures
        "#);
        let json = json(&view);
        assert_eq!(json["record"]["offset"], 41);
        assert_eq!(json["outputs"][0]["offset"], 7);
    }

    #[test]
    fn a_failure_is_shown_with_what_follows() {
        let reason = Reason::Reject("value is not a Login".to_owned());
        let dead = produced("fraud.fraud.dlq", record("bob", "{}"));
        let mut view = worker::View {
            source: TopicPartition::new("logins", 0),
            record: record("bob", "{}"),
            outputs: vec![],
            late: Vec::new(),
            failure: Some(Failure {
                function: "fraud",
                attempts: 1,
                reason: &reason,
                verdict: Verdict::DeadLetter,
                dead_letter: Some(dead),
            }),
            functions: vec![("fraud", Duration::from_micros(38))],
        };
        insta::assert_snapshot!(text(&view), @"
        10:04:59.000 logins/0@41  bob  {}
           fraud ✗ reject: value is not a Login
           ⇢ fraud.fraud.dlq/0@7
        ");
        if let Some(failure) = &mut view.failure {
            failure.verdict = Verdict::Wait(Timestamp(1_767_261_900_000));
            failure.dead_letter = None;
        }
        assert!(text(&view).ends_with("   ↻ again at 10:05:00.000, after 1 attempts"));
    }

    #[test]
    fn what_comes_quickly_is_summed_up() {
        let begun = Instant::now();
        let mut window = Window { begun, records: 2_000, dense: false, hidden: Totals::default() };
        window.hidden.records = 2_000;
        window.hidden.outputs = 1_000;
        window.hidden.functions.insert("f".to_owned(), Duration::from_millis(6));
        assert_eq!(window.roll(begun + Duration::from_millis(999)), None);
        let line = window.roll(begun + Duration::from_secs(2)).unwrap();
        assert_eq!(line, "   1000 records/s · 500 out · f 3.0 µs a record");
        assert!(window.dense);
        assert_eq!(window.roll(begun + Duration::from_secs(4)), None);
        assert!(!window.dense);
    }
}
