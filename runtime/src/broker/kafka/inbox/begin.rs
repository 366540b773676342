//! Where a partition begins: at the committed position, where there is one and it is still in the log, else where the
//! settings say. Never silently elsewhere.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use rdkafka::{Offset, TopicPartitionList, consumer::Consumer, error::RDKafkaErrorCode as Code};

use super::{
    super::{error, offsets, question::Failure, reader::number},
    KafkaInbox, MOVING, MOVING_STEP, PATIENCE,
};
use crate::{
    broker::{Bound, Error, OnMissingOffset, Start},
    record::{Position, TopicPartition},
};

/// How long positions may be held by another producer's transaction: Kafka's longest by default is 15 minutes, ours
/// 10 seconds.
const PENDING: Duration = Duration::from_secs(60);

impl KafkaInbox {
    /// Where to go on from a position that the broker, or the log's start, says is not there.
    pub(super) fn missing(
        &self,
        partition: &TopicPartition,
        position: Position,
    ) -> Result<Position, Error> {
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
        let client = self.client.consumer.client().native_ptr();
        let started = Instant::now();
        loop {
            let answer = offsets::list(client, partitions, bound, PATIENCE);
            match answer.map_err(|failure| match failure {
                Failure::Request(code) => self.failed(code),
                Failure::One(error) => error,
            }) {
                // Another broker takes over.
                Err(Error::Retriable(_)) if started.elapsed() < PATIENCE => {
                    std::thread::sleep(MOVING_STEP);
                }
                answer => return answer,
            }
        }
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
                code if error::is_coming(code) && started.elapsed() < PATIENCE => {}
                code => return Err(self.failed(code)),
            }
            std::thread::sleep(MOVING_STEP);
        }
    }

    /// Where each partition begins.
    pub(super) fn resolve(
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
