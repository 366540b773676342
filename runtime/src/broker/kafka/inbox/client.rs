//! The consumer of an inbox: how it joins a group and how it leaves.

use std::{
    collections::BTreeSet,
    ffi::CStr,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    TopicPartitionList,
    config::FromClientConfigAndContext,
    consumer::{BaseConsumer, Consumer, RebalanceProtocol},
};
use rdkafka_sys as sys;

use super::{
    super::{
        Kafka,
        config::{self, GroupProtocol},
        context::{Context, Rebalance},
        error,
        native::Queue,
        reader::{Reader, number},
    },
    MOVING_STEP,
};
use crate::{
    broker::{Error, InboxSettings},
    record::TopicPartition,
};

/// How long leaving a group may take.
const LEAVING: Duration = Duration::from_secs(10);

/// The consumer and its queue, which must go first.
pub(super) struct Client {
    pub events: Queue,
    pub consumer: Arc<BaseConsumer<Context>>,
}

impl Client {
    pub fn join(
        kafka: &Kafka,
        settings: &InboxSettings,
        protocol: GroupProtocol,
        reader: &Reader,
    ) -> Result<Self, Error> {
        let config =
            config::member(&kafka.properties, &settings.client_id, &settings.group, protocol);
        let mut consumer: BaseConsumer<Context> =
            BaseConsumer::from_config_and_context(&config, Context::new(&settings.client_id))
                .map_err(|error| error::of_client(&error))?;
        let wake = reader.wake.clone();
        consumer.set_nonempty_callback(move || wake.wake());
        let events = Queue::consumer(consumer.client().native_ptr())
            .ok_or_else(|| Error::Fatal("the consumer has no queue".into()))?;
        let topics: Vec<&str> = settings.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(|error| error::of_client(&error))?;
        Ok(Client { events, consumer: Arc::new(consumer) })
    }

    pub fn is_cooperative(&self) -> bool {
        matches!(self.consumer.rebalance_protocol(), RebalanceProtocol::Cooperative)
    }

    pub fn is_member(&self) -> bool {
        #[expect(unsafe_code, reason = "the metadata is ours, and read before it is freed")]
        unsafe {
            let metadata =
                sys::rd_kafka_consumer_group_metadata(self.consumer.client().native_ptr());
            if metadata.is_null() {
                return false;
            }
            let member = sys::rd_kafka_consumer_group_metadata_member_id(metadata);
            let named = !member.is_null() && !CStr::from_ptr(member).is_empty();
            let generation = sys::rd_kafka_consumer_group_metadata_generation_id(metadata);
            sys::rd_kafka_consumer_group_metadata_destroy(metadata);
            named && generation >= 0
        }
    }

    /// Answers what is still unanswered, and leaves the group.
    pub fn leave(&self, coming: &BTreeSet<TopicPartition>, leaving: &BTreeSet<TopicPartition>) {
        self.consumer.context().close();
        let list = |partitions: &BTreeSet<TopicPartition>| {
            let mut list = TopicPartitionList::new();
            for partition in partitions {
                list.add_partition(&partition.topic, number(partition).unwrap_or(0));
            }
            list
        };
        let mut answered = Ok(());
        while let Some(rebalance) = self.consumer.context().next_rebalance() {
            let partitions = list(&rebalance.partitions().iter().cloned().collect());
            answered = match (&rebalance, self.is_cooperative()) {
                (Rebalance::Assigned(_), true) => self.consumer.incremental_assign(&partitions),
                (_, true) => self.consumer.incremental_unassign(&partitions),
                (_, false) => self.consumer.unassign(),
            };
        }
        if !coming.is_empty() || !leaving.is_empty() {
            answered = match (self.is_cooperative(), leaving.is_empty()) {
                (true, true) => self.consumer.incremental_assign(&list(coming)),
                (true, false) => self.consumer.incremental_unassign(&list(leaving)),
                (false, _) => self.consumer.unassign(),
            };
        }
        if let Err(error) = answered {
            tracing::debug!(%error, "answering the group before leaving it");
        }
        if self.consumer.close_queue().is_err() {
            return;
        }
        let started = Instant::now();
        while !self.consumer.closed() && started.elapsed() < LEAVING {
            // Serves what the group asks for; nobody is interested in more.
            drop(self.consumer.poll(MOVING_STEP));
        }
        if !self.consumer.closed() {
            tracing::warn!("the consumer does not leave its group: it is left to time out");
            // Dropping it would wait for ever.
            std::mem::forget(self.consumer.clone());
        }
    }
}
