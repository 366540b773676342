//! `sum`: whole numbers exactly, floats beside them.

use super::{count_up, not_a_number};
use crate::{Broken, Value, fault::Wrong, reader::Reader};

/// Ints and Floats are summed apart, so that the Ints stay exact. Once a Float has come, the result is a Float.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Sum {
    ints: i64,
    floats: Option<f64>,
}

impl Sum {
    #[inline]
    pub(super) fn add(&mut self, value: &Value) -> Result<(), Wrong> {
        match value {
            Value::Int(int) => count_up(&mut self.ints, *int),
            Value::Float(float) => {
                *self.floats.get_or_insert(0.0) += float;
                Ok(())
            }
            other => Err(not_a_number(other)),
        }
    }

    pub(super) fn undo(&mut self, value: &Value) -> Result<(), Wrong> {
        match value {
            Value::Int(int) => {
                self.ints = self.ints.checked_sub(*int).ok_or(Wrong::Overflow)?;
                Ok(())
            }
            Value::Float(float) => {
                *self.floats.as_mut().ok_or(Wrong::NotAdded)? -= float;
                Ok(())
            }
            other => Err(not_a_number(other)),
        }
    }

    pub(super) fn merge(&mut self, later: &Sum) -> Result<(), Wrong> {
        if let Some(floats) = later.floats {
            *self.floats.get_or_insert(0.0) += floats;
        }
        count_up(&mut self.ints, later.ints)
    }

    pub(super) fn result(&self) -> Value {
        match self.floats {
            None => Value::Int(self.ints),
            Some(floats) => Value::Float(self.ints as f64 + floats),
        }
    }

    #[inline]
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.floats.is_some()));
        out.extend_from_slice(&self.ints.to_le_bytes());
        if let Some(floats) = self.floats {
            out.extend_from_slice(&floats.to_le_bytes());
        }
    }

    #[inline]
    pub(super) fn decode(&mut self, reader: &mut Reader<'_>) -> Result<(), Broken> {
        let has_floats = reader.flag()?;
        self.ints = reader.i64()?;
        self.floats = if has_floats { Some(reader.f64()?) } else { None };
        Ok(())
    }
}
