//! Batch reading: messages of one partition's queue become [`Records`], copied once.
//!
//! Never for the queue of a whole consumer: that one has rebalances in it, and reading it this way would answer
//! them behind the inbox's back.

use std::ffi::{CStr, c_void};
use std::{ptr, slice};

use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka_sys as sys;

use super::native::Queue;
use crate::record::{Headers, HeadersWriter, Offset, Position, Record, Records, Timestamp};

/// What a queue had, in order.
#[derive(Debug)]
pub(super) enum Found {
    Records(Records),
    /// The end of the partition, with nothing behind it.
    End(Position),
    /// An error in the place of records.
    Error(Code, String),
}

/// Room for messages on their way from a queue into records.
#[derive(Debug)]
pub(super) struct Batch {
    messages: Vec<*mut sys::rd_kafka_message_t>,
    headers: HeadersWriter,
    bytes_max: usize,
}

#[expect(unsafe_code, reason = "between calls it holds no message")]
unsafe impl Send for Batch {}

impl Batch {
    pub fn new(records_max: usize, bytes_max: usize) -> Self {
        Batch {
            messages: vec![ptr::null_mut(); records_max.max(1)],
            headers: HeadersWriter::new(),
            bytes_max,
        }
    }

    /// Reads what there is, without waiting, from `floor` on; whether there may be more.
    pub fn read(&mut self, queue: &Queue, floor: Position, mut each: impl FnMut(Found)) -> bool {
        #[expect(unsafe_code, reason = "the buffer has room for as many messages as asked for")]
        let count = unsafe {
            sys::rd_kafka_consume_batch_queue(
                queue.ptr(),
                0,
                self.messages.as_mut_ptr(),
                self.messages.len(),
            )
        };
        let count = usize::try_from(count).unwrap_or(0);
        let mut records = Records::new();
        let mut end = None;
        for index in 0..count {
            let message = Message(self.messages[index]);
            match message.code() {
                None if message.offset() < floor.0 => {}
                None => {
                    end = None;
                    let record = message.record(&mut self.headers);
                    if records.is_empty() {
                        // As if all were as large as the first, which may be large.
                        let bytes = (message.bytes() * (count - index)).min(self.bytes_max);
                        records = Records::with_capacity(count - index, bytes);
                    } else if records.bytes() + message.bytes() + record.headers.bytes().len()
                        > self.bytes_max
                    {
                        each(Found::Records(std::mem::take(&mut records)));
                    }
                    records.push(&record);
                }
                Some(Code::PartitionEOF) => end = Some(Position(message.offset())),
                Some(code) => {
                    if !records.is_empty() {
                        each(Found::Records(std::mem::take(&mut records)));
                    }
                    each(Found::Error(code, message.error_text()));
                }
            }
        }
        if !records.is_empty() {
            each(Found::Records(records));
        }
        // An end that more records followed was none.
        if let Some(position) = end.filter(|position| *position >= floor) {
            each(Found::End(position));
        }
        count == self.messages.len()
    }
}

/// A message that is ours, freed on drop.
struct Message(*mut sys::rd_kafka_message_t);

impl Message {
    fn get(&self) -> &sys::rd_kafka_message_t {
        #[expect(unsafe_code, reason = "librdkafka gave it, and it is freed on drop only")]
        unsafe {
            &*self.0
        }
    }

    fn code(&self) -> Option<Code> {
        match self.get().err {
            sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => None,
            code => Some(code.into()),
        }
    }

    fn offset(&self) -> i64 {
        self.get().offset
    }

    fn bytes(&self) -> usize {
        self.get().key_len + self.get().len
    }

    fn record<'a>(&'a self, headers: &'a mut HeadersWriter) -> Record<'a> {
        let message = self.get();
        #[expect(
            unsafe_code,
            reason = "key and value live as long as the message; null has no length"
        )]
        let (key, value, timestamp) = unsafe {
            let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
            (
                bytes(message.key, message.key_len),
                bytes(message.payload, message.len),
                sys::rd_kafka_message_timestamp(self.0, &raw mut kind),
            )
        };
        Record {
            offset: Offset(message.offset),
            timestamp: Timestamp(timestamp),
            key,
            value,
            headers: self.headers(headers),
        }
    }

    fn headers<'a>(&self, writer: &'a mut HeadersWriter) -> Headers<'a> {
        writer.clear();
        let mut headers = ptr::null_mut();
        #[expect(unsafe_code, reason = "headers, names and values live as long as the message")]
        unsafe {
            let none = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
            if sys::rd_kafka_message_headers(self.0, &raw mut headers) != none {
                return Headers::EMPTY;
            }
            for index in 0.. {
                let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
                let found = sys::rd_kafka_header_get_all(
                    headers,
                    index,
                    &raw mut name,
                    &raw mut value,
                    &raw mut length,
                );
                if found != none {
                    break;
                }
                let name = CStr::from_ptr(name).to_string_lossy();
                writer.push(&name, bytes(value, length));
            }
        }
        writer.headers()
    }

    fn error_text(&self) -> String {
        #[expect(unsafe_code, reason = "the text lives as long as the message, or for ever")]
        unsafe {
            let text = sys::rd_kafka_message_errstr(self.0);
            if text.is_null() {
                String::new()
            } else {
                CStr::from_ptr(text).to_string_lossy().into_owned()
            }
        }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "the message is ours, and nothing borrowed from it is left")]
        unsafe {
            sys::rd_kafka_message_destroy(self.0);
        }
    }
}

/// # Safety
/// `start` is null, or the start of `length` bytes that live as long as `'a`.
#[expect(unsafe_code, reason = "bytes of a message")]
unsafe fn bytes<'a>(start: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast(), length) })
}
