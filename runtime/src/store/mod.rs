//! Stores: the state that the host keeps for functions, in one RocksDB a host.
//!
//! A [`Database`] is that RocksDB. [`TaskState`] is what one task has in it: its stores, tables and timers, under a
//! [`Lease`], and above them the *overlay*: what is written and not committed. Reads see the overlay first. A turn of
//! the task can be undone source record by source record ([`TaskState::keep`]); [`TaskState::seal`] ends a transaction's
//! part of the overlay, whose changed keys are then [`Logged`] records, one a key; [`TaskState::commit`] moves it
//! into a [`Batch`], which [`Database::write`] writes at once.
//!
//! RocksDB's own log is off: the changelog topics are the log, and RocksDB holds a consistent older prefix of them.
//! No topic is read or written here. The only user of rocksdb.

use std::{sync::Arc, time::Duration};

mod buffers;
mod catalog;
mod changelog;
mod committed;
mod database;
mod front;
mod housekeeping;
mod keys;
mod layer;
pub mod layout;
mod lease;
mod maps;
mod marks;
mod notes;
mod options;
mod ordered;
mod overlay;
mod progress;
mod read;
mod restore;
mod state;
mod sweep;
mod tables;
#[cfg(test)]
mod tests;
mod timers;
mod value;
mod values;

pub use buffers::{Buffers, Kept, Name, Segments, Side, Start};
pub use changelog::changelog_record;
pub use committed::Committed;
pub use database::{Batch, Database};
pub use layout::tag;
pub use lease::Lease;
pub use ordered::Ordered;
pub use read::{LiveStore, Page, PageRequest, Row, Stored, TimerRow};
pub use state::TaskState;
pub use tables::TableState;

use crate::record::{Position, Timestamp};

/// What a store holds for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One value.
    Value,
    /// Values by a further key, in byte order of that.
    Map,
    /// One signed 64-bit integer.
    Counter,
    /// A row of a compacted topic; functions only read it.
    Table,
    /// Values by window, its start before the key.
    Window,
    /// Values by key and time: sessions, and what windows slide over.
    Session,
    /// Records of one or both sides of a join, by key and time.
    Join,
    /// Of the sub-topology itself: timers, stream time, input positions.
    Meta,
}

/// A store of a sub-topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSpec {
    /// As in the manifest; `meta` for the sub-topology's own.
    pub name: Arc<str>,
    /// What it holds.
    pub kind: Kind,
    /// How long after its last write, in event time, a value goes.
    pub ttl: Option<Duration>,
    /// A table that is complete on every host, shared by its tasks.
    pub broadcast: bool,
    /// The topic that holds it durably: its changelog, or the table's topic.
    pub topic: Arc<str>,
}

/// Which task a state belongs to, over all apps of the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey {
    /// The app.
    pub app: Arc<str>,
    /// The sub-topology's name.
    pub part: Arc<str>,
    /// The partition number.
    pub partition: u32,
}

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What RocksDB or the disk said.
    #[error("the state in {path} cannot be used: {cause}")]
    Database {
        /// The folder.
        path: String,
        /// Why not.
        cause: String,
    },
    /// Bytes that no version of this program wrote, or a newer one.
    #[error("the state in {path} {what}")]
    Format {
        /// The folder.
        path: String,
        /// Such as `has format 7, this program knows 1: use the program that wrote it, or delete the folder …`.
        what: String,
    },
}

/// How a database is opened.
#[derive(Debug, Clone, Copy)]
pub struct DatabaseSettings {
    /// Block cache and write buffers together, whatever the number of partitions.
    pub memory_bytes: usize,
}

/// What is kept locally of a store partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// The id of the topic it came from.
    pub topic_id: String,
    /// Behind the last record of the topic that is in it.
    pub position: Position,
    /// Wall clock of the last commit into it.
    pub at: Timestamp,
}

/// How far a task has come, kept in its meta store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// The largest event time seen.
    pub stream_time: Option<Timestamp>,
    /// The next record of each input, by topic.
    pub positions: Vec<(Arc<str>, Position)>,
    /// How far its nodes that have a time of their own have come.
    pub nodes: Vec<NodeProgress>,
}

/// How far a node with a time of its own has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeProgress {
    /// The node.
    pub node: Arc<str>,
    /// The largest event time of what came to it.
    pub time: Option<Timestamp>,
    /// Up to where results have come out: the node's own bytes.
    pub cursor: Vec<u8>,
}

/// A record for a changelog topic, in the task's own partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logged<'a> {
    /// Index into the task's stores.
    pub store: usize,
    /// The record's key.
    pub key: &'a [u8],
    /// The record's value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
}

/// A timer that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Index into the task's timers.
    pub timer: u16,
    /// Whose.
    pub key: Vec<u8>,
    /// When.
    pub due: Timestamp,
    /// As it was set.
    pub payload: Vec<u8>,
}

/// An entry of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapEntry {
    /// The further key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

/// Which part of a map.
#[derive(Debug, Clone, Copy, Default)]
pub struct Range<'a> {
    /// From this key on, itself included.
    pub from: Option<&'a [u8]>,
    /// Up to this key, itself excluded.
    pub to: Option<&'a [u8]>,
    /// From the last to the first.
    pub reverse: bool,
    /// Entries at most.
    pub limit: usize,
    /// The entry with which keys and values come to so many bytes is the last.
    pub bytes_max: usize,
}

/// A counter left the range of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the counter is {value} and {delta} more is not in the range of 64 bits")]
pub struct Overflow {
    /// What it is.
    pub value: i64,
    /// What was to be added.
    pub delta: i64,
}
