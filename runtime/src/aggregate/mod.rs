//! Aggregate stores: what the host computes over windows of records, key by key.
//!
//! A [`Spec`] says which windows, what is computed, and when results come out. An [`Engine`] is that at work in one task,
//! on the rows of an ordered store: records go in with [`Engine::add`], and results come out when they are to. It knows
//! neither topics nor formats nor JSON.
//!
//! Which windows take a record, which record is late, what comes out and in which order is as in Kafka Streams, each
//! update of which is one result here too where each comes out. What differs:
//!
//! | what | here | why |
//! |---|---|---|
//! | results at closing | come out however long nothing came before | Kafka Streams loses those that its store has forgotten by then (KAFKA-12960) |
//! | hopping windows | merged from panes: lists are in the order of panes and in each as records came, sums of floats are rounded in that order | the cost of a record does not grow with the number of its windows |
//! | windows older than the retention | are only for reads: nothing comes to them | a longer retention changes no result |
//! | nulls | are ignored by all but `count()` | as in SQL |
//! | integers | are exact, leaving 64 bits is a fault of the record | a wrong number is none |

mod core;
mod emission;
mod engine;
mod fixed;
mod latest;
mod marks;
mod newest;
mod panes;
mod read;
mod round;
mod session;
mod sliding;
mod spans;
#[cfg(test)]
mod tests;
mod whole;

use std::sync::Arc;
use std::time::Duration;

pub use self::{
    core::Change,
    emission::{Waiting, Why},
    engine::{Added, Engine, Error, Refused, Window},
    read::{read, scan},
};

/// An aggregate store as declared and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// What is computed.
    pub compute: Arc<tidemill_aggregates::Compute>,
    /// Over which windows; `None`: over all records of a key.
    pub windows: Option<Windows>,
    /// How long after its end a window takes records that come late, in event time.
    pub grace: Duration,
    /// How long a window can be read after it began, in event time; at least its size and grace.
    pub retention: Duration,
    /// When results come out.
    pub emit: Emit,
    /// With all inputs at their end for this long, time goes on by the wall clock, this much behind it; `None`: never.
    pub idle: Option<Duration>,
    /// How the key of a result reads.
    pub key_format: KeyFormat,
}

/// Which windows a record is in. Starts are included; ends are excluded unless said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Windows {
    /// One window of this size, aligned to the epoch.
    Tumbling {
        /// How long it is.
        size: Duration,
    },
    /// A window of this size begins at every multiple of `advance`.
    Hopping {
        /// How long each is.
        size: Duration,
        /// From one to the next; not longer than `size`.
        advance: Duration,
    },
    /// A window for each distinct set of records that are at most this far apart; ends included (KIP-450).
    Sliding {
        /// The furthest apart.
        difference: Duration,
    },
    /// Records that follow one another at most this far apart; ends included.
    Session {
        /// The longest pause.
        gap: Duration,
    },
}

/// When the results of a store come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emit {
    /// After a change: the newest of each key and window at each commit, or each.
    Changes {
        /// Each.
        every_update: bool,
    },
    /// Once, when the window has closed.
    Final,
    /// After a change, and for each key and window at most once in so long, by the wall clock.
    Every(Duration),
}

/// How the key of a result reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyFormat {
    /// As the key of the records; the window is in headers.
    #[default]
    Plain,
    /// As Kafka Streams writes it: the key, then the start of the window in milliseconds, 8 bytes big-endian; of a
    /// session its end, then its start.
    KafkaStreams,
}
