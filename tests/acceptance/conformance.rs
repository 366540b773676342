//! Kafka behaves behind the seams as the embedded log does: the suite that both share, in both group protocols.
//!
//! What groups have nothing to do with runs in one of them.

use std::collections::BTreeMap;

use tidemill::broker::Broker;
use tidemill::broker::conformance::Subject;
use tidemill::broker::kafka::KafkaBroker;
use tidemill::record::{Position, TopicPartition};

use crate::broker::{bootstrap, kafka};

struct Kafka {
    broker: KafkaBroker,
    impatient: KafkaBroker,
}

impl Kafka {
    fn new(protocol: &str) -> Self {
        let properties = |more: &[(&str, &str)]| {
            let common = [("bootstrap.servers", bootstrap()), ("group.protocol", protocol)];
            let all = common.iter().chain(more);
            all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        Kafka {
            broker: KafkaBroker::new(properties(&[])),
            impatient: KafkaBroker::new(properties(&[
                ("max.poll.interval.ms", "2000"),
                ("session.timeout.ms", "2000"),
            ])),
        }
    }
}

impl Subject for Kafka {
    fn broker(&self) -> &dyn Broker {
        &self.broker
    }

    fn impatient(&self) -> &dyn Broker {
        &self.impatient
    }

    /// They are thrown out for not polling.
    fn expel(&self, _group: &str) {}

    fn truncate(&self, partition: &TopicPartition, before: Position) {
        let number = i32::try_from(partition.partition.0).expect("few partitions");
        kafka().truncate(&partition.topic, number, before.0);
    }
}

mod consumer {
    fn kafka() -> super::Kafka {
        super::Kafka::new("consumer")
    }

    tidemill::conformance!(kafka);
}

mod classic {
    fn kafka() -> super::Kafka {
        super::Kafka::new("classic")
    }

    tidemill::conformance!(kafka: groups);
}
