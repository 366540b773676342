//! What goes into a task under test and what comes out of it, as plain values.

use crate::record::Timestamp;

/// A header's name and its value or null.
pub type Header = (String, Option<Vec<u8>>);

/// A record to send to a topic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stimulus {
    /// Where it goes; `None`: by its key.
    pub partition: Option<u32>,
    /// When it happened.
    pub timestamp: Timestamp,
    /// `None` is null.
    pub key: Option<Vec<u8>>,
    /// `None` is null.
    pub value: Option<Vec<u8>>,
    /// In order, names may repeat.
    pub headers: Vec<Header>,
}

/// What a task did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A record was sent to a topic.
    Out {
        /// Where to.
        topic: String,
        /// In which partition it landed.
        partition: u32,
        /// Its timestamp.
        timestamp: Timestamp,
        /// `None` is null.
        key: Option<Vec<u8>>,
        /// `None` is null.
        value: Option<Vec<u8>>,
        /// In order, names may repeat.
        headers: Vec<Header>,
    },
    /// A source record went to the dead letters of a function.
    Dead {
        /// The function that failed.
        function: String,
        /// The source record's key.
        key: Option<Vec<u8>>,
        /// The source record's value.
        value: Option<Vec<u8>>,
        /// Such as `reject: value is not JSON: …`.
        reason: String,
    },
    /// A record came too late for a store, or a join.
    Late {
        /// Which.
        store: String,
        /// The record's key.
        key: Option<Vec<u8>>,
        /// The record's value.
        value: Option<Vec<u8>>,
    },
    /// A function asked to be run again, or ran out of time.
    Retry {
        /// Which.
        function: String,
        /// The first is 1.
        attempt: u32,
        /// Why.
        reason: String,
    },
    /// A task stopped at a record until somebody lets it go on.
    Pause {
        /// The function that failed.
        function: String,
        /// Why.
        reason: String,
    },
}
