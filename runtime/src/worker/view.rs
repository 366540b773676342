//! What an observer sees: one view per source record, timer or result of a step, with its effects.

use std::time::Duration;

use crate::{
    record::{Offset, Partition, Record, TopicPartition},
    task::{Reason, Verdict},
};

/// Watches an app at work. Called on the worker's thread between two batches, so it must be quick.
pub trait Observer: Send + Sync {
    /// A source record was handled, or failed.
    fn observe(&self, view: &View<'_>);
}

/// A source record and what came of it.
#[derive(Debug)]
pub struct View<'a> {
    /// Where it came from.
    pub source: TopicPartition,
    /// The record; its timestamp is its event time.
    pub record: Record<'a>,
    /// What was produced because of it, in order; the dead letter, if any, is not among them.
    pub outputs: Vec<Produced<'a>>,
    /// What came too late for a step of the app because of it, and was left out there.
    pub late: Vec<Late<'a>>,
    /// Set where it failed.
    pub failure: Option<Failure<'a>>,
    /// Functions that ran, and their share of the time of the batch.
    pub functions: Vec<(&'a str, Duration)>,
}

/// A record that came too late.
#[derive(Debug)]
pub struct Late<'a> {
    /// For which store, or join.
    pub node: &'a str,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
}

/// A record that was produced.
#[derive(Debug)]
pub struct Produced<'a> {
    /// Where it went.
    pub topic: &'a str,
    /// Which partition.
    pub partition: Partition,
    /// Absent where the broker did not tell.
    pub offset: Option<Offset>,
    /// What was sent; its offset is that of the source record.
    pub record: Record<'a>,
}

/// Why a record was not handled, and what follows.
#[derive(Debug)]
pub struct Failure<'a> {
    /// The function that failed.
    pub function: &'a str,
    /// How often, this time included.
    pub attempts: u32,
    /// Why.
    pub reason: &'a Reason,
    /// What follows.
    pub verdict: Verdict,
    /// Where the dead letter went.
    pub dead_letter: Option<Produced<'a>>,
}
