//! A host under measurement.

use std::{
    path::{Path, PathBuf},
    process::Child,
    time::{Duration, Instant},
};

use rdkafka::{
    consumer::{BaseConsumer, Consumer as _},
    topic_partition_list::{Offset, TopicPartitionList},
};

use super::amounts::PARTITIONS;
use crate::{broker, http, process};

const REQUEST_LIMIT: Duration = Duration::from_secs(30);
pub const PATIENCE: Duration = Duration::from_secs(600);

/// An app of one function between two topics.
pub struct App<'a> {
    pub name: &'a str,
    pub guarantee: &'a str,
    pub component: &'a Path,
    pub function: &'a str,
    pub input: &'a str,
    pub output: &'a str,
    pub output_name: &'a str,
    /// More lines of `[kafka]`.
    pub properties: &'a str,
}

impl App<'_> {
    /// Runs it on what a folder keeps.
    pub fn start(&self, folder: &Path) -> Host {
        let inputs = vec![self.input.to_owned()];
        Host::start(self.name, inputs, folder, |data, listen| self.manifest(data, listen))
    }

    fn manifest(&self, data: &Path, listen: &str) -> String {
        let App { name, guarantee, function, input, output, output_name, properties, .. } = self;
        let (component, data) = (self.component.display(), data.display());
        let bootstrap = broker::bootstrap();
        let stores =
            if *output_name == "totals" { "[stores.total]\nkind = \"counter\"\n" } else { "" };
        format!(
            r#"app = "{name}"
guarantee = "{guarantee}"
start = "earliest"
commit-interval = "100ms"

[host]
workers = 1
data = "{data}"
listen = "{listen}"

[kafka]
"bootstrap.servers" = "{bootstrap}"
{properties}
[functions.{function}]
module = "{component}"
inputs = ["{input}"]
outputs = {{ {output_name} = "{output}" }}
{stores}"#
        )
    }
}

/// A process and where it keeps its state.
pub struct Host {
    child: Option<Child>,
    listen: String,
    app: String,
    inputs: Vec<String>,
}

impl Host {
    /// Runs an app by its manifest, which is told where its data is and where it listens.
    pub fn start(
        app: &str,
        inputs: Vec<String>,
        folder: &Path,
        manifest: impl FnOnce(&Path, &str) -> String,
    ) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let listen = listener.local_addr().expect("an address").to_string();
        drop(listener);
        let data: PathBuf = folder.join("data");
        let child = process::run(folder, &manifest(&data, &listen));
        Host { child: Some(child), listen, app: app.to_owned(), inputs }
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    pub fn cpu_seconds(&self) -> f64 {
        process::cpu_seconds(self.pid())
    }

    /// How many records of the inputs are committed.
    pub fn committed(&self, watch: &BaseConsumer) -> i64 {
        let mut list = TopicPartitionList::new();
        for input in &self.inputs {
            list.add_partition_range(input, 0, PARTITIONS - 1);
        }
        // The group's coordinator may be new.
        let Ok(committed) = watch.committed_offsets(list, REQUEST_LIMIT) else { return 0 };
        let position = |offset| if let Offset::Offset(position) = offset { position } else { 0 };
        committed.elements().iter().map(|element| position(element.offset())).sum()
    }

    /// A client that asks for what the app's group has committed.
    pub fn watch(&self) -> BaseConsumer {
        broker::client().set("group.id", &self.app).create().expect("a consumer")
    }

    /// Waits until so many records are committed; says when that was seen, how many there were, and what it took.
    pub fn reach(&mut self, watch: &BaseConsumer, records: i64) -> (Instant, i64, f64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let there = self.committed(watch);
            if there >= records {
                return (Instant::now(), there, self.cpu_seconds());
            }
            assert!(Instant::now() < deadline, "{}: {there} of {records} records", self.app);
            let ended = self.child.as_mut().expect("it runs").try_wait().expect("a child");
            assert!(ended.is_none(), "{} ended early", self.app);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A metric; `None` before the host serves.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let url = format!("http://{}/metrics", self.listen);
        http::get(&url).ok().filter(|answer| answer.status == 200)?;
        Some(http::metric(&url, name))
    }

    /// A quantile of a histogram of seconds, in milliseconds, between the bounds of its bucket.
    pub fn quantile_ms(&self, name: &str, quantile: f64) -> f64 {
        let page = http::get(&format!("http://{}/metrics", self.listen)).expect("metrics").body;
        let bucket = |line: &str| {
            let rest = line.strip_prefix(name)?.strip_prefix("_bucket{")?;
            let bound = rest.split("le=\"").nth(1)?.split('"').next()?;
            let bound = bound.parse::<f64>().unwrap_or(f64::INFINITY);
            Some((bound, rest.rsplit(' ').next()?.parse::<f64>().ok()?))
        };
        let buckets: Vec<(f64, f64)> = page.lines().filter_map(bucket).collect();
        let wanted = quantile * buckets.last().expect("a histogram").1;
        let mut below = (0.0, 0.0);
        for (bound, count) in buckets {
            if count >= wanted && bound.is_finite() {
                let part = (wanted - below.1) / (count - below.1).max(1.0);
                return (below.0 + part * (bound - below.0)) * 1000.0;
            }
            below = (bound, count);
        }
        f64::INFINITY
    }

    pub fn stop(mut self) {
        process::terminate(self.child.take().expect("it runs"));
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("a child that runs");
        child.wait().expect("a child");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
