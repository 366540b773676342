//! The engine of one aggregate store in one task: takes records, knows its time, and says which results come out when.

use std::sync::Arc;

use tidemill_aggregates::{Compute, Fault, Row, Value};

use super::{
    Emit, Spec, Windows,
    core::{Change, Core, millis},
    fixed,
    panes::Panes,
    session::Session,
    sliding::Sliding,
    whole,
};
use crate::{
    record::Timestamp,
    store::{self, NodeProgress, Ordered, TaskState, layout, tag},
};

/// An aggregate store at work in one task.
///
/// What it writes is on behalf of rows of a turn, as in [`TaskState`], and what it keeps in memory is undone the same
/// way: [`begin`](Engine::begin) opens a turn, [`keep`](Engine::keep) undoes what rows from there on did.
pub struct Engine {
    pub(super) core: Core,
    pub(super) shape: Shape,
}

/// How windows lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// There are none.
    Whole,
    Fixed(Panes),
    Sliding(Sliding),
    Session(Session),
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is in a window that was not closed.
    In {
        /// Whether `final` results that are closed come out behind it.
        closes: bool,
    },
    /// All windows that it would be in are closed.
    Late {
        /// Whether `final` results that are closed come out behind it.
        closes: bool,
    },
}

/// A window of a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Its first millisecond.
    pub start: Timestamp,
    /// Where it ends; of sliding windows and sessions itself included.
    pub end: Timestamp,
    /// The time of the latest record in it.
    pub at: Timestamp,
    /// What accumulated.
    pub row: Row,
}

/// Why a record cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be aggregated.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// What the disk says.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// A store holds what was aggregated in another way.
#[derive(Debug, thiserror::Error)]
#[error(
    "the store `{store}` holds `{found}` and is declared as `{declared}`: give it another name, or reset the app's state"
)]
pub struct Refused {
    store: String,
    found: String,
    declared: String,
}

impl Added {
    /// Whether no window took the record.
    pub fn is_late(self) -> bool {
        matches!(self, Added::Late { .. })
    }

    pub(super) fn closes(self) -> bool {
        match self {
            Added::In { closes } | Added::Late { closes } => closes,
        }
    }
}

impl Engine {
    /// Of the store with this index in its task.
    pub fn new(store: usize, spec: &Arc<Spec>) -> Engine {
        let shape = match spec.windows {
            None => Shape::Whole,
            Some(Windows::Tumbling { size }) => Shape::Fixed(fixed::of(size, size)),
            Some(Windows::Hopping { size, advance }) => Shape::Fixed(fixed::of(size, advance)),
            Some(Windows::Sliding { difference }) => {
                Shape::Sliding(Sliding { difference: millis(difference) })
            }
            Some(Windows::Session { gap }) => Shape::Session(Session { gap: millis(gap) }),
        };
        Engine { core: Core::new(store, spec), shape }
    }

    /// What is computed.
    pub fn compute(&self) -> &Compute {
        self.core.compute()
    }

    /// The store as declared.
    pub fn spec(&self) -> &Arc<Spec> {
        &self.core.spec
    }

    /// Whether nobody wants results: none come out then, and what would be late or closed is as ever.
    pub fn mute(&mut self, is_mute: bool) {
        self.core.is_mute = is_mute;
    }

    /// Its time: the largest event time that came.
    pub fn time(&self) -> Option<Timestamp> {
        self.core.time.get().copied()
    }

    /// What the store's rows were made for, and by whom they can be read.
    fn made_for(&self) -> String {
        let windows = match self.shape {
            Shape::Whole => String::new(),
            Shape::Fixed(panes) if panes.is_tumbling() => format!(" tumbling {} ms", panes.size),
            Shape::Fixed(panes) => format!(" hopping {} ms by {} ms", panes.size, panes.advance),
            Shape::Sliding(sliding) => format!(" sliding {} ms", sliding.difference),
            Shape::Session(session) => format!(" session {} ms", session.gap),
        };
        format!("{}{windows}", self.compute())
    }

    /// Whether what is in the store was made for what is declared.
    ///
    /// # Errors
    /// What the disk says; inside, that it was not.
    pub fn check(&self, state: &impl Ordered) -> Result<Result<(), Refused>, store::Error> {
        let declared = self.made_for();
        Ok(match self.found(state)?.filter(|found| *found != declared) {
            Some(found) => {
                let store = state.name(self.core.store).to_owned();
                Err(Refused { store, found, declared })
            }
            None => Ok(()),
        })
    }

    /// What the store was made for, as far as it says.
    fn found(&self, state: &impl Ordered) -> Result<Option<String>, store::Error> {
        state.ordered_get(self.core.store, &[tag::HEAD], |_, found| {
            String::from_utf8_lossy(found).into_owned()
        })
    }

    /// Fails where the store was made for something else, unless that is known not to be so.
    pub(super) fn ready(&mut self, state: &impl Ordered) -> Result<(), store::Error> {
        if !self.core.is_checked {
            self.check(state)?.map_err(|refused| state.broken_row(self.core.store, refused))?;
            self.core.is_checked = true;
        }
        Ok(())
    }

    fn write_head(&mut self, state: &mut TaskState) -> Result<(), store::Error> {
        self.ready(state)?;
        if self.found(state)?.is_none() {
            let made_for = self.made_for();
            let made_for = made_for.as_bytes();
            state.ordered_put(None, self.core.store, &[tag::HEAD], Timestamp(0), made_for);
        }
        self.core.is_headed = true;
        Ok(())
    }

    /// Adds a record: what [`Compute::arguments`] names, in that order.
    ///
    /// # Errors
    /// Why it cannot be aggregated, or what the disk says. Time has gone on all the same: undo the row.
    pub fn add(
        &mut self,
        state: &mut TaskState,
        row: u32,
        key: &[u8],
        at: Timestamp,
        arguments: &[Value],
    ) -> Result<Added, Error> {
        if !self.core.is_headed {
            self.write_head(state)?;
        }
        let core = &mut self.core;
        let before = core.time.get().copied();
        core.time.raise(row, at);
        match self.shape {
            Shape::Whole => whole::add_to(core, state, row, key, arguments, at),
            Shape::Fixed(panes) => panes.add(core, state, row, key, arguments, at),
            Shape::Sliding(sliding) => sliding.add(core, state, row, key, arguments, at),
            Shape::Session(session) => session.add(core, state, row, key, arguments, at, before),
        }
    }

    /// Looks up ahead what records of these keys and times are to be added to.
    ///
    /// # Errors
    /// What the disk says.
    pub fn prefetch<'a>(
        &mut self,
        state: &mut TaskState,
        records: impl Iterator<Item = (&'a [u8], Timestamp)>,
    ) -> Result<(), store::Error> {
        let shape = self.shape;
        let pane = |at: Timestamp| match shape {
            Shape::Whole => Some(Timestamp(0)),
            Shape::Fixed(panes) => Some(Timestamp(panes.pane(at.millis()))),
            Shape::Sliding(_) | Shape::Session(_) => None,
        };
        // One buffer for all suffixes, and where each ends.
        let (mut all, mut ends, mut suffix) = (Vec::new(), Vec::new(), Vec::new());
        for (key, at) in records {
            let Some(pane) = pane(at) else { return Ok(()) };
            layout::fixed(tag::DATA, pane, key, &mut suffix);
            all.extend_from_slice(&suffix);
            ends.push(all.len());
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let suffixes = starts.zip(&ends).map(|(start, end)| &all[start..*end]);
        state.prefetch(self.core.store, suffixes)
    }

    /// The window that a record of this time fell in; of several the one that began first, of sliding ones the one that
    /// ends with it.
    ///
    /// # Errors
    /// What the disk says, or why its parts cannot be merged.
    pub fn current(
        &mut self,
        state: &TaskState,
        key: &[u8],
        at: Timestamp,
    ) -> Result<Option<Window>, Error> {
        let windows = match self.shape {
            Shape::Fixed(panes) => {
                let (first, last) = self.open(panes, at);
                if first > last {
                    return Ok(None);
                }
                panes.look(&self.core, state, key, first, first)?
            }
            Shape::Sliding(sliding) => {
                let start = (at.millis() - sliding.difference).max(0);
                let end = start + sliding.difference;
                let span = sliding.spans().get(&self.core, state, key, start, end)?;
                span.map(|span| span.change(key)).into_iter().collect()
            }
            Shape::Whole | Shape::Session(_) => return Ok(self.windows(state, key, at)?.pop()),
        };
        Ok(windows.into_iter().next().and_then(Change::into_window))
    }

    /// The windows that a record of this time fell in, by start.
    ///
    /// # Errors
    /// What the disk says, or why their parts cannot be merged.
    pub fn windows(
        &mut self,
        state: &TaskState,
        key: &[u8],
        at: Timestamp,
    ) -> Result<Vec<Window>, Error> {
        let windows = match self.shape {
            Shape::Whole => whole::get(&self.core, state, key)?.into_iter().collect(),
            Shape::Fixed(panes) => {
                let (first, last) = self.open(panes, at);
                if first > last {
                    return Ok(Vec::new());
                }
                panes.look(&self.core, state, key, first, last)?
            }
            Shape::Sliding(sliding) => sliding.around(&self.core, state, key, at.millis())?,
            Shape::Session(session) => {
                session.around(&self.core, state, key, at.millis())?.into_iter().collect()
            }
        };
        Ok(windows.into_iter().filter_map(Change::into_window).collect())
    }

    /// The first and the last of the windows of a time that are not closed.
    fn open(&self, panes: Panes, at: Timestamp) -> (i64, i64) {
        let time = self.core.time.get().copied().unwrap_or(at);
        let open = panes.first_open(Panes::closed_at(&self.core, time));
        (open.max(panes.first(at.millis())), panes.last(at.millis()))
    }

    /// A turn begins.
    pub fn begin(&mut self) {
        let core = &mut self.core;
        core.time.begin();
        core.sent.begin();
        core.marks.begin();
        core.newest.begin();
        core.round.begin();
        core.fired.begin(core.marks.is_empty());
        core.updates.clear();
        core.late.clear();
    }

    /// Undoes what rows from `rows` on did to what is in memory.
    pub fn keep(&mut self, rows: u32) {
        let core = &mut self.core;
        core.time.keep(rows);
        if core.sent.keep(rows) {
            core.next_close = None;
        }
        core.marks.keep(rows);
        core.fired.keep(rows);
        core.newest.keep(rows);
        core.round.keep(rows);
        core.updates.retain(|(row, _)| *row < rows);
        core.late.retain(|(row, _)| *row < rows);
    }

    /// What is not committed is dropped; it goes on from `progress`, or from the beginning.
    pub fn abort(&mut self, progress: Option<&NodeProgress>) {
        let (store, spec) = (self.core.store, self.core.spec.clone());
        self.core = Core::new(store, &spec);
        if let Some(progress) = progress {
            self.resume(progress);
        }
    }

    /// How far it has come; the name is for somebody else to fill in.
    pub fn progress(&self) -> NodeProgress {
        let mut cursor = self.core.sent.get().cloned().unwrap_or_default();
        // Where a key is too long to be kept, the results of its window come out again rather than get lost.
        if cursor.len() > CURSOR_BYTES_MAX {
            let borders = if matches!(self.shape, Shape::Fixed(_)) { 8 } else { 16 };
            cursor.truncate(borders);
        }
        NodeProgress { node: "".into(), time: self.time(), cursor }
    }

    /// Goes on from there.
    pub fn resume(&mut self, progress: &NodeProgress) {
        self.core.time.set(progress.time);
        self.core.sent.set(Some(progress.cursor.clone()).filter(|cursor| !cursor.is_empty()));
    }

    /// Deletes some of what is older than the retention: of about so many rows. Answers how many went.
    ///
    /// # Errors
    /// What the disk says.
    pub fn expire(&mut self, state: &mut TaskState, budget: usize) -> Result<usize, store::Error> {
        let core = &self.core;
        let time = match core.emit() {
            // What still has to come out is there until it has.
            Some(Emit::Changes { .. }) if !core.marks.is_empty() => None,
            Some(Emit::Every(_)) if core.has_marks(state)? => core.cleared,
            _ => core.time.get().copied(),
        };
        let Some(time) = time else { return Ok(0) };
        let retained = time.millis().saturating_sub(millis(core.spec.retention));
        match self.shape {
            Shape::Whole => Ok(0),
            Shape::Fixed(panes) => panes.expire(core, state, retained, budget),
            Shape::Sliding(sliding) => {
                let used = Sliding::closed_at(core, time) - 2 * sliding.difference;
                sliding.spans().expire(core, state, retained.min(used), budget)
            }
            Shape::Session(session) => {
                let open = session.closed_at(core, time);
                session.spans().expire(core, state, retained.min(open), budget)
            }
        }
    }
}

/// Progress is a record of a changelog.
const CURSOR_BYTES_MAX: usize = 60_000;

impl Change {
    pub(super) fn into_window(self) -> Option<Window> {
        Some(Window { start: self.start, end: self.end, at: self.at, row: self.row? })
    }
}
