//! Where a task's timers begin that are still of interest.

use super::{keys::BY_DUE, layer::Layer};
use crate::record::Timestamp;

/// Where the timers begin that are of interest, so that what fired is not walked over again and again: in RocksDB a
/// deleted row costs a step until it is compacted away. All are suffixes in the order of time, and lower bounds.
#[derive(Debug, Default)]
pub(super) struct Front {
    /// No row lies before it.
    pub(super) floor: Vec<u8>,
    /// The overlay has a say about every row before it.
    pub(super) rows: Vec<u8>,
    /// The first row that the overlay has no say about, once looked for; `None` where there is none.
    pub(super) first: Option<Option<Timestamp>>,
    /// The timer of that row: what follows the kind in its name's suffix.
    pub(super) first_name: Vec<u8>,
    /// The open layer has a say about every timer of the sealed one before it.
    pub(super) sealed: Vec<u8>,
}

impl Front {
    /// The open layer now has a say about a timer.
    pub(super) fn touched(&mut self, by_name: &[u8]) {
        if self.first.is_some() && self.first_name == by_name[1..] {
            self.first = None;
        }
    }

    /// The overlay lost some of its say.
    pub(super) fn undone(&mut self) {
        self.rows.clear();
        self.first = None;
        self.sealed.clear();
    }

    /// The open layer became the sealed one.
    pub(super) fn sealed(&mut self) {
        self.sealed.clear();
    }

    /// What is sealed became rows.
    pub(super) fn committed(&mut self, meta: Option<&Layer>) {
        let timers = meta.and_then(|layer| layer.range(&[BY_DUE], &[BY_DUE + 1]).next());
        if let Some((first, _)) = timers
            && *first < *self.floor
        {
            self.floor = first.to_vec();
        }
        self.undone();
    }

    /// Where the rows of interest begin.
    pub(super) fn rows_from(&self) -> Vec<u8> {
        let from = if self.rows.is_empty() { &self.floor } else { &self.rows };
        if from.is_empty() { vec![BY_DUE] } else { from.clone() }
    }

    /// Where the sealed timers of interest begin.
    pub(super) fn sealed_from(&self) -> Vec<u8> {
        if self.sealed.is_empty() { vec![BY_DUE] } else { self.sealed.clone() }
    }
}
