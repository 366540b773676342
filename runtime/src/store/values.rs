//! Values and counters of a task's stores.

use rocksdb::DBPinnableSlice;

use super::{
    Error, Overflow, TaskState,
    database::Family,
    layer::Slot,
    value::{self, is_over},
};
use crate::record::Timestamp;

impl TaskState {
    /// The value of a key at event time `at`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn get(&self, store: usize, key: &[u8], at: Timestamp) -> Result<Option<Vec<u8>>, Error> {
        self.read(store, key, at)
    }

    /// Sets, or deletes, the value of a key on behalf of a row.
    pub fn put(&mut self, row: u32, store: usize, key: &[u8], value: Option<&[u8]>, at: Timestamp) {
        self.overlay.put(Some(row), store, key, slot(value, at));
    }

    /// The counter of a key; 0 where there is none.
    ///
    /// # Errors
    /// What the disk says.
    pub fn count(&self, store: usize, key: &[u8], at: Timestamp) -> Result<i64, Error> {
        let hash = self.overlay.hash(key);
        match self.overlay.seen(store, hash, key) {
            Some(bytes) => self.counted(store, bytes, at),
            None => self.counted(store, self.stored(store, key)?.as_deref(), at),
        }
    }

    /// Adds to the counter of a key and answers its new value.
    ///
    /// # Errors
    /// What the disk says.
    pub fn add(
        &mut self,
        row: u32,
        store: usize,
        key: &[u8],
        delta: i64,
        at: Timestamp,
    ) -> Result<Result<i64, Overflow>, Error> {
        let hash = self.overlay.hash(key);
        let entry = self.overlay.open(store).find(hash, key);
        let open = entry.and_then(|entry| self.overlay.open(store).slot(entry).seen());
        let value = match open.or_else(|| self.overlay.seen_sealed(store, hash, key)) {
            Some(bytes) => self.counted(store, bytes, at)?,
            None => self.counted(store, self.stored(store, key)?.as_deref(), at)?,
        };
        let Some(sum) = value.checked_add(delta) else {
            return Ok(Err(Overflow { value, delta }));
        };
        let entry = entry.unwrap_or_else(|| self.overlay.insert(store, hash, key, None));
        let slot = Slot::Counter(value::counter(at, sum));
        self.overlay.set(Some(row), store, entry, slot);
        Ok(Ok(sum))
    }

    /// The payload under a suffix, unless its time is over.
    pub(super) fn read(
        &self,
        store: usize,
        suffix: &[u8],
        at: Timestamp,
    ) -> Result<Option<Vec<u8>>, Error> {
        let hash = self.overlay.hash(suffix);
        match self.overlay.seen(store, hash, suffix) {
            Some(bytes) => self.payload(store, bytes, at),
            None => self.payload(store, self.stored(store, suffix)?.as_deref(), at),
        }
    }

    fn payload(
        &self,
        store: usize,
        bytes: Option<&[u8]>,
        at: Timestamp,
    ) -> Result<Option<Vec<u8>>, Error> {
        let Some(bytes) = bytes else { return Ok(None) };
        let spec = &self.stores[store].spec;
        let value =
            value::decode(bytes).map_err(|why| self.database.broken_value(&spec.name, why))?;
        Ok((!is_over(value.at, spec.ttl, at)).then(|| value.payload.to_vec()))
    }

    fn counted(&self, store: usize, bytes: Option<&[u8]>, at: Timestamp) -> Result<i64, Error> {
        let Some(bytes) = bytes else { return Ok(0) };
        let spec = &self.stores[store].spec;
        let (written, count) = value::decode_counter(bytes)
            .map_err(|why| self.database.broken_value(&spec.name, why))?;
        Ok(if is_over(written, spec.ttl, at) { 0 } else { count })
    }

    /// What RocksDB has under a suffix.
    pub(super) fn stored(
        &self,
        store: usize,
        suffix: &[u8],
    ) -> Result<Option<DBPinnableSlice<'_>>, Error> {
        self.database.get_in(Family::Kv, self.stores[store].prefix, suffix)
    }
}

/// What is written for a value.
pub(super) fn slot(value: Option<&[u8]>, at: Timestamp) -> Slot {
    match value {
        Some(value) => {
            let mut bytes = Vec::new();
            value::encode(at, value, &mut bytes);
            Slot::Bytes(bytes.into_boxed_slice())
        }
        None => Slot::Deleted,
    }
}
