//! A reader of the embedded log outside any group.

use std::{sync::Arc, time::Duration};

use super::{reader::Reader, state::Shared};
use crate::{
    broker::{Error, Event, Follower, Isolation, OnMissingOffset},
    record::{Position, TopicPartition},
};

/// Records and bytes a batch: small, since a follower reads in slices between other work.
const BATCH_RECORDS: usize = 1000;
const BATCH_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct MemoryFollower {
    shared: Arc<Shared>,
    reader: Reader,
}

impl MemoryFollower {
    pub fn new(shared: Arc<Shared>, isolation: Isolation) -> Self {
        MemoryFollower {
            shared,
            reader: Reader::new(isolation, BATCH_RECORDS, BATCH_BYTES, OnMissingOffset::Fail),
        }
    }
}

impl Follower for MemoryFollower {
    fn assign(&mut self, partitions: &[(TopicPartition, Position)]) -> Result<(), Error> {
        let state = self.shared.lock();
        for (partition, _) in partitions {
            if state.topic(&partition.topic)?.partition(partition.partition).is_none() {
                return Err(Error::Refused(format!("{partition} does not exist")));
            }
        }
        self.reader.clear();
        for (partition, position) in partitions {
            self.reader.open(&state, partition.clone(), *position)?;
        }
        Ok(())
    }

    fn poll(&mut self, wait: Duration) -> Result<Option<Event>, Error> {
        let mut state = self.shared.lock();
        let deadline = state.now() + wait;
        loop {
            if let Some(event) = self.reader.poll(&state)? {
                return Ok(Some(event));
            }
            let in_time;
            (state, in_time) = state.wait(deadline);
            if !in_time {
                return Ok(None);
            }
        }
    }
}
