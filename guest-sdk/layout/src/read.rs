//! Checked reading of little-endian integers and byte ranges.

use std::fmt;

/// The bytes do not follow the layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// Where, in bytes from the start of what was read.
    pub at: usize,
    /// What was wrong there.
    pub what: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

impl std::error::Error for Malformed {}

/// A position in untrusted bytes. Reads past the end are [`Malformed`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { at: self.at, what }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    #[inline]
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..length).ok_or(self.malformed("bytes end too early"))?;
        self.at += length;
        Ok(taken)
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        self.at = self.bytes.len();
        rest
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], Malformed> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("take gives the length it was asked for"))
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(*self.array()?))
    }

    #[inline]
    pub(crate) fn i32(&mut self) -> Result<i32, Malformed> {
        Ok(i32::from_le_bytes(*self.array()?))
    }

    #[inline]
    pub(crate) fn i64(&mut self) -> Result<i64, Malformed> {
        Ok(i64::from_le_bytes(*self.array()?))
    }

    pub(crate) fn text(&mut self, length: usize) -> Result<&'a str, Malformed> {
        let at = self.at;
        std::str::from_utf8(self.take(length)?)
            .map_err(|_| Malformed { at, what: "text is not UTF-8" })
    }
}

/// The four bytes at `at` of a fixed-size header.
#[inline]
pub(crate) fn word<const N: usize>(header: &[u8; N], at: usize) -> [u8; 4] {
    [header[at], header[at + 1], header[at + 2], header[at + 3]]
}

/// The eight bytes at `at` of a fixed-size header.
#[inline]
pub(crate) fn double_word<const N: usize>(header: &[u8; N], at: usize) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&header[at..at + 8]);
    bytes
}

/// A length that goes on the wire.
///
/// # Panics
/// Where it does not fit: a writer's input is its own side's, and lists across the boundary are below 4 GiB.
#[inline]
pub(crate) fn length32(length: usize) -> u32 {
    u32::try_from(length).expect("a batch is far below 4 GiB")
}

/// A length that goes on the wire signed, since negative ones have meanings.
///
/// # Panics
/// As [`length32`], at 2 GiB.
#[inline]
pub(crate) fn signed_length(length: usize) -> i32 {
    i32::try_from(length).expect("a key or value is far below 2 GiB")
}
