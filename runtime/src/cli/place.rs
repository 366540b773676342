//! Where topics are: in Kafka, or in the embedded log of a host, which is reached over HTTP.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use anyhow::{Context as _, bail};

use super::properties;
use crate::{
    broker::{Admin, Broker, Topic, kafka::KafkaBroker},
    http::{Client, DEFAULT_HOST},
    manifest::{FILE_NAME, Manifest},
};

/// Where topics are. Without any of these: where the manifest in this folder says, else the host at 127.0.0.1:8080.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// Topics of Kafka: a file of librdkafka properties, as bootstrap.servers=localhost:9092
    #[arg(long, value_name = "FILE", conflicts_with_all = ["manifest", "host"])]
    kafka: Option<PathBuf>,
    /// Topics of this app: its [kafka], else the embedded log at its [host].listen
    #[arg(long, value_name = "FILE", conflicts_with = "host")]
    manifest: Option<PathBuf>,
    /// The embedded log of the `tidemill dev` or `serve` at this address [default: http://127.0.0.1:8080]
    #[arg(long, value_name = "URL")]
    host: Option<String>,
    /// The file with the host's token [default: the variable TIDEMILL_TOKEN]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// A log that can be reached.
pub(super) enum Place {
    Kafka(Arc<dyn Broker>),
    Host(Client),
}

impl Args {
    pub(super) fn open(&self) -> anyhow::Result<Place> {
        if let Some(file) = &self.kafka {
            return Ok(kafka(&properties::read(file)?));
        }
        if let Some(host) = &self.host {
            return self.host(host);
        }
        let here = PathBuf::from(FILE_NAME);
        let manifest = self.manifest.clone().or_else(|| here.is_file().then_some(here));
        let Some(manifest) = manifest else { return self.host(DEFAULT_HOST) };
        let manifest = Manifest::read(&manifest, &[])?;
        match &manifest.kafka {
            None => self.host(&format!("http://{}", manifest.host.listen)),
            Some(connection) if connection.connection.is_some() => {
                bail!(
                    "{}: `kafka` names a connection of a host: name the properties with --kafka FILE",
                    manifest.file
                )
            }
            Some(own) => Ok(kafka(&own.properties)),
        }
    }

    fn host(&self, host: &str) -> anyhow::Result<Place> {
        Ok(Place::Host(Client::with_token_file(host, self.token_file.as_deref())?))
    }
}

fn kafka(properties: &BTreeMap<String, String>) -> Place {
    Place::Kafka(Arc::new(KafkaBroker::new(properties.clone())))
}

/// A topic that must be there.
pub(super) fn topic(broker: &dyn Broker, admin: &dyn Admin, name: &str) -> anyhow::Result<Topic> {
    let found = admin.topic(name)?;
    found.with_context(|| {
        format!("there is no topic `{name}` in {}: `tidemill topics` lists them", broker.name())
    })
}

/// A name that a topic may have.
pub(super) fn check_name(topic: &str) -> anyhow::Result<()> {
    if !crate::manifest::is_topic(topic) {
        bail!("`{topic}` is no topic: expected {}", crate::manifest::TOPIC_NAME);
    }
    Ok(())
}
