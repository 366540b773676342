//! What an app is made of, as a graph.
//!
//! A [`Topology`] is what the [`Builder`] makes of declared steps. It is cut into sub-topologies: steps that are linked
//! in memory, that read a common topic, or that share a store are in one; re-keying cuts. A task is partition *p* of one
//! sub-topology. All is checked when it is built, so that what runs has no wrong name left. Nothing here knows a file or
//! a language, assumes that a value is JSON, or touches a broker.

mod builder;
pub mod codec;
mod cycle;
mod expr;
mod format;
mod key;
mod node;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

pub use builder::{
    Aggregate, Builder, Function, Invalid, Join, Lookup, Problem, Projection, Rekey, Side, Source,
    Stream, Table, What,
};
pub use codec::Codecs;
pub(crate) use cycle::way_back;
pub use expr::{Comparison, Expr, Predicate};
pub use format::{Format, Layout, VALUE};
pub use key::KeyFrom;
pub use node::{
    AggregateNode, Feed, FilterNode, FunctionNode, JoinKind, JoinNode, Node, Pair, ProjectNode,
    RekeyNode, Work,
};

use crate::{
    aggregate,
    guest::{Binding, Role},
    record::TopicPartition,
    store::{Kind, StoreSpec},
};

/// An app as a graph.
#[derive(Debug, Clone)]
pub struct Topology {
    /// Consumer group, and prefix of the app's own topics.
    pub app: Arc<str>,
    /// By name.
    pub parts: Vec<Arc<SubTopology>>,
    /// Every topic that something is written to, dead letters included.
    pub outputs: Vec<Arc<str>>,
    /// The app's own topics through which records go on under another key.
    pub repartitions: Vec<Repartition>,
}

/// A topic of the app's own through which records go on under another key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repartition {
    /// Its name.
    pub topic: Arc<str>,
    /// How many partitions it is to have; `None`: as its readers need it.
    pub partitions: Option<u32>,
}

/// Nodes that work together on equal partition numbers of some topics.
#[derive(Debug)]
pub struct SubTopology {
    /// The name of its first node that has state, else of its first node, as code spells it: part of the name of its
    /// meta topic.
    pub name: Arc<str>,
    /// The topics read, by name.
    pub inputs: Vec<Input>,
    /// The nodes, each behind those that feed it.
    pub nodes: Vec<Node>,
    /// What is computed in its stores, by index of those that are aggregates.
    pub aggregates: BTreeMap<usize, Arc<aggregate::Spec>>,
    /// Its stores and tables, and last, where there are stores or timers, the meta store.
    pub stores: Vec<StoreSpec>,
    /// Its timers, as `function.timer`, by number; both as code spells them.
    pub timers: Vec<Arc<str>>,
    /// A turn of a task takes so many records at most.
    pub batch_records: usize,
    /// A turn of a task takes so many bytes at most.
    pub batch_bytes: usize,
    /// A record whose time is further ahead of the wall clock is rejected.
    pub max_ahead: Duration,
}

/// A store or table, and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreAt<'a> {
    /// Index into [`Topology::parts`].
    pub part: usize,
    /// Index into [`SubTopology::stores`].
    pub store: usize,
    /// What it is.
    pub spec: &'a StoreSpec,
}

/// The topic of a store or table as the broker has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreTopic {
    /// Tells it from an earlier or later one of the same name.
    pub id: String,
    /// How many partitions it has.
    pub partitions: u32,
    /// Bytes of key and value at most.
    pub record_bytes_max: usize,
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

/// The way into a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// Index into [`SubTopology::nodes`].
    pub node: usize,
    /// Index into the sources of the function's description; of a join 0 is left and 1 is right.
    pub source: u16,
}

/// One output of a node.
#[derive(Debug, Clone)]
pub struct Output {
    /// The name in code.
    pub name: Arc<str>,
    /// A topic: index into [`Topology::outputs`].
    pub topic: Option<usize>,
    /// Nodes that take it in memory.
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

impl Default for OnFailure {
    fn default() -> Self {
        OnFailure {
            retries: None,
            backoff: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
        }
    }
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

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.parts.iter().flat_map(|part| &part.nodes)
    }

    /// All stores that have a changelog, the meta stores among them.
    pub fn changelogs(&self) -> impl Iterator<Item = StoreAt<'_>> {
        self.stores().filter(|at| at.spec.kind != Kind::Table)
    }

    /// All tables, in each sub-topology that looks into them.
    pub fn tables(&self) -> impl Iterator<Item = StoreAt<'_>> {
        self.stores().filter(|at| at.spec.kind == Kind::Table)
    }

    fn stores(&self) -> impl Iterator<Item = StoreAt<'_>> {
        self.parts.iter().enumerate().flat_map(|(part, sub)| {
            let stores = sub.stores.iter().enumerate();
            stores.map(move |(store, spec)| StoreAt { part, store, spec })
        })
    }

    /// How functions encode what is in a store or table; the name is spelt as in code.
    pub fn codecs(&self, store: &str) -> Option<Codecs> {
        self.parts.iter().find_map(|part| part.codecs(store))
    }

    /// The sub-topologies, each behind those that write what it reads, as far as that goes.
    pub fn in_order(&self) -> Vec<usize> {
        let feeds = |from: &SubTopology, to: &SubTopology| {
            let topics = from.nodes.iter().flat_map(|node| &node.outputs);
            let mut topics = topics.filter_map(|output| Some(&self.outputs[output.topic?]));
            topics.any(|topic| to.inputs.iter().any(|input| input.topic == *topic))
        };
        let mut left: Vec<usize> = (0..self.parts.len()).collect();
        let mut order = Vec::new();
        while !left.is_empty() {
            let waits = |part: usize| {
                left.iter()
                    .any(|other| *other != part && feeds(&self.parts[*other], &self.parts[part]))
            };
            // Where they feed each other, one has to be first.
            let next = left.iter().position(|part| !waits(*part)).unwrap_or(0);
            order.push(left.remove(next));
        }
        order
    }

    /// Which sub-topology reads a topic, and as which of its inputs.
    pub fn reader(&self, topic: &str) -> Option<(usize, usize)> {
        self.parts.iter().enumerate().find_map(|(part, sub)| {
            let input = sub.inputs.iter().position(|input| &*input.topic == topic)?;
            Some((part, input))
        })
    }

    /// Whether tasks of `other` can go on with what this one began: the same parts, with the same inputs, stores,
    /// tables and timers.
    pub fn reads_as(&self, other: &Topology) -> bool {
        let same = |one: &SubTopology, other: &SubTopology| {
            let topics = |part: &SubTopology| -> Vec<Arc<str>> {
                part.inputs.iter().map(|input| Arc::clone(&input.topic)).collect()
            };
            one.name == other.name
                && topics(one) == topics(other)
                && one.stores == other.stores
                && one.aggregates == other.aggregates
                && one.timers == other.timers
        };
        self.app == other.app
            && self.outputs == other.outputs
            && self.parts.len() == other.parts.len()
            && self.parts.iter().zip(&other.parts).all(|(one, other)| same(one, other))
    }
}

/// The name of a function's dead-letter topic.
pub fn dead_letter_topic(app: &str, function: &str) -> String {
    format!("{app}.{function}.dlq")
}

/// The name of a store's changelog topic.
pub fn changelog_topic(app: &str, store: &str) -> String {
    format!("{app}.{store}.changelog")
}

/// The name of the topic through which records are sent on under another key, where it is not said.
pub fn repartition_topic(app: &str, rekey: &str) -> String {
    format!("{app}.{rekey}.repartition")
}

/// Whether a store is used by more than one of these nodes; functions that feed an aggregate are, and the node that
/// lets its results out is not.
fn has_several_writers(nodes: &[Node]) -> bool {
    let mut writers = BTreeMap::new();
    let lets_out = |node: &Node| matches!(&node.work, Work::Aggregate(it) if it.feed.is_none());
    let nodes = nodes.iter().filter(|node| !lets_out(node)).enumerate();
    for (node, binding) in nodes.flat_map(|(at, node)| node.state().map(move |it| (at, it))) {
        if let Binding::Store(store) | Binding::Aggregate(store) = binding
            && *writers.entry(store).or_insert(node) != node
        {
            return true;
        }
    }
    false
}

/// The name of the topic that keeps timers and progress of a sub-topology.
pub fn meta_topic(app: &str, part: &str) -> String {
    format!("{app}.{part}.meta")
}

/// Where a task's inputs are.
impl SubTopology {
    /// How functions encode what is in a store or table.
    pub fn codecs(&self, store: &str) -> Option<Codecs> {
        self.nodes.iter().find_map(|node| {
            let function = node.function()?;
            let slots = &function.component.descriptions().get(function.index as usize)?.slots;
            let bound = function.bindings.iter().zip(slots).find(|(binding, _)| match binding {
                Some(Binding::Store(index) | Binding::Aggregate(index) | Binding::Table(index)) => {
                    *self.stores[*index].name == *store
                }
                Some(Binding::Timer(_)) | None => false,
            });
            bound.map(|(_, slot)| Codecs {
                entry: if slot.role == Role::Map { slot.key.clone() } else { String::new() },
                // Whatever the code calls it, the host counts in 64 bits.
                value: if slot.role == Role::Counter {
                    "i64".to_owned()
                } else {
                    slot.value.clone()
                },
            })
        })
    }

    /// Whether one of its stores is used by several functions, which must then meet its keys in one task.
    pub fn shares_a_store(&self) -> bool {
        has_several_writers(&self.nodes)
    }

    /// The partitions a task reads.
    pub fn partitions(&self, partition: u32) -> impl Iterator<Item = TopicPartition> {
        self.inputs
            .iter()
            .map(move |input| TopicPartition::new(Arc::clone(&input.topic), partition))
    }
}
