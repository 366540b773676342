//! A worker: the loop of one thread. It polls, lets its tasks work, performs their effects, and commits.
//!
//! [`Worker::step`] is one round of the loop and returns: the thread calls it until it is told to stop, tests call it
//! by hand. A worker owns its inbox, outbox and tasks; nothing here is shared but the status board and the counters.
//!
//! The order that must hold is written in `commit`; `ledger` knows what is on its way, so that nothing waits. `restore`
//! brings up the tasks of partitions that the group gave, `follow` reads what their state is made of.

mod abort;
mod assignment;
mod code;
mod commit;
mod effects;
mod error;
mod facts;
mod follow;
mod ledger;
mod report;
mod restore;
mod resume;
mod status;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

pub use code::Code;
pub use error::Error;
pub(crate) use facts::TopicFacts;
pub(crate) use follow::{Came, Following, Reading};
pub(crate) use resume::{Found, Verdict, judge};
pub use status::{Board, FailureStatus, FunctionStatus, PartitionStatus, WorkerStatus};
pub use view::{Failure, Late, Observer, Produced, View};

use crate::{
    broker::{self, Admin, Broker, Event, Inbox, OnMissingOffset, Outbox, TopicId},
    clock::Clock,
    manifest::Guarantee,
    metrics::{AppMetrics, FunctionMetrics, OperatorMetrics, Share},
    record::{Position, Timestamp, TopicPartition},
    store::{Database, Kind},
    task::{Effects, Task, TaskId, Turn},
};
use commit::{EPOCH_RECORDS_MAX, OVERLAY_BYTES_MAX, Sealed};
use ledger::Ledger;
use restore::Coming;

/// Waiting bytes of an input beyond which its partition is held: some batches ahead, so that a turn finds work.
const WAITING_BYTES_MAX: usize = 256 << 10;
/// Effects that wait for a transaction to be committed, beyond which no further work is begun.
const PENDING_MAX: usize = 64;
/// Bytes of them.
const PENDING_BYTES_MAX: usize = 8 << 20;
/// Keys of a task that are looked at at a time, for values whose time to live is over, and how often.
const SWEEP_KEYS: usize = 1000;
const SWEEP_INTERVAL: Duration = Duration::from_millis(500);
/// The longest a step sleeps where nothing happens.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// The longest a step sleeps while acknowledgements are awaited.
const ACK_WAIT: Duration = Duration::from_millis(2);
/// The longest a step sleeps while tables are followed.
const FOLLOW_WAIT: Duration = Duration::from_millis(20);
/// How long behind its interval a commit may be before tasks wait for it.
const LATE: Duration = Duration::from_millis(100);
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
    /// Where its topics are: what state is restored from is read there.
    pub broker: Arc<dyn Broker>,
    /// Where state is kept.
    pub database: Database,
    /// What its commits promise. Under exactly-once the outbox has a transactional id.
    pub guarantee: Guarantee,
    /// What follows where the position that a state belongs to is no longer in the log.
    pub on_missing_offset: OnMissingOffset,
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
    /// By part and store; tables have none.
    changelogs: Vec<Vec<Option<TopicId>>>,
    broker: Arc<dyn Broker>,
    admin: Option<Box<dyn Admin>>,
    database: Database,
    guarantee: Guarantee,
    on_missing_offset: OnMissingOffset,
    commit_interval: Duration,
    clock: Arc<dyn Clock>,
    metrics: AppMetrics,
    counters: Vec<Vec<NodeMetrics>>,
    lag: Share,
    partitions: Share,
    paused: Share,
    restoring: Share,
    uncommitted: Share,
    board: Board,
    observer: Option<Arc<dyn Observer>>,
    tasks: BTreeMap<TaskId, Task>,
    /// Tasks that are not complete yet.
    coming: BTreeMap<TaskId, Coming>,
    following: Following,
    /// Given by the group, and not open yet.
    unopened: Vec<TopicPartition>,
    /// Open partitions, with what is committed of each, or where it began.
    open: BTreeMap<TopicPartition, Position>,
    held: BTreeSet<TopicPartition>,
    /// Effects that the outbox has not taken whole.
    pending: VecDeque<Pending>,
    pending_bytes: usize,
    ledger: Ledger,
    sealed: Option<Sealed>,
    /// A commit is due, and the tasks let out what waits for it: they do nothing else until it is sealed.
    flushing: bool,
    by_hand: bool,
    in_transaction: bool,
    committed_at: Instant,
    commit_took: Duration,
    /// Whether the last step found nothing to do.
    is_idle: bool,
    /// The task whose turn is first.
    first: Option<TaskId>,
    aborted_at: Option<Instant>,
    aborts_in_a_row: u32,
    swept_at: Instant,
    /// When positions were last committed whether or not they moved.
    refreshed_at: Timestamp,
    /// When progress of a restore was last logged, while there is one.
    restore_logged: Option<Instant>,
    /// When the board was last brought up to date; `None`: it is due.
    status_at: Option<Instant>,
    trouble: Option<String>,
}

/// Where a node counts; `operator` where it is no function.
struct NodeMetrics {
    step: FunctionMetrics,
    operator: Option<OperatorMetrics>,
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
    pub fn new(mut parts: Parts) -> Result<Self, Error> {
        let topology = &parts.code.topology;
        let outputs = topology.outputs.iter().map(|topic| parts.outbox.topic(topic));
        let topics = outputs.collect::<Result<_, _>>()?;
        let changelogs = changelogs(&parts.code, parts.outbox.as_mut())?;
        for node in parts.code.topology.nodes().filter(|node| node.function().is_some()) {
            parts.board.function(&node.name, |_| {});
        }
        parts.board.worker(parts.number, WorkerStatus::default());
        let client = format!("{}-{}", parts.code.topology.app, parts.number);
        Ok(Worker {
            number: parts.number,
            inbox: parts.inbox,
            outbox: parts.outbox,
            topics,
            changelogs,
            following: Following::new(Arc::clone(&parts.broker), client),
            broker: parts.broker,
            admin: None,
            database: parts.database,
            guarantee: parts.guarantee,
            on_missing_offset: parts.on_missing_offset,
            commit_interval: parts.commit_interval,
            lag: parts.metrics.lag(),
            partitions: parts.metrics.partitions(),
            paused: parts.metrics.paused(),
            restoring: parts.metrics.restoring(),
            uncommitted: parts.metrics.uncommitted(),
            counters: counters(&parts.code, &parts.metrics),
            metrics: parts.metrics,
            board: parts.board,
            ledger: Ledger::new(parts.observer.is_some()),
            observer: parts.observer,
            code: parts.code,
            tasks: BTreeMap::new(),
            coming: BTreeMap::new(),
            unopened: Vec::new(),
            open: BTreeMap::new(),
            held: BTreeSet::new(),
            pending: VecDeque::new(),
            pending_bytes: 0,
            sealed: None,
            flushing: false,
            by_hand: false,
            in_transaction: false,
            committed_at: Instant::now(),
            commit_took: Duration::ZERO,
            is_idle: false,
            first: None,
            aborted_at: None,
            aborts_in_a_row: 0,
            swept_at: Instant::now(),
            refreshed_at: parts.clock.now(),
            clock: parts.clock,
            restore_logged: None,
            status_at: None,
            trouble: None,
        })
    }

    /// One round: what the outbox has to say, what state is made of, a turn of each task, one event, a commit where one
    /// is due.
    ///
    /// # Errors
    /// Where the clients or the disk are of no more use, or the app cannot go on.
    pub fn step(&mut self, wait: Duration) -> Result<Step, Error> {
        self.acknowledge(Duration::ZERO)?;
        self.perform()?;
        // Before the tasks' turns: a table's row that was there before a record is seen by it.
        let brought = self.bring_up()?;
        let worked = self.work()?;
        self.balance();
        let wait =
            if worked || brought || self.flushing { Duration::ZERO } else { self.patience(wait) };
        let wait = self.wait_for_answers(wait)?;
        let event = match self.inbox.poll(wait) {
            Ok(event) => event,
            Err(broker::Error::Retriable(trouble)) => {
                self.troubled(&trouble);
                None
            }
            Err(other) => return Err(other.into()),
        };
        let read = event.is_some();
        if let Some(event) = event {
            self.trouble = None;
            self.handle(event)?;
        }
        self.is_idle = !(worked || brought || read);
        self.sweep()?;
        let committed = self.commit()?;
        self.report();
        Ok(if self.is_idle && !committed { Step::Idle } else { Step::Busy })
    }

    /// Whether all that was read is handled, produced, acknowledged and committed, and every input was read to its end
    /// (where a record is waited with, or its task is paused, up to that record).
    pub fn is_settled(&self) -> bool {
        let now = self.clock.now();
        self.tasks.values().all(|task| task.is_settled(now))
            && self.coming.is_empty()
            && self.unopened.is_empty()
            && self.pending.is_empty()
            && !self.ledger.is_dirty()
            && self.sealed.is_none()
    }

    /// The tasks at work.
    pub fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Goes on with other code, from the next batch on. The topology must read and write the same topics.
    ///
    /// # Errors
    /// Where the disk is of no more use.
    pub fn swap(&mut self, code: &Code) -> Result<(), Error> {
        self.code = code.clone();
        let (topology, now) = (Arc::clone(&self.code.topology), self.clock.now());
        for (id, task) in &mut self.tasks {
            task.swap(Arc::clone(&topology.parts[id.part]), self.code.operators(id.part), now)?;
        }
        self.counters = counters(&self.code, &self.metrics);
        Ok(())
    }

    /// Nodes whose time follows the clock where nothing is read do so only when somebody hurries them.
    pub fn follow_by_hand(&mut self) {
        self.by_hand = true;
    }

    /// Nodes of a part whose time follows the clock where nothing is read do so at once, as if nothing had been read for
    /// long.
    pub fn hurry(&mut self, part: usize) {
        let now = self.clock.now();
        let tasks = self.tasks.iter_mut().filter(|(id, _)| id.part == part);
        tasks.for_each(|(_, task)| task.hurry(now));
    }

    /// A task is there, or made anew.
    pub(super) fn add(&mut self, id: TaskId, mut task: Task) {
        if self.by_hand {
            task.follow_by_hand();
        }
        self.tasks.insert(id, task);
    }

    /// Paused tasks try again.
    pub fn resume(&mut self) {
        self.tasks.values_mut().for_each(Task::resume);
    }

    /// Waits for acknowledgements, commits, and leaves the group. What cannot be finished within `patience` is left
    /// uncommitted: the next owner does it again.
    pub fn close(mut self, patience: Duration) {
        let drained = self.drain(patience);
        let app = &*self.code.topology.app;
        match drained {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(app, worker = self.number, "left uncommitted: no time is left")
            }
            Err(error) => tracing::warn!(app, worker = self.number, %error, "left uncommitted"),
        }
        // Whoever reads the outputs need not wait for its time-out. What is being decided cannot be aborted any more.
        let decided = !self.sealed.as_ref().is_some_and(Sealed::is_being_decided);
        if decided && let Err(error) = self.abort_transaction() {
            tracing::debug!(worker = self.number, %error, "the open transaction");
        }
        self.leave_group();
    }

    /// Leaves the group and drops what is not committed: the clients are of no more use.
    pub fn abandon(self) {
        self.leave_group();
    }

    /// Leases and what is not sent go before somebody else is given the partitions.
    fn leave_group(mut self) {
        self.tasks.clear();
        self.coming.clear();
        drop(self.outbox);
        self.inbox.close();
    }

    /// How long a step may sleep.
    fn patience(&self, wait: Duration) -> Duration {
        let mut wait = wait.min(IDLE_WAIT);
        if self.is_waiting() {
            wait = wait.min(ACK_WAIT);
        }
        if self.following.is_reading() {
            wait = wait.min(FOLLOW_WAIT);
        }
        if self.ledger.is_dirty() && self.sealed.is_none() {
            wait = wait.min(self.time_left());
        }
        wait
    }

    /// Whether an answer of the outbox is waited for.
    fn is_waiting(&self) -> bool {
        self.ledger.outstanding() > 0 || !self.pending.is_empty() || self.sealed.is_some()
    }

    /// Where nothing but answers of the outbox is waited for, waits there. How long to wait elsewhere.
    fn wait_for_answers(&mut self, wait: Duration) -> Result<Duration, Error> {
        if wait.is_zero() || self.sealed.is_none() || self.ledger.sealed_outstanding() == 0 {
            return Ok(wait);
        }
        self.acknowledge(wait)?;
        Ok(Duration::ZERO)
    }

    /// Whether a transaction holds a sealed epoch: nothing is produced until it is committed.
    fn is_transaction_sealed(&self) -> bool {
        self.guarantee == Guarantee::ExactlyOnce && self.sealed.is_some()
    }

    /// Whether there is room for further effects.
    fn has_room(&self) -> bool {
        match self.is_transaction_sealed() {
            true => self.pending.len() < PENDING_MAX && self.pending_bytes < PENDING_BYTES_MAX,
            false => self.pending.is_empty(),
        }
    }

    /// Whether a commit is to be waited for before anything else is done: its memory is needed.
    fn is_full(&self) -> bool {
        match self.sealed {
            None => self.is_urgent(),
            Some(_) => {
                self.ledger.open_records() > EPOCH_RECORDS_MAX
                    || self.uncommitted_bytes() > 2 * OVERLAY_BYTES_MAX
            }
        }
    }

    /// A turn of each task, as long as the outbox keeps up and no commit is overdue.
    fn work(&mut self) -> Result<bool, Error> {
        if self.is_full() || self.flushing {
            return Ok(false);
        }
        let now = self.clock.now();
        let mut worked = false;
        let mut ids: Vec<TaskId> = self.tasks.keys().copied().collect();
        // Whoever came too late the last time is first now.
        let first = self.first.take().and_then(|first| ids.binary_search(&first).ok());
        ids.rotate_left(first.unwrap_or(0));
        for id in ids {
            if !self.has_room() || self.is_late() {
                self.first = Some(id);
                break;
            }
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            if let Turn::Worked { effects, failed } = task.turn(now)? {
                worked = true;
                self.take(id, effects, failed.as_deref())?;
            }
        }
        Ok(worked)
    }

    /// Whether a commit is overdue: a transaction must not be open too long, however many tasks there are.
    fn is_late(&self) -> bool {
        self.sealed.is_none()
            && self.in_transaction
            && self.committed_at.elapsed() > self.commit_interval + LATE
    }

    /// Deletes some values whose time to live is over.
    fn sweep(&mut self) -> Result<(), Error> {
        if self.swept_at.elapsed() < SWEEP_INTERVAL {
            return Ok(());
        }
        self.swept_at = Instant::now();
        let now = self.clock.now();
        for (id, task) in &mut self.tasks {
            if task.sweep(now, SWEEP_KEYS)? > 0 {
                self.ledger.touch(*id);
            }
        }
        self.metrics.stored(self.swept_at.elapsed());
        Ok(())
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

    fn handle(&mut self, event: Event) -> Result<(), Error> {
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
                if !task.take_moved().is_empty() {
                    let id = task.id();
                    self.ledger.touch(id);
                }
                Ok(())
            }
            Event::Assigned(partitions) => self.assigned(partitions),
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
}

fn counters(code: &Code, metrics: &AppMetrics) -> Vec<Vec<NodeMetrics>> {
    let node = |node: &crate::topology::Node| NodeMetrics {
        step: metrics.function(&node.name),
        operator: node.function().is_none().then(|| metrics.operator(&node.name)),
    };
    let nodes = |part: &Arc<crate::topology::SubTopology>| part.nodes.iter().map(node).collect();
    code.topology.parts.iter().map(nodes).collect()
}

fn changelogs(
    code: &Code,
    outbox: &mut dyn Outbox,
) -> Result<Vec<Vec<Option<TopicId>>>, broker::Error> {
    let mut changelogs = Vec::new();
    for part in &code.topology.parts {
        let stores = part.stores.iter().map(|store| match store.kind {
            Kind::Table => Ok(None),
            _ => outbox.topic(&store.topic).map(Some),
        });
        changelogs.push(stores.collect::<Result<_, _>>()?);
    }
    Ok(changelogs)
}

fn partition_of(task: &Task, input: usize) -> TopicPartition {
    TopicPartition {
        topic: Arc::clone(&task.part().inputs[input].topic),
        partition: task.id().partition,
    }
}
