//! A worker: the loop of one thread. It polls, lets its tasks work, performs their effects, and commits.
//!
//! [`Worker::step`] is one round of the loop and returns: the thread calls it until it is told to stop, tests call it
//! by hand. A worker owns its inbox, outbox and tasks; nothing here is shared but the status board and the counters.
//!
//! The order that must hold (at-least-once): outputs are produced, then acknowledged, then the positions behind their
//! causes are committed. `ledger` keeps it without waiting.

mod assignment;
mod commit;
mod effects;
mod ledger;
mod status;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

pub use status::{Board, FailureStatus, FunctionStatus, PartitionStatus, WorkerStatus};
pub use view::{Failure, Observer, Produced, View};

use crate::{
    broker::{self, Event, Inbox, Outbox, TopicId},
    clock::Clock,
    guest::Instantiate,
    metrics::{AppMetrics, FunctionMetrics, Share},
    operator::{Function, OutputCheck},
    record::{Position, TopicPartition},
    task::{Effects, Source, Task, TaskId, Turn},
    topology::Topology,
};
use ledger::Ledger;

/// Waiting bytes of an input beyond which its partition is held: some batches ahead, so that a turn finds work.
const WAITING_BYTES_MAX: usize = 256 << 10;
/// Commits on their way beyond which no further work is begun.
const COMMITS_ON_THEIR_WAY_MAX: usize = 20;
/// The longest a step sleeps where nothing happens.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// The longest a step sleeps while acknowledgements are awaited.
const ACK_WAIT: Duration = Duration::from_millis(2);
/// How often the status board is brought up to date.
const STATUS_INTERVAL: Duration = Duration::from_millis(500);

/// What a worker is made of.
pub struct Parts {
    /// Its number in the app, from 0.
    pub number: usize,
    /// A member of the app's group.
    pub inbox: Box<dyn Inbox>,
    /// A producer.
    pub outbox: Box<dyn Outbox>,
    /// What it runs.
    pub code: Code,
    /// How often it commits.
    pub commit_interval: Duration,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where it counts.
    pub metrics: AppMetrics,
    /// Where it says how it is.
    pub board: Board,
    /// Who watches.
    pub observer: Option<Arc<dyn Observer>>,
}

/// A topology and what makes its functions' instances.
#[derive(Clone)]
pub struct Code {
    /// The graph.
    pub topology: Arc<Topology>,
    /// By part and node.
    pub factories: Vec<Vec<Arc<dyn Instantiate>>>,
    /// The largest record each output topic takes, in bytes of key, value and headers.
    pub record_bytes_max: Vec<usize>,
}

impl Code {
    fn operators(&self, part: usize) -> Vec<Function> {
        let nodes = self.topology.parts[part].nodes.iter().zip(&self.factories[part]);
        let operator = |(node, factory): (&crate::topology::Node, &Arc<dyn Instantiate>)| {
            let check = |output: &crate::topology::Output| OutputCheck {
                name: Arc::clone(&output.name),
                bytes_max: match output.topic {
                    Some(topic) => node.limits.output_bytes.min(self.record_bytes_max[topic]),
                    None => node.limits.output_bytes,
                },
            };
            Function::new(Arc::clone(factory), node.outputs.iter().map(check).collect())
        };
        nodes.map(operator).collect()
    }
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There may be more to do at once.
    Busy,
    /// Nothing to do until something is read, acknowledged or due.
    Idle,
}

/// See the module's page.
pub struct Worker {
    number: usize,
    inbox: Box<dyn Inbox>,
    outbox: Box<dyn Outbox>,
    code: Code,
    topics: Vec<TopicId>,
    commit_interval: Duration,
    clock: Arc<dyn Clock>,
    metrics: AppMetrics,
    counters: Vec<Vec<FunctionMetrics>>,
    lag: Share,
    partitions: Share,
    board: Board,
    observer: Option<Arc<dyn Observer>>,
    tasks: BTreeMap<TaskId, Task>,
    /// Open partitions, with what is committed of each, or where it began.
    open: BTreeMap<TopicPartition, Position>,
    held: BTreeSet<TopicPartition>,
    /// Effects that the outbox has not taken whole.
    pending: VecDeque<Pending>,
    ledger: Ledger,
    sealed_at: Instant,
    aborted_at: Option<Instant>,
    /// When the board was last brought up to date; `None`: it is due.
    status_at: Option<Instant>,
    trouble: Option<String>,
}

struct Pending {
    task: TaskId,
    effects: Effects,
    next: usize,
}

impl Worker {
    /// Makes the outbox know the topics; joins nothing yet.
    ///
    /// # Errors
    /// Where the client refuses a topic's name.
    pub fn new(mut parts: Parts) -> Result<Self, broker::Error> {
        let topology = &parts.code.topology;
        let topics = topology
            .outputs
            .iter()
            .map(|topic| parts.outbox.topic(topic))
            .collect::<Result<_, _>>()?;
        let counters = topology
            .parts
            .iter()
            .map(|part| part.nodes.iter().map(|node| parts.metrics.function(&node.name)).collect())
            .collect();
        for node in topology.nodes() {
            parts.board.function(&node.name, |_| {});
        }
        parts.board.worker(parts.number, WorkerStatus::default());
        Ok(Worker {
            number: parts.number,
            inbox: parts.inbox,
            outbox: parts.outbox,
            topics,
            commit_interval: parts.commit_interval,
            clock: parts.clock,
            lag: parts.metrics.lag(),
            partitions: parts.metrics.partitions(),
            metrics: parts.metrics,
            counters,
            board: parts.board,
            ledger: Ledger::new(parts.observer.is_some()),
            observer: parts.observer,
            code: parts.code,
            tasks: BTreeMap::new(),
            open: BTreeMap::new(),
            held: BTreeSet::new(),
            pending: VecDeque::new(),
            sealed_at: Instant::now(),
            aborted_at: None,
            status_at: None,
            trouble: None,
        })
    }

    /// One round: what the outbox has to say, a turn of each task, one event, a commit where one is due.
    ///
    /// # Errors
    /// Where the clients are of no more use, or the app cannot go on.
    pub fn step(&mut self, wait: Duration) -> Result<Step, broker::Error> {
        self.acknowledge(Duration::ZERO)?;
        self.perform()?;
        let worked = self.work()?;
        self.balance();
        let wait = if worked { Duration::ZERO } else { self.patience(wait) };
        let event = match self.inbox.poll(wait) {
            Ok(event) => event,
            Err(broker::Error::Retriable(trouble)) => {
                self.troubled(&trouble);
                None
            }
            Err(other) => return Err(other),
        };
        let read = event.is_some();
        if let Some(event) = event {
            self.trouble = None;
            self.handle(event)?;
        }
        let committed = self.commit()?;
        self.report();
        Ok(if worked || read || committed { Step::Busy } else { Step::Idle })
    }

    /// Whether all that was read is handled, produced, acknowledged and committed, and every input was read to its end
    /// (where a record is waited with, up to that record).
    pub fn is_settled(&self) -> bool {
        let now = self.clock.now();
        let tasks = self.tasks.values().all(|task| task.is_settled(now));
        tasks && self.pending.is_empty() && !self.ledger.is_dirty() && self.ledger.sealed() == 0
    }

    /// The tasks at work.
    pub fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Goes on with other code, from the next batch on. The topology must read and write the same topics.
    pub fn swap(&mut self, code: &Code) {
        self.code = code.clone();
        let topology = Arc::clone(&self.code.topology);
        for (id, task) in &mut self.tasks {
            task.swap(Arc::clone(&topology.parts[id.part]), self.code.operators(id.part));
        }
        self.counters = topology
            .parts
            .iter()
            .map(|part| part.nodes.iter().map(|node| self.metrics.function(&node.name)).collect())
            .collect();
    }

    /// Waits for acknowledgements, commits, and leaves the group. What cannot be finished within `patience` is left
    /// uncommitted: the next owner does it again.
    pub fn close(mut self, patience: Duration) {
        self.drain(patience);
        self.inbox.close();
    }

    /// Leaves the group and drops what is not committed: the clients are of no more use.
    pub fn abandon(self) {
        self.inbox.close();
    }

    /// How long a step may sleep.
    fn patience(&self, wait: Duration) -> Duration {
        let mut wait = wait.min(IDLE_WAIT);
        if self.ledger.outstanding() > 0 || !self.pending.is_empty() {
            wait = wait.min(ACK_WAIT);
        }
        if self.ledger.is_dirty() {
            wait = wait.min(self.commit_interval.saturating_sub(self.sealed_at.elapsed()));
        }
        wait
    }

    /// A turn of each task, as long as the outbox keeps up.
    fn work(&mut self) -> Result<bool, broker::Error> {
        if !self.pending.is_empty() || self.ledger.sealed() >= COMMITS_ON_THEIR_WAY_MAX {
            return Ok(false);
        }
        let now = self.clock.now();
        let mut worked = false;
        let ids: Vec<TaskId> = self.tasks.keys().copied().collect();
        for id in ids {
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            let turn = task.turn(now).map_err(|error| broker::Error::Fatal(error.to_string()))?;
            if let Turn::Worked { effects, failed } = turn {
                worked = true;
                self.take(id, effects, failed.as_deref())?;
            }
        }
        Ok(worked)
    }

    /// Holds the partitions of tasks that have enough to do, and lets go of the others.
    fn balance(&mut self) {
        for (id, task) in &self.tasks {
            for (input, partition) in task.part().partitions(id.partition.0).enumerate() {
                let waiting = task.waiting_bytes(input);
                if waiting > WAITING_BYTES_MAX && !self.held.contains(&partition) {
                    self.inbox.hold(&partition);
                    self.held.insert(partition);
                } else if waiting <= WAITING_BYTES_MAX / 2 && self.held.contains(&partition) {
                    self.inbox.resume(&partition);
                    self.held.remove(&partition);
                }
            }
        }
    }

    fn handle(&mut self, event: Event) -> Result<(), broker::Error> {
        match event {
            Event::Records { partition, records } => {
                if let Some((task, input)) = self.task_of(&partition) {
                    task.push(input, records);
                }
                Ok(())
            }
            Event::End { partition, position } => {
                let Some((task, input)) = self.task_of(&partition) else { return Ok(()) };
                task.end(input, position);
                let moved = task.take_moved().into_iter();
                let moved: Vec<_> =
                    moved.map(|(input, position)| (partition_of(task, input), position)).collect();
                for (partition, position) in moved {
                    self.ledger.moved(partition, position);
                }
                Ok(())
            }
            Event::Assigned(partitions) => self.assigned(&partitions),
            Event::Revoked(partitions) => self.revoked(&partitions),
            Event::Lost(partitions) => self.lost(&partitions),
        }
    }

    fn task_of(&mut self, partition: &TopicPartition) -> Option<(&mut Task, usize)> {
        let (part, input) = self.code.topology.reader(&partition.topic)?;
        let task = self.tasks.get_mut(&TaskId { part, partition: partition.partition })?;
        Some((task, input))
    }

    fn troubled(&mut self, trouble: &str) {
        if self.trouble.as_deref() != Some(trouble) {
            tracing::warn!(app = &*self.code.topology.app, worker = self.number, "{trouble}");
            self.trouble = Some(trouble.to_owned());
        }
    }

    /// Brings the status board and the gauges up to date.
    fn report(&mut self) {
        if self.status_at.is_some_and(|at| at.elapsed() < STATUS_INTERVAL) {
            return;
        }
        self.status_at = Some(Instant::now());
        let ends: BTreeMap<TopicPartition, Position> = self.inbox.ends().into_iter().collect();
        let mut lags = 0;
        let mut partitions = Vec::with_capacity(self.open.len());
        for (partition, position) in &self.open {
            let end = ends.get(partition).map(|end| end.0);
            let lag = end.map(|end| (end - position.0).max(0));
            lags += usize::try_from(lag.unwrap_or(0)).unwrap_or(0);
            partitions.push(PartitionStatus {
                topic: partition.topic.to_string(),
                partition: partition.partition.0,
                position: position.0,
                end,
                lag,
                waiting: self.waiting(partition),
            });
        }
        self.lag.set(lags);
        self.partitions.set(partitions.len());
        self.board.worker(self.number, WorkerStatus { partitions, trouble: self.trouble.clone() });
    }

    fn waiting(&self, partition: &TopicPartition) -> Option<String> {
        let (part, input) = self.code.topology.reader(&partition.topic)?;
        match self.tasks.get(&TaskId { part, partition: partition.partition }) {
            None => Some("for the partitions with this number of the other inputs".to_owned()),
            Some(task) => {
                if let Some(why) = task.paused() {
                    return Some(format!("paused: {why}"));
                }
                match task.suspect()? {
                    (Source::Record { input: at, offset }, attempts) if at == input => {
                        Some(format!("record {offset} failed {attempts} times and is tried again"))
                    }
                    (Source::Record { .. }, _) => None,
                    (Source::Timer { timer, .. }, attempts) => {
                        let name = task.part().timers.get(usize::from(timer))?;
                        Some(format!("timer `{name}` failed {attempts} times and is tried again"))
                    }
                }
            }
        }
    }
}

fn partition_of(task: &Task, input: usize) -> TopicPartition {
    TopicPartition {
        topic: Arc::clone(&task.part().inputs[input].topic),
        partition: task.id().partition,
    }
}
