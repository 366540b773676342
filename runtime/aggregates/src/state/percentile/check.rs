//! Whether bytes are what a DDSketch of ours encodes to.
//!
//! | order | flag | field |
//! |---|---|---|
//! | 1 | 0xa0 | number of values: var double |
//! | 2 | 0x88 | smallest value: f64 |
//! | 3 | 0x8c | largest value: f64 |
//! | 4 | 0x84 | sum of the values: f64; left out where it is 0 |
//! | 5 | 0x02 | growth of the buckets, f64, and an offset, f64 0 |
//! | 6 | 0x04 | number of zeros: var double; left out where it is 0 |
//! | 7 | 0x05 | buckets of positive values; left out where there are none |
//! | 8 | 0x07 | buckets of negative values; left out where there are none |
//!
//! Buckets are a var long of how many follow, and for each a signed var long, the distance from the bucket before, and
//! a var double, its count. A var double is a float with its bits turned so that small whole numbers are short.

use sketches_ddsketch::Config;

use crate::{Broken, reader::Reader};

/// The most buckets of one sign.
pub(super) const BUCKETS_MAX: usize = 2_048;

/// The most values of a sketch: a var double is exact for a number whose successor is a float too.
pub(super) const COUNT_MAX: usize = (1 << 53) - 1;

const COUNT: u8 = 0xa0;
const MIN: u8 = 0x88;
const MAX: u8 = 0x8c;
const SUM: u8 = 0x84;
const MAPPING: u8 = 0x02;
const ZEROS: u8 = 0x04;
const POSITIVE: u8 = 0x05;
const NEGATIVE: u8 = 0x07;

pub(super) fn encoding(bytes: &[u8]) -> Result<(), Broken> {
    let reader = &mut Reader::new(bytes);
    let all = field(reader, COUNT, var_count)?.ok_or(reader.broken("the count is missing"))?;
    let min = field(reader, MIN, Reader::f64)?.ok_or(reader.broken("the smallest is missing"))?;
    let max = field(reader, MAX, Reader::f64)?.ok_or(reader.broken("the largest is missing"))?;
    if !(min.is_finite() && max.is_finite() && min <= max) {
        return Err(reader.broken("the smallest and the largest are no range"));
    }
    field(reader, SUM, Reader::f64)?;
    let mapping = field(reader, MAPPING, |reader| Ok((reader.f64()?, reader.f64()?)))?;
    if mapping != Some((Config::defaults().gamma, 0.0)) {
        return Err(reader.broken("the buckets are of another kind"));
    }
    let zeros = field(reader, ZEROS, var_count)?.unwrap_or(0);
    let positive = field(reader, POSITIVE, buckets)?.unwrap_or(0);
    let negative = field(reader, NEGATIVE, buckets)?.unwrap_or(0);
    reader.end()?;
    // Each is below 2^53 times the number of buckets, so the sum is below 2^66: in 128 bits.
    if zeros + positive + negative != all || all > COUNT_MAX as u128 {
        return Err(reader.broken("the counts do not add up"));
    }
    Ok(())
}

/// What follows the flag, where the flag is there.
fn field<'a, T>(
    reader: &mut Reader<'a>,
    flag: u8,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, Broken>,
) -> Result<Option<T>, Broken> {
    let mut ahead = *reader;
    if ahead.is_empty() || ahead.u8()? != flag {
        return Ok(None);
    }
    *reader = ahead;
    read(reader).map(Some)
}

/// The sum of the counts.
fn buckets(reader: &mut Reader<'_>) -> Result<u128, Broken> {
    let number = var_long(reader)?;
    if !(1..=BUCKETS_MAX as u64).contains(&number) {
        return Err(reader.broken("there are too many buckets"));
    }
    let config = Config::defaults();
    let within = config.key(config.min_possible()) - 1..=config.key(f64::MAX) + 1;
    let mut at: i64 = 0;
    let mut all = 0;
    for bucket in 0..number {
        let distance = var_long(reader)?;
        let distance = (distance >> 1).cast_signed() ^ -(distance & 1).cast_signed();
        at = at.checked_add(distance).ok_or(reader.broken("a bucket lies too far out"))?;
        if (bucket > 0 && distance <= 0) || !i32::try_from(at).is_ok_and(|at| within.contains(&at))
        {
            return Err(reader.broken("a bucket lies where none can"));
        }
        all += var_count(reader)?;
    }
    Ok(all)
}

/// LEB128 whose ninth byte has eight bits.
fn var_long(reader: &mut Reader<'_>) -> Result<u64, Broken> {
    let mut number = 0;
    for shift in (0..56).step_by(7) {
        let byte = reader.u8()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Ok(number | u64::from(reader.u8()?) << 56)
}

/// A var double that is a whole number from 1 to [`COUNT_MAX`].
fn var_count(reader: &mut Reader<'_>) -> Result<u128, Broken> {
    let mut bits = 0;
    let mut shift = 57;
    loop {
        let byte = reader.u8()?;
        if shift == 1 {
            bits |= u64::from(byte);
            break;
        }
        bits |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
        shift -= 7;
    }
    let count = f64::from_bits(bits.rotate_right(6).wrapping_add(1f64.to_bits())) - 1.0;
    if count.fract() != 0.0 || !(1.0..=COUNT_MAX as f64).contains(&count) {
        return Err(reader.broken("a count is none"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    let count = count as u128;
    Ok(count)
}
