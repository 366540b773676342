//! `first` and `last`, by event time.

use super::Room;
use crate::{Broken, Value, fault::Wrong, reader::Reader, value};

/// The value at the earliest or latest time so far.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Edge(Option<(i64, Value)>);

impl Edge {
    /// Takes the value where its time `beats` that of the one that is kept; whether ties do decides between first
    /// and last.
    pub(super) fn take(
        &mut self,
        value: &Value,
        at_millis: i64,
        room: Room,
        beats: impl Fn(i64, i64) -> bool,
    ) -> Result<(), Wrong> {
        room.check(value)?;
        self.offer(value, at_millis, beats);
        Ok(())
    }

    pub(super) fn merge(
        &mut self,
        later: &Edge,
        beats: impl Fn(i64, i64) -> bool,
    ) -> Result<(), Wrong> {
        if let Some((at_millis, value)) = &later.0 {
            self.offer(value, *at_millis, beats);
        }
        Ok(())
    }

    fn offer(&mut self, value: &Value, at_millis: i64, beats: impl Fn(i64, i64) -> bool) {
        if self.0.as_ref().is_none_or(|(kept, _)| beats(at_millis, *kept)) {
            self.0 = Some((at_millis, value.clone()));
        }
    }

    pub(super) fn result(&self) -> Value {
        self.0.as_ref().map_or(Value::Null, |(_, value)| value.clone())
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.0.is_some()));
        if let Some((at_millis, value)) = &self.0 {
            out.extend_from_slice(&at_millis.to_le_bytes());
            value.encode(out);
        }
    }

    pub(super) fn decode(&mut self, reader: &mut Reader<'_>) -> Result<(), Broken> {
        self.0 = if reader.flag()? { Some((reader.i64()?, value::read(reader)?)) } else { None };
        Ok(())
    }
}
