//! Reading several partitions in turn: what an inbox and a follower of the embedded log have in common.

use super::{state::State, topic::TopicUid};
use crate::{
    broker::{Error, Event, Isolation, OnMissingOffset},
    record::{Position, Records, TopicPartition},
};

#[derive(Debug)]
struct Reading {
    partition: TopicPartition,
    topic: TopicUid,
    position: Position,
    held: bool,
    /// Whether the end was told and nothing came since.
    ended: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Reader {
    readings: Vec<Reading>,
    /// Whose turn it is.
    turn: usize,
    isolation: Isolation,
    records_max: usize,
    bytes_max: usize,
    on_missing_offset: OnMissingOffset,
}

impl Reader {
    pub fn new(
        isolation: Isolation,
        records_max: usize,
        bytes_max: usize,
        missing: OnMissingOffset,
    ) -> Self {
        let records_max = records_max.max(1);
        Reader {
            readings: Vec::new(),
            turn: 0,
            isolation,
            records_max,
            bytes_max,
            on_missing_offset: missing,
        }
    }

    pub fn open(
        &mut self,
        state: &State,
        partition: TopicPartition,
        position: Position,
    ) -> Result<(), Error> {
        let topic = state.topic(&partition.topic)?.uid;
        self.close(&partition);
        self.readings.push(Reading { partition, topic, position, held: false, ended: false });
        Ok(())
    }

    pub fn close(&mut self, partition: &TopicPartition) {
        self.readings.retain(|reading| reading.partition != *partition);
    }

    /// Closes all but those that stand where they are wanted.
    pub fn keep(&mut self, state: &State, wanted: &[(TopicPartition, Position)]) {
        self.readings.retain(|reading| {
            let stands = |(partition, position): &(TopicPartition, Position)| {
                (partition, position) == (&reading.partition, &reading.position)
            };
            let topic = state.topics.get(&reading.partition.topic);
            topic.is_some_and(|topic| topic.uid == reading.topic) && wanted.iter().any(stands)
        });
    }

    pub fn is_open(&self, partition: &TopicPartition) -> bool {
        self.readings.iter().any(|reading| reading.partition == *partition)
    }

    pub fn hold(&mut self, partition: &TopicPartition, held: bool) {
        if let Some(reading) = self.find(partition) {
            reading.held = held;
        }
    }

    pub fn seek(&mut self, partition: &TopicPartition, position: Position) -> Result<(), Error> {
        let reading = self.find(partition).ok_or_else(|| {
            Error::Refused(format!("{partition} is not open, so there is nowhere to seek in it"))
        })?;
        (reading.position, reading.ended) = (position, false);
        Ok(())
    }

    fn find(&mut self, partition: &TopicPartition) -> Option<&mut Reading> {
        self.readings.iter_mut().find(|reading| reading.partition == *partition)
    }

    pub fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.readings.iter().map(|reading| &reading.partition)
    }

    /// Records or an end, of the partition whose turn it is or the first after it that has something.
    pub fn poll(&mut self, state: &State) -> Result<Option<Event>, Error> {
        for step in 0..self.readings.len() {
            let index = (self.turn + step) % self.readings.len();
            if let Some(event) = self.poll_one(state, index)? {
                self.turn = index + 1;
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn poll_one(&mut self, state: &State, index: usize) -> Result<Option<Event>, Error> {
        let reading = &mut self.readings[index];
        let Some(topic) = state.topics.get(&reading.partition.topic) else { return Ok(None) };
        if topic.uid != reading.topic {
            let name = &reading.partition.topic;
            return Err(Error::Refused(format!(
                "topic {name:?} was deleted and made anew while it was read"
            )));
        }
        let log = match topic.partition(reading.partition.partition) {
            Some(log) if !reading.held => log,
            _ => return Ok(None),
        };
        if reading.position < log.start() {
            let end = log.end(self.isolation);
            reading.position = on_missing(
                self.on_missing_offset,
                &reading.partition,
                reading.position,
                log.start(),
                end,
            )?;
        }
        let end = log.end(self.isolation);
        if reading.position >= end {
            let told = std::mem::replace(&mut reading.ended, true);
            let (partition, position) = (reading.partition.clone(), reading.position);
            return Ok((!told).then_some(Event::End { partition, position }));
        }
        reading.ended = false;
        let mut records = Records::new();
        reading.position = log.read(
            reading.position,
            self.isolation,
            self.records_max,
            self.bytes_max,
            &mut records,
        );
        if records.is_empty() {
            // Only markers and what was aborted: the end is reached without a record.
            reading.ended = true;
            return Ok(Some(Event::End {
                partition: reading.partition.clone(),
                position: reading.position,
            }));
        }
        Ok(Some(Event::Records { partition: reading.partition.clone(), records }))
    }
}

/// Where to go on if a position is before everything that is left. Never silently.
pub(super) fn on_missing(
    policy: OnMissingOffset,
    partition: &TopicPartition,
    position: Position,
    earliest: Position,
    latest: Position,
) -> Result<Position, Error> {
    let go_on = match policy {
        OnMissingOffset::Fail => {
            return Err(Error::MissingOffset { partition: partition.clone(), position, earliest });
        }
        OnMissingOffset::Earliest => earliest,
        OnMissingOffset::Latest => latest,
    };
    tracing::warn!(%partition, %position, %earliest, %go_on, "records were deleted before they were read");
    Ok(go_on)
}
