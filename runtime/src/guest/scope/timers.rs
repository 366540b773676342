//! Timers, and what they make of a turn.

use std::ops::Range;

use super::{Firing, Inner, Scope, checks::disk};
use crate::{guest::Fault, record::Timestamp};

/// What the import `timers` does: also for functions that are not WebAssembly.
impl Scope {
    /// Sets the timer of an entry's key. Answers whether it falls due before a later entry of the call.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn set_timer(
        &mut self,
        slot: u32,
        entry: u32,
        due: i64,
        payload: &[u8],
    ) -> Result<bool, Fault> {
        self.call()?.set_timer(slot, entry, due, payload)
    }

    /// Cancels the timer of an entry's key.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn cancel_timer(&mut self, slot: u32, entry: u32) -> Result<(), Fault> {
        self.call()?.cancel_timer(slot, entry)
    }

    /// When the timer of an entry's key is due.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn timer(&mut self, slot: u32, entry: u32) -> Result<Option<i64>, Fault> {
        self.call()?.timer(slot, entry)
    }
}

impl Inner {
    /// A timer is over before its handler runs; in the order of entries, so that each is undone with its row.
    pub(super) fn delete_fired(&mut self, before: u32) -> Result<(), Fault> {
        if self.fired.is_empty() {
            return Ok(());
        }
        while self.deleted < before {
            let place = &self.entries[self.deleted as usize];
            if place.fired {
                let firing = &self.fired[place.row as usize];
                let cancelled = self.state.cancel_timer(place.row, firing.timer, &firing.key);
                disk(&mut self.broken, cancelled)?;
            }
            self.deleted += 1;
        }
        Ok(())
    }

    pub(in crate::guest) fn set_timer(
        &mut self,
        slot: u32,
        entry: u32,
        due: i64,
        payload: &[u8],
    ) -> Result<bool, Fault> {
        let timer = self.timer_of(slot)?;
        let at = self.at(entry)?;
        self.check_write(entry, None, payload.len())?;
        if due < 0 {
            let message =
                format!("a timer cannot be due at {due}: milliseconds since 1970 are right");
            return Err(self.blame(entry, Fault::Trap { message }));
        }
        let due = Timestamp(due);
        self.cut_at(at.row, timer, &at.key, Some(due));
        let set = self.state.set_timer(at.row, timer, &self.keys[at.key], due, payload);
        disk(&mut self.broken, set)?;
        let last = self.entries.last().map_or(0, |place| place.row);
        Ok(self.cut.is_some_and(|cut| last >= cut))
    }

    pub(in crate::guest) fn cancel_timer(&mut self, slot: u32, entry: u32) -> Result<(), Fault> {
        let timer = self.timer_of(slot)?;
        let at = self.at(entry)?;
        self.cut_at(at.row, timer, &at.key, None);
        disk(&mut self.broken, self.state.cancel_timer(at.row, timer, &self.keys[at.key]))
    }

    pub(in crate::guest) fn timer(&mut self, slot: u32, entry: u32) -> Result<Option<i64>, Fault> {
        let timer = self.timer_of(slot)?;
        let at = self.at(entry)?;
        let due = disk(&mut self.broken, self.state.timer(timer, &self.keys[at.key]))?;
        Ok(due.map(Timestamp::millis))
    }

    /// A row changes a timer: the first later row that is to see it fire, or that is a firing of it which no longer
    /// holds, is not for this turn.
    fn cut_at(&mut self, row: u32, timer: u16, key: &Range<usize>, due: Option<Timestamp>) {
        let next = row as usize + 1;
        let later = if self.fired.is_empty() {
            let Some(due) = due else { return };
            // Stream time never falls, so the rows that make it due are the last ones.
            next + self.at[next..].partition_point(|at| *at < due)
        } else {
            let key = &self.keys[key.clone()];
            let name = |timer: u16| &*self.timers[usize::from(timer)];
            let before = |firing: &Firing| {
                due.is_some_and(|due| {
                    (due, name(timer), key) < (firing.due, name(firing.timer), &*firing.key)
                })
            };
            let same = |firing: &Firing| firing.timer == timer && firing.key == key;
            let found = self.fired[next..].iter().position(|firing| before(firing) || same(firing));
            found.map_or(self.fired.len(), |found| next + found)
        };
        if later < self.at.len() {
            let later = u32::try_from(later).expect("a turn has few rows");
            self.cut = Some(self.cut.map_or(later, |cut| cut.min(later)));
        }
    }
}
