//! Values, counters and maps.

use super::{Inner, Scope, checks::disk};
use crate::{
    guest::Fault,
    store::{self, Kind, MapEntry},
};

/// Entries of one page of a map.
const PAGE_ENTRIES_MAX: usize = 1000;
/// Bytes of keys and values of one page of a map; the entry that reaches them is the page's last.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// What is asked of a map.
#[derive(Debug, Clone, Default)]
pub struct MapRange {
    /// From this key on, itself included.
    pub from: Option<Vec<u8>>,
    /// Up to this key, itself excluded.
    pub to: Option<Vec<u8>>,
    /// From the last to the first.
    pub reverse: bool,
    /// Entries at most.
    pub limit: u32,
}

/// A page of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapPage {
    /// In byte order of the keys.
    pub entries: Vec<MapEntry>,
    /// Whether there may be more in the range.
    pub more: bool,
}

/// What the import `state` does: also for functions that are not WebAssembly.
impl Scope {
    /// The value of an entry's key.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn get(&mut self, slot: u32, entry: u32) -> Result<Option<Vec<u8>>, Fault> {
        self.call()?.get(slot, entry)
    }

    /// Sets, or deletes, the value of an entry's key.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn put(&mut self, slot: u32, entry: u32, value: Option<&[u8]>) -> Result<(), Fault> {
        self.call()?.put(slot, entry, value)
    }

    /// The counter of an entry's key.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn count(&mut self, slot: u32, entry: u32) -> Result<i64, Fault> {
        self.call()?.count(slot, entry)
    }

    /// Adds to the counter of an entry's key.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn add(&mut self, slot: u32, entry: u32, delta: i64) -> Result<i64, Fault> {
        self.call()?.add(slot, entry, delta)
    }

    /// A value of the map of an entry's key.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn map_get(&mut self, slot: u32, entry: u32, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.call()?.map_get(slot, entry, key)
    }

    /// Sets, or deletes, a value of the map of an entry's key.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn map_put(
        &mut self,
        slot: u32,
        entry: u32,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), Fault> {
        self.call()?.map_put(slot, entry, key, value)
    }

    /// A page of the map of an entry's key.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn map_scan(&mut self, slot: u32, entry: u32, range: &MapRange) -> Result<MapPage, Fault> {
        self.call()?.map_scan(slot, entry, range)
    }
}

impl Inner {
    pub(in crate::guest) fn get(
        &mut self,
        slot: u32,
        entry: u32,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let store = self.store(slot, Kind::Value)?;
        let at = self.at(entry)?;
        disk(&mut self.broken, self.state.get(store, &self.keys[at.key], at.time))
    }

    pub(in crate::guest) fn put(
        &mut self,
        slot: u32,
        entry: u32,
        value: Option<&[u8]>,
    ) -> Result<(), Fault> {
        let store = self.store(slot, Kind::Value)?;
        let at = self.at(entry)?;
        self.check_write(entry, Some(store), value.map_or(0, <[u8]>::len))?;
        self.state.put(at.row, store, &self.keys[at.key], value, at.time);
        Ok(())
    }

    pub(in crate::guest) fn count(&mut self, slot: u32, entry: u32) -> Result<i64, Fault> {
        let store = self.store(slot, Kind::Counter)?;
        let at = self.at(entry)?;
        disk(&mut self.broken, self.state.count(store, &self.keys[at.key], at.time))
    }

    pub(in crate::guest) fn add(
        &mut self,
        slot: u32,
        entry: u32,
        delta: i64,
    ) -> Result<i64, Fault> {
        let store = self.store(slot, Kind::Counter)?;
        let at = self.at(entry)?;
        self.check_write(entry, Some(store), 0)?;
        let added = self.state.add(at.row, store, &self.keys[at.key], delta, at.time);
        let added = disk(&mut self.broken, added)?;
        added.map_err(|overflow| {
            let message = format!("`{}`: {overflow}", self.stores[store].name);
            self.blame(entry, Fault::Trap { message })
        })
    }

    pub(in crate::guest) fn map_get(
        &mut self,
        slot: u32,
        entry: u32,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, Fault> {
        let store = self.store(slot, Kind::Map)?;
        let at = self.at(entry)?;
        self.check_key(entry, store, key.len())?;
        disk(&mut self.broken, self.state.map_get(store, &self.keys[at.key], key, at.time))
    }

    pub(in crate::guest) fn map_put(
        &mut self,
        slot: u32,
        entry: u32,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), Fault> {
        let store = self.store(slot, Kind::Map)?;
        let at = self.at(entry)?;
        self.check_key(entry, store, key.len())?;
        self.written_bytes += key.len();
        self.check_write(entry, Some(store), value.map_or(0, <[u8]>::len))?;
        self.state.map_put(at.row, store, &self.keys[at.key], key, value, at.time);
        Ok(())
    }

    pub(in crate::guest) fn map_scan(
        &mut self,
        slot: u32,
        entry: u32,
        range: &MapRange,
    ) -> Result<MapPage, Fault> {
        let store = self.store(slot, Kind::Map)?;
        let at = self.at(entry)?;
        for key in range.from.iter().chain(&range.to) {
            self.check_key(entry, store, key.len())?;
        }
        let limit = (range.limit as usize).min(PAGE_ENTRIES_MAX);
        let asked = store::Range {
            from: range.from.as_deref(),
            to: range.to.as_deref(),
            reverse: range.reverse,
            // One more, to know whether there are more.
            limit: limit + 1,
            bytes_max: PAGE_BYTES_MAX,
        };
        let found = self.state.map_scan(store, &self.keys[at.key], &asked, at.time);
        let mut entries = disk(&mut self.broken, found)?;
        // A page that ends by its bytes may be followed by an empty one.
        let size: usize = entries.iter().map(|entry| entry.key.len() + entry.value.len()).sum();
        let more = entries.len() > limit || size >= PAGE_BYTES_MAX;
        entries.truncate(limit);
        Ok(MapPage { entries, more })
    }
}
