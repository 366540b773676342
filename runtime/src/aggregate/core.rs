//! What the engine keeps beside the store, whatever the windows: time, what has come out, what is to; and how rows are
//! read and written.

use std::sync::Arc;

use tidemill_aggregates::{Compute, Row};

use super::{
    Emit, Spec,
    engine::Error,
    latest::Latest,
    marks::{Fired, Marks, Of},
    newest::Newest,
    round::Round,
};
use crate::{
    record::Timestamp,
    store::{self, Ordered, TaskState, layout},
};

/// A result: what is in a window of a key, or was.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Whose.
    pub key: Vec<u8>,
    /// The window's first millisecond.
    pub start: Timestamp,
    /// Where it ends; of sliding windows and sessions itself included.
    pub end: Timestamp,
    /// The result's own time: that of the latest record in it; of a session its end.
    pub at: Timestamp,
    /// What accumulated; `None`: the window is no more, it became part of another one.
    pub row: Option<Row>,
}

impl Change {
    /// What is in a window.
    pub(super) fn of(
        key: &[u8],
        start: Timestamp,
        end: Timestamp,
        at: Timestamp,
        row: Row,
    ) -> Change {
        Change { key: key.to_vec(), start, end, at, row: Some(row) }
    }
}

/// See the module's page.
pub(super) struct Core {
    pub(super) store: usize,
    pub(super) spec: Arc<Spec>,
    /// Nobody wants results.
    pub(super) is_mute: bool,
    /// The largest event time that came.
    pub(super) time: Latest<Timestamp>,
    /// Of `final` results: behind the last one that came out, in the order in which they do.
    pub(super) sent: Latest<Vec<u8>>,
    /// Each update, where each comes out, with the row that made it.
    pub(super) updates: Vec<(u32, Change)>,
    /// Rows whose record was late, and its time.
    pub(super) late: Vec<(u32, Timestamp)>,
    pub(super) marks: Marks,
    /// Whether marks that were written down are among them.
    pub(super) is_loaded: bool,
    /// Of sessions.
    pub(super) newest: Newest,
    /// Windows that came out since there were no marks.
    pub(super) fired: Fired,
    pub(super) round: Round,
    /// Of results that come out at most once in so long: no mark is from when time was less.
    pub(super) cleared: Option<Timestamp>,
    /// When the first `final` result is closed, once known.
    pub(super) next_close: Option<Option<Timestamp>>,
    /// Whether the store is known to have been made for what is declared.
    pub(super) is_checked: bool,
    /// Whether the store has the row that says what it was made for.
    pub(super) is_headed: bool,
    pub(super) suffix: Vec<u8>,
    pub(super) bytes: Vec<u8>,
    pub(super) row: Row,
    /// The time that the row of the core was last written with.
    pub(super) last_written: Timestamp,
}

impl Core {
    pub(super) fn new(store: usize, spec: &Arc<Spec>) -> Core {
        Core {
            store,
            spec: spec.clone(),
            is_mute: false,
            time: Latest::default(),
            sent: Latest::default(),
            updates: Vec::new(),
            late: Vec::new(),
            marks: Marks::default(),
            is_loaded: false,
            newest: Newest::default(),
            fired: Fired::default(),
            round: Round::default(),
            cleared: None,
            next_close: None,
            is_checked: false,
            is_headed: false,
            suffix: Vec::new(),
            bytes: Vec::new(),
            row: spec.compute.init(),
            last_written: Timestamp(0),
        }
    }

    pub(super) fn compute(&self) -> &Compute {
        &self.spec.compute
    }

    /// How late a record may come, in milliseconds.
    pub(super) fn grace(&self) -> i64 {
        millis(self.spec.grace)
    }

    /// Reads the row under the suffix into the row of the core. Answers its time, where there is one.
    #[inline]
    pub(super) fn load(&mut self, state: &TaskState) -> Result<Option<Timestamp>, store::Error> {
        let (compute, row) = (&self.spec.compute, &mut self.row);
        let found = state.ordered_get(self.store, &self.suffix, |at, bytes| {
            compute.decode_into(bytes, row).map(|()| at)
        })?;
        found.transpose().map_err(|why| state.broken_row(self.store, why))
    }

    /// Writes the row of the core under the suffix.
    #[inline]
    pub(super) fn save(&mut self, state: &mut TaskState, row: u32, at: Timestamp) {
        self.bytes.clear();
        self.spec.compute.encode(&self.row, &mut self.bytes);
        state.ordered_put(Some(row), self.store, &self.suffix, at, &self.bytes);
    }

    /// A row by bytes that were read.
    pub(super) fn decode(&self, state: &impl Ordered, bytes: &[u8]) -> Result<Row, store::Error> {
        self.spec.compute.decode(bytes).map_err(|why| state.broken_row(self.store, why))
    }

    /// The row of the core, for good.
    pub(super) fn take_row(&mut self) -> Row {
        std::mem::replace(&mut self.row, self.spec.compute.init())
    }

    /// When results come out, where somebody wants them.
    pub(super) fn emit(&self) -> Option<Emit> {
        (!self.is_mute).then_some(self.spec.emit)
    }

    /// Whether each update comes out.
    pub(super) fn tells_all(&self) -> bool {
        self.emit() == Some(Emit::Changes { every_update: true })
    }

    /// A result changed that is known by `of`. `from`, `is_fresh`: as in [`Mark`](super::marks::Mark).
    pub(super) fn mark(
        &mut self,
        state: &mut TaskState,
        row: u32,
        of: &Of<'_>,
        from: Timestamp,
        is_fresh: bool,
    ) -> Result<(), store::Error> {
        match self.emit() {
            Some(Emit::Changes { .. }) => self.marks.add(Some(row), of, from, is_fresh),
            Some(Emit::Every(_)) => {
                let mut suffix = std::mem::take(&mut self.bytes);
                layout::mark(of.key, of.start, of.end, &mut suffix);
                if state.ordered_get(self.store, &suffix, |_, _| ())?.is_none() {
                    let payload = [u8::from(is_fresh)];
                    state.ordered_put(Some(row), self.store, &suffix, from, &payload);
                }
                self.bytes = suffix;
            }
            Some(Emit::Final) | None => {}
        }
        Ok(())
    }

    /// A window that is known by `of` is no more. What never came out need not be taken back.
    pub(super) fn unmark(
        &mut self,
        state: &mut TaskState,
        row: u32,
        of: &Of<'_>,
    ) -> Result<(), store::Error> {
        match self.emit() {
            Some(Emit::Changes { .. }) => match self.marks.get(of).map(|mark| mark.is_fresh) {
                Some(true) => {
                    if self.marks.remove(row, of) {
                        layout::mark(of.key, of.start, of.end, &mut self.bytes);
                        state.ordered_delete(Some(row), self.store, &self.bytes);
                    }
                }
                Some(false) => {}
                None => self.marks.add(Some(row), of, of.start, false),
            },
            Some(Emit::Every(_)) => {
                let mut suffix = std::mem::take(&mut self.bytes);
                layout::mark(of.key, of.start, of.end, &mut suffix);
                let fresh = state.ordered_get(self.store, &suffix, |_, payload| payload == [1])?;
                match fresh {
                    Some(true) => state.ordered_delete(Some(row), self.store, &suffix),
                    Some(false) => {}
                    None => state.ordered_put(Some(row), self.store, &suffix, of.start, &[0]),
                }
                self.bytes = suffix;
            }
            Some(Emit::Final) | None => {}
        }
        Ok(())
    }

    /// A `final` result closes when time is this: perhaps it is the first.
    pub(super) fn closes_at(&mut self, at: Timestamp) {
        if let Some(next) = &mut self.next_close {
            *next = Some(next.map_or(at, |next| next.min(at)));
        }
    }
}

/// Milliseconds of a duration.
pub(super) fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 8).min(i64::MAX / 8)
}

/// Makes a row more by a record, or says why not.
pub(super) fn add(
    compute: &Compute,
    row: &mut Row,
    arguments: &[tidemill_aggregates::Value],
    at: Timestamp,
) -> Result<(), Error> {
    compute.add(row, arguments, at.millis()).map_err(Error::Fault)
}
