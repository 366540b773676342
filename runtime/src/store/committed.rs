//! What is committed in a live store of ordered rows, as of one moment.

use rocksdb::{DB, ReadOptions, SnapshotWithThreadMode};

use super::{
    Database, Error, LiveStore, Ordered, Progress,
    database::{Family, Inner},
    keys::PREFIX,
    marks, progress,
    value::{self, is_over},
};
use crate::record::Timestamp;

/// See the module's page. The index of a store is of no matter: there is one.
pub struct Committed<'a> {
    database: &'a Inner,
    store: &'a LiveStore,
    snapshot: SnapshotWithThreadMode<'a, DB>,
}

impl Database {
    /// What is committed in a store now.
    pub fn committed<'a>(&'a self, store: &'a LiveStore) -> Committed<'a> {
        Committed { database: &self.inner, store, snapshot: self.inner.snapshot() }
    }
}

impl Committed<'_> {
    /// How far the task of the store had come.
    ///
    /// # Errors
    /// What the disk says.
    pub fn progress(&self) -> Result<Option<Progress>, Error> {
        let Some((meta, partition)) = self.store.clock else { return Ok(None) };
        let key = marks::progress_key(meta, partition);
        let bytes = self.snapshot.get_pinned_cf(self.database.family(Family::Meta), key);
        let bytes = bytes.map_err(|cause| self.database.failed(&cause))?;
        bytes.map(|bytes| progress::decode(self.database, &bytes)).transpose()
    }

    fn decode<'b>(&self, bytes: &'b [u8]) -> Result<value::Value<'b>, Error> {
        let broken = |why| self.database.broken_value(&self.store.spec.name, why);
        value::decode(bytes).map_err(broken)
    }
}

impl Ordered for Committed<'_> {
    fn ordered_get<R>(
        &self,
        _store: usize,
        suffix: &[u8],
        look: impl FnOnce(Timestamp, &[u8]) -> R,
    ) -> Result<Option<R>, Error> {
        let family = self.database.family(Family::of(self.store.spec.kind));
        let key = [&self.store.prefix()[..], suffix].concat();
        let bytes = self.snapshot.get_pinned_cf(family, key);
        let Some(bytes) = bytes.map_err(|cause| self.database.failed(&cause))? else {
            return Ok(None);
        };
        let value = self.decode(&bytes)?;
        Ok(Some(look(value.at, value.payload)))
    }

    fn ordered_scan<E: From<Error>>(
        &self,
        _store: usize,
        from: &[u8],
        to: &[u8],
        reverse: bool,
        mut each: impl FnMut(&[u8], Timestamp, &[u8]) -> Result<bool, E>,
    ) -> Result<(), E> {
        if from >= to {
            return Ok(());
        }
        let prefix = self.store.prefix();
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        options.set_iterate_lower_bound([&prefix[..], from].concat());
        options.set_iterate_upper_bound([&prefix[..], to].concat());
        let family = self.database.family(Family::of(self.store.spec.kind));
        let mut rows = self.snapshot.raw_iterator_cf_opt(family, options);
        if reverse {
            rows.seek_to_last();
        } else {
            rows.seek_to_first();
        }
        while let Some((key, bytes)) = rows.item() {
            let value = self.decode(bytes)?;
            if !each(&key[PREFIX..], value.at, value.payload)? {
                return Ok(());
            }
            if reverse {
                rows.prev();
            } else {
                rows.next();
            }
        }
        rows.status().map_err(|cause| self.database.failed(&cause))?;
        Ok(())
    }

    fn is_over(&self, _store: usize, written: Timestamp, now: Timestamp) -> bool {
        is_over(written, self.store.spec.ttl, now)
    }

    fn name(&self, _store: usize) -> &str {
        &self.store.spec.name
    }

    fn broken_row(&self, _store: usize, why: impl std::fmt::Display) -> Error {
        self.database.broken_row(&self.store.spec.name, why)
    }
}
