//! The one RocksDB of a host: how it is opened, written, flushed and read.
//!
//! Families: `kv` and `timer` hold what [`keys`](super::keys) says; `meta` holds what the database knows of itself, see
//! [`catalog`](super::catalog). RocksDB's own log is off, and a flush takes all families at one point: what is on disk
//! is always a state that was there once, perhaps some commits ago.

use std::{
    fmt,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use rocksdb::{
    ColumnFamily, DB, DBPinnableSlice, DBRawIterator, FlushOptions, ReadOptions,
    SnapshotWithThreadMode, WriteBatch, WriteOptions,
};

use super::{
    DatabaseSettings, Error, Kind,
    catalog::{self, Catalog},
    housekeeping,
    keys::{PREFIX, Prefix},
    lease::{Held, Leases},
    options,
    tables::Followed,
    value::Broken,
};

/// A column family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// Values, map entries, counters, rows.
    Kv,
    /// Aggregates of windows, their start before their key.
    Window,
    /// Sessions, and what windows slide over.
    Session,
    /// Records that joins keep.
    Join,
    /// Timers.
    Timer,
    /// The database's own.
    Meta,
}

impl Family {
    pub(super) const ALL: [Family; 6] =
        [Family::Kv, Family::Window, Family::Session, Family::Join, Family::Timer, Family::Meta];

    /// The one that a store's rows are in.
    pub(super) fn of(kind: Kind) -> Family {
        match kind {
            Kind::Meta => Family::Timer,
            Kind::Window => Family::Window,
            Kind::Session => Family::Session,
            Kind::Join => Family::Join,
            Kind::Value | Kind::Map | Kind::Counter | Kind::Table => Family::Kv,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Family::Kv => "kv",
            Family::Window => "window",
            Family::Session => "session",
            Family::Join => "join",
            Family::Timer => "timer",
            Family::Meta => "meta",
        }
    }
}

/// One RocksDB. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    pub(super) inner: Arc<Inner>,
}

/// What the clones of a [`Database`] share.
pub(super) struct Inner {
    db: DB,
    path: String,
    instance_id: String,
    reading: ReadOptions,
    writing: WriteOptions,
    /// Whether anything was written since the last flush began.
    unflushed: AtomicBool,
    catalog: Mutex<Catalog>,
    leases: Mutex<Leases>,
    pub(super) followed: Followed,
    /// Ends the thread that keeps house when it goes.
    _housekeeping: mpsc::Sender<()>,
}

/// Writes of several tasks that go to RocksDB at once. Their leases last until then.
pub struct Batch {
    pub(super) writes: WriteBatch,
    pub(super) held: Vec<Arc<Held>>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

impl Database {
    /// Opens, or makes, the database in a folder.
    ///
    /// # Errors
    /// Where the folder cannot be used, or was written by a newer program.
    pub fn open(path: &Path, settings: DatabaseSettings) -> Result<Database, Error> {
        let shown = path.display().to_string();
        let failed = |cause: String| Error::Database { path: shown.clone(), cause };
        let db = options::open(path, settings).map_err(|cause| failed(cause.to_string()))?;
        let instance_id = catalog::found(&db, &shown)?;
        let catalog = Catalog::load(&db, &shown)?;
        let mut writing = WriteOptions::default();
        writing.disable_wal(true);
        let (stop, stopped) = mpsc::channel();
        let inner = Arc::new(Inner {
            db,
            path: shown.clone(),
            instance_id,
            reading: ReadOptions::default(),
            writing,
            unflushed: AtomicBool::new(false),
            catalog: Mutex::new(catalog),
            leases: Mutex::new(Leases::new()),
            followed: Followed::default(),
            _housekeeping: stop,
        });
        housekeeping::start(Arc::downgrade(&inner), stopped)
            .map_err(|cause| failed(format!("no thread to keep house: {cause}")))?;
        Ok(Database { inner })
    }

    /// What this database is known by, made with it: part of transactional ids.
    pub fn instance_id(&self) -> &str {
        &self.inner.instance_id
    }

    /// An empty batch.
    pub fn batch(&self) -> Batch {
        Batch { writes: WriteBatch::default(), held: Vec::new() }
    }

    /// Writes a batch at once.
    ///
    /// # Errors
    /// What the disk says; nothing is written then.
    pub fn write(&self, batch: Batch) -> Result<(), Error> {
        self.inner.write(batch.writes)
        // The leases of its tasks end here where their states are gone: not before it is written.
    }

    /// How large its files are; what is only in memory does not count.
    pub fn disk_bytes(&self) -> u64 {
        self.inner.disk_bytes()
    }

    /// Writes memtables to disk, all at one point.
    ///
    /// # Errors
    /// What the disk says.
    pub fn flush(&self) -> Result<(), Error> {
        self.inner.flush()
    }
}

impl Inner {
    /// What RocksDB says, with the folder.
    pub(super) fn failed(&self, cause: &rocksdb::Error) -> Error {
        Error::Database { path: self.path.clone(), cause: cause.to_string() }
    }

    fn disk_bytes(&self) -> u64 {
        let size = |family: &Family| {
            let size =
                self.db.property_int_value_cf(self.family(*family), "rocksdb.live-sst-files-size");
            size.ok().flatten().unwrap_or(0)
        };
        Family::ALL.iter().map(size).sum()
    }

    /// Bytes that are not ours, with the folder.
    pub(super) fn broken(&self, what: impl Into<String>) -> Error {
        Error::Format { path: self.path.clone(), what: what.into() }
    }

    /// A value that is none.
    pub(super) fn broken_value(&self, store: &str, why: Broken) -> Error {
        self.broken(format!("{why}, in the store {store}"))
    }

    /// A row of an ordered store that is none.
    pub(super) fn broken_row(&self, store: &str, why: impl fmt::Display) -> Error {
        self.broken(format!("holds a row that cannot be read, in the store {store}: {why}"))
    }

    /// All of it as of now.
    pub(super) fn snapshot(&self) -> SnapshotWithThreadMode<'_, DB> {
        self.db.snapshot()
    }

    pub(super) fn family(&self, family: Family) -> &ColumnFamily {
        self.db.cf_handle(family.name()).expect("it was opened with all families")
    }

    pub(super) fn get(
        &self,
        family: Family,
        key: &[u8],
    ) -> Result<Option<DBPinnableSlice<'_>>, Error> {
        self.db
            .get_pinned_cf_opt(self.family(family), key, &self.reading)
            .map_err(|cause| self.failed(&cause))
    }

    /// What stands under whole keys, which are in order.
    pub(super) fn multi_get<'a>(
        &self,
        family: Family,
        keys: impl Iterator<Item = &'a [u8]>,
    ) -> Vec<Result<Option<DBPinnableSlice<'_>>, rocksdb::Error>> {
        self.db.batched_multi_get_cf_opt(self.family(family), keys, true, &self.reading)
    }

    /// What stands under a suffix of a store partition.
    pub(super) fn get_in(
        &self,
        family: Family,
        prefix: Prefix,
        suffix: &[u8],
    ) -> Result<Option<DBPinnableSlice<'_>>, Error> {
        /// Longer keys are put together on the heap.
        const SHORT: usize = 120;
        let mut short = [0; PREFIX + SHORT];
        if suffix.len() <= SHORT {
            short[..PREFIX].copy_from_slice(&prefix);
            short[PREFIX..PREFIX + suffix.len()].copy_from_slice(suffix);
            self.get(family, &short[..PREFIX + suffix.len()])
        } else {
            self.get(family, &[&prefix[..], suffix].concat())
        }
    }

    /// Walks over the keys from `lower`, included, to `upper`, excluded.
    pub(super) fn cursor(
        &self,
        family: Family,
        lower: Vec<u8>,
        upper: Vec<u8>,
        reverse: bool,
        fill_cache: bool,
    ) -> Cursor<'_> {
        let mut options = ReadOptions::default();
        options.fill_cache(fill_cache);
        options.set_iterate_lower_bound(lower);
        options.set_iterate_upper_bound(upper);
        let mut rows = self.db.raw_iterator_cf_opt(self.family(family), options);
        if reverse {
            rows.seek_to_last();
        } else {
            rows.seek_to_first();
        }
        Cursor { rows, reverse, database: self }
    }

    pub(super) fn write(&self, writes: WriteBatch) -> Result<(), Error> {
        self.unflushed.store(true, Ordering::Release);
        self.db.write_opt(writes, &self.writing).map_err(|cause| self.failed(&cause))
    }

    pub(super) fn flush(&self) -> Result<(), Error> {
        // Before the flush: what is written while it runs is for the next one.
        self.unflushed.store(false, Ordering::Release);
        flush(&self.db).map_err(|cause| {
            self.unflushed.store(true, Ordering::Release);
            self.failed(&cause)
        })
    }

    pub(super) fn is_unflushed(&self) -> bool {
        self.unflushed.load(Ordering::Acquire)
    }

    pub(super) fn catalog(&self) -> MutexGuard<'_, Catalog> {
        // Each change of it is one assignment behind the write that may fail: it is whole whoever panicked.
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn leases(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Flushes all families at one point.
pub(super) fn flush(db: &DB) -> Result<(), rocksdb::Error> {
    let families: Vec<&ColumnFamily> =
        Family::ALL.iter().filter_map(|family| db.cf_handle(family.name())).collect();
    db.flush_cfs_opt(&families, &FlushOptions::default())
}

/// A whole key and what stands under it.
pub(super) type KeyValue<'a> = (&'a [u8], &'a [u8]);

/// A walk over a range of keys.
pub(super) struct Cursor<'a> {
    rows: DBRawIterator<'a>,
    reverse: bool,
    database: &'a Inner,
}

impl Cursor<'_> {
    /// Where it stands; `None` behind the end.
    pub(super) fn row(&self) -> Result<Option<KeyValue<'_>>, Error> {
        match self.rows.item() {
            Some(row) => Ok(Some(row)),
            None => {
                self.rows.status().map_err(|cause| self.database.failed(&cause))?;
                Ok(None)
            }
        }
    }

    /// To the next row.
    pub(super) fn advance(&mut self) {
        if self.reverse {
            self.rows.prev();
        } else {
            self.rows.next();
        }
    }

    /// To the first row at this key or behind it.
    pub(super) fn seek(&mut self, key: &[u8]) {
        self.rows.seek(key);
    }
}
