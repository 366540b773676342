//! What is aggregated without windows: one row a key, at a time that is no time.

use tidemill_aggregates::Value;

use super::{
    core::{Change, Core, add},
    engine::{Added, Error},
    marks::Of,
};
use crate::{
    record::Timestamp,
    store::{self, Ordered, TaskState, layout, tag},
};

/// The start of what has no window.
const ALWAYS: Timestamp = Timestamp(0);

/// Adds a record to what has no window.
pub(super) fn add_to(
    core: &mut Core,
    state: &mut TaskState,
    row: u32,
    key: &[u8],
    arguments: &[Value],
    at: Timestamp,
) -> Result<Added, Error> {
    let now = core.time.get().copied().unwrap_or(at);
    layout::fixed(tag::DATA, ALWAYS, key, &mut core.suffix);
    let found = core.load(state)?.filter(|written| !state.is_over(core.store, *written, now));
    if found.is_none() {
        core.row = core.spec.compute.init();
    }
    add(&core.spec.compute, &mut core.row, arguments, at)?;
    let at = found.map_or(at, |written| written.max(at));
    core.save(state, row, at);
    if core.tells_all() {
        let value = core.take_row();
        core.updates.push((row, Change::of(key, ALWAYS, Timestamp(i64::MAX), at, value)));
    } else {
        core.mark(state, row, &Of { key, start: ALWAYS, end: ALWAYS }, ALWAYS, false)?;
    }
    Ok(Added::In { closes: false })
}

/// What has no window.
pub(super) fn get(
    core: &Core,
    state: &impl Ordered,
    key: &[u8],
) -> Result<Option<Change>, store::Error> {
    let mut suffix = Vec::new();
    layout::fixed(tag::DATA, ALWAYS, key, &mut suffix);
    let found = state.ordered_get(core.store, &suffix, |at, bytes| {
        let over = core.time.get().is_some_and(|now| state.is_over(core.store, at, *now));
        (!over).then(|| core.decode(state, bytes).map(|row| (at, row)))
    })?;
    let found = found.flatten().transpose()?;
    Ok(found.map(|(at, row)| Change::of(key, ALWAYS, Timestamp(i64::MAX), at, row)))
}

/// What has no window, of keys behind one, where that is given.
pub(super) fn scan(
    core: &Core,
    state: &impl Ordered,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Change>, store::Error> {
    let mut lower = Vec::new();
    layout::fixed(tag::DATA, ALWAYS, after.unwrap_or_default(), &mut lower);
    if after.is_some() {
        lower.push(0);
    }
    let mut found = Vec::new();
    state.ordered_scan(core.store, &lower, &[tag::DATA + 1], false, |suffix, at, bytes| {
        let key = layout::split_fixed(suffix).map_or(&[][..], |(_, key)| key);
        if !core.time.get().is_some_and(|now| state.is_over(core.store, at, *now)) {
            let row = core.decode(state, bytes)?;
            found.push(Change::of(key, ALWAYS, Timestamp(i64::MAX), at, row));
        }
        Ok::<_, store::Error>(found.len() < limit)
    })?;
    Ok(found)
}
