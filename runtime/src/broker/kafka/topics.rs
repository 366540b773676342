//! Topics as brokers describe them, with the ids that rdkafka leaves out.

use std::{
    ffi::{CStr, CString, c_char},
    time::Duration,
};

use rdkafka::{error::RDKafkaErrorCode as Code, types::RDKafka};
use rdkafka_sys as sys;

use super::{
    native::Queue,
    question::{Failure, Options, wait},
};
use crate::broker::{Error, Topic};

/// What brokers before 2.8 answer: sixteen zeros.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// These topics, in any order, without those that do not exist, as this broker knows them, or any.
pub(super) fn describe(
    client: *mut RDKafka,
    names: &[&str],
    broker: Option<i32>,
    patience: Duration,
) -> Result<Vec<Topic>, Failure> {
    // What holds a zero, or nothing, is no topic's name, and the client would refuse the question.
    let names: Vec<CString> = names
        .iter()
        .filter(|name| !name.is_empty())
        .filter_map(|name| CString::new(*name).ok())
        .collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let queue = Queue::answers(client);
    let options =
        Options::new(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, patience);
    if let Some(broker) = broker {
        options.set_broker(broker);
    }
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    #[expect(unsafe_code, reason = "names and options are copied, the queue is waited for")]
    unsafe {
        let asked =
            sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        sys::rd_kafka_DescribeTopics(client, asked, options.ptr(), queue.ptr());
        sys::rd_kafka_TopicCollection_destroy(asked);
    }
    let event = wait(&queue, patience)?;
    let mut topics = Vec::with_capacity(names.len());
    #[expect(unsafe_code, reason = "the result and all in it live as long as the event")]
    unsafe {
        let result = sys::rd_kafka_event_DescribeTopics_result(event.ptr());
        if !result.is_null() {
            let mut count = 0;
            let found = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            for index in 0..count {
                topics.extend(topic(*found.add(index))?);
            }
        }
    }
    Ok(topics)
}

/// # Safety
/// `found` lives.
#[expect(unsafe_code, reason = "reads an answer")]
unsafe fn topic(found: *const sys::rd_kafka_TopicDescription_t) -> Result<Option<Topic>, Error> {
    // SAFETY: all that is read here belongs to what was found; what may be null is checked.
    unsafe {
        let name = text(sys::rd_kafka_TopicDescription_name(found));
        let error = sys::rd_kafka_TopicDescription_error(found);
        if !error.is_null() {
            return match sys::rd_kafka_error_code(error).into() {
                Code::NoError => Ok(None),
                Code::TopicAuthorizationFailed => {
                    Err(Error::Refused(format!("topic {name:?} may not be described by this user")))
                }
                // While it is made, or while a broker is away.
                Code::LeaderNotAvailable => Err(without_leader(&name)),
                _ => Ok(None),
            };
        }
        let id = text(sys::rd_kafka_Uuid_base64str(sys::rd_kafka_TopicDescription_topic_id(found)));
        let mut count = 0;
        let partitions = sys::rd_kafka_TopicDescription_partitions(found, &raw mut count);
        let mut replicas = 0;
        for index in 0..count {
            let partition = *partitions.add(index);
            if sys::rd_kafka_TopicPartitionInfo_leader(partition).is_null() {
                return Err(without_leader(&name));
            }
            sys::rd_kafka_TopicPartitionInfo_replicas(partition, &raw mut replicas);
        }
        let in_31_bits = |count: usize| u32::try_from(count).expect("librdkafka counts in 31 bits");
        Ok((count > 0).then(|| Topic {
            name,
            id: if id == NO_ID { String::new() } else { id },
            partitions: in_31_bits(count),
            replicas: in_31_bits(replicas),
        }))
    }
}

fn without_leader(name: &str) -> Error {
    Error::Retriable(format!("topic {name:?}: a partition has no leader at the moment"))
}

/// # Safety
/// `text` is null or lives.
#[expect(unsafe_code, reason = "reads a text of an answer")]
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
