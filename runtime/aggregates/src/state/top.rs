//! `top-k`.

use super::{Room, comparable, scalar};
use crate::{Broken, Value, fault::Wrong, reader::Reader, value};

/// The largest values so far, the largest first; equal ones as often as they came.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Top(Vec<Value>);

impl Top {
    pub(super) fn add(&mut self, value: &Value, k: u32, room: Room) -> Result<(), Wrong> {
        scalar(value)?;
        // Each of the k may be as large as this one.
        let value_bytes = room.value_bytes.min(room.state_bytes / k as usize);
        Room { value_bytes, ..room }.check(value)?;
        self.offer(value, k)
    }

    fn offer(&mut self, value: &Value, k: u32) -> Result<(), Wrong> {
        if let Some(largest) = self.0.first() {
            comparable(value, largest)?;
        }
        let at = self.0.partition_point(|kept| kept >= value);
        if at < k as usize {
            self.0.truncate(k as usize - 1);
            self.0.insert(at, value.clone());
        }
        Ok(())
    }

    pub(super) fn merge(&mut self, later: &Top, k: u32) -> Result<(), Wrong> {
        later.0.iter().try_for_each(|value| self.offer(value, k))
    }

    pub(super) fn result(&self) -> Value {
        Value::List(self.0.clone())
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&super::u32_of(self.0.len()));
        for value in &self.0 {
            value.encode(out);
        }
    }

    pub(super) fn decode(&mut self, reader: &mut Reader<'_>) -> Result<(), Broken> {
        let values = &mut self.0;
        values.clear();
        for _ in 0..reader.u32()? {
            let value = value::read(reader)?;
            let fits = values
                .last()
                .is_none_or(|before| value <= *before && value.is_comparable_to(before));
            if !fits || value.is_null() || scalar(&value).is_err() {
                return Err(reader.broken("the largest values are not in order"));
            }
            values.push(value);
        }
        Ok(())
    }
}
