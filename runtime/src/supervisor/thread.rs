//! The thread of one worker: makes it, steps it, and makes it anew where its clients have failed.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, TryRecvError},
    },
    time::Duration,
};

use tokio::sync::watch;

use super::{
    AppSettings, STOP_PATIENCE,
    identity::{Fences, in_use_elsewhere, outbox_settings},
};
use crate::{
    broker::{self, InboxSettings},
    manifest, store,
    worker::{Board, Code, Error, Parts, Worker, WorkerStatus},
};

/// The longest sleep of a step.
const WAIT: Duration = Duration::from_millis(100);
/// Waits before a worker is made anew; the last one is repeated.
const RESTART_WAITS: [Duration; 5] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
    Duration::from_secs(30),
];
/// A worker that ran that long starts with the first wait again.
const GOOD_RUN: Duration = Duration::from_secs(60);

/// What the supervisor may say.
pub(super) enum Command {
    /// Go on with other code.
    Swap(Code),
    /// Paused tasks try again.
    Resume,
    /// Finish, commit, leave.
    Stop,
}

/// A worker's thread.
pub(super) struct Runner {
    pub(super) number: usize,
    pub(super) settings: AppSettings,
    pub(super) code: Code,
    pub(super) board: Board,
    pub(super) commands: Receiver<Command>,
    pub(super) failed: watch::Sender<Option<String>>,
}

enum Ended {
    Stopped,
    Again(Error),
    Failed(Error),
}

impl Runner {
    pub(super) fn run(mut self) {
        let (mut failures, mut fences) = (0, Fences::default());
        loop {
            let begun = std::time::Instant::now();
            let error = match self.live() {
                Ended::Stopped => return,
                Ended::Failed(error) => return self.fail(&error),
                Ended::Again(error) => error,
            };
            failures = if begun.elapsed() > GOOD_RUN { 0 } else { failures };
            let wait = RESTART_WAITS[failures.min(RESTART_WAITS.len() - 1)];
            failures += 1;
            if is_fence(&error) && fences.another() {
                return self.fail(&in_use_elsewhere(&self.settings, self.number).into());
            }
            self.say_again(&error, wait);
            let trouble = Some(error.to_string());
            self.board.worker(self.number, WorkerStatus { trouble, ..WorkerStatus::default() });
            match self.commands.recv_timeout(wait) {
                Ok(Command::Stop) | Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
                Ok(Command::Swap(code)) => self.code = code,
                // A worker that is made anew has no paused tasks.
                Ok(Command::Resume) | Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn say_again(&self, error: &Error, wait: Duration) {
        let (app, worker) = (self.settings.manifest.app.as_str(), self.number);
        let wait_ms = wait.as_millis();
        // A newer owner is no trouble: it has what this one had.
        if is_fence(error) {
            tracing::info!(app, worker, wait_ms, "starting anew: {error}");
        } else {
            tracing::warn!(app, worker, wait_ms, "starting anew: {error}");
        }
    }

    fn fail(&self, error: &Error) {
        let app = self.settings.manifest.app.as_str();
        tracing::error!(app, worker = self.number, "the app cannot go on: {error}");
        self.failed.send_replace(Some(error.to_string()));
    }

    /// One life of the worker.
    fn live(&mut self) -> Ended {
        let mut worker = match self.make() {
            Ok(worker) => worker,
            Err(error) => return ended(error),
        };
        loop {
            match self.commands.try_recv() {
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => {
                    worker.close(STOP_PATIENCE);
                    return Ended::Stopped;
                }
                Ok(Command::Swap(code)) => {
                    self.code = code;
                    if let Err(error) = worker.swap(&self.code) {
                        worker.abandon();
                        return ended(error);
                    }
                }
                Ok(Command::Resume) => worker.resume(),
                Err(TryRecvError::Empty) => {}
            }
            if let Err(error) = worker.step(WAIT) {
                worker.abandon();
                return ended(error);
            }
        }
    }

    fn make(&self) -> Result<Worker, Error> {
        let manifest = &self.settings.manifest;
        let topology = &self.code.topology;
        // First: it aborts what this worker's former self left open, which an inbox may have to wait for.
        let outbox = self.settings.broker.outbox(outbox_settings(&self.settings, self.number))?;
        let client_id = format!("{}-{}", manifest.app.as_str(), self.number);
        let on_missing_offset = on_missing_offset(manifest.on_missing_offset);
        let inbox = self.settings.broker.inbox(InboxSettings {
            group: manifest.app.as_str().to_owned(),
            topics: topology.topics().map(|topic| topic.to_string()).collect(),
            start: start(manifest.start),
            on_missing_offset,
            batch_records: topology.parts.iter().map(|part| part.batch_records).max().unwrap_or(1),
            batch_bytes: topology.parts.iter().map(|part| part.batch_bytes).max().unwrap_or(1),
            client_id,
        })?;
        Worker::new(Parts {
            number: self.number,
            inbox,
            outbox,
            code: self.code.clone(),
            broker: Arc::clone(&self.settings.broker),
            database: self.settings.database.clone(),
            guarantee: manifest.guarantee,
            on_missing_offset,
            commit_interval: manifest.commit_interval,
            clock: Arc::clone(&self.settings.clock),
            metrics: self.settings.metrics.app(manifest.app.as_str()),
            board: self.board.clone(),
            observer: self.settings.observer.clone(),
        })
    }
}

/// A client that failed is made anew, after a wait, and status says why: a broker that is away shows in many ways. Only
/// what no time can mend ends the app.
fn ended(error: Error) -> Ended {
    match error {
        Error::Aggregate(_)
        | Error::Broker(broker::Error::MissingOffset { .. })
        | Error::State(store::Error::Format { .. }) => Ended::Failed(error),
        other => Ended::Again(other),
    }
}

fn is_fence(error: &Error) -> bool {
    matches!(error, Error::Broker(broker::Error::Fenced(_)))
}

pub(crate) fn start(start: manifest::Start) -> broker::Start {
    match start {
        manifest::Start::Earliest => broker::Start::Earliest,
        manifest::Start::Latest => broker::Start::Latest,
        manifest::Start::Timestamp(timestamp) => broker::Start::Timestamp(timestamp),
    }
}

fn on_missing_offset(rule: manifest::OnMissingOffset) -> broker::OnMissingOffset {
    match rule {
        manifest::OnMissingOffset::Fail => broker::OnMissingOffset::Fail,
        manifest::OnMissingOffset::Earliest => broker::OnMissingOffset::Earliest,
        manifest::OnMissingOffset::Latest => broker::OnMissingOffset::Latest,
    }
}
