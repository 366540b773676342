//! Kafka, over rdkafka: its only user, and the only place with unsafe code.
//!
//! rdkafka wraps configuration, groups, transactions and administration; the paths of records go to librdkafka
//! itself, a batch or a cached topic at a time. User properties lie between defaults they may change and settings
//! they may not.
//!
//! | file | what |
//! |---|---|
//! | `config` | properties of each kind of client |
//! | `context` | what a client says: logs, errors, rebalances |
//! | `error` | its errors, typed by what must follow |
//! | `native` | handles that rdkafka does not wrap |
//! | `batch`, `reader` | partitions' queues into records |
//! | `produce` | a record into a producer |
//! | `calls` | a transaction's calls, on a thread of their own |
//! | `question` | asking brokers what rdkafka does not wrap |
//! | `offsets` | ends of partitions, positions of groups |
//! | `topics` | topics and their ids |
//! | `inbox`, `outbox`, `follower`, `admin` | the seams |

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::broker::{
    Admin, Broker, Error, Follower, FollowerSettings, Inbox, InboxSettings, Outbox, OutboxSettings,
};

mod admin;
mod batch;
mod calls;
mod config;
mod context;
mod error;
mod follower;
mod inbox;
mod native;
mod offsets;
mod outbox;
mod produce;
mod question;
mod reader;
mod topics;

use admin::KafkaAdmin;
use config::GroupProtocol;
use follower::KafkaFollower;
use inbox::KafkaInbox;
use outbox::KafkaOutbox;

/// A Kafka cluster, by the properties to reach it. Clones share what was learned of it.
#[derive(Debug, Clone)]
pub struct KafkaBroker {
    kafka: Arc<Kafka>,
    name: String,
}

/// What all clients of a cluster share.
struct Kafka {
    properties: BTreeMap<String, String>,
    /// As given, for messages.
    address: String,
    /// The cluster has no consumer protocol (KIP-848), as one client found out.
    classic_only: AtomicBool,
}

/// Properties may be secrets.
impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kafka").field("address", &self.address).finish_non_exhaustive()
    }
}

impl KafkaBroker {
    /// A cluster by librdkafka's properties, `bootstrap.servers` among them. Connects to nothing yet.
    pub fn new(properties: BTreeMap<String, String>) -> Self {
        let named = ["bootstrap.servers", "metadata.broker.list"]
            .iter()
            .find_map(|name| properties.get(*name));
        let address = named.cloned().unwrap_or_else(|| "an unknown address".to_owned());
        let name = format!("kafka at {address}");
        let classic_only = AtomicBool::new(false);
        KafkaBroker { kafka: Arc::new(Kafka { properties, address, classic_only }), name }
    }
}

impl Kafka {
    /// The user's choice, else classic: with librdkafka 2.12 a member of a consumer-protocol group (KIP-848) whose
    /// heartbeat times out may wait for partitions for ever.
    fn group_protocol(&self) -> GroupProtocol {
        match config::chosen_protocol(&self.properties) {
            Some(GroupProtocol::Consumer) if !self.classic_only.load(Ordering::Relaxed) => {
                GroupProtocol::Consumer
            }
            _ => GroupProtocol::Classic,
        }
    }
}

impl Broker for KafkaBroker {
    fn name(&self) -> &str {
        &self.name
    }

    fn inbox(&self, settings: InboxSettings) -> Result<Box<dyn Inbox>, Error> {
        Ok(Box::new(KafkaInbox::join(self.kafka.clone(), settings)?))
    }

    fn outbox(&self, settings: OutboxSettings) -> Result<Box<dyn Outbox>, Error> {
        Ok(Box::new(KafkaOutbox::new(self.kafka.clone(), &settings)?))
    }

    fn follower(&self, settings: FollowerSettings) -> Result<Box<dyn Follower>, Error> {
        Ok(Box::new(KafkaFollower::new(self.kafka.clone(), &settings)?))
    }

    fn admin(&self) -> Result<Box<dyn Admin>, Error> {
        Ok(Box::new(KafkaAdmin::new(self.kafka.clone())?))
    }
}
