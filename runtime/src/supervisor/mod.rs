//! Apps: started, watched, given new code, stopped.
//!
//! An [`App`] has its own worker threads, each with its own consumer and producer, so that one app's lag or faults
//! never stop another; the operating system shares the cores. The supervisor never touches a task: it sends a message
//! to a worker and reads the status board.

mod code;
mod follower;
pub mod host;
mod identity;
mod stores;
mod tables;
mod thread;
mod topics;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::sync::watch;

use crate::{
    aggregate, bind,
    broker::{self, Broker},
    clock::Clock,
    guest::{Component, Fault},
    manifest::Manifest,
    metrics::Metrics,
    store::{self, Database},
    topology::{self, Topology},
    worker::{self, Board, Code, FunctionStatus, Observer, PartitionStatus},
};
use follower::TableFollower;
use thread::{Command, Runner};

pub use stores::{
    Cursor, Found, FoundWindow, Listed, ListedWindows, ReadError, Stores, Wanted, WantedWindows,
};
pub use tables::{TableParts, Tables};

pub(crate) use code::prepare;
pub(crate) use topics::{Topics, ensure};

/// How long a stopping worker waits for its outputs to be acknowledged.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// A member without partitions counts as ready after this: there may be more members than partitions.
const READY_WITHOUT_PARTITIONS: Duration = Duration::from_secs(5);

/// What an app is started with.
#[derive(Clone)]
pub struct AppSettings {
    /// What it is.
    pub manifest: Manifest,
    /// The code of every function, by the manifest's name.
    pub components: BTreeMap<String, Component>,
    /// Where its topics are.
    pub broker: Arc<dyn Broker>,
    /// Whether topics that the manifest does not declare are created too: so on the embedded log.
    pub create_topics: bool,
    /// Where state is kept.
    pub database: Database,
    /// Worker threads.
    pub workers: usize,
    /// Where it counts.
    pub metrics: Metrics,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who watches.
    pub observer: Option<Arc<dyn Observer>>,
}

/// Why an app does not start, or takes no other code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Manifest and code do not fit.
    #[error(transparent)]
    Topology(#[from] bind::Error),
    /// A topic is missing or is not as it must be.
    #[error("{0}")]
    Topic(String),
    /// The broker cannot be used.
    #[error(transparent)]
    Broker(#[from] broker::Error),
    /// State cannot be kept.
    #[error(transparent)]
    State(#[from] store::Error),
    /// State was made for something else.
    #[error(transparent)]
    Aggregate(#[from] aggregate::Refused),
    /// A function does not come to life.
    #[error("function `{function}`: {fault}")]
    Function {
        /// Its name in the manifest.
        function: String,
        /// What it said.
        fault: Fault,
    },
    /// No thread can be had.
    #[error("cannot start a worker thread")]
    Thread(#[source] std::io::Error),
    /// The new code reads or writes other topics.
    #[error("the new code reads or writes other topics: stop the app and start it again")]
    OtherTopics,
}

impl From<worker::Error> for Error {
    fn from(error: worker::Error) -> Self {
        match error {
            worker::Error::Broker(error) => Error::Broker(error),
            worker::Error::State(error) => Error::State(error),
            worker::Error::Aggregate(error) => Error::Aggregate(error),
        }
    }
}

/// An app at work.
pub struct App {
    name: String,
    manifest: Manifest,
    topology: Arc<Topology>,
    topics: Topics,
    clock: Arc<dyn Clock>,
    board: Board,
    started: Instant,
    workers: Vec<(SyncSender<Command>, JoinHandle<()>)>,
    tables: Option<TableFollower>,
    database: Database,
    failure: watch::Receiver<Option<String>>,
}

/// What an app says of itself.
#[derive(Debug, Clone, Serialize)]
pub struct AppStatus {
    /// Its name.
    pub app: String,
    /// `running` or `failed`.
    pub state: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What hinders it at present.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trouble: Vec<String>,
    /// Records behind, over the partitions read here.
    pub lag: i64,
    /// Its functions, by name.
    pub functions: BTreeMap<String, FunctionReport>,
    /// The partitions read here.
    pub partitions: Vec<PartitionStatus>,
}

/// What an app says of a function.
#[derive(Debug, Clone, Serialize)]
pub struct FunctionReport {
    /// The digest of its code.
    pub digest: String,
    /// What it did.
    #[serde(flatten)]
    pub status: FunctionStatus,
}

impl App {
    /// Checks manifest, code and topics, creates what is declared, and starts the workers.
    ///
    /// # Errors
    /// With all that is wrong; nothing is running then.
    pub fn start(settings: AppSettings) -> Result<App, Error> {
        let topology = Arc::new(Topology::build(&settings.manifest, &settings.components)?);
        let topics = ensure(&settings, &topology)?;
        let code = prepare(&topology, &settings.clock, &topics)?;
        identity::fence_former(&settings)?;
        let board = Board::default();
        // Shown from the start, before the first worker has come to life.
        let metrics = settings.metrics.app(settings.manifest.app.as_str());
        for node in topology.nodes() {
            metrics.function(&node.name);
            board.function(&node.name, |_| {});
        }
        let (failed, failure) = watch::channel(None);
        let mut app = App {
            name: settings.manifest.app.as_str().to_owned(),
            manifest: settings.manifest.clone(),
            topology,
            topics,
            clock: Arc::clone(&settings.clock),
            board: board.clone(),
            started: Instant::now(),
            workers: Vec::new(),
            tables: None,
            database: settings.database.clone(),
            failure,
        };
        let tables = TableParts {
            topology: Arc::clone(&app.topology),
            broker: Arc::clone(&settings.broker),
            database: settings.database.clone(),
            clock: Arc::clone(&settings.clock),
        };
        match TableFollower::start(tables, &board, settings.workers.max(1)) {
            Ok(tables) => app.tables = tables,
            Err(error) => return Err(Error::Thread(error)),
        }
        for number in 0..settings.workers.max(1) {
            // Few messages come, one after another.
            let (commands, receiver) = sync_channel(4);
            let runner = Runner {
                number,
                settings: settings.clone(),
                code: code.clone(),
                board: board.clone(),
                commands: receiver,
                failed: failed.clone(),
            };
            let name = format!("{}-{number}", app.name);
            match std::thread::Builder::new().name(name).spawn(move || runner.run()) {
                Ok(handle) => app.workers.push((commands, handle)),
                Err(error) => {
                    app.stop();
                    return Err(Error::Thread(error));
                }
            }
        }
        Ok(app)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it runs.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What it runs, as a graph.
    pub fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// Becomes `Some` where the app has failed: a worker cannot go on.
    pub fn failure(&self) -> watch::Receiver<Option<String>> {
        self.failure.clone()
    }

    /// Whether it has joined its group and nothing hinders it.
    pub fn is_ready(&self) -> bool {
        let workers = self.board.workers();
        let at_work = workers.iter().any(|worker| !worker.partitions.is_empty());
        self.failure.borrow().is_none()
            && workers.iter().all(|worker| worker.trouble.is_none())
            && (at_work || self.started.elapsed() >= READY_WITHOUT_PARTITIONS)
    }

    /// What it says of itself.
    pub fn status(&self) -> AppStatus {
        let workers = self.board.workers();
        let functions = self.board.functions();
        let digest = |name: &str| {
            let node = self.topology.nodes().find(|node| &*node.name == name);
            let function = node.and_then(topology::Node::function);
            function.map(|function| function.component.digest().to_string()).unwrap_or_default()
        };
        let functions = functions.into_iter().map(|(name, status)| {
            let digest = digest(&name);
            (name, FunctionReport { digest, status })
        });
        let failure = self.failure.borrow().clone();
        let mut partitions: Vec<PartitionStatus> =
            workers.iter().flat_map(|worker| worker.partitions.clone()).collect();
        partitions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        AppStatus {
            app: self.name.clone(),
            state: if failure.is_some() { "failed" } else { "running" },
            failure,
            trouble: workers.iter().filter_map(|worker| worker.trouble.clone()).collect(),
            lag: partitions.iter().filter_map(|partition| partition.lag).sum(),
            functions: functions.collect(),
            partitions,
        }
    }

    /// Goes on with other code, each worker between two of its batches.
    ///
    /// # Errors
    /// Where it does not fit, does not come to life, or [`Error::OtherTopics`]; the old code then goes on.
    pub fn swap(
        &mut self,
        manifest: Manifest,
        components: &BTreeMap<String, Component>,
    ) -> Result<(), Error> {
        let topology = Arc::new(Topology::build(&manifest, components)?);
        if !topology.reads_as(&self.topology) {
            return Err(Error::OtherTopics);
        }
        let code: Code = prepare(&topology, &self.clock, &self.topics)?;
        for (commands, _) in &self.workers {
            // A worker that is gone has said why already.
            let _ = commands.send(Command::Swap(code.clone()));
        }
        self.topology = topology;
        self.manifest = manifest;
        Ok(())
    }

    /// Has paused tasks try again.
    pub fn resume(&self) {
        for (commands, _) in &self.workers {
            let _ = commands.send(Command::Resume);
        }
    }

    /// Where its state is kept.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Finishes the batches at hand, waits for their outputs, commits, leaves the group, and joins the threads.
    pub fn stop(self) {
        for (commands, _) in &self.workers {
            let _ = commands.send(Command::Stop);
        }
        for (_, handle) in self.workers {
            if handle.join().is_err() {
                tracing::error!(app = self.name, "a worker thread panicked");
            }
        }
        if let Some(tables) = self.tables {
            tables.stop();
        }
        // So that the next start has less to read; the changelogs have it all.
        if let Err(error) = self.database.flush() {
            tracing::warn!(app = self.name, %error, "state is not flushed");
        }
    }
}
