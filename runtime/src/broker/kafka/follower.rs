//! A reader of Kafka partitions outside any group.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    config::FromClientConfigAndContext,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};

use super::{
    Kafka, config,
    context::Context,
    error,
    inbox::at_offsets,
    native,
    native::Queue,
    offsets::{self, Failure},
    reader::{Came, Reader},
};
use crate::{
    broker::{Bound, Error, Event, Follower, Isolation},
    record::{Position, TopicPartition},
};

/// Records and bytes a batch: small, since a follower reads in slices between other work.
const BATCH_RECORDS: usize = 1000;
const BATCH_BYTES: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(10);
const CLIENT_ID: &str = "tidemill-follower";

pub(super) struct KafkaFollower {
    kafka: Arc<Kafka>,
    reader: Reader,
    /// Above the consumer, to be dropped before it.
    events: Queue,
    consumer: BaseConsumer<Context>,
}

impl KafkaFollower {
    pub fn new(kafka: Arc<Kafka>, isolation: Isolation) -> Result<Self, Error> {
        // Assigning wants a group's name; without a subscription no group is joined, and nothing is committed.
        let config = config::consumer(&kafka.properties, CLIENT_ID, CLIENT_ID, isolation);
        let mut consumer: BaseConsumer<Context> =
            BaseConsumer::from_config_and_context(&config, Context::new(CLIENT_ID))
                .map_err(|error| error::of_client(&error))?;
        let reader = Reader::new(BATCH_RECORDS, BATCH_BYTES);
        let wake = reader.wake.clone();
        consumer.set_nonempty_callback(move || wake.wake());
        let events = Queue::consumer(consumer.client().native_ptr())
            .ok_or_else(|| Error::Fatal("the consumer has no queue".into()))?;
        Ok(KafkaFollower { kafka, reader, events, consumer })
    }

    fn serve(&self) -> Result<(), Error> {
        loop {
            match self.consumer.poll(Duration::ZERO) {
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    let fatal = native::fatal_error(self.consumer.client().native_ptr());
                    return Err(Error::Fatal(
                        fatal.map_or_else(|| error.to_string(), |(_, text)| text),
                    ));
                }
                Some(Err(error)) if error::is_transport(&error) => {}
                Some(Err(error)) => {
                    return Err(error::of_consumer(
                        &error,
                        self.consumer.context().take_complaint(),
                    ));
                }
                Some(Ok(_)) => {
                    return Err(Error::Fatal("a record came outside its partition's queue".into()));
                }
                None if self.events.len() == 0 => return Ok(()),
                None => {}
            }
        }
    }

    fn earliest(&self, partitions: &[TopicPartition]) -> Result<Vec<Position>, Error> {
        let client = self.consumer.client().native_ptr();
        offsets::list(client, partitions, Bound::Earliest, PATIENCE).map_err(
            |failure| match failure {
                Failure::Request(code) => error::of_request(
                    code,
                    &self.kafka.address,
                    self.consumer.context().take_complaint(),
                ),
                Failure::Partition(error) => error,
            },
        )
    }
}

impl Follower for KafkaFollower {
    fn assign(&mut self, partitions: &[(TopicPartition, Position)]) -> Result<(), Error> {
        let names: Vec<TopicPartition> =
            partitions.iter().map(|(partition, _)| partition.clone()).collect();
        self.earliest(&names)?;
        self.reader.clear();
        // Nothing is fetched until the queues are split, or records would come elsewhere.
        self.consumer.unassign().map_err(|error| error::of_client(&error))?;
        let client = self.consumer.client().native_ptr();
        for (partition, position) in partitions {
            self.reader.open(client, partition, *position)?;
        }
        self.consumer.assign(&at_offsets(partitions)?).map_err(|error| {
            Error::Retriable(format!("the partitions cannot be assigned: {error}"))
        })
    }

    fn poll(&mut self, wait: Duration) -> Result<Option<Event>, Error> {
        let started = Instant::now();
        loop {
            self.reader.wake.reset();
            self.serve()?;
            match self.reader.poll()? {
                Some(Came::Event(event)) => return Ok(Some(event)),
                Some(Came::OutOfRange(partition, position)) => {
                    let earliest = self.earliest(std::slice::from_ref(&partition))?[0];
                    return Err(Error::MissingOffset { partition, position, earliest });
                }
                None => {}
            }
            match wait.checked_sub(started.elapsed()) {
                Some(left) if !left.is_zero() => self.reader.wait(left),
                _ => return Ok(None),
            }
        }
    }
}
