//! The steps of a graph as they are declared.

use std::{sync::Arc, time::Duration};

use tidemill_aggregates::Type;

use super::What;
use crate::{
    aggregate::Spec,
    guest::{Capability, Component, Limits, Slot},
    topology::{EventTime, Expr, Format, JoinKind, KeyFrom, OnFailure},
};

/// What a step hands on: further steps take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream(pub(super) usize);

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lookup(pub(super) usize);

/// A topic that is read.
#[derive(Debug, Clone)]
pub struct Source {
    pub(super) topic: Arc<str>,
    pub(super) key: Option<Format>,
    pub(super) value: Option<Format>,
    pub(super) columns: Option<Vec<(String, Type)>>,
    pub(super) time: EventTime,
    pub(super) late: Option<Arc<str>>,
    /// Set where it is the app's own, with the number of its partitions if that is said.
    pub(super) repartition: Option<Option<u32>>,
    /// Whether all who declared it said the same.
    pub(super) agrees: bool,
}

impl Source {
    /// A topic of which nothing is known: functions take what comes, and no column can be read.
    pub fn new(topic: &str) -> Source {
        Source {
            topic: topic.into(),
            key: None,
            value: None,
            columns: None,
            time: EventTime::Record,
            late: None,
            repartition: None,
            agrees: true,
        }
    }

    /// How keys are written.
    #[must_use]
    pub fn key(mut self, format: Format) -> Source {
        self.key = Some(format);
        self
    }

    /// How values are written.
    #[must_use]
    pub fn value(mut self, format: Format) -> Source {
        self.value = Some(format);
        self
    }

    /// All columns that values have, with their types. Where it is not said, JSON may have any.
    #[must_use]
    pub fn columns(mut self, columns: Vec<(String, Type)>) -> Source {
        self.columns = Some(columns);
        self
    }

    /// Where event time is; in the record's timestamp where it is not said.
    #[must_use]
    pub fn time(mut self, time: EventTime) -> Source {
        self.time = time;
        self
    }

    /// Where records go that come too late for a window.
    #[must_use]
    pub fn late(mut self, topic: &str) -> Source {
        self.late = Some(topic.into());
        self
    }

    pub(super) fn is_like(&self, other: &Source) -> bool {
        (self.key, self.value, &self.columns, &self.time)
            == (other.key, other.value, &other.columns, &other.time)
    }
}

/// A compacted topic as a table.
#[derive(Debug, Clone)]
pub struct Table {
    pub(super) name: String,
    pub(super) topic: Arc<str>,
    pub(super) key: Option<Format>,
    pub(super) value: Option<Format>,
    pub(super) columns: Option<Vec<(String, Type)>>,
    pub(super) time: EventTime,
    pub(super) broadcast: bool,
}

impl Table {
    /// A table that is cut as the streams that look into it.
    pub fn new(name: &str, topic: &str) -> Table {
        Table {
            name: name.to_owned(),
            topic: topic.into(),
            key: None,
            value: None,
            columns: None,
            time: EventTime::Record,
            broadcast: false,
        }
    }

    /// How keys are written.
    #[must_use]
    pub fn key(mut self, format: Format) -> Table {
        self.key = Some(format);
        self
    }

    /// How rows are written.
    #[must_use]
    pub fn value(mut self, format: Format) -> Table {
        self.value = Some(format);
        self
    }

    /// All columns that rows have, with their types.
    #[must_use]
    pub fn columns(mut self, columns: Vec<(String, Type)>) -> Table {
        self.columns = Some(columns);
        self
    }

    /// Where event time is, where its changes are joined.
    #[must_use]
    pub fn time(mut self, time: EventTime) -> Table {
        self.time = time;
        self
    }

    /// Every host holds all of it.
    #[must_use]
    pub fn broadcast(mut self) -> Table {
        self.broadcast = true;
        self
    }
}

/// A function of the user's. Its slots are bound by their names: to stores, aggregates and tables of the graph.
#[derive(Debug, Clone)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The code.
    pub component: Component,
    /// Which function of the component.
    pub index: u32,
    /// What it takes, with the index into its sources.
    pub inputs: Vec<(u16, Stream)>,
    /// Only records for which this is true enter, and those that it cannot be asked of.
    pub filter: Option<Expr>,
    /// A JSON object.
    pub config: Arc<str>,
    /// What a call may use.
    pub limits: Limits,
    /// What is granted.
    pub allow: Vec<Capability>,
    /// What follows a failure.
    pub on_failure: OnFailure,
    /// So many records are handled in one turn at most.
    pub batch_records: usize,
    /// So many bytes are handled in one turn at most.
    pub batch_bytes: usize,
}

impl Function {
    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        let description = self.component.descriptions().get(self.index as usize);
        description.into_iter().flat_map(|description| &description.slots)
    }
}

/// One side of a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Records, or the rows of another join.
    Stream(Stream),
    /// The rows of a table.
    Table(Lookup),
}

impl From<Stream> for Side {
    fn from(stream: Stream) -> Side {
        Side::Stream(stream)
    }
}

impl From<Lookup> for Side {
    fn from(table: Lookup) -> Side {
        Side::Table(table)
    }
}

/// A join.
#[derive(Debug, Clone)]
pub struct Join {
    pub(super) name: String,
    pub(super) left: Side,
    pub(super) right: Side,
    pub(super) kind: JoinKind,
    pub(super) joined: Joined,
}

/// What is joined with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Joined {
    Table,
    Broadcast(KeyFrom),
    Streams { before: Duration, after: Duration, grace: Duration, idle: Option<Duration> },
    Tables,
}

impl Join {
    /// Records with the rows of a table, by the record's key.
    pub fn table(name: &str, left: Stream, right: Lookup, kind: JoinKind) -> Join {
        Join::new(name, left.into(), right.into(), kind, Joined::Table)
    }

    /// Records with the rows of a table that is on every host, by a key that the record names.
    pub fn broadcast(
        name: &str,
        left: Stream,
        right: Lookup,
        kind: JoinKind,
        key: KeyFrom,
    ) -> Join {
        Join::new(name, left.into(), right.into(), kind, Joined::Broadcast(key))
    }

    /// Records of two streams: those of the right side from `before` a record of the left one to `after` it, both
    /// included.
    pub fn streams(
        name: &str,
        left: Stream,
        right: Stream,
        kind: JoinKind,
        before: Duration,
        after: Duration,
    ) -> Join {
        let joined = Joined::Streams { before, after, grace: Duration::ZERO, idle: None };
        Join::new(name, left.into(), right.into(), kind, joined)
    }

    /// Rows of two tables; of a join of two tables the rows are a table again.
    pub fn tables(
        name: &str,
        left: impl Into<Side>,
        right: impl Into<Side>,
        kind: JoinKind,
    ) -> Join {
        Join::new(name, left.into(), right.into(), kind, Joined::Tables)
    }

    fn new(name: &str, left: Side, right: Side, kind: JoinKind, joined: Joined) -> Join {
        Join { name: name.to_owned(), left, right, kind, joined }
    }

    /// How long after its end a window of two streams takes records that come late.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Join {
        if let Joined::Streams { grace: ours, .. } = &mut self.joined {
            *ours = grace;
        }
        self
    }

    /// As in [`Spec::idle`], for two streams.
    #[must_use]
    pub fn idle(mut self, idle: Option<Duration>) -> Join {
        if let Joined::Streams { idle: ours, .. } = &mut self.joined {
            *ours = idle;
        }
        self
    }
}

/// An aggregate store.
#[derive(Debug, Clone)]
pub struct Aggregate {
    pub(super) name: String,
    pub(super) spec: Spec,
    pub(super) from: Option<Stream>,
    pub(super) filter: Option<Expr>,
    pub(super) value: Format,
}

impl Aggregate {
    /// A store that functions feed, by its name.
    pub fn new(name: &str, spec: Spec) -> Aggregate {
        Aggregate { name: name.to_owned(), spec, from: None, filter: None, value: Format::Json }
    }

    /// Fed by the columns of records.
    #[must_use]
    pub fn from(mut self, from: Stream) -> Aggregate {
        self.from = Some(from);
        self
    }

    /// Fed only by those records for which this is true.
    #[must_use]
    pub fn filter(mut self, filter: Expr) -> Aggregate {
        self.filter = Some(filter);
        self
    }

    /// How the value of a result is written: JSON has all columns, other formats are the only one.
    #[must_use]
    pub fn value(mut self, format: Format) -> Aggregate {
        self.value = format;
        self
    }
}

/// Makes a value of columns of another.
#[derive(Debug, Clone)]
pub struct Projection {
    pub(super) name: String,
    pub(super) input: Stream,
    pub(super) columns: Vec<(String, Expr)>,
    pub(super) value: Format,
}

impl Projection {
    /// A JSON object of these columns.
    pub fn new<N: Into<String>>(
        name: &str,
        input: Stream,
        columns: impl IntoIterator<Item = (N, Expr)>,
    ) -> Projection {
        let columns = columns.into_iter().map(|(name, expr)| (name.into(), expr)).collect();
        Projection { name: name.to_owned(), input, columns, value: Format::Json }
    }

    /// How the value is written: JSON has all columns, other formats are the only one.
    #[must_use]
    pub fn value(mut self, format: Format) -> Projection {
        self.value = format;
        self
    }
}

/// Sends records on under another key.
#[derive(Debug, Clone)]
pub struct Rekey {
    pub(super) name: String,
    pub(super) input: Stream,
    pub(super) by: KeyFrom,
    pub(super) topic: Option<String>,
    pub(super) partitions: Option<u32>,
}

impl Rekey {
    /// Through the topic `<app>.<name>.repartition`.
    pub fn new(name: &str, input: Stream, by: KeyFrom) -> Rekey {
        Rekey { name: name.to_owned(), input, by, topic: None, partitions: None }
    }

    /// Through this topic.
    #[must_use]
    pub fn topic(mut self, topic: &str) -> Rekey {
        self.topic = Some(topic.to_owned());
        self
    }

    /// Into so many partitions; else as many as what it is joined with, or as its input has.
    #[must_use]
    pub fn partitions(mut self, partitions: u32) -> Rekey {
        self.partitions = Some(partitions);
        self
    }
}

/// A step.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Source(Source),
    Function(Box<Function>),
    Join(Join),
    Aggregate(Box<Aggregate>),
    /// With its topic.
    Rekey(Rekey, Arc<str>),
    Filter {
        name: String,
        predicate: Option<Expr>,
    },
    Project(Projection),
}

impl Step {
    pub(super) fn name(&self) -> &str {
        match self {
            Step::Source(source) => &source.topic,
            Step::Function(function) => &function.name,
            Step::Join(join) => &join.name,
            Step::Aggregate(aggregate) => &aggregate.name,
            Step::Rekey(rekey, _) => &rekey.name,
            Step::Filter { name, .. } => name,
            Step::Project(projection) => &projection.name,
        }
    }

    pub(super) fn what(&self) -> What {
        match self {
            Step::Source(_) => What::Topic,
            Step::Function(_) => What::Function,
            Step::Join(_) => What::Join,
            Step::Aggregate(_) => What::Store,
            Step::Rekey(..) => What::Rekey,
            Step::Filter { .. } => What::Filter,
            Step::Project(_) => What::Projection,
        }
    }
}
