//! Questions about offsets that rdkafka does not wrap: ends of partitions by isolation, and a group's positions.
//!
//! `query_watermark_offsets` will not do: on a read-committed client it answers the last stable offset for the high
//! watermark.

use std::{
    collections::HashMap,
    ffi::{CStr, CString},
    time::Duration,
};

use rdkafka::{Offset, TopicPartitionList, error::RDKafkaErrorCode as Code, types::RDKafka};
use rdkafka_sys as sys;

use super::{
    native::Queue,
    question::{Failure, Options, wait},
    reader::number,
};
use crate::{
    broker::{Bound, Error, Isolation},
    record::{Position, TopicPartition},
};

type Answers = HashMap<(String, i32), (i64, Code)>;

/// Positions of partitions, in their order.
pub(super) fn list(
    client: *mut RDKafka,
    partitions: &[TopicPartition],
    bound: Bound,
    patience: Duration,
) -> Result<Vec<Position>, Failure> {
    let (spec, isolation) = match bound {
        Bound::Earliest => {
            (i64::from(sys::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_EARLIEST as i32), None)
        }
        Bound::Latest => (LATEST, Some(Isolation::ReadUncommitted)),
        Bound::LatestStable => (LATEST, Some(Isolation::ReadCommitted)),
        Bound::Timestamp(timestamp) => (timestamp.0.max(0), Some(Isolation::ReadUncommitted)),
    };
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let asked = list_of(partitions, Offset::Offset(0))?;
    set_specs(&asked, spec);
    let answers = ask_offsets(client, &asked, isolation, patience)?;
    let found = partitions.iter().map(|partition| {
        let offset = answer(&answers, partition)?;
        Ok(listed(bound, partition, offset)?)
    });
    let found = found.collect::<Result<Vec<Option<Position>>, Failure>>()?;
    if found.iter().all(Option::is_some) {
        return Ok(found.into_iter().flatten().collect());
    }
    let ends = list(client, partitions, Bound::Latest, patience)?;
    Ok(found.into_iter().zip(ends).map(|(found, end)| found.unwrap_or(end)).collect())
}

/// A listed offset; `None` where no record is that young.
///
/// Where a leader did not answer, librdkafka (2.12) leaves its partitions with an invalid offset and without an error
/// (`rd_kafka_ListOffsets_response_merge`). Taken for an end, that would make any changelog an empty one.
fn listed(
    bound: Bound,
    partition: &TopicPartition,
    offset: i64,
) -> Result<Option<Position>, Error> {
    match offset {
        -1 if matches!(bound, Bound::Timestamp(_)) => Ok(None),
        ..0 => Err(Error::Retriable(format!("{partition}: its leader did not answer"))),
        offset => Ok(Some(Position(offset))),
    }
}

const LATEST: i64 = sys::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST as i64;

/// The positions a group has committed.
pub(super) fn committed(
    client: *mut RDKafka,
    group: &str,
    partitions: &[TopicPartition],
    patience: Duration,
) -> Result<Vec<Option<Position>>, Failure> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let group = CString::new(group)
        .map_err(|_| Error::Refused(format!("{group:?} is no name for a group")))?;
    let asked = list_of(partitions, Offset::Invalid)?;
    let answers = ask_committed(client, &group, &asked, patience)?;
    partitions
        .iter()
        .map(|partition| {
            Ok(Some(answer(&answers, partition)?).filter(|offset| *offset >= 0).map(Position))
        })
        .collect()
}

/// A list of the client's, each partition at its position.
pub(super) fn at_offsets(
    positions: &[(TopicPartition, Position)],
) -> Result<TopicPartitionList, Error> {
    let mut list = TopicPartitionList::with_capacity(positions.len());
    for (partition, position) in positions {
        list.add_partition_offset(&partition.topic, number(partition)?, Offset::Offset(position.0))
            .map_err(|error| {
                Error::Refused(format!("{partition}: position {position}: {error}"))
            })?;
    }
    Ok(list)
}

/// A list of the client's, all at one offset.
fn list_of(partitions: &[TopicPartition], offset: Offset) -> Result<TopicPartitionList, Error> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition_offset(&partition.topic, number(partition)?, offset)
            .map_err(|error| Error::Refused(format!("{partition}: {error}")))?;
    }
    Ok(list)
}

/// rdkafka refuses what it does not take for an offset.
fn set_specs(list: &TopicPartitionList, spec: i64) {
    #[expect(unsafe_code, reason = "the list is ours, and this long")]
    unsafe {
        let list = &mut *list.ptr();
        let length = usize::try_from(list.cnt).unwrap_or(0);
        if length > 0 {
            for element in std::slice::from_raw_parts_mut(list.elems, length) {
                element.offset = spec;
            }
        }
    }
}

fn answer(answers: &Answers, partition: &TopicPartition) -> Result<i64, Failure> {
    match answers.get(&(partition.topic.to_string(), number(partition)?)) {
        Some((offset, Code::NoError)) => Ok(*offset),
        Some((_, Code::UnknownTopicOrPartition | Code::UnknownPartition | Code::UnknownTopic))
        | None => Err(Error::Refused(format!("{partition} does not exist")).into()),
        Some((
            _,
            code @ (Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            // A new leader that does not know yet how far the last one was.
            | Code::OffsetNotAvailable),
        )) => Err(Error::Retriable(format!("{partition}: {code}")).into()),
        Some((_, code)) => Err(Error::Refused(format!("{partition}: {code}")).into()),
    }
}

fn ask_offsets(
    client: *mut RDKafka,
    asked: &TopicPartitionList,
    isolation: Option<Isolation>,
    patience: Duration,
) -> Result<Answers, Failure> {
    let queue = Queue::answers(client);
    let options =
        Options::new(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS, patience);
    if let Some(isolation) = isolation {
        options.set_isolation(isolation);
    }
    #[expect(unsafe_code, reason = "the list and the options are copied, the queue is waited for")]
    unsafe {
        sys::rd_kafka_ListOffsets(client, asked.ptr(), options.ptr(), queue.ptr());
    }
    let event = wait(&queue, patience)?;
    let mut answers = Answers::new();
    #[expect(unsafe_code, reason = "the result and all in it live as long as the event")]
    unsafe {
        let result = sys::rd_kafka_event_ListOffsets_result(event.ptr());
        if !result.is_null() {
            let mut count = 0;
            let infos = sys::rd_kafka_ListOffsets_result_infos(result, &raw mut count);
            for index in 0..count {
                let info = *infos.add(index);
                insert(&mut answers, &*sys::rd_kafka_ListOffsetsResultInfo_topic_partition(info));
            }
        }
    }
    Ok(answers)
}

fn ask_committed(
    client: *mut RDKafka,
    group: &CStr,
    asked: &TopicPartitionList,
    patience: Duration,
) -> Result<Answers, Failure> {
    let queue = Queue::answers(client);
    let options = Options::new(
        client,
        sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS,
        patience,
    );
    #[expect(unsafe_code, reason = "question and options are copied, the queue is waited for")]
    unsafe {
        let mut question = sys::rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), asked.ptr());
        sys::rd_kafka_ListConsumerGroupOffsets(
            client,
            &raw mut question,
            1,
            options.ptr(),
            queue.ptr(),
        );
        sys::rd_kafka_ListConsumerGroupOffsets_destroy(question);
    }
    let event = wait(&queue, patience)?;
    let mut answers = Answers::new();
    #[expect(unsafe_code, reason = "the result and all in it live as long as the event")]
    unsafe {
        let result = sys::rd_kafka_event_ListConsumerGroupOffsets_result(event.ptr());
        if !result.is_null() {
            let mut count = 0;
            let groups =
                sys::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &raw mut count);
            for index in 0..count {
                let group = *groups.add(index);
                let error = sys::rd_kafka_group_result_error(group);
                if !error.is_null() {
                    return Err(Failure::Request(sys::rd_kafka_error_code(error).into()));
                }
                let list = sys::rd_kafka_group_result_partitions(group);
                if let Some(list) = list.as_ref() {
                    for element in 0..usize::try_from(list.cnt).unwrap_or(0) {
                        insert(&mut answers, &*list.elems.add(element));
                    }
                }
            }
        }
    }
    Ok(answers)
}

fn insert(answers: &mut Answers, element: &sys::rd_kafka_topic_partition_t) {
    #[expect(unsafe_code, reason = "the name lives as long as the element")]
    let topic = unsafe { CStr::from_ptr(element.topic) }.to_string_lossy().into_owned();
    answers.insert((topic, element.partition), (element.offset, element.err.into()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Timestamp;

    #[test]
    fn what_no_leader_answered_is_no_position() {
        let partition = TopicPartition::new("t", 0);
        let listed = |bound, offset| listed(bound, &partition, offset);
        let invalid = i64::from(sys::RD_KAFKA_OFFSET_INVALID);
        for bound in [Bound::Earliest, Bound::Latest, Bound::LatestStable] {
            assert!(matches!(listed(bound, 7), Ok(Some(Position(7)))));
            for offset in [-1, invalid] {
                assert!(matches!(listed(bound, offset), Err(Error::Retriable(_))));
            }
        }
        let young = Bound::Timestamp(Timestamp(5));
        assert!(matches!(listed(young, -1), Ok(None)));
        assert!(matches!(listed(young, invalid), Err(Error::Retriable(_))));
    }
}
