//! An app on the embedded log, driven by hand: records in, effects out, time moved by the test.
//!
//! It is the real thing but for the thread: the worker's loop is stepped until nothing is left to do, so effects
//! are complete when a call returns, and a test needs no waiting.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{Effect, Header, Initial, Stimulus};
use crate::{
    broker::{
        self, Broker as _, InboxSettings, OnMissingOffset, OutboxSettings, Start,
        memory::{Append, MemoryLog},
    },
    clock::{Clock, ManualClock},
    guest::Component,
    manifest::{Guarantee, Manifest},
    metrics::Metrics,
    record::{HeadersWriter, Partition, Record, Timestamp},
    store::{self, Database, DatabaseSettings},
    supervisor::{self, AppSettings, ReadError, Stores, TableParts, Tables},
    task::Verdict,
    topology::Topology,
    worker::{self, Board, Code, Observer, Parts, Produced, Step, View, Worker},
};

/// A case that runs longer than this has no end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Memory for the state of a driver.
const MEMORY_BYTES: usize = 16 << 20;

/// How a [`TaskDriver`] begins.
#[derive(Debug, Clone, Copy)]
pub struct DriverSettings {
    /// Partitions of every topic.
    pub partitions: u32,
    /// The wall clock at the begin.
    pub now: Timestamp,
}

/// Why a drive cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The app does not start.
    #[error(transparent)]
    Start(#[from] supervisor::Error),
    /// The worker ended.
    #[error(transparent)]
    Worker(#[from] worker::Error),
    /// The log refused something.
    #[error(transparent)]
    Broker(#[from] broker::Error),
    /// The app reads no such topic.
    #[error("the app reads no topic `{topic}`; it reads {known}")]
    UnknownTopic {
        /// What was named.
        topic: String,
        /// What it reads.
        known: String,
    },
    /// What it is to begin with cannot be.
    #[error("{0}")]
    Initial(String),
    /// What it keeps cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// There is no place for state.
    #[error(transparent)]
    Disk(#[from] store::Error),
    /// There is no folder for state.
    #[error("no temporary folder can be made for state")]
    Folder(#[source] std::io::Error),
    /// It never comes to rest.
    #[error("the app is still at work after {} s: does it feed itself?", PATIENCE.as_secs())]
    Endless,
}

/// See the module's page.
pub struct TaskDriver {
    settings: AppSettings,
    log: MemoryLog,
    clock: Arc<ManualClock>,
    code: Code,
    effects: Arc<Collector>,
    /// Broadcast tables, where there are any.
    tables: Option<Tables>,
    worker: Option<Worker>,
    shows_internal: bool,
    pub(super) topics: supervisor::Topics,
    board: Board,
    /// Behind all that uses what is on it.
    disk: TempDir,
}

impl TaskDriver {
    /// Starts the app, as `tidemill dev` would, on an empty log.
    ///
    /// # Errors
    /// As an app that does not start.
    pub fn new(
        manifest: &Manifest,
        components: BTreeMap<String, Component>,
        settings: DriverSettings,
    ) -> Result<Self, DriveError> {
        TaskDriver::begin(manifest, components, settings, &Initial::default())
    }

    /// Starts the app with state and rows, as if it had run before.
    ///
    /// # Errors
    /// As an app that does not start; and where it has no such store or table.
    pub fn begin(
        manifest: &Manifest,
        components: BTreeMap<String, Component>,
        settings: DriverSettings,
        initial: &Initial,
    ) -> Result<Self, DriveError> {
        let topology = Topology::build(manifest, &components).map_err(supervisor::Error::from)?;
        TaskDriver::run(manifest.clone(), components, topology, settings, initial)
    }

    /// Starts an app that a [`Builder`](crate::topology::Builder) made, on an empty log.
    ///
    /// # Errors
    /// As an app that does not start.
    pub fn of(topology: Topology, settings: DriverSettings) -> Result<Self, DriveError> {
        let manifest = Manifest::bare(&topology.app);
        TaskDriver::run(manifest, BTreeMap::new(), topology, settings, &Initial::default())
    }

    fn run(
        mut manifest: Manifest,
        components: BTreeMap<String, Component>,
        topology: Topology,
        settings: DriverSettings,
        initial: &Initial,
    ) -> Result<Self, DriveError> {
        let log = MemoryLog::new();
        let clock = Arc::new(ManualClock::new(settings.now));
        let effects = Arc::new(Collector::default());
        let topology = Arc::new(topology);
        let tables: Vec<_> = topology.tables().map(|table| Arc::clone(&table.spec.topic)).collect();
        for topic in topology.topics().chain(&topology.outputs).chain(&tables) {
            let topic = manifest.topics.entry(topic.to_string()).or_default();
            topic.partitions = Some(settings.partitions);
            topic.replicas = None;
        }
        let (database, disk) = empty_disk()?;
        let dyn_clock: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let settings = AppSettings {
            manifest,
            components,
            broker: Arc::new(log.clone()),
            create_topics: true,
            database,
            workers: 1,
            metrics: Metrics::new(),
            clock: dyn_clock,
            observer: Some(Arc::clone(&effects) as _),
        };
        let topics = supervisor::ensure(&settings, &topology)?;
        let code = supervisor::prepare(&topology, &settings.clock, &topics)?;
        let mut driver = TaskDriver {
            settings,
            log,
            clock,
            code,
            effects,
            tables: None,
            worker: None,
            shows_internal: false,
            topics,
            board: Board::default(),
            disk,
        };
        initial.write(&driver)?;
        driver.start()?;
        driver.settle()?;
        Ok(driver)
    }

    fn start(&mut self) -> Result<(), DriveError> {
        self.tables = Tables::open(TableParts {
            topology: Arc::clone(&self.code.topology),
            broker: Arc::clone(&self.settings.broker),
            database: self.settings.database.clone(),
            clock: Arc::clone(&self.settings.clock),
        })?;
        self.worker = Some(self.make()?);
        Ok(())
    }

    fn make(&self) -> Result<Worker, worker::Error> {
        let app = self.settings.manifest.app.as_str();
        let topology = &self.code.topology;
        let inbox = self.log.inbox(InboxSettings {
            group: app.to_owned(),
            topics: topology.topics().map(|topic| topic.to_string()).collect(),
            start: Start::Earliest,
            on_missing_offset: OnMissingOffset::Fail,
            batch_records: 500,
            batch_bytes: 64 << 10,
            client_id: app.to_owned(),
        })?;
        let outbox = self.log.outbox(OutboxSettings {
            // Always the same, so that a worker that starts anew fences the one that was killed.
            transactional_id: match self.settings.manifest.guarantee {
                Guarantee::ExactlyOnce => Some(format!("{app}-driver")),
                Guarantee::AtLeastOnce => None,
            },
            transaction_timeout: Duration::from_secs(10),
            client_id: app.to_owned(),
        })?;
        let mut worker = Worker::new(Parts {
            number: 0,
            inbox,
            outbox,
            code: self.code.clone(),
            broker: Arc::clone(&self.settings.broker),
            database: self.settings.database.clone(),
            guarantee: self.settings.manifest.guarantee,
            on_missing_offset: OnMissingOffset::Fail,
            commit_interval: Duration::ZERO,
            clock: Arc::clone(&self.settings.clock),
            metrics: self.settings.metrics.app(app),
            board: self.board.clone(),
            observer: self.settings.observer.clone(),
        })?;
        worker.follow_by_hand();
        Ok(worker)
    }

    /// Whether records of repartition topics are among the effects too.
    pub fn show_internal(&mut self, shows: bool) {
        self.shows_internal = shows;
    }

    /// What its functions keep: what is committed, so all of it between two calls.
    pub fn stores(&self) -> Stores {
        let topics = &self.topics.stores;
        Stores::new(&self.settings.database, &self.code.topology, topics, &self.board)
    }

    /// Whether a topic is the app's own, through which records go on under another key.
    fn is_internal(&self, topic: &str) -> bool {
        self.code.topology.repartitions.iter().any(|repartition| *repartition.topic == *topic)
    }

    /// The wall clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The log the app runs on.
    pub fn log(&self) -> &MemoryLog {
        &self.log
    }

    /// Sends a record, moves the wall clock to its time where that is later, and answers what the app did until
    /// nothing was left to do: through all its topics.
    ///
    /// # Errors
    /// Where the app does not read the topic, or cannot go on.
    pub fn send(&mut self, topic: &str, record: &Stimulus) -> Result<Vec<Effect>, DriveError> {
        let topology = &self.code.topology;
        let tables = || topology.tables().map(|table| &table.spec.topic);
        if topology.reader(topic).is_none() && !tables().any(|table| **table == *topic) {
            let known: BTreeSet<String> =
                topology.topics().chain(tables()).map(|topic| format!("`{topic}`")).collect();
            let known: Vec<String> = known.into_iter().collect();
            return Err(DriveError::UnknownTopic {
                topic: topic.to_owned(),
                known: known.join(", "),
            });
        }
        let mut headers = HeadersWriter::new();
        for (name, value) in &record.headers {
            headers.push(name, value.as_deref());
        }
        self.clock.advance_to(record.timestamp);
        self.log.append(
            topic,
            &Append {
                partition: record.partition.map(Partition),
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: headers.headers(),
                timestamp: Some(record.timestamp),
            },
        )?;
        self.settle()
    }

    /// Moves the wall clock there, with nothing to come from any input for as long as results wait for that, and answers
    /// what the app did because of it. What feeds others through topics goes first, so that nothing is late for them.
    ///
    /// # Errors
    /// Where the app cannot go on.
    pub fn at(&mut self, now: Timestamp) -> Result<Vec<Effect>, DriveError> {
        self.clock.advance_to(now);
        let mut effects = self.settle()?;
        for part in self.code.topology.in_order() {
            if let Some(worker) = &mut self.worker {
                worker.hurry(part);
            }
            effects.extend(self.settle()?);
        }
        Ok(effects)
    }

    /// Kills the worker without a further commit, wipes its disk, and starts another one, which restores what functions
    /// keep from the changelogs. What it does again is answered too.
    ///
    /// # Errors
    /// Where the app cannot go on.
    pub fn restart(&mut self) -> Result<Vec<Effect>, DriveError> {
        if let Some(worker) = self.worker.take() {
            worker.abandon();
        }
        self.tables = None;
        (self.settings.database, self.disk) = empty_disk()?;
        self.start()?;
        self.settle()
    }

    fn settle(&mut self) -> Result<Vec<Effect>, DriveError> {
        let deadline = Instant::now() + PATIENCE;
        if let Some(worker) = &mut self.worker {
            loop {
                let followed = self.tables.as_mut().map(|tables| tables.step(Duration::ZERO));
                let followed = followed.transpose()?.unwrap_or(false);
                let worked = worker.step(Duration::ZERO)? == Step::Busy;
                if !followed && !worked && worker.is_settled() && worker.tasks() > 0 {
                    break;
                }
                if Instant::now() > deadline {
                    return Err(DriveError::Endless);
                }
            }
        }
        let mut effects = self.effects.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut effects = std::mem::take(&mut *effects);
        if !self.shows_internal {
            effects.retain(|effect| match effect {
                Effect::Out { topic, .. } => !self.is_internal(topic),
                _ => true,
            });
        }
        Ok(effects)
    }
}

/// An empty database, and the folder that it is in.
fn empty_disk() -> Result<(Database, TempDir), DriveError> {
    let folder = tempfile::tempdir().map_err(DriveError::Folder)?;
    let database = Database::open(folder.path(), DatabaseSettings { memory_bytes: MEMORY_BYTES })?;
    Ok((database, folder))
}

/// Gathers what the worker shows.
#[derive(Debug, Default)]
struct Collector(Mutex<Vec<Effect>>);

impl Observer for Collector {
    fn observe(&self, view: &View<'_>) {
        let mut effects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        effects.extend(view.outputs.iter().map(out));
        effects.extend(view.late.iter().map(|late| Effect::Late {
            store: late.node.to_owned(),
            key: late.key.map(<[u8]>::to_vec),
            value: late.value.map(<[u8]>::to_vec),
        }));
        let Some(failure) = &view.failure else { return };
        let function = failure.function.to_owned();
        let reason = format!("{}: {}", failure.reason.kind(), failure.reason);
        match failure.verdict {
            Verdict::DeadLetter => effects.push(Effect::Dead {
                function,
                key: view.record.key.map(<[u8]>::to_vec),
                value: view.record.value.map(<[u8]>::to_vec),
                reason,
            }),
            Verdict::Wait(_) => {
                effects.push(Effect::Retry { function, attempt: failure.attempts, reason })
            }
            Verdict::Pause => effects.push(Effect::Pause { function, reason }),
            Verdict::Again => {}
        }
    }
}

fn out(produced: &Produced<'_>) -> Effect {
    let Record { timestamp, key, value, headers, .. } = produced.record;
    let header = |header: crate::record::Header<'_>| -> Header {
        (header.name.to_owned(), header.value.map(<[u8]>::to_vec))
    };
    Effect::Out {
        topic: produced.topic.to_owned(),
        partition: produced.partition.0,
        timestamp,
        key: key.map(<[u8]>::to_vec),
        value: value.map(<[u8]>::to_vec),
        headers: headers.iter().map(header).collect(),
    }
}
