//! From cases to text. What is printed reads back as the same case.

use std::fmt;

use super::model::{Case, Expected, Given, Input, Named, Part, Step, Stimulus};

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "case {}", self.title)?;
        self.given.iter().try_for_each(|given| writeln!(f, "{given}"))?;
        self.steps.iter().try_for_each(|step| step.fmt(f))
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Given::State { store, key, entry, value } => {
                write!(f, "given state {store} {}", key.token())?;
                entry.as_ref().map_or(Ok(()), |entry| write!(f, " {}", entry.bracketed()))?;
                write_behind_part(f, entry.is_some(), &value.to_string())
            }
            Given::Table { table, key, value } => {
                write!(f, "given table {table} {} {value}", key.token())
            }
            Given::Config { function, key, value } => {
                write!(f, "given config {function}.{key} {value}")
            }
            Given::Partitions(number) => write!(f, "given partitions {number}"),
            Given::Date(date) => write!(f, "given date {date}"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.stimulus)?;
        self.effects.iter().try_for_each(|effect| writeln!(f, "{}", effect.expected))
    }
}

/// Without a line break at the end.
impl fmt::Display for Stimulus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stimulus::In(input) => input.fmt(f),
            Stimulus::At(time) => write!(f, "at  {time}"),
            Stimulus::Restart => f.write_str("restart"),
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in  {}", self.topic)?;
        self.partition.map_or(Ok(()), |partition| write!(f, "/{partition}"))?;
        self.time.map_or(Ok(()), |time| write!(f, " {time}"))?;
        write!(f, " {} {}", self.key.token(), self.value)?;
        write_headers(f, &self.headers)
    }
}

/// Without a line break at the end.
impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Out { topic, partition, time, key, value, headers } => {
                write!(f, "out {topic}")?;
                partition.map_or(Ok(()), |partition| write!(f, "/{partition}"))?;
                time.map_or(Ok(()), |time| write!(f, " {time}"))?;
                write!(f, " {} {value}", key.token())?;
                match headers.as_deref() {
                    None => Ok(()),
                    Some([]) => f.write_str("\n  +"),
                    Some(headers) => write_headers(f, headers),
                }
            }
            Expected::Dead { function, key, value, reason } => {
                write!(f, "dead {function} {} {value}", key.token())?;
                write_reason(f, "\n  ! ", reason.as_deref())
            }
            Expected::Late { store, key, value } => {
                write!(f, "late {store} {} {value}", key.token())
            }
            Expected::Retry { function, attempt, reason } => {
                write!(f, "retry {function} {attempt}")?;
                write_reason(f, " ! ", reason.as_deref())
            }
            Expected::Pause { function, reason } => {
                write!(f, "pause {function}")?;
                write_reason(f, " ! ", reason.as_deref())
            }
            Expected::State { store, key, part, value } => {
                write!(f, "state {store} {}", key.token())?;
                part.as_ref().map_or(Ok(()), |part| write!(f, " {part}"))?;
                write_behind_part(f, part.is_some(), &value.to_string())
            }
            Expected::Table { table, key, value } => {
                write!(f, "table {table} {} {value}", key.token())
            }
            Expected::Timer { function, timer, key, due } => {
                write!(f, "timer {function}.{timer} {} ", key.token())?;
                match due {
                    Some(due) => due.fmt(f),
                    None => f.write_str("null"),
                }
            }
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Entry(key) => write!(f, "{}", key.bracketed()),
            Part::Window { start, end, inclusive } => {
                write!(f, "[{start},{end}{}", if *inclusive { "]" } else { ")" })
            }
        }
    }
}

/// Where there is no part, a text must not read as one.
fn write_behind_part(f: &mut fmt::Formatter<'_>, has_part: bool, value: &str) -> fmt::Result {
    let is_json = || serde_json::from_str::<serde::de::IgnoredAny>(value).is_ok();
    if !has_part && value.starts_with('[') && !is_json() {
        write!(f, " {}", serde_json::Value::from(value))
    } else {
        write!(f, " {value}")
    }
}

fn write_headers(f: &mut fmt::Formatter<'_>, headers: &[Named]) -> fmt::Result {
    headers.iter().try_for_each(|header| {
        f.write_str("\n  + ")?;
        if is_name(&header.name) {
            f.write_str(&header.name)?;
        } else {
            write!(f, "{}", serde_json::Value::from(header.name.as_str()))?;
        }
        match header.value.bytes() {
            None => Ok(()),
            Some(_) => write!(f, " = {}", header.value),
        }
    })
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('"')
        && !name.contains(|char: char| char == '=' || char.is_whitespace() || char.is_control())
}

fn write_reason(f: &mut fmt::Formatter<'_>, before: &str, reason: Option<&str>) -> fmt::Result {
    let Some(reason) = reason else { return Ok(()) };
    f.write_str(before)?;
    let verbatim = !reason.is_empty()
        && !reason.starts_with('"')
        && reason.trim() == reason
        && !reason.contains(char::is_control);
    if verbatim { f.write_str(reason) } else { write!(f, "{}", serde_json::Value::from(reason)) }
}
