//! How the rows of ordered stores lie: what their suffixes are made of. All integers are big-endian, times with the sign
//! bit flipped, so that the order of bytes is that of times. *Escaped* as in `keys`.
//!
//! The first byte is a [`tag`]:
//!
//! | tag | rows | on the changelog |
//! |---|---|---|
//! | 0 | one: what the store was made for | yes |
//! | 1 | data | yes |
//! | 2 | an index of the data rows | no: made again where the store is restored |
//! | 3 | marks that are state by themselves | yes |
//!
//! Windows of fixed borders, and panes, and what has no window (its time is 0), in the family `window`: a window is a
//! range, so it can be walked over, and goes, as one.
//!
//! | suffix | holds |
//! |---|---|
//! | 1, start (8), key | an aggregate |
//!
//! Windows whose borders come from the records, in the family `session`: those of a key lie together inside a *segment*
//! of time, so that they are found by key, and go segment by segment. A segment is named by its start.
//!
//! | suffix | holds |
//! |---|---|
//! | 1, segment of the end (8), key, escaped, end (8), start (8) | an aggregate |
//! | 2, end (8), start (8), key | nothing |
//!
//! In both, a result that is to come out when its pause is over; those of a key lie together:
//!
//! | suffix | holds |
//! |---|---|
//! | 3, key, escaped, start (8), end (8) | what [`aggregate`](crate::aggregate) needs to know of it |

use super::Kind;
pub use super::keys::{escape, unescape};
use crate::record::Timestamp;

/// What the suffix of a row begins with.
pub mod tag {
    /// What the store was made for.
    pub const HEAD: u8 = 0;
    /// Data.
    pub const DATA: u8 = 1;
    /// An index of the data; local.
    pub const INDEX: u8 = 2;
    /// Marks that are state by themselves.
    pub const MARK: u8 = 3;
}

/// Bytes of a time.
const TIME: usize = 8;

/// Puts a time behind what is there.
#[inline]
pub fn put_time(time: Timestamp, into: &mut Vec<u8>) {
    into.extend_from_slice(&(time.millis() ^ i64::MIN).to_be_bytes());
}

/// The time that these bytes begin with, and what follows it.
#[inline]
pub fn time(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (time, rest) = bytes.split_first_chunk::<TIME>()?;
    Some((Timestamp(i64::from_be_bytes(*time) ^ i64::MIN), rest))
}

/// A row by time and key: of a fixed window, or a pane. Replaces what is there.
#[inline]
pub fn fixed(tag: u8, start: Timestamp, key: &[u8], into: &mut Vec<u8>) {
    into.clear();
    into.push(tag);
    put_time(start, into);
    into.extend_from_slice(key);
}

/// The time and the key of a row that [`fixed`] made.
pub fn split_fixed(suffix: &[u8]) -> Option<(Timestamp, &[u8])> {
    time(suffix.get(1..)?)
}

/// Where the windows of a key lie in a segment: what their suffixes begin with. Replaces what is there.
pub fn spans(segment: Timestamp, key: &[u8], into: &mut Vec<u8>) {
    into.clear();
    into.push(tag::DATA);
    put_time(segment, into);
    escape(key, into);
}

/// A window of a key in the segment of its end. Replaces what is there.
pub fn span(segment: Timestamp, key: &[u8], start: Timestamp, end: Timestamp, into: &mut Vec<u8>) {
    spans(segment, key, into);
    put_time(end, into);
    put_time(start, into);
}

/// The start and the end of a row that [`span`] made.
pub fn split_span(suffix: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let bounds = suffix.get(suffix.len().checked_sub(2 * TIME)?..)?;
    let (end, rest) = time(bounds)?;
    let (start, _) = time(rest)?;
    Some((start, end))
}

/// A row by the end and start of a window: of the index, or a mark. Replaces what is there.
pub fn by_end(tag: u8, start: Timestamp, end: Timestamp, key: &[u8], into: &mut Vec<u8>) {
    into.clear();
    into.push(tag);
    put_time(end, into);
    put_time(start, into);
    into.extend_from_slice(key);
}

/// The mark of a result of a key. Replaces what is there.
pub fn mark(key: &[u8], start: Timestamp, end: Timestamp, into: &mut Vec<u8>) {
    marks(key, into);
    put_time(start, into);
    put_time(end, into);
}

/// What the marks of a key begin with. Replaces what is there.
pub fn marks(key: &[u8], into: &mut Vec<u8>) {
    into.clear();
    into.push(tag::MARK);
    escape(key, into);
}

/// The key, the start and the end of a row that [`mark`] made.
pub fn split_mark(suffix: &[u8]) -> Option<(Vec<u8>, Timestamp, Timestamp)> {
    let (key, rest) = unescape(suffix.get(1..)?)?;
    let (start, rest) = time(rest)?;
    Some((key, start, time(rest)?.0))
}

/// Start, end and key of a row that [`by_end`] made.
pub fn split_by_end(suffix: &[u8]) -> Option<(Timestamp, Timestamp, &[u8])> {
    let (end, rest) = time(suffix.get(1..)?)?;
    let (start, key) = time(rest)?;
    Some((start, end, key))
}

/// Puts the index row of a row into `into`, where it has one, and answers whether.
pub(super) fn index_of(kind: Kind, suffix: &[u8], into: &mut Vec<u8>) -> bool {
    if kind != Kind::Session || suffix.first() != Some(&tag::DATA) {
        return false;
    }
    let row = split_span(suffix).and_then(|(start, end)| {
        let (key, _) = unescape(suffix.get(1 + TIME..)?)?;
        Some((start, end, key))
    });
    let Some((start, end, key)) = row else { return false };
    by_end(tag::INDEX, start, end, &key, into);
    true
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    /// Bytes that collide: zeros, their escapes, few others.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        vec(select(vec![0, 1, 2, 254, 255]), 0..6)
    }

    fn moment() -> impl Strategy<Value = Timestamp> {
        prop_oneof![-3..3_i64, any::<i64>()].prop_map(Timestamp)
    }

    fn made(make: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut bytes = vec![9];
        make(&mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn fixed_windows_order_by_start_and_then_key(
            a in (moment(), bytes()),
            b in (moment(), bytes()),
        ) {
            let of = |(start, key): &(Timestamp, Vec<u8>)| {
                made(|into| fixed(tag::DATA, *start, key, into))
            };
            prop_assert_eq!(of(&a).cmp(&of(&b)), a.cmp(&b));
            let bytes = of(&a);
            prop_assert_eq!(split_fixed(&bytes), Some((a.0, &a.1[..])));
        }

        #[test]
        fn windows_of_a_key_lie_together_in_a_segment(
            a in (moment(), bytes(), moment(), moment()),
            b in (moment(), bytes(), moment(), moment()),
        ) {
            // Segment, key, end, start.
            let of = |(segment, key, end, start): &(Timestamp, Vec<u8>, Timestamp, Timestamp)| {
                made(|into| span(*segment, key, *start, *end, into))
            };
            prop_assert_eq!(of(&a).cmp(&of(&b)), a.cmp(&b));
            prop_assert_eq!(split_span(&of(&a)), Some((a.3, a.2)));
            let head = made(|into| spans(a.0, &a.1, into));
            prop_assert_eq!(of(&b).starts_with(&head), (a.0, &a.1) == (b.0, &b.1));
        }

        #[test]
        fn the_index_orders_by_end_start_key(
            a in (moment(), moment(), bytes()),
            b in (moment(), moment(), bytes()),
        ) {
            let of = |(end, start, key): &(Timestamp, Timestamp, Vec<u8>)| {
                made(|into| by_end(tag::INDEX, *start, *end, key, into))
            };
            prop_assert_eq!(of(&a).cmp(&of(&b)), a.cmp(&b));
            let bytes = of(&a);
            prop_assert_eq!(split_by_end(&bytes), Some((a.1, a.0, &a.2[..])));
        }

        #[test]
        fn marks_order_by_key_start_end(
            a in (bytes(), moment(), moment()),
            b in (bytes(), moment(), moment()),
        ) {
            let of = |(key, start, end): &(Vec<u8>, Timestamp, Timestamp)| {
                made(|into| mark(key, *start, *end, into))
            };
            prop_assert_eq!(of(&a).cmp(&of(&b)), a.cmp(&b));
            prop_assert_eq!(split_mark(&of(&a)), Some(a));
        }

        #[test]
        fn a_window_knows_its_index_row(
            (segment, start, end) in (moment(), moment(), moment()),
            key in bytes(),
        ) {
            let data = made(|into| span(segment, &key, start, end, into));
            let mut index = Vec::new();
            prop_assert!(index_of(Kind::Session, &data, &mut index));
            prop_assert_eq!(split_by_end(&index), Some((start, end, &key[..])));
            prop_assert!(!index_of(Kind::Session, &index, &mut Vec::new()));
            prop_assert!(!index_of(Kind::Window, &data, &mut Vec::new()));
        }

        #[test]
        fn nothing_read_breaks(bytes in vec(any::<u8>(), 0..40)) {
            let _ = (time(&bytes), split_fixed(&bytes), split_span(&bytes));
            let _ = (split_by_end(&bytes), split_mark(&bytes));
            index_of(Kind::Session, &bytes, &mut Vec::new());
        }
    }
}
