//! `count-distinct`: HyperLogLog, from Apache DataSketches.
//!
//! 4096 registers of a byte. Up to a few hundred distinct values the sketch keeps their hashes and is exact but for
//! collisions of 26 bits; above, its relative standard error is 1.04 / sqrt(4096) = 1.6 %. The estimate used is the
//! one that does not depend on the order of the values, so that merging gives what adding would.

use datasketches::{
    hash::value::raw_bytes,
    hll::{HllSketch, HllType, HllUnion},
};

use super::u32_of;
use crate::{Broken, Value, fault::Wrong, reader::Reader};

/// The binary logarithm of the number of registers.
const LG_K: u8 = 12;

const REGISTERS: usize = 1 << LG_K;

/// Where the registers start in the sketch's own encoding, and where its other fields are.
const HEADER_BYTES: usize = 40;
const INVERSE_LOW_AT: usize = 16;
const INVERSE_HIGH_AT: usize = 24;
const ZEROS_AT: usize = 32;

/// The largest encoding.
pub(crate) const BYTES_MAX: usize = HEADER_BYTES + REGISTERS;

/// The sketch; `None` before the first value.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Distinct(Option<Box<HllSketch>>);

impl Distinct {
    pub(super) fn add(&mut self, value: &Value) -> Result<(), Wrong> {
        if !value.is_within(crate::DEPTH_MAX) {
            return Err(Wrong::TooDeep);
        }
        // The encoding says what kind of value it is, so 1 and "1" differ.
        let mut bytes = Vec::with_capacity(value.encoded_bytes());
        value.encode(&mut bytes);
        let sketch = self.0.get_or_insert_with(|| {
            let sketch = HllSketch::new(LG_K, HllType::Hll8);
            Box::new(sketch.expect("12 is within what the sketch allows"))
        });
        sketch.update(raw_bytes::from_slice(&bytes));
        Ok(())
    }

    pub(super) fn merge(&mut self, later: &Distinct) {
        let Some(later) = &later.0 else { return };
        let Some(sketch) = &mut self.0 else {
            self.0 = Some(later.clone());
            return;
        };
        let mut union = HllUnion::new(LG_K).expect("12 is within what the sketch allows");
        union.update(sketch);
        union.update(later);
        **sketch = union.to_sketch(HllType::Hll8);
    }

    pub(super) fn result(&self) -> Value {
        let estimate = self.0.as_ref().map_or(0.0, |sketch| sketch.composite_estimate());
        #[expect(clippy::cast_possible_truncation, reason = "rounded, and `as` keeps to the range")]
        let rounded = estimate.round() as i64;
        Value::Int(rounded)
    }

    /// A u32 length and the sketch's own encoding, which other DataSketches libraries read; empty before the first
    /// value.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let bytes = self.0.as_ref().map_or_else(Vec::new, |sketch| sketch.serialize());
        out.extend_from_slice(&u32_of(bytes.len()));
        out.extend_from_slice(&bytes);
    }

    pub(super) fn decode(&mut self, reader: &mut Reader<'_>) -> Result<(), Broken> {
        let length = reader.u32()? as usize;
        let broken = reader.broken("this is no sketch of distinct values");
        let bytes = reader.take(length)?;
        if bytes.is_empty() {
            self.0 = None;
            return Ok(());
        }
        match HllSketch::deserialize(bytes) {
            Ok(sketch) if sketch.lg_config_k() == LG_K && sketch.target_type() == HllType::Hll8 => {
                if length >= BYTES_MAX && !registers_agree(bytes) {
                    return Err(broken);
                }
                self.0 = Some(Box::new(sketch));
                Ok(())
            }
            _ => Err(broken),
        }
    }
}

/// Whether registers and the fields that are computed from them can be true: the sketch believes them, and shifts by
/// the ones and counts down from the others.
fn registers_agree(bytes: &[u8]) -> bool {
    let registers = &bytes[HEADER_BYTES..BYTES_MAX];
    let zeros = registers.iter().filter(|register| **register == 0).count();
    let inverse = |at| {
        let float = Reader::new(&bytes[at..]).f64();
        float.is_ok_and(|float| (0.0..=REGISTERS as f64).contains(&float))
    };
    bytes.len() == BYTES_MAX
        && registers.iter().all(|register| *register < 64)
        && inverse(INVERSE_LOW_AT)
        && inverse(INVERSE_HIGH_AT)
        && Reader::new(&bytes[ZEROS_AT..]).u32().is_ok_and(|stored| stored as usize == zeros)
}
