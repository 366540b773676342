//! The value of a joined row: both sides in one.

use crate::read::{Malformed, Reader, length32};

const LEFT: u8 = 1;
const RIGHT: u8 = 2;

/// Appends a joined row's value. A side that is not there is `None`, which is not the same as empty.
///
/// # Panics
/// Where the left side is 4 GiB or longer.
pub fn encode(left: Option<&[u8]>, right: Option<&[u8]>, into: &mut Vec<u8>) {
    let flags = left.map_or(0, |_| LEFT) | right.map_or(0, |_| RIGHT);
    let left = left.unwrap_or_default();
    into.push(flags);
    into.extend_from_slice(&length32(left.len()).to_le_bytes());
    into.extend_from_slice(left);
    into.extend_from_slice(right.unwrap_or_default());
}

/// A joined row's value, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined<'a> {
    /// `None`: it is not there.
    pub left: Option<&'a [u8]>,
    /// `None`: it is not there.
    pub right: Option<&'a [u8]>,
}

impl<'a> Joined<'a> {
    /// Reads what [`encode`] wrote.
    ///
    /// # Errors
    /// On an unknown flag, no side at all, bytes of a side that is not there, or an end that comes too early.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let [flags] = *reader.array()?;
        if flags == 0 || flags > LEFT | RIGHT {
            return Err(Malformed { at: 0, what: "unknown sides of a joined row" });
        }
        let length = reader.u32()? as usize;
        let left = reader.take(length)?;
        let right = reader.rest();
        if (flags & LEFT == 0 && !left.is_empty()) || (flags & RIGHT == 0 && !right.is_empty()) {
            return Err(Malformed { at: 0, what: "bytes of a side that is not there" });
        }
        Ok(Joined {
            left: (flags & LEFT != 0).then_some(left),
            right: (flags & RIGHT != 0).then_some(right),
        })
    }
}
