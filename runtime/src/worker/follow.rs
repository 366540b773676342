//! What the worker reads beside its inputs: changelogs, until a task is restored, and tables, as long as it lives.
//!
//! One follower reads all of it, committed records only. This module knows who reads what and how far each is; it never
//! touches a state: [`Following::poll`] says what came and for whom.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    broker::{self, Broker, Event, Follower, FollowerSettings, Isolation},
    record::{Position, Records, TopicPartition},
    task::TaskId,
};

/// A batch of a restore: large, since each is one write into RocksDB, and bounded, since it is in memory.
const BATCH_RECORDS: usize = 10_000;
const BATCH_BYTES: usize = 4 << 20;

/// One store of a task that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Whose.
    pub(crate) task: TaskId,
    /// Which of its stores.
    pub(crate) store: usize,
    /// What is read.
    pub(crate) partition: TopicPartition,
    /// The id of the topic.
    pub(crate) topic_id: Arc<str>,
    /// Behind what is in the store.
    pub(crate) position: Position,
    /// The store is complete when this is reached; `None`: it is.
    pub(crate) end: Option<Position>,
    /// A table goes on to be read then.
    pub(crate) for_life: bool,
}

/// Something for a store.
#[derive(Debug)]
pub(crate) struct Came {
    pub(crate) task: TaskId,
    pub(crate) store: usize,
    pub(crate) topic_id: Arc<str>,
    /// None at an end that was reached behind markers.
    pub(crate) records: Arc<Records>,
    /// Behind them.
    pub(crate) position: Position,
}

/// See the module's page.
pub(crate) struct Following {
    broker: Arc<dyn Broker>,
    client_id: String,
    follower: Option<Box<dyn Follower>>,
    readings: Vec<Reading>,
    /// Whether the follower is to be told what to read.
    changed: bool,
    /// Whether it reads what nobody wants any more. That can wait: what comes of it is passed over.
    stale: bool,
}

impl Following {
    pub(crate) fn new(broker: Arc<dyn Broker>, client_id: String) -> Self {
        Following {
            broker,
            client_id,
            follower: None,
            readings: Vec::new(),
            changed: false,
            stale: false,
        }
    }

    /// Reads for a store from now on.
    pub(crate) fn add(&mut self, reading: Reading) {
        if reading.end.is_some_and(|end| reading.position < end) || reading.for_life {
            self.readings.push(Reading {
                end: reading.end.filter(|end| reading.position < *end),
                ..reading
            });
            self.changed = true;
        }
    }

    /// Reads nothing more for a task.
    pub(crate) fn forget(&mut self, task: TaskId) {
        let before = self.readings.len();
        self.readings.retain(|reading| reading.task != task);
        self.stale |= self.readings.len() < before;
    }

    /// Whether all that a task needs is read.
    pub(crate) fn is_complete(&self, task: TaskId) -> bool {
        self.readings.iter().all(|reading| reading.task != task || reading.end.is_none())
    }

    /// Whether anything is read.
    pub(crate) fn is_reading(&self) -> bool {
        !self.readings.is_empty()
    }

    /// Whether a store is not complete.
    pub(crate) fn is_restoring(&self) -> bool {
        self.readings.iter().any(|reading| reading.end.is_some())
    }

    /// Offsets between where a task's stores are and where they are complete: an upper bound of its records.
    pub(crate) fn left_of(&self, task: TaskId) -> usize {
        left(self.readings.iter().filter(|reading| reading.task == task))
    }

    /// As [`left_of`](Self::left_of), of all tasks.
    pub(crate) fn records_left(&self) -> usize {
        left(self.readings.iter())
    }

    /// Begins a store anew: what it had is of no use.
    pub(crate) fn rewind(&mut self, task: TaskId, store: usize, position: Position) {
        for reading in &mut self.readings {
            if reading.task == task && reading.store == store {
                reading.position = position;
                self.changed = true;
            }
        }
    }

    /// Which stores a partition is read for.
    pub(crate) fn readers(&self, partition: &TopicPartition) -> Vec<(TaskId, usize, bool)> {
        let readers = self.readings.iter().filter(|reading| reading.partition == *partition);
        readers.map(|reading| (reading.task, reading.store, reading.end.is_some())).collect()
    }

    /// What came next, for every store that it is for; `None` where nothing came in `wait`.
    pub(crate) fn poll(&mut self, wait: Duration) -> Result<Option<Vec<Came>>, broker::Error> {
        if self.readings.is_empty() && self.follower.is_none() {
            return Ok(None);
        }
        if self.changed || (self.stale && !self.is_restoring()) {
            self.assign()?;
        }
        let Some(follower) = &mut self.follower else { return Ok(None) };
        let Some(event) = follower.poll(wait)? else { return Ok(None) };
        let (partition, records, position) = match event {
            Event::Records { partition, records } => {
                let Some(last) = records.last() else { return Ok(Some(Vec::new())) };
                let position = last.offset.next();
                (partition, Arc::new(records), position)
            }
            Event::End { partition, position } => (partition, Arc::default(), position),
            Event::Assigned(_) | Event::Revoked(_) | Event::Lost(_) => return Ok(None),
        };
        let came = self.arrived(&partition, &records, position);
        let before = self.readings.len();
        self.readings.retain(|reading| reading.end.is_some() || reading.for_life);
        self.stale |= self.readings.len() < before;
        Ok(Some(came))
    }

    fn arrived(
        &mut self,
        partition: &TopicPartition,
        records: &Arc<Records>,
        position: Position,
    ) -> Vec<Came> {
        let mut came = Vec::new();
        for reading in &mut self.readings {
            // One may be ahead of another that reads the same.
            if reading.partition != *partition || reading.position >= position {
                continue;
            }
            let records = match records.first() {
                Some(first) if Position(first.offset.0) < reading.position => {
                    Arc::new(behind(records, reading.position))
                }
                _ => Arc::clone(records),
            };
            reading.position = position;
            reading.end = reading.end.filter(|end| position < *end);
            came.push(Came {
                task: reading.task,
                store: reading.store,
                topic_id: Arc::clone(&reading.topic_id),
                records,
                position,
            });
        }
        // An end that was known already still tells that nothing more is to come before it.
        for reading in &mut self.readings {
            if reading.partition == *partition {
                reading.end = reading.end.filter(|end| reading.position < *end);
            }
        }
        came
    }

    fn assign(&mut self) -> Result<(), broker::Error> {
        let mut wanted: BTreeMap<TopicPartition, Position> = BTreeMap::new();
        for reading in &self.readings {
            let from = wanted.entry(reading.partition.clone()).or_insert(reading.position);
            *from = reading.position.min(*from);
        }
        if wanted.is_empty() {
            self.follower = None;
            (self.changed, self.stale) = (false, false);
            return Ok(());
        }
        let follower = match &mut self.follower {
            Some(follower) => follower,
            none => none.insert(self.broker.follower(FollowerSettings {
                isolation: Isolation::ReadCommitted,
                batch_records: BATCH_RECORDS,
                batch_bytes: BATCH_BYTES,
                client_id: self.client_id.clone(),
            })?),
        };
        follower.assign(&wanted.into_iter().collect::<Vec<_>>())?;
        (self.changed, self.stale) = (false, false);
        Ok(())
    }
}

fn left<'a>(readings: impl Iterator<Item = &'a Reading>) -> usize {
    let left =
        readings.filter_map(|reading| Some(reading.end?.0 - reading.position.0)).sum::<i64>();
    usize::try_from(left).unwrap_or(0)
}

/// The records from a position on.
fn behind(records: &Records, position: Position) -> Records {
    let mut rest = Records::new();
    for record in records.iter().filter(|record| Position(record.offset.0) >= position) {
        rest.push(&record);
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        broker::{
            Broker, NewTopic,
            memory::{Append, MemoryLog},
        },
        record::{Headers, Partition},
    };

    fn reading(task: u32, position: i64, end: Option<i64>, for_life: bool) -> Reading {
        Reading {
            task: TaskId { part: 0, partition: Partition(task) },
            store: 0,
            partition: TopicPartition::new("t", 0),
            topic_id: "id".into(),
            position: Position(position),
            end: end.map(Position),
            for_life,
        }
    }

    fn log(records: usize) -> MemoryLog {
        let log = MemoryLog::new();
        let settings = BTreeMap::new();
        let topic = NewTopic { name: "t".into(), partitions: Some(1), replicas: None, settings };
        log.admin().unwrap().create(&topic).unwrap();
        append(&log, records);
        log
    }

    fn append(log: &MemoryLog, records: usize) {
        for _ in 0..records {
            let (key, value) = (Some(&b"k"[..]), Some(&b"v"[..]));
            let (partition, headers, timestamp) = (None, Headers::EMPTY, None);
            log.append("t", &Append { partition, key, value, headers, timestamp }).unwrap();
        }
    }

    /// Who got how many records, and behind what.
    fn drain(following: &mut Following) -> Vec<(u32, usize, i64)> {
        let mut all = Vec::new();
        while let Some(came) = following.poll(Duration::ZERO).unwrap() {
            let came = came
                .iter()
                .map(|came| (came.task.partition.0, came.records.len(), came.position.0));
            all.extend(came);
        }
        all
    }

    #[test]
    fn a_changelog_is_read_to_its_end_and_a_table_for_life() {
        let log = log(10);
        let mut following = Following::new(Arc::new(log.clone()), "test".into());
        following.add(reading(0, 4, Some(10), false));
        following.add(reading(1, 0, Some(10), true));
        assert_eq!((following.records_left(), following.is_restoring()), (16, true));
        assert_eq!(drain(&mut following), [(0, 6, 10), (1, 10, 10)]);
        assert!(!following.is_restoring() && following.is_reading());
        append(&log, 1);
        assert_eq!(drain(&mut following), [(1, 1, 11)]);
        following.forget(TaskId { part: 0, partition: Partition(1) });
        append(&log, 1);
        assert_eq!(drain(&mut following), []);
    }

    #[test]
    fn one_that_comes_later_reads_what_another_has_behind_it() {
        let log = log(10);
        let mut following = Following::new(Arc::new(log), "test".into());
        following.add(reading(0, 0, Some(10), true));
        assert_eq!(drain(&mut following), [(0, 10, 10)]);
        following.add(reading(1, 3, Some(10), true));
        assert_eq!(drain(&mut following), [(1, 7, 10)]);
    }

    #[test]
    fn what_is_complete_needs_no_reading() {
        let mut following = Following::new(Arc::new(log(0)), "test".into());
        following.add(reading(0, 0, Some(0), false));
        assert!(!following.is_reading());
        assert!(following.is_complete(TaskId { part: 0, partition: Partition(0) }));
    }
}
