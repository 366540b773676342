//! `tidemill serve`: a host that functions and apps are uploaded to.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use bytesize::ByteSize;

use super::{properties, state::State, stop::Stop};
use crate::{
    broker::{Broker, kafka::KafkaBroker, memory::MemoryLog},
    clock::SystemClock,
    guest::{Engine, EngineSettings},
    http::{ApiSettings, Token, UPLOAD_BYTES_MAX, listen, router, serve},
    manifest::{EMBEDDED, is_name, parse_listen, refusal},
    metrics::Metrics,
    registry::{DataDir, Files},
    supervisor::host::{Host, HostSettings, Properties},
};

/// Apps that could not be started are tried again this often.
const RETRY_EVERY: Duration = Duration::from_secs(5);

/// Run a host that functions and apps are uploaded to
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidemill serve --data /var/lib/tidemill
  tidemill serve --data /var/lib/tidemill --kafka main=client.properties --listen 0.0.0.0:8080 --token-file token

Apps name a connection with kafka = \"main\"; without one they run on the embedded log, which lives as long as the process.")]
pub(super) struct Args {
    /// Where uploaded functions and apps are kept
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// A connection that apps may name, and its file of librdkafka properties; may repeat
    #[arg(long, value_name = "NAME=FILE", value_parser = connection)]
    kafka: Vec<(String, PathBuf)>,
    /// Where the API is served; beyond this machine only with a token
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", value_parser = address)]
    listen: SocketAddr,
    /// The file with the token that guards the API [default: the variable TIDEMILL_TOKEN]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The largest upload that is taken
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize(UPLOAD_BYTES_MAX as u64))]
    max_upload: ByteSize,
    /// Memory for the state of all apps: cache and write buffers
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize::mib(256), value_parser = state_memory)]
    state_memory: ByteSize,
    /// Worker threads of each app [default: as many as cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
}

fn connection(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) =
        text.split_once('=').ok_or("expected NAME=FILE, such as main=client.properties")?;
    if !is_name(name) {
        return Err(format!(
            "`{name}` is no name: expected lower-case letters, digits, `-` and `_`"
        ));
    }
    if name == EMBEDDED {
        return Err(format!("`{EMBEDDED}` is the log of the process itself: choose another name"));
    }
    Ok((name.to_owned(), file.into()))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    parse_listen(text)
        .ok_or_else(|| "expected an address and a port, such as 127.0.0.1:8080".to_owned())
}

fn state_memory(text: &str) -> Result<ByteSize, String> {
    let size = text.parse().ok().filter(|size| *size >= ByteSize::mib(8));
    size.ok_or_else(|| "expected a size of 8MiB or more, such as 256MiB".to_owned())
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let token = Token::find(self.token_file.as_deref())?;
        // The lock comes before anything that could disturb another process.
        let data = DataDir::open(&self.data)?;
        let listener = listen(self.listen, token.as_ref())?;
        let log = MemoryLog::new();
        let metrics = Metrics::new();
        let state = State::in_data(data.path(), bytes(self.state_memory))?;
        let host = Arc::new(self.host(&data, &log, &metrics, &state)?);
        let router = router(ApiSettings {
            token,
            metrics,
            log: Some(log),
            apps: host.clone(),
            host: Some(host.clone()),
            upload_bytes_max: bytes(self.max_upload),
        });
        let address = listener.local_addr().context("cannot tell where it listens")?;
        let runtime = super::runtime()?;
        let served = runtime.block_on(async {
            let mut stop = Stop::new()?;
            writeln!(
                io::stdout(),
                "serving on http://{address}, data in {}",
                data.path().display()
            )?;
            tokio::task::spawn_blocking({
                let host = host.clone();
                move || keep(&host)
            });
            let again = {
                let host = host.clone();
                tokio::spawn(async move { retry(&host).await })
            };
            serve(listener, router, stop.asked()).await?;
            again.abort();
            tracing::info!("stopping");
            let stopped = tokio::task::spawn_blocking({
                let host = host.clone();
                move || host.stop_all()
            });
            tokio::select! {
                stopped = stopped => stopped.context("an app could not be stopped"),
                () = stop.asked() => bail!("stopped at once by a second signal"),
            }
        });
        // What still waits for records is not waited for.
        runtime.shutdown_background();
        served
    }

    fn host(
        &self,
        data: &DataDir,
        log: &MemoryLog,
        metrics: &Metrics,
        state: &State,
    ) -> anyhow::Result<Host> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut connections = BTreeMap::new();
        for (name, file) in &self.kafka {
            let before = connections.insert(name.clone(), read_connection(file)?);
            if before.is_some() {
                bail!("--kafka {name} is there twice");
            }
        }
        let cache = Some(
            std::path::absolute(data.path().join("cache"))
                .context("where is the data directory?")?,
        );
        Ok(Host::new(HostSettings {
            registry: Box::new(Files::open(data.path())?),
            engine: Engine::new(&EngineSettings { cache, ..EngineSettings::default() })?,
            embedded: Arc::new(log.clone()),
            connections,
            connect: Box::new(|properties| {
                Ok(Arc::new(KafkaBroker::new(properties.clone())) as Arc<dyn Broker>)
            }),
            database: state.database.clone(),
            workers: self.workers.map_or(cores, usize::from),
            metrics: metrics.clone(),
            clock: Arc::new(SystemClock),
        }))
    }
}

fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.as_u64()).unwrap_or(usize::MAX)
}

/// A connection's properties, without those that are Tidemill's own.
fn read_connection(file: &Path) -> anyhow::Result<Properties> {
    let properties = properties::read(file)?;
    for name in properties.keys() {
        if let Some(reason) = refusal(name) {
            bail!("`{}`: `{name}` is Tidemill's own; leave it out: {reason}", file.display());
        }
    }
    Ok(properties)
}

/// Starts what was put before. Where it cannot be read, the API is there to mend it.
fn keep(host: &Host) {
    if let Err(error) = host.start_stored() {
        tracing::error!(
            "cannot start the apps that were put before: {}",
            crate::http::chain(&error)
        );
    }
}

/// Tries the apps that wait, again and again.
async fn retry(host: &Arc<Host>) {
    let mut ticks = tokio::time::interval(RETRY_EVERY);
    loop {
        ticks.tick().await;
        let host = host.clone();
        if tokio::task::spawn_blocking(move || host.retry()).await.is_err() {
            tracing::error!("an app could not be tried again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_have_names_and_files() {
        assert_eq!(connection("main=a=b").unwrap(), ("main".to_owned(), PathBuf::from("a=b")));
        for wrong in ["main", "Main=a", "embedded=a", "=a"] {
            assert!(connection(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_connection_has_no_property_that_is_tidemills_own() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("client.properties");
        std::fs::write(&file, "bootstrap.servers=a:1\nsasl.username=ann\n").unwrap();
        assert_eq!(read_connection(&file).unwrap()["sasl.username"], "ann");
        std::fs::write(&file, "bootstrap.servers=a:1\nacks=1\n").unwrap();
        let error = read_connection(&file).unwrap_err().to_string();
        assert!(error.ends_with(
            "`acks` is Tidemill's own; leave it out: Tidemill waits for all in-sync replicas"
        ));
    }
}
