//! A record, or a timer that fired, as it lies in the batch, for extractors.

use crate::{Bytes, Timestamp, bytes::Buffer};
use tidemill_layout as layout;

/// A record as it lies in the batch: what [`Param::extract`](crate::Param::extract) takes from. It lives as long as the
/// batch, so that what is decoded may borrow from it.
///
/// In a timer's handler it is the timer that fired: its key is the one the timer was set under, its value the payload, its
/// event time when it was due; it has no headers, an empty topic, and offset -1.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'e> {
    entry: layout::Entry<'e>,
    origin: layout::Origin<'e>,
    buffer: &'e Buffer,
    index: u32,
}

impl<'e> Entry<'e> {
    #[inline]
    pub(crate) fn new(
        index: u32,
        entry: layout::Entry<'e>,
        origin: layout::Origin<'e>,
        buffer: &'e Buffer,
    ) -> Self {
        Entry { entry, origin, buffer, index }
    }

    /// Which of the function's inputs it came by, counted from 0.
    #[inline]
    pub fn source(&self) -> u16 {
        self.entry.source
    }

    /// The topic it was read from.
    #[inline]
    pub fn topic(&self) -> &'e str {
        self.origin.topic
    }

    /// The partition it was read from.
    #[inline]
    pub fn partition(&self) -> u32 {
        self.origin.partition
    }

    /// Its offset there.
    #[inline]
    pub fn offset(&self) -> i64 {
        self.entry.offset
    }

    /// Its event time.
    #[inline]
    pub fn timestamp(&self) -> Timestamp {
        Timestamp::from_millis(self.entry.timestamp)
    }

    /// How often it has failed before; 65535 for more.
    #[inline]
    pub fn attempt(&self) -> u16 {
        self.entry.attempt
    }

    /// Its key; null is not the same as empty.
    #[inline]
    pub fn key(&self) -> Option<Raw<'e>> {
        self.entry.key.map(|bytes| self.raw(bytes))
    }

    /// Its value; null is not the same as empty.
    #[inline]
    pub fn value(&self) -> Option<Raw<'e>> {
        self.entry.value.map(|bytes| self.raw(bytes))
    }

    /// The last header of that name, as Kafka's `lastHeader`: `None` where there is none, `Some(None)` where it is
    /// null.
    pub fn header(&self, name: &str) -> Option<Option<Raw<'e>>> {
        self.entry.headers.last(name).map(|header| header.value.map(|bytes| self.raw(bytes)))
    }

    /// Its index in the batch, by which the host knows whose state is asked for.
    #[inline]
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    pub(crate) fn layout(&self) -> &layout::Entry<'e> {
        &self.entry
    }

    pub(crate) fn buffer(&self) -> &'e Buffer {
        self.buffer
    }

    #[inline]
    pub(crate) fn raw(&self, bytes: &'e [u8]) -> Raw<'e> {
        Raw { bytes, buffer: self.buffer }
    }
}

/// Bytes to decode: of a record in the batch, or of state.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'e> {
    bytes: &'e [u8],
    buffer: &'e Buffer,
}

impl<'e> Raw<'e> {
    /// All of a buffer.
    pub(crate) fn all(buffer: &'e Buffer) -> Self {
        Raw { bytes: buffer, buffer }
    }

    /// A part of them.
    #[inline]
    pub(crate) fn part(self, bytes: &'e [u8]) -> Self {
        Raw { bytes, ..self }
    }

    /// Them, borrowed from the batch.
    #[inline]
    pub fn as_slice(self) -> &'e [u8] {
        self.bytes
    }

    /// Them, sharing the memory of the batch.
    #[inline]
    pub fn to_bytes(self) -> Bytes {
        Bytes::shared(self.buffer, self.bytes)
    }
}
