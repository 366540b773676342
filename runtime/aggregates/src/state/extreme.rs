//! `min` and `max`.

use std::cmp::Ordering;

use super::{Room, comparable, scalar};
use crate::{Broken, Value, fault::Wrong, reader::Reader, value};

/// The smallest or largest value so far, Null before the first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Extreme(Value);

impl Default for Extreme {
    fn default() -> Self {
        Extreme(Value::Null)
    }
}

impl Extreme {
    /// Takes the value where it is `Less` than the one that is kept, or `Greater`, as is `wanted`.
    #[inline]
    pub(super) fn take(
        &mut self,
        value: &Value,
        room: Room,
        wanted: Ordering,
    ) -> Result<(), Wrong> {
        if let (Value::Int(new), Value::Int(old)) = (value, &mut self.0) {
            if (*new).cmp(old) == wanted {
                *old = *new;
            }
            return Ok(());
        }
        self.take_other(value, room, wanted)
    }

    fn take_other(&mut self, value: &Value, room: Room, wanted: Ordering) -> Result<(), Wrong> {
        scalar(value)?;
        room.check(value)?;
        if !self.0.is_null() {
            comparable(value, &self.0)?;
            if value.cmp(&self.0) != wanted {
                return Ok(());
            }
        }
        self.0 = value.clone();
        Ok(())
    }

    pub(super) fn merge(
        &mut self,
        later: &Extreme,
        room: Room,
        wanted: Ordering,
    ) -> Result<(), Wrong> {
        if later.0.is_null() { Ok(()) } else { self.take(&later.0, room, wanted) }
    }

    pub(super) fn result(&self) -> Value {
        self.0.clone()
    }

    #[inline]
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }

    #[inline]
    pub(super) fn decode(&mut self, reader: &mut Reader<'_>) -> Result<(), Broken> {
        let value = value::read(reader)?;
        if scalar(&value).is_err() {
            return Err(reader.broken("a list or struct is no smallest or largest value"));
        }
        self.0 = value;
        Ok(())
    }
}
