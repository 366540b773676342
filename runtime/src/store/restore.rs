//! Records of a store's topic become rows: the whole of a store after a loss, the suffix after a crash, and, of a
//! table, all its updates. Rows and the position behind them are written at once, so it goes on from where it was cut.
//!
//! A changelog's values are taken as they are, once their format is known; nothing is read, except that a timer must
//! know when it was due before. Of each key only the last record is written, and in the order of keys, which RocksDB
//! takes in a third of the time.

use std::collections::HashMap;

use rocksdb::WriteBatch;

use super::{
    Error, Kind, Local, StoreSpec, TaskState,
    database::{Family, Inner},
    front::Front,
    keys::{self, BY_NAME, PREFIX, Prefix},
    layout, marks, value,
};
use crate::record::{Position, Record, Records, Timestamp};

/// Where records go to.
pub(super) struct Target<'a> {
    pub(super) database: &'a Inner,
    pub(super) spec: &'a StoreSpec,
    pub(super) id: u32,
    pub(super) partition: u32,
}

impl TaskState {
    /// Takes in records of a store's topic, straight into RocksDB, with the position behind them: while it is restored,
    /// and, for a table, as long as it lives. Answers how many records were taken in. Without any it only says where a
    /// store stands.
    ///
    /// # Errors
    /// What the disk says, or a record that no version of this program wrote.
    ///
    /// # Panics
    /// Where it is a broadcast table, which [`TableState`](super::TableState) takes in.
    pub fn restore(
        &mut self,
        store: usize,
        topic_id: &str,
        records: &Records,
        position: Position,
        at: Timestamp,
    ) -> Result<usize, Error> {
        let of = &mut self.stores[store];
        assert!(!of.spec.broadcast, "a broadcast table is not its tasks' to restore");
        let local = Local { topic_id: topic_id.to_owned(), position, at };
        let target = Target {
            database: &self.database,
            spec: &of.spec,
            id: of.id,
            partition: self.held.task.partition,
        };
        let written = target.take(records, &local)?;
        of.local = Some(local);
        if self.meta == Some(store) {
            self.front = Front::default();
        }
        Ok(written)
    }
}

impl Target<'_> {
    /// Writes records and where they end. Answers how many were taken in.
    pub(super) fn take(&self, records: &Records, local: &Local) -> Result<usize, Error> {
        let mut writes = WriteBatch::with_capacity_bytes(records.bytes() + 32 * records.len() + 64);
        let written = match self.spec.kind {
            Kind::Table => self.rows(records, &mut writes),
            Kind::Meta => self.meta(records, &mut writes)?,
            Kind::Value | Kind::Map | Kind::Counter | Kind::Window | Kind::Session | Kind::Join => {
                self.values(records, &mut writes)?
            }
        };
        let key = marks::local_key(self.id, self.partition);
        writes.put_cf(self.database.family(Family::Meta), key, marks::encode_local(local));
        self.database.write(writes)?;
        Ok(written)
    }

    fn prefix(&self) -> Prefix {
        keys::prefix(self.id, self.partition)
    }

    fn values(&self, records: &Records, writes: &mut WriteBatch) -> Result<usize, Error> {
        for record in records.iter() {
            record.key.ok_or_else(|| self.unknown(&record, "has no key"))?;
            if let Some(value) = record.value {
                self.check(&record, value)?;
            }
        }
        let family = self.database.family(Family::of(self.spec.kind));
        let mut index = Vec::new();
        self.each_last(records, |key, record| {
            match record.value {
                Some(value) => writes.put_cf(family, key, value),
                None => writes.delete_cf(family, key),
            }
            index.clear();
            if layout::index_of(self.spec.kind, &key[PREFIX..], &mut index) {
                let key = [&key[..PREFIX], &index].concat();
                match record.value {
                    // What an index row says, its key says.
                    Some(value) => writes.put_cf(family, key, value::head(value)),
                    None => writes.delete_cf(family, key),
                }
            }
        });
        Ok(records.len())
    }

    /// Visits the last record of each key, in the order of keys, with the whole key. Records without one are passed
    /// over. Answers how many have one.
    fn each_last(&self, records: &Records, mut each: impl FnMut(&[u8], &Record<'_>)) -> usize {
        let keyed = records.iter().enumerate();
        let mut order: Vec<(&[u8], usize)> =
            keyed.filter_map(|(index, record)| Some((record.key?, index))).collect();
        order.sort_unstable();
        let mut whole = self.prefix().to_vec();
        for (at, (key, index)) in order.iter().enumerate() {
            if order.get(at + 1).is_some_and(|(next, _)| next == key) {
                continue;
            }
            whole.truncate(PREFIX);
            whole.extend_from_slice(key);
            each(&whole, &records.get(*index));
        }
        order.len()
    }

    /// Refuses a value that this program does not know, before it is on disk.
    fn check(&self, record: &Record<'_>, value: &[u8]) -> Result<(), Error> {
        let known = match self.spec.kind {
            Kind::Counter => value::decode_counter(value).err(),
            _ => value::decode(value).err(),
        };
        known.map_or(Ok(()), |why| Err(self.unknown(record, &why.to_string())))
    }

    fn unknown(&self, record: &Record<'_>, why: &str) -> Error {
        self.database.broken(format!(
            "cannot take in {}/{}: its record at offset {} {why}",
            self.spec.topic, self.partition, record.offset
        ))
    }

    /// A table's topic is anybody's: a record without a key is no row.
    fn rows(&self, records: &Records, writes: &mut WriteBatch) -> usize {
        let family = self.database.family(Family::Kv);
        let mut row = Vec::new();
        self.each_last(records, |key, record| match record.value {
            Some(value) => {
                row.clear();
                value::encode(record.timestamp, value, &mut row);
                writes.put_cf(family, key, &row);
            }
            None => writes.delete_cf(family, key),
        })
    }

    fn meta(&self, records: &Records, writes: &mut WriteBatch) -> Result<usize, Error> {
        let prefix = self.prefix();
        // When the timers in these records are due, as their rows are not yet there to be asked.
        let mut dues: HashMap<&[u8], Option<Timestamp>> = HashMap::new();
        for record in records.iter() {
            let suffix = record.key.ok_or_else(|| self.unknown(&record, "has no key"))?;
            if let Some(value) = record.value {
                self.check(&record, value)?;
            }
            match suffix.first() {
                _ if suffix == keys::PROGRESS => {
                    let key = marks::progress_key(self.id, self.partition);
                    let family = self.database.family(Family::Meta);
                    match record.value {
                        Some(value) => writes.put_cf(family, key, value),
                        None => writes.delete_cf(family, key),
                    }
                }
                Some(&BY_NAME) if keys::split_name(&suffix[1..]).is_some() => {
                    let prior = match dues.get(suffix) {
                        Some(due) => *due,
                        None => self.database.timer_row(prefix, suffix)?,
                    };
                    self.database.put_timer(prefix, suffix, prior, record.value, writes);
                    let due = record.value.and_then(|value| value::decode(value).ok());
                    dues.insert(suffix, due.map(|due| due.at));
                }
                _ => {
                    let why = "is of a kind that this program does not know: use the program that wrote it";
                    return Err(self.unknown(&record, why));
                }
            }
        }
        Ok(records.len())
    }
}
