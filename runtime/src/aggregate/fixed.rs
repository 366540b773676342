//! Tumbling and hopping windows.
//!
//! Which windows take a record, and in which order results come out, is as in Kafka Streams' windowed aggregation; the
//! difference is that a hopping window is put together from its [panes](super::panes) when it is looked at.

use std::collections::BTreeMap;

use tidemill_aggregates::{Fault, Row, Value};

use super::{
    core::{Change, Core, add, millis},
    engine::{Added, Error},
    marks::Of,
    panes::{self, Pane, Panes},
};
use crate::{
    record::Timestamp,
    store::{self, Ordered, TaskState, layout, tag},
};

impl Panes {
    /// Up to here windows are closed, where time is `time`.
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
        let (first, last) = (self.first(at.millis()), self.last(at.millis()));
        let open = self.first_open(Self::closed_at(core, time)).max(first);
        if open > last {
            core.late.push((row, at));
            return Ok(Added::Late { closes: true });
        }
        let pane = Timestamp(self.pane(at.millis()));
        layout::fixed(tag::DATA, pane, key, &mut core.suffix);
        let is_plain = open == first && self.add_plain(core, state, row, arguments, at)?;
        if !is_plain {
            self.add_late(core, state, row, (open > first).then_some(open), arguments, at)?;
        }
        core.closes_at(Timestamp(open.saturating_add(self.size + core.grace())));
        if core.tells_all() {
            if self.is_tumbling() {
                let value = core.take_row();
                let end = Timestamp(open + self.size);
                core.updates.push((row, Change::of(key, pane, end, core.last_written, value)));
            } else {
                let windows = self.look(core, state, key, open, last)?;
                core.updates.extend(windows.into_iter().map(|window| (row, window)));
            }
            return Ok(Added::In { closes: true });
        }
        core.fired.forget(key);
        core.mark(state, row, &Of { key, start: pane, end: pane }, Timestamp(open), false)?;
        Ok(Added::In { closes: true })
    }

    /// Adds a record that is late for no window to the pane under the suffix, unless that has late parts.
    #[inline]
    fn add_plain(
        self,
        core: &mut Core,
        state: &mut TaskState,
        row: u32,
        arguments: &[Value],
        at: Timestamp,
    ) -> Result<bool, Error> {
        let (compute, into) = (&core.spec.compute, &mut core.row);
        let found = state.ordered_get(core.store, &core.suffix, |written, bytes| {
            if panes::has_parts(bytes) {
                return Ok(None);
            }
            compute.decode_into(bytes, into).map(|()| Some(written))
        })?;
        let written = match found {
            Some(Ok(None)) => return Ok(false),
            Some(Ok(Some(written))) => written,
            Some(Err(why)) => return Err(state.broken_row(core.store, why).into()),
            None => {
                core.row = core.spec.compute.init();
                at
            }
        };
        add(&core.spec.compute, &mut core.row, arguments, at)?;
        core.last_written = written.max(at);
        core.save(state, row, core.last_written);
        Ok(true)
    }

    /// Adds a record to the pane under the suffix; `from`: it only counts from this window on.
    fn add_late(
        self,
        core: &mut Core,
        state: &mut TaskState,
        row: u32,
        from: Option<i64>,
        arguments: &[Value],
        at: Timestamp,
    ) -> Result<(), Error> {
        let compute = &core.spec.compute;
        let found = state.ordered_get(core.store, &core.suffix, |written, bytes| {
            Pane::decode(compute, written, bytes)
        })?;
        let found = found.transpose().map_err(|why| state.broken_row(core.store, why))?;
        let mut pane = found.unwrap_or_default();
        match from {
            Some(from) => {
                let (written, into) = pane.part(from, compute);
                add(compute, into, arguments, at)?;
                *written = at.max(*written);
            }
            None => {
                let (written, into) = pane.whole.get_or_insert_with(|| (at, compute.init()));
                add(compute, into, arguments, at)?;
                *written = at.max(*written);
            }
        }
        core.bytes.clear();
        pane.encode(&core.spec.compute, &mut core.bytes);
        let written = pane.whole.map_or(Timestamp(i64::MIN), |(written, _)| written);
        state.ordered_put(Some(row), core.store, &core.suffix, written, &core.bytes);
        Ok(())
    }

    /// The windows of a key from one to another, both included, of those that hold something.
    pub(super) fn look(
        self,
        core: &Core,
        state: &impl Ordered,
        key: &[u8],
        first: i64,
        last: i64,
    ) -> Result<Vec<Change>, Error> {
        let mut panes: Vec<(i64, Pane)> = Vec::new();
        let (mut at, mut suffix) = (first, Vec::new());
        while at < last.saturating_add(self.size) {
            layout::fixed(tag::DATA, Timestamp(at), key, &mut suffix);
            let found = state.ordered_get(core.store, &suffix, |written, bytes| {
                Pane::decode(core.compute(), written, bytes)
            })?;
            if let Some(pane) = found {
                panes.push((at, pane.map_err(|why| state.broken_row(core.store, why))?));
            }
            at = self.next(at);
        }
        let windows = self.windows(first, last);
        if panes.iter().all(|(_, pane)| pane.late.is_empty()) {
            return self.merged(core, key, windows, panes).map_err(Error::Fault);
        }
        let mut found = Vec::new();
        for window in windows {
            let within = panes
                .iter()
                .filter(|(pane, _)| *pane >= window && *pane < window.saturating_add(self.size));
            let merged = self.window(core, key, window, within.map(|(_, pane)| pane));
            found.extend(merged.map_err(Error::Fault)?);
        }
        Ok(found)
    }

    /// Windows of a key, one after another, from panes without late parts: about two merges each, however many panes
    /// they have.
    fn merged(
        self,
        core: &Core,
        key: &[u8],
        windows: impl Iterator<Item = i64>,
        panes: Vec<(i64, Pane)>,
    ) -> Result<Vec<Change>, Fault> {
        let mut panes = panes
            .into_iter()
            .filter_map(|(start, pane)| pane.whole.map(|(at, row)| (start, at, row)))
            .peekable();
        // Of the panes in the window the older ones, the last one first, each merged with those behind it in `older`;
        // and the younger ones with all of them merged.
        let mut older: Vec<(i64, Timestamp, Row)> = Vec::new();
        let mut younger: Vec<(i64, Timestamp, Row)> = Vec::new();
        let mut sum: Option<(Timestamp, Row)> = None;
        let mut found = Vec::new();
        for window in windows {
            let end = window.saturating_add(self.size);
            while let Some(pane) = panes.next_if(|(start, ..)| *start < end) {
                sum = Some(match sum {
                    Some((at, row)) => joined(core, (at, row), (pane.1, &pane.2))?,
                    None => (pane.1, pane.2.clone()),
                });
                younger.push(pane);
            }
            while older.pop_if(|(start, ..)| *start < window).is_some() {}
            if older.is_empty() {
                sum = None;
                for (start, at, row) in
                    younger.drain(..).rev().take_while(|(start, ..)| *start >= window)
                {
                    let merged = match older.last() {
                        Some((_, later, rows)) => joined(core, (at, row), (*later, rows))?,
                        None => (at, row),
                    };
                    older.push((start, merged.0, merged.1));
                }
            }
            let first = older.last().map(|(_, at, row)| (*at, row.clone()));
            let whole = match (first, &sum) {
                (Some(first), Some((at, row))) => Some(joined(core, first, (*at, row))?),
                (first, None) => first,
                (None, Some(sum)) => Some(sum.clone()),
            };
            found.extend(
                whole.map(|(at, row)| Change::of(key, Timestamp(window), Timestamp(end), at, row)),
            );
        }
        Ok(found)
    }

    /// A window of a key, from its panes, in their order.
    fn window<'a>(
        self,
        core: &Core,
        key: &[u8],
        window: i64,
        panes: impl Iterator<Item = &'a Pane>,
    ) -> Result<Option<Change>, Fault> {
        let mut found: Option<(Timestamp, Row)> = None;
        for (at, row) in panes.flat_map(|pane| pane.rows(window)) {
            match &mut found {
                Some((latest, whole)) => {
                    core.compute().merge(whole, row)?;
                    *latest = at.max(*latest);
                }
                None => found = Some((at, row.clone())),
            }
        }
        let end = Timestamp(window.saturating_add(self.size));
        Ok(found.map(|(at, row)| Change::of(key, Timestamp(window), end, at, row)))
    }

    /// `final` results that are closed where `closed` is, behind those that came out, in the order of windows and keys.
    pub(super) fn closed(
        self,
        core: &Core,
        state: &impl Ordered,
        closed: i64,
        limit: usize,
    ) -> Result<Vec<Change>, store::Error> {
        let after = core.sent.get().and_then(|sent| split_cursor(sent));
        let from = after.unwrap_or((i64::MIN, Vec::new()));
        let after = core.sent.get().is_some().then_some(from.1);
        self.results(core, state, (from.0, after), closed.saturating_sub(self.size), limit)
    }

    /// Results of windows that begin from one time on, and there behind a key, up to another, included.
    pub(super) fn results(
        self,
        core: &Core,
        state: &impl Ordered,
        (from, mut after): (i64, Option<Vec<u8>>),
        last: i64,
        limit: usize,
    ) -> Result<Vec<Change>, store::Error> {
        let mut window = from;
        if after.is_none() {
            let Some(pane) = self.first_pane(core, state, from)? else { return Ok(Vec::new()) };
            window = self.first(pane).max(from);
        }
        let mut found = Vec::new();
        while found.len() < limit && window <= last {
            let (until, results) =
                self.slice(core, state, window, after.as_deref(), limit - found.len())?;
            found.extend(results);
            after = until;
            if after.is_none() {
                let next = window.saturating_add(self.advance);
                let Some(pane) = self.first_pane(core, state, next)? else { break };
                window = next.max(self.first(pane));
            }
        }
        Ok(found)
    }

    /// The first pane from one on that holds something of anybody.
    fn first_pane(
        self,
        core: &Core,
        state: &impl Ordered,
        from: i64,
    ) -> Result<Option<i64>, store::Error> {
        let mut lower = Vec::new();
        layout::fixed(tag::DATA, Timestamp(from), &[], &mut lower);
        let mut first = None;
        state.ordered_scan(core.store, &lower, &[tag::DATA + 1], false, |suffix, _, _| {
            first = layout::split_fixed(suffix).map(|(pane, _)| pane.millis());
            Ok::<_, store::Error>(false)
        })?;
        Ok(first)
    }

    /// Results of a window, for keys behind `after`, some at most. Answers up to which key, where there may be more.
    fn slice(
        self,
        core: &Core,
        state: &impl Ordered,
        window: i64,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<(Option<Vec<u8>>, Vec<Change>), store::Error> {
        let mut keys: BTreeMap<Vec<u8>, Vec<Pane>> = BTreeMap::new();
        // Up to here all panes were looked at.
        let mut bound: Option<Vec<u8>> = None;
        let (mut lower, mut upper) = (Vec::new(), Vec::new());
        for pane in self.of(window) {
            layout::fixed(tag::DATA, Timestamp(pane), after.unwrap_or_default(), &mut lower);
            if after.is_some() {
                lower.push(0);
            }
            layout::fixed(tag::DATA, Timestamp(pane + 1), &[], &mut upper);
            let mut seen = 0;
            state.ordered_scan(core.store, &lower, &upper, false, |suffix, at, bytes| {
                let key = layout::split_fixed(suffix).map_or(&[][..], |(_, key)| key);
                if bound.as_ref().is_some_and(|bound| key > &bound[..]) {
                    return Ok(false);
                }
                let pane = Pane::decode(core.compute(), at, bytes)
                    .map_err(|why| state.broken_row(core.store, why))?;
                keys.entry(key.to_vec()).or_default().push(pane);
                seen += 1;
                if seen == limit {
                    bound = Some(key.to_vec());
                }
                Ok::<_, store::Error>(seen < limit)
            })?;
        }
        if keys.len() > limit {
            bound = keys.keys().nth(limit - 1).cloned().or(bound);
        }
        let mut results = Vec::new();
        for (key, panes) in &keys {
            if bound.as_ref().is_some_and(|bound| key > bound) {
                break;
            }
            let nothing = |_| {
                let (start, end) = (Timestamp(window), Timestamp(window + self.size));
                Some(Change { key: key.clone(), start, end, at: start, row: None })
            };
            results.extend(self.window(core, key, window, panes.iter()).unwrap_or_else(nothing));
        }
        Ok((bound, results))
    }

    /// Deletes some of the panes that nobody will read any more.
    pub(super) fn expire(
        self,
        core: &Core,
        state: &mut TaskState,
        behind: i64,
        budget: usize,
    ) -> Result<usize, store::Error> {
        let sent = core.sent.get().and_then(|sent| split_cursor(sent)).map(|(window, _)| window);
        let behind = match core.emit() {
            Some(super::Emit::Final) => behind.min(sent.unwrap_or(i64::MIN)),
            _ => behind,
        };
        let mut before = Vec::new();
        layout::fixed(tag::DATA, Timestamp(behind), &[], &mut before);
        state.expire(core.store, &[tag::DATA], &before, budget)
    }
}

/// Both as one.
fn joined(
    core: &Core,
    (at, mut row): (Timestamp, Row),
    (later_at, later): (Timestamp, &Row),
) -> Result<(Timestamp, Row), Fault> {
    core.compute().merge(&mut row, later)?;
    Ok((at.max(later_at), row))
}

/// Behind a result of a window and key.
pub(super) fn cursor(window: Timestamp, key: &[u8]) -> Vec<u8> {
    let mut cursor = Vec::with_capacity(key.len() + 8);
    layout::put_time(window, &mut cursor);
    cursor.extend_from_slice(key);
    cursor
}

/// The window and the key of a cursor.
pub(super) fn split_cursor(cursor: &[u8]) -> Option<(i64, Vec<u8>)> {
    let (window, key) = layout::time(cursor)?;
    Some((window.millis(), key.to_vec()))
}

/// Windows with fixed borders of these lengths.
pub(super) fn of(size: std::time::Duration, advance: std::time::Duration) -> Panes {
    Panes { size: millis(size).max(1), advance: millis(advance).max(1) }
}
