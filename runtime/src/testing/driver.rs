//! An app on the embedded log, driven by hand: records in, effects out, time moved by the test.
//!
//! It is the real thing but for the thread: the worker's loop is stepped until nothing is left to do, so effects
//! are complete when a call returns, and a test needs no waiting.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{Effect, Header, Stimulus};
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
    store::{Database, DatabaseSettings},
    supervisor::{self, AppSettings, TableParts, Tables},
    task::Verdict,
    topology::Topology,
    worker::{Board, Code, Observer, Parts, Produced, Step, View, Worker},
};

/// A case that runs longer than this has no end.
const PATIENCE: Duration = Duration::from_secs(60);

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
    Worker(#[from] crate::worker::Error),
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
    worker: Option<Worker>,
    tables: Option<Tables>,
    _state: tempfile::TempDir,
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
        let log = MemoryLog::new();
        let clock = Arc::new(ManualClock::new(settings.now));
        let effects = Arc::new(Collector::default());
        let mut manifest = manifest.clone();
        let topology =
            Arc::new(Topology::build(&manifest, &components).map_err(supervisor::Error::from)?);
        for topic in topology.topics().chain(&topology.outputs) {
            let topic = manifest.topics.entry(topic.to_string()).or_default();
            topic.partitions = Some(settings.partitions);
            topic.replicas = None;
        }
        let folder = tempfile::tempdir().map_err(supervisor::Error::Thread)?;
        let database = Database::open(folder.path(), DatabaseSettings { memory_bytes: 16 << 20 })
            .map_err(supervisor::Error::from)?;
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
        let tables = Tables::open(TableParts {
            topology,
            broker: Arc::clone(&settings.broker),
            database: settings.database.clone(),
            clock: Arc::clone(&settings.clock),
        })?;
        let mut driver = TaskDriver {
            settings,
            log,
            clock,
            code,
            effects,
            worker: None,
            tables,
            _state: folder,
        };
        driver.worker = Some(driver.make()?);
        driver.settle()?;
        Ok(driver)
    }

    fn make(&self) -> Result<Worker, crate::worker::Error> {
        let manifest = &self.settings.manifest;
        let app = manifest.app.as_str();
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
            transactional_id: (manifest.guarantee == Guarantee::ExactlyOnce)
                .then(|| format!("{app}-driver")),
            transaction_timeout: Duration::from_secs(10),
            client_id: app.to_owned(),
        })?;
        Worker::new(Parts {
            number: 0,
            inbox,
            outbox,
            code: self.code.clone(),
            broker: Arc::new(self.log.clone()),
            database: self.settings.database.clone(),
            guarantee: manifest.guarantee,
            on_missing_offset: OnMissingOffset::Fail,
            commit_interval: Duration::ZERO,
            clock: Arc::clone(&self.settings.clock),
            metrics: self.settings.metrics.app(app),
            board: Board::default(),
            observer: self.settings.observer.clone(),
        })
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
        if self.code.topology.reader(topic).is_none() {
            let known: Vec<String> =
                self.code.topology.topics().map(|topic| format!("`{topic}`")).collect();
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

    /// Moves the wall clock there and answers what the app did because of it.
    ///
    /// # Errors
    /// Where the app cannot go on.
    pub fn at(&mut self, now: Timestamp) -> Result<Vec<Effect>, DriveError> {
        self.clock.advance_to(now);
        self.settle()
    }

    /// Kills the worker without a further commit, and starts another one. What it does again is answered too.
    ///
    /// # Errors
    /// Where the app cannot go on.
    pub fn restart(&mut self) -> Result<Vec<Effect>, DriveError> {
        if let Some(worker) = self.worker.take() {
            worker.abandon();
        }
        self.worker = Some(self.make()?);
        self.settle()
    }

    fn settle(&mut self) -> Result<Vec<Effect>, DriveError> {
        let deadline = Instant::now() + PATIENCE;
        if let Some(worker) = &mut self.worker {
            loop {
                if let Some(tables) = &mut self.tables {
                    while tables.step(Duration::ZERO)? {}
                }
                let step = worker.step(Duration::ZERO)?;
                if step == Step::Idle && worker.is_settled() && worker.tasks() > 0 {
                    break;
                }
                if Instant::now() > deadline {
                    return Err(DriveError::Endless);
                }
            }
        }
        Ok(std::mem::take(&mut *self.effects.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Gathers what the worker shows.
#[derive(Debug, Default)]
struct Collector(Mutex<Vec<Effect>>);

impl Observer for Collector {
    fn observe(&self, view: &View<'_>) {
        let mut effects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        effects.extend(view.outputs.iter().map(out));
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
            Verdict::Again | Verdict::Pause => {}
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
