//! A member of a Kafka consumer group.
//!
//! The consumer is polled for rebalances and errors only; records come from queues of their own, one a partition,
//! split off before the partition is assigned. A rebalance is answered by `open` and `release`, never inside a
//! callback.

mod begin;
mod client;

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use rdkafka::{
    TopicPartitionList,
    consumer::{CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
};

use super::{
    Kafka,
    config::GroupProtocol,
    context::Rebalance,
    error, native,
    offsets::at_offsets,
    reader::{Came, Reader, number},
};
use crate::{
    broker::{Error, Event, Inbox, InboxSettings, Membership},
    record::{Position, TopicPartition},
};
use client::Client;

/// How long to wait for an answer of a broker.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a commit follows a member whose epoch moves, and how often it tries.
const MOVING: Duration = Duration::from_secs(5);
const MOVING_STEP: Duration = Duration::from_millis(50);
/// How long a partition that was assigned may take to start.
const STARTING: Duration = Duration::from_secs(2);
/// A consumer that breaks down is replaced once in this time.
const REPLACEMENTS: Duration = Duration::from_secs(10);
/// The events of a consumer that one poll serves: more would keep records waiting.
const EVENTS_A_POLL: usize = 64;

pub(super) struct KafkaInbox {
    kafka: Arc<Kafka>,
    settings: InboxSettings,
    protocol: GroupProtocol,
    reader: Reader,
    /// Told to be assigned, and not answered.
    coming: BTreeSet<TopicPartition>,
    /// Told to be revoked or lost, and not answered.
    leaving: BTreeSet<TopicPartition>,
    /// What a consumer had that broke down: to be told as lost.
    orphans: BTreeSet<TopicPartition>,
    /// What is leaving was an orphan: its consumer goes and needs no answer.
    orphaned: bool,
    /// A new consumer joins as soon as what the old one had is given back: whoever has work on its way for a partition
    /// must call it off before the group is left, which gives the partition to somebody else.
    replacing: bool,
    /// The group threw the member out, or is about to.
    expelled: bool,
    /// A rebalance was answered that left partitions here: they must be told where to go on.
    misled: bool,
    replaced: Option<Instant>,
    client: Client,
}

impl KafkaInbox {
    pub fn join(kafka: Arc<Kafka>, settings: InboxSettings) -> Result<Self, Error> {
        let protocol = kafka.group_protocol();
        let reader = Reader::new(settings.batch_records, settings.batch_bytes);
        let client = Client::join(&kafka, &settings, protocol, &reader)?;
        Ok(KafkaInbox {
            kafka,
            settings,
            protocol,
            reader,
            coming: BTreeSet::new(),
            leaving: BTreeSet::new(),
            orphans: BTreeSet::new(),
            orphaned: false,
            replacing: false,
            expelled: false,
            misled: false,
            replaced: None,
            client,
        })
    }

    /// Serves the consumer.
    fn serve(&mut self) -> Result<(), Error> {
        for _ in 0..EVENTS_A_POLL {
            match self.client.consumer.poll(Duration::ZERO) {
                Some(Err(error)) => return self.consumer_error(&error),
                Some(Ok(_)) => {
                    // All partitions are split off before they are assigned.
                    return Err(Error::Fatal("a record came outside its partition's queue".into()));
                }
                None if self.client.events.len() == 0 => break,
                None => {}
            }
        }
        Ok(())
    }

    fn consumer_error(&mut self, error: &KafkaError) -> Result<(), Error> {
        let reason = self.client.consumer.context().take_complaint();
        self.expelled |= error.rdkafka_error_code() == Some(Code::PollExceeded);
        let KafkaError::MessageConsumptionFatal(_) = error else {
            // That brokers are away is logged, a line now and then; the client goes on trying by itself.
            return if error::is_transport(error) {
                Ok(())
            } else {
                Err(error::of_consumer(error, reason))
            };
        };
        let (code, text) = native::fatal_error(self.client.consumer.client().native_ptr())
            .unwrap_or((Code::Fatal, error.to_string()));
        match code {
            Code::UnsupportedFeature | Code::UnsupportedVersion
                if self.protocol == GroupProtocol::Consumer =>
            {
                tracing::info!(
                    group = self.settings.group,
                    reason = text,
                    "no consumer protocol here, so the classic"
                );
                self.kafka.classic_only.store(true, Ordering::Relaxed);
                self.protocol = GroupProtocol::Classic;
                self.replace()
            }
            Code::FencedInstanceId => Err(Error::Fenced(text)),
            _ if self.replaced.is_some_and(|last| last.elapsed() < REPLACEMENTS) => {
                Err(Error::Fatal(text))
            }
            _ => {
                // For one, librdkafka breaks down where a member was thrown out and joins again too soon.
                tracing::warn!(
                    group = self.settings.group,
                    reason = text,
                    "the consumer broke down: a new one joins"
                );
                self.replaced = Some(Instant::now());
                self.replace()
            }
        }
    }

    /// Has a new consumer join where the group may have told this one something that it did not hear.
    fn listen(&mut self) -> Result<(), Error> {
        if self.client.consumer.context().take_unheard() {
            tracing::warn!(
                group = self.settings.group,
                "the group did not answer in time: a new consumer joins"
            );
            self.replace()?;
        }
        Ok(())
    }

    /// Has a new consumer join. What the old one had is lost.
    fn replace(&mut self) -> Result<(), Error> {
        self.orphans.extend(self.reader.partitions().cloned());
        self.orphans.extend(self.coming.iter().cloned());
        self.orphans.retain(|orphan| !self.leaving.contains(orphan));
        self.misled = false;
        self.replacing = true;
        self.renew()
    }

    /// Joins with a new consumer, once nobody has a partition of the old one.
    fn renew(&mut self) -> Result<(), Error> {
        if self.replacing && self.orphans.is_empty() && self.leaving.is_empty() {
            self.part();
            self.client = Client::join(&self.kafka, &self.settings, self.protocol, &self.reader)?;
            self.replacing = false;
        }
        Ok(())
    }

    /// Leaves the group with the consumer there is.
    fn part(&mut self) {
        // Queues go before their client.
        self.reader.clear();
        self.misled = false;
        let coming = std::mem::take(&mut self.coming);
        let nothing = BTreeSet::new();
        self.client.leave(&coming, if self.orphaned { &nothing } else { &self.leaving });
    }

    fn rebalance(&mut self) -> Result<Option<Event>, Error> {
        // One at a time: what the group says next waits for the answer.
        if !self.leaving.is_empty() {
            return Ok(None);
        }
        if !self.orphans.is_empty() {
            self.leaving = std::mem::take(&mut self.orphans);
            self.orphaned = true;
            return Ok(Some(Event::Lost(self.leaving.iter().cloned().collect())));
        }
        if self.replacing {
            return Ok(None);
        }
        let Some(rebalance) = self.client.consumer.context().next_rebalance() else {
            return Ok(None);
        };
        if rebalance.partitions().is_empty() {
            self.answer_empty()?;
            return Ok(None);
        }
        Ok(Some(match rebalance {
            Rebalance::Assigned(partitions) => {
                self.expelled = false;
                self.coming.extend(partitions.iter().cloned());
                Event::Assigned(partitions)
            }
            Rebalance::Revoked(partitions) => {
                self.coming.clear();
                self.leaving.extend(partitions.iter().cloned());
                if self.expelled { Event::Lost(partitions) } else { Event::Revoked(partitions) }
            }
            Rebalance::Lost(partitions) => {
                self.coming.clear();
                self.leaving.extend(partitions.iter().cloned());
                Event::Lost(partitions)
            }
        }))
    }

    /// Has the partitions that a rebalance left here go on from where they were read to.
    ///
    /// librdkafka pauses all of them around a rebalance and resumes at the position of the application as it knows
    /// it. After a batch that ended with the end of the partition that is one too far: it counts that event as a
    /// record (`rd_kafka_q_serve_rkmessages`). The record behind the end would be skipped.
    fn realign(&mut self, new: &[(TopicPartition, Position)]) -> Result<(), Error> {
        if !self.misled {
            return Ok(());
        }
        let kept: Vec<_> = self.reader.positions().filter(|kept| !new.contains(kept)).collect();
        for (partition, position) in kept {
            if self.leaving.contains(&partition) {
                continue;
            }
            if let Err(error) = self.seek(&partition, position) {
                // It may be stopped already, for being beyond the end of the log.
                tracing::debug!(group = self.settings.group, %error, "a new consumer joins");
                return self.replace();
            }
        }
        self.misled = false;
        Ok(())
    }

    /// A classic group may have more members than partitions; its answer is due all the same.
    fn answer_empty(&mut self) -> Result<(), Error> {
        let answered = match self.client.is_cooperative() {
            true => {
                self.misled = true;
                self.client.consumer.incremental_assign(&TopicPartitionList::new())
            }
            false => self.client.consumer.unassign(),
        };
        if let Err(error) = answered {
            tracing::debug!(group = self.settings.group, %error, "answering an empty assignment");
        }
        self.realign(&[])
    }

    fn try_seek(&self, partition: &TopicPartition, position: Position) -> Result<(), Error> {
        let list = at_offsets(&[(partition.clone(), position)])?;
        let started = Instant::now();
        loop {
            let answer = self.client.consumer.seek_partitions(list.clone(), PATIENCE);
            let answer = match &answer {
                Ok(answers) => answers.elements().iter().find_map(|element| element.error().err()),
                Err(error) => {
                    return Err(Error::Retriable(format!("{partition}: cannot seek: {error}")));
                }
            };
            match answer {
                None => return Ok(()),
                // Assigned, and not started yet.
                Some(error)
                    if error.rdkafka_error_code() == Some(Code::State)
                        && started.elapsed() < STARTING =>
                {
                    std::thread::sleep(MOVING_STEP);
                }
                Some(error) => {
                    return Err(Error::Retriable(format!("{partition}: cannot seek: {error}")));
                }
            }
        }
    }
}

impl Inbox for KafkaInbox {
    fn poll(&mut self, wait: Duration) -> Result<Option<Event>, Error> {
        let started = Instant::now();
        loop {
            self.reader.wake.reset();
            self.renew()?;
            if !self.replacing {
                self.serve()?;
                self.listen()?;
                self.realign(&[])?;
            }
            if let Some(event) = self.rebalance()? {
                return Ok(Some(event));
            }
            match if self.replacing { None } else { self.reader.poll()? } {
                Some(Came::Event(event)) => return Ok(Some(event)),
                Some(Came::OutOfRange(partition, position)) => {
                    // The client has stopped the partition, and takes no seek any more. A new one begins where
                    // `resolve` says, which asks again what was not answered here.
                    match self.missing(&partition, position) {
                        Ok(_) | Err(Error::Retriable(_)) => self.replace()?,
                        Err(error) => return Err(error),
                    }
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

    fn open(
        &mut self,
        partitions: &[(TopicPartition, Option<Position>)],
    ) -> Result<Vec<(TopicPartition, Position)>, Error> {
        if self.replacing {
            return Err(Error::Retriable("the group is about to be joined anew".into()));
        }
        let begins = self.resolve(partitions)?;
        let client = self.client.consumer.client().native_ptr();
        let (again, new): (Vec<_>, Vec<_>) =
            begins.iter().cloned().partition(|(partition, _)| self.reader.is_open(partition));
        for (partition, position) in &again {
            self.seek(partition, *position)?;
        }
        for (partition, position) in &new {
            self.reader.open(client, partition, *position)?;
        }
        let assigned = match self.client.is_cooperative() {
            true => {
                self.misled = true;
                self.client.consumer.incremental_assign(&at_offsets(&new)?)
            }
            // The whole assignment at once: a classic member was told all of it.
            false => self.client.consumer.assign(&at_offsets(&begins)?),
        };
        if let Err(error) = assigned {
            for (partition, _) in &new {
                self.reader.close(partition);
            }
            return Err(Error::Retriable(format!("the partitions cannot be assigned: {error}")));
        }
        for (partition, _) in &begins {
            self.coming.remove(partition);
        }
        self.realign(&new)?;
        Ok(begins)
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        let consumer = &self.client.consumer;
        let released = if self.orphaned {
            Ok(())
        } else if self.client.is_cooperative() {
            let mut list = TopicPartitionList::with_capacity(partitions.len());
            for partition in partitions {
                list.add_partition(&partition.topic, number(partition)?);
            }
            self.misled = true;
            consumer.incremental_unassign(&list)
        } else if self.leaving.iter().all(|partition| partitions.contains(partition)) {
            // A classic group takes everything away, and wants one answer.
            consumer.unassign()
        } else {
            Ok(())
        };
        for partition in partitions {
            self.reader.close(partition);
            self.leaving.remove(partition);
        }
        self.orphaned &= !self.leaving.is_empty();
        released.map_err(|error| {
            Error::Retriable(format!("the partitions cannot be given back: {error}"))
        })?;
        self.realign(&[])
    }

    fn hold(&mut self, partition: &TopicPartition) {
        self.reader.hold(partition, true);
    }

    fn resume(&mut self, partition: &TopicPartition) {
        self.reader.hold(partition, false);
    }

    fn seek(&mut self, partition: &TopicPartition, position: Position) -> Result<(), Error> {
        if !self.reader.is_open(partition) {
            return Err(Error::Refused(format!(
                "{partition} is not open, so there is nowhere to seek in it"
            )));
        }
        self.try_seek(partition, position)?;
        self.reader.moved(partition, position);
        Ok(())
    }

    fn commit(&mut self, positions: &[(TopicPartition, Position)]) -> Result<(), Error> {
        if positions.is_empty() {
            return Ok(());
        }
        if let Some((partition, _)) =
            positions.iter().find(|(partition, _)| !self.reader.is_open(partition))
        {
            return Err(Error::Fenced(format!("{partition} is no longer open")));
        }
        let list = at_offsets(positions)?;
        let started = Instant::now();
        loop {
            let code = match self.client.consumer.commit(&list, CommitMode::Sync) {
                Ok(()) => match list.elements().iter().find_map(|element| element.error().err()) {
                    None => return Ok(()),
                    Some(error) => error.rdkafka_error_code(),
                },
                Err(error) => error.rdkafka_error_code(),
            };
            let code = code.unwrap_or(Code::Unknown);
            if !error::is_moving(code) || started.elapsed() > MOVING {
                return Err(error::of_commit(code));
            }
            std::thread::sleep(MOVING_STEP);
        }
    }

    fn membership(&self) -> Option<Membership> {
        self.client.is_member().then_some(())?;
        Some(Membership(Arc::new(self.client.consumer.group_metadata()?)))
    }

    fn ends(&self) -> Vec<(TopicPartition, Position)> {
        let client = self.client.consumer.client().native_ptr();
        let end = |partition: &TopicPartition| {
            let number = number(partition).ok()?;
            native::cached_end(client, &partition.topic, number).map(|end| (partition.clone(), end))
        };
        self.reader.partitions().filter_map(end).collect()
    }

    fn close(self: Box<Self>) {}
}

impl Drop for KafkaInbox {
    fn drop(&mut self) {
        self.part();
    }
}
