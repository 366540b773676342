//! The embedded log: topics, groups and transactions in memory, with Kafka's semantics.
//!
//! The second implementation behind the seams: `tidemill dev`, `tidemill test` and the demo run on it, and most
//! tests. Control markers take offsets, high watermark and last stable offset differ, what was aborted is hidden,
//! groups have generations and fencing, compaction keeps the newest of each key. Nothing is written to disk, and
//! memory is bounded: `retention.bytes` of each partition is 64 MiB where a topic does not say otherwise.
//!
//! | file | what |
//! |---|---|
//! | `partition` | the log of one partition |
//! | `topic` | partitions and settings |
//! | `group` | members, generations, committed positions |
//! | `transaction` | producer epochs, open transactions |
//! | `state` | all of it behind one lock; waiting; time |
//! | `reader` | reading several partitions in turn |
//! | `inbox`, `outbox`, `follower`, `admin` | the seams |
//! | `faults` | faults for tests |

use std::{sync::Arc, time::Duration};

use crate::{
    broker::{
        Admin, Broker, Error, Follower, FollowerSettings, Inbox, InboxSettings, Isolation, Outbox,
        OutboxSettings,
    },
    partitioner,
    record::{Headers, Offset, Partition, Position, Record, Records, Timestamp, TopicPartition},
};

mod admin;
mod faults;
mod follower;
mod group;
mod inbox;
mod outbox;
mod partition;
mod reader;
mod state;
#[cfg(test)]
mod tests;
mod topic;
mod transaction;

pub use faults::{Fault, Faults, Step, When};

use admin::MemoryAdmin;
use follower::MemoryFollower;
use inbox::MemoryInbox;
use outbox::MemoryOutbox;
use state::Shared;

/// A log of its own, empty at first. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct MemoryLog {
    shared: Arc<Shared>,
}

/// A record for [`MemoryLog::append`].
#[derive(Debug, Clone, Copy)]
pub struct Append<'a> {
    /// `None`: by the key; without a key at random.
    pub partition: Option<Partition>,
    /// `None` is null.
    pub key: Option<&'a [u8]>,
    /// `None` is null.
    pub value: Option<&'a [u8]>,
    /// In order, names may repeat.
    pub headers: Headers<'a>,
    /// `None`: now.
    pub timestamp: Option<Timestamp>,
}

impl MemoryLog {
    /// Makes an empty log.
    pub fn new() -> Self {
        MemoryLog { shared: Arc::new(Shared::new()) }
    }

    /// Appends a record outside any transaction.
    ///
    /// # Errors
    /// [`Error::Refused`] where the topic or partition does not exist or does not take the record,
    /// [`Error::TooLarge`] where it is larger than the topic's `max.message.bytes`.
    pub fn append(&self, topic: &str, record: &Append<'_>) -> Result<(Partition, Offset), Error> {
        let mut state = self.shared.lock();
        let (name, stored) =
            state.topics.get_key_value(topic).ok_or_else(|| state::no_topic(topic))?;
        let (name, count) = (name.clone(), stored.partition_count());
        let partition = record.partition.unwrap_or_else(|| match record.key {
            Some(key) => partitioner::partition_of(key, count),
            None => Partition(rand::random_range(0..count)),
        });
        let timestamp = record.timestamp.unwrap_or_else(|| state.timestamp());
        let offset = state.append(
            &name,
            partition,
            &Record {
                offset: Offset(-1),
                timestamp,
                key: record.key,
                value: record.value,
                headers: record.headers,
            },
            None,
        )?;
        state.change();
        Ok((partition, offset))
    }

    /// Reads up to `records_max` records from a position (or the log's start, where that is later), and tells where
    /// to go on. Does not wait: a [`Follower`] does.
    ///
    /// # Errors
    /// [`Error::Refused`] where the partition does not exist.
    pub fn read(
        &self,
        partition: &TopicPartition,
        from: Position,
        isolation: Isolation,
        records_max: usize,
    ) -> Result<(Records, Position), Error> {
        let state = self.shared.lock();
        let log = state
            .topic(&partition.topic)?
            .partition(partition.partition)
            .ok_or_else(|| Error::Refused(format!("{partition} does not exist")))?;
        let mut records = Records::new();
        let next = match records_max {
            0 => from,
            _ => log.read(from.max(log.start()), isolation, records_max, usize::MAX, &mut records),
        };
        Ok((records, next))
    }

    /// Deletes the records of a partition before a position, as Kafka's `DeleteRecords`.
    ///
    /// # Errors
    /// [`Error::Refused`] where the partition does not exist.
    pub fn truncate(&self, partition: &TopicPartition, before: Position) -> Result<(), Error> {
        let mut state = self.shared.lock();
        let topic = state
            .topics
            .get_mut(&partition.topic)
            .ok_or_else(|| state::no_topic(&partition.topic))?;
        topic
            .partition_mut(partition.partition)
            .ok_or_else(|| Error::Refused(format!("{partition} does not exist")))?
            .truncate(before);
        state.change();
        Ok(())
    }

    /// Compacts all topics that ask for it, now. The log does it by itself as records come.
    pub fn compact(&self) {
        let mut state = self.shared.lock();
        let now = state.now();
        for topic in state.topics.values_mut() {
            topic.compact(now);
        }
    }

    /// Moves the log's clock forward, so that tests need not wait for sessions, transactions and tombstones to time
    /// out.
    pub fn advance(&self, by: Duration) {
        self.shared.lock().advance(by);
        // Locking again lets what is due happen.
        self.shared.lock().change();
    }

    /// Throws all members out of a group, as a broker does with members it has not heard of.
    pub fn expel(&self, group: &str) {
        let mut state = self.shared.lock();
        state.group(group).expel_all();
        state.rebalance(group);
        state.change();
    }

    /// Faults to inject into this log's outboxes.
    pub fn faults(&self) -> Faults {
        Faults(self.shared.clone())
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl Broker for MemoryLog {
    fn name(&self) -> &str {
        "the embedded log"
    }

    fn inbox(&self, settings: InboxSettings) -> Result<Box<dyn Inbox>, Error> {
        Ok(Box::new(MemoryInbox::join(self.shared.clone(), settings)))
    }

    fn outbox(&self, settings: OutboxSettings) -> Result<Box<dyn Outbox>, Error> {
        Ok(Box::new(MemoryOutbox::new(self.shared.clone(), &settings)))
    }

    fn follower(&self, settings: FollowerSettings) -> Result<Box<dyn Follower>, Error> {
        Ok(Box::new(MemoryFollower::new(self.shared.clone(), &settings)))
    }

    fn admin(&self) -> Result<Box<dyn Admin>, Error> {
        Ok(Box::new(MemoryAdmin(self.shared.clone())))
    }
}
