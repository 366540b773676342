//! Removing values whose time to live is over: a walk over RocksDB that goes on where it stopped. What it finds becomes
//! deletions of the next transaction, so they reach the changelog as any other.

use super::{Error, TaskState, database::Family, keys, layer::Slot, layout::tag, value};
use crate::record::Timestamp;

/// Where the walk goes on: a store, and a whole key in it.
pub(super) struct Cursor {
    store: usize,
    key: Vec<u8>,
}

impl TaskState {
    /// Deletes some values whose time to live is over, as writes of the next transaction; looks at `budget` keys at
    /// most and goes on from there the next time. Answers how many it deleted.
    ///
    /// # Errors
    /// What the disk says.
    pub fn sweep(&mut self, at: Timestamp, budget: usize) -> Result<usize, Error> {
        let (mut left, mut gone) = (budget, 0);
        let start = self.swept.take();
        let from = start.as_ref().map_or(0, |cursor| cursor.store);
        let mut key = start.map(|cursor| cursor.key);
        for store in from..self.stores.len() {
            let key = key.take();
            let of = &self.stores[store];
            let may_end = matches!(of.family(), Family::Kv | Family::Window);
            if of.spec.ttl.is_none() || !may_end || !of.has_changelog() {
                continue;
            }
            let mut over = Vec::new();
            let next = self.over(store, key, at, &mut left, &mut over)?;
            for suffix in &over {
                self.overlay.put(None, store, suffix, Slot::Deleted);
            }
            gone += over.len();
            if let Some(key) = next {
                self.swept = Some(Cursor { store, key });
                break;
            }
        }
        Ok(gone)
    }

    /// Finds suffixes of a store whose time is over and that the overlay has no say about. Answers where to go on, where
    /// the budget ended before the store did.
    fn over(
        &self,
        store: usize,
        key: Option<Vec<u8>>,
        at: Timestamp,
        left: &mut usize,
        over: &mut Vec<Vec<u8>>,
    ) -> Result<Option<Vec<u8>>, Error> {
        let (spec, prefix) = (&self.stores[store].spec, self.stores[store].prefix);
        let family = self.stores[store].family();
        // Of what has rows of several kinds only the data ends.
        let (lower, upper) = match family {
            Family::Window => {
                let of = |tag: u8| [&prefix[..], &[tag]].concat();
                (of(tag::DATA), of(tag::DATA + 1))
            }
            _ => (prefix.to_vec(), keys::behind(prefix).to_vec()),
        };
        let lower = key.unwrap_or(lower);
        let mut cursor = self.database.cursor(family, lower, upper, false, false);
        while let Some((key, bytes)) = cursor.row()? {
            if *left == 0 {
                return Ok(Some(key.to_vec()));
            }
            *left -= 1;
            let value =
                value::decode(bytes).map_err(|why| self.database.broken_value(&spec.name, why))?;
            let suffix = &key[prefix.len()..];
            if value::is_over(value.at, spec.ttl, at)
                && self.overlay.seen(store, self.overlay.hash(suffix), suffix).is_none()
            {
                over.push(suffix.to_vec());
            }
            cursor.advance();
        }
        Ok(None)
    }
}
