//! The state of one task: opening it, turns, transactions.

use std::sync::Arc;

use super::{
    Batch, Database, Error, Kind, Lease, LiveStore, Local, Logged, Progress, StoreSpec, catalog,
    database::{Family, Inner},
    front::Front,
    keys::{self, Prefix},
    layer::Slot,
    lease::Held,
    marks,
    ordered::{Expiring, Fetched},
    overlay::Overlay,
    progress, sweep,
};
use crate::record::{Position, Timestamp};

/// All stores, tables and timers of a task. See the page of [`store`](super).
pub struct TaskState {
    pub(super) database: Arc<Inner>,
    pub(super) held: Arc<Held>,
    pub(super) stores: Vec<TaskStore>,
    /// The meta store's index.
    pub(super) meta: Option<usize>,
    pub(super) timers: Vec<Arc<str>>,
    pub(super) overlay: Overlay,
    pub(super) fetched: Fetched,
    pub(super) expiring: Vec<Expiring>,
    pub(super) front: Front,
    pub(super) swept: Option<sweep::Cursor>,
    /// For keys that are put together.
    pub(super) scratch: Vec<u8>,
}

/// A store of a task.
pub(super) struct TaskStore {
    pub(super) spec: StoreSpec,
    pub(super) id: u32,
    pub(super) prefix: Prefix,
    /// Of a broadcast table; else 0.
    pub(super) partitions: u32,
    pub(super) local: Option<Local>,
}

impl TaskStore {
    /// The family that its rows are in.
    pub(super) fn family(&self) -> Family {
        Family::of(self.spec.kind)
    }

    /// Whether its records are the task's own, not those of somebody else's topic.
    pub(super) fn has_changelog(&self) -> bool {
        self.spec.kind != Kind::Table
    }
}

impl TaskState {
    /// The state of a task. `stores` keep their order; `timers` are names such as `watch.due`, which stay when numbers
    /// change. `table_partitions`: by store, how many partitions a broadcast table has, else 0.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(
        database: &Database,
        lease: Lease,
        stores: &[StoreSpec],
        timers: &[Arc<str>],
        table_partitions: &[u32],
    ) -> Result<TaskState, Error> {
        let database = database.inner.clone();
        let held = lease.0;
        let task = &held.task;
        let mut opened = Vec::with_capacity(stores.len());
        for (index, spec) in stores.iter().enumerate() {
            let partitions = table_partitions.get(index).copied().unwrap_or(0);
            opened.push(if spec.broadcast {
                let part = catalog::broadcast_part(&spec.name);
                let id = database.store_id(&task.app, &part, spec)?;
                let prefix = keys::prefix(id, 0);
                TaskStore { spec: spec.clone(), id, prefix, partitions, local: None }
            } else {
                let id = database.store_id(&task.app, &task.part, spec)?;
                let prefix = keys::prefix(id, task.partition);
                let local = database.local(id, task.partition)?;
                TaskStore { spec: spec.clone(), id, prefix, partitions: 0, local }
            });
        }
        let overlay = Overlay::new(opened.iter().map(|store| (store.prefix, store.spec.kind)));
        Ok(TaskState {
            meta: opened.iter().position(|store| store.spec.kind == Kind::Meta),
            database,
            held,
            fetched: Fetched::new(opened.iter().map(|store| store.prefix)),
            expiring: Vec::new(),
            stores: opened,
            timers: timers.to_vec(),
            overlay,
            front: Front::default(),
            swept: None,
            scratch: Vec::new(),
        })
    }

    /// What is kept locally of a store, where something is. Of a broadcast table nothing is the task's own.
    ///
    /// # Errors
    /// What the disk says.
    pub fn local(&self, store: usize) -> Result<Option<Local>, Error> {
        Ok(self.stores[store].local.clone())
    }

    /// Forgets what is kept locally of a store.
    ///
    /// # Errors
    /// What the disk says.
    ///
    /// # Panics
    /// Where it is a broadcast table.
    pub fn discard(&mut self, store: usize) -> Result<(), Error> {
        let of = &mut self.stores[store];
        assert!(!of.spec.broadcast, "a broadcast table is not its tasks' to discard");
        if of.local.is_some() {
            let mut batch = rocksdb::WriteBatch::default();
            self.database.remove(of.id, self.held.task.partition, &mut batch);
            self.database.write(batch)?;
            of.local = None;
        }
        if self.meta == Some(store) {
            self.front = Front::default();
        }
        self.expiring.retain(|it| it.store() != store);
        self.fetched.clear();
        Ok(())
    }

    /// All stores are complete: the task may run, and committed values may be read from outside. Answers how far the
    /// task had come.
    ///
    /// # Errors
    /// What the disk says.
    pub fn live(&mut self) -> Result<Progress, Error> {
        let task = &self.held.task;
        let progress = match self.meta {
            Some(meta) => {
                let bytes = self.database.progress(self.stores[meta].id, task.partition)?;
                bytes.map(|bytes| progress::decode(&self.database, &bytes)).transpose()?
            }
            None => None,
        };
        let meta = self.meta.map(|meta| self.stores[meta].id);
        let stores = self.stores.iter().flat_map(|store| {
            let partitions = match store.spec.broadcast {
                true => 0..store.partitions,
                false => task.partition..task.partition + 1,
            };
            partitions.map(move |partition| LiveStore {
                part: task.part.clone(),
                partition,
                spec: store.spec.clone(),
                id: store.id,
                clock: meta.map(|meta| (meta, task.partition)),
            })
        });
        let stores = stores.collect();
        self.database.leases().set_live(task, stores);
        Ok(progress.unwrap_or_default())
    }

    /// A turn begins: what is written from now on can be undone.
    pub fn begin(&mut self) {
        self.overlay.begin();
    }

    /// Undoes what was written in this turn on behalf of source rows from `rows` on.
    pub fn keep(&mut self, rows: u32) {
        if self.overlay.keep(rows) {
            self.front.undone();
        }
    }

    /// Bytes of what is written and not committed.
    pub fn uncommitted_bytes(&self) -> usize {
        self.overlay.bytes()
    }

    /// Whether anything is written since it was last sealed.
    pub fn is_dirty(&self) -> bool {
        self.overlay.is_dirty()
    }

    /// Ends a transaction's part of the overlay; later writes go above it. `progress` is written with it, where the
    /// task has a meta store. Nothing may be sealed already.
    ///
    /// # Panics
    /// Where something is.
    pub fn seal(&mut self, progress: &Progress) {
        if let Some(meta) = self.meta {
            let value = Slot::Bytes(progress::encode(progress).into());
            self.overlay.put(None, meta, keys::PROGRESS, value);
        }
        self.overlay.seal();
        self.front.sealed();
        self.seal_expired();
    }

    /// How many keys what is sealed has changed.
    pub fn logged(&self) -> usize {
        self.overlay.log().len()
    }

    /// A record of what is sealed.
    ///
    /// # Panics
    /// Where there is none.
    pub fn log(&self, index: usize) -> Logged<'_> {
        self.overlay.logged(index)
    }

    /// Moves what is sealed into a batch. `positions`: by store, behind the last record its changelog got, where that is
    /// known; a store without keeps the position it had. What is moved can be read again when the batch is written.
    pub fn commit(&mut self, batch: &mut Batch, positions: &[Option<Position>], at: Timestamp) {
        // Before the rows: none of those that are written lies in a range.
        self.commit_expired(&mut batch.writes);
        self.fetched.clear();
        for (store, entry) in self.overlay.log().iter().chain(self.overlay.local()) {
            let (store, entry) = (*store as usize, *entry);
            if self.meta == Some(store) {
                self.commit_meta(batch, store, entry);
                continue;
            }
            let layer = self.overlay.sealed(store);
            let family = self.database.family(self.stores[store].family());
            let slot = layer.slot(entry);
            match slot.seen() {
                Some(Some(value)) => batch.writes.put_cf(family, layer.key(entry), value),
                Some(None) if *slot != Slot::Expired => {
                    batch.writes.delete_cf(family, layer.key(entry));
                }
                Some(None) | None => {}
            }
        }
        self.front.committed(self.meta.map(|meta| self.overlay.sealed(meta)));
        let meta = self.database.family(Family::Meta);
        let partition = self.held.task.partition;
        let own = self.stores.iter_mut().enumerate().filter(|(_, store)| store.has_changelog());
        for (index, store) in own {
            let known = store.local.take();
            let local = Local {
                position: positions
                    .get(index)
                    .copied()
                    .flatten()
                    .or(known.as_ref().map(|local| local.position))
                    .unwrap_or(Position::START),
                topic_id: known.map(|local| local.topic_id).unwrap_or_default(),
                at,
            };
            let key = marks::local_key(store.id, partition);
            batch.writes.put_cf(meta, key, marks::encode_local(&local));
            store.local = Some(local);
        }
        self.overlay.unseal();
        if !batch.held.iter().any(|held| Arc::ptr_eq(held, &self.held)) {
            batch.held.push(self.held.clone());
        }
    }

    /// What is sealed of the meta store: a timer has two rows, and how far the task has come is not among them.
    fn commit_meta(&self, batch: &mut Batch, store: usize, entry: u32) {
        let (prefix, id) = (self.stores[store].prefix, self.stores[store].id);
        let layer = self.overlay.sealed(store);
        let suffix = layer.suffix(entry);
        let value = layer.slot(entry).seen().flatten();
        if suffix == keys::PROGRESS {
            let key = marks::progress_key(id, self.held.task.partition);
            let meta = self.database.family(Family::Meta);
            batch.writes.put_cf(meta, key, value.unwrap_or_default());
            return;
        }
        self.database.put_timer(prefix, suffix, layer.prior(entry), value, &mut batch.writes);
    }

    /// Drops what is not committed, sealed or not.
    pub fn abort(&mut self) {
        self.overlay.abort();
        self.front.undone();
        self.abort_expired();
    }
}
