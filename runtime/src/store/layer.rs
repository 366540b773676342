//! One store's part of one layer of the overlay: keys that a transaction has written, with their values as they will
//! stand in RocksDB and on the changelog.
//!
//! Entries keep the order in which their keys were first written; an undone one stays as *untouched*, which reads and
//! the log pass over. Keys lie in one buffer, counters in the entries, so that a hot counter costs no allocation.

use std::{collections::BTreeMap, ops::Bound};

use hashbrown::HashTable;

use super::{
    keys::{self, PREFIX, Prefix},
    value::{self, COUNTER},
};
use crate::record::Timestamp;

/// Bytes that an entry costs beside its key and value.
const ENTRY_BYTES: usize = 72;

/// Tables and buffers of more than this are not kept for the next transaction where it was small.
const SPARE: usize = 4096;

/// What is written under a key.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) enum Slot {
    /// Nothing, or undone.
    #[default]
    Untouched,
    /// A deletion.
    Deleted,
    /// A deletion that RocksDB hears of as part of a range.
    Expired,
    /// A counter, encoded.
    Counter([u8; COUNTER]),
    /// Any other value, encoded.
    Bytes(Box<[u8]>),
}

impl Slot {
    /// The encoded value, `None` where deleted; nothing where untouched.
    #[inline]
    pub(super) fn seen(&self) -> Option<Option<&[u8]>> {
        match self {
            Slot::Untouched => None,
            Slot::Deleted | Slot::Expired => Some(None),
            Slot::Counter(bytes) => Some(Some(bytes)),
            Slot::Bytes(bytes) => Some(Some(bytes)),
        }
    }

    fn is_touched(&self) -> bool {
        !matches!(self, Slot::Untouched)
    }

    fn bytes(&self) -> usize {
        match self {
            Slot::Bytes(bytes) => bytes.len(),
            _ => 0,
        }
    }
}

/// A key that was written.
#[derive(Debug)]
pub(super) struct Entry {
    hash: u64,
    start: usize,
    end: usize,
    pub(super) slot: Slot,
}

/// An order of entries beside that in which they were made.
#[derive(Debug)]
pub(super) enum Order {
    /// None is asked for.
    None,
    /// All keys.
    ByKey(BTreeMap<Box<[u8]>, u32>),
    /// All keys, which begin with a tag.
    ByTag(BTreeMap<Box<[u8]>, u32>),
    /// Timers that are set, by their suffix in the order of time; and by entry the due time that RocksDB will hold when
    /// this layer gets there.
    ByDue(BTreeMap<Box<[u8]>, u32>, Vec<Option<Timestamp>>),
}

/// See the module's page.
#[derive(Debug)]
pub(super) struct Layer {
    prefix: Prefix,
    table: HashTable<u32>,
    entries: Vec<Entry>,
    keys: Vec<u8>,
    order: Order,
    touched: usize,
    bytes: usize,
}

impl Layer {
    pub(super) fn new(prefix: Prefix, order: Order) -> Layer {
        Layer {
            prefix,
            table: HashTable::new(),
            entries: Vec::new(),
            keys: Vec::new(),
            order,
            touched: 0,
            bytes: 0,
        }
    }

    /// How many keys have a write that stands.
    pub(super) fn touched(&self) -> usize {
        self.touched
    }

    /// About what it takes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether its keys begin with a tag.
    pub(super) fn is_tagged(&self) -> bool {
        matches!(self.order, Order::ByTag(_))
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    #[inline]
    pub(super) fn find(&self, hash: u64, suffix: &[u8]) -> Option<u32> {
        self.table.find(hash, |index| self.suffix(*index) == suffix).copied()
    }

    /// What is written under a key.
    #[inline]
    pub(super) fn seen(&self, hash: u64, suffix: &[u8]) -> Option<Option<&[u8]>> {
        self.find(hash, suffix).and_then(|index| self.slot(index).seen())
    }

    #[inline]
    pub(super) fn slot(&self, index: u32) -> &Slot {
        &self.entries[index as usize].slot
    }

    /// The whole key, as in RocksDB.
    #[inline]
    pub(super) fn key(&self, index: u32) -> &[u8] {
        let entry = &self.entries[index as usize];
        &self.keys[entry.start..entry.end]
    }

    /// The key, as on the changelog.
    #[inline]
    pub(super) fn suffix(&self, index: u32) -> &[u8] {
        let entry = &self.entries[index as usize];
        &self.keys[entry.start + PREFIX..entry.end]
    }

    /// Makes an untouched entry for a key that has none. `prior`: of a timer, see [`Order::ByDue`].
    pub(super) fn insert(&mut self, hash: u64, suffix: &[u8], prior: Option<Timestamp>) -> u32 {
        let index = u32::try_from(self.entries.len()).expect("the overlay's limit is far below");
        let start = self.keys.len();
        self.keys.extend_from_slice(&self.prefix);
        self.keys.extend_from_slice(suffix);
        self.entries.push(Entry { hash, start, end: self.keys.len(), slot: Slot::Untouched });
        let entries = &self.entries;
        self.table.insert_unique(hash, index, |index| entries[*index as usize].hash);
        match &mut self.order {
            Order::None => {}
            Order::ByKey(keys) | Order::ByTag(keys) => {
                keys.insert(suffix.into(), index);
            }
            Order::ByDue(_, priors) => priors.push(prior),
        }
        self.bytes += ENTRY_BYTES + suffix.len();
        index
    }

    /// Changes an entry and answers what it was.
    #[inline]
    pub(super) fn set(&mut self, index: u32, slot: Slot) -> Slot {
        if matches!(self.order, Order::ByDue(..)) {
            self.set_due(index, &slot);
        }
        let old = std::mem::replace(&mut self.entries[index as usize].slot, slot);
        let new = &self.entries[index as usize].slot;
        self.touched = self.touched + usize::from(new.is_touched()) - usize::from(old.is_touched());
        self.bytes = self.bytes + new.bytes() - old.bytes();
        old
    }

    fn set_due(&mut self, index: u32, new: &Slot) {
        let (old, new) = (self.due_key(index, self.slot(index)), self.due_key(index, new));
        let Order::ByDue(timers, _) = &mut self.order else { return };
        if let Some(old) = old {
            timers.remove(&*old);
        }
        if let Some(new) = new {
            timers.insert(new.into(), index);
        }
    }

    /// The suffix in the order of time that a timer has with this value.
    fn due_key(&self, index: u32, slot: &Slot) -> Option<Vec<u8>> {
        let (Slot::Bytes(bytes), suffix) = (slot, self.suffix(index)) else { return None };
        if suffix.first() != Some(&keys::BY_NAME) {
            return None;
        }
        let due = value::decode(bytes).expect("it was encoded here").at;
        let mut key = Vec::with_capacity(8 + suffix.len());
        keys::by_due(due, suffix, &mut key);
        Some(key)
    }

    /// Entries in the layer's order, from a key, included, to another, excluded.
    pub(super) fn range<'a>(
        &'a self,
        lower: &[u8],
        upper: &[u8],
    ) -> impl DoubleEndedIterator<Item = (&'a [u8], u32)> + use<'a> {
        let keys = match &self.order {
            Order::None => None,
            Order::ByKey(keys) | Order::ByTag(keys) | Order::ByDue(keys, _) => Some(keys),
        };
        let keys = keys.filter(|_| lower < upper);
        let range = keys
            .map(|keys| keys.range::<[u8], _>((Bound::Included(lower), Bound::Excluded(upper))));
        range.into_iter().flatten().map(|(key, index)| (&**key, *index))
    }

    /// When RocksDB will hold that a timer is due, as this layer gets there.
    pub(super) fn prior(&self, index: u32) -> Option<Timestamp> {
        match &self.order {
            Order::ByDue(_, priors) => priors[index as usize],
            _ => None,
        }
    }

    /// Empties it, and keeps its buffers where they are not much larger than what was in them.
    pub(super) fn clear(&mut self) {
        let used = self.entries.len().max(SPARE);
        if self.table.capacity() / 8 > used {
            self.table = HashTable::new();
            self.entries = Vec::new();
        }
        if self.keys.capacity() / 8 > self.keys.len().max(SPARE * 16) {
            self.keys = Vec::new();
        }
        self.table.clear();
        self.entries.clear();
        self.keys.clear();
        match &mut self.order {
            Order::None => {}
            Order::ByKey(keys) | Order::ByTag(keys) => keys.clear(),
            Order::ByDue(timers, priors) => {
                timers.clear();
                priors.clear();
            }
        }
        (self.touched, self.bytes) = (0, 0);
    }
}
