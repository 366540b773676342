//! Windows whose borders come from the records: where they lie in the store, and how they are found by key and by time.

use std::ops::ControlFlow;

use tidemill_aggregates::Row;

use super::core::{Change, Core};
use crate::{
    record::Timestamp,
    store::{self, Ordered, TaskState, layout, tag},
};

/// A segment is no shorter, in milliseconds.
const SEGMENT_MIN: i64 = 60_000;

/// The windows of a store in segments of this length, in milliseconds: of the windows' own, so that it is the same as
/// long as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spans {
    segment: i64,
}

/// A window that is there.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) at: Timestamp,
    pub(super) row: Row,
}

impl Spans {
    /// Of windows that reach so far.
    pub(super) fn of(reach: i64) -> Spans {
        Spans { segment: reach.saturating_mul(4).max(SEGMENT_MIN) }
    }

    fn segment(self, end: i64) -> i64 {
        end - end.rem_euclid(self.segment)
    }

    fn suffix(self, key: &[u8], start: i64, end: i64, into: &mut Vec<u8>) {
        let segment = Timestamp(self.segment(end));
        layout::span(segment, key, Timestamp(start), Timestamp(end), into);
    }

    /// The windows of a key that end from `from` to `to`, both included, in the order of their ends and starts, or in
    /// reverse, for as long as `each` says so.
    pub(super) fn walk(
        self,
        core: &Core,
        state: &impl Ordered,
        key: &[u8],
        (from, to): (i64, i64),
        reverse: bool,
        mut each: impl FnMut(Span) -> ControlFlow<()>,
    ) -> Result<(), store::Error> {
        if from > to {
            return Ok(());
        }
        let (first, last) = (self.segment(from), self.segment(to));
        let (mut segment, mut go) = (if reverse { last } else { first }, true);
        let (mut lower, mut upper) = (Vec::new(), Vec::new());
        while go && first <= segment && segment <= last {
            layout::spans(Timestamp(segment), key, &mut lower);
            upper.clone_from(&lower);
            layout::put_time(Timestamp(from), &mut lower);
            layout::put_time(Timestamp(to.saturating_add(1)), &mut upper);
            state.ordered_scan(core.store, &lower, &upper, reverse, |suffix, at, bytes| {
                let (start, end) = layout::split_span(suffix)
                    .ok_or_else(|| state.broken_row(core.store, "its key has no borders"))?;
                let row = core.decode(state, bytes)?;
                let span = Span { start: start.millis(), end: end.millis(), at, row };
                go = each(span).is_continue();
                Ok::<_, store::Error>(go)
            })?;
            segment += if reverse { -self.segment } else { self.segment };
        }
        Ok(())
    }

    /// The window of a key with these borders.
    pub(super) fn get(
        self,
        core: &Core,
        state: &impl Ordered,
        key: &[u8],
        start: i64,
        end: i64,
    ) -> Result<Option<Span>, store::Error> {
        let mut suffix = Vec::new();
        self.suffix(key, start, end, &mut suffix);
        let found = state.ordered_get(core.store, &suffix, |at, bytes| {
            core.decode(state, bytes).map(|row| Span { start, end, at, row })
        })?;
        found.transpose()
    }

    /// Writes a window; `is_new`: it was not there.
    pub(super) fn put(
        self,
        core: &mut Core,
        state: &mut TaskState,
        row: u32,
        key: &[u8],
        span: &Span,
        is_new: bool,
    ) {
        self.suffix(key, span.start, span.end, &mut core.suffix);
        core.bytes.clear();
        core.spec.compute.encode(&span.row, &mut core.bytes);
        state.ordered_put(Some(row), core.store, &core.suffix, span.at, &core.bytes);
        if is_new {
            let (start, end) = (Timestamp(span.start), Timestamp(span.end));
            layout::by_end(tag::INDEX, start, end, key, &mut core.suffix);
            state.ordered_put(Some(row), core.store, &core.suffix, span.at, &[]);
        }
    }

    /// Removes a window.
    pub(super) fn delete(
        self,
        core: &mut Core,
        state: &mut TaskState,
        row: u32,
        key: &[u8],
        span: &Span,
    ) {
        self.suffix(key, span.start, span.end, &mut core.suffix);
        state.ordered_delete(Some(row), core.store, &core.suffix);
        let (start, end) = (Timestamp(span.start), Timestamp(span.end));
        layout::by_end(tag::INDEX, start, end, key, &mut core.suffix);
        state.ordered_delete(Some(row), core.store, &core.suffix);
    }

    /// `final` results that end before `closed`, behind those that came out, in the order of end, start and key.
    pub(super) fn closed(
        self,
        core: &Core,
        state: &impl Ordered,
        closed: i64,
        limit: usize,
    ) -> Result<Vec<Change>, store::Error> {
        self.results(core, state, core.sent.get().map(Vec::as_slice), closed, limit)
    }

    /// Results that end before `closed`, behind a [`cursor`] where one is given, in that order.
    pub(super) fn results(
        self,
        core: &Core,
        state: &impl Ordered,
        after: Option<&[u8]>,
        closed: i64,
        limit: usize,
    ) -> Result<Vec<Change>, store::Error> {
        let mut lower = vec![tag::INDEX];
        if let Some(after) = after {
            lower.extend_from_slice(after);
            lower.push(0);
        }
        let mut upper = vec![tag::INDEX];
        layout::put_time(Timestamp(closed), &mut upper);
        let mut found: Vec<(i64, i64, Vec<u8>)> = Vec::new();
        state.ordered_scan(core.store, &lower, &upper, false, |suffix, _, _| {
            let (start, end, key) = layout::split_by_end(suffix)
                .ok_or_else(|| state.broken_row(core.store, "its index has no borders"))?;
            found.push((start.millis(), end.millis(), key.to_vec()));
            Ok::<_, store::Error>(found.len() < limit)
        })?;
        let mut results = Vec::with_capacity(found.len());
        for (start, end, key) in found {
            if let Some(span) = self.get(core, state, &key, start, end)? {
                results.push(span.change(&key));
            }
        }
        Ok(results)
    }

    /// Deletes some of the windows that nobody will read any more: of those that end before `behind`, by whole segments.
    pub(super) fn expire(
        self,
        core: &Core,
        state: &mut TaskState,
        behind: i64,
        budget: usize,
    ) -> Result<usize, store::Error> {
        let sent = core.sent.get().and_then(|sent| layout::time(sent)).map(|(end, _)| end.millis());
        let behind = match core.emit() {
            Some(super::Emit::Final) => behind.min(sent.unwrap_or(i64::MIN / 2)),
            _ => behind,
        };
        let mut gone = 0;
        for tag in [tag::DATA, tag::INDEX] {
            let mut before = vec![tag];
            layout::put_time(Timestamp(self.segment(behind)), &mut before);
            gone += state.expire(core.store, &[tag], &before, budget)?;
        }
        Ok(gone)
    }
}

impl Span {
    /// As a result.
    pub(super) fn change(self, key: &[u8]) -> Change {
        let (start, end) = (Timestamp(self.start), Timestamp(self.end));
        Change { key: key.to_vec(), start, end, at: self.at, row: Some(self.row) }
    }
}

/// Behind a result of a window and key.
pub(super) fn cursor(start: Timestamp, end: Timestamp, key: &[u8]) -> Vec<u8> {
    let mut cursor = Vec::with_capacity(key.len() + 16);
    layout::put_time(end, &mut cursor);
    layout::put_time(start, &mut cursor);
    cursor.extend_from_slice(key);
    cursor
}
