//! `avg`.

use super::{count_down, count_up, not_a_number};
use crate::{Broken, Value, fault::Wrong, reader::Reader};

/// Ints are summed in 128 bits, which i64 many of them cannot leave, so that only the division rounds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Mean {
    count: i64,
    ints: i128,
    floats: f64,
}

impl Mean {
    #[inline]
    pub(super) fn add(&mut self, value: &Value) -> Result<(), Wrong> {
        self.sum(value, 1)?;
        count_up(&mut self.count, 1)
    }

    pub(super) fn undo(&mut self, value: &Value) -> Result<(), Wrong> {
        self.sum(value, -1)?;
        count_down(&mut self.count)?;
        if self.count == 0 {
            // What rounding left behind goes with the last value.
            *self = Mean::default();
        }
        Ok(())
    }

    #[inline]
    fn sum(&mut self, value: &Value, sign: i8) -> Result<(), Wrong> {
        match value {
            Value::Int(int) => {
                let signed = i128::from(*int) * i128::from(sign);
                // Only a row that was not written here can hold a sum near the end of 128 bits.
                self.ints = self.ints.checked_add(signed).ok_or(Wrong::Overflow)?;
            }
            Value::Float(float) => self.floats += float * f64::from(sign),
            other => return Err(not_a_number(other)),
        }
        Ok(())
    }

    pub(super) fn merge(&mut self, later: &Mean) -> Result<(), Wrong> {
        self.ints = self.ints.checked_add(later.ints).ok_or(Wrong::Overflow)?;
        self.floats += later.floats;
        count_up(&mut self.count, later.count)
    }

    pub(super) fn result(&self) -> Value {
        if self.count == 0 {
            return Value::Null;
        }
        Value::Float((self.ints as f64 + self.floats) / self.count as f64)
    }

    #[inline]
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.ints.to_le_bytes());
        out.extend_from_slice(&self.floats.to_le_bytes());
    }

    #[inline]
    pub(super) fn decode(&mut self, reader: &mut Reader<'_>) -> Result<(), Broken> {
        *self = Mean { count: reader.count()?, ints: reader.i128()?, floats: reader.f64()? };
        Ok(())
    }
}
