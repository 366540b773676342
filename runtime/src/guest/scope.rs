//! What a call may do with the state of its task, and on behalf of which record.
//!
//! A [`Scope`] holds the task's state and is lent to each call. The guest names a slot of its description and an entry
//! of the call; the slot's [`Binding`] says which store, table or timer that is, the entry says under which key and on
//! behalf of which row of the turn something is written. So a guest cannot reach another key, and what it wrote can be
//! undone row by row: entries are only gone through forward.
//!
//! Everything a guest passes is checked here. What is wrong is a [`Fault`] that ends the call; where it is one entry's
//! doing, [`Scope::take_culprit`] says which.

use std::{ops::Range, sync::Arc};

use bytesize::ByteSize;

use super::{Binding, Fault};
use crate::{
    partitioner::partition_of,
    record::{Partition, Timestamp},
    store::{self, Due, Kind, MapEntry, StoreSpec, TaskState},
};

/// Entries of one page of a map.
const PAGE_ENTRIES_MAX: usize = 1000;
/// Bytes of keys and values of one page of a map; the entry that reaches them is the page's last.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// Bytes of a key of a map, or of one that a table is asked for.
const KEY_BYTES_MAX: usize = 64 << 10;
/// Bytes that a turn may write: they wait in memory for the end of the transaction, and can be undone until the turn is
/// over. A turn of several rows that comes to more is split.
const WRITTEN_BYTES_MAX: usize = 64 << 20;
/// What a write takes beside its key and value.
const WRITE_BYTES: usize = 64;

/// The state of a task as its functions see it; nothing where the task keeps none.
#[derive(Default)]
pub struct Scope {
    inner: Option<Box<Inner>>,
}

/// See [`Scope`]. Boxed, so that lending it is a move of one pointer.
pub(super) struct Inner {
    state: Box<TaskState>,
    stores: Vec<StoreSpec>,
    /// The names of the timers, by number.
    timers: Vec<Arc<str>>,
    partition: Partition,
    partitions: u32,
    /// By row of the turn: the event time of what is read and written.
    at: Vec<Timestamp>,
    /// By row, where the turn's rows are timers that fired: which.
    fired: Vec<Firing>,
    /// Rows from here on are not to be handled in this turn: a timer falls due before.
    cut: Option<u32>,
    bindings: Arc<[Option<Binding>]>,
    value_bytes_max: usize,
    /// In this turn.
    written_bytes: usize,
    entries: Vec<Place>,
    /// The keys of the entries, one behind the other.
    keys: Vec<u8>,
    /// The entry named last: those before it are over.
    current: u32,
    /// Fired timers of the entries before this one are deleted.
    deleted: u32,
    culprit: Option<u32>,
    /// What the disk said, where that ended the call.
    broken: Option<store::Error>,
}

/// A timer that fired, as a row of a turn.
#[derive(Debug, Clone)]
struct Firing {
    due: Timestamp,
    timer: u16,
    key: Vec<u8>,
}

/// An entry of the call: its row, its key, and whether it is the timer of its row.
#[derive(Debug, Clone)]
struct Place {
    row: u32,
    key: Option<Range<usize>>,
    fired: bool,
}

/// An entry of a call, as its state is concerned.
#[derive(Debug, Clone, Copy)]
pub struct ScopeEntry<'a> {
    /// The row of the turn that it belongs to.
    pub row: u32,
    /// What state is kept under.
    pub key: Option<&'a [u8]>,
    /// Whether it is the timer that its row is, rather than something that came of it.
    pub fired: bool,
}

/// What is asked of a map.
#[derive(Debug, Clone, Default)]
pub struct MapRange {
    /// From this key on, itself included.
    pub from: Option<Vec<u8>>,
    /// Up to this key, itself excluded.
    pub to: Option<Vec<u8>>,
    /// From the last to the first.
    pub reverse: bool,
    /// Entries at most.
    pub limit: u32,
}

/// A page of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapPage {
    /// In byte order of the keys.
    pub entries: Vec<MapEntry>,
    /// Whether there may be more in the range.
    pub more: bool,
}

impl Scope {
    /// Of the state of a task with these stores and timers, which is this partition of so many.
    pub fn new(
        state: Box<TaskState>,
        stores: Vec<StoreSpec>,
        timers: Vec<Arc<str>>,
        partition: Partition,
        partitions: u32,
    ) -> Self {
        let inner = Inner {
            state,
            stores,
            timers,
            partition,
            partitions,
            at: Vec::new(),
            fired: Vec::new(),
            cut: None,
            bindings: Arc::default(),
            value_bytes_max: usize::MAX,
            written_bytes: 0,
            entries: Vec::new(),
            keys: Vec::new(),
            current: 0,
            deleted: 0,
            culprit: None,
            broken: None,
        };
        Scope { inner: Some(Box::new(inner)) }
    }

    /// The task's state.
    pub fn state(&self) -> Option<&TaskState> {
        self.inner.as_ref().map(|inner| &*inner.state)
    }

    /// The task's state.
    pub fn state_mut(&mut self) -> Option<&mut TaskState> {
        self.inner.as_mut().map(|inner| &mut *inner.state)
    }

    /// Gives the state away.
    pub fn into_state(self) -> Option<Box<TaskState>> {
        self.inner.map(|inner| inner.state)
    }

    /// The rows of a turn: records whose state is as of these times, by row; they never fall.
    pub fn begin(&mut self, at: impl Iterator<Item = Timestamp>) {
        if let Some(inner) = &mut self.inner {
            inner.begin();
            inner.at.extend(at);
        }
    }

    /// The rows of a turn: timers that fired, in the order of their due times, timers and keys; `now` is stream time.
    pub fn begin_fired(&mut self, fired: &[Due], now: Option<Timestamp>) {
        if let Some(inner) = &mut self.inner {
            inner.begin();
            inner.at.extend(fired.iter().map(|due| now.map_or(due.due, |now| now.max(due.due))));
            inner.fired.extend(fired.iter().map(|due| Firing {
                due: due.due,
                timer: due.timer,
                key: due.key.clone(),
            }));
        }
    }

    /// A call begins, of a function with these bindings.
    pub fn load<'a>(
        &mut self,
        bindings: &Arc<[Option<Binding>]>,
        entries: impl Iterator<Item = ScopeEntry<'a>>,
    ) {
        let Some(inner) = &mut self.inner else { return };
        inner.entries.clear();
        inner.keys.clear();
        (inner.current, inner.deleted, inner.culprit) = (0, 0, None);
        if !Arc::ptr_eq(&inner.bindings, bindings) {
            inner.bindings = Arc::clone(bindings);
        }
        // What uses no state needs none of this.
        if bindings.iter().all(Option::is_none) {
            return;
        }
        for entry in entries {
            let start = inner.keys.len();
            inner.keys.extend_from_slice(entry.key.unwrap_or_default());
            let key = entry.key.map(|_| start..inner.keys.len());
            inner.entries.push(Place { row: entry.row, key, fired: entry.fired });
        }
    }

    /// The call is over and so many of its entries are handled: timers among them that fired are no longer set, whether
    /// their function touched them or not.
    ///
    /// # Errors
    /// What the disk says.
    pub fn unload(&mut self, handled: usize) -> Result<(), Fault> {
        let Some(inner) = &mut self.inner else { return Ok(()) };
        let handled = handled.min(inner.entries.len());
        inner.delete_fired(u32::try_from(handled).unwrap_or(u32::MAX))
    }

    /// Rows from here on are not to be handled in this turn: a timer falls due before.
    pub fn cut(&self) -> Option<u32> {
        self.inner.as_ref().and_then(|inner| inner.cut)
    }

    /// Whether the call was ended because the turn writes too much, which is not the entry's doing alone where the turn
    /// has other rows.
    pub fn is_crowded(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.written_bytes > WRITTEN_BYTES_MAX)
    }

    /// What the disk said, where that ended the call with [`Fault::Storage`].
    pub fn take_error(&mut self) -> Option<store::Error> {
        self.inner.as_mut().and_then(|inner| inner.broken.take())
    }

    /// The entry that ended the call, where that is known.
    pub fn take_culprit(&mut self) -> Option<u32> {
        self.inner.as_mut().and_then(|inner| inner.culprit.take())
    }

    pub(super) fn lend(&mut self) -> Option<Box<Inner>> {
        self.inner.take()
    }

    pub(super) fn take_back(&mut self, inner: Option<Box<Inner>>) {
        self.inner = inner;
    }

    fn call(&mut self) -> Result<&mut Inner, Fault> {
        self.inner.as_deref_mut().ok_or_else(no_state)
    }
}

/// What the imports `state`, `tables` and `timers` do: also for functions that are not WebAssembly.
impl Scope {
    /// The value of an entry's key.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn get(&mut self, slot: u32, entry: u32) -> Result<Option<Vec<u8>>, Fault> {
        self.call()?.get(slot, entry)
    }

    /// Sets, or deletes, the value of an entry's key.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn put(&mut self, slot: u32, entry: u32, value: Option<&[u8]>) -> Result<(), Fault> {
        self.call()?.put(slot, entry, value)
    }

    /// The counter of an entry's key.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn count(&mut self, slot: u32, entry: u32) -> Result<i64, Fault> {
        self.call()?.count(slot, entry)
    }

    /// Adds to the counter of an entry's key.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn add(&mut self, slot: u32, entry: u32, delta: i64) -> Result<i64, Fault> {
        self.call()?.add(slot, entry, delta)
    }

    /// A value of the map of an entry's key.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn map_get(&mut self, slot: u32, entry: u32, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.call()?.map_get(slot, entry, key)
    }

    /// Sets, or deletes, a value of the map of an entry's key.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn map_put(
        &mut self,
        slot: u32,
        entry: u32,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), Fault> {
        self.call()?.map_put(slot, entry, key, value)
    }

    /// A page of the map of an entry's key.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn map_scan(&mut self, slot: u32, entry: u32, range: &MapRange) -> Result<MapPage, Fault> {
        self.call()?.map_scan(slot, entry, range)
    }

    /// The row of a table under an entry's own key.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn row(&mut self, slot: u32, entry: u32) -> Result<Option<Vec<u8>>, Fault> {
        self.call()?.row(slot, entry)
    }

    /// The row of a table under another key, or why it cannot be known here.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn lookup(
        &mut self,
        slot: u32,
        entry: u32,
        key: &[u8],
    ) -> Result<Result<Option<Vec<u8>>, String>, Fault> {
        self.call()?.lookup(slot, entry, key)
    }

    /// Sets the timer of an entry's key. Answers whether it falls due before a later entry of the call.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn set_timer(
        &mut self,
        slot: u32,
        entry: u32,
        due: i64,
        payload: &[u8],
    ) -> Result<bool, Fault> {
        self.call()?.set_timer(slot, entry, due, payload)
    }

    /// Cancels the timer of an entry's key.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn cancel_timer(&mut self, slot: u32, entry: u32) -> Result<(), Fault> {
        self.call()?.cancel_timer(slot, entry)
    }

    /// When the timer of an entry's key is due.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn timer(&mut self, slot: u32, entry: u32) -> Result<Option<i64>, Fault> {
        self.call()?.timer(slot, entry)
    }
}

/// Where something is read or written.
#[derive(Debug, Clone)]
struct At {
    row: u32,
    time: Timestamp,
    key: Range<usize>,
}

impl Inner {
    fn begin(&mut self) {
        self.at.clear();
        self.fired.clear();
        self.written_bytes = 0;
        self.cut = None;
    }

    pub(super) fn limit(&mut self, value_bytes_max: usize) {
        self.value_bytes_max = value_bytes_max;
    }

    /// Goes on to an entry.
    fn enter(&mut self, entry: u32) -> Result<&Place, Fault> {
        if entry as usize >= self.entries.len() {
            return Err(misuse(format!(
                "it names entry {entry} in a call with {}",
                self.entries.len()
            )));
        }
        if entry < self.current {
            return Err(misuse(format!("it goes back from entry {} to {entry}", self.current)));
        }
        self.current = entry;
        if !self.fired.is_empty() {
            self.delete_fired(entry + 1)?;
        }
        Ok(&self.entries[entry as usize])
    }

    /// A timer is over before its handler runs; in the order of entries, so that each is undone with its row.
    fn delete_fired(&mut self, before: u32) -> Result<(), Fault> {
        if self.fired.is_empty() {
            return Ok(());
        }
        while self.deleted < before {
            let place = &self.entries[self.deleted as usize];
            if place.fired {
                let firing = &self.fired[place.row as usize];
                let cancelled = self.state.cancel_timer(place.row, firing.timer, &firing.key);
                disk(&mut self.broken, cancelled)?;
            }
            self.deleted += 1;
        }
        Ok(())
    }

    fn at(&mut self, entry: u32) -> Result<At, Fault> {
        let place = self.enter(entry)?;
        let (row, key) = (place.row, place.key.clone());
        let Some(key) = key else {
            return Err(self.blame(entry, Fault::Reject { reason: "record has no key".to_owned() }));
        };
        Ok(At { row, time: self.at[row as usize], key })
    }

    #[cold]
    fn blame(&mut self, entry: u32, fault: Fault) -> Fault {
        self.culprit = Some(entry);
        fault
    }

    fn binding(&self, slot: u32) -> Option<Binding> {
        self.bindings.get(slot as usize).copied().flatten()
    }

    fn store(&self, slot: u32, kind: Kind) -> Result<usize, Fault> {
        match self.binding(slot) {
            Some(Binding::Store(store)) if self.stores[store].kind == kind => Ok(store),
            _ => Err(misuse(format!("its slot {slot} is no {}", name(kind)))),
        }
    }

    fn table(&self, slot: u32) -> Result<usize, Fault> {
        match self.binding(slot) {
            Some(Binding::Table(store)) => Ok(store),
            _ => Err(misuse(format!("its slot {slot} is no table"))),
        }
    }

    fn timer_of(&self, slot: u32) -> Result<u16, Fault> {
        match self.binding(slot) {
            Some(Binding::Timer(timer)) => Ok(timer),
            _ => Err(misuse(format!("its slot {slot} is no timer"))),
        }
    }

    /// Before a write of so many bytes to a store, or, without one, of a timer.
    fn check_write(&mut self, entry: u32, store: Option<usize>, bytes: usize) -> Result<(), Fault> {
        self.written_bytes += bytes + WRITE_BYTES;
        if bytes <= self.value_bytes_max && self.written_bytes <= WRITTEN_BYTES_MAX {
            return Ok(());
        }
        if bytes <= self.value_bytes_max {
            let limit = size(WRITTEN_BYTES_MAX);
            let message = format!("it writes more than {limit} of state");
            return Err(self.blame(entry, Fault::Trap { message }));
        }
        let what = store.map_or("a timer", |store| &self.stores[store].name);
        let (bytes, limit) = (size(bytes), size(self.value_bytes_max));
        let message = format!("a value for `{what}` has {bytes} and `limits.output` is {limit}");
        Err(self.blame(entry, Fault::Trap { message }))
    }

    fn check_key(&mut self, entry: u32, store: usize, bytes: usize) -> Result<(), Fault> {
        if bytes <= KEY_BYTES_MAX {
            return Ok(());
        }
        let what = &self.stores[store].name;
        let (bytes, limit) = (size(bytes), size(KEY_BYTES_MAX));
        let message = format!("a key for `{what}` has {bytes} and {limit} is the limit");
        Err(self.blame(entry, Fault::Trap { message }))
    }

    pub(super) fn get(&mut self, slot: u32, entry: u32) -> Result<Option<Vec<u8>>, Fault> {
        let store = self.store(slot, Kind::Value)?;
        let at = self.at(entry)?;
        disk(&mut self.broken, self.state.get(store, &self.keys[at.key], at.time))
    }

    pub(super) fn put(&mut self, slot: u32, entry: u32, value: Option<&[u8]>) -> Result<(), Fault> {
        let store = self.store(slot, Kind::Value)?;
        let at = self.at(entry)?;
        self.check_write(entry, Some(store), value.map_or(0, <[u8]>::len))?;
        self.state.put(at.row, store, &self.keys[at.key], value, at.time);
        Ok(())
    }

    pub(super) fn count(&mut self, slot: u32, entry: u32) -> Result<i64, Fault> {
        let store = self.store(slot, Kind::Counter)?;
        let at = self.at(entry)?;
        disk(&mut self.broken, self.state.count(store, &self.keys[at.key], at.time))
    }

    pub(super) fn add(&mut self, slot: u32, entry: u32, delta: i64) -> Result<i64, Fault> {
        let store = self.store(slot, Kind::Counter)?;
        let at = self.at(entry)?;
        self.check_write(entry, Some(store), 0)?;
        let added = self.state.add(at.row, store, &self.keys[at.key], delta, at.time);
        let added = disk(&mut self.broken, added)?;
        added.map_err(|overflow| {
            let message = format!("`{}`: {overflow}", self.stores[store].name);
            self.blame(entry, Fault::Trap { message })
        })
    }

    pub(super) fn map_get(
        &mut self,
        slot: u32,
        entry: u32,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, Fault> {
        let store = self.store(slot, Kind::Map)?;
        let at = self.at(entry)?;
        self.check_key(entry, store, key.len())?;
        disk(&mut self.broken, self.state.map_get(store, &self.keys[at.key], key, at.time))
    }

    pub(super) fn map_put(
        &mut self,
        slot: u32,
        entry: u32,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), Fault> {
        let store = self.store(slot, Kind::Map)?;
        let at = self.at(entry)?;
        self.check_key(entry, store, key.len())?;
        self.written_bytes += key.len();
        self.check_write(entry, Some(store), value.map_or(0, <[u8]>::len))?;
        self.state.map_put(at.row, store, &self.keys[at.key], key, value, at.time);
        Ok(())
    }

    pub(super) fn map_scan(
        &mut self,
        slot: u32,
        entry: u32,
        range: &MapRange,
    ) -> Result<MapPage, Fault> {
        let store = self.store(slot, Kind::Map)?;
        let at = self.at(entry)?;
        for key in range.from.iter().chain(&range.to) {
            self.check_key(entry, store, key.len())?;
        }
        let limit = (range.limit as usize).min(PAGE_ENTRIES_MAX);
        let asked = store::Range {
            from: range.from.as_deref(),
            to: range.to.as_deref(),
            reverse: range.reverse,
            // One more, to know whether there are more.
            limit: limit + 1,
            bytes_max: PAGE_BYTES_MAX,
        };
        let found = self.state.map_scan(store, &self.keys[at.key], &asked, at.time);
        let mut entries = disk(&mut self.broken, found)?;
        // A page that ends by its bytes may be followed by an empty one.
        let size: usize = entries.iter().map(|entry| entry.key.len() + entry.value.len()).sum();
        let more = entries.len() > limit || size >= PAGE_BYTES_MAX;
        entries.truncate(limit);
        Ok(MapPage { entries, more })
    }

    pub(super) fn row(&mut self, slot: u32, entry: u32) -> Result<Option<Vec<u8>>, Fault> {
        let store = self.table(slot)?;
        let Some(key) = self.enter(entry)?.key.clone() else { return Ok(None) };
        disk(&mut self.broken, self.state.row(store, &self.keys[key]))
    }

    pub(super) fn lookup(
        &mut self,
        slot: u32,
        entry: u32,
        key: &[u8],
    ) -> Result<Result<Option<Vec<u8>>, String>, Fault> {
        let store = self.table(slot)?;
        self.enter(entry)?;
        self.check_key(entry, store, key.len())?;
        let spec = &self.stores[store];
        if !spec.broadcast {
            let home = partition_of(key, self.partitions);
            if home != self.partition {
                return Ok(Err(elsewhere(spec, home, self.partition)));
            }
        }
        disk(&mut self.broken, self.state.row(store, key)).map(Ok)
    }

    pub(super) fn set_timer(
        &mut self,
        slot: u32,
        entry: u32,
        due: i64,
        payload: &[u8],
    ) -> Result<bool, Fault> {
        let timer = self.timer_of(slot)?;
        let at = self.at(entry)?;
        self.check_write(entry, None, payload.len())?;
        if due < 0 {
            let message =
                format!("a timer cannot be due at {due}: milliseconds since 1970 are right");
            return Err(self.blame(entry, Fault::Trap { message }));
        }
        let due = Timestamp(due);
        self.cut_at(at.row, timer, &at.key, Some(due));
        let set = self.state.set_timer(at.row, timer, &self.keys[at.key], due, payload);
        disk(&mut self.broken, set)?;
        let last = self.entries.last().map_or(0, |place| place.row);
        Ok(self.cut.is_some_and(|cut| last >= cut))
    }

    pub(super) fn cancel_timer(&mut self, slot: u32, entry: u32) -> Result<(), Fault> {
        let timer = self.timer_of(slot)?;
        let at = self.at(entry)?;
        self.cut_at(at.row, timer, &at.key, None);
        disk(&mut self.broken, self.state.cancel_timer(at.row, timer, &self.keys[at.key]))
    }

    pub(super) fn timer(&mut self, slot: u32, entry: u32) -> Result<Option<i64>, Fault> {
        let timer = self.timer_of(slot)?;
        let at = self.at(entry)?;
        let due = disk(&mut self.broken, self.state.timer(timer, &self.keys[at.key]))?;
        Ok(due.map(Timestamp::millis))
    }

    /// A row changes a timer: the first later row that is to see it fire, or that is a firing of it which no longer
    /// holds, is not for this turn.
    fn cut_at(&mut self, row: u32, timer: u16, key: &Range<usize>, due: Option<Timestamp>) {
        let next = row as usize + 1;
        let later = if self.fired.is_empty() {
            let Some(due) = due else { return };
            // Stream time never falls, so the rows that make it due are the last ones.
            next + self.at[next..].partition_point(|at| *at < due)
        } else {
            let key = &self.keys[key.clone()];
            let name = |timer: u16| &*self.timers[usize::from(timer)];
            let before = |firing: &Firing| {
                due.is_some_and(|due| {
                    (due, name(timer), key) < (firing.due, name(firing.timer), &*firing.key)
                })
            };
            let same = |firing: &Firing| firing.timer == timer && firing.key == key;
            let found = self.fired[next..].iter().position(|firing| before(firing) || same(firing));
            found.map_or(self.fired.len(), |found| next + found)
        };
        if later < self.at.len() {
            let later = u32::try_from(later).expect("a turn has few rows");
            self.cut = Some(self.cut.map_or(later, |cut| cut.min(later)));
        }
    }
}

pub(super) fn no_state() -> Fault {
    misuse("it asks for state where none is kept for it".to_owned())
}

#[cold]
fn misuse(what: String) -> Fault {
    Fault::Contract { what }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Value => "value",
        Kind::Map => "map",
        Kind::Counter => "counter",
        Kind::Table => "table",
        Kind::Window | Kind::Session => "aggregate",
        Kind::Join => "join",
        Kind::Meta => "store",
    }
}

fn size(bytes: usize) -> impl std::fmt::Display {
    ByteSize(bytes as u64).display().iec()
}

#[cold]
fn elsewhere(table: &StoreSpec, home: Partition, own: Partition) -> String {
    format!(
        "the key belongs to partition {home} of table `{name}`, and this task has partition {own} of it: make the table \
         complete on every host (`broadcast = true` in [tables.{name}]), or re-key the input by what is looked up",
        name = table.name
    )
}

/// Ends the call where the disk fails, and keeps what it said.
#[inline]
fn disk<T>(broken: &mut Option<store::Error>, answer: Result<T, store::Error>) -> Result<T, Fault> {
    answer.map_err(|error| {
        let what = error.to_string();
        *broken = Some(error);
        Fault::Storage { what }
    })
}
