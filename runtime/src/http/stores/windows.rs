//! Windows of aggregate stores, as JSON.

use axum::{
    Json,
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

use super::{CURSORS, LIMITS, Problem, cursor, limit, paged, unknown};
use crate::{
    record::Timestamp,
    supervisor::{FoundWindow, ListedWindows, WantedWindows},
    topology::codec::plain_json,
};

/// A page of the windows of all keys.
pub(super) fn list(listed: &ListedWindows) -> Response {
    Json(page(listed, true)).into_response()
}

/// A page of windows, with their keys where they are of several.
pub(super) fn page(listed: &ListedWindows, with_keys: bool) -> Value {
    let entries = listed.entries.iter().map(|window| shown(window, with_keys));
    paged(entries.collect(), listed.next.as_ref())
}

/// A window; what a store without windows has is no more than a value.
pub(super) fn shown(window: &FoundWindow, with_key: bool) -> Value {
    let value: Value = serde_json::from_slice(&window.columns).unwrap_or_default();
    let mut shown =
        json!({ "partition": window.partition, "timestamp": window.at.millis(), "value": value });
    if window.end != Timestamp(i64::MAX) {
        shown["start"] = window.start.millis().into();
        shown["end"] = window.end.millis().into();
    }
    if with_key {
        shown["key"] = plain_json(&window.key);
    }
    shown
}

pub(super) fn wanted(query: Vec<(String, String)>, known: &str) -> Result<WantedWindows, Problem> {
    let mut wanted = WantedWindows::default();
    for (key, value) in query {
        let wrong =
            |expected: &str| Problem::bad_request(format!("{key}={value}: expected {expected}"));
        match key.as_str() {
            "limit" => wanted.limit = limit(&value).ok_or_else(|| wrong(LIMITS))?,
            "from" => wanted.from = time(&value).ok_or_else(|| wrong(TIMES))?,
            "to" => wanted.to = time(&value).ok_or_else(|| wrong(TIMES))?,
            "cursor" => wanted.cursor = Some(cursor(&value).ok_or_else(|| wrong(CURSORS))?),
            _ => return Err(unknown(&key, known)),
        }
    }
    Ok(wanted)
}

const TIMES: &str = "a time, as 2026-01-02T10:00:00Z or in milliseconds since 1970";

fn time(text: &str) -> Option<Timestamp> {
    let millis = text.parse().ok();
    millis.or_else(|| Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond())).map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_instants_or_milliseconds() {
        let at = Some(Timestamp(1_767_348_000_000));
        assert_eq!((time("2026-01-02T10:00:00Z"), time("1767348000000")), (at, at));
        assert_eq!((time("10:00:00"), time("soon"), time("")), (None, None, None));
    }

    #[test]
    fn a_window_has_its_bounds_where_there_are_any() {
        let mut window = FoundWindow {
            key: b"ann".to_vec(),
            partition: 2,
            start: Timestamp(0),
            end: Timestamp(60_000),
            at: Timestamp(5),
            columns: br#"{"n":1}"#.to_vec(),
        };
        let value = json!({ "n": 1 });
        let windowed =
            json!({ "start": 0, "end": 60_000, "partition": 2, "timestamp": 5, "value": value });
        assert_eq!(shown(&window, false), windowed);
        window.end = Timestamp(i64::MAX);
        let whole = json!({ "key": "ann", "partition": 2, "timestamp": 5, "value": value });
        assert_eq!(shown(&window, true), whole);
    }
}
