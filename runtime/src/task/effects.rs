//! Effects: what a turn of a task wants done, as values.
//!
//! They own, or share, every byte they speak of; until somebody performs them nothing has happened, and dropping them
//! is all it takes to undo a turn.

pub use crate::operator::Reason;
use crate::record::{Headers, Partition, Position, Record, Timestamp};

use super::{buffer::Chunk, source::Source};

/// What a turn wants done, in this order.
#[derive(Debug, Default)]
pub struct Effects {
    pub(super) chunk: Chunk,
    pub(super) bytes: Vec<u8>,
    pub(super) outputs: Vec<Output>,
    pub(super) late: Vec<Late>,
    /// By row, where the rows are results: what they read as, as far as they were sent.
    pub(super) readings: Vec<Option<Reading>>,
    /// Positions behind the records that are handled with this: by input.
    pub positions: Vec<(usize, Position)>,
    /// Rows handled: source records, timers that fired, or results of a node.
    pub handled: usize,
}

/// An output record; its parts are in the effects.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    pub(super) row: u32,
    /// A record that came too late for a node, on its way to the late topic.
    pub(super) late: bool,
    pub(super) topic: usize,
    pub(super) partition: Option<u32>,
    pub(super) timestamp: Timestamp,
    pub(super) key: Span,
    pub(super) value: Span,
    pub(super) headers: Span,
}

/// A record that came too late for a node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Late {
    pub(super) row: u32,
    pub(super) node: usize,
    pub(super) key: Span,
    pub(super) value: Span,
}

/// What a result reads as.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) timestamp: Timestamp,
    pub(super) key: Span,
    pub(super) value: Span,
    pub(super) headers: Span,
}

/// Bytes of an emission: those of a source record are not copied.
#[derive(Debug, Clone, Copy)]
pub(super) enum Span {
    Null,
    /// The same part of this source record.
    Source(u32),
    /// In the effects' own bytes.
    Own {
        start: usize,
        length: usize,
    },
}

/// A record to produce.
#[derive(Debug, Clone, Copy)]
pub struct OutputRecord<'a> {
    /// Index into the topology's output topics.
    pub topic: usize,
    /// `None`: by the key.
    pub partition: Option<Partition>,
    /// What it holds.
    pub key: Option<&'a [u8]>,
    /// What it holds.
    pub value: Option<&'a [u8]>,
    /// What it holds.
    pub headers: Headers<'a>,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// What it came of.
    pub source: Source,
    /// Whether it came too late for a node, and goes to the late topic as it came.
    pub late: bool,
}

/// A record that came too late for a node.
#[derive(Debug, Clone, Copy)]
pub struct LateRecord<'a> {
    /// Index into the sub-topology's nodes.
    pub node: usize,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
}

impl Effects {
    /// How many records are to be produced.
    pub fn len(&self) -> usize {
        self.outputs.len()
    }

    /// Whether nothing is to be produced.
    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }

    /// The record to produce at an index.
    ///
    /// # Panics
    /// Where there is none.
    pub fn output(&self, index: usize) -> OutputRecord<'_> {
        let output = &self.outputs[index];
        let source = self.chunk.record(output.row as usize);
        // What is inherited comes from the source record itself.
        let part = |span, inherited| match span {
            Span::Null => None,
            Span::Source(_) => inherited,
            Span::Own { start, length } => Some(&self.bytes[start..start + length]),
        };
        let headers = part(output.headers, Some(source.headers.bytes()));
        OutputRecord {
            topic: output.topic,
            partition: output.partition.map(Partition),
            key: part(output.key, source.key),
            value: part(output.value, source.value),
            headers: Headers::from_encoded(headers.unwrap_or_default()),
            timestamp: output.timestamp,
            source: self.chunk.source(output.row as usize),
            late: output.late,
        }
    }

    /// Records of a handled row that came too late for a node.
    pub fn late(&self, row: usize) -> impl Iterator<Item = LateRecord<'_>> {
        let late = self.late.iter().filter(move |late| late.row as usize == row);
        late.map(|Late { node, key, value, .. }| LateRecord {
            node: *node,
            key: resolve(&self.chunk, &self.bytes, *key, |record| record.key),
            value: resolve(&self.chunk, &self.bytes, *value, |record| record.value),
        })
    }

    /// Source records handled: none where the rows are timers or results.
    pub fn records(&self) -> usize {
        if self.chunk.is_fired() { 0 } else { self.handled }
    }

    /// Bytes that only these effects hold.
    pub fn bytes(&self) -> usize {
        self.bytes.len() + self.outputs.len() * size_of::<Output>()
    }

    /// What is behind the handled rows, where there is something. A timer reads as a record of its key and payload,
    /// with its due time and offset -1; a result as what it sends.
    pub fn next_source(&self) -> Option<(Source, Record<'_>)> {
        self.chunk.rows.get(self.handled)?;
        Some((self.chunk.source(self.handled), self.record(self.handled)))
    }

    /// What a row reads as.
    pub(super) fn record(&self, row: usize) -> Record<'_> {
        let record = self.chunk.record(row);
        let Some(reading) = self.readings.get(row).copied().flatten() else { return record };
        let (chunk, bytes) = (&self.chunk, &self.bytes);
        let headers = resolve(chunk, bytes, reading.headers, |record| Some(record.headers.bytes()));
        Record {
            offset: record.offset,
            timestamp: reading.timestamp,
            key: resolve(chunk, bytes, reading.key, |record| record.key),
            value: resolve(chunk, bytes, reading.value, |record| record.value),
            headers: Headers::from_encoded(headers.unwrap_or_default()),
        }
    }

    /// The rows that were handled, each with the range of its outputs. Timers and results read as in
    /// [`next_source`](Self::next_source).
    pub fn sources(&self) -> impl Iterator<Item = (Source, Record<'_>, std::ops::Range<usize>)> {
        let mut next = 0;
        (0..self.handled).map(move |row| {
            let start = next;
            while self.outputs.get(next).is_some_and(|output| output.row as usize == row) {
                next += 1;
            }
            (self.chunk.source(row), self.record(row), start..next)
        })
    }
}

pub(super) fn resolve<'a>(
    chunk: &'a Chunk,
    bytes: &'a [u8],
    span: Span,
    part: impl Fn(Record<'a>) -> Option<&'a [u8]>,
) -> Option<&'a [u8]> {
    match span {
        Span::Null => None,
        Span::Source(row) => part(chunk.record(row as usize)),
        Span::Own { start, length } => Some(&bytes[start..start + length]),
    }
}

/// A record, a timer, or a result that failed, for logs, status and views.
#[derive(Debug, Clone)]
pub struct Failed {
    /// Index into the sub-topology's nodes.
    pub node: usize,
    /// What it is known by.
    pub source: Source,
    /// Its event time; of a timer, when it was due.
    pub timestamp: Timestamp,
    /// How often it failed, this time included.
    pub attempts: u32,
    /// Why.
    pub reason: Reason,
    /// What follows.
    pub verdict: Verdict,
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Once more, at once, in a fresh instance.
    Again,
    /// Once more, not before then.
    Wait(Timestamp),
    /// To the dead letters.
    DeadLetter,
    /// The task stops before it, until it is resumed or its code is swapped.
    Pause,
}
