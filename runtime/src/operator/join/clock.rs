//! What a join of two streams remembers beside its buffers: times, as Kafka Streams has them, and the last number given.
//!
//! It changes with rows of a turn, and goes back with them: what it was is kept until the turn is over.

use crate::{
    record::Timestamp,
    store::{NodeProgress, Segments, Side},
};

/// Before all times.
pub(super) const NEVER: Timestamp = Timestamp(i64::MIN);
/// Behind all times.
pub(super) const ALWAYS: Timestamp = Timestamp(i64::MAX);

/// Bytes of a cursor.
const CURSOR: usize = 6 * 8;

/// At some row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock {
    /// The largest time of the records of both sides, whatever became of them.
    pub(super) time: Timestamp,
    /// The largest time of what is kept, by side. What it forgets goes by this, so that a silent side keeps its records.
    pub(super) kept: [Timestamp; 2],
    /// The `minTime` of Kafka Streams: what waits is looked at only when a window that began here would have closed. It
    /// is the time of the record that was looked at last, not of the first that waits; so what closes can be held back
    /// until later ones close too.
    pub(super) gate: Timestamp,
    /// Nothing that waits is earlier.
    pub(super) floor: Timestamp,
    /// The number of the next record.
    pub(super) number: u64,
    /// As when the first record was kept.
    pub(super) segments: Segments,
}

/// A clock that goes back with rows.
#[derive(Debug)]
pub(super) struct Clocks {
    now: Clock,
    /// What it was before a row, of each row that changed it, in order.
    before: Vec<(u32, Clock)>,
}

impl Clocks {
    pub(super) fn new(segments: Segments) -> Self {
        let now = Clock {
            time: NEVER,
            kept: [NEVER; 2],
            gate: ALWAYS,
            floor: ALWAYS,
            number: 0,
            segments,
        };
        Clocks { now, before: Vec::new() }
    }

    pub(super) fn now(&self) -> &Clock {
        &self.now
    }

    /// To be changed on behalf of a row.
    pub(super) fn at(&mut self, row: u32) -> &mut Clock {
        if self.before.last().is_none_or(|(last, _)| *last != row) {
            self.before.push((row, self.now));
        }
        &mut self.now
    }

    pub(super) fn begin(&mut self) {
        self.before.clear();
    }

    /// Undoes what rows from here on changed.
    pub(super) fn keep(&mut self, rows: u32) {
        let kept = self.before.partition_point(|(row, _)| *row < rows);
        if let Some((_, clock)) = self.before.get(kept) {
            self.now = *clock;
            self.before.truncate(kept);
        }
    }

    pub(super) fn progress(&self) -> NodeProgress {
        let Clock { time, kept, gate, floor, number, segments } = self.now;
        let times = [kept[0], kept[1], gate, floor].map(Timestamp::millis);
        let mut cursor = Vec::with_capacity(CURSOR);
        for word in times.map(i64::to_be_bytes) {
            cursor.extend_from_slice(&word);
        }
        cursor.extend_from_slice(&number.to_be_bytes());
        cursor.extend_from_slice(&segments.millis.to_be_bytes());
        NodeProgress {
            node: Default::default(),
            time: Some(time).filter(|time| *time != NEVER),
            cursor,
        }
    }

    /// Goes on from there. What no version of this program wrote is passed over.
    pub(super) fn resume(&mut self, progress: &NodeProgress) {
        let Some(cursor) = progress.cursor.first_chunk::<CURSOR>() else { return };
        let word = |index: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&cursor[index * 8..index * 8 + 8]);
            bytes
        };
        let time = |index| Timestamp(i64::from_be_bytes(word(index)));
        self.now = Clock {
            time: progress.time.unwrap_or(NEVER),
            kept: [time(0), time(1)],
            gate: time(2),
            floor: time(3),
            number: u64::from_be_bytes(word(4)),
            segments: Segments { millis: i64::from_be_bytes(word(5)).max(1) },
        };
        self.before.clear();
    }
}

impl Clock {
    /// The number of a record that is kept.
    pub(super) fn number(&mut self) -> u64 {
        self.number += 1;
        self.number - 1
    }

    /// A record is kept, or would be.
    pub(super) fn pass(&mut self, side: Side, at: Timestamp) {
        let kept = &mut self.kept[side.index()];
        *kept = at.max(*kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_back_with_rows_and_on_after_a_restart() {
        let mut clocks = Clocks::new(Segments { millis: 7 });
        clocks.at(0).time = Timestamp(5);
        clocks.at(2).pass(Side::Left, Timestamp(9));
        assert_eq!(clocks.at(2).number(), 0);
        clocks.at(3).gate = Timestamp(1);
        let all = *clocks.now();
        clocks.keep(4);
        assert_eq!(*clocks.now(), all);
        clocks.keep(3);
        assert_eq!(clocks.now().gate, ALWAYS);
        assert_eq!((clocks.now().kept, clocks.now().number), ([Timestamp(9), NEVER], 1));
        let mut other = Clocks::new(Segments { millis: 1 });
        other.resume(&clocks.progress());
        assert_eq!(other.now(), clocks.now());
        clocks.keep(1);
        assert_eq!((clocks.now().time, clocks.now().number), (Timestamp(5), 0));
        clocks.begin();
        clocks.keep(0);
        assert_eq!(clocks.now().time, Timestamp(5), "the turn before is over");
        other.resume(&NodeProgress::default());
        assert_eq!(other.now().kept[0], Timestamp(9), "what says nothing changes nothing");
    }
}
