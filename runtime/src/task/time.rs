//! Event time: from the record's timestamp, a field of its JSON, or a header.

use std::time::Duration;

use crate::{
    record::{Record, Timestamp},
    topology::EventTime,
};

/// The event time of a record, or why it has none.
pub(super) fn of(time: &EventTime, record: &Record<'_>) -> Result<Timestamp, String> {
    match time {
        EventTime::Record => checked(record.timestamp),
        EventTime::Json(field) => {
            let value = record.value.ok_or_else(|| {
                format!("no event time: the value is null, and `{field}` is to be in it")
            })?;
            let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(value)
                .map_err(|error| format!("no event time: the value is no JSON object: {error}"))?;
            match object.get(field) {
                Some(serde_json::Value::Number(millis)) => {
                    let millis = millis.as_i64().ok_or_else(|| {
                        format!("no event time: `{field}` is {millis}, not whole milliseconds")
                    })?;
                    checked(Timestamp(millis))
                }
                Some(serde_json::Value::String(text)) => parse(text),
                Some(other) => Err(format!(
                    "no event time: `{field}` is {other}, not milliseconds or RFC 3339 text"
                )),
                None => Err(format!("no event time: the value has no field `{field}`")),
            }
        }
        EventTime::Header(name) => {
            let value = record.headers.last(name).and_then(|header| header.value);
            let value =
                value.ok_or_else(|| format!("no event time: there is no header `{name}`"))?;
            let text = std::str::from_utf8(value)
                .map_err(|_| format!("no event time: header `{name}` is no text"))?;
            match text.parse() {
                Ok(millis) => checked(Timestamp(millis)),
                Err(_) => parse(text),
            }
        }
    }
}

/// How far ahead of the clock a record may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Latest {
    pub(super) now: Timestamp,
    pub(super) ahead_max: Duration,
}

impl Latest {
    /// A record further ahead would move stream time for all that follow.
    #[inline]
    pub(super) fn check(&self, time: Result<Timestamp, String>) -> Result<Timestamp, String> {
        let ahead_max = i64::try_from(self.ahead_max.as_millis()).unwrap_or(i64::MAX);
        match time {
            Ok(time) if time.millis() > self.now.millis().saturating_add(ahead_max) => {
                Err(self.ahead(time))
            }
            other => other,
        }
    }

    #[cold]
    fn ahead(&self, time: Timestamp) -> String {
        let time = jiff::Timestamp::from_millisecond(time.millis())
            .map_or_else(|_| time.to_string(), |time| time.to_string());
        let ahead_max = humantime::format_duration(self.ahead_max);
        format!("its time {time} is further ahead of the clock than max-ahead = {ahead_max}")
    }
}

/// Kafka's -1 means that a record has no timestamp.
pub(super) fn checked(timestamp: Timestamp) -> Result<Timestamp, String> {
    if timestamp.millis() < 0 {
        return Err(format!("no event time: the timestamp is {timestamp}"));
    }
    Ok(timestamp)
}

fn parse(text: &str) -> Result<Timestamp, String> {
    let wrong = || format!("no event time: {text:?} is not milliseconds or RFC 3339 text");
    let time: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
    checked(Timestamp(time.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{HeadersWriter, Offset};

    fn event_time(
        time: &EventTime,
        value: Option<&[u8]>,
        header: Option<&str>,
    ) -> Result<i64, String> {
        let mut headers = HeadersWriter::new();
        if let Some(header) = header {
            headers.push("at", Some(header.as_bytes()));
        }
        let record = Record {
            offset: Offset(0),
            timestamp: Timestamp(7),
            key: None,
            value,
            headers: headers.headers(),
        };
        of(time, &record).map(Timestamp::millis)
    }

    #[test]
    fn time_comes_from_record_field_or_header() {
        let json = EventTime::Json("ts".to_owned());
        let header = EventTime::Header("at".to_owned());
        assert_eq!(event_time(&EventTime::Record, None, None), Ok(7));
        assert_eq!(
            event_time(&json, Some(br#"{"ts":1767261600000}"#), None),
            Ok(1_767_261_600_000)
        );
        assert_eq!(
            event_time(&json, Some(br#"{"ts":"2026-01-01T10:00:00Z"}"#), None),
            Ok(1_767_261_600_000)
        );
        assert_eq!(event_time(&header, None, Some("12")), Ok(12));
        assert_eq!(event_time(&header, None, Some("1970-01-01T00:00:00.012Z")), Ok(12));
    }

    #[test]
    fn a_missing_or_negative_time_says_why() {
        let json = EventTime::Json("ts".to_owned());
        for value in [
            None,
            Some(&b"{}"[..]),
            Some(br#"{"ts":-1}"#),
            Some(br#"{"ts":1.5}"#),
            Some(br#"{"ts":"soon"}"#),
            Some(b"x"),
        ] {
            let error = event_time(&json, value, None).unwrap_err();
            assert!(error.starts_with("no event time: "), "{error}");
        }
        assert!(event_time(&EventTime::Header("at".to_owned()), None, None).is_err());
    }
}
