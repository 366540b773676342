//! When results come out: which wait, and what each is when it goes.
//!
//! - each update: with the record that made it ([`Engine::updates`]);
//! - the newest of a commit: marked in memory, fired before the epoch is sealed;
//! - the newest in so long: marked in the store, fired in *rounds*, key by key, when the pause since the last round is
//!   over;
//! - when a window is closed: read from the store, from behind the last one that came out.

use super::{
    Emit,
    core::{Change, Core},
    engine::{Added, Engine, Error, Shape},
    fixed,
    marks::Of,
    panes::Panes,
    spans, whole,
};
use crate::{
    record::Timestamp,
    store::{self, TaskState, layout, tag},
};

/// A result that waits, or some of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Whose.
    pub key: Vec<u8>,
    /// The first window's start.
    pub start: Timestamp,
    /// The first window's end.
    pub end: Timestamp,
    /// The result's time, where it is known; else the window's start.
    pub at: Timestamp,
    /// Why it comes out.
    pub why: Why,
}

/// Why a result comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The window is closed.
    Closed,
    /// It changed.
    Changed,
    /// It changed, and the pause is over.
    Paused,
}

impl Engine {
    /// What updates wait to come out, with the rows that made them.
    pub fn updates(&mut self) -> std::vec::Drain<'_, (u32, Change)> {
        self.core.updates.drain(..)
    }

    /// Whether there are updates that wait to come out.
    pub fn has_updates(&self) -> bool {
        !self.core.updates.is_empty()
    }

    /// The rows of this turn whose records were late, since it was last asked, with the records' times.
    pub fn take_late(&mut self) -> Vec<(u32, Timestamp)> {
        std::mem::take(&mut self.core.late)
    }

    /// What rows of this turn moved time to.
    pub fn moved(&self) -> &[(u32, Timestamp)] {
        self.core.time.raised()
    }

    /// Whether results that are closed where time is `time` may wait.
    ///
    /// # Errors
    /// What the disk says.
    pub fn may_close(&mut self, state: &TaskState, time: Timestamp) -> Result<bool, store::Error> {
        Ok(self.next_close(state)?.is_some_and(|next| next <= time))
    }

    /// When the first result that has not come out is closed, in the engine's time.
    ///
    /// # Errors
    /// What the disk says.
    pub fn next_close(&mut self, state: &TaskState) -> Result<Option<Timestamp>, store::Error> {
        if self.core.emit() != Some(Emit::Final) || self.shape == Shape::Whole {
            return Ok(None);
        }
        if let Some(next) = self.core.next_close {
            return Ok(next);
        }
        let first = self.closed(state, Timestamp(i64::MAX / 4), 1)?;
        let next = first.first().map(|change| self.closes_when(change.end));
        self.core.next_close = Some(next);
        Ok(next)
    }

    /// What was known of the first result that is to be closed holds no more.
    pub fn look_again(&mut self) {
        self.core.next_close = None;
    }

    /// The time of the engine at which a result is closed.
    fn closes_when(&self, end: Timestamp) -> Timestamp {
        let (end, grace) = (end.millis(), self.core.grace());
        Timestamp(match self.shape {
            Shape::Whole | Shape::Fixed(_) => end + grace,
            Shape::Sliding(_) => end + grace + 1,
            Shape::Session(session) => end + grace + session.gap + 1,
        })
    }

    /// `final` results that are closed where time is `time`, behind those that came out, in their order. One whose parts
    /// cannot be merged has no row; why not, [`fire`](Engine::fire) says.
    ///
    /// # Errors
    /// What the disk says.
    pub fn closed(
        &mut self,
        state: &TaskState,
        time: Timestamp,
        limit: usize,
    ) -> Result<Vec<Change>, store::Error> {
        if self.core.emit() != Some(Emit::Final) || limit == 0 {
            return Ok(Vec::new());
        }
        self.ready(state)?;
        let core = &mut self.core;
        match self.shape {
            Shape::Whole => Ok(Vec::new()),
            Shape::Fixed(panes) => {
                let closed = Panes::closed_at(core, time);
                panes.closed(core, state, closed, limit)
            }
            Shape::Sliding(sliding) => {
                let closed = super::sliding::Sliding::closed_at(core, time);
                sliding.spans().closed(core, state, closed, limit)
            }
            Shape::Session(session) => {
                let closed = session.closed_at(core, time);
                session.spans().closed(core, state, closed, limit)
            }
        }
    }

    /// A `final` result came out, on behalf of a row; time is at least where it is closed.
    pub fn sent(&mut self, row: u32, change: &Change) {
        self.pass(row, &change.key, change.start, change.end);
    }

    fn pass(&mut self, row: u32, key: &[u8], start: Timestamp, end: Timestamp) {
        let cursor = match self.shape {
            Shape::Whole | Shape::Fixed(_) => fixed::cursor(start, key),
            Shape::Sliding(_) | Shape::Session(_) => spans::cursor(start, end, key),
        };
        self.core.sent.raise(row, cursor);
        self.core.next_close = None;
        let at = self.closes_when(end);
        self.core.time.raise(row, at);
    }

    /// Results that changed and wait, in their order; where they come out at each commit.
    ///
    /// # Errors
    /// What the disk says.
    pub fn changed(
        &mut self,
        state: &TaskState,
        limit: usize,
    ) -> Result<Vec<Waiting>, store::Error> {
        if self.core.emit() != Some(Emit::Changes { every_update: false }) {
            return Ok(Vec::new());
        }
        self.ready(state)?;
        self.core.load_saved(state)?;
        let waiting = self.core.marks.iter().take(limit).map(|mark| Waiting {
            key: mark.key.to_vec(),
            start: mark.start,
            end: mark.end,
            at: mark.start,
            why: Why::Changed,
        });
        Ok(waiting.collect())
    }

    /// Whether results changed and wait to come out at the commit.
    pub fn has_changes(&self) -> bool {
        !self.core.marks.is_empty()
    }

    /// The results that waited, as they are now, which come out on behalf of a row.
    ///
    /// # Errors
    /// What the disk says, or why parts of a result cannot be merged.
    pub fn fire(
        &mut self,
        state: &mut TaskState,
        row: u32,
        waiting: &Waiting,
    ) -> Result<Vec<Change>, Error> {
        let Waiting { key, start, end, .. } = waiting;
        match waiting.why {
            Why::Closed => {
                let found = self.result(state, key, *start, *end)?;
                self.pass(row, key, *start, *end);
                Ok(found.into_iter().collect())
            }
            Why::Changed => {
                let of = Of { key, start: *start, end: *end };
                let Some(from) = self.core.marks.get(&of).map(|mark| mark.from) else {
                    return Ok(Vec::new());
                };
                self.core.unmark_fired(state, row, &of);
                let Shape::Fixed(panes) = self.shape else {
                    return self.marked(state, key, &[(*start, *end, from)]);
                };
                let (first, last) = (from.millis(), panes.last(start.millis()));
                let mut found = panes.look(&self.core, state, key, first, last)?;
                found.retain(|change| !self.core.fired.holds(key, change.start.millis()));
                self.core.fired.add(row, key, (first, last));
                Ok(found)
            }
            Why::Paused => {
                let marks = self.core.take_marks(state, row, key)?;
                self.marked(state, key, &marks)
            }
        }
    }

    /// Results that waited are not to come out: they went to the dead letters.
    ///
    /// # Errors
    /// What the disk says.
    pub fn skip(
        &mut self,
        state: &mut TaskState,
        row: u32,
        waiting: &Waiting,
    ) -> Result<(), store::Error> {
        let Waiting { key, start, end, .. } = waiting;
        match waiting.why {
            Why::Closed => self.pass(row, key, *start, *end),
            Why::Changed => {
                self.core.unmark_fired(state, row, &Of { key, start: *start, end: *end });
            }
            Why::Paused => {
                self.core.take_marks(state, row, key)?;
            }
        }
        Ok(())
    }

    /// What marks of a key stand for: start, end, and of a pane the first window that it counts in.
    fn marked(
        &mut self,
        state: &TaskState,
        key: &[u8],
        marks: &[(Timestamp, Timestamp, Timestamp)],
    ) -> Result<Vec<Change>, Error> {
        let mut results = Vec::new();
        if let Shape::Fixed(panes) = self.shape {
            let windows = |(start, _, from): &(Timestamp, Timestamp, Timestamp)| {
                (from.millis(), panes.last(start.millis()))
            };
            // A record that is late for some windows counts from a later one than those of younger panes may.
            let mut ranges: Vec<(i64, i64)> = marks.iter().map(windows).collect();
            ranges.sort_unstable();
            let mut behind = i64::MIN;
            for (first, last) in ranges {
                let first = first.max(behind);
                if first <= last {
                    results.extend(panes.look(&self.core, state, key, first, last)?);
                    behind = last + panes.advance;
                }
            }
            return Ok(results);
        }
        for (start, end, _) in marks {
            match self.shape {
                Shape::Whole | Shape::Fixed(_) => {
                    results.extend(whole::get(&self.core, state, key)?);
                }
                Shape::Sliding(_) | Shape::Session(_) => {
                    let found = self.result(state, key, *start, *end)?;
                    results.push(found.unwrap_or_else(|| Change {
                        key: key.to_vec(),
                        start: *start,
                        end: *end,
                        at: *end,
                        row: None,
                    }));
                }
            }
        }
        Ok(results)
    }

    /// A result as it is now.
    fn result(
        &mut self,
        state: &TaskState,
        key: &[u8],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Option<Change>, Error> {
        let (first, last) = (start.millis(), end.millis());
        Ok(match self.shape {
            Shape::Whole => whole::get(&self.core, state, key)?,
            Shape::Fixed(panes) => panes.look(&self.core, state, key, first, first)?.pop(),
            Shape::Sliding(sliding) => {
                let span = sliding.spans().get(&self.core, state, key, first, last)?;
                span.map(|span| span.change(key))
            }
            Shape::Session(session) => {
                let span = session.spans().get(&self.core, state, key, first, last)?;
                span.map(|span| span.change(key))
            }
        })
    }

    /// Writes down which changes did not come out, so that they are found after a restart too.
    pub fn save_changes(&mut self, state: &mut TaskState, row: u32) {
        let core = &mut self.core;
        let mut suffix = Vec::new();
        for mark in core.marks.iter() {
            layout::mark(&mark.key, mark.start, mark.end, &mut suffix);
            let payload = [u8::from(mark.is_fresh)];
            state.ordered_put(Some(row), core.store, &suffix, mark.from, &payload);
        }
        core.marks.saved();
    }

    /// What became of a record: whether results that are closed come out behind it.
    pub fn closes(&self, added: Added) -> bool {
        added.closes() && self.core.emit() == Some(Emit::Final)
    }
}

impl Core {
    /// Takes in what was written down, once.
    fn load_saved(&mut self, state: &TaskState) -> Result<(), store::Error> {
        if self.is_loaded {
            return Ok(());
        }
        let mut saved = Vec::new();
        let (from, to) = ([tag::MARK], [tag::MARK + 1]);
        state.ordered_scan(self.store, &from, &to, false, |suffix, at, payload| {
            let (key, start, end) = layout::split_mark(suffix)
                .ok_or_else(|| state.broken_row(self.store, "its mark has no borders"))?;
            saved.push((key, start, end, at, payload == [1]));
            Ok::<_, store::Error>(true)
        })?;
        self.is_loaded = true;
        let known = !saved.is_empty();
        for (key, start, end, from, is_fresh) in saved {
            self.marks.add(None, &Of { key: &key, start, end }, from, is_fresh);
        }
        if known {
            self.marks.saved();
        }
        Ok(())
    }

    /// A result that was marked came out.
    fn unmark_fired(&mut self, state: &mut TaskState, row: u32, of: &Of<'_>) {
        if self.marks.remove(row, of) {
            let mut suffix = Vec::new();
            layout::mark(of.key, of.start, of.end, &mut suffix);
            state.ordered_delete(Some(row), self.store, &suffix);
        }
    }
}
