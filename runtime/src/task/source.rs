//! What a row of a turn is: a record of an input, or a timer that fired.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::record::{Offset, Timestamp};

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
}

impl Source {
    pub(super) fn timer(timer: u16, due: Timestamp, key: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        Source::Timer { timer, due, key: hasher.finish() }
    }

    /// Which input it came from, where it is a record.
    pub fn input(&self) -> Option<usize> {
        match self {
            Source::Record { input, .. } => Some(*input),
            Source::Timer { .. } => None,
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
}
