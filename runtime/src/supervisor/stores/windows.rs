//! What aggregate stores hold: windows of keys, with what they have come to.
//!
//! A window is there as long as its retention says, by the store's own time. That goes on with records and with results that
//! come out by the clock, so where nothing comes any more a window whose retention is over can be read until something does.

use std::sync::Arc;

use super::{Asked, Cursor, ReadError, Stores};
use crate::{
    aggregate::{self, Spec, Window},
    record::Timestamp,
    store::LiveStore,
};

/// A window that is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundWindow {
    /// The record key.
    pub key: Vec<u8>,
    /// Where it is.
    pub partition: u32,
    /// Where it begins.
    pub start: Timestamp,
    /// Where it ends; of sliding windows and sessions itself included.
    pub end: Timestamp,
    /// The time of the latest record in it.
    pub at: Timestamp,
    /// The columns, as a JSON object in their order.
    pub columns: Vec<u8>,
}

/// Some windows, and where the next ones are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListedWindows {
    /// Of a key by start; of all keys by partition, then in the order of the store.
    pub entries: Vec<FoundWindow>,
    /// What the next page begins with; `None` where this is the last.
    pub next: Option<Cursor>,
}

/// Which windows.
#[derive(Debug, Clone)]
pub struct WantedWindows {
    /// Those that begin from here on, itself included.
    pub from: Timestamp,
    /// Up to here, itself excluded.
    pub to: Timestamp,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
    /// How many at most.
    pub limit: usize,
}

impl Default for WantedWindows {
    fn default() -> Self {
        let (from, to) = (Timestamp(0), Timestamp(i64::MAX));
        WantedWindows { from, to, cursor: None, limit: 100 }
    }
}

impl Stores {
    /// What is computed in a store, where it is an aggregate.
    ///
    /// # Errors
    /// Where the app has none of this name.
    pub fn aggregate(&self, store: &str) -> Result<Option<Arc<Spec>>, ReadError> {
        let at = self.find(store)?;
        Ok(self.topology.parts[at.part].aggregates.get(&at.store).cloned())
    }

    /// Windows of a key. A store without windows has one.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn windows(
        &self,
        store: &str,
        key: &[u8],
        wanted: &WantedWindows,
    ) -> Result<ListedWindows, ReadError> {
        let (asked, spec) = self.ask_aggregate(store)?;
        let cursor = wanted.cursor.as_ref();
        let from = cursor.and_then(start).unwrap_or(wanted.from);
        let listed = self.first(&asked, key, |live| {
            if cursor.is_some_and(|cursor| cursor.partition != live.partition) {
                return Ok(None);
            }
            let more = wanted.limit.saturating_add(1);
            let windows = aggregate::read(&self.database, live, &spec, key, from, wanted.to, more);
            let windows = windows.map_err(|error| wrong(store, error))?;
            if windows.is_empty() {
                return Ok(None);
            }
            // A page does not end between windows that begin together.
            let cut = windows.get(wanted.limit).map(|next| next.start);
            let fits = |window: &&aggregate::Window| cut.is_none_or(|cut| window.start < cut);
            let mut count = windows.iter().take_while(fits).count();
            if count == 0 {
                count = windows.len();
            }
            let next = cut.map(|_| match windows.get(count) {
                Some(next) => at_start(live, next.start),
                None => at_start(live, Timestamp(windows[count - 1].start.millis() + 1)),
            });
            let windows = windows.iter().take(count);
            let entries = windows.map(|window| found(key, live, &spec, window)).collect();
            Ok::<_, ReadError>(Some(ListedWindows { entries, next }))
        })?;
        Ok(listed.unwrap_or_default())
    }

    /// Windows of all keys, of the partitions that are at work here.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn list_windows(
        &self,
        store: &str,
        wanted: &WantedWindows,
    ) -> Result<ListedWindows, ReadError> {
        let (asked, spec) = self.ask_aggregate(store)?;
        let begin = wanted.cursor.as_ref().map_or(0, |cursor| cursor.partition);
        let mut listed = ListedWindows::default();
        for live in asked.live.iter().filter(|live| live.partition >= begin) {
            let left = wanted.limit - listed.entries.len();
            if left == 0 {
                listed.next = Some(Cursor::new(live.partition, Vec::new()));
                break;
            }
            let cursor = wanted.cursor.as_ref().filter(|cursor| cursor.partition == live.partition);
            let after = cursor.map(|cursor| &*cursor.key).filter(|after| !after.is_empty());
            let (from, to) = (wanted.from, wanted.to);
            let page = aggregate::scan(&self.database, live, &spec, from, to, after, left)?;
            let entries = page.entries.iter();
            listed.entries.extend(entries.map(|(key, window)| found(key, live, &spec, window)));
            if let Some(next) = page.next {
                listed.next = Some(Cursor::new(live.partition, next));
                break;
            }
        }
        Ok(listed)
    }

    fn ask_aggregate(&self, store: &str) -> Result<(Asked<'_>, Arc<Spec>), ReadError> {
        let spec = self.aggregate(store)?;
        let spec = spec.ok_or_else(|| {
            ReadError::Kind(format!("`{store}` is no aggregate: a key of it has no windows"))
        })?;
        Ok((self.ask(store)?, spec))
    }
}

fn found(key: &[u8], live: &LiveStore, spec: &Spec, window: &Window) -> FoundWindow {
    let columns = serde_json::to_vec(&spec.compute.result_value(&window.row));
    FoundWindow {
        key: key.to_vec(),
        partition: live.partition,
        start: window.start,
        end: window.end,
        at: window.at,
        columns: columns.expect("values have a JSON form"),
    }
}

/// Windows of a key go on at a start, which a cursor has in decimal.
fn at_start(live: &LiveStore, start: Timestamp) -> Cursor {
    Cursor::new(live.partition, start.millis().to_string().into_bytes())
}

fn start(cursor: &Cursor) -> Option<Timestamp> {
    std::str::from_utf8(&cursor.key).ok()?.parse().ok().map(Timestamp)
}

fn wrong(store: &str, error: aggregate::Error) -> ReadError {
    match error {
        aggregate::Error::Store(error) => error.into(),
        aggregate::Error::Fault(fault) => {
            ReadError::Window { store: store.to_owned(), why: fault.to_string() }
        }
    }
}
