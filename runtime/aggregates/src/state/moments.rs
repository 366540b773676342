//! `variance` and `stddev`, of a sample: divided by one less than there are values.
//!
//! Welford's method to add, Chan, Golub and LeVeque's to merge: no difference of two large sums, so values that are
//! close to each other and far from zero keep their digits.

use super::{count_down, count_up, number};
use crate::{Broken, Value, fault::Wrong, reader::Reader};

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Moments {
    count: i64,
    mean: f64,
    /// The sum of the squared distances from the mean.
    squares: f64,
}

impl Moments {
    #[inline]
    pub(super) fn add(&mut self, value: &Value) -> Result<(), Wrong> {
        let number = number(value)?;
        count_up(&mut self.count, 1)?;
        let distance = number - self.mean;
        self.mean += distance / self.count as f64;
        self.squares += distance * (number - self.mean);
        Ok(())
    }

    pub(super) fn undo(&mut self, value: &Value) -> Result<(), Wrong> {
        let number = number(value)?;
        count_down(&mut self.count)?;
        if self.count == 0 {
            *self = Moments::default();
            return Ok(());
        }
        let distance = number - self.mean;
        self.mean -= distance / self.count as f64;
        // Rounding must not leave a negative sum of squares. (`max` would turn a NaN into 0.)
        let squares = self.squares - distance * (number - self.mean);
        self.squares = if squares < 0.0 { 0.0 } else { squares };
        Ok(())
    }

    pub(super) fn merge(&mut self, later: &Moments) -> Result<(), Wrong> {
        if later.count == 0 {
            return Ok(());
        }
        if self.count == 0 {
            *self = *later;
            return Ok(());
        }
        let (before, added) = (self.count as f64, later.count as f64);
        count_up(&mut self.count, later.count)?;
        let all = self.count as f64;
        let distance = later.mean - self.mean;
        self.mean += distance * (added / all);
        self.squares += later.squares + distance * distance * (before * added / all);
        Ok(())
    }

    pub(super) fn variance(&self) -> Value {
        self.spread().map_or(Value::Null, Value::Float)
    }

    pub(super) fn deviation(&self) -> Value {
        self.spread().map_or(Value::Null, |variance| Value::Float(variance.sqrt()))
    }

    fn spread(&self) -> Option<f64> {
        (self.count > 1).then(|| self.squares / (self.count - 1) as f64)
    }

    #[inline]
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.mean.to_le_bytes());
        out.extend_from_slice(&self.squares.to_le_bytes());
    }

    #[inline]
    pub(super) fn decode(&mut self, reader: &mut Reader<'_>) -> Result<(), Broken> {
        *self = Moments { count: reader.count()?, mean: reader.f64()?, squares: reader.f64()? };
        Ok(())
    }
}
