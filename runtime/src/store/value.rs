//! What stands under a key, in RocksDB and on changelog topics alike:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | the format: 1 |
//! | 8 | event time of the last write, milliseconds since 1970, big-endian; of a timer when it is due |
//! | rest | the payload: a value as the function gave it; of a counter 8 bytes, big-endian |

use std::time::Duration;

use crate::record::Timestamp;

/// The only format so far.
const FORMAT: u8 = 1;

/// Bytes before the payload.
const HEAD: usize = 9;

/// Length of a counter.
pub(super) const COUNTER: usize = HEAD + 8;

/// Bytes that are no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error(
        "holds a value of format {0}, and this program knows format {FORMAT}: use the program that wrote it"
    )]
    Format(u8),
    #[error("holds a value of {0} bytes, which is none")]
    Length(usize),
}

/// A value as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Value<'a> {
    pub(super) at: Timestamp,
    pub(super) payload: &'a [u8],
}

/// Puts a value behind what is there.
pub(super) fn encode(at: Timestamp, payload: &[u8], into: &mut Vec<u8>) {
    into.reserve(HEAD + payload.len());
    into.push(FORMAT);
    into.extend_from_slice(&at.millis().to_be_bytes());
    into.extend_from_slice(payload);
}

/// A value without its payload.
pub(super) fn head(value: &[u8]) -> &[u8] {
    &value[..HEAD.min(value.len())]
}

/// A counter as a value.
pub(super) fn counter(at: Timestamp, count: i64) -> [u8; COUNTER] {
    let mut bytes = [FORMAT; COUNTER];
    bytes[1..HEAD].copy_from_slice(&at.millis().to_be_bytes());
    bytes[HEAD..].copy_from_slice(&count.to_be_bytes());
    bytes
}

/// The value in some bytes.
#[inline]
pub(super) fn decode(bytes: &[u8]) -> Result<Value<'_>, Broken> {
    let (format, rest) = bytes.split_first().ok_or(Broken::Length(0))?;
    if *format != FORMAT {
        return Err(Broken::Format(*format));
    }
    let (at, payload) = rest.split_first_chunk().ok_or(Broken::Length(bytes.len()))?;
    Ok(Value { at: Timestamp(i64::from_be_bytes(*at)), payload })
}

/// The counter in some bytes, and when it was written.
#[inline]
pub(super) fn decode_counter(bytes: &[u8]) -> Result<(Timestamp, i64), Broken> {
    let value = decode(bytes)?;
    let count = value.payload.try_into().map_err(|_| Broken::Length(bytes.len()))?;
    Ok((value.at, i64::from_be_bytes(count)))
}

/// Whether a value's time to live is over at `at`.
#[inline]
pub(super) fn is_over(written: Timestamp, ttl: Option<Duration>, at: Timestamp) -> bool {
    ttl.is_some_and(|ttl| {
        let ttl = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
        at.millis() >= written.millis().saturating_add(ttl)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trip(at in any::<i64>(), payload in any::<Vec<u8>>(), count in any::<i64>()) {
            let mut bytes = Vec::new();
            encode(Timestamp(at), &payload, &mut bytes);
            prop_assert_eq!(decode(&bytes), Ok(Value { at: Timestamp(at), payload: &payload }));
            let bytes = counter(Timestamp(at), count);
            prop_assert_eq!(decode_counter(&bytes), Ok((Timestamp(at), count)));
        }

        #[test]
        fn nothing_read_breaks(bytes in any::<Vec<u8>>()) {
            let _ = (decode(&bytes), decode_counter(&bytes));
        }
    }

    #[test]
    fn a_value_goes_when_its_time_is_over() {
        let hour = Some(Duration::from_secs(3600));
        assert!(!is_over(Timestamp(5), hour, Timestamp(3_600_004)));
        assert!(is_over(Timestamp(5), hour, Timestamp(3_600_005)));
        assert!(!is_over(Timestamp(5), None, Timestamp(i64::MAX)));
        assert!(!is_over(Timestamp(i64::MAX), hour, Timestamp(0)));
    }

    #[test]
    fn other_formats_are_refused() {
        assert_eq!(decode(&[7, 0, 0]), Err(Broken::Format(7)));
        assert_eq!(decode(&[1, 0, 0]), Err(Broken::Length(3)));
        let told = Broken::Format(7).to_string();
        assert!(told.contains("format 7") && told.contains("knows format 1"), "{told}");
    }
}
