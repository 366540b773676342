//! Partitions being read, each from its own queue, in turn: what an inbox and a follower have in common.
//!
//! A partition whose turn it is gives one event. What a batch brought beyond that waits here, per partition, so
//! holding and seeking concern it too; it is at most one batch a partition.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use rdkafka::{error::RDKafkaErrorCode as Code, types::RDKafka};

use super::{
    batch::{Batch, Found},
    native::{Queue, Ready, Wake},
};
use crate::{
    broker::{Error, Event},
    record::{Position, TopicPartition},
};

#[derive(Debug)]
struct Reading {
    partition: TopicPartition,
    queue: Queue,
    ready: Arc<Ready>,
    found: VecDeque<Found>,
    /// Nothing before this is wanted.
    floor: Position,
    held: bool,
}

/// What came of a partition.
#[derive(Debug)]
pub(super) enum Came {
    Event(Event),
    /// The position is not in the log: nothing more comes until a seek.
    OutOfRange(TopicPartition, Position),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Reader {
    readings: Vec<Reading>,
    turn: usize,
    batch: Batch,
    pub wake: Arc<Wake>,
}

impl Reader {
    pub fn new(records_max: usize, bytes_max: usize) -> Self {
        Reader {
            readings: Vec::new(),
            turn: 0,
            batch: Batch::new(records_max, bytes_max),
            wake: Arc::new(Wake::default()),
        }
    }

    /// Splits a partition's queue off. To be called before the client is told to fetch it.
    pub fn open(
        &mut self,
        client: *mut RDKafka,
        partition: &TopicPartition,
        at: Position,
    ) -> Result<(), Error> {
        self.close(partition);
        let ready = Ready::new(self.wake.clone());
        let number = number(partition)?;
        let queue = Queue::partition(client, &partition.topic, number, ready.clone())
            .ok_or_else(|| Error::Refused(format!("{partition} cannot be read")))?;
        self.readings.push(Reading {
            partition: partition.clone(),
            queue,
            ready,
            found: VecDeque::new(),
            floor: at,
            held: false,
        });
        Ok(())
    }

    pub fn close(&mut self, partition: &TopicPartition) {
        self.readings.retain(|reading| reading.partition != *partition);
    }

    pub fn clear(&mut self) {
        self.readings.clear();
    }

    pub fn is_open(&self, partition: &TopicPartition) -> bool {
        self.readings.iter().any(|reading| reading.partition == *partition)
    }

    pub fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.readings.iter().map(|reading| &reading.partition)
    }

    /// Where each partition was read to, as far as it was told.
    pub fn positions(&self) -> impl Iterator<Item = (TopicPartition, Position)> {
        self.readings.iter().map(|reading| (reading.partition.clone(), reading.floor))
    }

    pub fn hold(&mut self, partition: &TopicPartition, held: bool) {
        if let Some(reading) = self.find(partition) {
            reading.held = held;
        }
    }

    /// Drops what waits here, once the client has dropped what waits there.
    pub fn moved(&mut self, partition: &TopicPartition, to: Position) {
        if let Some(reading) = self.find(partition) {
            reading.found.clear();
            reading.floor = to;
            reading.ready.set();
        }
    }

    fn find(&mut self, partition: &TopicPartition) -> Option<&mut Reading> {
        self.readings.iter_mut().find(|reading| reading.partition == *partition)
    }

    /// What the partition whose turn it is has, or the first after it that has something. Does not wait.
    pub fn poll(&mut self) -> Result<Option<Came>, Error> {
        for step in 0..self.readings.len() {
            let index = (self.turn + step) % self.readings.len();
            let reading = &mut self.readings[index];
            if reading.held {
                continue;
            }
            if reading.found.is_empty() && reading.ready.take() {
                let found = &mut reading.found;
                if self.batch.read(&reading.queue, reading.floor, |one| found.push_back(one)) {
                    reading.ready.set();
                }
            }
            if let Some(found) = reading.found.pop_front() {
                self.turn = index + 1;
                return came(reading, found).map(Some);
            }
        }
        Ok(None)
    }

    /// Waits until a queue has something that was empty at the last [`Wake::reset`].
    pub fn wait(&self, wait: Duration) {
        self.wake.wait(wait);
    }
}

fn came(reading: &mut Reading, found: Found) -> Result<Came, Error> {
    let partition = reading.partition.clone();
    Ok(match found {
        Found::Records(records) => {
            reading.floor = records.last().map_or(reading.floor, |record| record.offset.next());
            Came::Event(Event::Records { partition, records })
        }
        Found::End(position) => {
            reading.floor = position;
            Came::Event(Event::End { partition, position })
        }
        Found::Error(Code::AutoOffsetReset | Code::OffsetOutOfRange, _) => {
            Came::OutOfRange(partition, reading.floor)
        }
        Found::Error(Code::TopicAuthorizationFailed, text) => {
            return Err(Error::Refused(format!("{partition}: {text}")));
        }
        Found::Error(code, text) if text.is_empty() => {
            return Err(Error::Retriable(format!("{partition}: {code}")));
        }
        Found::Error(_, text) => return Err(Error::Retriable(format!("{partition}: {text}"))),
    })
}

/// A partition's number as the client takes it.
pub(super) fn number(partition: &TopicPartition) -> Result<i32, Error> {
    i32::try_from(partition.partition.0)
        .map_err(|_| Error::Refused(format!("{partition}: no partition has such a number")))
}
