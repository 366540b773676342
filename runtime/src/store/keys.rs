//! How keys lie in RocksDB and on changelog topics, byte for byte. All integers are big-endian.
//!
//! Every key of the families `kv` and `timer` begins with the eight bytes of its store partition, so that a store
//! partition is one range:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | store id, never used for another store |
//! | 4 | partition |
//!
//! What follows is the *suffix*. In `kv` it is the key of the changelog record, as it is:
//!
//! | kind | suffix |
//! |---|---|
//! | value, counter, table | the record's key |
//! | map | the record's key, *escaped*; then the entry's key |
//!
//! Escaped: each byte 0 becomes 0 255, and 0 0 is put behind the end. No escaped key is then the beginning of another
//! one, and escaped keys order as the keys do; so the entries of one key are a range, in the order of the entry keys.
//!
//! In `timer` a timer has two rows. Its name is that of the function and its own, such as `watch.due`; no name holds
//! a byte 0:
//!
//! | suffix | holds |
//! |---|---|
//! | 1, due time (8, the sign bit flipped), name, 0, key | its payload: one range in the order of time, name, key |
//! | 2, name, 0, key | its due time, to find the row above |
//!
//! Keys of the meta changelog:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | how far the task has come |
//! | 2, name, 0, key | a timer, as its second row above |

use crate::record::Timestamp;

/// Length of what every key begins with.
pub(super) const PREFIX: usize = 8;

/// A store partition, as its keys begin.
pub(super) type Prefix = [u8; PREFIX];

/// The key of the meta changelog's record that says how far the task has come.
pub(super) const PROGRESS: &[u8] = &[1];

/// What the keys of timers by due time begin with, behind the prefix.
pub(super) const BY_DUE: u8 = 1;

/// What the keys of timers by name and key begin with, behind the prefix and in the meta changelog.
pub(super) const BY_NAME: u8 = 2;

/// What the keys of a store partition begin with.
pub(super) fn prefix(store: u32, partition: u32) -> Prefix {
    let mut prefix = [0; PREFIX];
    prefix[..4].copy_from_slice(&store.to_be_bytes());
    prefix[4..].copy_from_slice(&partition.to_be_bytes());
    prefix
}

/// The first key behind all that begin with these eight bytes.
pub(super) fn behind(prefix: Prefix) -> Prefix {
    // The last store id is never given away, so this is not the end of all keys.
    (u64::from_be_bytes(prefix) + 1).to_be_bytes()
}

/// The store and the partition that a key belongs to.
pub(super) fn place(key: &[u8]) -> Option<(u32, u32)> {
    let (store, rest) = key.split_first_chunk()?;
    let (partition, _) = rest.split_first_chunk()?;
    Some((u32::from_be_bytes(*store), u32::from_be_bytes(*partition)))
}

/// Puts an escaped key behind what is there.
pub fn escape(key: &[u8], into: &mut Vec<u8>) {
    for run in key.split_inclusive(|byte| *byte == 0) {
        into.extend_from_slice(run);
        if run.last() == Some(&0) {
            into.push(255);
        }
    }
    into.extend_from_slice(&[0, 0]);
}

/// The key that is escaped at the beginning of these bytes, and what follows it.
pub fn unescape(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut key = Vec::new();
    let mut rest = bytes;
    loop {
        let zero = rest.iter().position(|byte| *byte == 0)?;
        key.extend_from_slice(&rest[..zero]);
        match rest.get(zero + 1)? {
            0 => return Some((key, &rest[zero + 2..])),
            255 => key.push(0),
            _ => return None,
        }
        rest = &rest[zero + 2..];
    }
}

/// A map entry's suffix.
pub(super) fn entry(key: &[u8], entry: &[u8], into: &mut Vec<u8>) {
    escape(key, into);
    into.extend_from_slice(entry);
}

/// A timer by its name and key, as in the meta changelog.
pub(super) fn by_name(name: &str, key: &[u8], into: &mut Vec<u8>) {
    into.push(BY_NAME);
    into.extend_from_slice(name.as_bytes());
    into.push(0);
    into.extend_from_slice(key);
}

/// A timer's suffix in the order of time; `by_name` is its other one.
pub(super) fn by_due(due: Timestamp, by_name: &[u8], into: &mut Vec<u8>) {
    into.push(BY_DUE);
    into.extend_from_slice(&(due.millis() ^ i64::MIN).to_be_bytes());
    into.extend_from_slice(&by_name[1..]);
}

/// The end of the timers that are due at `until` or before.
pub(super) fn due_until(until: Timestamp, into: &mut Vec<u8>) {
    match until.millis().checked_add(1) {
        Some(behind) => {
            into.push(BY_DUE);
            into.extend_from_slice(&(behind ^ i64::MIN).to_be_bytes());
        }
        None => into.push(BY_DUE + 1),
    }
}

/// When a timer is due, by its suffix in the order of time, and its other suffix without the first byte.
pub(super) fn split_due(suffix: &[u8]) -> Option<(Timestamp, &[u8])> {
    let rest = suffix.strip_prefix(&[BY_DUE])?;
    let (due, rest) = rest.split_first_chunk()?;
    Some((Timestamp(i64::from_be_bytes(*due) ^ i64::MIN), rest))
}

/// The name and the key of a timer: what follows the kind, or the due time.
pub(super) fn split_name(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let zero = bytes.iter().position(|byte| *byte == 0)?;
    Some((std::str::from_utf8(&bytes[..zero]).ok()?, &bytes[zero + 1..]))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    /// Bytes that collide: zeros, their escapes, few others.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        vec(select(vec![0, 1, 2, 254, 255]), 0..6)
    }

    fn name() -> impl Strategy<Value = &'static str> {
        select(vec!["a.b", "a.bc", "a", "watch.due"])
    }

    fn map_key(key: &[u8], of: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        entry(key, of, &mut bytes);
        bytes
    }

    fn due_key(due: i64, name: &str, key: &[u8]) -> Vec<u8> {
        let (mut other, mut bytes) = (Vec::new(), Vec::new());
        by_name(name, key, &mut other);
        by_due(Timestamp(due), &other, &mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn store_partitions_are_ranges(a in any::<(u32, u32)>(), b in any::<(u32, u32)>(), key in bytes()) {
            let (a, b) = ((a.0 >> 1, a.1), (b.0 >> 1, b.1));
            prop_assert_eq!(prefix(a.0, a.1).cmp(&prefix(b.0, b.1)), a.cmp(&b));
            let full = [&prefix(a.0, a.1)[..], &key].concat();
            prop_assert_eq!(place(&full), Some(a));
            prop_assert!(full.as_slice() < &behind(prefix(a.0, a.1))[..]);
            prop_assert_eq!(full.as_slice() >= &behind(prefix(b.0, b.1))[..], a > b);
        }

        #[test]
        fn entries_order_by_key_and_then_entry(a in (bytes(), bytes()), b in (bytes(), bytes())) {
            prop_assert_eq!(map_key(&a.0, &a.1).cmp(&map_key(&b.0, &b.1)), a.cmp(&b));
            let bytes = map_key(&a.0, &a.1);
            let (key, rest) = unescape(&bytes).unwrap();
            prop_assert_eq!((key, rest), (a.0, &a.1[..]));
        }

        #[test]
        fn timers_order_by_time_name_key(
            a in (any::<i64>(), name(), bytes()),
            b in (any::<i64>(), name(), bytes()),
            near in any::<bool>(),
        ) {
            let b = if near { (a.0.wrapping_add(i64::from(b.0 % 2 == 0)), b.1, b.2) } else { b };
            let (x, y) = (due_key(a.0, a.1, &a.2), due_key(b.0, b.1, &b.2));
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            let (due, rest) = split_due(&x).unwrap();
            prop_assert_eq!((due.millis(), split_name(rest).unwrap()), (a.0, (a.1, &a.2[..])));
            let mut until = Vec::new();
            due_until(Timestamp(b.0), &mut until);
            prop_assert_eq!(x < until, a.0 <= b.0);
        }

        #[test]
        fn nothing_read_breaks(bytes in vec(any::<u8>(), 0..24)) {
            let _ = (place(&bytes), unescape(&bytes), split_due(&bytes), split_name(&bytes));
        }
    }
}
