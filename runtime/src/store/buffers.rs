//! What a join of two streams keeps: the records of both sides, and which of them wait for one of the other side.
//!
//! Suffixes, integers big-endian, times with the sign bit flipped:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | [`tag::DATA`] |
//! | 1 | the side: 0 right, 1 left |
//! | 8 | segment: the time divided by the length of segments, rounded down, as a time |
//! | … | the record's key, escaped |
//! | 8 | its time |
//! | 8 | its number: larger than that of every record before it |
//!
//! Records of a key that are close in time lie together, and what is old enough is a range.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | [`tag::MARK`] |
//! | 8, 1, …, 8 | of a record that waits: its time, side, key, escaped, and number |
//!
//! So those that wait are in the order in which Kafka Streams has them: by time, the right side before the left one, by
//! key, and then as they came. A record that waits is not expired.
//!
//! The payload of a record is a byte, 1 where headers follow as their length (4, little-endian) and bytes, else 0; then
//! the value. That of a mark is empty.

use std::ops::ControlFlow;

use super::{Error, TaskState, keys, layout, tag};
use crate::record::Timestamp;

/// Length of the number that a record has.
const NUMBER: usize = 8;

/// A side of a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Of what is joined.
    Left,
    /// Of what it is joined with.
    Right,
}

impl Side {
    /// The one across.
    pub fn other(self) -> Side {
        match self {
            Side::Left => Side::Right,
            Side::Right => Side::Left,
        }
    }

    /// Its place among both.
    pub fn index(self) -> usize {
        match self {
            Side::Left => 0,
            Side::Right => 1,
        }
    }

    fn byte(self) -> u8 {
        match self {
            Side::Right => 0,
            Side::Left => 1,
        }
    }
}

/// Where both sides of a join are kept.
#[derive(Debug, Clone, Copy)]
pub struct Buffers {
    store: usize,
}

/// What a record is known by in its join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Its time.
    pub at: Timestamp,
    /// Where it came from.
    pub side: Side,
    /// Its key.
    pub key: Vec<u8>,
    /// Larger than that of every record before it.
    pub number: u64,
}

/// A record of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept<'a> {
    /// Its time.
    pub at: Timestamp,
    /// See [`Name::number`].
    pub number: u64,
    /// Its value.
    pub value: &'a [u8],
    /// Its headers, encoded.
    pub headers: &'a [u8],
}

/// How long segments are, which holds as long as the store has records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segments {
    /// In milliseconds; more than none.
    pub millis: i64,
}

impl Segments {
    fn of(self, at: Timestamp) -> i64 {
        at.millis().div_euclid(self.millis.max(1))
    }

    /// Where the segment of a time begins.
    pub fn start(self, at: Timestamp) -> Timestamp {
        Timestamp(self.of(at).saturating_mul(self.millis.max(1)))
    }
}

impl Name {
    /// As bytes that order as those that wait do.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.key.len() + 24);
        mark(self.at, self.side, &self.key, self.number, &mut bytes);
        bytes
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Option<Name> {
        let (at, rest) = layout::time(bytes)?;
        let (side, rest) = rest.split_first()?;
        let side = match side {
            0 => Side::Right,
            1 => Side::Left,
            _ => return None,
        };
        let (key, rest) = keys::unescape(rest)?;
        Some(Name { at, side, key, number: u64::from_be_bytes(rest.try_into().ok()?) })
    }
}

impl Buffers {
    /// In a store of a task.
    pub fn new(store: usize) -> Self {
        Buffers { store }
    }

    /// Keeps a record.
    pub fn put(
        self,
        state: &mut TaskState,
        row: u32,
        segments: Segments,
        (side, key): (Side, &[u8]),
        record: &Kept<'_>,
    ) {
        let mut suffix = within(side, segments.of(record.at), key);
        layout::put_time(record.at, &mut suffix);
        suffix.extend_from_slice(&record.number.to_be_bytes());
        let mut payload = Vec::with_capacity(5 + record.headers.len() + record.value.len());
        payload.push(u8::from(!record.headers.is_empty()));
        if !record.headers.is_empty() {
            let length = u32::try_from(record.headers.len()).expect("a record is below 4 GiB");
            payload.extend_from_slice(&length.to_le_bytes());
            payload.extend_from_slice(record.headers);
        }
        payload.extend_from_slice(record.value);
        state.ordered_put(Some(row), self.store, &suffix, record.at, &payload);
    }

    /// Visits the records of a side and key from a time to another, both included, in the order of times and then as
    /// they came, up to the first `Break`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn scan(
        self,
        state: &TaskState,
        segments: Segments,
        (side, key): (Side, &[u8]),
        (from, to): (Timestamp, Timestamp),
        mut each: impl FnMut(&Kept<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let (first, last) = (segments.of(from), segments.of(to));
        let mut go_on = from <= to;
        for segment in first..=last {
            if !go_on {
                break;
            }
            let head = within(side, segment, key);
            let [mut lower, mut upper] = [head.clone(), head];
            layout::put_time(from, &mut lower);
            layout::put_time(to, &mut upper);
            upper.extend_from_slice(&[0xff; NUMBER]);
            state.ordered_scan(self.store, &lower, &upper, false, |suffix, at, payload| {
                let kept = kept(suffix, at, payload).ok_or_else(|| self.broken(state))?;
                go_on = each(&kept).is_continue();
                Ok::<_, Error>(go_on)
            })?;
        }
        Ok(())
    }

    /// Reads a record.
    ///
    /// # Errors
    /// What the disk says, or that there is none.
    pub fn read<R>(
        self,
        state: &TaskState,
        segments: Segments,
        name: &Name,
        read: impl FnOnce(&Kept<'_>) -> R,
    ) -> Result<R, Error> {
        let mut suffix = within(name.side, segments.of(name.at), &name.key);
        layout::put_time(name.at, &mut suffix);
        suffix.extend_from_slice(&name.number.to_be_bytes());
        let found = state.ordered_get(self.store, &suffix, |at, payload| {
            kept(&suffix, at, payload).map(|kept| read(&kept))
        })?;
        found.flatten().ok_or_else(|| self.broken(state))
    }

    /// Marks a record: it waits.
    pub fn wait(
        self,
        state: &mut TaskState,
        row: u32,
        (side, key): (Side, &[u8]),
        (at, number): (Timestamp, u64),
    ) {
        let suffix = waiting(at, side, key, number);
        state.ordered_put(Some(row), self.store, &suffix, at, &[]);
    }

    /// Removes a record's mark, where it has one. Answers whether it had.
    ///
    /// # Errors
    /// What the disk says.
    pub fn release(
        self,
        state: &mut TaskState,
        row: u32,
        (side, key): (Side, &[u8]),
        (at, number): (Timestamp, u64),
    ) -> Result<bool, Error> {
        let suffix = waiting(at, side, key, number);
        let waits = state.ordered_get(self.store, &suffix, |_, _| ())?.is_some();
        if waits {
            state.ordered_delete(Some(row), self.store, &suffix);
        }
        Ok(waits)
    }

    /// Visits the records that wait from a time on, in their order, or behind one of them, up to the first `Break`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn scan_waiting(
        self,
        state: &TaskState,
        from: Start<'_>,
        mut each: impl FnMut(Name) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let mut lower = vec![tag::MARK];
        match from {
            Start::Time(at) => layout::put_time(at, &mut lower),
            Start::Behind(name) => {
                mark(name.at, name.side, &name.key, name.number, &mut lower);
                lower.push(0);
            }
        }
        state.ordered_scan(self.store, &lower, &[tag::MARK + 1], false, |suffix, _, _| {
            let name = Name::decode(&suffix[1..]).ok_or_else(|| self.broken(state))?;
            Ok::<_, Error>(each(name).is_continue())
        })
    }

    /// The time of the last record that waits.
    ///
    /// # Errors
    /// What the disk says.
    pub fn last_waiting(self, state: &TaskState) -> Result<Option<Timestamp>, Error> {
        let mut last = None;
        state.ordered_scan(self.store, &[tag::MARK], &[tag::MARK + 1], true, |suffix, _, _| {
            let (at, _) = layout::time(&suffix[1..]).ok_or_else(|| self.broken(state))?;
            last = Some(at);
            Ok::<_, Error>(false)
        })?;
        Ok(last)
    }

    /// Deletes about so many records of a side that are in segments before that of a time. Answers how many.
    ///
    /// # Errors
    /// What the disk says.
    pub fn expire(
        self,
        state: &mut TaskState,
        segments: Segments,
        side: Side,
        before: Timestamp,
        budget: usize,
    ) -> Result<usize, Error> {
        let from = [tag::DATA, side.byte()];
        let mut to = from.to_vec();
        layout::put_time(Timestamp(segments.of(before)), &mut to);
        state.expire(self.store, &from, &to, budget)
    }

    fn broken(self, state: &TaskState) -> Error {
        let name = &state.stores[self.store].spec.name;
        state.database.broken(format!(
            "has a record of an unknown layout in the store {name}, or lost one that waits"
        ))
    }
}

/// Where a walk over what waits begins.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// With the first of this time or later.
    Time(Timestamp),
    /// With the one that follows.
    Behind(&'a Name),
}

/// What the suffixes of a key in a segment begin with.
fn within(side: Side, segment: i64, key: &[u8]) -> Vec<u8> {
    let mut suffix = Vec::with_capacity(key.len() + 30);
    suffix.extend_from_slice(&[tag::DATA, side.byte()]);
    layout::put_time(Timestamp(segment), &mut suffix);
    keys::escape(key, &mut suffix);
    suffix
}

fn waiting(at: Timestamp, side: Side, key: &[u8], number: u64) -> Vec<u8> {
    let mut suffix = Vec::with_capacity(key.len() + 24);
    suffix.push(tag::MARK);
    mark(at, side, key, number, &mut suffix);
    suffix
}

fn mark(at: Timestamp, side: Side, key: &[u8], number: u64, into: &mut Vec<u8>) {
    layout::put_time(at, into);
    into.push(side.byte());
    keys::escape(key, into);
    into.extend_from_slice(&number.to_be_bytes());
}

fn kept<'a>(suffix: &[u8], at: Timestamp, payload: &'a [u8]) -> Option<Kept<'a>> {
    let number = u64::from_be_bytes(*suffix.last_chunk::<NUMBER>()?);
    let (headers, value) = match payload.split_first()? {
        (0, value) => (&[][..], value),
        (1, rest) => {
            let (length, rest) = rest.split_first_chunk()?;
            rest.split_at_checked(u32::from_le_bytes(*length) as usize)?
        }
        _ => return None,
    };
    Some(Kept { at, number, value, headers })
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    fn name() -> impl Strategy<Value = Name> {
        let key = vec(select(vec![0, 1, 255]), 0..4);
        let side = select(vec![Side::Left, Side::Right]);
        (0..3_i64, side, key, any::<u64>()).prop_map(|(at, side, key, number)| Name {
            at: Timestamp(at),
            side,
            key,
            number,
        })
    }

    /// The order of Kafka Streams.
    fn rank(name: &Name) -> (Timestamp, bool, &[u8], u64) {
        (name.at, name.side == Side::Left, &name.key, name.number)
    }

    proptest! {
        #[test]
        fn names_order_as_those_that_wait(a in name(), b in name()) {
            prop_assert_eq!(a.encode().cmp(&b.encode()), rank(&a).cmp(&rank(&b)));
            prop_assert_eq!(Name::decode(&a.encode()), Some(a));
        }

        #[test]
        fn nothing_read_breaks(bytes in vec(any::<u8>(), 0..40)) {
            let _ = (Name::decode(&bytes), kept(&bytes, Timestamp(0), &bytes));
        }
    }
}
