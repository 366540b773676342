//! Timers of a task. The meta store holds them; a timer is known by its name and key, and found by its due time.
//!
//! A timer that the overlay has anything to say about is the overlay's: its row in RocksDB is passed over.

use rocksdb::WriteBatch;

use super::{
    Due, Error, TaskState,
    database::{Cursor, Family, Inner},
    keys::{self, BY_DUE, BY_NAME, PREFIX, Prefix},
    layer::{Layer, Slot},
    value,
};
use crate::record::Timestamp;

impl TaskState {
    /// Sets a key's timer, in place of an earlier one.
    ///
    /// # Errors
    /// What the disk says.
    pub fn set_timer(
        &mut self,
        row: u32,
        timer: u16,
        key: &[u8],
        due: Timestamp,
        payload: &[u8],
    ) -> Result<(), Error> {
        let mut bytes = Vec::new();
        value::encode(due, payload, &mut bytes);
        self.change_timer(row, timer, key, Slot::Bytes(bytes.into()))
    }

    /// Removes a key's timer, where there is one.
    ///
    /// # Errors
    /// What the disk says.
    pub fn cancel_timer(&mut self, row: u32, timer: u16, key: &[u8]) -> Result<(), Error> {
        self.change_timer(row, timer, key, Slot::Deleted)
    }

    fn change_timer(&mut self, row: u32, timer: u16, key: &[u8], slot: Slot) -> Result<(), Error> {
        let meta = self.timers_store();
        let mut suffix = std::mem::take(&mut self.scratch);
        suffix.clear();
        keys::by_name(&self.timers[usize::from(timer)], key, &mut suffix);
        let hash = self.overlay.hash(&suffix);
        let entry = match self.overlay.open(meta).find(hash, &suffix) {
            Some(entry) => Some(entry),
            None => match self.due_below(meta, hash, &suffix)? {
                None if slot == Slot::Deleted => None,
                prior => Some(self.overlay.insert(meta, hash, &suffix, prior)),
            },
        };
        if let Some(entry) = entry {
            self.overlay.set(Some(row), meta, entry, slot);
            self.front.touched(&suffix);
        }
        self.scratch = suffix;
        Ok(())
    }

    /// When a timer is due as far as the sealed layer and RocksDB know.
    fn due_below(
        &self,
        meta: usize,
        hash: u64,
        by_name: &[u8],
    ) -> Result<Option<Timestamp>, Error> {
        match self.overlay.seen_sealed(meta, hash, by_name) {
            Some(bytes) => Ok(bytes.map(due_of)),
            None => self.database.timer_row(self.stores[meta].prefix, by_name),
        }
    }

    /// When a key's timer is due.
    ///
    /// # Errors
    /// What the disk says.
    pub fn timer(&self, timer: u16, key: &[u8]) -> Result<Option<Timestamp>, Error> {
        let meta = self.timers_store();
        let mut suffix = Vec::new();
        keys::by_name(&self.timers[usize::from(timer)], key, &mut suffix);
        let hash = self.overlay.hash(&suffix);
        match self.overlay.open(meta).seen(hash, &suffix) {
            Some(bytes) => Ok(bytes.map(due_of)),
            None => self.due_below(meta, hash, &suffix),
        }
    }

    /// When the first timer is due.
    ///
    /// # Errors
    /// What the disk says.
    pub fn next_due(&mut self) -> Result<Option<Timestamp>, Error> {
        let Some(meta) = self.meta.filter(|_| !self.timers.is_empty()) else { return Ok(None) };
        let stored = match self.front.first {
            Some(first) => first,
            None => self.look_for_first(meta)?,
        };
        let open = self.overlay.open(meta).range(&[BY_DUE], &[BY_DUE + 1]).next();
        let mut sealed = self.overlay.sealed(meta).range(&self.front.sealed_from(), &[BY_DUE + 1]);
        let sealed = sealed.find(|(key, _)| !self.is_open(meta, key)).map(|(key, _)| key.to_vec());
        let due = |key: Option<&[u8]>| key.and_then(keys::split_due).map(|(due, _)| due);
        let dues = [stored, due(open.map(|(key, _)| key)), due(sealed.as_deref())];
        self.front.sealed = sealed.unwrap_or_else(|| vec![BY_DUE + 1]);
        Ok(dues.into_iter().flatten().min())
    }

    /// The first row of RocksDB that the overlay has no say about.
    fn look_for_first(&mut self, meta: usize) -> Result<Option<Timestamp>, Error> {
        let database = self.database.clone();
        let from = self.front.rows_from();
        let mut at_floor = self.front.rows.is_empty();
        let mut cursor = self.timer_rows(&database, meta, from, vec![BY_DUE + 1]);
        let mut first = None;
        while let Some((key, _)) = cursor.row()? {
            let suffix = &key[PREFIX..];
            if std::mem::take(&mut at_floor) {
                self.front.floor = suffix.to_vec();
            }
            let Some((due, name)) = keys::split_due(suffix) else {
                return Err(database.broken("holds a timer of an unknown layout"));
            };
            if self.number_of(suffix).is_some() && !self.is_written(meta, suffix) {
                self.front.rows = suffix.to_vec();
                self.front.first_name = name.to_vec();
                first = Some(due);
                break;
            }
            cursor.advance();
        }
        if first.is_none() {
            // What is there now, the overlay has a say about, or nobody here has.
            self.front.rows = vec![BY_DUE + 1];
            self.front.first_name.clear();
            if at_floor {
                self.front.floor = vec![BY_DUE + 1];
            }
        }
        self.front.first = Some(first);
        Ok(first)
    }

    /// Timers due at `until` or before, by time, then name and key: at most `limit`, and the one with which keys and
    /// payloads come to `bytes_max` is the last.
    ///
    /// # Errors
    /// What the disk says.
    pub fn due(&self, until: Timestamp, limit: usize, bytes_max: usize) -> Result<Vec<Due>, Error> {
        let (mut found, mut bytes): (Vec<Due>, usize) = (Vec::new(), 0);
        let Some(meta) = self.meta.filter(|_| limit > 0) else { return Ok(found) };
        let mut upper = Vec::new();
        keys::due_until(until, &mut upper);
        let layer = self.overlay.open(meta);
        let mut open = layer.range(&[BY_DUE], &upper).peekable();
        let sealed_layer = self.overlay.sealed(meta);
        let sealed = sealed_layer.range(&self.front.sealed_from(), &upper);
        let mut sealed = sealed.filter(|(key, _)| !self.is_open(meta, key)).peekable();
        let mut cursor =
            self.timer_rows(&self.database, meta, self.front.rows_from(), upper.clone());
        while found.len() < limit && bytes < bytes_max {
            while let Some((key, _)) = cursor.row()?
                && self.is_written(meta, &key[PREFIX..])
            {
                cursor.advance();
            }
            let row = cursor.row()?.map(|(key, payload)| (&key[PREFIX..], payload));
            let written = |layer: &'_ Layer, index| match layer.slot(index).seen().flatten() {
                Some(bytes) => value::decode(bytes).expect("it was encoded here").payload.to_vec(),
                None => Vec::new(),
            };
            // One timer is in one place: the three never have an equal key.
            let first = [
                open.peek().map(|(key, _)| *key),
                sealed.peek().map(|(key, _)| *key),
                row.map(|(key, _)| key),
            ];
            let Some(key) = first.into_iter().flatten().min() else { break };
            let payload = if let Some((_, index)) = open.next_if(|(other, _)| *other == key) {
                written(layer, index)
            } else if let Some((_, index)) = sealed.next_if(|(other, _)| *other == key) {
                written(sealed_layer, index)
            } else {
                row.map(|(_, payload)| payload.to_vec()).unwrap_or_default()
            };
            let is_row = row.is_some_and(|(row, _)| row == key);
            if let Some(due) = self.timer_of(key, payload) {
                bytes += due.key.len() + due.payload.len();
                found.push(due);
            }
            if is_row {
                cursor.advance();
            }
        }
        Ok(found)
    }

    /// The store that the timers are in.
    fn timers_store(&self) -> usize {
        self.meta.expect("a task with timers has a meta store")
    }

    /// A timer by its suffix in the order of time; `None` where nobody here has one of that name any more.
    fn timer_of(&self, by_due: &[u8], payload: Vec<u8>) -> Option<Due> {
        let timer = self.number_of(by_due)?;
        let (due, name) = keys::split_due(by_due)?;
        let (_, key) = keys::split_name(name)?;
        Some(Due { timer, key: key.to_vec(), due, payload })
    }

    fn number_of(&self, by_due: &[u8]) -> Option<u16> {
        let (name, _) = keys::split_name(keys::split_due(by_due)?.1)?;
        let number = self.timers.iter().position(|timer| **timer == *name)?;
        u16::try_from(number).ok()
    }

    /// Whether the open layer has a say about the timer of a suffix in the order of time.
    fn is_open(&self, meta: usize, by_due: &[u8]) -> bool {
        by_name_of(by_due).is_some_and(|name| {
            self.overlay.open(meta).seen(self.overlay.hash(&name), &name).is_some()
        })
    }

    /// Whether either layer has.
    fn is_written(&self, meta: usize, by_due: &[u8]) -> bool {
        by_name_of(by_due)
            .is_some_and(|name| self.overlay.seen(meta, self.overlay.hash(&name), &name).is_some())
    }

    fn timer_rows<'a>(
        &self,
        database: &'a Inner,
        meta: usize,
        from: Vec<u8>,
        to: Vec<u8>,
    ) -> Cursor<'a> {
        let prefix = self.stores[meta].prefix;
        let [from, to] = [from, to].map(|suffix| [&prefix[..], &suffix].concat());
        database.cursor(Family::Timer, from, to, false, true)
    }
}

fn due_of(bytes: &[u8]) -> Timestamp {
    value::decode(bytes).expect("it was encoded here").at
}

/// The suffix by name of a suffix in the order of time.
fn by_name_of(by_due: &[u8]) -> Option<Vec<u8>> {
    let (_, name) = keys::split_due(by_due)?;
    Some([&[BY_NAME], name].concat())
}

impl Inner {
    /// When RocksDB has it that a timer is due.
    pub(super) fn timer_row(
        &self,
        prefix: Prefix,
        by_name: &[u8],
    ) -> Result<Option<Timestamp>, Error> {
        let Some(bytes) = self.get_in(Family::Timer, prefix, by_name)? else { return Ok(None) };
        match (*bytes).try_into() {
            Ok(due) => Ok(Some(Timestamp(i64::from_be_bytes(due)))),
            Err(_) => Err(self.broken("holds a timer of an unknown layout")),
        }
    }

    /// Adds a timer's new state to `writes`: its value as on the changelog, and when it was due before.
    pub(super) fn put_timer(
        &self,
        prefix: Prefix,
        by_name: &[u8],
        prior: Option<Timestamp>,
        value: Option<&[u8]>,
        writes: &mut WriteBatch,
    ) {
        let family = self.family(Family::Timer);
        let by_due = |due| {
            let mut key = prefix.to_vec();
            keys::by_due(due, by_name, &mut key);
            key
        };
        if let Some(prior) = prior {
            writes.delete_cf(family, by_due(prior));
        }
        let named = [&prefix[..], by_name].concat();
        match value.and_then(|value| value::decode(value).ok()) {
            Some(value) => {
                writes.put_cf(family, by_due(value.at), value.payload);
                writes.put_cf(family, named, value.at.millis().to_be_bytes());
            }
            None => writes.delete_cf(family, named),
        }
    }
}
