//! A process that runs one manifest: what `dev` and `run` have in common.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, PoisonError},
};

use anyhow::{Context as _, bail};
use tokio::sync::oneshot;

use super::{state::State, stop::Stop};
use crate::{
    broker::{Broker, kafka::KafkaBroker, memory::MemoryLog},
    clock::SystemClock,
    guest::Component,
    http::{self, ApiSettings, One, Token, UPLOAD_BYTES_MAX},
    manifest::{Manifest, parse_listen},
    metrics::Metrics,
    registry::DataDir,
    supervisor::{App, AppSettings},
    worker::Observer,
};

/// Where health, metrics and topics are served.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ListenArgs {
    /// Where HTTP is served [default: the manifest's host.listen, else 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address)]
    listen: Option<SocketAddr>,
    /// The file with the token that guards HTTP [default: the variable TIDEMILL_TOKEN]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    parse_listen(text)
        .ok_or_else(|| "expected an address and a port, such as 127.0.0.1:8080".to_owned())
}

/// The edges of the process: data directory, port, log. The app comes and goes between them.
pub(super) struct Process {
    pub(super) app: One,
    pub(super) address: SocketAddr,
    broker: Arc<dyn Broker>,
    log: Option<MemoryLog>,
    metrics: Metrics,
    token: Option<Token>,
    listener: Option<TcpListener>,
    state: State,
    _data: Option<DataDir>,
}

impl Process {
    /// Takes data directory and port, before anything is asked of Kafka. The embedded log keeps nothing on disk, so
    /// its users need no data directory unless they say so.
    pub(super) fn open(
        manifest: &Manifest,
        args: &ListenArgs,
        always_lock: bool,
    ) -> anyhow::Result<Process> {
        let token = Token::find(args.token_file.as_deref())?;
        let data = if always_lock || manifest.kafka.is_some() {
            Some(DataDir::open(&manifest.host.data)?)
        } else {
            None
        };
        let listener = http::listen(args.listen.unwrap_or(manifest.host.listen), token.as_ref())?;
        let address = listener.local_addr().context("cannot tell where it listens")?;
        let log = manifest.kafka.is_none().then(MemoryLog::new);
        let broker: Arc<dyn Broker> = match (&manifest.kafka, &log) {
            (Some(kafka), _) => {
                if let Some(connection) = &kafka.connection {
                    bail!(
                        "{}: kafka = \"{connection}\" names a connection of a host: write [kafka] with its properties, \
                         or use `tidemill deploy`",
                        manifest.file
                    );
                }
                Arc::new(KafkaBroker::new(kafka.properties.clone()))
            }
            (None, Some(log)) => Arc::new(log.clone()),
            (None, None) => Arc::new(MemoryLog::new()),
        };
        let memory = manifest.host.state_memory;
        let state = match &data {
            Some(data) if log.is_none() => State::in_data(data.path(), memory)?,
            _ => State::temporary(memory)?,
        };
        let listener = Some(listener);
        let (app, metrics) = (One::default(), Metrics::new());
        Ok(Process { app, address, broker, log, metrics, token, listener, state, _data: data })
    }

    /// What topics are kept in, for messages.
    pub(super) fn log_name(&self) -> &str {
        self.broker.name()
    }

    /// Starts the app. Waits for the broker.
    pub(super) fn start(
        &self,
        manifest: &Manifest,
        components: &BTreeMap<String, Component>,
        observer: Option<Arc<dyn Observer>>,
    ) -> anyhow::Result<()> {
        let app = App::start(AppSettings {
            manifest: manifest.clone(),
            components: components.clone(),
            broker: Arc::clone(&self.broker),
            create_topics: self.log.is_some(),
            database: self.state.database.clone(),
            workers: manifest.host.workers,
            metrics: self.metrics.clone(),
            clock: Arc::new(SystemClock),
            observer,
        })?;
        *self.app.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(app);
        Ok(())
    }

    /// Finishes the batches at hand, commits, leaves the group.
    pub(super) fn stop(&self) {
        let app = self.app.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(app) = app {
            app.stop();
        }
    }

    /// Does something with the app, where there is one.
    pub(super) fn with<T>(&self, use_app: impl FnOnce(&mut App) -> T) -> Option<T> {
        self.app.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(use_app)
    }

    /// Serves HTTP until told not to. Called once, inside a runtime.
    pub(super) fn serve(&mut self) -> anyhow::Result<Server> {
        let listener = self.listener.take().context("it is served already")?;
        let router = http::router(ApiSettings {
            token: self.token.clone(),
            metrics: self.metrics.clone(),
            log: self.log.clone(),
            apps: Arc::new(self.app.clone()),
            host: None,
            upload_bytes_max: UPLOAD_BYTES_MAX,
        });
        let (close, closed) = oneshot::channel::<()>();
        let task = tokio::spawn(http::serve(listener, router, async {
            // An error means that the sender is gone: the same.
            let _ = closed.await;
        }));
        Ok(Server { close, task })
    }
}

/// HTTP at work.
pub(super) struct Server {
    close: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn close(self) -> anyhow::Result<()> {
        let _ = self.close.send(());
        self.task.await.context("HTTP ended badly")?.context("HTTP ended badly")
    }
}

/// Stops the app gracefully, at once on a second signal.
pub(super) async fn end(
    process: &Arc<Process>,
    server: Server,
    stop: &mut Stop,
) -> anyhow::Result<()> {
    let stopping = Arc::clone(process);
    let stopped = tokio::task::spawn_blocking(move || stopping.stop());
    tokio::select! {
        stopped = stopped => stopped.context("the app could not be stopped")?,
        () = stop.asked() => bail!("stopped at once by a second signal"),
    }
    server.close().await
}
