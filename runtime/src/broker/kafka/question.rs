//! Asking brokers what rdkafka does not wrap: one question, one answer on a queue of its own.

use std::{ptr, time::Duration};

use rdkafka::{error::RDKafkaErrorCode as Code, types::RDKafka};
use rdkafka_sys as sys;

use super::native::{Event, Queue, millis};
use crate::broker::{Error, Isolation};

/// How a question failed: as a whole, or for one of the things asked about.
#[derive(Debug)]
pub(super) enum Failure {
    Request(Code),
    One(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::One(error)
    }
}

/// Waits for the answer.
pub(super) fn wait(queue: &Queue, patience: Duration) -> Result<Event, Failure> {
    // The request has the same patience and then answers that it timed out.
    let event = queue.poll(patience + Duration::from_secs(1));
    let event = event.ok_or(Failure::Request(Code::OperationTimedOut))?;
    event.error().map_err(|(code, _)| Failure::Request(code))?;
    Ok(event)
}

/// How to ask.
pub(super) struct Options(*mut sys::rd_kafka_AdminOptions_t);

impl Options {
    pub fn new(client: *mut RDKafka, api: sys::rd_kafka_admin_op_t, patience: Duration) -> Self {
        #[expect(
            unsafe_code,
            reason = "the options are ours; an invalid time-out leaves the default"
        )]
        unsafe {
            let options = sys::rd_kafka_AdminOptions_new(client, api);
            sys::rd_kafka_AdminOptions_set_request_timeout(
                options,
                millis(patience),
                ptr::null_mut(),
                0,
            );
            Options(options)
        }
    }

    pub fn ptr(&self) -> *mut sys::rd_kafka_AdminOptions_t {
        self.0
    }

    /// Asks this broker; else it is one that the cluster calls its controller, another one from time to time.
    pub fn set_broker(&self, broker: i32) {
        #[expect(
            unsafe_code,
            reason = "the options are ours, and so is an error's text, which is not asked for"
        )]
        unsafe {
            sys::rd_kafka_AdminOptions_set_broker(self.0, broker, ptr::null_mut(), 0);
        }
    }

    pub fn set_isolation(&self, isolation: Isolation) {
        let level = match isolation {
            Isolation::ReadUncommitted => {
                sys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED
            }
            Isolation::ReadCommitted => {
                sys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED
            }
        };
        #[expect(unsafe_code, reason = "the options are ours, and so is an error")]
        unsafe {
            let error = sys::rd_kafka_AdminOptions_set_isolation_level(self.0, level);
            assert!(error.is_null(), "offsets are listed by isolation");
        }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "the options are ours")]
        unsafe {
            sys::rd_kafka_AdminOptions_destroy(self.0);
        }
    }
}
