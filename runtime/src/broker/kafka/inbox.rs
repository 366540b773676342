//! A member of a Kafka consumer group.
//!
//! The consumer is polled for rebalances and errors only; records come from queues of their own, one a partition,
//! split off before the partition is assigned. A rebalance is answered by `open` and `release`, never inside a
//! callback.

use std::{
    collections::{BTreeSet, HashMap},
    ffi::CStr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    config::FromClientConfigAndContext,
    consumer::{BaseConsumer, CommitMode, Consumer, RebalanceProtocol},
    error::{KafkaError, RDKafkaErrorCode as Code},
};
use rdkafka_sys as sys;

use super::{
    Kafka,
    config::{self, GroupProtocol},
    context::{Context, Rebalance},
    error,
    native::{self, Queue},
    offsets,
    question::Failure,
    reader::{Came, Reader, number},
};
use crate::{
    broker::{Bound, Error, Event, Inbox, InboxSettings, Membership, OnMissingOffset, Start},
    record::{Position, TopicPartition},
};

/// How long to wait for an answer of a broker.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long positions may be held by another producer's transaction: Kafka's longest by default is 15 minutes, ours
/// 10 seconds.
const PENDING: Duration = Duration::from_secs(60);
/// How long a commit follows a member whose epoch moves, and how often it tries.
const MOVING: Duration = Duration::from_secs(5);
const MOVING_STEP: Duration = Duration::from_millis(50);
/// How long a partition that was assigned may take to start.
const STARTING: Duration = Duration::from_secs(2);
/// How long leaving a group may take.
const LEAVING: Duration = Duration::from_secs(10);
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
    /// What is leaving was an orphan: its consumer is gone and needs no answer.
    orphaned: bool,
    /// The group threw the member out, or is about to.
    expelled: bool,
    /// A rebalance was answered that left partitions here: they must be told where to go on.
    misled: bool,
    replaced: Option<Instant>,
    client: Client,
}

/// The consumer and its queue, which must go first.
struct Client {
    events: Queue,
    consumer: Arc<BaseConsumer<Context>>,
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

    /// Joins with a new consumer. What the old one had is lost.
    fn replace(&mut self) -> Result<(), Error> {
        self.orphans.extend(self.reader.partitions().cloned());
        self.orphans.extend(self.coming.iter().cloned());
        self.part();
        self.orphaned = !self.leaving.is_empty();
        self.client = Client::join(&self.kafka, &self.settings, self.protocol, &self.reader)?;
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

    /// Where to go on from a position that the broker, or the log's start, says is not there.
    fn missing(&self, partition: &TopicPartition, position: Position) -> Result<Position, Error> {
        let ask = |bound| {
            self.positions(std::slice::from_ref(partition), bound).map(|positions| positions[0])
        };
        let earliest = ask(Bound::Earliest)?;
        if position >= earliest && position <= ask(Bound::Latest)? {
            // A new leader may have been behind for a moment.
            tracing::debug!(%partition, %position, "the position is there after all");
            return Ok(position);
        }
        let go_on = match self.settings.on_missing_offset {
            OnMissingOffset::Fail if position < earliest => {
                return Err(Error::MissingOffset {
                    partition: partition.clone(),
                    position,
                    earliest,
                });
            }
            OnMissingOffset::Fail => {
                return Err(Error::Refused(format!(
                    "{partition}: position {position} is behind the end of the log"
                )));
            }
            OnMissingOffset::Earliest => earliest,
            OnMissingOffset::Latest => ask(Bound::LatestStable)?,
        };
        tracing::warn!(%partition, %position, %earliest, %go_on, "records were deleted before they were read");
        Ok(go_on)
    }

    fn positions(
        &self,
        partitions: &[TopicPartition],
        bound: Bound,
    ) -> Result<Vec<Position>, Error> {
        offsets::list(self.client.consumer.client().native_ptr(), partitions, bound, PATIENCE)
            .map_err(|failure| match failure {
                Failure::Request(code) => self.failed(code),
                Failure::One(error) => error,
            })
    }

    fn failed(&self, code: Code) -> Error {
        error::of_request(
            code,
            &self.kafka.address,
            self.client.consumer.context().take_complaint(),
        )
    }

    /// The committed positions, none of which a transaction may still change.
    fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<HashMap<TopicPartition, Position>, Error> {
        let started = Instant::now();
        let mut asked = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            asked.add_partition(&partition.topic, number(partition)?);
        }
        if partitions.is_empty() {
            return Ok(HashMap::new());
        }
        loop {
            let code = match self.client.consumer.committed_offsets(asked.clone(), PATIENCE) {
                Ok(answers) => {
                    match answers.elements().iter().find_map(|element| element.error().err()) {
                        None => return Ok(known(&answers)),
                        Some(error) => error.rdkafka_error_code(),
                    }
                }
                Err(error) => error.rdkafka_error_code(),
            };
            match code.unwrap_or(Code::Unknown) {
                Code::UnstableOffsetCommit if started.elapsed() < PENDING => {}
                Code::UnstableOffsetCommit => {
                    return Err(Error::Retriable(
                        "a transaction still holds the committed positions".into(),
                    ));
                }
                code if error::is_moving(code) && started.elapsed() < MOVING => {}
                code => return Err(self.failed(code)),
            }
            std::thread::sleep(MOVING_STEP);
        }
    }

    /// Where each partition begins.
    fn resolve(
        &self,
        partitions: &[(TopicPartition, Option<Position>)],
    ) -> Result<Vec<(TopicPartition, Position)>, Error> {
        let open: Vec<TopicPartition> = partitions
            .iter()
            .filter(|(_, at)| at.is_none())
            .map(|(partition, _)| partition.clone())
            .collect();
        let committed = self.committed(&open)?;
        let at = |partition: &TopicPartition, given: Option<Position>| {
            given.or_else(|| committed.get(partition).copied())
        };
        let (mut known, mut new) = (Vec::new(), Vec::new());
        for (partition, given) in partitions {
            match at(partition, *given) {
                Some(position) => known.push((partition.clone(), position)),
                None => new.push(partition.clone()),
            }
        }
        let start = match self.settings.start {
            Start::Earliest => Bound::Earliest,
            Start::Latest => Bound::LatestStable,
            Start::Timestamp(timestamp) => Bound::Timestamp(timestamp),
        };
        let starts = self.positions(&new, start)?;
        let mut begins: Vec<(TopicPartition, Position)> = new.into_iter().zip(starts).collect();
        let names: Vec<TopicPartition> =
            known.iter().map(|(partition, _)| partition.clone()).collect();
        for ((partition, position), earliest) in
            known.into_iter().zip(self.positions(&names, Bound::Earliest)?)
        {
            let position =
                if position < earliest { self.missing(&partition, position)? } else { position };
            begins.push((partition, position));
        }
        Ok(begins)
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
            self.serve()?;
            self.realign(&[])?;
            if let Some(event) = self.rebalance()? {
                return Ok(Some(event));
            }
            match self.reader.poll()? {
                Some(Came::Event(event)) => return Ok(Some(event)),
                Some(Came::OutOfRange(partition, position)) => {
                    self.missing(&partition, position)?;
                    // The client has stopped the partition, and takes no seek any more. A new one begins where
                    // `resolve` says.
                    self.replace()?;
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

impl Client {
    fn join(
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

    fn is_cooperative(&self) -> bool {
        matches!(self.consumer.rebalance_protocol(), RebalanceProtocol::Cooperative)
    }

    fn is_member(&self) -> bool {
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
    fn leave(&self, coming: &BTreeSet<TopicPartition>, leaving: &BTreeSet<TopicPartition>) {
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

/// A list of the client's, each partition at its position.
pub(super) fn at_offsets(
    positions: &[(TopicPartition, Position)],
) -> Result<TopicPartitionList, Error> {
    let mut list = TopicPartitionList::with_capacity(positions.len());
    for (partition, position) in positions {
        list.add_partition_offset(&partition.topic, number(partition)?, Offset::Offset(position.0))
            .map_err(|error| {
                Error::Refused(format!("{partition}: position {position}: {error}"))
            })?;
    }
    Ok(list)
}

fn known(answers: &TopicPartitionList) -> HashMap<TopicPartition, Position> {
    let mut known = HashMap::new();
    for element in answers.elements() {
        if let (Ok(partition), Offset::Offset(offset)) =
            (u32::try_from(element.partition()), element.offset())
        {
            known.insert(TopicPartition::new(element.topic(), partition), Position(offset));
        }
    }
    known
}
