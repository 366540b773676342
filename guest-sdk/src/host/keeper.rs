//! What a host keeps, natively, for one function: its state, rows and timers, and the rules by which a host gives them out.
//!
//! A call names slot and entry, and the key is that entry's. Slots of another role and entries gone by are refused, as a
//! host does. What a failed entry wrote is undone.

use super::{Page, Range, Window};
use crate::bindings::types::Role;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

/// Entries in a page at most, whatever is asked for.
const PAGE_ENTRIES_MAX: usize = 1000;

/// Where something is kept: slot, record key, and in a map the further key.
type Cell = (u32, Vec<u8>, Vec<u8>);

/// An entry of the batch that is handled.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Its key.
    pub(crate) key: Option<Vec<u8>>,
    /// Stream time when it is handled.
    pub(crate) time: i64,
}

/// A timer that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Set {
    pub(crate) due: i64,
    pub(crate) slot: u32,
    pub(crate) key: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    roles: Vec<Role>,
    cells: BTreeMap<Cell, Vec<u8>>,
    /// Rows whose partition is not here.
    elsewhere: BTreeSet<(u32, Vec<u8>)>,
    /// What aggregates are said to have come to, by slot and key.
    windows: BTreeMap<(u32, Vec<u8>), Vec<Window>>,
    batch: Vec<Caller>,
    /// The entry that called last.
    last: u32,
    /// What was there before, by the entry that changed it.
    undo: Vec<(u32, Cell, Option<Vec<u8>>)>,
}

impl Keeper {
    /// A keeper of nothing, for these slots.
    pub(crate) fn new(roles: Vec<Role>) -> Self {
        Keeper { roles, ..Keeper::default() }
    }

    /// A batch begins.
    pub(crate) fn begin(&mut self, batch: Vec<Caller>) {
        self.batch = batch;
        self.last = 0;
        self.undo.clear();
    }

    /// The batch ends: what entries from `handled` on wrote is undone.
    pub(crate) fn keep(&mut self, handled: u32) {
        while let Some((entry, cell, before)) = self.undo.pop() {
            if entry < handled {
                break;
            }
            self.place(cell, before);
        }
        self.undo.clear();
        self.batch.clear();
    }

    /// Puts something there from outside.
    pub(crate) fn place(&mut self, cell: Cell, value: Option<Vec<u8>>) {
        match value {
            Some(value) => self.cells.insert(cell, value),
            None => self.cells.remove(&cell),
        };
    }

    /// Looks at something from outside.
    pub(crate) fn look(&self, slot: u32, key: &[u8]) -> Option<&[u8]> {
        self.cells.get(&(slot, key.to_vec(), Vec::new())).map(Vec::as_slice)
    }

    /// Looks at a map from outside.
    pub(crate) fn entries(&self, slot: u32, key: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let from = (slot, key.to_vec(), Vec::new());
        let found = self.cells.range(from..);
        found
            .take_while(|((other, of, _), _)| *other == slot && of == key)
            .map(|((_, _, key), value)| (key.clone(), value.clone()))
            .collect()
    }

    /// Says that a row's partition is not here.
    pub(crate) fn move_away(&mut self, slot: u32, key: Vec<u8>) {
        self.elsewhere.insert((slot, key));
    }

    /// Says what an aggregate of a key has come to in a window.
    pub(crate) fn set_window(&mut self, slot: u32, key: &[u8], window: Window) {
        let windows = self.windows.entry((slot, key.to_vec())).or_default();
        windows.retain(|other| (other.start, other.end) != (window.start, window.end));
        windows.push(window);
        windows.sort_by_key(|window| (window.start, window.end));
    }

    /// Says that an aggregate of a key has no window any more.
    pub(crate) fn clear_windows(&mut self, slot: u32, key: &[u8]) {
        self.windows.remove(&(slot, key.to_vec()));
    }

    /// The timer that is due first, at `until` or before.
    pub(crate) fn due(&self, until: i64) -> Option<Set> {
        let timers = self.cells.iter().filter(|((slot, ..), _)| self.is(*slot, Role::Timer));
        let timers = timers.map(|((slot, key, _), value)| {
            let (due, payload) = timer(value);
            Set { due, slot: *slot, key: key.clone(), payload: payload.to_vec() }
        });
        timers.filter(|timer| timer.due <= until).min_by_key(|timer| timer.due)
    }

    /// Takes off a timer that fires.
    pub(crate) fn take(&mut self, timer: &Set) {
        self.cells.remove(&(timer.slot, timer.key.clone(), Vec::new()));
    }

    pub(super) fn get(
        &mut self,
        role: Role,
        slot: u32,
        entry: u32,
        further: &[u8],
    ) -> Result<Option<Vec<u8>>, String> {
        let key = self.key(role, slot, entry)?;
        Ok(self.cells.get(&(slot, key, further.to_vec())).cloned())
    }

    pub(super) fn put(
        &mut self,
        role: Role,
        slot: u32,
        entry: u32,
        further: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), String> {
        let cell = (slot, self.key(role, slot, entry)?, further.to_vec());
        self.undo.push((entry, cell.clone(), self.cells.get(&cell).cloned()));
        self.place(cell, value.map(<[u8]>::to_vec));
        Ok(())
    }

    pub(super) fn count(&mut self, slot: u32, entry: u32) -> Result<i64, String> {
        let value = self.get(Role::Counter, slot, entry, &[])?;
        Ok(value.map_or(0, |value| integer(&value)))
    }

    pub(super) fn add(&mut self, slot: u32, entry: u32, delta: i64) -> Result<i64, String> {
        let value = self.count(slot, entry)?;
        let sum = value.checked_add(delta).ok_or_else(|| {
            format!("the counter is {value} and {delta} more is not in the range of 64 bits")
        })?;
        self.put(Role::Counter, slot, entry, &[], Some(&sum.to_be_bytes()))?;
        Ok(sum)
    }

    pub(super) fn scan(
        &mut self,
        slot: u32,
        entry: u32,
        range: &Range<'_>,
    ) -> Result<Page, String> {
        let key = self.key(Role::Map, slot, entry)?;
        let cell = |further: &[u8]| (slot, key.clone(), further.to_vec());
        let from = Bound::Included(cell(range.from.unwrap_or_default()));
        let to = range.to.map_or(Bound::Unbounded, |to| Bound::Excluded(cell(to)));
        let ours =
            self.cells.range((from, to)).filter(|((other, of, _), _)| *other == slot && *of == key);
        let ours = ours.map(|((_, _, further), value)| (further.clone(), value.clone()));
        let limit = usize::try_from(range.limit).unwrap_or(usize::MAX).min(PAGE_ENTRIES_MAX);
        let mut entries: Vec<_> = if range.reverse {
            ours.rev().take(limit + 1).collect()
        } else {
            ours.take(limit + 1).collect()
        };
        let more = entries.len() > limit;
        entries.truncate(limit);
        Ok(Page { entries, more })
    }

    /// Rows are kept in the order in which they are added, to be looked at; what they come to is given.
    pub(super) fn add_row(
        &mut self,
        slot: u32,
        entry: u32,
        row: &[u8],
    ) -> Result<Option<Window>, String> {
        let key = self.key(Role::Aggregate, slot, entry)?;
        if !matches!(row.first(), Some(b'{')) && row != b"null" {
            let row = row.escape_ascii();
            return Err(format!("a row is a JSON object, and not {row}"));
        }
        let last = self.entries(slot, &key).last().map_or(0, |(at, _)| integer(at) + 1);
        self.put(Role::Aggregate, slot, entry, &last.to_be_bytes(), Some(row))?;
        Ok(self.windows(slot, entry)?.into_iter().next())
    }

    pub(super) fn windows(&mut self, slot: u32, entry: u32) -> Result<Vec<Window>, String> {
        let key = self.key(Role::Aggregate, slot, entry)?;
        Ok(self.windows.get(&(slot, key)).cloned().unwrap_or_default())
    }

    pub(super) fn row(&mut self, slot: u32, entry: u32) -> Result<Option<Vec<u8>>, String> {
        if self.caller(Role::Table, slot, entry)?.key.is_none() {
            return Ok(None);
        }
        self.get(Role::Table, slot, entry, &[])
    }

    pub(super) fn lookup(
        &mut self,
        slot: u32,
        entry: u32,
        key: &[u8],
    ) -> Result<Result<Option<Vec<u8>>, String>, String> {
        self.caller(Role::Table, slot, entry)?;
        if self.elsewhere.contains(&(slot, key.to_vec())) {
            return Ok(Err(format!("the row of {} is in another partition", key.escape_ascii())));
        }
        Ok(Ok(self.look(slot, key).map(<[u8]>::to_vec)))
    }

    pub(super) fn set_timer(
        &mut self,
        slot: u32,
        entry: u32,
        due: i64,
        payload: &[u8],
    ) -> Result<bool, String> {
        let value = [&due.to_be_bytes(), payload].concat();
        self.put(Role::Timer, slot, entry, &[], Some(&value))?;
        let later = self.batch.iter().skip(entry as usize + 1);
        Ok(later.map(|caller| caller.time).max().is_some_and(|time| due <= time))
    }

    pub(super) fn cancel_timer(&mut self, slot: u32, entry: u32) -> Result<(), String> {
        self.put(Role::Timer, slot, entry, &[], None)
    }

    pub(super) fn timer(&mut self, slot: u32, entry: u32) -> Result<Option<i64>, String> {
        Ok(self.get(Role::Timer, slot, entry, &[])?.map(|value| timer(&value).0))
    }

    fn is(&self, slot: u32, role: Role) -> bool {
        self.roles.get(slot as usize) == Some(&role)
    }

    /// The entry that calls.
    fn caller(&mut self, role: Role, slot: u32, entry: u32) -> Result<&Caller, String> {
        if !self.is(slot, role) {
            return Err(format!("slot {slot} is no {role:?}"));
        }
        if entry < self.last {
            return Err(format!("entry {entry} is over: entry {} called since", self.last));
        }
        self.last = entry;
        let caller = self.batch.get(entry as usize);
        caller.ok_or_else(|| format!("there is no entry {entry} in the batch"))
    }

    fn key(&mut self, role: Role, slot: u32, entry: u32) -> Result<Vec<u8>, String> {
        let key = self.caller(role, slot, entry)?.key.clone();
        key.ok_or_else(|| "record has no key".to_owned())
    }
}

/// When it is due, and its payload.
pub(crate) fn timer(value: &[u8]) -> (i64, &[u8]) {
    let (due, payload) = value.split_at(8);
    (integer(due), payload)
}

pub(crate) fn integer(value: &[u8]) -> i64 {
    i64::from_be_bytes(value.try_into().expect("it was written as eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeper() -> Keeper {
        let mut keeper = Keeper::new(vec![Role::Value, Role::Map]);
        let caller = |key: &str| Caller { key: Some(key.into()), time: 0 };
        keeper.begin(vec![caller("a"), caller("b"), Caller { key: None, time: 0 }]);
        keeper
    }

    #[test]
    fn what_a_host_refuses_is_refused() {
        let mut keeper = keeper();
        let mut put = |slot, entry| keeper.put(Role::Value, slot, entry, &[], Some(b"x"));
        assert_eq!(put(0, 1), Ok(()));
        assert_eq!(put(0, 0), Err("entry 0 is over: entry 1 called since".to_owned()));
        assert_eq!(put(1, 1), Err("slot 1 is no Role::Value".to_owned()));
        assert_eq!(put(7, 1), Err("slot 7 is no Role::Value".to_owned()));
        assert_eq!(put(0, 2), Err("record has no key".to_owned()));
        assert_eq!(put(0, 3), Err("there is no entry 3 in the batch".to_owned()));
    }

    #[test]
    fn writes_are_undone_entry_by_entry() {
        let mut keeper = keeper();
        for (entry, value) in [(0, "1"), (0, "2"), (1, "3"), (1, "4")] {
            let value = Some(value.as_bytes());
            keeper.put(Role::Value, 0, entry, &[], value).expect("slot and entry are right");
        }
        keeper.keep(1);
        assert_eq!((keeper.look(0, b"a"), keeper.look(0, b"b")), (Some(&b"2"[..]), None));
    }
}
