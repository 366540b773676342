//! `collect-list` and `collect-set`.
//!
//! Values are kept encoded, one behind the other, so that adding to a long list copies bytes and builds no values.
//! Equal values have equal bytes, so a set compares those.

use super::{Room, u32_of};
use crate::{Broken, Value, fault::Wrong, reader::Reader, value};

/// The first values that came, in that order, until one had no room: from then on it is `closed`, so that it stays a
/// prefix of what came, and merging two gives what adding in sequence would.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Collected {
    closed: bool,
    count: u32,
    bytes: Vec<u8>,
}

impl Collected {
    pub(super) fn add(&mut self, value: &Value, max: u32, room: Room) -> Result<(), Wrong> {
        room.check(value)?;
        if self.is_open(max) {
            let end = self.bytes.len();
            value.encode(&mut self.bytes);
            self.keep_from(end, room);
        }
        Ok(())
    }

    pub(super) fn add_once(&mut self, value: &Value, max: u32, room: Room) -> Result<(), Wrong> {
        room.check(value)?;
        if self.is_open(max) {
            let end = self.bytes.len();
            value.encode(&mut self.bytes);
            let (before, new) = self.bytes.split_at(end);
            if elements(before).any(|element| element == new) {
                self.bytes.truncate(end);
            } else {
                self.keep_from(end, room);
            }
        }
        Ok(())
    }

    fn is_open(&self, max: u32) -> bool {
        !self.closed && self.count < max
    }

    /// Counts the element behind `end`, or drops it where it is too much.
    fn keep_from(&mut self, end: usize, room: Room) {
        if self.bytes.len() > room.state_bytes {
            self.bytes.truncate(end);
            self.closed = true;
        } else {
            self.count += 1;
        }
    }

    /// Takes out the last element that equals the value, as ksqlDB does. One that was not kept is not missed.
    pub(super) fn undo(&mut self, value: &Value) {
        let mut encoded = Vec::new();
        value.encode(&mut encoded);
        let mut at = 0;
        let mut found = None;
        for element in elements(&self.bytes) {
            if element == encoded {
                found = Some(at);
            }
            at += element.len();
        }
        if let Some(at) = found {
            self.bytes.drain(at..at + encoded.len());
            self.count -= 1;
            self.closed = false;
        }
    }

    pub(super) fn merge(&mut self, later: &Collected, max: u32, room: Room) {
        for element in elements(&later.bytes) {
            self.append(element, max, room);
        }
        self.close_with(later, max);
    }

    pub(super) fn merge_once(&mut self, later: &Collected, max: u32, room: Room) {
        for element in elements(&later.bytes) {
            if !elements(&self.bytes).any(|kept| kept == element) {
                self.append(element, max, room);
            }
        }
        self.close_with(later, max);
    }

    fn append(&mut self, element: &[u8], max: u32, room: Room) {
        if self.is_open(max) {
            let end = self.bytes.len();
            self.bytes.extend_from_slice(element);
            self.keep_from(end, room);
        }
    }

    /// What had no room in `later` alone has none here; where this is full by number, nobody asked.
    fn close_with(&mut self, later: &Collected, max: u32) {
        self.closed |= later.closed && self.is_open(max);
    }

    pub(super) fn result(&self) -> Value {
        let items = elements(&self.bytes).map(|element| {
            Value::decode(element).expect("elements are encoded here or checked when decoded")
        });
        Value::List(items.collect())
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.closed));
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&u32_of(self.bytes.len()));
        out.extend_from_slice(&self.bytes);
    }

    pub(super) fn decode(&mut self, reader: &mut Reader<'_>) -> Result<(), Broken> {
        self.closed = reader.flag()?;
        self.count = reader.u32()?;
        let length = reader.u32()?;
        let bytes = reader.take(length as usize)?;
        let mut inner = Reader::new(bytes);
        for _ in 0..self.count {
            value::skip(&mut inner)?;
        }
        inner.end()?;
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

/// The encodings of the values in `bytes`, which have been checked.
fn elements(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut reader = Reader::new(bytes);
    std::iter::from_fn(move || {
        let start = reader.at();
        if reader.is_empty() {
            return None;
        }
        value::skip(&mut reader).expect("elements are encoded here or checked when decoded");
        Some(&bytes[start..reader.at()])
    })
}
