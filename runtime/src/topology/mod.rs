//! What an app is made of, as a graph: from the checked manifest and what its functions say of themselves.
//!
//! A [`Topology`] is cut into sub-topologies: functions that are linked in memory, or that read a common topic, are in
//! one. A task is partition *p* of one sub-topology. All is checked while it is built, so that what runs has no wrong
//! name left. Nothing here touches a broker or a file.

mod build;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

pub use build::{Error, Problem};

use crate::{
    guest::{Binding, Capability, Component, Limits},
    record::TopicPartition,
    store::StoreSpec,
};

/// An app as a graph.
#[derive(Debug, Clone)]
pub struct Topology {
    /// Consumer group, and prefix of the app's own topics.
    pub app: Arc<str>,
    /// In the order of their first function's name.
    pub parts: Vec<Arc<SubTopology>>,
    /// Every topic that something is written to, dead letters included.
    pub outputs: Vec<Arc<str>>,
}

/// Nodes that work together on equal partition numbers of some topics.
#[derive(Debug)]
pub struct SubTopology {
    /// The name of its first function: part of the name of its meta topic.
    pub name: Arc<str>,
    /// The topics read, by name.
    pub inputs: Vec<Input>,
    /// The functions, each behind those that feed it.
    pub nodes: Vec<Node>,
    /// Its stores and tables, and last, where there are stores or timers, the meta store.
    pub stores: Vec<StoreSpec>,
    /// Its timers, as `function.timer`, by number.
    pub timers: Vec<Arc<str>>,
    /// A turn of a task takes so many records at most.
    pub batch_records: usize,
    /// A turn of a task takes so many bytes at most.
    pub batch_bytes: usize,
}

/// A topic that is read.
#[derive(Debug)]
pub struct Input {
    /// Its name.
    pub topic: Arc<str>,
    /// What reads it, in node order.
    pub readers: Vec<Edge>,
    /// Where event time is.
    pub time: EventTime,
}

/// Where event time is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventTime {
    /// The record's timestamp.
    Record,
    /// A field of the JSON value: milliseconds as a number, or RFC 3339 text.
    Json(String),
    /// A header: milliseconds in decimal, or RFC 3339 text.
    Header(String),
}

/// The way into a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// Index into [`SubTopology::nodes`].
    pub node: usize,
    /// Index into the sources of the function's description.
    pub source: u16,
}

/// One function of the app.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name in the manifest.
    pub name: Arc<str>,
    /// The code.
    pub component: Component,
    /// Which function of the component.
    pub index: u32,
    /// A JSON object.
    pub config: Arc<str>,
    /// What a call may use.
    pub limits: Limits,
    /// What each slot of the function's description is bound to, of those that are state, tables or timers.
    pub bindings: Arc<[Option<Binding>]>,
    /// What is granted.
    pub allow: Vec<Capability>,
    /// Only records whose JSON has these fields enter.
    pub filter: BTreeMap<String, serde_json::Value>,
    /// Where each output goes, by its index among the function's outputs.
    pub outputs: Vec<Output>,
    /// Its dead-letter topic: index into [`Topology::outputs`].
    pub dead_letters: usize,
    /// What follows a failure.
    pub on_failure: OnFailure,
}

/// One output of a function.
#[derive(Debug, Clone)]
pub struct Output {
    /// The name in code.
    pub name: Arc<str>,
    /// A topic: index into [`Topology::outputs`].
    pub topic: Option<usize>,
    /// Functions that take it in memory.
    pub edges: Vec<Edge>,
}

/// What follows a failure that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnFailure {
    /// After so many further tries the record goes to the dead letters; `None`: never.
    pub retries: Option<u32>,
    /// The wait before the first further try; doubled each time.
    pub backoff: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
}

impl OnFailure {
    /// The wait before a record that failed `attempts` times is tried again.
    pub fn wait(&self, attempts: u32) -> Duration {
        self.backoff.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(self.backoff_max)
    }
}

impl Topology {
    /// The topics read.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<str>> {
        self.parts.iter().flat_map(|part| part.inputs.iter().map(|input| &input.topic))
    }

    /// All functions.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.parts.iter().flat_map(|part| &part.nodes)
    }

    /// Which sub-topology reads a topic, and as which of its inputs.
    pub fn reader(&self, topic: &str) -> Option<(usize, usize)> {
        self.parts.iter().enumerate().find_map(|(part, sub)| {
            let input = sub.inputs.iter().position(|input| &*input.topic == topic)?;
            Some((part, input))
        })
    }

    /// Whether tasks of `other` can go on with what this one began: the same inputs in the same parts.
    pub fn reads_as(&self, other: &Topology) -> bool {
        let inputs = |topology: &Topology| -> Vec<Vec<Arc<str>>> {
            let topics = |part: &Arc<SubTopology>| {
                part.inputs.iter().map(|input| Arc::clone(&input.topic)).collect()
            };
            topology.parts.iter().map(topics).collect()
        };
        self.app == other.app && inputs(self) == inputs(other) && self.outputs == other.outputs
    }
}

/// The name of a function's dead-letter topic.
pub fn dead_letter_topic(app: &str, function: &str) -> String {
    format!("{app}.{function}.dlq")
}

/// Where a task's inputs are.
impl SubTopology {
    /// The partitions a task reads.
    pub fn partitions(&self, partition: u32) -> impl Iterator<Item = TopicPartition> {
        self.inputs
            .iter()
            .map(move |input| TopicPartition::new(Arc::clone(&input.topic), partition))
    }
}
