//! Who may write a store partition in this process.
//!
//! A [`Lease`] is the right of one task to its partitions; there is never a second one. It ends when it is dropped, and
//! not before the batches that hold writes of its task are written or dropped: a new owner never sees half of what the
//! former one did. What nobody has leased for a while is deleted ([`Database::expire`]); that looks at the leases and
//! deletes under one lock, so it never meets a new owner.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use rocksdb::WriteBatch;

use super::{Database, Error, LiveStore, TaskKey, catalog, database::Inner};

/// The right of one task to its store partitions in this process. Ends when it is dropped.
pub struct Lease(pub(super) Arc<Held>);

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&self.0.task).finish()
    }
}

/// What a lease and the batches of its task share.
pub(super) struct Held {
    pub(super) database: Arc<Inner>,
    pub(super) task: TaskKey,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut leases = self.database.leases();
        leases.live.remove(&self.task);
        leases.held.remove(&self.task);
        leases.released.insert(self.task.clone(), Instant::now());
    }
}

/// All leases of a database.
pub(super) struct Leases {
    /// By task, with the epoch in which it began.
    held: HashMap<TaskKey, u64>,
    /// When a task that is not held was let go.
    released: HashMap<TaskKey, Instant>,
    /// What may be read from outside.
    live: BTreeMap<TaskKey, Vec<LiveStore>>,
    opened: Instant,
    epoch: u64,
}

impl Leases {
    pub(super) fn new() -> Leases {
        Leases {
            held: HashMap::new(),
            released: HashMap::new(),
            live: BTreeMap::new(),
            opened: Instant::now(),
            epoch: 0,
        }
    }

    /// The epoch of the youngest lease.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn set_live(&mut self, task: &TaskKey, stores: Vec<LiveStore>) {
        self.live.insert(task.clone(), stores);
    }

    /// An app's stores that may be read from outside.
    pub(super) fn live(&self, app: &str) -> impl Iterator<Item = &LiveStore> {
        self.live.iter().filter(move |(task, _)| &*task.app == app).flat_map(|(_, stores)| stores)
    }

    fn idle(&self, task: &TaskKey) -> Option<Duration> {
        let since = self.released.get(task).copied().unwrap_or(self.opened);
        (!self.held.contains_key(task)).then(|| since.elapsed())
    }

    /// Whether a lease of an app's sub-topology is held that began in this epoch or before.
    fn is_held_since(&self, owner: &catalog::Owner, epoch: u64) -> bool {
        self.held
            .iter()
            .any(|(task, since)| (&task.app, &task.part) == (&owner.0, &owner.1) && *since <= epoch)
    }
}

impl Database {
    /// The right to a task's partitions, or `None` while somebody in this process has it.
    pub fn lease(&self, task: &TaskKey) -> Option<Lease> {
        let mut leases = self.inner.leases();
        if leases.held.contains_key(task) {
            return None;
        }
        leases.epoch += 1;
        let epoch = leases.epoch;
        leases.held.insert(task.clone(), epoch);
        leases.released.remove(task);
        drop(leases);
        Some(Lease(Arc::new(Held { database: self.inner.clone(), task: task.clone() })))
    }

    /// Deletes the store partitions that no task has leased for so long, and stores that were replaced. Answers how
    /// many partitions went. The database does this by itself every few minutes.
    ///
    /// # Errors
    /// What the disk says.
    pub fn expire(&self, older_than: Duration) -> Result<usize, Error> {
        self.inner.expire(older_than)
    }
}

impl Inner {
    pub(super) fn expire(&self, older_than: Duration) -> Result<usize, Error> {
        // Held to the end: nobody gets a lease between the look and the deletion.
        let leases = self.leases();
        let mut catalog = self.catalog();
        let mut writes = WriteBatch::default();
        let mut gone = 0;
        for (store, partition) in self.locals()? {
            let Some(owner) = catalog.owner(store) else { continue };
            let task = catalog::lease_of(owner, partition);
            if leases.idle(&task).is_some_and(|idle| idle >= older_than) {
                self.remove(store, partition, &mut writes);
                gone += 1;
            }
        }
        let retired = catalog.retired().iter();
        let retired: Vec<u32> = retired
            .filter(|(_, owner, epoch)| !leases.is_held_since(owner, *epoch))
            .map(|(id, ..)| *id)
            .collect();
        for id in &retired {
            self.remove_retired(*id, &mut writes);
        }
        if !writes.is_empty() {
            self.write(writes)?;
            catalog.forget_retired(&retired);
        }
        Ok(gone)
    }
}
