//! A topic of the embedded log: partitions, and the few settings that the log follows.
//!
//! Settings go by Kafka's names. Those that mean nothing here are kept and answered, so that what runs on Kafka
//! runs here.

use std::{collections::BTreeMap, time::Duration};

use super::partition::{PartitionLog, TransactionSeq};
use crate::{
    broker::Error,
    record::{Offset, Partition, Record},
};

/// Kafka's default for a topic.
const MESSAGE_BYTES_MAX: usize = 1_048_588;
/// Kafka keeps tombstones for a day.
const TOMBSTONES_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// Kafka's own default is no bound; this log lives in memory.
const RETENTION_BYTES: usize = 64 << 20;
/// What a producer may ask for.
const PARTITIONS_MAX: u32 = 10_000;

/// Tells a topic from a later one of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TopicUid(u128);

impl TopicUid {
    /// Unlike any other, one of another process too: data on disk may outlive this log.
    fn new() -> Self {
        TopicUid(rand::random())
    }
}

impl std::fmt::Display for TopicUid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Topic {
    pub uid: TopicUid,
    partitions: Vec<PartitionLog>,
    settings: BTreeMap<String, String>,
    compacts: bool,
    retention_bytes: Option<usize>,
    tombstones_kept: Duration,
    message_bytes_max: usize,
}

impl Topic {
    pub fn new(partitions: u32, settings: BTreeMap<String, String>) -> Result<Self, Error> {
        if partitions == 0 || partitions > PARTITIONS_MAX {
            return Err(Error::Refused(format!(
                "a topic has 1 to {PARTITIONS_MAX} partitions, not {partitions}"
            )));
        }
        let policy = settings.get("cleanup.policy").map_or("delete", String::as_str);
        let (mut compacts, mut deletes) = (false, false);
        for part in policy.split(',').map(str::trim) {
            match part {
                "compact" => compacts = true,
                "delete" => deletes = true,
                other => {
                    return Err(Error::Refused(format!(
                        "cleanup.policy is \"compact\", \"delete\" or both, not {other:?}"
                    )));
                }
            }
        }
        let number = |name: &str, default: i64| match settings.get(name) {
            Some(text) => text
                .parse::<i64>()
                .map_err(|_| Error::Refused(format!("{name} is a whole number, not {text:?}"))),
            None => Ok(default),
        };
        // -1 is no bound, as in Kafka.
        let retention_bytes =
            usize::try_from(number("retention.bytes", signed(RETENTION_BYTES))?).ok();
        let kept_ms = number("delete.retention.ms", signed_millis(TOMBSTONES_KEPT))?;
        let message_bytes_max = number("max.message.bytes", signed(MESSAGE_BYTES_MAX))?;
        Ok(Topic {
            uid: TopicUid::new(),
            partitions: (0..partitions).map(|_| PartitionLog::default()).collect(),
            compacts,
            retention_bytes: if deletes { retention_bytes } else { None },
            tombstones_kept: Duration::from_millis(u64::try_from(kept_ms).unwrap_or(0)),
            message_bytes_max: usize::try_from(message_bytes_max).unwrap_or(0),
            settings,
        })
    }

    pub fn partition_count(&self) -> u32 {
        u32::try_from(self.partitions.len()).expect("bounded when the topic was made")
    }

    pub fn partition(&self, partition: Partition) -> Option<&PartitionLog> {
        self.partitions.get(usize::try_from(partition.0).ok()?)
    }

    pub fn partition_mut(&mut self, partition: Partition) -> Option<&mut PartitionLog> {
        self.partitions.get_mut(usize::try_from(partition.0).ok()?)
    }

    pub fn setting(&self, name: &str) -> Option<String> {
        self.settings.get(name).cloned().or_else(|| match name {
            "cleanup.policy" => Some("delete".into()),
            "delete.retention.ms" => Some(self.tombstones_kept.as_millis().to_string()),
            "max.message.bytes" => Some(self.message_bytes_max.to_string()),
            "retention.bytes" => Some(signed(RETENTION_BYTES).to_string()),
            _ => None,
        })
    }

    /// Appends by the topic's rules, and keeps the partition within its bounds.
    pub fn append(
        &mut self,
        partition: Partition,
        record: &Record<'_>,
        transaction: Option<TransactionSeq>,
        now: Duration,
    ) -> Result<Offset, Error> {
        let size = record.key.map_or(0, <[u8]>::len)
            + record.value.map_or(0, <[u8]>::len)
            + record.headers.bytes().len();
        if size > self.message_bytes_max {
            return Err(Error::TooLarge(format!(
                "{size} bytes, and the topic's max.message.bytes is {}",
                self.message_bytes_max
            )));
        }
        if self.compacts && record.key.is_none() {
            return Err(Error::Refused("a compacted topic takes no record without a key".into()));
        }
        let (count, retention_bytes) = (self.partition_count(), self.retention_bytes);
        let (compacts, tombstones_kept) = (self.compacts, self.tombstones_kept);
        let log = self.partition_mut(partition).ok_or_else(|| {
            Error::Refused(format!("no partition {partition}: the topic has {count}"))
        })?;
        let offset = log.append(record, transaction);
        if let Some(bytes_max) = retention_bytes {
            log.retain_bytes(bytes_max);
        }
        if compacts && log.is_dirty() {
            log.compact(now, tombstones_kept);
        }
        Ok(offset)
    }

    pub fn compact(&mut self, now: Duration) {
        if self.compacts {
            for partition in &mut self.partitions {
                partition.compact(now, self.tombstones_kept);
            }
        }
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).expect("a constant that fits")
}

fn signed_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).expect("a constant that fits")
}
