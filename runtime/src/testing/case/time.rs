//! When something happens, as case files write it.

use std::{fmt, time::Duration};

use jiff::{civil, tz::TimeZone};

use crate::record::Timestamp;

/// When something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// `10:00:00.250`: on the case's day.
    Clock(civil::Time),
    /// `2026-01-02T10:00:00Z`, to the millisecond.
    Instant(Timestamp),
    /// `+5m`: after the last stimulus.
    After(Duration),
    /// `1767261600000`.
    Millis(Timestamp),
}

impl Time {
    /// Reads a token; `None` where it has no shape of a time.
    pub fn parse(token: &str) -> Option<Time> {
        let bytes = token.as_bytes();
        let digit = |index: usize| bytes.get(index).is_some_and(u8::is_ascii_digit);
        if let Some(duration) = token.strip_prefix('+') {
            return humantime::parse_duration(duration).ok().filter(whole_millis).map(Time::After);
        }
        if bytes.len() == 13 && bytes.iter().all(u8::is_ascii_digit) {
            return token.parse().ok().map(|millis| Time::Millis(Timestamp(millis)));
        }
        if bytes.len() >= 8 && digit(0) && digit(1) && bytes[2] == b':' && bytes[5] == b':' {
            let time: civil::Time = token.parse().ok()?;
            return (time.subsec_nanosecond() % 1_000_000 == 0).then_some(Time::Clock(time));
        }
        if bytes.len() >= 20
            && digit(0)
            && bytes.get(4) == Some(&b'-')
            && bytes.get(10) == Some(&b'T')
        {
            let instant: jiff::Timestamp = token.parse().ok()?;
            let whole = instant.subsec_nanosecond() % 1_000_000 == 0;
            return whole.then(|| Time::Instant(Timestamp(instant.as_millisecond())));
        }
        None
    }

    /// Reads where a window begins and ends, `10:00:00,10:01:00`; `None` where it has no shape of that.
    pub fn parse_window(text: &str) -> Option<(Time, Time)> {
        let (start, end) = text.split_once(',')?;
        let point = |text| Time::parse(text).filter(|time| !matches!(time, Time::After(_)));
        Some((point(start)?, point(end)?))
    }

    /// The point in time that is meant, on a day and after a last stimulus.
    pub fn resolve(self, date: civil::Date, last: Timestamp) -> Timestamp {
        match self {
            Time::Clock(time) => utc(date.to_datetime(time)),
            Time::Instant(at) | Time::Millis(at) => at,
            Time::After(duration) => Timestamp(
                last.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
            ),
        }
    }

    /// A point in time as it is best written in a case of that day.
    pub fn of(at: Timestamp, date: civil::Date) -> Time {
        match jiff::Timestamp::from_millisecond(at.0) {
            Ok(instant) => {
                let there = TimeZone::UTC.to_datetime(instant);
                if there.date() == date { Time::Clock(there.time()) } else { Time::Instant(at) }
            }
            Err(_) => Time::Millis(at),
        }
    }
}

/// Midnight UTC.
pub fn midnight(date: civil::Date) -> Timestamp {
    utc(date.to_datetime(civil::Time::midnight()))
}

fn utc(at: civil::DateTime) -> Timestamp {
    // Only the last day that jiff knows has times without a timestamp.
    Timestamp(TimeZone::UTC.to_timestamp(at).unwrap_or(jiff::Timestamp::MAX).as_millisecond())
}

fn whole_millis(duration: &Duration) -> bool {
    duration.subsec_nanos().is_multiple_of(1_000_000)
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Time::Clock(time) => write!(f, "{time}"),
            Time::Millis(at) => write!(f, "{:013}", at.0),
            Time::After(duration) => {
                write!(f, "+{}", humantime::format_duration(*duration).to_string().replace(' ', ""))
            }
            Time::Instant(at) => match jiff::Timestamp::from_millisecond(at.0) {
                Ok(instant) => write!(f, "{instant}"),
                Err(_) => write!(f, "{:013}", at.0),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_names_its_point_in_time() {
        let date = civil::date(2026, 1, 1);
        let at =
            |token: &str| Time::parse(token).unwrap().resolve(date, Timestamp(1_767_261_600_000)).0;
        assert_eq!(at("10:00:00"), 1_767_261_600_000);
        assert_eq!(at("10:00:00.250"), 1_767_261_600_250);
        assert_eq!(at("2026-01-02T10:00:00Z"), 1_767_348_000_000);
        assert_eq!(at("+5m"), 1_767_261_900_000);
        assert_eq!(at("+250ms"), 1_767_261_600_250);
        assert_eq!(at("1767261600000"), 1_767_261_600_000);
    }

    #[test]
    fn what_has_no_shape_of_a_time_is_none() {
        for token in [
            "o-1",
            "10",
            "10:00",
            "25:00:00",
            "+",
            "+5",
            "+1ns",
            "2026-01-02",
            "ann",
            "",
            "10:00:00.0001",
        ] {
            assert_eq!(Time::parse(token), None, "{token}");
        }
    }

    #[test]
    fn a_time_prints_as_it_is_read() {
        for token in
            ["10:00:00", "10:00:00.25", "2026-01-02T10:00:00Z", "+5m", "+1h5m", "1767261600000"]
        {
            assert_eq!(Time::parse(token).unwrap().to_string(), token);
        }
    }
}
