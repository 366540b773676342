//! A reader of the embedded log outside any group.

use std::{sync::Arc, time::Duration};

use super::{reader::Reader, state::Shared};
use crate::{
    broker::{Error, Event, Follower, FollowerSettings, OnMissingOffset},
    record::{Position, TopicPartition},
};

#[derive(Debug)]
pub(super) struct MemoryFollower {
    shared: Arc<Shared>,
    reader: Reader,
}

impl MemoryFollower {
    pub fn new(shared: Arc<Shared>, settings: &FollowerSettings) -> Self {
        let FollowerSettings { isolation, batch_records, batch_bytes, .. } = *settings;
        let reader = Reader::new(isolation, batch_records, batch_bytes, OnMissingOffset::Fail);
        MemoryFollower { shared, reader }
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
        self.reader.keep(&state, partitions);
        for (partition, position) in partitions {
            if !self.reader.is_open(partition) {
                self.reader.open(&state, partition.clone(), *position)?;
            }
        }
        Ok(())
    }

    fn poll(&mut self, wait: Duration) -> Result<Option<Event>, Error> {
        let mut state = self.shared.lock();
        let deadline = state.now() + wait;
        loop {
            match self.reader.poll(&state) {
                Ok(Some(event)) => return Ok(Some(event)),
                Ok(None) => {}
                Err(error) => {
                    if let Error::MissingOffset { partition, .. } = &error {
                        self.reader.close(partition);
                    }
                    return Err(error);
                }
            }
            let in_time;
            (state, in_time) = state.wait(deadline);
            if !in_time {
                return Ok(None);
            }
        }
    }
}
