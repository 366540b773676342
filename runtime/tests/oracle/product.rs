//! The operators themselves: a task of a topology of one operator, on a disk.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;
use tidemill::{
    aggregate::{Emit, KeyFormat, Spec, Windows},
    operator::{Hosted, Operator, OutputCheck, host},
    record::{HeadersWriter, Offset, Partition, Position, Record, Records, Timestamp},
    store::{Database, DatabaseSettings, Kind, TableState, TaskKey, TaskState},
    task::{OutputRecord, Source, Task, TaskId, Turn},
    topology::{
        Aggregate, Builder, Expr, Format, Join, JoinKind, KeyFrom, Projection, Source as Topic,
        Stream, SubTopology, Table, Topology,
    },
};
use tidemill_aggregates::{Aggregate as Function, Compute};
use tidemill_layout::{WINDOW_END, WINDOW_START};

use crate::{
    compare::UnderTest,
    golden::{Arrival, Outcome, Shape},
};

/// The topics of the two sides. An operator with one input reads the first.
const SIDES: [&str; 2] = ["left", "right"];
/// The header that holds the key looked up in a broadcast table.
const LOOKUP: &str = "lookup";
/// Far behind all records, yet less than they may be ahead of it.
const NOW: Timestamp = Timestamp(1_000_000);
/// Longer than any case: what is read back is no matter here.
const RETENTION: Duration = Duration::from_secs(3600);

/// How a task goes through a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// Record by record, all that is written kept in memory.
    Whole,
    /// As many records a turn as come from one side at a time.
    Turns,
    /// After every second record it commits, and a new task goes on with what is on disk.
    Parts,
}

/// An operator of one shape.
pub(crate) struct Product {
    topology: Topology,
    life: Life,
    database: Database,
    /// Cases so far: each has a partition of its own.
    cases: u32,
    /// Behind the database.
    _folder: TempDir,
}

impl Product {
    pub(crate) fn new(shape: &Shape, life: Life) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = DatabaseSettings { memory_bytes: 16 << 20 };
        let database = Database::open(folder.path(), settings).expect("a database");
        Product { topology: topology(shape), life, database, cases: 0, _folder: folder }
    }
}

impl UnderTest for Product {
    fn run(&mut self, arrivals: &[Arrival]) -> Vec<Vec<Outcome>> {
        let mut bench = Bench::new(&self.topology, &self.database, self.cases);
        self.cases += 1;
        let together =
            |one: &Arrival, next: &Arrival| self.life == Life::Turns && one.side == next.side;
        let mut outcomes = Vec::new();
        for (number, arrivals) in (1..).zip(arrivals.chunk_by(together)) {
            outcomes.extend(bench.take(arrivals));
            if self.life == Life::Parts && number % 2 == 0 {
                bench = bench.again();
            }
        }
        outcomes
    }
}

/// A topology of one operator, its results written to one topic.
fn topology(shape: &Shape) -> Topology {
    let mut app = Builder::new("oracle");
    let source = |side: usize| Topic::new(SIDES[side]).key(Format::String).value(Format::Long);
    let table = || Table::new("rows", SIDES[1]).key(Format::String).value(Format::Long);
    let kind = match &*shape.kind {
        "left" => JoinKind::Left,
        "right" => JoinKind::Right,
        "outer" => JoinKind::Full,
        _ => JoinKind::Inner,
    };
    let results: Stream = match &*shape.operator {
        "stream-stream" => {
            let (left, right) = (app.source(source(0)), app.source(source(1)));
            let (before, after) = (millis(shape.before), millis(shape.after));
            let join = Join::streams("joined", left, right, kind, before, after);
            app.join(join.grace(millis(shape.grace)).idle(None))
        }
        "stream-table" => {
            let (left, right) = (app.source(source(0)), app.table(table()));
            app.join(Join::table("joined", left, right, kind))
        }
        "stream-globaltable" => {
            let (left, right) = (app.source(source(0)), app.table(table().broadcast()));
            let key = KeyFrom::Header(LOOKUP.to_owned());
            app.join(Join::broadcast("joined", left, right, kind, key))
        }
        "table-table" => {
            let left = Table::new("rows-left", SIDES[0]).key(Format::String).value(Format::Long);
            let (left, right) = (app.table(left), app.table(table()));
            app.join(Join::tables("joined", left, right, kind))
        }
        _ => {
            let left = app.source(source(0));
            app.aggregate(Aggregate::new("tally", spec(shape)).from(left))
        }
    };
    let results = if shape.kind.is_empty() {
        results
    } else {
        let sides = SIDES.map(|side| (side, Expr::column(side)));
        app.project(Projection::new("sides", results, sides))
    };
    app.sink(results, "out");
    app.build().expect("the topology has no fault")
}

fn spec(shape: &Shape) -> Spec {
    let columns = [("count", "count()"), ("sum", "sum(value)"), ("list", "collect-list(value)")];
    let columns = columns.map(|(name, call)| (name, Function::parse(call).expect("a function")));
    let windows = match (&*shape.operator, shape.advance) {
        ("tumbling", _) => Some(Windows::Tumbling { size: millis(shape.size) }),
        ("hopping", Some(advance)) => {
            Some(Windows::Hopping { size: millis(shape.size), advance: millis(advance) })
        }
        ("sliding", _) => Some(Windows::Sliding { difference: millis(shape.size) }),
        ("session", _) => Some(Windows::Session { gap: millis(shape.gap) }),
        ("stream", _) => None,
        other => panic!("{other:?}: no such operator"),
    };
    Spec {
        compute: Arc::new(Compute::new(columns).expect("columns")),
        windows,
        grace: millis(shape.grace),
        retention: RETENTION,
        emit: match &*shape.emit {
            "final" => Emit::Final,
            _ => Emit::Changes { every_update: true },
        },
        idle: None,
        key_format: KeyFormat::Plain,
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A task in the middle of a case.
struct Bench<'a> {
    topology: &'a Topology,
    database: &'a Database,
    case: u32,
    task: Task,
    tables: Option<TableState>,
    /// How far each side's topic has come.
    ends: [i64; 2],
}

impl<'a> Bench<'a> {
    fn new(topology: &'a Topology, database: &'a Database, case: u32) -> Self {
        let part = part(topology);
        let broadcast = part.stores.iter().find(|store| store.broadcast);
        let tables = broadcast.map(|spec| {
            let table = TableState::open(database, &topology.app, spec, 1).expect("a table");
            let mut table = table.expect("nobody else follows it");
            table.discard(0).expect("it can be emptied");
            table
        });
        let task = start(topology, database, case, [0; 2]);
        Bench { topology, database, case, task, tables, ends: [0; 2] }
    }

    /// Takes records of one side, and works until nothing is left to do.
    fn take(&mut self, arrivals: &[Arrival]) -> Vec<Vec<Outcome>> {
        let part = part(self.topology);
        let side = usize::from(arrivals[0].side);
        let begin = self.ends[side];
        let mut records = Records::new();
        for arrival in arrivals {
            push(&mut records, Offset(self.ends[side]), arrival);
            self.ends[side] += 1;
        }
        match part.inputs.iter().position(|input| &*input.topic == SIDES[side]) {
            Some(input) => self.task.push(input, records),
            None => self.follow(&records, Position(self.ends[side])),
        }
        for (input, of) in part.inputs.iter().enumerate() {
            self.task.end(input, Position(self.ends[side_of(&of.topic)]));
        }
        let mut outcomes = vec![Vec::new(); arrivals.len()];
        self.settle(|offset, outcome| {
            let index = usize::try_from(offset.0 - begin).expect("of what came now");
            outcomes[index].push(outcome);
        });
        outcomes
    }

    /// Takes a row of a table.
    fn follow(&mut self, records: &Records, end: Position) {
        if let Some(table) = &mut self.tables {
            table.restore(0, "id", records, end, NOW).expect("it is taken in");
            return;
        }
        let is_table = |store: &tidemill::store::StoreSpec| store.kind == Kind::Table;
        let store = part(self.topology).stores.iter().position(is_table).expect("a table");
        let state = self.task.state_mut().expect("it has state");
        state.restore(store, "id", records, end, NOW).expect("it is taken in");
    }

    /// Tells each record that comes out, with the offset of the one it comes of.
    fn settle(&mut self, mut tell: impl FnMut(Offset, Outcome)) {
        let out = self.topology.outputs.iter().position(|topic| &**topic == "out");
        loop {
            match self.task.turn(NOW).expect("the disk is well") {
                Turn::Idle => return,
                Turn::Waiting(until) => panic!("it waits until {until:?}"),
                Turn::Worked { effects, failed } => {
                    assert!(failed.is_none(), "{failed:?}");
                    for output in (0..effects.len()).map(|index| effects.output(index)) {
                        let Source::Record { offset, .. } = output.source else {
                            panic!("it comes of {:?}", output.source)
                        };
                        if Some(output.topic) == out {
                            tell(offset, outcome(&output));
                        }
                    }
                }
            }
        }
    }

    /// Commits, and goes on as a new task does.
    fn again(mut self) -> Self {
        let progress = self.task.progress();
        if let Some(state) = self.task.state_mut() {
            state.seal(&progress);
            let mut batch = self.database.batch();
            state.commit(&mut batch, &[], NOW);
            self.database.write(batch).expect("it is written");
        }
        drop(self.task);
        let task = start(self.topology, self.database, self.case, self.ends);
        Bench { task, ..self }
    }
}

fn part(topology: &Topology) -> &Arc<SubTopology> {
    let [part] = &topology.parts[..] else { panic!("one operator makes one part") };
    part
}

fn start(topology: &Topology, database: &Database, case: u32, ends: [i64; 2]) -> Task {
    let part = part(topology);
    let key =
        TaskKey { app: Arc::clone(&topology.app), part: Arc::clone(&part.name), partition: case };
    let lease = database.lease(&key).expect("nobody else has it");
    let tables: Vec<u32> = part.stores.iter().map(|store| u32::from(store.broadcast)).collect();
    let mut state = TaskState::open(database, lease, &part.stores, &part.timers, &tables)
        .expect("it can be opened");
    let progress = state.live().expect("it is complete");
    let operators = part.nodes.iter().map(|node| {
        let output = |output: &tidemill::topology::Output| OutputCheck {
            name: Arc::clone(&output.name),
            bytes_max: 1 << 20,
        };
        let outputs = node.outputs.iter().map(output).collect();
        Operator::Host(Hosted::new(host(node, part), outputs))
    });
    let positions: Vec<Position> =
        part.inputs.iter().map(|input| Position(ends[side_of(&input.topic)])).collect();
    let id = TaskId { part: 0, partition: Partition(0) };
    let operators = operators.collect();
    Task::new(id, Arc::clone(part), operators, &positions, 1, Some(Box::new(state)), &progress)
}

fn side_of(topic: &str) -> usize {
    SIDES.iter().position(|side| *side == topic).expect("a topic of a side")
}

fn push(records: &mut Records, offset: Offset, arrival: &Arrival) {
    let mut headers = HeadersWriter::new();
    if let Some(key) = lookup(arrival.value) {
        headers.push(LOOKUP, Some(key.as_bytes()));
    }
    let value = arrival.value.map(i64::to_be_bytes);
    records.push(&Record {
        offset,
        timestamp: Timestamp(arrival.timestamp),
        key: arrival.key.as_deref().map(str::as_bytes),
        value: value.as_ref().map(|value| &value[..]),
        headers: headers.headers(),
    });
}

/// The key that a record of a stream-globaltable join asks for.
fn lookup(value: Option<i64>) -> Option<&'static str> {
    match value? % 4 {
        1 => Some("a"),
        2 => Some("ab"),
        3 => Some("b"),
        _ => None,
    }
}

/// As the goldens have it.
fn outcome(output: &OutputRecord<'_>) -> Outcome {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let value = output.value.map_or(Value::Null, |value| {
        let columns: Value = serde_json::from_slice(value).expect("JSON");
        match columns.get("left") {
            Some(left) => json!([left, columns["right"]]),
            None => json!([columns["count"], columns["sum"], columns["list"]]),
        }
    });
    let mut outcome = vec![json!(output.key.map(text)), value, json!(output.timestamp.millis())];
    for name in [WINDOW_START, WINDOW_END] {
        let header = output.headers.iter().filter(|header| header.name == name).last();
        if let Some(value) = header.and_then(|header| header.value) {
            outcome.push(text(value).parse::<i64>().expect("milliseconds").into());
        }
    }
    Value::Array(outcome)
}
