//! What a task has written and not committed: an *open* layer for the current transaction, and at most one *sealed*
//! layer for the one that is being committed. Reads look into the open layer, then the sealed one, then RocksDB.
//!
//! Each write of a turn leaves in the undo log what it replaced and on behalf of which source row it was; undoing goes
//! from the newest to the oldest, so a key gets back what it had. The log does not reach behind the turn, and never
//! into the sealed layer.

use std::hash::{BuildHasher as _, Hasher as _};

use foldhash::fast::RandomState;

use super::{
    Kind, Logged,
    keys::Prefix,
    layer::{Layer, Order, Slot},
    layout::tag,
};
use crate::record::Timestamp;

/// See the module's page.
pub(super) struct Overlay {
    open: Vec<Layer>,
    sealed: Vec<Layer>,
    /// The keys of the sealed layer whose writes stand, in the order of stores and keys: RocksDB takes a batch in
    /// that order in a third of the time.
    log: Vec<(u32, u32)>,
    /// Likewise, of rows that no changelog has.
    local: Vec<(u32, u32)>,
    is_sealed: bool,
    undo: Vec<Undo>,
    /// Above all rows in the undo log.
    rows: u32,
    hasher: RandomState,
}

struct Undo {
    row: u32,
    store: u32,
    entry: u32,
    slot: Slot,
}

impl Overlay {
    pub(super) fn new(stores: impl Iterator<Item = (Prefix, Kind)> + Clone) -> Overlay {
        let layers = || {
            let stores = stores.clone();
            let layers = stores.map(|(prefix, kind)| {
                let order = match kind {
                    Kind::Map => Order::ByKey(Default::default()),
                    Kind::Window | Kind::Session | Kind::Join => Order::ByTag(Default::default()),
                    Kind::Meta => Order::ByDue(Default::default(), Vec::new()),
                    Kind::Value | Kind::Counter | Kind::Table => Order::None,
                };
                Layer::new(prefix, order)
            });
            layers.collect::<Vec<_>>()
        };
        Overlay {
            open: layers(),
            sealed: layers(),
            log: Vec::new(),
            local: Vec::new(),
            is_sealed: false,
            undo: Vec::new(),
            rows: 0,
            hasher: RandomState::default(),
        }
    }

    #[inline]
    pub(super) fn hash(&self, suffix: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(suffix);
        hasher.finish()
    }

    #[inline]
    pub(super) fn open(&self, store: usize) -> &Layer {
        &self.open[store]
    }

    #[inline]
    pub(super) fn sealed(&self, store: usize) -> &Layer {
        &self.sealed[store]
    }

    /// The encoded value of a key, `None` where it is deleted; nothing where it is not in the overlay.
    #[inline]
    pub(super) fn seen(&self, store: usize, hash: u64, suffix: &[u8]) -> Option<Option<&[u8]>> {
        self.open[store].seen(hash, suffix).or_else(|| self.seen_sealed(store, hash, suffix))
    }

    #[inline]
    pub(super) fn seen_sealed(
        &self,
        store: usize,
        hash: u64,
        suffix: &[u8],
    ) -> Option<Option<&[u8]>> {
        if self.is_sealed { self.sealed[store].seen(hash, suffix) } else { None }
    }

    /// Makes an entry of the open layer for a key that has none there.
    pub(super) fn insert(
        &mut self,
        store: usize,
        hash: u64,
        suffix: &[u8],
        prior: Option<Timestamp>,
    ) -> u32 {
        self.open[store].insert(hash, suffix, prior)
    }

    /// Writes an entry of the open layer, on behalf of a row; without one it is not undone.
    #[inline]
    pub(super) fn set(&mut self, row: Option<u32>, store: usize, entry: u32, slot: Slot) {
        let old = self.open[store].set(entry, slot);
        if let Some(row) = row {
            let store = u32::try_from(store).expect("a task has few stores");
            self.undo.push(Undo { row, store, entry, slot: old });
            self.rows = self.rows.max(row.saturating_add(1));
        }
    }

    /// Writes a key.
    pub(super) fn put(&mut self, row: Option<u32>, store: usize, suffix: &[u8], slot: Slot) {
        let hash = self.hash(suffix);
        let entry = match self.open[store].find(hash, suffix) {
            Some(entry) => entry,
            None => self.insert(store, hash, suffix, None),
        };
        self.set(row, store, entry, slot);
    }

    /// Forgets how to undo what was written.
    pub(super) fn begin(&mut self) {
        self.undo.clear();
        self.rows = 0;
    }

    /// Undoes what was written on behalf of rows from `rows` on. Answers whether there was anything.
    pub(super) fn keep(&mut self, rows: u32) -> bool {
        if rows >= self.rows {
            return false;
        }
        let mut kept = Vec::new();
        for undo in self.undo.drain(..).rev() {
            if undo.row < rows {
                kept.push(undo);
            } else {
                self.open[undo.store as usize].set(undo.entry, undo.slot);
            }
        }
        kept.reverse();
        self.undo = kept;
        self.rows = rows;
        true
    }

    pub(super) fn bytes(&self) -> usize {
        self.open.iter().chain(&self.sealed).map(Layer::bytes).sum()
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.open.iter().any(|layer| layer.touched() > 0)
    }

    /// The open layer becomes the sealed one.
    pub(super) fn seal(&mut self) {
        assert!(!self.is_sealed, "one transaction is committed before the next one is sealed");
        self.begin();
        std::mem::swap(&mut self.open, &mut self.sealed);
        self.is_sealed = true;
        for (store, layer) in (0..).zip(&self.sealed) {
            let (from, local_from) = (self.log.len(), self.local.len());
            let entries = (0..).zip(layer.entries());
            let touched = entries.filter(|(_, entry)| entry.slot.seen().is_some());
            for (entry, _) in touched {
                let is_local =
                    layer.is_tagged() && layer.suffix(entry).first() == Some(&tag::INDEX);
                let log = if is_local { &mut self.local } else { &mut self.log };
                log.push((store, entry));
            }
            let order =
                |(_, a): &(u32, u32), (_, b): &(u32, u32)| layer.suffix(*a).cmp(layer.suffix(*b));
            self.log[from..].sort_unstable_by(order);
            self.local[local_from..].sort_unstable_by(order);
        }
    }

    /// What is sealed and no changelog has.
    pub(super) fn local(&self) -> &[(u32, u32)] {
        &self.local
    }

    /// What is sealed, by index of its store and entry.
    pub(super) fn log(&self) -> &[(u32, u32)] {
        &self.log
    }

    pub(super) fn logged(&self, index: usize) -> Logged<'_> {
        let (store, entry) = self.log[index];
        let layer = &self.sealed[store as usize];
        let value = layer.slot(entry).seen().expect("only what was touched is in the log");
        Logged { store: store as usize, key: layer.suffix(entry), value }
    }

    /// Nothing is sealed any more.
    pub(super) fn unseal(&mut self) {
        for layer in &mut self.sealed {
            layer.clear();
        }
        self.log.clear();
        self.local.clear();
        self.is_sealed = false;
    }

    /// Drops both layers.
    pub(super) fn abort(&mut self) {
        self.begin();
        self.unseal();
        for layer in &mut self.open {
            layer.clear();
        }
    }
}
