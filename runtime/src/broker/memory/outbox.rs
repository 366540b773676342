//! A producer of the embedded log.
//!
//! Records are in the log when `produce` returns; that the producer knows of it comes with their deliveries.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    faults::{Fault, Step, When},
    state::{Locked, Shared, State, credentials, no_topic},
    transaction::ProducerEpoch,
};
use crate::{
    broker::{Delivery, Error, Membership, Outbox, OutboxSettings, Produce, TopicId},
    partitioner,
    record::{Offset, Partition, Position, Record, TopicPartition},
};

/// Deliveries that wait to be handed over: the producer's bound, as Kafka's `queue.buffering.max.messages`.
const IN_FLIGHT_MAX: usize = 100_000;
/// Null keys stay with a random partition for so long, as librdkafka's `sticky.partitioning.linger.ms`.
const STICKY: Duration = Duration::from_millis(10);

#[derive(Debug)]
struct KnownTopic {
    name: Arc<str>,
    /// For null keys, until then.
    sticky: (u32, Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transaction {
    None,
    Open,
    /// A record of it failed: it can only be aborted.
    Failed,
    /// Committed, and the caller does not know yet.
    Committed,
}

#[derive(Debug)]
pub(super) struct MemoryOutbox {
    shared: Arc<Shared>,
    producer: Option<ProducerEpoch>,
    topics: Vec<KnownTopic>,
    delivered: VecDeque<Delivery>,
    transaction: Transaction,
    /// Why it is of no more use.
    dead: Option<Error>,
}

impl MemoryOutbox {
    pub fn new(shared: Arc<Shared>, settings: &OutboxSettings) -> Self {
        let producer = settings.transactional_id.as_ref().map(|id| {
            let mut state = shared.lock();
            let producer = state.init_producer(id, settings.transaction_timeout);
            state.change();
            producer
        });
        let (topics, delivered) = (Vec::new(), VecDeque::new());
        MemoryOutbox {
            shared,
            producer,
            topics,
            delivered,
            transaction: Transaction::None,
            dead: None,
        }
    }

    fn alive(&self) -> Result<(), Error> {
        self.dead.clone().map_or(Ok(()), Err)
    }

    /// Does what is planned for a step, on a locked state.
    fn fault(&mut self, state: &mut Locked<'_>, step: Step, when: When) -> Result<(), Error> {
        let error = match state.faults.take(step, when) {
            None => return Ok(()),
            Some(Fault::Error(error)) => return Err(error),
            Some(Fault::Kill) => Error::Fatal("the producer was killed".into()),
            Some(Fault::Fence) => {
                if let Some(producer) = &self.producer {
                    // Whoever takes over brings its own time-out when it begins.
                    state.init_producer(&producer.id, Duration::MAX);
                    state.change();
                }
                Error::Fenced("another producer took over".into())
            }
        };
        self.dead = Some(error.clone());
        Err(error)
    }

    /// One of the transaction's calls, between its faults.
    fn step<T>(
        &mut self,
        step: Step,
        act: impl FnOnce(&mut Self, &mut State) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.alive()?;
        let shared = self.shared.clone();
        let mut state = shared.lock();
        self.fault(&mut state, step, When::Before)?;
        let done = act(self, &mut state);
        state.change();
        if let Err(error @ (Error::Fenced(_) | Error::Fatal(_))) = &done {
            self.dead = Some(error.clone());
        }
        let done = done?;
        self.fault(&mut state, step, When::After)?;
        Ok(done)
    }

    fn producer(&self) -> Result<ProducerEpoch, Error> {
        self.producer
            .clone()
            .ok_or_else(|| Error::Refused("the producer has no transactional id".into()))
    }

    fn partition(&mut self, state: &State, record: &Produce<'_>) -> Result<Partition, Error> {
        let topic = &mut self.topics[record.topic.0];
        let count = state.topic(&topic.name)?.partition_count();
        Ok(match (record.partition, record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partitioner::partition_of(key, count),
            (None, None) => {
                let now = state.now();
                if now >= topic.sticky.1 {
                    topic.sticky = (rand::random_range(0..count), now + STICKY);
                }
                Partition(topic.sticky.0.min(count - 1))
            }
        })
    }

    fn deliver(
        &mut self,
        state: &mut Locked<'_>,
        record: &Produce<'_>,
    ) -> Result<(Partition, Option<Offset>), Error> {
        self.fault(state, Step::Deliver, When::Before)?;
        let partition = self.partition(state, record)?;
        let topic = self.topics[record.topic.0].name.clone();
        let offset = state.append(
            &topic,
            partition,
            &Record {
                offset: Offset(-1),
                timestamp: record.timestamp,
                key: record.key,
                value: record.value,
                headers: record.headers,
            },
            self.producer.as_ref(),
        )?;
        self.fault(state, Step::Deliver, When::After)?;
        Ok((partition, Some(offset)))
    }
}

impl Outbox for MemoryOutbox {
    fn topic(&mut self, name: &str) -> Result<TopicId, Error> {
        self.alive()?;
        if let Some(known) = self.topics.iter().position(|topic| *topic.name == *name) {
            return Ok(TopicId(known));
        }
        let state = self.shared.lock();
        let (name, _) = state.topics.get_key_value(name).ok_or_else(|| no_topic(name))?;
        self.topics.push(KnownTopic { name: name.clone(), sticky: (0, Duration::ZERO) });
        Ok(TopicId(self.topics.len() - 1))
    }

    fn produce(&mut self, record: &Produce<'_>, token: usize) -> Result<(), Error> {
        self.alive()?;
        if self.delivered.len() >= IN_FLIGHT_MAX {
            return Err(Error::Full);
        }
        if self.producer.is_some()
            && !matches!(self.transaction, Transaction::Open | Transaction::Failed)
        {
            return Err(Error::Refused(
                "a transactional producer produces inside a transaction".into(),
            ));
        }
        let shared = self.shared.clone();
        let mut state = shared.lock();
        self.fault(&mut state, Step::Produce, When::Before)?;
        let result = self.deliver(&mut state, record);
        if let Err(error) = &result {
            if self.transaction == Transaction::Open {
                self.transaction = Transaction::Failed;
            }
            if matches!(error, Error::Fenced(_)) {
                self.dead = Some(error.clone());
            }
        }
        self.delivered.push_back(Delivery { token, result });
        state.change();
        self.fault(&mut state, Step::Produce, When::After)
    }

    fn poll(&mut self, wait: Duration, delivered: &mut dyn FnMut(Delivery)) -> Result<(), Error> {
        if !self.delivered.is_empty() {
            let mut state = self.shared.lock();
            let deadline = state.now() + wait;
            while state.faults.corked {
                let in_time;
                (state, in_time) = state.wait(deadline);
                if !in_time {
                    return self.alive();
                }
            }
        }
        if !matches!(self.dead, Some(Error::Fatal(_))) {
            self.delivered.drain(..).for_each(delivered);
        }
        self.alive()
    }

    fn hurry(&mut self) {}

    fn in_flight(&self) -> usize {
        self.delivered.len()
    }

    fn begin(&mut self) -> Result<(), Error> {
        self.step(Step::Begin, |this, state| {
            let producer = this.producer()?;
            state.coordinator.check(&producer)?;
            match this.transaction {
                Transaction::None => {
                    this.transaction = Transaction::Open;
                    Ok(())
                }
                _ => Err(Error::Refused("a transaction is open already".into())),
            }
        })
    }

    fn send_positions(
        &mut self,
        positions: &[(TopicPartition, Position)],
        membership: &Membership,
    ) -> Result<(), Error> {
        let credentials = credentials(membership)?;
        self.step(Step::SendPositions, |this, state| {
            let producer = this.producer()?;
            match this.transaction {
                Transaction::Open => state.send_positions(&producer, positions, credentials),
                Transaction::Failed => Err(failed()),
                _ => Err(none_open()),
            }
            .inspect_err(|error| {
                if matches!(error, Error::Abortable(_)) {
                    this.transaction = Transaction::Failed;
                }
            })
        })
    }

    fn commit(&mut self) -> Result<(), Error> {
        let done = self.step(Step::Commit, |this, state| {
            let producer = this.producer()?;
            match this.transaction {
                Transaction::Open => {
                    state.end_transaction(&producer, true)?;
                    this.transaction = Transaction::Committed;
                    Ok(())
                }
                Transaction::Committed => Ok(()),
                Transaction::Failed => Err(failed()),
                Transaction::None => Err(none_open()),
            }
        });
        if done.is_ok() {
            self.transaction = Transaction::None;
        }
        done
    }

    fn abort(&mut self) -> Result<(), Error> {
        self.step(Step::Abort, |this, state| {
            let producer = this.producer()?;
            if this.transaction == Transaction::None {
                return Err(none_open());
            }
            state.end_transaction(&producer, false)?;
            this.transaction = Transaction::None;
            for delivery in &mut this.delivered {
                delivery.result = Err(Error::Abortable("the transaction was aborted".into()));
            }
            Ok(())
        })
    }

    fn forget(&mut self) -> Result<(), Error> {
        self.alive()?;
        if self.producer.is_some() {
            return Err(Error::Refused("what a transaction holds is aborted".into()));
        }
        // They are in the log already.
        self.delivered.clear();
        Ok(())
    }
}

fn failed() -> Error {
    Error::Abortable("a record of the transaction failed: it can only be aborted".into())
}

fn none_open() -> Error {
    Error::Refused("no transaction is open".into())
}
