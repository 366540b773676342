//! The whole record as an input.

use crate::{
    Entry, Timestamp,
    bytes::{Buffer, Span},
};
use std::{fmt, rc::Rc};
use tidemill_layout as layout;

/// The whole record, undecoded: an input for functions that pass on, route or look at more than the value. Null keys and
/// values are fine. It shares the memory of the batch.
#[derive(Clone)]
pub struct Record {
    buffer: Buffer,
    topic: Span,
    key: Option<Span>,
    value: Option<Span>,
    headers: Span,
    partition: u32,
    offset: i64,
    timestamp: i64,
    source: u16,
    attempt: u16,
}

impl Record {
    #[inline]
    pub(crate) fn of(entry: &Entry<'_>) -> Self {
        let (buffer, inner) = (entry.buffer(), entry.layout());
        Record {
            topic: Span::of(entry.topic().as_bytes(), buffer),
            key: inner.key.map(|key| Span::of(key, buffer)),
            value: inner.value.map(|value| Span::of(value, buffer)),
            headers: Span::of(inner.headers.bytes(), buffer),
            partition: entry.partition(),
            offset: inner.offset,
            timestamp: inner.timestamp,
            source: inner.source,
            attempt: inner.attempt,
            buffer: Rc::clone(buffer),
        }
    }

    /// `None` is null, which is not the same as empty.
    pub fn key(&self) -> Option<&[u8]> {
        self.key.map(|span| span.within(&self.buffer))
    }

    /// `None` is null: a tombstone.
    pub fn value(&self) -> Option<&[u8]> {
        self.value.map(|span| span.within(&self.buffer))
    }

    /// In order; names may repeat.
    pub fn headers(&self) -> layout::Headers<'_> {
        layout::Headers::from_encoded(self.headers.within(&self.buffer))
    }

    /// The topic it was read from.
    pub fn topic(&self) -> &str {
        std::str::from_utf8(self.topic.within(&self.buffer))
            .expect("topics are checked with their batch")
    }

    /// The partition it was read from.
    pub fn partition(&self) -> u32 {
        self.partition
    }

    /// Its offset there.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Its event time.
    pub fn timestamp(&self) -> Timestamp {
        Timestamp::from_millis(self.timestamp)
    }

    /// Which of the function's inputs it came by, counted from 0.
    pub fn source(&self) -> u16 {
        self.source
    }

    /// How often it has failed before; 65535 for more.
    pub fn attempt(&self) -> u16 {
        self.attempt
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        f.debug_struct("Record")
            .field("at", &format_args!("{}/{}@{}", self.topic(), self.partition, self.offset))
            .field("timestamp", &self.timestamp)
            .field("key", &self.key().map(text))
            .field("value", &self.value().map(text))
            .finish_non_exhaustive()
    }
}
