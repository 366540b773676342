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
    error, native,
    native::Queue,
    offsets::{self, at_offsets},
    question::Failure,
    reader::{Came, Reader},
};
use crate::{
    broker::{Bound, Error, Event, Follower, FollowerSettings},
    record::{Position, TopicPartition},
};

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct KafkaFollower {
    kafka: Arc<Kafka>,
    reader: Reader,
    /// Stopped by the client, for being outside their logs.
    stopped: Vec<(TopicPartition, Position)>,
    /// Above the consumer, to be dropped before it.
    events: Queue,
    consumer: BaseConsumer<Context>,
}

impl KafkaFollower {
    pub fn new(kafka: Arc<Kafka>, settings: &FollowerSettings) -> Result<Self, Error> {
        let config = config::follower(&kafka.properties, settings);
        let mut consumer: BaseConsumer<Context> =
            BaseConsumer::from_config_and_context(&config, Context::new(&settings.client_id))
                .map_err(|error| error::of_client(&error))?;
        let reader = Reader::new(settings.batch_records, settings.batch_bytes);
        let wake = reader.wake.clone();
        consumer.set_nonempty_callback(move || wake.wake());
        let events = Queue::consumer(consumer.client().native_ptr())
            .ok_or_else(|| Error::Fatal("the consumer has no queue".into()))?;
        Ok(KafkaFollower { kafka, reader, stopped: Vec::new(), events, consumer })
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

    fn bound(&self, partitions: &[TopicPartition], bound: Bound) -> Result<Vec<Position>, Error> {
        let client = self.consumer.client().native_ptr();
        offsets::list(client, partitions, bound, PATIENCE).map_err(|failure| match failure {
            Failure::Request(code) => error::of_request(
                code,
                &self.kafka.address,
                self.consumer.context().take_complaint(),
            ),
            Failure::One(error) => error,
        })
    }

    fn open(&mut self, partitions: &[(TopicPartition, Position)]) -> Result<(), Error> {
        if partitions.is_empty() {
            return Ok(());
        }
        let client = self.consumer.client().native_ptr();
        // Nothing is fetched until the queues are split, or records would come elsewhere.
        for (partition, position) in partitions {
            self.reader.open(client, partition, *position)?;
        }
        self.consumer.incremental_assign(&at_offsets(partitions)?).map_err(|error| {
            Error::Retriable(format!("the partitions cannot be assigned: {error}"))
        })
    }

    fn close(&mut self, partitions: &[(TopicPartition, Position)]) -> Result<(), Error> {
        if partitions.is_empty() {
            return Ok(());
        }
        self.consumer
            .incremental_unassign(&at_offsets(partitions)?)
            .map_err(|error| Error::Retriable(format!("the partitions cannot be left: {error}")))?;
        for (partition, _) in partitions {
            self.reader.close(partition);
        }
        Ok(())
    }

    /// What is to become of stopped partitions. Those that brokers do not answer for wait for the next call.
    fn look_after_stopped(&mut self) -> Result<(), Error> {
        while let Some(one) = self.stopped.last().cloned() {
            if self.reader.positions().any(|stands| stands == one) {
                let names = [one.0.clone()];
                let earliest = self.bound(&names, Bound::Earliest)?[0];
                let latest = self.bound(&names, Bound::Latest)?[0];
                self.stopped.pop();
                self.out_of_range(one, earliest, latest)?;
            } else {
                self.stopped.pop();
            }
        }
        Ok(())
    }

    fn out_of_range(
        &mut self,
        one: (TopicPartition, Position),
        earliest: Position,
        latest: Position,
    ) -> Result<(), Error> {
        let one = [one];
        self.close(&one)?;
        let [(partition, position)] = &one;
        if (earliest..=latest).contains(position) {
            // A new leader may have been behind for a moment.
            tracing::debug!(%partition, %position, "the position is there after all");
            return self.open(&one);
        }
        let [(partition, position)] = one;
        Err(Error::MissingOffset { partition, position, earliest })
    }
}

impl Follower for KafkaFollower {
    fn assign(&mut self, partitions: &[(TopicPartition, Position)]) -> Result<(), Error> {
        let stands: Vec<_> = self.reader.positions().collect();
        let begin: Vec<_> =
            partitions.iter().filter(|wanted| !stands.contains(wanted)).cloned().collect();
        let leave: Vec<_> =
            stands.into_iter().filter(|stands| !partitions.contains(stands)).collect();
        let names: Vec<TopicPartition> =
            begin.iter().map(|(partition, _)| partition.clone()).collect();
        // Those that do not exist are found before anything changes.
        self.bound(&names, Bound::Earliest)?;
        self.close(&leave)?;
        self.open(&begin)
    }

    fn poll(&mut self, wait: Duration) -> Result<Option<Event>, Error> {
        let started = Instant::now();
        loop {
            self.reader.wake.reset();
            self.serve()?;
            self.look_after_stopped()?;
            match self.reader.poll()? {
                Some(Came::Event(event)) => return Ok(Some(event)),
                Some(Came::OutOfRange(partition, position)) => {
                    self.stopped.push((partition, position));
                    continue;
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
