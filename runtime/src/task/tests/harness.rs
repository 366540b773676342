//! Functions that are closures, operators of the host that are fakes, and a task of a few of them.

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use tidemill_layout::{
    Batch, Emission, Entry, Failure, HeaderPart, Headers, Kind, OutcomeWriter, Part,
};

use crate::{
    aggregate::{Emit, KeyFormat, Spec},
    guest::{
        Binding, Component, Engine, EngineSettings, Fault, Instantiate, Invoke, Limits, Scope,
        encode,
    },
    operator::{Function, Host, Hosted, Operator, OutputCheck},
    record::{Offset, Partition, Position, Record, Records, Timestamp},
    store::{self, Database, DatabaseSettings, Progress, StoreSpec, TaskKey, TaskState},
    task::{Failed, Task, TaskId, Turn},
    topology::{
        AggregateNode, Edge, EventTime, Feed, Format, FunctionNode, Input, Node, OnFailure, Output,
        SubTopology, Work,
    },
};

/// Slots of every function here.
pub(super) const VALUE: u32 = 0;
pub(super) const MAP: u32 = 1;
pub(super) const COUNTER: u32 = 2;
pub(super) const USERS: u32 = 3;
pub(super) const RATES: u32 = 4;
pub(super) const TIMER: u32 = 5;
pub(super) const OTHER_TIMER: u32 = 6;
/// Slots, stores and timers a function has.
const SLOTS: usize = 7;
const STORES: usize = 5;
const TIMERS: u16 = 2;
/// The topic of late records.
const LATE: usize = 4;

/// Why an entry is not handled.
#[derive(Debug)]
pub(super) enum Ended {
    Fault(Fault),
    Reject(&'static str),
    Error(&'static str),
    State(&'static str),
    /// To be run again.
    Later,
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Ended::Fault(fault)
    }
}

/// A call as a program sees it, while it handles one entry.
pub(super) struct Call<'a> {
    pub(super) scope: &'a mut Scope,
    writer: &'a mut OutcomeWriter,
    pub(super) entry: u32,
    cut: bool,
}

impl Call<'_> {
    /// Sends on, under the entry's key.
    pub(super) fn send(&mut self, value: &str) {
        self.send_as(Part::Inherit, value);
    }

    pub(super) fn send_as(&mut self, key: Part<'_>, value: &str) {
        self.writer.emit(&Emission {
            cause: self.entry,
            output: 0,
            key,
            value: Part::Bytes(value.as_bytes()),
            headers: HeaderPart::Inherit,
            timestamp: None,
            partition: None,
        });
    }

    pub(super) fn set(&mut self, slot: u32, due: i64, payload: &[u8]) -> Result<(), Fault> {
        self.cut |= self.scope.set_timer(slot, self.entry, due, payload)?;
        Ok(())
    }
}

/// What a function does with an entry.
pub(super) type Program = Arc<dyn Fn(&mut Call<'_>, &Entry<'_>) -> Result<(), Ended> + Send + Sync>;

#[derive(Clone)]
struct Fake {
    program: Program,
    obeys: bool,
    calls: Arc<Mutex<Vec<u32>>>,
}

impl Instantiate for Fake {
    fn instantiate(&self) -> Result<Box<dyn Invoke>, Fault> {
        Ok(Box::new(self.clone()))
    }
}

impl Invoke for Fake {
    fn invoke(&mut self, batch: &[u8], scope: &mut Scope) -> Result<Vec<u8>, Fault> {
        let batch = Batch::parse(batch).unwrap();
        self.calls.lock().unwrap().push(batch.len());
        let mut writer = OutcomeWriter::new();
        for (index, entry) in (0..).zip(batch.entries()) {
            let mark = writer.mark();
            let mut call =
                Call { scope: &mut *scope, writer: &mut writer, entry: index, cut: false };
            let ended = (self.program)(&mut call, &entry.unwrap());
            let cut = call.cut && self.obeys;
            let failure = match ended {
                Ok(()) if cut => return Ok(writer.into_bytes(index + 1, None)),
                Ok(()) => continue,
                Err(Ended::Fault(fault)) => return Err(fault),
                Err(Ended::Reject(reason)) => Failure::Reject(reason),
                Err(Ended::Error(reason)) => Failure::Error(reason),
                Err(Ended::State(reason)) => Failure::State(reason),
                Err(Ended::Later) => Failure::Retry { after_ms: None, reason: "later" },
            };
            writer.rollback(mark);
            return Ok(writer.into_bytes(index, Some(failure)));
        }
        Ok(writer.into_bytes(batch.len(), None))
    }
}

/// Some component: what a node needs to have a digest.
fn component() -> Component {
    static COMPONENT: OnceLock<Component> = OnceLock::new();
    let load = || {
        let engine = Engine::new(&EngineSettings::with_user_cache()).unwrap();
        engine.load(&encode(&tidemill_guests::module("guest-timely")).unwrap()).unwrap()
    };
    COMPONENT.get_or_init(load).clone()
}

/// A step of a task; each feeds all behind it in memory and a topic of its own.
#[derive(Clone)]
pub(super) enum Step {
    Function(Program),
    /// An operator of the host, made for the map store with this index.
    Host(HostStep),
}

#[derive(Clone)]
pub(super) struct HostStep {
    pub(super) make: Arc<dyn Fn(usize) -> Box<dyn Host>>,
    pub(super) emit: Emit,
    pub(super) idle: Option<Duration>,
    /// Whether the function before it feeds it, not its records.
    pub(super) is_fed: bool,
}

/// How a [`Bench`] is made.
pub(super) struct Settings {
    /// The functions, each feeding all behind it in memory and a topic of its own.
    pub(super) programs: Vec<Program>,
    /// Whether they end a batch where they are told to.
    pub(super) obeys: bool,
    /// Records of a turn.
    pub(super) records: usize,
    pub(super) partitions: u32,
}

/// A task with a state of its own.
pub(super) struct Bench {
    pub(super) task: Task,
    /// Entries of each call so far, of all functions.
    pub(super) calls: Arc<Mutex<Vec<u32>>>,
    pub(super) now: Timestamp,
    next: i64,
    steps: Vec<Step>,
    obeys: bool,
    partitions: u32,
    database: Database,
    _folder: tempfile::TempDir,
}

pub(super) fn program(
    program: impl Fn(&mut Call<'_>, &Entry<'_>) -> Result<(), Ended> + Send + Sync + 'static,
) -> Program {
    Arc::new(program)
}

/// A task of one function, over four partitions, of which it has 0.
pub(super) fn bench(
    does: impl Fn(&mut Call<'_>, &Entry<'_>) -> Result<(), Ended> + Send + Sync + 'static,
) -> Bench {
    let programs = vec![program(does)];
    Bench::new(Settings { programs, obeys: true, records: 100, partitions: 4 })
}

impl Bench {
    pub(super) fn new(settings: Settings) -> Self {
        let Settings { programs, obeys, records, partitions } = settings;
        let steps = programs.into_iter().map(Step::Function).collect();
        Bench::of(steps, obeys, records, partitions)
    }

    pub(super) fn of(steps: Vec<Step>, obeys: bool, records: usize, partitions: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database =
            Database::open(folder.path(), DatabaseSettings { memory_bytes: 8 << 20 }).unwrap();
        let part = part(&steps, records);
        let key = TaskKey { app: "app".into(), part: Arc::clone(&part.name), partition: 0 };
        let lease = database.lease(&key).unwrap();
        let tables: Vec<u32> = part.stores.iter().map(|store| u32::from(store.broadcast)).collect();
        let mut state =
            TaskState::open(&database, lease, &part.stores, &part.timers, &tables).unwrap();
        let mut rows = Records::new();
        for key in 0..20 {
            let (offset, timestamp) = (Offset(key), Timestamp(0));
            let key = format!("u{key}");
            let (key, value) = (Some(key.as_bytes()), Some(key.as_bytes()));
            rows.push(&Record { offset, timestamp, key, value, headers: Headers::EMPTY });
        }
        state.restore(3, "users-id", &rows, Position(20), Timestamp(0)).unwrap();
        state.live().unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let id = TaskId { part: 0, partition: Partition(0) };
        let task = Task::new(
            id,
            part,
            operators(&steps, obeys, &calls),
            &[Position::START],
            partitions,
            Some(Box::new(state)),
            &Progress::default(),
        );
        Bench {
            task,
            calls,
            now: Timestamp(10_000),
            next: 0,
            steps,
            obeys,
            partitions,
            database,
            _folder: folder,
        }
    }

    /// Seals and commits what was done.
    pub(super) fn commit(&mut self) {
        let progress = self.task.progress();
        let state = self.task.state_mut().unwrap();
        state.seal(&progress);
        let mut batch = self.database.batch();
        state.commit(&mut batch, &[], self.now);
        self.database.write(batch).unwrap();
    }

    /// The task as it is made anew from the last commit; what was pushed since has to be pushed again.
    pub(super) fn restart(&mut self) {
        let part = Arc::clone(self.task.part());
        let mut state = self.task.take_state().unwrap();
        state.abort();
        let progress = state.live().unwrap();
        let position = progress.positions.first().map_or(Position::START, |(_, at)| *at);
        self.next = position.0;
        self.task = Task::new(
            TaskId { part: 0, partition: Partition(0) },
            part,
            operators(&self.steps, self.obeys, &self.calls),
            &[position],
            self.partitions,
            Some(state),
            &progress,
        );
    }

    /// Goes on with other code, which does the same.
    pub(super) fn swap(&mut self) {
        let part = Arc::clone(self.task.part());
        let operators = operators(&self.steps, self.obeys, &self.calls);
        self.task.swap(part, operators, self.now).unwrap();
    }

    /// Flushes until nothing is left that waits for the end of an epoch; answers as [`settle`](Self::settle), and
    /// whether something is waited with.
    pub(super) fn flush(&mut self) -> (Vec<String>, bool) {
        let mut lines = Vec::new();
        loop {
            match self.task.flush(self.now).unwrap() {
                Turn::Idle => return (lines, false),
                Turn::Waiting(_) => return (lines, true),
                Turn::Worked { effects, .. } => {
                    lines.extend((0..effects.len()).map(|index| line(&effects.output(index))));
                }
            }
        }
    }

    /// More records, as key, time and value.
    pub(super) fn push(&mut self, records: &[(Option<&str>, i64, &str)]) {
        let mut block = Records::new();
        for (key, timestamp, value) in records {
            block.push(&Record {
                offset: Offset(self.next),
                timestamp: Timestamp(*timestamp),
                key: key.map(str::as_bytes),
                value: Some(value.as_bytes()),
                headers: Headers::EMPTY,
            });
            self.next += 1;
        }
        self.task.push(0, block);
    }

    pub(super) fn end(&mut self) {
        self.task.end(0, Position(self.next));
    }

    /// Turns until nothing is left to do. Answers what was to be produced, as lines, and what failed.
    pub(super) fn settle(&mut self) -> (Vec<String>, Vec<Failed>) {
        let (mut lines, mut failures) = (Vec::new(), Vec::new());
        loop {
            match self.task.turn(self.now).unwrap() {
                Turn::Idle => return (lines, failures),
                Turn::Waiting(until) => self.now = until,
                Turn::Worked { effects, failed } => {
                    lines.extend((0..effects.len()).map(|index| line(&effects.output(index))));
                    failures.extend(failed.map(|failed| *failed));
                }
            }
        }
    }

    /// What was to be produced.
    pub(super) fn lines(&mut self) -> Vec<String> {
        self.settle().0
    }

    /// All that was changed since the start and is there, as a changelog would hold it, by store and key.
    pub(super) fn changed(&mut self) -> Vec<(usize, Vec<u8>, Vec<u8>)> {
        let progress = self.task.progress();
        let state = self.task.state_mut().unwrap();
        state.seal(&progress);
        let logged = (0..state.logged()).map(|index| state.log(index));
        let there =
            logged.filter_map(|log| Some((log.store, log.key.to_vec(), log.value?.to_vec())));
        let mut there: Vec<_> = there.collect();
        there.sort();
        there
    }
}

/// `topic key value @time`, and for a dead letter what it says of its failure.
fn line(output: &crate::task::OutputRecord<'_>) -> String {
    let text = |bytes: Option<&[u8]>| {
        bytes.map_or("null".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    let topic = ["dlq", "out", "out1", "out2", "late"][output.topic];
    let time = output.timestamp.millis();
    let mut line = format!("{topic} {} {} @{time}", text(output.key), text(output.value));
    for header in output.headers.iter() {
        let name = header.name.rsplit('.').next().unwrap_or(header.name);
        if !["digest", "partition", "topic"].contains(&name) {
            line.push_str(&format!(" {name}={}", text(header.value)));
        }
    }
    line
}

fn operators(steps: &[Step], obeys: bool, calls: &Arc<Mutex<Vec<u32>>>) -> Vec<Operator> {
    let check = |name: &str| OutputCheck { name: name.into(), bytes_max: 1 << 20 };
    let operator = |(index, step): (usize, &Step)| match step {
        Step::Function(program) => {
            let program = Arc::clone(program);
            let fake = Fake { program, obeys, calls: Arc::clone(calls) };
            Operator::Function(Function::new(Arc::new(fake), vec![check("out")]))
        }
        Step::Host(host) => {
            let host = (host.make)(index * STORES + MAP as usize);
            Operator::Host(Hosted::new(host, vec![check("out"), check("late")]))
        }
    };
    steps.iter().enumerate().map(operator).collect()
}

fn part(steps: &[Step], batch_records: usize) -> Arc<SubTopology> {
    let functions = steps.len();
    let mut stores = Vec::new();
    let mut timers: Vec<Arc<str>> = Vec::new();
    for function in 0..functions {
        let kinds = [
            ("value", store::Kind::Value, false),
            ("map", store::Kind::Map, false),
            ("counter", store::Kind::Counter, false),
            ("users", store::Kind::Table, false),
            ("rates", store::Kind::Table, true),
        ];
        stores.extend(kinds.map(|(name, kind, broadcast)| StoreSpec {
            name: format!("{name}{function}").into(),
            kind,
            ttl: (kind == store::Kind::Value).then(|| std::time::Duration::from_millis(40)),
            broadcast,
            topic: format!("app.{name}{function}").into(),
        }));
        timers.extend(["due", "also"].map(|name| Arc::from(format!("f{function}.{name}"))));
    }
    stores.push(StoreSpec {
        name: "meta".into(),
        kind: store::Kind::Meta,
        ttl: None,
        broadcast: false,
        topic: "app.meta".into(),
    });
    let node = |function: usize| {
        let store = function * STORES;
        let timer = u16::try_from(function).unwrap() * TIMERS;
        let bindings: [_; SLOTS] = [
            Binding::Store(store),
            Binding::Store(store + 1),
            Binding::Store(store + 2),
            Binding::Table(store + 3),
            Binding::Table(store + 4),
            Binding::Timer(timer),
            Binding::Timer(timer + 1),
        ];
        let is_fed = |node: usize| matches!(&steps[node], Step::Host(host) if host.is_fed);
        let edges = (function + 1..functions).filter(|node| !is_fed(*node));
        let edges = edges.map(|node| Edge { node, source: 0 }).collect();
        // Where the next one is fed by it, the store is shared.
        let mut bindings = bindings.map(Some);
        if function + 1 < functions && is_fed(function + 1) {
            bindings[MAP as usize] = Some(Binding::Store(store + STORES + MAP as usize));
        }
        let work = match &steps[function] {
            Step::Function(_) => Work::Function(FunctionNode {
                component: component(),
                index: 0,
                config: "{}".into(),
                limits: Limits::default(),
                bindings: bindings.into(),
                allow: Vec::new(),
            }),
            Step::Host(host) => Work::Aggregate(AggregateNode {
                store: store + MAP as usize,
                value: Format::Json,
                feed: (!host.is_fed).then(|| Feed { format: Format::Json, columns: Vec::new() }),
            }),
        };
        let output = |name: &str, topic, edges| Output { name: name.into(), topic, edges };
        Node {
            name: format!("f{function}").into(),
            work,
            filter: Default::default(),
            outputs: vec![
                output("out", Some(1 + function), edges),
                output("late", Some(LATE), Vec::new()),
            ],
            dead_letters: Some(0),
            on_failure: OnFailure {
                retries: None,
                backoff: std::time::Duration::from_millis(100),
                backoff_max: std::time::Duration::from_secs(1),
            },
        }
    };
    let aggregates = steps.iter().enumerate().filter_map(|(index, step)| match step {
        Step::Function(_) => None,
        Step::Host(host) => Some((index * STORES + MAP as usize, spec(host))),
    });
    let aggregates = aggregates.collect();
    Arc::new(SubTopology {
        name: "f0".into(),
        inputs: vec![Input {
            topic: "in".into(),
            readers: vec![Edge { node: 0, source: 0 }],
            time: EventTime::Record,
        }],
        nodes: (0..functions).map(node).collect(),
        aggregates,
        stores,
        timers,
        max_ahead: std::time::Duration::from_secs(3600),
        batch_records,
        batch_bytes: 1 << 20,
    })
}

/// Of these a task asks for no more than when results come out.
fn spec(host: &HostStep) -> Arc<Spec> {
    let count = tidemill_aggregates::Aggregate::parse("count()").unwrap();
    let compute = tidemill_aggregates::Compute::new([("count", count)]).unwrap();
    Arc::new(Spec {
        compute: Arc::new(compute),
        windows: None,
        grace: Duration::ZERO,
        retention: Duration::ZERO,
        emit: host.emit,
        idle: host.idle,
        key_format: KeyFormat::Plain,
    })
}

pub(super) fn is_timer(entry: &Entry<'_>) -> bool {
    entry.kind == Kind::Timer
}

pub(super) fn text<'a>(entry: &Entry<'a>) -> &'a str {
    std::str::from_utf8(entry.value.unwrap_or_default()).unwrap()
}
