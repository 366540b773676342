//! Checked reading of encoded rows and values: nothing here panics, whatever the bytes.

/// The bytes are not what this crate writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct Broken {
    /// Where, in bytes from the start.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// A position in untrusted bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0 }
    }

    #[inline]
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    #[inline]
    pub(crate) fn broken(&self, what: &'static str) -> Broken {
        Broken { at: self.at, what }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    #[inline]
    pub(crate) fn end(&self) -> Result<(), Broken> {
        if self.is_empty() { Ok(()) } else { Err(self.broken("there are bytes too many")) }
    }

    #[inline]
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Broken> {
        let taken = self.bytes[self.at..]
            .get(..length)
            .ok_or_else(|| self.broken("the bytes end too early"))?;
        self.at += length;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let taken = self.bytes[self.at..]
            .first_chunk()
            .ok_or_else(|| self.broken("the bytes end too early"))?;
        self.at += N;
        Ok(*taken)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, Broken> {
        self.array().map(|[byte]| byte)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, Broken> {
        self.array().map(u32::from_le_bytes)
    }

    #[inline]
    pub(crate) fn i64(&mut self) -> Result<i64, Broken> {
        self.array().map(i64::from_le_bytes)
    }

    #[inline]
    pub(crate) fn i128(&mut self) -> Result<i128, Broken> {
        self.array().map(i128::from_le_bytes)
    }

    #[inline]
    pub(crate) fn f64(&mut self) -> Result<f64, Broken> {
        self.array().map(f64::from_le_bytes)
    }

    /// Passes the next byte where it is this one.
    #[inline]
    pub(crate) fn next_is(&mut self, byte: u8) -> bool {
        let is = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(is);
        is
    }

    /// 0 or 1.
    #[inline]
    pub(crate) fn flag(&mut self) -> Result<bool, Broken> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.broken("a flag is neither 0 nor 1")),
        }
    }

    /// A number that counts something.
    #[inline]
    pub(crate) fn count(&mut self) -> Result<i64, Broken> {
        let count = self.i64()?;
        if count < 0 { Err(self.broken("a count is negative")) } else { Ok(count) }
    }

    /// LEB128 in as few bytes as the number needs.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Broken> {
        let mut number = 0;
        let mut shift = 0;
        for byte in &self.bytes[self.at..] {
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && *byte > 1 {
                return Err(self.broken("a number is above 64 bits"));
            }
            number |= bits << shift;
            shift += 7;
            if *byte < 0x80 {
                if *byte == 0 && shift > 7 {
                    return Err(self.broken("a number is longer than it needs to be"));
                }
                self.at += shift / 7;
                return Ok(number);
            }
        }
        Err(self.broken("the bytes end too early"))
    }

    /// A varint length and as many bytes.
    #[inline]
    pub(crate) fn sized(&mut self) -> Result<&'a [u8], Broken> {
        let length = self.varint()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// A varint length and as many bytes of UTF-8.
    #[inline]
    pub(crate) fn text(&mut self) -> Result<&'a str, Broken> {
        let bytes = self.sized()?;
        std::str::from_utf8(bytes).map_err(|_| self.broken("text is not UTF-8"))
    }
}
