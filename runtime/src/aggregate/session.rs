//! Sessions: records that follow one another, as in Kafka Streams' session aggregation. A record becomes one with all
//! sessions that it is near enough to; those are taken back, each with a tombstone, and theirs is another window.
//!
//! Sessions of a key lie apart by more than the gap, so in the order of their ends they are in that of their starts. One
//! whose time for late records is over takes part in nothing any more, also a moment before it is closed.

use std::ops::ControlFlow;

use tidemill_aggregates::Value;

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

/// Sessions with this gap, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) gap: i64,
}

impl Session {
    pub(super) fn spans(self) -> Spans {
        Spans::of(self.gap)
    }

    /// Sessions that end before are closed, where time is `time`.
    pub(super) fn closed_at(self, core: &Core, time: Timestamp) -> i64 {
        time.millis().saturating_sub(core.grace()).saturating_sub(self.gap)
    }

    /// Adds a record; `before`: what time was before it.
    #[expect(clippy::too_many_arguments, reason = "a record, where it goes to, and when")]
    pub(super) fn add(
        self,
        core: &mut Core,
        state: &mut TaskState,
        row: u32,
        key: &[u8],
        arguments: &[Value],
        at: Timestamp,
        before: Option<Timestamp>,
    ) -> Result<Added, Error> {
        let time = core.time.get().copied().unwrap_or(at);
        let (near, is_newest) = self.near(core, state, key, at.millis(), before)?;
        let mut merged = Span {
            start: near.first().map_or(at.millis(), |first| first.start.min(at.millis())),
            end: near.last().map_or(at.millis(), |last| last.end.max(at.millis())),
            at,
            row: core.compute().init(),
        };
        if merged.end < self.closed_at(core, time) {
            core.late.push((row, at));
            return Ok(Added::Late { closes: true });
        }
        merged.at = Timestamp(merged.end);
        for span in &near {
            core.compute().merge(&mut merged.row, &span.row).map_err(Error::Fault)?;
        }
        add(core.compute(), &mut merged.row, arguments, at)?;
        let borders = |span: &Span| (span.start, span.end);
        let is_new = !near.iter().any(|span| borders(span) == borders(&merged));
        let is_alone = borders(&merged) == (at.millis(), at.millis());
        if !is_alone {
            self.retract(core, state, row, key, &near, &merged)?;
        }
        self.spans().put(core, state, row, key, &merged, is_new);
        if is_newest {
            core.newest.set(row, key, (merged.start, merged.end));
        }
        let (start, end) = (Timestamp(merged.start), Timestamp(merged.end));
        core.closes_at(Timestamp(merged.end + core.grace() + self.gap + 1));
        if core.tells_all() {
            core.updates.push((row, merged.change(key)));
        } else {
            core.mark(state, row, &Of { key, start, end }, start, is_new)?;
        }
        Ok(Added::In { closes: true })
    }

    /// Takes sessions back that become another one.
    fn retract(
        self,
        core: &mut Core,
        state: &mut TaskState,
        row: u32,
        key: &[u8],
        near: &[Span],
        merged: &Span,
    ) -> Result<(), Error> {
        for span in near {
            let (start, end) = (Timestamp(span.start), Timestamp(span.end));
            if core.tells_all() {
                let gone = Change { key: key.to_vec(), start, end, at: end, row: None };
                core.updates.push((row, gone));
            }
            if (span.start, span.end) == (merged.start, merged.end) {
                continue;
            }
            self.spans().delete(core, state, row, key, span);
            if !core.tells_all() {
                core.unmark(state, row, &Of { key, start, end })?;
            }
        }
        Ok(())
    }

    /// The sessions of a key that a record is near enough to, in the order of time; and whether what becomes of them is
    /// the key's newest session.
    fn near(
        self,
        core: &Core,
        state: &TaskState,
        key: &[u8],
        at: i64,
        before: Option<Timestamp>,
    ) -> Result<(Vec<Span>, bool), store::Error> {
        let mut near = Vec::new();
        let Some(before) = before else { return Ok((near, true)) };
        // The first end that still takes part.
        let takes_part = self.closed_at(core, before).saturating_add(1);
        let first_end = (at - self.gap).max(takes_part);
        if let Some((start, end)) = core.newest.get(key).filter(|(start, _)| *start <= at) {
            // All others of the key end too long before it.
            if end >= first_end {
                near.extend(self.spans().get(core, state, key, start, end)?);
            }
            return Ok((near, true));
        }
        let mut is_newest = true;
        let ends = (first_end, before.millis());
        self.spans().walk(core, state, key, ends, false, |span| {
            if span.start > at.saturating_add(self.gap) {
                is_newest = false;
                return ControlFlow::Break(());
            }
            near.push(span);
            ControlFlow::Continue(())
        })?;
        Ok((near, is_newest))
    }

    /// The session of a key that a time is in.
    pub(super) fn around(
        self,
        core: &Core,
        state: &impl Ordered,
        key: &[u8],
        at: i64,
    ) -> Result<Option<Change>, store::Error> {
        let latest = core.time.get().map_or(at, |time| time.millis());
        let mut found = None;
        self.spans().walk(core, state, key, (at, latest.max(at)), false, |span| {
            if span.start <= at {
                found = Some(span.change(key));
            }
            ControlFlow::Break(())
        })?;
        Ok(found)
    }
}
