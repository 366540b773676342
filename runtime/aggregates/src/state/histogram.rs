//! `histogram`: how often each distinct value came.

use std::{collections::BTreeMap, fmt::Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Room, count_up, scalar, u32_of};
use crate::{Broken, Value, fault::Wrong, reader::Reader, value};

/// Counts by the text of the value, in the order in which the values first came. Once there is no room for a new
/// value, it is not counted, and those that are there go on.
///
/// Entries are kept encoded: an i64 count, a varint length, the text.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Histogram {
    distinct: u32,
    bytes: Vec<u8>,
}

const COUNT_BYTES: usize = 8;

impl Histogram {
    pub(super) fn add(&mut self, value: &Value, max: u32, room: Room) -> Result<(), Wrong> {
        room.check(value)?;
        let text = text(value)?;
        self.count(text.as_bytes(), 1, max, room)
    }

    fn count(&mut self, text: &[u8], by: i64, max: u32, room: Room) -> Result<(), Wrong> {
        if let Some(at) = self.find(text) {
            let mut count = self.count_at(at);
            count_up(&mut count, by)?;
            self.bytes[at..at + COUNT_BYTES].copy_from_slice(&count.to_le_bytes());
            return Ok(());
        }
        if self.distinct < max {
            let end = self.bytes.len();
            self.bytes.extend_from_slice(&by.to_le_bytes());
            value::sized(&mut self.bytes, text);
            if self.bytes.len() > room.state_bytes {
                self.bytes.truncate(end);
            } else {
                self.distinct += 1;
            }
        }
        Ok(())
    }

    /// One less of the value. One that was not counted, for want of room, is not missed.
    pub(super) fn undo(&mut self, value: &Value) -> Result<(), Wrong> {
        let text = text(value)?;
        let Some(at) = self.find(text.as_bytes()) else { return Ok(()) };
        let count = self.count_at(at) - 1;
        if count > 0 {
            self.bytes[at..at + COUNT_BYTES].copy_from_slice(&count.to_le_bytes());
        } else {
            let mut reader = Reader::new(&self.bytes[at..]);
            pass(&mut reader);
            let end = at + reader.at();
            self.bytes.drain(at..end);
            self.distinct -= 1;
        }
        Ok(())
    }

    pub(super) fn merge(&mut self, later: &Histogram, max: u32, room: Room) -> Result<(), Wrong> {
        later
            .entries()
            .try_for_each(|(_, count, text)| self.count(text.as_bytes(), count, max, room))
    }

    fn find(&self, text: &[u8]) -> Option<usize> {
        self.entries().find(|(_, _, found)| found.as_bytes() == text).map(|(at, ..)| at)
    }

    fn count_at(&self, at: usize) -> i64 {
        Reader::new(&self.bytes[at..]).count().expect(CHECKED)
    }

    /// Where each entry starts, its count, its text.
    fn entries(&self) -> impl Iterator<Item = (usize, i64, &str)> {
        let mut reader = Reader::new(&self.bytes);
        std::iter::from_fn(move || {
            let at = reader.at();
            (!reader.is_empty()).then(|| {
                let (count, text) = pass(&mut reader);
                (at, count, text)
            })
        })
    }

    pub(super) fn result(&self) -> Value {
        let sorted: BTreeMap<&str, i64> =
            self.entries().map(|(_, count, text)| (text, count)).collect();
        let fields = sorted.into_iter().map(|(text, count)| (text.to_owned(), Value::Int(count)));
        Value::Struct(fields.collect())
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.distinct.to_le_bytes());
        out.extend_from_slice(&u32_of(self.bytes.len()));
        out.extend_from_slice(&self.bytes);
    }

    pub(super) fn decode(&mut self, reader: &mut Reader<'_>) -> Result<(), Broken> {
        self.distinct = reader.u32()?;
        let length = reader.u32()?;
        let bytes = reader.take(length as usize)?;
        let mut inner = Reader::new(bytes);
        for _ in 0..self.distinct {
            if inner.count()? == 0 {
                return Err(inner.broken("a value of a histogram never came"));
            }
            inner.text()?;
        }
        inner.end()?;
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

const CHECKED: &str = "entries are encoded here or checked when decoded";

fn pass<'a>(reader: &mut Reader<'a>) -> (i64, &'a str) {
    let count = reader.count().expect(CHECKED);
    (count, reader.text().expect(CHECKED))
}

/// The value as the name of its count.
fn text(value: &Value) -> Result<std::borrow::Cow<'_, str>, Wrong> {
    scalar(value)?;
    let mut text = String::new();
    let written = match value {
        Value::Text(text) => return Ok(text.as_str().into()),
        Value::Bool(bool) => write!(text, "{bool}"),
        Value::Int(int) => write!(text, "{int}"),
        Value::Float(float) => write!(text, "{float:?}"),
        Value::Bytes(bytes) => {
            STANDARD.encode_string(bytes, &mut text);
            Ok(())
        }
        Value::Null | Value::List(_) | Value::Struct(_) => write!(text, "null"),
    };
    written.expect("a String takes whatever is written");
    Ok(text.into())
}
