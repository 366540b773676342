//! Sliding windows, both ends included: one for each distinct set of records that are at most so far apart, as Kafka
//! Streams has them (KIP-450), window by window and in its order.
//!
//! A record makes up to three windows: its *left* one, which ends with it; its *right* one, which begins just behind it,
//! once something is in that; and the right one of the record before it. A record that is nearer to 0 than a window is
//! long has the window that begins at 0 for a left one.

use std::ops::ControlFlow;

use tidemill_aggregates::{Row, Value};

use super::{
    core::{Change, Core, add},
    engine::{Added, Error},
    marks::Of,
    spans::{Span, Spans},
};
use crate::{
    record::Timestamp,
    store::{self, Ordered, TaskState},
};

/// Sliding windows of records that are at most this far apart, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sliding {
    pub(super) difference: i64,
}

/// A record on its way in.
struct Coming<'a> {
    row: u32,
    key: &'a [u8],
    arguments: &'a [Value],
    at: i64,
    /// Windows that end before are closed.
    closed: i64,
    /// Whether a window took it.
    taken: bool,
}

impl Sliding {
    pub(super) fn spans(self) -> Spans {
        Spans::of(self.difference)
    }

    /// Windows that end before are closed, where time is `time`.
    pub(super) fn closed_at(core: &Core, time: Timestamp) -> i64 {
        time.millis().saturating_sub(core.grace())
    }

    /// Adds a record.
    pub(super) fn add(
        self,
        core: &mut Core,
        state: &mut TaskState,
        row: u32,
        key: &[u8],
        arguments: &[Value],
        at: Timestamp,
    ) -> Result<Added, Error> {
        let time = core.time.get().copied().unwrap_or(at);
        let closed = Self::closed_at(core, time);
        if at.millis().saturating_add(self.difference) < closed {
            core.late.push((row, at));
            return Ok(Added::Late { closes: false });
        }
        let mut coming = Coming { row, key, arguments, at: at.millis(), closed, taken: false };
        let closes = at.millis() >= self.difference;
        if closes {
            self.add_later(core, state, &mut coming)?;
        } else {
            self.add_early(core, state, &mut coming)?;
        }
        if coming.taken {
            return Ok(Added::In { closes });
        }
        core.late.push((row, at));
        Ok(Added::Late { closes })
    }

    /// Adds a record that has a left window of full length.
    fn add_later(
        self,
        core: &mut Core,
        state: &mut TaskState,
        coming: &mut Coming<'_>,
    ) -> Result<(), Error> {
        let (at, difference) = (coming.at, self.difference);
        let starts = ((at - 2 * difference).max(0), at + 1);
        let mut seen = Vec::new();
        self.walk(core, state, coming.key, starts, true, |span| {
            // Only the nearest one that ends before the record is of interest; and where the record's left window ends
            // with another record of its time, all that could be made is there.
            let is_last = span.end < at || (span.end == at && span.at.millis() >= at);
            seen.push(span);
            if is_last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let (mut left, mut right, mut previous) = (None, None, None);
        let (mut has_left, mut has_right) = (false, false);
        let starts: Vec<i64> = seen.iter().map(|span| span.start).collect();
        for span in seen {
            if span.start == at + 1 {
                has_right = true;
            } else if span.end > at {
                right.get_or_insert((span.row.clone(), span.at));
                self.update(core, state, coming, span, false)?;
            } else if span.end == at {
                has_left = true;
                let latest = span.at.millis();
                self.update(core, state, coming, span, false)?;
                if latest >= at {
                    return Ok(());
                }
                previous = Some(latest);
            } else {
                previous = Some(span.at.millis());
                left = Some(span.row);
            }
        }
        if let Some(previous) = previous
            && !starts.contains(&(previous + 1))
            && previous + 1 + difference >= at
        {
            self.make(core, state, coming, previous + 1, None)?;
        }
        if !has_left {
            let left = left.filter(|_| previous.is_some_and(|it| it >= at - difference));
            self.make(core, state, coming, at - difference, left)?;
        }
        if !has_right
            && let Some((right, latest)) = right.filter(|(_, latest)| latest.millis() > at)
        {
            self.put_right(core, state, coming, right, latest)?;
        }
        Ok(())
    }

    /// Adds a record whose left window would begin before 0.
    fn add_early(
        self,
        core: &mut Core,
        state: &mut TaskState,
        coming: &mut Coming<'_>,
    ) -> Result<(), Error> {
        let at = coming.at;
        let mut seen = Vec::new();
        self.walk(core, state, coming.key, (0, at + 1), false, |span| {
            seen.push(span);
            ControlFlow::Continue(())
        })?;
        let (mut combined, mut right, mut has_right) = (None, None, false);
        let starts: Vec<i64> = seen.iter().map(|span| span.start).collect();
        for span in seen {
            if span.start == 0 {
                combined = Some(span);
            } else if span.start <= at {
                right = Some((span.row.clone(), span.at));
                self.update(core, state, coming, span, false)?;
            } else {
                has_right = true;
            }
        }
        let latest = combined.as_ref().map(|span| span.at.millis());
        let previous = latest.filter(|latest| *latest < at);
        if right.is_none() {
            right = combined.as_ref().map(|span| (span.row.clone(), span.at));
        }
        if !has_right
            && let Some((right, latest)) = right.filter(|(_, latest)| latest.millis() > at)
        {
            self.put_right(core, state, coming, right, latest)?;
        }
        if let Some(previous) = previous
            && !starts.contains(&(previous + 1))
        {
            self.make(core, state, coming, previous + 1, None)?;
        }
        match combined {
            Some(combined) => self.update(core, state, coming, combined, false),
            None => self.make(core, state, coming, 0, None),
        }
    }

    /// Walks over the windows of a key by their starts, both bounds included.
    fn walk(
        self,
        core: &Core,
        state: &impl Ordered,
        key: &[u8],
        (from, to): (i64, i64),
        reverse: bool,
        each: impl FnMut(Span) -> ControlFlow<()>,
    ) -> Result<(), store::Error> {
        let ends = (from + self.difference, to + self.difference);
        self.spans().walk(core, state, key, ends, reverse, each)
    }

    /// Makes a window with what accumulated before the record, and the record.
    fn make(
        self,
        core: &mut Core,
        state: &mut TaskState,
        coming: &mut Coming<'_>,
        start: i64,
        before: Option<Row>,
    ) -> Result<(), Error> {
        let row = before.unwrap_or_else(|| core.compute().init());
        let span = Span { start, end: start + self.difference, at: Timestamp(coming.at), row };
        self.update(core, state, coming, span, true)
    }

    /// Adds the record to a window, unless that is closed.
    fn update(
        self,
        core: &mut Core,
        state: &mut TaskState,
        coming: &mut Coming<'_>,
        mut span: Span,
        is_new: bool,
    ) -> Result<(), Error> {
        if span.end < coming.closed {
            return Ok(());
        }
        let at = Timestamp(coming.at);
        add(core.compute(), &mut span.row, coming.arguments, at)?;
        span.at = span.at.max(at);
        coming.taken = true;
        self.put(core, state, coming, span, is_new)
    }

    /// Makes the right window of the record, which it is not in itself.
    fn put_right(
        self,
        core: &mut Core,
        state: &mut TaskState,
        coming: &Coming<'_>,
        row: Row,
        latest: Timestamp,
    ) -> Result<(), Error> {
        let start = coming.at + 1;
        let span = Span { start, end: start + self.difference, at: latest, row };
        self.put(core, state, coming, span, true)
    }

    fn put(
        self,
        core: &mut Core,
        state: &mut TaskState,
        coming: &Coming<'_>,
        span: Span,
        is_new: bool,
    ) -> Result<(), Error> {
        self.spans().put(core, state, coming.row, coming.key, &span, is_new);
        core.closes_at(Timestamp(span.end + core.grace() + 1));
        let (start, end) = (Timestamp(span.start), Timestamp(span.end));
        if core.tells_all() {
            core.updates.push((coming.row, span.change(coming.key)));
        } else {
            let of = Of { key: coming.key, start, end };
            core.mark(state, coming.row, &of, start, false)?;
        }
        Ok(())
    }

    /// The windows of a key that a time is in, by start.
    pub(super) fn around(
        self,
        core: &Core,
        state: &impl Ordered,
        key: &[u8],
        at: i64,
    ) -> Result<Vec<Change>, store::Error> {
        let mut found = Vec::new();
        self.walk(core, state, key, ((at - self.difference).max(0), at), false, |span| {
            found.push(span.change(key));
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }
}
