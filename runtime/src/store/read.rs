//! Reads from outside a task: of what is committed, in the partitions that are live here. Values whose time to live is
//! over at the committed stream time are not there.

use std::sync::Arc;

use super::{
    Database, Error, Kind, StoreSpec,
    database::{Cursor, Family},
    keys::{self, BY_DUE, PREFIX, Prefix},
    maps, progress,
    value::{self, is_over},
};
use crate::record::Timestamp;

/// A store partition that may be read from outside.
#[derive(Debug, Clone)]
pub struct LiveStore {
    /// The sub-topology of the task that has it.
    pub part: Arc<str>,
    /// The partition.
    pub partition: u32,
    /// The store.
    pub spec: StoreSpec,
    pub(super) id: u32,
    /// The meta store that knows the stream time, and its partition.
    pub(super) clock: Option<(u32, u32)>,
}

/// A committed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// As the function gave it; a counter's is 8 bytes, see [`Stored::counter`].
    pub value: Vec<u8>,
    /// Event time of its last write.
    pub at: Timestamp,
}

impl Stored {
    /// What a counter holds.
    pub fn counter(&self) -> Option<i64> {
        Some(i64::from_be_bytes(self.value.as_slice().try_into().ok()?))
    }
}

/// Which rows of a store partition.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest<'a> {
    /// From this key on, itself included: [`Page::next`] of the page before.
    pub from: Option<&'a [u8]>,
    /// Up to this key, itself excluded.
    pub to: Option<&'a [u8]>,
    /// Only keys that begin so.
    pub prefix: Option<&'a [u8]>,
    /// From the last to the first; not for the keys of a map store.
    pub reverse: bool,
    /// Rows at most.
    pub limit: usize,
    /// Bytes of keys and values at most, except that a page holds a row where there is one.
    pub bytes_max: usize,
}

impl Default for PageRequest<'_> {
    fn default() -> Self {
        PageRequest {
            from: None,
            to: None,
            prefix: None,
            reverse: false,
            limit: 100,
            bytes_max: 1 << 20,
        }
    }
}

/// Some rows, and where the next ones are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// In order.
    pub entries: Vec<T>,
    /// The key that the next page begins with: its `from`, or, where it goes from the last to the first, the key that
    /// comes right before its `to`. `None` where this is the last.
    pub next: Option<Vec<u8>>,
}

/// A row of a store, or an entry of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The record key; of an entry its own.
    pub key: Vec<u8>,
    /// What is there; `None` where the store is a map, whose keys are listed once each.
    pub stored: Option<Stored>,
}

/// A committed timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimerRow {
    /// Such as `watch.due`.
    pub timer: String,
    /// Whose.
    pub key: Vec<u8>,
    /// When.
    pub due: Timestamp,
    /// As it was set.
    pub payload: Vec<u8>,
}

impl Database {
    /// The partitions of an app's store that may be read here, in order. `meta` is that of every sub-topology.
    pub fn live(&self, app: &str, store: &str) -> Vec<LiveStore> {
        let leases = self.inner.leases();
        let live = leases.live(app).filter(|live| &*live.spec.name == store);
        let mut live: Vec<LiveStore> = live.cloned().collect();
        drop(leases);
        live.sort_by(|a, b| (a.partition, &a.part).cmp(&(b.partition, &b.part)));
        // Every task of the app has a broadcast table.
        live.dedup_by(|a, b| a.spec.broadcast && (a.id, a.partition) == (b.id, b.partition));
        live
    }

    /// The value of a key; of a map see [`Database::map_get`].
    ///
    /// # Errors
    /// What the disk says.
    pub fn get(&self, store: &LiveStore, key: &[u8]) -> Result<Option<Stored>, Error> {
        let Some(bytes) = self.inner.get_in(Family::Kv, store.prefix(), key)? else {
            return Ok(None);
        };
        self.stored(store, &bytes, self.clock(store)?)
    }

    /// The value of an entry of a key's map.
    ///
    /// # Errors
    /// What the disk says.
    pub fn map_get(
        &self,
        store: &LiveStore,
        key: &[u8],
        entry: &[u8],
    ) -> Result<Option<Stored>, Error> {
        let mut suffix = Vec::new();
        keys::entry(key, entry, &mut suffix);
        self.get(store, &suffix)
    }

    /// Rows of a store in the order of their keys.
    ///
    /// # Errors
    /// What the disk says.
    pub fn page(&self, store: &LiveStore, page: &PageRequest<'_>) -> Result<Page<Row>, Error> {
        if store.spec.kind == Kind::Map {
            return self.keys_of_maps(store, page);
        }
        let bounds = (Vec::new(), None);
        self.rows(store, bounds, page)
    }

    /// Entries of a key's map in the order of their keys.
    ///
    /// # Errors
    /// What the disk says.
    pub fn map_page(
        &self,
        store: &LiveStore,
        key: &[u8],
        page: &PageRequest<'_>,
    ) -> Result<Page<Row>, Error> {
        let (head, end) = maps::bounds(key, None, None);
        self.rows(store, (head, Some(end)), page)
    }

    /// A committed timer of a live meta store.
    ///
    /// # Errors
    /// What the disk says.
    pub fn timer(
        &self,
        store: &LiveStore,
        timer: &str,
        key: &[u8],
    ) -> Result<Option<TimerRow>, Error> {
        let prefix = store.prefix();
        let mut by_name = Vec::new();
        keys::by_name(timer, key, &mut by_name);
        let Some(due) = self.inner.timer_row(prefix, &by_name)? else { return Ok(None) };
        let mut by_due = Vec::new();
        keys::by_due(due, &by_name, &mut by_due);
        let payload = self.inner.get_in(Family::Timer, prefix, &by_due)?;
        // Fired, or set anew, between the two reads: no timer that was committed at one time.
        Ok(payload.map(|payload| TimerRow {
            timer: timer.to_owned(),
            key: key.to_vec(),
            due,
            payload: payload.to_vec(),
        }))
    }

    /// Committed timers of a live meta store, in the order of time, name and key.
    ///
    /// # Errors
    /// What the disk says.
    pub fn timers(
        &self,
        store: &LiveStore,
        page: &PageRequest<'_>,
    ) -> Result<Page<TimerRow>, Error> {
        let prefix = store.prefix();
        let from = [&prefix[..], page.from.unwrap_or(&[BY_DUE])].concat();
        let to = [&prefix[..], &[BY_DUE + 1]].concat();
        let mut cursor = self.inner.cursor(Family::Timer, from, to, false, false);
        let mut timers = Filling::new(page);
        while let Some((key, payload)) = cursor.row()? {
            let suffix = &key[PREFIX..];
            let timer = keys::split_due(suffix).and_then(|(due, name)| {
                let (timer, key) = keys::split_name(name)?;
                let (timer, key, payload) = (timer.to_owned(), key.to_vec(), payload.to_vec());
                Some(TimerRow { timer, key, due, payload })
            });
            let timer =
                timer.ok_or_else(|| self.inner.broken("holds a timer of an unknown layout"))?;
            let bytes = timer.key.len() + timer.payload.len();
            if !timers.add(timer, bytes) {
                return Ok(timers.page(Some(suffix.to_vec())));
            }
            cursor.advance();
        }
        Ok(timers.page(None))
    }

    /// Rows whose suffix begins with `head` and, where given, lies before `end`; `head` is no part of their keys.
    fn rows(
        &self,
        store: &LiveStore,
        (head, end): (Vec<u8>, Option<Vec<u8>>),
        page: &PageRequest<'_>,
    ) -> Result<Page<Row>, Error> {
        let at = self.clock(store)?;
        let end = end.map(|end| [&store.prefix()[..], &end].concat());
        let (mut cursor, within) = self.walk(store, &head, end, page);
        let skip = PREFIX + head.len();
        let mut rows = Filling::new(page);
        while let Some((key, bytes)) = cursor.row()? {
            if !key.starts_with(&within) {
                break;
            }
            if let Some(stored) = self.stored(store, bytes, at)? {
                let bytes = key.len() - skip + stored.value.len();
                let row = Row { key: key[skip..].to_vec(), stored: Some(stored) };
                if !rows.add(row, bytes) {
                    return Ok(rows.page(Some(key[skip..].to_vec())));
                }
            }
            cursor.advance();
        }
        Ok(rows.page(None))
    }

    /// The keys of a map store that have an entry, once each.
    fn keys_of_maps(&self, store: &LiveStore, page: &PageRequest<'_>) -> Result<Page<Row>, Error> {
        let at = self.clock(store)?;
        let mut from = Vec::new();
        if let Some(key) = page.from {
            keys::escape(key, &mut from);
        }
        // Without the end that escaping puts behind it: a beginning is no whole key.
        let mut within = Vec::new();
        keys::escape(page.prefix.unwrap_or_default(), &mut within);
        within.truncate(within.len() - 2);
        let to = page.to.map(|key| {
            let mut to = Vec::new();
            keys::escape(key, &mut to);
            to
        });
        let inner = PageRequest {
            from: Some(&from),
            to: to.as_deref(),
            prefix: Some(&within),
            reverse: false,
            ..*page
        };
        let (mut cursor, within) = self.walk(store, &[], None, &inner);
        let mut rows = Filling::new(page);
        while let Some((key, bytes)) = cursor.row()? {
            if !key.starts_with(&within) {
                break;
            }
            if self.stored(store, bytes, at)?.is_none() {
                cursor.advance();
                continue;
            }
            let (name, _) = keys::unescape(&key[PREFIX..])
                .ok_or_else(|| self.inner.broken("holds an entry of an unknown layout"))?;
            let behind = maps::bounds(&name, None, None).1;
            let bytes = name.len();
            if !rows.add(Row { key: name.clone(), stored: None }, bytes) {
                return Ok(rows.page(Some(name)));
            }
            cursor.seek(&[&store.prefix()[..], &behind].concat());
        }
        Ok(rows.page(None))
    }

    /// A walk from where a page begins, and what its keys begin with.
    fn walk(
        &self,
        store: &LiveStore,
        head: &[u8],
        end: Option<Vec<u8>>,
        page: &PageRequest<'_>,
    ) -> (Cursor<'_>, Vec<u8>) {
        let prefix = store.prefix();
        let within = [&prefix[..], head, page.prefix.unwrap_or_default()].concat();
        let from = [&prefix[..], head, page.from.unwrap_or_default()].concat();
        let mut end = end.unwrap_or_else(|| keys::behind(prefix).to_vec());
        let to = page.to.map(|to| [&prefix[..], head, to].concat());
        for earlier in to.into_iter().chain(behind_all(&within)) {
            end = end.min(earlier);
        }
        // Bounds that cross would be an error of RocksDB's.
        let from = from.max(within.clone()).min(end.clone());
        (self.inner.cursor(Family::Kv, from, end, page.reverse, false), within)
    }

    /// The committed stream time of the task that has a store.
    fn clock(&self, store: &LiveStore) -> Result<Option<Timestamp>, Error> {
        let Some((meta, partition)) = store.clock.filter(|_| store.spec.ttl.is_some()) else {
            return Ok(None);
        };
        let Some(bytes) = self.inner.progress(meta, partition)? else { return Ok(None) };
        Ok(progress::decode(&self.inner, &bytes)?.stream_time)
    }

    fn stored(
        &self,
        store: &LiveStore,
        bytes: &[u8],
        clock: Option<Timestamp>,
    ) -> Result<Option<Stored>, Error> {
        let value =
            value::decode(bytes).map_err(|why| self.inner.broken_value(&store.spec.name, why))?;
        let is_over = clock.is_some_and(|clock| is_over(value.at, store.spec.ttl, clock));
        Ok((!is_over).then(|| Stored { value: value.payload.to_vec(), at: value.at }))
    }
}

/// The first key behind all that begin so, where there is one.
fn behind_all(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut behind = prefix[..=last].to_vec();
    behind[last] += 1;
    Some(behind)
}

impl LiveStore {
    pub(super) fn prefix(&self) -> Prefix {
        keys::prefix(self.id, self.partition)
    }
}

/// A page that is being filled.
struct Filling<T> {
    entries: Vec<T>,
    limit: usize,
    bytes_left: usize,
}

impl<T> Filling<T> {
    fn new(page: &PageRequest<'_>) -> Self {
        Filling { entries: Vec::new(), limit: page.limit, bytes_left: page.bytes_max }
    }

    /// Whether there was room.
    fn add(&mut self, entry: T, bytes: usize) -> bool {
        let fits = bytes <= self.bytes_left || self.entries.is_empty();
        if self.entries.len() == self.limit || !fits {
            return false;
        }
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        self.entries.push(entry);
        true
    }

    fn page(self, next: Option<Vec<u8>>) -> Page<T> {
        Page { entries: self.entries, next }
    }
}
