//! The batch: host to guest.

use crate::{
    Headers, VERSION,
    read::{Malformed, Reader, double_word, length32, signed_length, word},
};

/// The size of an entry's header.
pub const ENTRY_BYTES: usize = 40;
const HEAD_BYTES: usize = 16;

/// Where records come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The partition's number.
    pub partition: u32,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Kind {
    /// A record of an input.
    #[default]
    Record,
    /// A timer that fired.
    Timer,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Kind::Record),
            1 => Some(Kind::Timer),
            _ => None,
        }
    }

    fn byte(self) -> u8 {
        match self {
            Kind::Record => 0,
            Kind::Timer => 1,
        }
    }
}

/// A record, or a timer that fired, as a function sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Which of the two.
    pub kind: Kind,
    /// Of a record: index into the sources of the function's description. Of a timer: index into its slots.
    pub source: u16,
    /// Index into the origins of the batch.
    pub origin: u16,
    /// How often the entry has failed before; saturates.
    pub attempt: u16,
    /// Offset in its topic and partition; of a timer -1.
    pub offset: i64,
    /// Milliseconds since the Unix epoch; of a timer, when it was due.
    pub timestamp: i64,
    /// `None` is null, which is not the same as empty.
    pub key: Option<&'a [u8]>,
    /// `None` is null: a tombstone.
    pub value: Option<&'a [u8]>,
    /// In order, names may repeat.
    pub headers: Headers<'a>,
}

/// Writes a batch: origins first, then entries. Keep it and [`clear`](Self::clear) it, so that memory is reused.
#[derive(Debug)]
pub struct BatchWriter {
    bytes: Vec<u8>,
    origins: u32,
    entries: u32,
}

impl Default for BatchWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchWriter {
    /// An empty batch.
    pub fn new() -> Self {
        BatchWriter { bytes: vec![0; HEAD_BYTES], origins: 0, entries: 0 }
    }

    /// Forgets what was written, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.truncate(HEAD_BYTES);
        self.origins = 0;
        self.entries = 0;
    }

    /// Adds an origin and returns its index.
    ///
    /// # Panics
    /// After the first entry, and at the 65536th origin.
    pub fn origin(&mut self, origin: Origin<'_>) -> u16 {
        assert_eq!(self.entries, 0, "origins come before entries");
        let index = u16::try_from(self.origins).expect("a batch has few origins");
        self.bytes.extend_from_slice(&origin.partition.to_le_bytes());
        self.bytes.extend_from_slice(&length32(origin.topic.len()).to_le_bytes());
        self.bytes.extend_from_slice(origin.topic.as_bytes());
        self.origins += 1;
        index
    }

    /// Adds an entry.
    ///
    /// # Panics
    /// Where a key or value is 2 GiB or longer.
    #[inline]
    pub fn entry(&mut self, entry: &Entry<'_>) {
        let mut header = [0; ENTRY_BYTES];
        header[0] = entry.kind.byte();
        header[2..4].copy_from_slice(&entry.source.to_le_bytes());
        header[4..6].copy_from_slice(&entry.origin.to_le_bytes());
        header[6..8].copy_from_slice(&entry.attempt.to_le_bytes());
        header[8..16].copy_from_slice(&entry.offset.to_le_bytes());
        header[16..24].copy_from_slice(&entry.timestamp.to_le_bytes());
        header[24..28]
            .copy_from_slice(&entry.key.map_or(-1, |key| signed_length(key.len())).to_le_bytes());
        header[28..32].copy_from_slice(
            &entry.value.map_or(-1, |value| signed_length(value.len())).to_le_bytes(),
        );
        header[32..36].copy_from_slice(&length32(entry.headers.bytes().len()).to_le_bytes());
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(entry.key.unwrap_or_default());
        self.bytes.extend_from_slice(entry.value.unwrap_or_default());
        self.bytes.extend_from_slice(entry.headers.bytes());
        self.entries += 1;
    }

    /// How many entries were written.
    pub fn entries(&self) -> u32 {
        self.entries
    }

    /// The length so far in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The batch, ready to send.
    pub fn finish(&mut self) -> &[u8] {
        let total = length32(self.bytes.len());
        self.bytes[0..4].copy_from_slice(&VERSION.to_le_bytes());
        self.bytes[4..8].copy_from_slice(&self.entries.to_le_bytes());
        self.bytes[8..12].copy_from_slice(&self.origins.to_le_bytes());
        self.bytes[12..16].copy_from_slice(&total.to_le_bytes());
        &self.bytes
    }
}

/// A received batch. Its head and origins are checked; entries are checked as they are read.
#[derive(Debug, Clone)]
pub struct Batch<'a> {
    origins: Origins<'a>,
    entries: u32,
    reader: Reader<'a>,
}

/// Most batches are of one partition, and then no memory is asked for.
#[derive(Debug, Clone)]
enum Origins<'a> {
    One(Origin<'a>),
    Many(Vec<Origin<'a>>),
}

impl<'a> Origins<'a> {
    fn read(reader: &mut Reader<'a>, count: u32) -> Result<Self, Malformed> {
        let mut one = || {
            let partition = reader.u32()?;
            let length = reader.u32()?;
            Ok(Origin { partition, topic: reader.text(length as usize)? })
        };
        match count {
            1 => one().map(Origins::One),
            _ => (0..count).map(|_| one()).collect::<Result<_, _>>().map(Origins::Many),
        }
    }
}

impl<'a> Batch<'a> {
    /// Reads head and origins.
    ///
    /// # Errors
    /// On another version, a wrong length, or origins that do not fit.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.u32()? != VERSION {
            return Err(Malformed { at: 0, what: "unknown layout version" });
        }
        let entries = reader.u32()?;
        let count = reader.u32()?;
        if reader.u32()? as usize != bytes.len() {
            return Err(Malformed { at: 12, what: "total length is not the length received" });
        }
        let origins = Origins::read(&mut reader, count)?;
        if entries == 0 && !reader.is_empty() {
            return Err(reader.malformed("bytes behind the last entry"));
        }
        Ok(Batch { origins, entries, reader })
    }

    /// Where the entries come from.
    pub fn origins(&self) -> &[Origin<'a>] {
        match &self.origins {
            Origins::One(origin) => std::slice::from_ref(origin),
            Origins::Many(origins) => origins,
        }
    }

    /// How many entries the head announces.
    pub fn len(&self) -> u32 {
        self.entries
    }

    /// Whether it has no entry.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The entries in order. After an error there are no more.
    pub fn entries(&self) -> Entries<'a> {
        let origins = u16::try_from(self.origins().len()).unwrap_or(u16::MAX);
        Entries { reader: self.reader, left: self.entries, origins }
    }
}

/// See [`Batch::entries`].
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    reader: Reader<'a>,
    left: u32,
    origins: u16,
}

impl<'a> Entries<'a> {
    #[inline(always)]
    fn read(&mut self) -> Result<Entry<'a>, Malformed> {
        let start = self.reader.malformed("unknown entry kind");
        let header = self.reader.array::<ENTRY_BYTES>()?;
        let Some(kind) = Kind::of(header[0]) else { return Err(start) };
        let origin = u16::from_le_bytes([header[4], header[5]]);
        if origin >= self.origins {
            return Err(Malformed { what: "unknown origin", ..start });
        }
        let key = self.optional(i32::from_le_bytes(word(header, 24)))?;
        let value = self.optional(i32::from_le_bytes(word(header, 28)))?;
        let headers = u32::from_le_bytes(word(header, 32)) as usize;
        let headers =
            if headers == 0 { Headers::EMPTY } else { Headers::parse(self.reader.take(headers)?)? };
        Ok(Entry {
            kind,
            source: u16::from_le_bytes([header[2], header[3]]),
            origin,
            attempt: u16::from_le_bytes([header[6], header[7]]),
            offset: i64::from_le_bytes(double_word(header, 8)),
            timestamp: i64::from_le_bytes(double_word(header, 16)),
            key,
            value,
            headers,
        })
    }

    #[inline]
    fn optional(&mut self, length: i32) -> Result<Option<&'a [u8]>, Malformed> {
        match length {
            -1 => Ok(None),
            _ => match usize::try_from(length) {
                Ok(length) => self.reader.take(length).map(Some),
                Err(_) => Err(self.reader.malformed("negative length")),
            },
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Malformed>;

    // The entry is too large to come back in registers: inlined, most of its fields never reach memory.
    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let entry = self.read();
        if entry.is_err() {
            self.left = 0;
        } else if self.left == 0 && !self.reader.is_empty() {
            return Some(Err(self.reader.malformed("bytes behind the last entry")));
        }
        Some(entry)
    }
}
