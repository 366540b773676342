//! Records of changelogs, for who begins with state that no task has written.

use super::{keys, value};
use crate::record::Timestamp;

/// Key and value of the record that holds a value; of a map, `entry` says which. It belongs into the partition of `key`.
pub fn changelog_record(
    key: &[u8],
    entry: Option<&[u8]>,
    payload: &[u8],
    at: Timestamp,
) -> (Vec<u8>, Vec<u8>) {
    let mut record_key = Vec::new();
    match entry {
        Some(entry) => keys::entry(key, entry, &mut record_key),
        None => record_key.extend_from_slice(key),
    }
    let mut record_value = Vec::new();
    value::encode(at, payload, &mut record_value);
    (record_key, record_value)
}
