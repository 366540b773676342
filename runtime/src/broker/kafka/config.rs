//! What a client is made with: the user's properties, between defaults they may change and settings they may not.

use std::collections::BTreeMap;

use rdkafka::{ClientConfig, config::RDKafkaLogLevel};

use crate::broker::{FollowerSettings, Isolation, OutboxSettings};

/// The group protocols: the one in which brokers assign (KIP-848), and the one in which a member does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GroupProtocol {
    Consumer,
    Classic,
}

/// For all clients. librdkafka's defaults are made for thousands of topics on far networks.
const COMMON: &[(&str, &str)] =
    &[("socket.keepalive.enable", "true"), ("reconnect.backoff.max.ms", "2000")];

/// For consumers. Queues are per partition: the default of 64 MiB each would be gigabytes. A fetch that found its
/// queue full is tried again soon, since hold and resume are often.
const CONSUMER: &[(&str, &str)] = &[
    ("queued.max.messages.kbytes", "8192"),
    ("fetch.message.max.bytes", "4194304"),
    ("fetch.queue.backoff.ms", "10"),
    ("fetch.wait.max.ms", "100"),
];

/// For consumers, whatever the user says.
const CONSUMER_OWNED: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "true"),
    ("auto.offset.reset", "error"),
];

/// For producers: batches as large as brokers take, sent at the latest after 20 ms, or at a commit, queues with a bound.
const PRODUCER: &[(&str, &str)] = &[
    ("linger.ms", "20"),
    ("batch.size", "1000000"),
    ("batch.num.messages", "10000"),
    ("queue.buffering.max.messages", "500000"),
    ("queue.buffering.max.kbytes", "131072"),
    // Topics say what is too large.
    ("message.max.bytes", "16777216"),
    ("retry.backoff.ms", "20"),
];

/// For producers, whatever the user says.
const PRODUCER_OWNED: &[(&str, &str)] =
    &[("enable.idempotence", "true"), ("acks", "all"), ("partitioner", "murmur2_random")];

/// What every kind of client shares.
pub(super) fn common(properties: &BTreeMap<String, String>, client_id: &str) -> ClientConfig {
    layered(properties, client_id, &[], &[])
}

/// For a reader outside any group. Of each partition twice a batch waits, so that the next one comes whole, and no more:
/// a restore reads many partitions at once.
pub(super) fn follower(
    properties: &BTreeMap<String, String>,
    settings: &FollowerSettings,
) -> ClientConfig {
    let FollowerSettings { isolation, batch_bytes, client_id, .. } = settings;
    // Assigning wants a group's name; without a subscription no group is joined, and nothing is committed.
    let mut config = consumer(properties, client_id, client_id, *isolation);
    let owned = [
        ("queued.max.messages.kbytes", (2 * batch_bytes / 1024).max(1)),
        ("fetch.message.max.bytes", *batch_bytes),
    ];
    for (name, value) in owned {
        if !properties.contains_key(name) {
            config.set(name, value.to_string());
        }
    }
    config
}

pub(super) fn consumer(
    properties: &BTreeMap<String, String>,
    client_id: &str,
    group: &str,
    isolation: Isolation,
) -> ClientConfig {
    let mut config = layered(properties, client_id, CONSUMER, CONSUMER_OWNED);
    config.set("group.id", group);
    config.set(
        "isolation.level",
        match isolation {
            Isolation::ReadUncommitted => "read_uncommitted",
            Isolation::ReadCommitted => "read_committed",
        },
    );
    config
}

/// For a member of a group: `range` in either protocol.
pub(super) fn member(
    properties: &BTreeMap<String, String>,
    client_id: &str,
    group: &str,
    protocol: GroupProtocol,
) -> ClientConfig {
    let mut config = consumer(properties, client_id, group, Isolation::ReadCommitted);
    match protocol {
        GroupProtocol::Consumer => {
            config.set("group.protocol", "consumer").set("group.remote.assignor", "range");
            // Brokers decide them; librdkafka refuses to start with them.
            config.remove("session.timeout.ms").remove("heartbeat.interval.ms");
        }
        GroupProtocol::Classic => {
            config.set("group.protocol", "classic").set("partition.assignment.strategy", "range");
        }
    }
    config
}

pub(super) fn producer(
    properties: &BTreeMap<String, String>,
    settings: &OutboxSettings,
) -> ClientConfig {
    let mut config = layered(properties, &settings.client_id, PRODUCER, PRODUCER_OWNED);
    if let Some(id) = &settings.transactional_id {
        config.set("transactional.id", id);
        config.set("transaction.timeout.ms", settings.transaction_timeout.as_millis().to_string());
        // Must not be longer than the transaction's; librdkafka takes the transaction's where it is not set.
        config.remove("delivery.timeout.ms").remove("message.timeout.ms");
    }
    config
}

/// Which protocol the user chose, if any.
pub(super) fn chosen_protocol(properties: &BTreeMap<String, String>) -> Option<GroupProtocol> {
    match properties.get("group.protocol")?.as_str() {
        "classic" => Some(GroupProtocol::Classic),
        _ => Some(GroupProtocol::Consumer),
    }
}

fn layered(
    properties: &BTreeMap<String, String>,
    client_id: &str,
    defaults: &[(&str, &str)],
    owned: &[(&str, &str)],
) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in COMMON.iter().chain(defaults) {
        config.set(*name, *value);
    }
    for (name, value) in properties.iter().filter(|(name, _)| *name != "group.protocol") {
        config.set(name, value);
    }
    for (name, value) in owned {
        config.set(*name, *value);
    }
    // A producer, too, would otherwise have brokers make the topics it asks for.
    config.set("allow.auto.create.topics", "false");
    config.set("client.id", client_id);
    config.set_log_level(RDKafkaLogLevel::Info);
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn users_change_defaults_but_not_what_is_owned() {
        let properties = properties(&[
            ("linger.ms", "1"),
            ("acks", "0"),
            ("session.timeout.ms", "1"),
            ("group.protocol", "classic"),
        ]);
        let settings = OutboxSettings {
            transactional_id: None,
            transaction_timeout: std::time::Duration::from_secs(10),
            client_id: "c".into(),
        };
        let made = producer(&properties, &settings);
        assert_eq!(made.get("linger.ms"), Some("1"));
        assert_eq!(made.get("acks"), Some("all"));
        assert_eq!(made.get("group.protocol"), None, "no business of a producer");
        assert_eq!(chosen_protocol(&properties), Some(GroupProtocol::Classic));
        let classic = member(&properties, "c", "g", GroupProtocol::Classic);
        assert_eq!(classic.get("session.timeout.ms"), Some("1"));
        assert_eq!(classic.get("isolation.level"), Some("read_committed"));
        let consumer = member(&properties, "c", "g", GroupProtocol::Consumer);
        assert_eq!(consumer.get("session.timeout.ms"), None);
        assert_eq!(consumer.get("partition.assignment.strategy"), None);
    }
}
