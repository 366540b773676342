//! Rows of ordered stores: those of windows, sessions and joins. Their suffixes begin with a [`tag`](super::tag), and what
//! follows is put together by who uses them, see [`layout`](super::layout).
//!
//! A scan sees the open layer, the sealed one and RocksDB as one. Rows of [`tag::INDEX`] are local: no changelog has them,
//! and they are made again where a store is restored. Of a range of rows that [expires](TaskState::expire) each is a
//! tombstone on the changelog, so that it does not come back, and RocksDB hears of all of them at once, at most every few
//! seconds: until then they are still there to be read.

use std::time::{Duration, Instant};

use rocksdb::WriteBatch;

use super::{
    Error, TaskState,
    keys::Prefix,
    layer::{Layer, Order, Slot},
    value::{self, is_over},
};
use crate::record::Timestamp;

/// RocksDB gets a range to delete of a store at most this often: each costs reads a little until it is compacted away.
const RANGE_PAUSE: Duration = Duration::from_secs(5);

/// Rows that were looked up ahead, by store.
pub(super) struct Fetched(Vec<Layer>);

impl Fetched {
    pub(super) fn new(prefixes: impl Iterator<Item = Prefix>) -> Fetched {
        Fetched(prefixes.map(|prefix| Layer::new(prefix, Order::None)).collect())
    }

    /// RocksDB is to be asked again.
    pub(super) fn clear(&mut self) {
        for layer in self.0.iter_mut().filter(|layer| !layer.entries().is_empty()) {
            layer.clear();
        }
    }
}

/// How far the rows of a range have expired, from the first one on.
pub(super) struct Expiring {
    store: usize,
    /// Where the range begins.
    from: Vec<u8>,
    /// Up to here they are deletions in the overlay, or on the changelog.
    walked: Vec<u8>,
    /// Up to here when the overlay was last sealed.
    sealed: Vec<u8>,
    /// Up to here RocksDB has heard of it.
    ranged: Vec<u8>,
    ranged_at: Option<Instant>,
}

impl Expiring {
    pub(super) fn store(&self) -> usize {
        self.store
    }
}

/// What reads rows of ordered stores, by the stores' index in a task.
pub trait Ordered {
    /// See [`TaskState::ordered_get`].
    ///
    /// # Errors
    /// What the disk says.
    fn ordered_get<R>(
        &self,
        store: usize,
        suffix: &[u8],
        look: impl FnOnce(Timestamp, &[u8]) -> R,
    ) -> Result<Option<R>, Error>;

    /// See [`TaskState::ordered_scan`].
    ///
    /// # Errors
    /// What the disk says, and what `each` does.
    fn ordered_scan<E: From<Error>>(
        &self,
        store: usize,
        from: &[u8],
        to: &[u8],
        reverse: bool,
        each: impl FnMut(&[u8], Timestamp, &[u8]) -> Result<bool, E>,
    ) -> Result<(), E>;

    /// See [`TaskState::is_over`].
    fn is_over(&self, store: usize, written: Timestamp, now: Timestamp) -> bool;

    /// The store's name.
    fn name(&self, store: usize) -> &str;

    /// See [`TaskState::broken_row`].
    fn broken_row(&self, store: usize, why: impl std::fmt::Display) -> Error;
}

impl Ordered for TaskState {
    #[inline]
    fn ordered_get<R>(
        &self,
        store: usize,
        suffix: &[u8],
        look: impl FnOnce(Timestamp, &[u8]) -> R,
    ) -> Result<Option<R>, Error> {
        self.ordered_get(store, suffix, look)
    }

    fn ordered_scan<E: From<Error>>(
        &self,
        store: usize,
        from: &[u8],
        to: &[u8],
        reverse: bool,
        each: impl FnMut(&[u8], Timestamp, &[u8]) -> Result<bool, E>,
    ) -> Result<(), E> {
        self.ordered_scan(store, from, to, reverse, each)
    }

    #[inline]
    fn is_over(&self, store: usize, written: Timestamp, now: Timestamp) -> bool {
        self.is_over(store, written, now)
    }

    fn name(&self, store: usize) -> &str {
        self.name(store)
    }

    fn broken_row(&self, store: usize, why: impl std::fmt::Display) -> Error {
        self.broken_row(store, why)
    }
}

impl TaskState {
    /// Looks at the row under a suffix, where there is one: its time and its payload.
    ///
    /// # Errors
    /// What the disk says.
    #[inline]
    pub fn ordered_get<R>(
        &self,
        store: usize,
        suffix: &[u8],
        look: impl FnOnce(Timestamp, &[u8]) -> R,
    ) -> Result<Option<R>, Error> {
        let hash = self.overlay.hash(suffix);
        let seen = self.overlay.seen(store, hash, suffix);
        let stored;
        let bytes = match seen.or_else(|| self.fetched.0[store].seen(hash, suffix)) {
            Some(bytes) => bytes,
            None => {
                let of = &self.stores[store];
                stored = self.database.get_in(of.family(), of.prefix, suffix)?;
                stored.as_deref()
            }
        };
        let Some(bytes) = bytes else { return Ok(None) };
        let value = value::decode(bytes)
            .map_err(|why| self.database.broken_value(&self.stores[store].spec.name, why))?;
        Ok(Some(look(value.at, value.payload)))
    }

    /// Writes a row, on behalf of a row of the turn; without one it is not undone.
    pub fn ordered_put(
        &mut self,
        row: Option<u32>,
        store: usize,
        suffix: &[u8],
        at: Timestamp,
        payload: &[u8],
    ) {
        let mut bytes = Vec::new();
        value::encode(at, payload, &mut bytes);
        self.overlay.put(row, store, suffix, Slot::Bytes(bytes.into_boxed_slice()));
    }

    /// Deletes a row, on behalf of a row of the turn; without one it is not undone.
    pub fn ordered_delete(&mut self, row: Option<u32>, store: usize, suffix: &[u8]) {
        self.overlay.put(row, store, suffix, Slot::Deleted);
    }

    /// Walks over rows from a suffix, included, to another, excluded, with their times and payloads, for as long as `each`
    /// says so.
    ///
    /// # Errors
    /// What the disk says, and what `each` does.
    pub fn ordered_scan<E: From<Error>>(
        &self,
        store: usize,
        from: &[u8],
        to: &[u8],
        reverse: bool,
        mut each: impl FnMut(&[u8], Timestamp, &[u8]) -> Result<bool, E>,
    ) -> Result<(), E> {
        if from >= to {
            return Ok(());
        }
        self.merged(store, from.to_vec(), to.to_vec(), reverse, |suffix, bytes| {
            let value = value::decode(bytes)
                .map_err(|why| self.database.broken_value(&self.stores[store].spec.name, why))?;
            each(suffix, value.at, value.payload)
        })
    }

    /// That a row of a store holds what no version of this program wrote, or not for what the store is now.
    pub fn broken_row(&self, store: usize, why: impl std::fmt::Display) -> Error {
        self.database.broken_row(&self.stores[store].spec.name, why)
    }

    /// A store's name.
    pub fn name(&self, store: usize) -> &str {
        &self.stores[store].spec.name
    }

    /// Whether a row that was last written at `written` is over at `now`, by the store's time to live.
    #[inline]
    pub fn is_over(&self, store: usize, written: Timestamp, now: Timestamp) -> bool {
        is_over(written, self.stores[store].spec.ttl, now)
    }

    /// Looks up rows of a store at once: until the next time, or a commit, they are not looked for in RocksDB again.
    ///
    /// # Errors
    /// What the disk says.
    pub fn prefetch<'a>(
        &mut self,
        store: usize,
        suffixes: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), Error> {
        let fetched = &mut self.fetched.0[store];
        fetched.clear();
        for suffix in suffixes {
            let hash = self.overlay.hash(suffix);
            if self.overlay.seen(store, hash, suffix).is_none()
                && fetched.find(hash, suffix).is_none()
            {
                fetched.insert(hash, suffix, None);
            }
        }
        let count = u32::try_from(fetched.entries().len()).expect("a turn has few rows");
        let mut order: Vec<u32> = (0..count).collect();
        order.sort_unstable_by(|a, b| fetched.key(*a).cmp(fetched.key(*b)));
        let family = self.stores[store].family();
        let keys = order.iter().map(|entry| fetched.key(*entry));
        let rows = self.database.multi_get(family, keys);
        for (entry, row) in order.into_iter().zip(rows) {
            let slot = match row.map_err(|cause| self.database.failed(&cause))? {
                Some(bytes) => Slot::Bytes((*bytes).into()),
                None => Slot::Deleted,
            };
            fetched.set(entry, slot);
        }
        Ok(())
    }

    /// Deletes rows from a suffix, included, to another, excluded, the first ones first: at most so many, as writes of the
    /// next transaction. Answers how many. Nothing in that range may be written again, nor counted on to be there or not.
    /// A range that begins where an earlier one did goes on where that one has come to.
    ///
    /// # Errors
    /// What the disk says.
    pub fn expire(
        &mut self,
        store: usize,
        from: &[u8],
        before: &[u8],
        budget: usize,
    ) -> Result<usize, Error> {
        let known = self.expiring.iter().position(|it| it.store == store && it.from == from);
        let index = known.unwrap_or_else(|| {
            let start = from.to_vec();
            self.expiring.push(Expiring {
                store,
                from: start.clone(),
                walked: start.clone(),
                sealed: start.clone(),
                ranged: start,
                ranged_at: None,
            });
            self.expiring.len() - 1
        });
        let from = self.expiring[index].walked.clone();
        if *from >= *before || budget == 0 {
            return Ok(0);
        }
        let mut over: Vec<Vec<u8>> = Vec::new();
        let mut stopped = false;
        self.merged(store, from, before.to_vec(), false, |suffix, _| {
            stopped = over.len() == budget;
            if !stopped {
                over.push(suffix.to_vec());
            }
            Ok::<_, Error>(!stopped)
        })?;
        for suffix in &over {
            self.overlay.put(None, store, suffix, Slot::Expired);
        }
        let walked = match over.last() {
            // Right behind the last one.
            Some(last) if stopped => [last, &[0][..]].concat(),
            _ => before.to_vec(),
        };
        self.expiring[index].walked = walked;
        Ok(over.len())
    }

    /// What has expired is sealed.
    pub(super) fn seal_expired(&mut self) {
        for expiring in &mut self.expiring {
            expiring.sealed.clone_from(&expiring.walked);
        }
    }

    /// What is not committed is dropped, and deletions with it.
    pub(super) fn abort_expired(&mut self) {
        // What was sealed before, and is not ranged, is walked over again and found deleted, or is found.
        for expiring in &mut self.expiring {
            expiring.walked.clone_from(&expiring.ranged);
            expiring.sealed.clone_from(&expiring.ranged);
        }
    }

    /// Adds ranges of which the sealed layer holds the last deletions to `writes`, where it is time.
    pub(super) fn commit_expired(&mut self, writes: &mut WriteBatch) {
        let now = Instant::now();
        for it in &mut self.expiring {
            let is_early = it.ranged_at.is_some_and(|at| now.duration_since(at) < RANGE_PAUSE);
            if it.sealed <= it.ranged || is_early {
                continue;
            }
            let of = &self.stores[it.store];
            let [from, to] = [&it.ranged, &it.sealed].map(|to| [&of.prefix[..], to].concat());
            writes.delete_range_cf(self.database.family(of.family()), from, to);
            it.ranged.clone_from(&it.sealed);
            it.ranged_at = Some(now);
        }
    }
}
