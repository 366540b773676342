//! Handing one record to librdkafka: copied once, by topic handle.

use std::{
    ffi::{CString, c_int, c_void},
    ptr,
};

use rdkafka::{error::RDKafkaErrorCode as Code, types::RDKafka};
use rdkafka_sys::{self as sys, rd_kafka_vtype_t as tag};

use super::native::Topic;
use crate::{broker::Produce, record::Headers};

/// librdkafka takes 0 for "now"; the epoch itself is a millisecond late.
const TIMESTAMP_MIN: i64 = 1;
/// `RD_KAFKA_PARTITION_UA`, which the bindings leave out.
const PARTITION_BY_KEY: i32 = -1;

/// Hands it over; `token` comes back with its delivery.
pub(super) fn produce(
    client: *mut RDKafka,
    topic: &Topic,
    record: &Produce<'_>,
    token: usize,
) -> Result<(), Code> {
    let headers = OwnedHeaders::new(record.headers)?;
    let (key, key_length) = parts(record.key);
    let (value, value_length) = parts(record.value);
    let partition = match record.partition {
        Some(partition) => i32::try_from(partition.0).map_err(|_| Code::UnknownPartition)?,
        None => PARTITION_BY_KEY,
    };
    #[expect(
        unsafe_code,
        reason = "each tag is followed by the values it stands for; all bytes are copied"
    )]
    let code = unsafe {
        sys::rd_kafka_producev(
            client,
            tag::RD_KAFKA_VTYPE_RKT,
            topic.ptr(),
            tag::RD_KAFKA_VTYPE_PARTITION,
            partition,
            tag::RD_KAFKA_VTYPE_MSGFLAGS,
            sys::RD_KAFKA_MSG_F_COPY as c_int,
            tag::RD_KAFKA_VTYPE_KEY,
            key,
            key_length,
            tag::RD_KAFKA_VTYPE_VALUE,
            value,
            value_length,
            tag::RD_KAFKA_VTYPE_TIMESTAMP,
            record.timestamp.0.max(TIMESTAMP_MIN),
            tag::RD_KAFKA_VTYPE_OPAQUE,
            ptr::without_provenance_mut::<c_void>(token),
            tag::RD_KAFKA_VTYPE_HEADERS,
            headers.0,
            tag::RD_KAFKA_VTYPE_END,
        )
    };
    match code {
        sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => {
            // The message has them now.
            std::mem::forget(headers);
            Ok(())
        }
        code => Err(code.into()),
    }
}

fn parts(bytes: Option<&[u8]>) -> (*mut c_void, usize) {
    match bytes {
        // Never null, also where it is empty: null is another value.
        Some(bytes) => (bytes.as_ptr().cast_mut().cast(), bytes.len()),
        None => (ptr::null_mut(), 0),
    }
}

/// Headers on their way into a message; null where there are none.
struct OwnedHeaders(*mut sys::rd_kafka_headers_t);

impl OwnedHeaders {
    fn new(headers: Headers<'_>) -> Result<Self, Code> {
        if headers.is_empty() {
            return Ok(OwnedHeaders(ptr::null_mut()));
        }
        #[expect(unsafe_code, reason = "ours until a message has them")]
        let owned = OwnedHeaders(unsafe { sys::rd_kafka_headers_new(8) });
        for header in headers.iter() {
            // The protocol has lengths, librdkafka has zeros at the end.
            let name = CString::new(header.name).map_err(|_| Code::InvalidArgument)?;
            let (value, length) = parts(header.value);
            let length = isize::try_from(length).map_err(|_| Code::InvalidArgument)?;
            #[expect(unsafe_code, reason = "name and value are copied")]
            let code =
                unsafe { sys::rd_kafka_header_add(owned.0, name.as_ptr(), -1, value, length) };
            if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err(code.into());
            }
        }
        Ok(owned)
    }
}

impl Drop for OwnedHeaders {
    fn drop(&mut self) {
        if !self.0.is_null() {
            #[expect(unsafe_code, reason = "no message has them")]
            unsafe {
                sys::rd_kafka_headers_destroy(self.0);
            }
        }
    }
}
