//! `percentile`: DDSketch, from `sketches-ddsketch`.
//!
//! Buckets whose bounds grow by 2 %, so the result is within 1 % of the value at rank floor(fraction * (n - 1)), the
//! smallest having rank 0. Values nearer to zero than 1e-9 count as zero. 2048 buckets of each sign span a factor of
//! 5e17; where values are further apart, those nearest to zero lose the guarantee. Buckets are counts, so merging
//! gives exactly what adding would.

use sketches_ddsketch::{Config, DDSketch};

use super::{number, u32_of};
use crate::{Broken, Value, fault::Wrong, reader::Reader};

mod check;

/// The largest encoding: of both signs 2048 buckets, each a distance of at most 3 bytes and a count of at most 9;
/// and some fields.
pub(crate) const BYTES_MAX: usize = 2 * check::BUCKETS_MAX * 12 + 128;

/// The sketch; `None` before the first value.
#[derive(Clone, Default)]
pub(crate) struct Percentile(Option<Box<DDSketch>>);

impl Percentile {
    pub(super) fn add(&mut self, value: &Value) -> Result<(), Wrong> {
        let number = number(value)?;
        if !number.is_finite() {
            return Err(Wrong::Type {
                expected: "a finite number",
                found: "an infinite one or NaN",
            });
        }
        self.grow(1)?;
        self.0.get_or_insert_with(|| Box::new(DDSketch::new(Config::defaults()))).add(number);
        Ok(())
    }

    /// Whether `by` more values can be counted: the encoding has its counts as floats, which are exact below 2^53.
    fn grow(&self, by: usize) -> Result<(), Wrong> {
        let count = self.0.as_ref().map_or(0, |sketch| sketch.count());
        if count.saturating_add(by) > check::COUNT_MAX { Err(Wrong::Overflow) } else { Ok(()) }
    }

    pub(super) fn merge(&mut self, later: &Percentile) -> Result<(), Wrong> {
        let Some(later) = &later.0 else { return Ok(()) };
        self.grow(later.count())?;
        match &mut self.0 {
            None => self.0 = Some(later.clone()),
            Some(sketch) => {
                sketch.merge(later).expect("all sketches have the default configuration")
            }
        }
        Ok(())
    }

    pub(super) fn result(&self, fraction: f64) -> Value {
        let Some(sketch) = &self.0 else { return Value::Null };
        let estimate =
            sketch.quantile(fraction).expect("an aggregate's fraction is between 0 and 1");
        match (estimate, sketch.min(), sketch.max()) {
            // A bucket's middle may lie beyond what came.
            (Some(estimate), Some(min), Some(max)) => Value::Float(estimate.max(min).min(max)),
            _ => Value::Null,
        }
    }

    /// A u32 length and the sketch's own encoding, which Datadog's Java library reads; empty before the first value.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let bytes = self.0.as_ref().map_or_else(Vec::new, |sketch| sketch.to_java_bytes());
        out.extend_from_slice(&u32_of(bytes.len()));
        out.extend_from_slice(&bytes);
    }

    pub(super) fn decode(&mut self, reader: &mut Reader<'_>) -> Result<(), Broken> {
        let length = reader.u32()? as usize;
        let broken = reader.broken("this is no sketch of percentiles");
        let bytes = reader.take(length)?;
        if bytes.is_empty() {
            self.0 = None;
            return Ok(());
        }
        // The library's decoder believes its input: a bucket far out, or a count too many, makes it overflow.
        check::encoding(bytes).map_err(|_| broken)?;
        let sketch = DDSketch::from_java_bytes(bytes).map_err(|_| broken)?;
        self.0 = Some(Box::new(sketch));
        Ok(())
    }
}

impl PartialEq for Percentile {
    fn eq(&self, other: &Self) -> bool {
        let bytes = |sketch: &Percentile| sketch.0.as_ref().map(|sketch| sketch.to_java_bytes());
        bytes(self) == bytes(other)
    }
}

impl std::fmt::Debug for Percentile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (count, median) =
            (self.0.as_ref().map_or(0, |sketch| sketch.count()), self.result(0.5));
        f.debug_struct("Percentile").field("count", &count).field("median", &median).finish()
    }
}
