//! What operators of the host have in common: they take records one after another, and hand on what comes of each.

use std::ops::ControlFlow;

use tidemill_layout::{HeaderPart, Part};

use super::Reason;
use crate::{
    guest::Scope,
    record::{Record, Timestamp},
    store::{self, NodeProgress},
};

/// A record on its way into an operator of the host.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// The row of the turn on whose behalf state is written.
    pub row: u32,
    /// Which way in: of a join 0 is left and 1 is right.
    pub source: u16,
    /// Key, value, headers; the timestamp is its event time.
    pub record: Record<'a>,
}

/// A record that an operator hands on. What is inherited is that of the arrival, or of the [`Due`] result.
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    /// Index into the node's outputs.
    pub output: u16,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Its key.
    pub key: Part<'a>,
    /// Its value.
    pub value: Part<'a>,
    /// Its headers.
    pub headers: HeaderPart<'a>,
    /// Set where it is a result that came out since time went on: not the arrival's doing. A failure behind it is
    /// the result's own.
    pub closing: bool,
}

/// A result that waits to come out: of a window, or an unmatched record of a join. A row of a turn like a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Due {
    /// Its event time.
    pub at: Timestamp,
    /// Its key.
    pub key: Vec<u8>,
    /// What it is known by: the operator's own bytes.
    pub mark: Vec<u8>,
    /// Its window as `start,end` in milliseconds, or what else names it in messages.
    pub name: String,
}

/// Which results are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Those that are closed when the operator's time is this. It goes on with each that is fired, as far as that one
    /// is closed.
    Closed(Timestamp),
    /// Those that changed since they last came out, where changes come out at each commit.
    Changed,
    /// Those that changed and whose pause is over at this wall clock time.
    Paused(Timestamp),
}

/// Where what is handed on goes. `Break` tells the operator to stop; it answers `Ok`.
pub type Out<'a> = dyn FnMut(Sent<'_>) -> ControlFlow<()> + 'a;

/// An operator of the host. State is written on behalf of rows, and what an operator keeps in memory goes the same way:
/// [`begin`](Host::begin) opens a turn, [`keep`](Host::keep) undoes what rows from there on did.
///
/// Where a method answers with a [`Reason`], what the disk says is kept by the scope.
pub trait Host {
    /// A turn begins, at this wall clock time.
    fn begin(&mut self, _now: Timestamp, _scope: &mut Scope) {}

    /// Undoes what rows from here on did to what the operator itself keeps in memory.
    fn keep(&mut self, _rows: u32) {}

    /// What is about to be taken, in its order: a chance to read ahead. Some of it may not be taken after all.
    ///
    /// # Errors
    /// What the disk says.
    fn prefetch(
        &mut self,
        _arrivals: &[Arrival<'_>],
        _scope: &mut Scope,
    ) -> Result<(), store::Error> {
        Ok(())
    }

    /// Takes a record.
    ///
    /// # Errors
    /// Why the record cannot be handled; nothing more is asked in this turn then.
    fn take(
        &mut self,
        arrival: &Arrival<'_>,
        scope: &mut Scope,
        out: &mut Out<'_>,
    ) -> Result<(), Reason>;

    /// Results that wait, in their order, at most so many.
    ///
    /// # Errors
    /// What the disk says.
    fn due(
        &mut self,
        _ask: Ask,
        _scope: &mut Scope,
        _limit: usize,
    ) -> Result<Vec<Due>, store::Error> {
        Ok(Vec::new())
    }

    /// When the first result is closed, in the operator's time, as far as that is known; `None`: there is none.
    ///
    /// # Errors
    /// What the disk says.
    fn next_close(&mut self, _scope: &mut Scope) -> Result<Option<Timestamp>, store::Error> {
        Ok(None)
    }

    /// When the first changed result is over its pause, by the wall clock; `None`: there is none.
    ///
    /// # Errors
    /// What the disk says.
    fn next_pause(&mut self, _scope: &mut Scope) -> Result<Option<Timestamp>, store::Error> {
        Ok(None)
    }

    /// Sends a result that was due, on behalf of a row, and marks it as sent. In messages it reads as the first that is
    /// sent.
    ///
    /// # Errors
    /// Why not.
    fn fire(
        &mut self,
        _row: u32,
        _due: &Due,
        _scope: &mut Scope,
        _out: &mut Out<'_>,
    ) -> Result<(), Reason> {
        Ok(())
    }

    /// Marks a result as sent that is not: it went to the dead letters.
    ///
    /// # Errors
    /// Why not.
    fn skip(&mut self, row: u32, due: &Due, scope: &mut Scope) -> Result<(), Reason> {
        self.fire(row, due, scope, &mut |_| ControlFlow::Continue(()))
    }

    /// Writes down, on behalf of a row, which changes did not come out yet: they are to be found after a restart too.
    /// Asked for only where something keeps [`Ask::Changed`] results from coming out before a commit.
    ///
    /// # Errors
    /// What the disk says.
    fn save_changes(&mut self, _row: u32, _scope: &mut Scope) -> Result<(), store::Error> {
        Ok(())
    }

    /// What functions did to its store on behalf of rows, where they feed it: called once when its node is visited.
    ///
    /// # Errors
    /// Why a row cannot be handled.
    fn collect(
        &mut self,
        _scope: &mut Scope,
        _out: &mut dyn FnMut(u32, Sent<'_>) -> ControlFlow<()>,
    ) -> Result<(), Reason> {
        Ok(())
    }

    /// Deletes some of what is older than its retention, in slices of about so many rows. Answers how many went.
    ///
    /// # Errors
    /// What the disk says.
    fn expire(&mut self, _scope: &mut Scope, _budget: usize) -> Result<usize, store::Error> {
        Ok(0)
    }

    /// How far it has come, to be kept with the state; its name is filled in by the task.
    fn progress(&self, _scope: &Scope) -> Option<NodeProgress> {
        None
    }

    /// Goes on from there.
    fn resume(&mut self, _progress: &NodeProgress, _scope: &mut Scope) {}
}
