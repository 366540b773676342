//! Record headers in their encoded form.

use crate::read::{Malformed, Reader, length32, signed_length};

/// One header: a name that may repeat, and a value or null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// UTF-8, as in Kafka's protocol.
    pub name: &'a str,
    /// Any bytes; `None` is null, which is not the same as empty.
    pub value: Option<&'a [u8]>,
}

/// Encoded headers that were checked when they came in, so that reading them cannot fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Headers<'a> {
    bytes: &'a [u8],
}

impl<'a> Headers<'a> {
    /// No headers.
    pub const EMPTY: Headers<'static> = Headers { bytes: &[] };

    /// Checks that `bytes` are headers.
    ///
    /// # Errors
    /// At the first byte that does not follow the layout.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            read(&mut reader)?;
        }
        Ok(Headers { bytes })
    }

    /// Takes bytes that were checked before, or were written by a [`HeadersWriter`]. Bytes that are neither lose
    /// the headers from the first one that cannot be read.
    #[inline]
    pub fn from_encoded(bytes: &'a [u8]) -> Self {
        Headers { bytes }
    }

    /// The encoded form.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The headers in order.
    pub fn iter(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let mut reader = Reader::new(self.bytes);
        std::iter::from_fn(move || if reader.is_empty() { None } else { read(&mut reader).ok() })
    }

    /// The value of the last header of that name, as Kafka's `lastHeader`.
    pub fn last(&self, name: &str) -> Option<Header<'a>> {
        self.iter().filter(|header| header.name == name).last()
    }
}

fn read<'a>(reader: &mut Reader<'a>) -> Result<Header<'a>, Malformed> {
    let name = reader.u32()?;
    let value = reader.i32()?;
    let name = reader.text(name as usize)?;
    let value = match value {
        -1 => None,
        length => {
            let length =
                usize::try_from(length).map_err(|_| reader.malformed("negative header length"))?;
            Some(reader.take(length)?)
        }
    };
    Ok(Header { name, value })
}

/// Encodes headers one by one.
#[derive(Debug, Clone, Default)]
pub struct HeadersWriter {
    bytes: Vec<u8>,
}

impl HeadersWriter {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a header behind the others.
    ///
    /// # Panics
    /// Where a name or value is 2 GiB or longer.
    pub fn push(&mut self, name: &str, value: Option<&[u8]>) -> &mut Self {
        append(&mut self.bytes, name, value);
        self
    }

    /// Adds all of them behind the others.
    pub fn extend(&mut self, headers: Headers<'_>) -> &mut Self {
        self.bytes.extend_from_slice(headers.bytes);
        self
    }

    /// What was written so far.
    pub fn headers(&self) -> Headers<'_> {
        Headers { bytes: &self.bytes }
    }

    /// Forgets what was written, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }
}

fn append(bytes: &mut Vec<u8>, name: &str, value: Option<&[u8]>) {
    bytes.extend_from_slice(&length32(name.len()).to_le_bytes());
    bytes.extend_from_slice(&value.map_or(-1, |value| signed_length(value.len())).to_le_bytes());
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(value.unwrap_or_default());
}
