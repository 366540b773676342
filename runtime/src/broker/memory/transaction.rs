//! Transactional producers of the embedded log: epochs, and the one transaction each may have open.
//!
//! Only bookkeeping: what a transaction's end does to topics and groups is `state`'s.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use super::partition::TransactionSeq;
use crate::{
    broker::Error,
    record::{Position, TopicPartition},
};

/// A transactional producer at one epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProducerEpoch {
    pub id: String,
    pub epoch: u32,
}

/// What a transaction has gathered.
#[derive(Debug)]
pub(super) struct Open {
    pub seq: TransactionSeq,
    deadline: Duration,
    pub partitions: BTreeSet<TopicPartition>,
    /// Of which group.
    pub positions: Vec<(String, TopicPartition, Position)>,
}

#[derive(Debug)]
struct Producer {
    epoch: u32,
    timeout: Duration,
    open: Option<Open>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Coordinator {
    producers: HashMap<String, Producer>,
    opened: u64,
}

impl Coordinator {
    /// Fences older producers of that id. The transaction they left is the caller's to abort.
    pub fn init(&mut self, id: &str, timeout: Duration) -> (ProducerEpoch, Option<Open>) {
        let producer = self.producers.entry(id.to_owned()).or_insert(Producer {
            epoch: 0,
            timeout,
            open: None,
        });
        producer.epoch += 1;
        producer.timeout = timeout;
        (ProducerEpoch { id: id.to_owned(), epoch: producer.epoch }, producer.open.take())
    }

    fn current(&mut self, producer: &ProducerEpoch) -> Result<&mut Producer, Error> {
        match self.producers.get_mut(&producer.id) {
            Some(found) if found.epoch == producer.epoch => Ok(found),
            _ => Err(Error::Fenced(format!(
                "transactional id {} was taken over, or timed out",
                producer.id
            ))),
        }
    }

    pub fn check(&mut self, producer: &ProducerEpoch) -> Result<(), Error> {
        self.current(producer).map(drop)
    }

    /// The open transaction, opened now where there is none. It times out from its first use on, as in Kafka.
    pub fn open(&mut self, producer: &ProducerEpoch, now: Duration) -> Result<&mut Open, Error> {
        self.opened += 1;
        let seq = TransactionSeq(self.opened);
        let producer = self.current(producer)?;
        let deadline = now + producer.timeout;
        Ok(producer.open.get_or_insert_with(|| Open {
            seq,
            deadline,
            partitions: BTreeSet::new(),
            positions: Vec::new(),
        }))
    }

    /// Takes the open transaction out, to be ended.
    pub fn take(&mut self, producer: &ProducerEpoch) -> Result<Option<Open>, Error> {
        Ok(self.current(producer)?.open.take())
    }

    /// Takes out what has timed out, and fences its producers.
    pub fn expire(&mut self, now: Duration) -> Vec<Open> {
        let late = |open: &mut Open| open.deadline <= now;
        let mut expired = Vec::new();
        for producer in self.producers.values_mut() {
            if let Some(open) = producer.open.take_if(late) {
                producer.epoch += 1;
                expired.push(open);
            }
        }
        expired
    }

    pub fn next_deadline(&self) -> Option<Duration> {
        self.producers
            .values()
            .filter_map(|producer| producer.open.as_ref())
            .map(|open| open.deadline)
            .min()
    }
}
