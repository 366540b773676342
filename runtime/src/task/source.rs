//! What a row of a turn is: a record of an input, a timer that fired, or a result of a node that comes out.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::{
    operator,
    record::{Offset, Timestamp},
};

/// What a row of a turn is known by, also after the task was made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A record.
    Record {
        /// Index into the sub-topology's inputs.
        input: usize,
        /// Where it is.
        offset: Offset,
    },
    /// A timer that fired.
    Timer {
        /// Index into the sub-topology's timers.
        timer: u16,
        /// When it was due.
        due: Timestamp,
        /// A hash of its key.
        key: u64,
    },
    /// A result that a node sends out by itself.
    Result {
        /// Index into the sub-topology's nodes.
        node: usize,
        /// Its event time.
        at: Timestamp,
        /// A hash of what it is known by.
        key: u64,
    },
}

impl Source {
    pub(super) fn timer(timer: u16, due: Timestamp, key: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        Source::Timer { timer, due, key: hasher.finish() }
    }

    pub(super) fn result(node: usize, due: &operator::Due) -> Self {
        let mut hasher = DefaultHasher::new();
        (&due.key, &due.mark).hash(&mut hasher);
        Source::Result { node, at: due.at, key: hasher.finish() }
    }

    /// Which input it came from, where it is a record.
    pub fn input(&self) -> Option<usize> {
        match self {
            Source::Record { input, .. } => Some(*input),
            Source::Timer { .. } | Source::Result { .. } => None,
        }
    }
}

/// Where a row comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// This input.
    Input(usize),
    /// This timer.
    Timer(u16),
    /// A result of this node.
    Result(usize),
}
