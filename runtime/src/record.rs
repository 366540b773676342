//! Plain values: records, and newtypes for where they are and when they happened.
//!
//! No I/O here, and no client library's type. A value that leaves a client library becomes one of these at once.

use std::{fmt, sync::Arc};

pub use tidemill_layout::{Header, Headers, HeadersWriter};

/// The number of a partition in its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub u32);

/// Where a record is in its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub i64);

impl Offset {
    /// The position behind this record: what is committed once it is handled.
    pub fn next(self) -> Position {
        Position(self.0 + 1)
    }
}

/// The offset of the next record to read. Commits hold positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub i64);

impl Position {
    /// The start of a partition that never lost a record.
    pub const START: Position = Position(0);
}

/// Milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The milliseconds since the Unix epoch.
    pub fn millis(self) -> i64 {
        self.0
    }
}

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number.
    pub partition: Partition,
}

impl TopicPartition {
    /// Of these two.
    pub fn new(topic: impl Into<Arc<str>>, partition: u32) -> Self {
        TopicPartition { topic: topic.into(), partition: Partition(partition) }
    }
}

macro_rules! show_number {
    ($($name:ident),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}
show_number!(Partition, Offset, Position, Timestamp);

/// `topic/partition`, as in every message and log line.
impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// A record in somebody's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it is in its partition.
    pub offset: Offset,
    /// When it happened.
    pub timestamp: Timestamp,
    /// `None` is null, which is not the same as empty.
    pub key: Option<&'a [u8]>,
    /// `None` is null: a tombstone.
    pub value: Option<&'a [u8]>,
    /// In order, names may repeat.
    pub headers: Headers<'a>,
}

/// Records of one partition in one buffer, in offset order.
#[derive(Debug, Clone, Default)]
pub struct Records {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
}

/// Key, value and headers lie one after another from `start`.
#[derive(Debug, Clone, Copy)]
struct Slot {
    offset: Offset,
    timestamp: Timestamp,
    start: usize,
    key: Option<usize>,
    value: Option<usize>,
    headers: usize,
}

impl Records {
    /// No record.
    pub fn new() -> Self {
        Self::default()
    }

    /// No record, and room for some.
    pub fn with_capacity(records: usize, bytes: usize) -> Self {
        Records { bytes: Vec::with_capacity(bytes), slots: Vec::with_capacity(records) }
    }

    /// Copies a record behind the others.
    pub fn push(&mut self, record: &Record<'_>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(record.key.unwrap_or_default());
        self.bytes.extend_from_slice(record.value.unwrap_or_default());
        self.bytes.extend_from_slice(record.headers.bytes());
        self.slots.push(Slot {
            offset: record.offset,
            timestamp: record.timestamp,
            start,
            key: record.key.map(<[u8]>::len),
            value: record.value.map(<[u8]>::len),
            headers: record.headers.bytes().len(),
        });
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many bytes of keys, values and headers.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The record at an index.
    ///
    /// # Panics
    /// Where there is none.
    #[inline]
    pub fn get(&self, index: usize) -> Record<'_> {
        let slot = self.slots[index];
        let key_end = slot.start + slot.key.unwrap_or(0);
        let value_end = key_end + slot.value.unwrap_or(0);
        let headers = &self.bytes[value_end..value_end + slot.headers];
        Record {
            offset: slot.offset,
            timestamp: slot.timestamp,
            key: slot.key.map(|_| &self.bytes[slot.start..key_end]),
            value: slot.value.map(|_| &self.bytes[key_end..value_end]),
            headers: Headers::from_encoded(headers),
        }
    }

    /// The records in order.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The first record.
    pub fn first(&self) -> Option<Record<'_>> {
        (!self.is_empty()).then(|| self.get(0))
    }

    /// The last record.
    pub fn last(&self) -> Option<Record<'_>> {
        self.len().checked_sub(1).map(|index| self.get(index))
    }
}
