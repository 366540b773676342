//! The app under test: `functions/running-total` between two topics, as a manifest for each of its hosts.

use std::path::{Path, PathBuf};

use super::amounts::PARTITIONS;
use crate::broker::Kafka;
use crate::host;

/// One app on a Kafka.
#[derive(Clone)]
pub struct Totals {
    pub app: String,
    pub guarantee: &'static str,
    /// More lines of `[kafka]`.
    pub properties: String,
    /// More sections, of what runs beside it in the same hosts.
    pub sections: String,
    bootstrap: String,
    component: PathBuf,
}

impl Totals {
    pub fn new(kafka: &Kafka, app: &str) -> Self {
        Self {
            app: app.to_owned(),
            guarantee: "exactly-once",
            properties: String::new(),
            sections: String::new(),
            bootstrap: kafka.bootstrap().to_owned(),
            component: host::component("running-total"),
        }
    }

    /// Members that die are missed soon.
    pub fn impatient(mut self) -> Self {
        self.properties =
            concat!("\"session.timeout.ms\" = 3000\n", "\"heartbeat.interval.ms\" = 500\n",)
                .to_owned();
        self
    }

    pub fn input(&self) -> String {
        format!("{}.amounts", self.app)
    }

    pub fn output(&self) -> String {
        format!("{}.totals", self.app)
    }

    /// The host makes it.
    pub fn changelog(&self) -> String {
        format!("{}.total.changelog", self.app)
    }

    pub fn create_topics(&self, kafka: &Kafka) {
        kafka.create_topic(&self.input(), PARTITIONS, &[]);
        kafka.create_topic(&self.output(), PARTITIONS, &[]);
    }

    pub fn manifest(&self, data: &Path, listen: &str, workers: usize) -> String {
        let Self { app, guarantee, properties, sections, bootstrap, .. } = self;
        let (data, component) = (data.display(), self.component.display());
        let (input, output) = (self.input(), self.output());
        format!(
            r#"app = "{app}"
guarantee = "{guarantee}"
start = "earliest"

[host]
data = "{data}"
listen = "{listen}"
workers = {workers}

[kafka]
"bootstrap.servers" = "{bootstrap}"
{properties}
[functions.running-total]
module = "{component}"
inputs = ["{input}"]
outputs = {{ totals = "{output}" }}

[stores.total]
kind = "counter"
{sections}"#
        )
    }
}
