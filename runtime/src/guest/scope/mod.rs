//! What a call may do with the state of its task, and on behalf of which record.
//!
//! A [`Scope`] holds the task's state and is lent to each call. The guest names a slot of its description and an entry
//! of the call; the slot's [`Binding`] says which store, table or timer that is, the entry says under which key and on
//! behalf of which row of the turn something is written. So a guest cannot reach another key, and what it wrote can be
//! undone row by row: entries are only gone through forward.
//!
//! Everything a guest passes is checked here. What is wrong is a [`Fault`] that ends the call; where it is one entry's
//! doing, [`Scope::take_culprit`] says which.

mod aggregates;
mod checks;
mod state;
mod tables;
mod timers;

use std::{ops::Range, sync::Arc};

pub use aggregates::Window;
pub use state::{MapPage, MapRange};

pub(super) use checks::no_state;

use super::{Binding, Fault};
use crate::{
    aggregate::Engine,
    record::{Partition, Timestamp},
    store::{self, Due, StoreSpec, TaskState},
};
use checks::WRITTEN_BYTES_MAX;
use tidemill_aggregates::Value;

/// The state of a task as its functions see it; nothing where the task keeps none.
#[derive(Default)]
pub struct Scope {
    inner: Option<Box<Inner>>,
}

/// See [`Scope`]. Boxed, so that lending it is a move of one pointer.
pub(super) struct Inner {
    state: Box<TaskState>,
    stores: Vec<StoreSpec>,
    /// By store, of those that are aggregates.
    engines: Vec<Option<Box<Engine>>>,
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
    /// By slot, the columns that code reads of an aggregate; empty where it is not known which.
    columns: Arc<[Vec<String>]>,
    /// Memory for the columns of a row.
    row: Vec<Value>,
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

/// An entry of the call: its row, its time, its key, and whether it is the timer of its row.
#[derive(Debug, Clone)]
struct Place {
    row: u32,
    timestamp: Timestamp,
    key: Option<Range<usize>>,
    fired: bool,
}

/// An entry of a call, as its state is concerned.
#[derive(Debug, Clone, Copy)]
pub struct ScopeEntry<'a> {
    /// The row of the turn that it belongs to.
    pub row: u32,
    /// Its own event time.
    pub timestamp: Timestamp,
    /// What state is kept under.
    pub key: Option<&'a [u8]>,
    /// Whether it is the timer that its row is, rather than something that came of it.
    pub fired: bool,
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
            engines: Vec::new(),
            timers,
            partition,
            partitions,
            at: Vec::new(),
            fired: Vec::new(),
            cut: None,
            bindings: Arc::default(),
            columns: Arc::default(),
            row: Vec::new(),
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

    /// And with the engines of the aggregates among its stores, by store.
    #[must_use]
    pub fn with_engines(mut self, engines: Vec<Option<Box<Engine>>>) -> Self {
        if let Some(inner) = &mut self.inner {
            inner.engines = engines;
        }
        self
    }

    /// Another engine for the aggregate that a store is.
    pub fn set_engine(&mut self, store: usize, engine: Box<Engine>) {
        if let Some(place) = self.inner.as_mut().and_then(|inner| inner.engines.get_mut(store)) {
            *place = Some(engine);
        }
    }

    /// The task's state.
    pub fn state(&self) -> Option<&TaskState> {
        self.inner.as_ref().map(|inner| &*inner.state)
    }

    /// The task's state.
    pub fn state_mut(&mut self) -> Option<&mut TaskState> {
        self.inner.as_mut().map(|inner| &mut *inner.state)
    }

    /// Undoes what rows from here on did.
    pub fn keep(&mut self, rows: u32) {
        if let Some(inner) = &mut self.inner {
            inner.state.keep(rows);
            inner.engines.iter_mut().flatten().for_each(|engine| engine.keep(rows));
        }
    }

    /// The engine of an aggregate, and the state that it works on.
    pub fn engine(&mut self, store: usize) -> Option<(&mut Engine, &mut TaskState)> {
        let inner = self.inner.as_deref_mut()?;
        let engine = inner.engines.get_mut(store)?.as_deref_mut()?;
        Some((engine, &mut inner.state))
    }

    /// The engine of an aggregate.
    pub fn engine_at(&self, store: usize) -> Option<&Engine> {
        self.inner.as_ref()?.engines.get(store)?.as_deref()
    }

    /// The engines of all aggregates.
    pub fn engines(&mut self) -> impl Iterator<Item = &mut Engine> {
        self.inner
            .iter_mut()
            .flat_map(|inner| inner.engines.iter_mut().flatten())
            .map(|it| &mut **it)
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
            inner.entries.push(Place {
                row: entry.row,
                timestamp: entry.timestamp,
                key,
                fired: entry.fired,
            });
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

    /// Ends what is done here, and keeps what the disk said for [`take_error`](Self::take_error).
    pub fn fail(&mut self, error: store::Error) -> Fault {
        let what = error.to_string();
        if let Some(inner) = &mut self.inner {
            inner.broken = Some(error);
        }
        Fault::Storage { what }
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

impl Inner {
    fn begin(&mut self) {
        self.at.clear();
        self.fired.clear();
        self.engines.iter_mut().flatten().for_each(|engine| engine.begin());
        self.written_bytes = 0;
        self.cut = None;
    }

    /// What holds for the function that is called: how long a value may be, and which columns it reads of aggregates.
    pub(super) fn serve(&mut self, value_bytes_max: usize, columns: &Arc<[Vec<String>]>) {
        self.value_bytes_max = value_bytes_max;
        if !Arc::ptr_eq(&self.columns, columns) {
            self.columns = Arc::clone(columns);
        }
    }
}
