//! Records on their way through the nodes of a task: what enters a node, and what it hands on.

use std::ops::Range;

use tidemill_layout::{HeaderPart, Part};

use crate::record::{Headers, Record, Timestamp};

use super::{
    buffer::Chunk,
    effects::{Span, resolve},
};

/// As what something enters a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// A record.
    Record,
    /// The timer that its row is.
    Timer,
    /// The result of the node that its row is.
    Result,
    /// What functions did to the node's store on behalf of its row.
    Fed,
}

/// Results of a node that came out since time went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closing {
    pub(super) node: usize,
    /// To where.
    pub(super) time: Timestamp,
}

/// A source record or an emission on its way into a node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) row: u32,
    pub(super) source: u16,
    pub(super) timestamp: Timestamp,
    pub(super) key: Span,
    pub(super) value: Span,
    pub(super) headers: Span,
    pub(super) way: Way,
    /// Where it came of such results rather than of its row: of which.
    pub(super) closing: Option<Closing>,
    /// Emitted by a node of the task rather than a row as it is: by which node, and which of its emissions.
    pub(super) giver: Option<(usize, usize)>,
}

/// What a node hands on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Emitted {
    pub(super) output: u16,
    pub(super) partition: Option<u32>,
    pub(super) timestamp: Timestamp,
    pub(super) key: Span,
    pub(super) value: Span,
    pub(super) headers: Span,
    pub(super) closing: Option<Closing>,
}

/// What a node says of a record that it hands on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) output: u16,
    pub(super) partition: Option<u32>,
    /// `None`: that of the entry.
    pub(super) timestamp: Option<Timestamp>,
    pub(super) key: Part<'a>,
    pub(super) value: Part<'a>,
    pub(super) headers: HeaderPart<'a>,
}

/// A node's part of the walk. `ranges[i]` are the emissions of entry *i*.
#[derive(Debug, Default)]
pub(super) struct Visit {
    pub(super) entries: Vec<Waiting>,
    pub(super) ranges: Vec<Range<usize>>,
    pub(super) emitted: Vec<Emitted>,
}

impl Waiting {
    /// A row as it is.
    pub(super) fn row(row: u32, source: u16, timestamp: Timestamp, way: Way) -> Self {
        let span = Span::Source(row);
        let (key, value, headers) = (span, span, span);
        Waiting { row, source, timestamp, key, value, headers, way, closing: None, giver: None }
    }

    /// Whether it was emitted by a node of the task.
    pub(super) fn is_inner(&self) -> bool {
        self.giver.is_some()
    }

    pub(super) fn record<'a>(&self, chunk: &'a Chunk, bytes: &'a [u8]) -> Record<'a> {
        spans(chunk, bytes, self.row, self.timestamp, (self.key, self.value, self.headers))
    }

    /// What becomes of what a node hands on because of this. Its own bytes go behind `bytes`, of which `base` are not
    /// there yet.
    pub(super) fn emit(&self, given: &Given<'_>, base: usize, bytes: &mut Vec<u8>) -> Emitted {
        let mut own = |part: &[u8]| {
            let start = base + bytes.len();
            bytes.extend_from_slice(part);
            Span::Own { start, length: part.len() }
        };
        let mut part = |part: Part<'_>, inherited: Span| match part {
            Part::Inherit => inherited,
            Part::Null => Span::Null,
            Part::Bytes(part) => own(part),
        };
        let key = part(given.key, self.key);
        let value = part(given.value, self.value);
        let headers = match given.headers {
            HeaderPart::Inherit => self.headers,
            HeaderPart::Replace(headers) => part(Part::Bytes(headers.bytes()), Span::Null),
        };
        Emitted {
            output: given.output,
            partition: given.partition,
            timestamp: given.timestamp.unwrap_or(self.timestamp),
            key,
            value,
            headers,
            closing: self.closing,
        }
    }
}

impl Emitted {
    /// Whether all its parts are those of its cause, a source record.
    pub(super) fn inherits_from(&self, cause: &Waiting) -> bool {
        let same = |span| matches!(span, Span::Source(row) if row == cause.row);
        !cause.is_inner() && same(self.key) && same(self.value) && same(self.headers)
    }

    pub(super) fn record<'a>(&self, chunk: &'a Chunk, bytes: &'a [u8]) -> Record<'a> {
        // The offset of an emission means nothing.
        spans(chunk, bytes, 0, self.timestamp, (self.key, self.value, self.headers))
    }
}

fn spans<'a>(
    chunk: &'a Chunk,
    bytes: &'a [u8],
    row: u32,
    timestamp: Timestamp,
    (key, value, headers): (Span, Span, Span),
) -> Record<'a> {
    // Most records enter as they came, and many leave so.
    if let (Span::Source(from), Span::Source(value), Span::Source(headers)) = (key, value, headers)
        && from == value
        && from == headers
    {
        return Record { timestamp, ..chunk.record(from as usize) };
    }
    let encoded = resolve(chunk, bytes, headers, |record| Some(record.headers.bytes()));
    Record {
        offset: chunk.record(row as usize).offset,
        timestamp,
        key: resolve(chunk, bytes, key, |record| record.key),
        value: resolve(chunk, bytes, value, |record| record.value),
        headers: Headers::from_encoded(encoded.unwrap_or_default()),
    }
}
