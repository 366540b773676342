//! Maps of a task's stores: entries by a further key, and scans over them that see the overlay and RocksDB as one.

use std::cmp::Ordering;

use super::{
    Error, MapEntry, Range, TaskState, keys,
    value::{self, is_over},
    values::slot,
};
use crate::record::Timestamp;

impl TaskState {
    /// The value of an entry of a key's map.
    ///
    /// # Errors
    /// What the disk says.
    pub fn map_get(
        &self,
        store: usize,
        key: &[u8],
        entry: &[u8],
        at: Timestamp,
    ) -> Result<Option<Vec<u8>>, Error> {
        let mut suffix = Vec::with_capacity(key.len() + entry.len() + 8);
        keys::entry(key, entry, &mut suffix);
        self.read(store, &suffix, at)
    }

    /// Sets, or deletes, an entry of a key's map.
    pub fn map_put(
        &mut self,
        row: u32,
        store: usize,
        key: &[u8],
        entry: &[u8],
        value: Option<&[u8]>,
        at: Timestamp,
    ) {
        self.scratch.clear();
        keys::entry(key, entry, &mut self.scratch);
        self.overlay.put(Some(row), store, &self.scratch, slot(value, at));
    }

    /// Entries of a key's map, in byte order of their keys.
    ///
    /// # Errors
    /// What the disk says.
    pub fn map_scan(
        &self,
        store: usize,
        key: &[u8],
        range: &Range<'_>,
        at: Timestamp,
    ) -> Result<Vec<MapEntry>, Error> {
        let (lower, upper) = bounds(key, range.from, range.to);
        let spec = &self.stores[store].spec;
        // What every key of the map begins with.
        let head = bounds(key, None, None).0.len();
        let (mut entries, mut bytes_found) = (Vec::new(), 0);
        if range.limit == 0 || lower >= upper {
            return Ok(entries);
        }
        self.merged(store, lower, upper, range.reverse, |suffix, bytes| {
            let value =
                value::decode(bytes).map_err(|why| self.database.broken_value(&spec.name, why))?;
            if !is_over(value.at, spec.ttl, at) {
                let (key, value) = (suffix[head..].to_vec(), value.payload.to_vec());
                bytes_found += key.len() + value.len();
                entries.push(MapEntry { key, value });
            }
            Ok(entries.len() < range.limit && bytes_found < range.bytes_max)
        })?;
        Ok(entries)
    }

    /// Walks over the values from a suffix, included, to another, excluded, as the task sees them, for as long as `each`
    /// says so.
    pub(super) fn merged<E: From<Error>>(
        &self,
        store: usize,
        lower: Vec<u8>,
        upper: Vec<u8>,
        reverse: bool,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<bool, E>,
    ) -> Result<(), E> {
        let prefix = self.stores[store].prefix;
        let layers = [self.overlay.open(store), self.overlay.sealed(store)];
        let mut written = layers.map(|layer| {
            let range = layer
                .range(&lower, &upper)
                .filter_map(|(key, index)| layer.slot(index).seen().map(|value| (key, value)));
            directed(range, reverse).peekable()
        });
        let [lower, upper] = [lower, upper].map(|bound| [&prefix[..], &bound].concat());
        let mut cursor =
            self.database.cursor(self.stores[store].family(), lower, upper, reverse, true);
        let first = |a: &[u8], b: &[u8]| if reverse { b.cmp(a) } else { a.cmp(b) };
        loop {
            let row = cursor.row()?.map(|(key, value)| (&key[prefix.len()..], value));
            // The younger one wins where keys are equal, as the first of equals is taken.
            let mut next: Option<(&[u8], Option<&[u8]>)> = None;
            let candidates = written.iter_mut().map(|layer| layer.peek().copied());
            for candidate in
                candidates.chain([row.map(|(key, value)| (key, Some(value)))]).flatten()
            {
                if next.is_none_or(|(key, _)| first(candidate.0, key) == Ordering::Less) {
                    next = Some(candidate);
                }
            }
            let Some((key, value)) = next else { return Ok(()) };
            if let Some(value) = value
                && !each(key, value)?
            {
                return Ok(());
            }
            let is_row = row.is_some_and(|(row, _)| row == key);
            for layer in &mut written {
                layer.next_if(|(other, _)| *other == key);
            }
            if is_row {
                cursor.advance();
            }
        }
    }
}

fn directed<'a, T: 'a>(
    items: impl DoubleEndedIterator<Item = T> + 'a,
    reverse: bool,
) -> Box<dyn Iterator<Item = T> + 'a> {
    if reverse { Box::new(items.rev()) } else { Box::new(items) }
}

/// The suffixes from which and up to which the entries of a key lie.
pub(super) fn bounds(key: &[u8], from: Option<&[u8]>, to: Option<&[u8]>) -> (Vec<u8>, Vec<u8>) {
    let mut head = Vec::new();
    keys::escape(key, &mut head);
    let lower = [&head[..], from.unwrap_or_default()].concat();
    let upper = match to {
        Some(to) => [&head[..], to].concat(),
        None => {
            // The end of an escaped key is 0 0, and none has 0 1.
            if let Some(last) = head.last_mut() {
                *last = 1;
            }
            head
        }
    };
    (lower, upper)
}
