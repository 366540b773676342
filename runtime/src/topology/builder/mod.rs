//! Builds a [`Topology`] step by step: sources, tables, functions, joins, aggregates, filters, projections, re-keying,
//! sinks.
//!
//! What is added answers a [`Stream`], which further steps take; so a graph in memory has no cycles. Nothing is checked
//! while it is built: [`Builder::build`] tells all that is wrong at once, then cuts the graph into sub-topologies. It
//! knows no file and no language: a manifest is compiled to it, and tests use it directly.
//!
//! A count per key of what comes to a topic, every update of it written to another one, both as Kafka Streams' own
//! serializers write them:
//! ```
//! use std::{sync::Arc, time::Duration};
//! use tidemill::{
//!     aggregate::{Emit, KeyFormat, Spec, Windows},
//!     topology::{Aggregate, Builder, Format, Source},
//! };
//! use tidemill_aggregates::{Aggregate as Function, Compute};
//!
//! let mut app = Builder::new("trial");
//! let clicks = app.source(Source::new("clicks").key(Format::String).value(Format::String));
//! let spec = Spec {
//!     compute: Arc::new(Compute::new([("count", Function::parse("count()")?)])?),
//!     windows: Some(Windows::Tumbling { size: Duration::from_secs(60) }),
//!     grace: Duration::from_secs(10),
//!     retention: Duration::from_secs(3600),
//!     emit: Emit::Changes { every_update: true },
//!     idle: None,
//!     key_format: KeyFormat::KafkaStreams,
//! };
//! let counts = app.aggregate(Aggregate::new("counts", spec).from(clicks).value(Format::Long));
//! app.sink(counts, "clicks-per-minute");
//! let topology = app.build()?;
//! assert_eq!(&*topology.parts[0].stores[0].topic, "trial.counts.changelog");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod check;
mod cut;
mod names;
mod shapes;
mod steps;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use tidemill_aggregates::Type;

use super::{Expr, Format, JoinKind, Layout, Topology};
use crate::{guest::Role, store::Kind};

pub use steps::{
    Aggregate, Function, Join, Lookup, Projection, Rekey, Side, Source, Stream, Table,
};
use steps::{Joined, Step};

/// Builds a [`Topology`]. See the module's page.
#[derive(Debug, Clone)]
pub struct Builder {
    app: Arc<str>,
    max_ahead: Duration,
    batch_records: usize,
    batch_bytes: usize,
    elements: Vec<Element>,
    flows: Vec<Flow>,
    tables: Vec<Table>,
    stores: BTreeMap<String, Option<Duration>>,
    sinks: Vec<(Stream, Arc<str>)>,
}

/// A step and where its records come from.
#[derive(Debug, Clone)]
struct Element {
    step: Step,
    /// With the source of the step that each goes to.
    inputs: Vec<(u16, Stream)>,
    /// What it hands on, by output.
    flows: Vec<Stream>,
}

/// What goes from one step to others.
#[derive(Debug, Clone)]
struct Flow {
    element: usize,
    key: Option<Format>,
    value: Option<Layout>,
    columns: Option<Vec<(String, Type)>>,
    shape: FlowShape,
    /// Whether records may be in another partition than their key belongs to.
    rekeyed: bool,
    /// Where records go that come too late for a window.
    late: Option<Arc<str>>,
}

/// What the records of a flow are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FlowShape {
    Records,
    Joined(JoinKind),
    Windowed,
}

/// A row of a join of joins of … has so many sides at most.
const SIDES_MAX: usize = 64;

/// What a problem is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum What {
    Topic,
    Table,
    Store,
    Join,
    Rekey,
    Filter,
    Projection,
    Function,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            What::Topic => "topic",
            What::Table => "table",
            What::Store => "store",
            What::Join => "join",
            What::Rekey => "rekey",
            What::Filter => "filter",
            What::Projection => "projection",
            What::Function => "function",
        })
    }
}

/// Something that is wrong in a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What it is about.
    pub what: What,
    /// Its name.
    pub name: String,
    /// Which side of it, such as `inputs`; may be empty.
    pub part: &'static str,
    /// What was found.
    pub found: String,
    /// What would be right.
    pub right: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { what, name, part, found, right } = self;
        let dot = if part.is_empty() { "" } else { "." };
        write!(f, "{what} {name}{dot}{part}: {found}; {right}")
    }
}

/// A graph that is not right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// All that is wrong.
    pub problems: Vec<Problem>,
}

impl std::error::Error for Invalid {}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl Builder {
    /// An app without steps.
    pub fn new(app: &str) -> Builder {
        Builder {
            app: app.into(),
            max_ahead: Duration::from_secs(60 * 60),
            batch_records: 500,
            batch_bytes: 64 << 10,
            elements: Vec::new(),
            flows: Vec::new(),
            tables: Vec::new(),
            stores: BTreeMap::new(),
            sinks: Vec::new(),
        }
    }

    /// A record whose time is further ahead of the wall clock is rejected; an hour where it is not said.
    pub fn max_ahead(&mut self, max_ahead: Duration) {
        self.max_ahead = max_ahead;
    }

    /// Reads a topic. The same topic again is the same stream.
    pub fn source(&mut self, source: Source) -> Stream {
        let same = self.elements.iter_mut().find_map(|element| match &mut element.step {
            Step::Source(have) if have.topic == source.topic => Some((have, element.flows[0])),
            _ => None,
        });
        if let Some((have, stream)) = same {
            have.agrees &= have.is_like(&source);
            return stream;
        }
        let flow = Flow {
            element: 0,
            key: source.key,
            value: source.value.map(Layout::One),
            columns: source.columns.clone(),
            shape: FlowShape::Records,
            rekeyed: false,
            late: source.late.clone(),
        };
        self.add(Step::Source(source), Vec::new(), vec![flow])[0]
    }

    /// Says how the values of a stream are written, where that is not known.
    pub fn assume(&mut self, stream: Stream, value: Format) {
        self.flows[stream.0].value.get_or_insert(Layout::One(value));
    }

    /// A compacted topic whose rows functions and joins look up, or that is joined with another one.
    pub fn table(&mut self, table: Table) -> Lookup {
        self.tables.push(table);
        Lookup(self.tables.len() - 1)
    }

    /// How long a value, map or counter of functions is kept after its last write.
    pub fn store(&mut self, name: &str, ttl: Option<Duration>) {
        self.stores.insert(name.to_owned(), ttl);
    }

    /// Runs a function. Answers what each of its outputs hands on, in the order of its description.
    pub fn function(&mut self, function: Function) -> Vec<Stream> {
        let inputs = function.inputs.clone();
        let into: Vec<&Flow> = inputs.iter().map(|(_, stream)| self.flow(*stream)).collect();
        let rekeyed = into.iter().any(|flow| flow.rekeyed);
        let key = into.first().and_then(|flow| flow.key);
        let slots = function.slots().filter(|slot| slot.role == Role::Output);
        let flows = slots.map(|slot| Flow {
            element: 0,
            key: if slot.rekeys { Format::of_codec(&slot.key) } else { key },
            value: Format::of_codec(&slot.value).map(Layout::One),
            columns: None,
            shape: FlowShape::Records,
            rekeyed: rekeyed || slot.rekeys,
            late: None,
        });
        let flows = flows.collect();
        self.add(Step::Function(Box::new(function)), inputs, flows)
    }

    /// Joins. Answers the rows.
    pub fn join(&mut self, join: Join) -> Stream {
        let sides = [join.left, join.right].map(|side| match (side, &join.joined) {
            (Side::Stream(stream), _) => Some(stream),
            (Side::Table(table), Joined::Tables) => Some(self.changes(table)),
            (Side::Table(_), _) => None,
        });
        let layout = |side: Side| match side {
            Side::Stream(stream) => self.flow(stream).value.clone(),
            Side::Table(table) => self.tables[table.0].value.map(Layout::One),
        };
        // What is not known is bytes: only who reads columns needs more.
        let layout = |side| layout(side).unwrap_or(Layout::One(Format::Bytes));
        let (left, right) = (layout(join.left), layout(join.right));
        let value = match left.sides() + right.sides() <= SIDES_MAX {
            true => Layout::Sides(Box::new(left), Box::new(right)),
            // Refused when all is checked.
            false => Layout::One(Format::Joined),
        };
        let key = sides.iter().flatten().next().map(|stream| self.flow(*stream));
        let flow = Flow {
            element: 0,
            key: key.and_then(|flow| flow.key),
            value: Some(value),
            columns: None,
            shape: FlowShape::Joined(join.kind),
            // Only rows of a table that is everywhere can be joined with what lies anywhere.
            rekeyed: matches!(join.joined, Joined::Broadcast(_))
                && key.is_some_and(|flow| flow.rekeyed),
            late: None,
        };
        let inputs = (0..).zip(sides).filter_map(|(at, side)| Some((at, side?))).collect();
        self.add(Step::Join(join), inputs, vec![flow])[0]
    }

    /// The changes of a table as a stream.
    fn changes(&mut self, table: Lookup) -> Stream {
        let Table { topic, key, value, columns, time, .. } = self.tables[table.0].clone();
        let source = Source { key, value, columns, time, ..Source::new(&topic) };
        self.source(source)
    }

    /// Aggregates records, or what functions feed to the store. Answers the results.
    pub fn aggregate(&mut self, aggregate: Aggregate) -> Stream {
        let inputs: Vec<(u16, Stream)> = aggregate.from.map(|from| (0, from)).into_iter().collect();
        let from = aggregate.from.map(|from| self.flow(from));
        let windowed = aggregate.spec.windows.is_some();
        let flow = Flow {
            element: 0,
            key: from.and_then(|flow| flow.key),
            value: Some(Layout::One(aggregate.value)),
            columns: None,
            shape: if windowed { FlowShape::Windowed } else { FlowShape::Records },
            rekeyed: false,
            late: None,
        };
        self.add(Step::Aggregate(Box::new(aggregate)), inputs, vec![flow])[0]
    }

    /// Lets through what the expression is true for; what cannot be read as the stream's format is rejected.
    pub fn filter(&mut self, name: &str, input: Stream, expr: Expr) -> Stream {
        let flow = self.flow(input).clone();
        let step = Step::Filter { name: name.to_owned(), predicate: Some(expr) };
        self.add(step, vec![(0, input)], vec![flow])[0]
    }

    /// Makes a value of columns of another; a null value stays null.
    pub fn project(&mut self, projection: Projection) -> Stream {
        let input = projection.input;
        let from = self.flow(input).clone();
        let types = projection.columns.iter().map(|(name, expr)| {
            let of = expr.check(from.columns.as_deref()).unwrap_or(Type::Any);
            (name.clone(), of)
        });
        let columns = from.columns.is_some().then(|| types.collect());
        let shape = match from.shape {
            FlowShape::Windowed => FlowShape::Windowed,
            FlowShape::Records | FlowShape::Joined(_) => FlowShape::Records,
        };
        let value = Some(Layout::One(projection.value));
        let flow = Flow { value, columns, shape, ..from };
        self.add(Step::Project(projection), vec![(0, input)], vec![flow])[0]
    }

    /// Sends records on under another key, through a topic of the app's own. Answers what is read from there.
    pub fn rekey(&mut self, rekey: Rekey) -> Stream {
        let input = rekey.input;
        let from = self.flow(input).clone();
        let topic: Arc<str> = match &rekey.topic {
            Some(topic) => topic.as_str().into(),
            None => super::repartition_topic(&self.app, &names::code(&rekey.name)).into(),
        };
        let key = match rekey.by {
            super::KeyFrom::Key => from.key,
            super::KeyFrom::Header(_) => Some(Format::Bytes),
            super::KeyFrom::Column { .. } => Some(Format::String),
        };
        let value = from.value.as_ref().map(Layout::format);
        let columns = from.columns.clone();
        let late = from.late.clone();
        let partitions = rekey.partitions;
        self.add(Step::Rekey(rekey, Arc::clone(&topic)), vec![(0, input)], vec![from]);
        let source = Source { key, value, columns, late, ..Source::new(&topic) };
        self.source(Source { repartition: Some(partitions), ..source })
    }

    /// Writes a stream to a topic.
    pub fn sink(&mut self, stream: Stream, topic: &str) {
        let sink = (stream, Arc::from(topic));
        if !self.sinks.contains(&sink) {
            self.sinks.push(sink);
        }
    }

    /// Checks the whole graph and cuts it.
    ///
    /// # Errors
    /// With all that is wrong.
    pub fn build(mut self) -> Result<Topology, Invalid> {
        let problems = check::problems(&self);
        if !problems.is_empty() {
            return Err(Invalid { problems });
        }
        self.copy_to_sinks();
        Ok(cut::cut(&self))
    }

    /// A step hands each output to at most one topic, and a source to none: a step in between copies.
    fn copy_to_sinks(&mut self) {
        let mut taken: Vec<Stream> = Vec::new();
        for at in 0..self.sinks.len() {
            let (stream, topic) = self.sinks[at].clone();
            let flow = self.flow(stream).clone();
            let from_source = matches!(self.elements[flow.element].step, Step::Source(_));
            if from_source || taken.contains(&stream) {
                let step = Step::Filter { name: format!("to-{topic}"), predicate: None };
                self.sinks[at].0 = self.add(step, vec![(0, stream)], vec![flow])[0];
            } else {
                taken.push(stream);
            }
        }
    }

    fn add(&mut self, step: Step, inputs: Vec<(u16, Stream)>, flows: Vec<Flow>) -> Vec<Stream> {
        let element = self.elements.len();
        let first = self.flows.len();
        self.flows.extend(flows.into_iter().map(|flow| Flow { element, ..flow }));
        let flows: Vec<Stream> = (first..self.flows.len()).map(Stream).collect();
        self.elements.push(Element { step, inputs, flows: flows.clone() });
        flows
    }

    fn flow(&self, stream: Stream) -> &Flow {
        &self.flows[stream.0]
    }

    /// The aggregate of a store of that name.
    fn aggregate_named(&self, store: &str) -> Option<(usize, &Aggregate)> {
        self.elements.iter().enumerate().find_map(|(at, element)| match &element.step {
            Step::Aggregate(aggregate) if names::code(&aggregate.name) == store => {
                Some((at, &**aggregate))
            }
            _ => None,
        })
    }

    fn table_named(&self, table: &str) -> Option<&Table> {
        self.tables.iter().find(|have| names::code(&have.name) == table)
    }
}

/// What a slot of a function is kept in; `None` where it is no store that functions write by themselves.
fn store_kind(role: Role) -> Option<Kind> {
    match role {
        Role::Value => Some(Kind::Value),
        Role::Map => Some(Kind::Map),
        Role::Counter => Some(Kind::Counter),
        Role::Aggregate | Role::Table | Role::Output | Role::Timer | Role::Config => None,
    }
}
