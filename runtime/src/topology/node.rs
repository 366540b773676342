//! What a node does.

use std::{sync::Arc, time::Duration};

use super::{Expr, Format, KeyFrom, Layout, OnFailure, Output, Predicate};
use crate::guest::{Binding, Capability, Component, Limits};

/// One step of the app.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name in the manifest.
    pub name: Arc<str>,
    /// What it does.
    pub work: Work,
    /// Only records for which this is true enter, and those that it cannot be asked of.
    pub filter: Option<Predicate>,
    /// Where what it hands on goes. Of a function by the index among its outputs, of others see [`Work`].
    pub outputs: Vec<Output>,
    /// Its dead-letter topic, where it can fail on a record: index into [`Topology::outputs`](super::Topology::outputs).
    pub dead_letters: Option<usize>,
    /// What follows a failure.
    pub on_failure: OnFailure,
}

/// What a node does.
#[derive(Debug, Clone)]
pub enum Work {
    /// A function of the user's.
    Function(FunctionNode),
    /// Feeds an aggregate store, or lets out what functions feed it. Output 0: results; output 1: late records.
    Aggregate(AggregateNode),
    /// Joins what comes to source 0, the left side, with the right one. Output 0: joined rows; of two streams also 1 and
    /// 2: late records of the left and of the right side.
    Join(JoinNode),
    /// Sends records on under another key. Output 0: to a repartition topic.
    Rekey(RekeyNode),
    /// Lets some records through. Output 0: those.
    Filter(FilterNode),
    /// Makes values of columns of others. Output 0: those.
    Project(ProjectNode),
}

/// A function of the user's.
#[derive(Debug, Clone)]
pub struct FunctionNode {
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
}

/// An aggregate store at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateNode {
    /// Index into [`SubTopology::stores`](super::SubTopology::stores).
    pub store: usize,
    /// What is read from records that come to the node; `None`: functions feed the store.
    pub feed: Option<Feed>,
    /// How the value of a result is written: JSON has all columns, other formats are the only one.
    pub value: Format,
}

/// What an aggregate store is fed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// How values are written.
    pub format: Format,
    /// The columns that are read, in the order of what is computed from them.
    pub columns: Vec<String>,
}

/// A join at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinNode {
    /// Which rows come out where one side is missing.
    pub kind: JoinKind,
    /// What is joined with what.
    pub pair: Pair,
}

/// Which rows of a join come out where one side is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinKind {
    /// None.
    Inner,
    /// Those of the left side.
    Left,
    /// Those of the right side.
    Right,
    /// Both.
    Full,
}

/// What is joined with what. Stores are indices into [`SubTopology::stores`](super::SubTopology::stores).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pair {
    /// Records of a stream with the rows of a table that is cut as the stream is: by the record's key.
    StreamTable {
        /// A table that the task follows.
        table: usize,
    },
    /// Records of a stream with the rows of a table that is complete on every host.
    StreamBroadcast {
        /// The table.
        table: usize,
        /// Where the row's key is.
        key: KeyFrom,
    },
    /// Records of two streams that are close in time: those of the right side from `before` a record of the left one
    /// to `after` it, both included.
    StreamStream {
        /// What keeps the records of both sides.
        store: usize,
        /// How long before.
        before: Duration,
        /// How long after.
        after: Duration,
        /// How long after its end a window takes records that come late.
        grace: Duration,
        /// As in [`Spec::idle`](crate::aggregate::Spec::idle).
        idle: Option<Duration>,
    },
    /// Rows of two tables: every change of either comes out as a row.
    TableTable {
        /// The rows of the left one.
        left: usize,
        /// The rows of the right one.
        right: usize,
    },
}

/// Lets some records through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterNode {
    /// Which; `None`: all.
    pub predicate: Option<Predicate>,
}

/// Makes a value of columns of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectNode {
    /// How the other one is written.
    pub from: Layout,
    /// The new columns, in order.
    pub columns: Vec<(String, Expr)>,
    /// How the new value is written: JSON has all columns, other formats are one.
    pub value: Format,
}

/// Sends records on under another key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RekeyNode {
    /// Where the new key comes from.
    pub by: KeyFrom,
}

impl Node {
    /// The function it is, where it is one.
    pub fn function(&self) -> Option<&FunctionNode> {
        match &self.work {
            Work::Function(function) => Some(function),
            _ => None,
        }
    }

    /// What its slots are bound to; nothing where it is no function.
    pub fn bindings(&self) -> &[Option<Binding>] {
        self.function().map_or(&[], |function| &function.bindings)
    }

    /// The stores, tables and timers of the sub-topology that it writes or looks into.
    pub fn state(&self) -> impl Iterator<Item = Binding> {
        let own: Vec<Binding> = match &self.work {
            Work::Function(function) => function.bindings.iter().flatten().copied().collect(),
            Work::Aggregate(aggregate) => vec![Binding::Store(aggregate.store)],
            Work::Join(join) => match join.pair {
                Pair::StreamTable { table } | Pair::StreamBroadcast { table, .. } => {
                    vec![Binding::Table(table)]
                }
                Pair::StreamStream { store, .. } => vec![Binding::Store(store)],
                Pair::TableTable { left, right } => {
                    vec![Binding::Store(left), Binding::Store(right)]
                }
            },
            Work::Rekey(_) | Work::Filter(_) | Work::Project(_) => Vec::new(),
        };
        own.into_iter()
    }
}
