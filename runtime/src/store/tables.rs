//! Tables: rows that functions only read. A co-partitioned one is a store of each task; a broadcast one is kept once per
//! app and host, and followed by whoever has its [`TableState`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    Database, Error, Lease, Local, StoreSpec, TaskKey, TaskState, catalog,
    database::Inner,
    keys::{self, Prefix},
    restore::Target,
    value,
};
use crate::{
    partitioner::partition_of,
    record::{Position, Records, Timestamp},
};

/// How far the broadcast tables have come, by app and table; of those that are followed.
#[derive(Default)]
pub(super) struct Followed(Mutex<HashMap<Name, Vec<Option<Position>>>>);

/// Of a table: its app's and its own.
type Name = (Arc<str>, Arc<str>);

/// A broadcast table, to be followed. There is one at a time for an app and a table.
pub struct TableState {
    database: Arc<Inner>,
    lease: Lease,
    spec: StoreSpec,
    id: u32,
    locals: Vec<Option<Local>>,
}

impl Database {
    /// How far a broadcast table has come, by partition: behind the last record taken in. Nothing while nobody follows
    /// it.
    pub fn reached(&self, app: &str, table: &str) -> Vec<Option<Position>> {
        let followed = self.inner.followed.0.lock().unwrap_or_else(PoisonError::into_inner);
        followed.get(&(app.into(), table.into())).cloned().unwrap_or_default()
    }
}

impl TableState {
    /// A broadcast table of an app; `None` while somebody in this process follows it.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(
        database: &Database,
        app: &Arc<str>,
        spec: &StoreSpec,
        partitions: u32,
    ) -> Result<Option<TableState>, Error> {
        let part = catalog::broadcast_part(&spec.name);
        let task = TaskKey { app: app.clone(), part: part.clone(), partition: 0 };
        let Some(lease) = database.lease(&task) else { return Ok(None) };
        let database = database.inner.clone();
        let id = database.store_id(app, &part, spec)?;
        let locals = (0..partitions).map(|partition| database.local(id, partition));
        let locals = locals.collect::<Result<Vec<_>, _>>()?;
        let table = TableState { database, lease, spec: spec.clone(), id, locals };
        table.say();
        Ok(Some(table))
    }

    /// What is kept locally of a partition, where something is.
    ///
    /// # Panics
    /// Where the table has no such partition.
    pub fn local(&self, partition: u32) -> Option<Local> {
        self.locals[partition as usize].clone()
    }

    /// Forgets what is kept locally of a partition.
    ///
    /// # Errors
    /// What the disk says.
    ///
    /// # Panics
    /// Where the table has no such partition.
    pub fn discard(&mut self, partition: u32) -> Result<(), Error> {
        if self.locals[partition as usize].is_some() {
            let mut writes = rocksdb::WriteBatch::default();
            self.database.remove(self.id, partition, &mut writes);
            self.database.write(writes)?;
            self.locals[partition as usize] = None;
            self.say();
        }
        Ok(())
    }

    /// Takes in records of a partition, with the position behind them. Answers how many have a key.
    ///
    /// # Errors
    /// What the disk says.
    ///
    /// # Panics
    /// Where the table has no such partition.
    pub fn restore(
        &mut self,
        partition: u32,
        topic_id: &str,
        records: &Records,
        position: Position,
        at: Timestamp,
    ) -> Result<usize, Error> {
        let local = Local { topic_id: topic_id.to_owned(), position, at };
        let target = Target { database: &self.database, spec: &self.spec, id: self.id, partition };
        let written = target.take(records, &local)?;
        self.locals[partition as usize] = Some(local);
        self.say();
        Ok(written)
    }

    fn name(&self) -> Name {
        (self.lease.0.task.app.clone(), self.spec.name.clone())
    }

    /// Tells the tasks how far it has come.
    fn say(&self) {
        let reached = self.locals.iter().map(|local| local.as_ref().map(|local| local.position));
        let reached = reached.collect();
        let mut followed = self.database.followed.0.lock().unwrap_or_else(PoisonError::into_inner);
        followed.insert(self.name(), reached);
    }
}

impl Drop for TableState {
    fn drop(&mut self) {
        let mut followed = self.database.followed.0.lock().unwrap_or_else(PoisonError::into_inner);
        followed.remove(&self.name());
    }
}

impl TaskState {
    /// A row of a table. Of a broadcast table it is in the partition that the key belongs to.
    ///
    /// # Errors
    /// What the disk says.
    pub fn row(&self, store: usize, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let (of, prefix) = (&self.stores[store], self.home(store, key));
        let Some(bytes) = self.database.get_in(of.family(), prefix, key)? else { return Ok(None) };
        self.payload_of_row(store, &bytes).map(Some)
    }

    /// Rows of a table under several keys, looked up at once, in the order of `keys`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn rows(&self, store: usize, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let whole = keys.iter().map(|key| [&self.home(store, key)[..], key].concat());
        let mut whole: Vec<(Vec<u8>, usize)> = whole.zip(0..).collect();
        whole.sort_unstable();
        let family = self.stores[store].family();
        let found = self.database.multi_get(family, whole.iter().map(|(key, _)| &**key));
        let mut rows = vec![None; keys.len()];
        for ((_, index), bytes) in whole.iter().zip(found) {
            if let Some(bytes) = bytes.map_err(|cause| self.database.failed(&cause))? {
                rows[*index] = Some(self.payload_of_row(store, &bytes)?);
            }
        }
        Ok(rows)
    }

    /// The store partition that a key of a table belongs to.
    fn home(&self, store: usize, key: &[u8]) -> Prefix {
        let of = &self.stores[store];
        match of.partitions {
            0 => of.prefix,
            partitions => keys::prefix(of.id, partition_of(key, partitions).0),
        }
    }

    fn payload_of_row(&self, store: usize, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let row = value::decode(bytes)
            .map_err(|why| self.database.broken_value(&self.stores[store].spec.name, why))?;
        Ok(row.payload.to_vec())
    }
}
