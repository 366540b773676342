//! Results that come out at most once in so long, by the wall clock: changes are marked in the store, and when the pause is
//! over a *round* goes over all keys that have marks. What changes behind it waits for the next one.

use std::collections::BTreeMap;

use super::{
    Emit,
    core::{Core, millis},
    emission::{Waiting, Why},
    engine::Engine,
    latest::Latest,
};
use crate::{
    record::Timestamp,
    store::{self, TaskState, layout, tag},
};

/// Of results that come out at most once in so long: how far the keys of the running round have come.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// When it began, by the wall clock; or the last one, where none runs.
    began: Option<Timestamp>,
    /// The time of the engine then, where one runs.
    time: Option<Option<Timestamp>>,
    /// The last key that is out.
    key: Latest<Vec<u8>>,
    /// The wall clock when the turn began.
    now: Option<Timestamp>,
}

impl Round {
    pub(super) fn begin(&mut self) {
        self.key.begin();
    }

    pub(super) fn keep(&mut self, rows: u32) {
        self.key.keep(rows);
    }
}

impl Engine {
    /// Tells the wall clock.
    pub fn tick(&mut self, now: Timestamp) {
        self.core.round.now = Some(now);
        self.core.round.began.get_or_insert(now);
    }

    /// Keys whose results changed and wait, where the pause since they last came out is over at `now`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn paused(
        &mut self,
        state: &TaskState,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Waiting>, store::Error> {
        let Some(Emit::Every(pause)) = self.core.emit() else { return Ok(Vec::new()) };
        self.ready(state)?;
        let round = &mut self.core.round;
        if round.time.is_none() {
            let last = *round.began.get_or_insert(now);
            if now.millis() < last.millis().saturating_add(millis(pause)) {
                return Ok(Vec::new());
            }
            (round.began, round.time) = (Some(now), Some(self.core.time.get().copied()));
            self.core.round.key.set(None);
        }
        let mut waiting: Vec<Waiting> = Vec::new();
        let mut lower = vec![tag::MARK];
        if let Some(key) = self.core.round.key.get() {
            layout::marks(key, &mut lower);
            // The end of an escaped key is 0 0, and none has 0 1.
            lower.pop();
            lower.push(1);
        }
        state.ordered_scan(self.core.store, &lower, &[tag::MARK + 1], false, |suffix, _, _| {
            let (key, start, end) = layout::split_mark(suffix)
                .ok_or_else(|| state.broken_row(self.core.store, "its mark has no borders"))?;
            if waiting.last().is_none_or(|last| last.key != key) {
                if waiting.len() == limit {
                    return Ok(false);
                }
                waiting.push(Waiting { key, start, end, at: start, why: Why::Paused });
            }
            Ok::<_, store::Error>(true)
        })?;
        if waiting.is_empty() {
            // The round is over, and nothing from before it waits.
            self.core.cleared = self.core.round.time.take().flatten();
        }
        Ok(waiting)
    }

    /// When, by the wall clock, the first result is over its pause.
    ///
    /// # Errors
    /// What the disk says.
    pub fn next_pause(&mut self, state: &TaskState) -> Result<Option<Timestamp>, store::Error> {
        let Some(Emit::Every(pause)) = self.core.emit() else { return Ok(None) };
        self.ready(state)?;
        let round = &self.core.round;
        if round.time.is_some() {
            return Ok(round.began);
        }
        let last = round.began.or(round.now);
        let waits = self.core.has_marks(state)?;
        Ok(last.filter(|_| waits).map(|last| Timestamp(last.millis() + millis(pause))))
    }
}

impl Core {
    /// Whether there are marks in the store.
    pub(super) fn has_marks(&self, state: &TaskState) -> Result<bool, store::Error> {
        let mut has = false;
        let (from, to) = ([tag::MARK], [tag::MARK + 1]);
        state.ordered_scan(self.store, &from, &to, false, |_, _, _| {
            has = true;
            Ok::<_, store::Error>(false)
        })?;
        Ok(has)
    }

    /// Removes the marks of a key from the store, whose turn it was in the round.
    pub(super) fn take_marks(
        &mut self,
        state: &mut TaskState,
        row: u32,
        key: &[u8],
    ) -> Result<Vec<(Timestamp, Timestamp, Timestamp)>, store::Error> {
        let marks = self.marks_of(state, key)?;
        let mut suffix = Vec::new();
        for (start, end, _) in &marks {
            layout::mark(key, *start, *end, &mut suffix);
            state.ordered_delete(Some(row), self.store, &suffix);
        }
        self.round.key.raise(row, key.to_vec());
        Ok(marks)
    }

    /// The marks of a key in the store, of panes with the first windows that they count in; by start.
    fn marks_of(
        &self,
        state: &TaskState,
        key: &[u8],
    ) -> Result<Vec<(Timestamp, Timestamp, Timestamp)>, store::Error> {
        let mut from = Vec::new();
        layout::marks(key, &mut from);
        let mut to = from.clone();
        to.pop();
        to.push(1);
        let mut marks = BTreeMap::new();
        state.ordered_scan(self.store, &from, &to, false, |suffix, at, _| {
            let (_, start, end) = layout::split_mark(suffix)
                .ok_or_else(|| state.broken_row(self.store, "its mark has no borders"))?;
            marks.insert((start, end), at);
            Ok::<_, store::Error>(true)
        })?;
        Ok(marks.into_iter().map(|((start, end), from)| (start, end, from)).collect())
    }
}
