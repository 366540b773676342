//! The log of one partition: records and control markers in offset order.
//!
//! Offsets never come back: markers take one, and what compaction or retention removes leaves a gap. `stable` (the
//! last stable offset) is at or below `end` (the high watermark); what a transaction left open is above it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use crate::{
    broker::Isolation,
    record::{Headers, Offset, Position, Record, Records, Timestamp},
};

/// Tells one opened transaction from every other one, of the same producer too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TransactionSeq(pub u64);

/// What an entry costs besides its bytes; counted, so that empty records do not make memory unbounded.
const ENTRY_BYTES: usize = size_of::<Entry>();

/// Compaction by itself starts when this many entries came since the last one, and at least as many as it left.
const DIRTY_ENTRIES_MIN: usize = 1024;

#[derive(Debug)]
struct Entry {
    offset: i64,
    timestamp: Timestamp,
    kind: Kind,
    /// Key, value, headers.
    bytes: Box<[u8]>,
    key: Option<usize>,
    value: Option<usize>,
    /// A tombstone that compaction saw goes after this (the log's clock).
    delete_at: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Data { transaction: Option<TransactionSeq> },
    Aborted,
    Marker,
}

impl Entry {
    fn record(&self) -> Record<'_> {
        let key_end = self.key.unwrap_or(0);
        let value_end = key_end + self.value.unwrap_or(0);
        Record {
            offset: Offset(self.offset),
            timestamp: self.timestamp,
            key: self.key.map(|_| &self.bytes[..key_end]),
            value: self.value.map(|_| &self.bytes[key_end..value_end]),
            headers: Headers::from_encoded(&self.bytes[value_end..]),
        }
    }

    fn is_visible(&self, isolation: Isolation) -> bool {
        match self.kind {
            Kind::Data { .. } => true,
            Kind::Aborted => isolation == Isolation::ReadUncommitted,
            Kind::Marker => false,
        }
    }

    fn size(&self) -> usize {
        ENTRY_BYTES + self.bytes.len()
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct PartitionLog {
    entries: VecDeque<Entry>,
    start: i64,
    end: i64,
    bytes: usize,
    /// The first offset of each transaction that is open here.
    open: BTreeMap<TransactionSeq, i64>,
    dirty_entries: usize,
}

impl PartitionLog {
    /// The first offset there may be a record at.
    pub fn start(&self) -> Position {
        Position(self.start)
    }

    /// The high watermark, or the last stable offset.
    pub fn end(&self, isolation: Isolation) -> Position {
        match isolation {
            Isolation::ReadUncommitted => Position(self.end),
            Isolation::ReadCommitted => {
                Position(self.open.values().copied().min().unwrap_or(self.end))
            }
        }
    }

    /// Appends a record; its own offset is ignored.
    pub fn append(&mut self, record: &Record<'_>, transaction: Option<TransactionSeq>) -> Offset {
        let offset = self.end;
        if let Some(transaction) = transaction {
            self.open.entry(transaction).or_insert(offset);
        }
        let (key, value) = (record.key.unwrap_or_default(), record.value.unwrap_or_default());
        self.push(Entry {
            offset,
            timestamp: record.timestamp,
            kind: Kind::Data { transaction },
            bytes: [key, value, record.headers.bytes()].concat().into_boxed_slice(),
            key: record.key.map(<[u8]>::len),
            value: record.value.map(<[u8]>::len),
            delete_at: None,
        });
        Offset(offset)
    }

    /// Ends a transaction with a marker, where it is open here.
    pub fn finish(&mut self, transaction: TransactionSeq, committed: bool, now: Timestamp) {
        let Some(first) = self.open.remove(&transaction) else { return };
        if !committed {
            let from = self.entries.partition_point(|entry| entry.offset < first);
            for entry in self.entries.range_mut(from..) {
                if entry.kind == (Kind::Data { transaction: Some(transaction) }) {
                    entry.kind = Kind::Aborted;
                }
            }
        }
        self.push(Entry {
            offset: self.end,
            timestamp: now,
            kind: Kind::Marker,
            bytes: Box::default(),
            key: None,
            value: None,
            delete_at: None,
        });
    }

    fn push(&mut self, entry: Entry) {
        self.end += 1;
        self.bytes += entry.size();
        self.dirty_entries += 1;
        self.entries.push_back(entry);
    }

    /// Copies what is visible from a position on, within the limits (one record at least), and tells where to go on.
    pub fn read(
        &self,
        from: Position,
        isolation: Isolation,
        records_max: usize,
        bytes_max: usize,
        into: &mut Records,
    ) -> Position {
        let end = self.end(isolation);
        let first = self.entries.partition_point(|entry| entry.offset < from.0);
        for entry in self.entries.range(first..).take_while(|entry| entry.offset < end.0) {
            if !entry.is_visible(isolation) {
                continue;
            }
            let full = into.len() >= records_max || into.bytes() + entry.bytes.len() > bytes_max;
            if full && !into.is_empty() {
                return Position(entry.offset);
            }
            into.push(&entry.record());
        }
        end.max(from)
    }

    /// The first record whose timestamp is not before this.
    pub fn find(&self, timestamp: Timestamp, isolation: Isolation) -> Option<Position> {
        let end = self.end(isolation);
        self.entries
            .iter()
            .take_while(|entry| entry.offset < end.0)
            .find(|entry| entry.kind != Kind::Marker && entry.timestamp >= timestamp)
            .map(|entry| Position(entry.offset))
    }

    /// Drops the oldest entries until the rest fits. What is not stable stays.
    pub fn retain_bytes(&mut self, bytes_max: usize) {
        let stable = self.end(Isolation::ReadCommitted).0;
        while self.bytes > bytes_max {
            match self.entries.front() {
                Some(entry) if entry.offset < stable => self.bytes -= entry.size(),
                _ => break,
            }
            self.entries.pop_front();
            self.start = self.entries.front().map_or(self.end, |entry| entry.offset);
        }
    }

    /// Drops everything before a position, up to the last stable offset.
    pub fn truncate(&mut self, before: Position) {
        let start = before.min(self.end(Isolation::ReadCommitted)).0.max(self.start);
        let dropped = self.entries.partition_point(|entry| entry.offset < start);
        self.bytes -= self.entries.drain(..dropped).map(|entry| entry.size()).sum::<usize>();
        self.start = start;
    }

    /// Whether so much came since the last compaction that the next one pays.
    pub fn is_dirty(&self) -> bool {
        let clean_entries = self.entries.len().saturating_sub(self.dirty_entries);
        self.dirty_entries >= DIRTY_ENTRIES_MIN.max(clean_entries)
    }

    /// Keeps the newest record of each key below the last stable offset, drops markers and what was aborted, and
    /// drops tombstones that an earlier compaction saw `tombstones_kept` ago. `now` is the log's clock.
    pub fn compact(&mut self, now: Duration, tombstones_kept: Duration) {
        let stable = self.end(Isolation::ReadCommitted).0;
        let mut newest: HashMap<&[u8], i64> = HashMap::new();
        for entry in self.entries.iter().take_while(|entry| entry.offset < stable) {
            if let (Kind::Data { .. }, Some(key)) = (entry.kind, entry.record().key) {
                newest.insert(key, entry.offset);
            }
        }
        let kept: Vec<bool> = self
            .entries
            .iter()
            .map(|entry| match (entry.kind, entry.record().key) {
                _ if entry.offset >= stable => true,
                (Kind::Data { .. }, Some(key)) => {
                    newest.get(key) == Some(&entry.offset)
                        && entry.delete_at.is_none_or(|at| now < at)
                }
                (Kind::Data { .. }, None) => true,
                (Kind::Aborted | Kind::Marker, _) => false,
            })
            .collect();
        let mut kept = kept.into_iter();
        self.entries.retain(|_| kept.next().expect("one answer an entry"));
        for entry in self.entries.iter_mut().take_while(|entry| entry.offset < stable) {
            if entry.value.is_none() && entry.delete_at.is_none() {
                entry.delete_at = Some(now + tombstones_kept);
            }
        }
        self.bytes = self.entries.iter().map(Entry::size).sum();
        self.dirty_entries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(log: &mut PartitionLog, key: &str, value: Option<&str>) {
        put_in(log, key, value, None);
    }

    fn put_in(
        log: &mut PartitionLog,
        key: &str,
        value: Option<&str>,
        transaction: Option<TransactionSeq>,
    ) {
        log.append(
            &Record {
                offset: Offset(-1),
                timestamp: Timestamp(7),
                key: Some(key.as_bytes()),
                value: value.map(str::as_bytes),
                headers: Headers::EMPTY,
            },
            transaction,
        );
    }

    fn show(log: &PartitionLog, isolation: Isolation) -> String {
        let mut records = Records::new();
        let next = log.read(log.start(), isolation, 1000, usize::MAX, &mut records);
        let text = |bytes: Option<&[u8]>| {
            bytes.map_or("-".into(), |b| String::from_utf8_lossy(b).into_owned())
        };
        let shown: Vec<String> = records
            .iter()
            .map(|record| format!("{}:{}={}", record.offset, text(record.key), text(record.value)))
            .collect();
        format!("{} ..{next}", shown.join(" "))
    }

    #[test]
    fn an_open_transaction_holds_the_stable_end_and_an_aborted_one_is_hidden() {
        let mut log = PartitionLog::default();
        let (kept, lost) = (TransactionSeq(1), TransactionSeq(2));
        put_in(&mut log, "a", Some("1"), Some(lost));
        put_in(&mut log, "b", Some("2"), Some(kept));
        put(&mut log, "c", Some("3"));
        assert_eq!(show(&log, Isolation::ReadCommitted), " ..0");
        assert_eq!(show(&log, Isolation::ReadUncommitted), "0:a=1 1:b=2 2:c=3 ..3");
        log.finish(lost, false, Timestamp(8));
        assert_eq!(show(&log, Isolation::ReadCommitted), " ..1", "the other one is still open");
        log.finish(kept, true, Timestamp(8));
        assert_eq!(
            show(&log, Isolation::ReadCommitted),
            "1:b=2 2:c=3 ..5",
            "two markers took offsets"
        );
        assert_eq!(show(&log, Isolation::ReadUncommitted), "0:a=1 1:b=2 2:c=3 ..5");
        log.finish(kept, true, Timestamp(8));
        assert_eq!(log.end(Isolation::ReadUncommitted), Position(5), "a transaction ends once");
    }

    #[test]
    fn compaction_keeps_the_newest_and_then_drops_tombstones() {
        let mut log = PartitionLog::default();
        let open = TransactionSeq(1);
        put(&mut log, "a", Some("1"));
        put(&mut log, "b", Some("1"));
        put(&mut log, "a", Some("2"));
        put(&mut log, "b", None);
        put_in(&mut log, "a", Some("3"), Some(open));
        let day = Duration::from_secs(86_400);
        log.compact(Duration::ZERO, day);
        assert_eq!(show(&log, Isolation::ReadUncommitted), "2:a=2 3:b=- 4:a=3 ..5");
        log.compact(day / 2, day);
        assert_eq!(show(&log, Isolation::ReadUncommitted), "2:a=2 3:b=- 4:a=3 ..5", "not yet");
        log.finish(open, false, Timestamp(8));
        log.compact(day, day);
        assert_eq!(show(&log, Isolation::ReadUncommitted), "2:a=2 ..6");
        assert_eq!(log.start(), Position(0), "compaction does not move the start");
    }

    #[test]
    fn retention_moves_the_start_but_never_past_what_is_open() {
        let mut log = PartitionLog::default();
        let value = "x".repeat(1000);
        for _ in 0..10 {
            put(&mut log, "a", Some(&value));
        }
        log.retain_bytes(5 * (1000 + 1 + ENTRY_BYTES));
        assert_eq!((log.start(), log.end(Isolation::ReadUncommitted)), (Position(5), Position(10)));
        put_in(&mut log, "a", Some(&value), Some(TransactionSeq(1)));
        log.retain_bytes(0);
        assert_eq!(log.start(), Position(10));
        assert_eq!(show(&log, Isolation::ReadUncommitted), format!("10:a={value} ..11"));
    }

    #[test]
    fn a_batch_keeps_its_limits_but_is_never_empty() {
        let mut log = PartitionLog::default();
        for value in ["1", "22", "333"] {
            put(&mut log, "", Some(value));
        }
        let read = |from, records_max, bytes_max| {
            let mut records = Records::new();
            let next = log.read(
                Position(from),
                Isolation::ReadCommitted,
                records_max,
                bytes_max,
                &mut records,
            );
            (records.len(), next.0)
        };
        assert_eq!(read(0, 2, 100), (2, 2));
        assert_eq!(read(0, 100, 3), (2, 2));
        assert_eq!(read(2, 100, 1), (1, 3), "a larger record is a batch of its own");
        assert_eq!(read(3, 100, 100), (0, 3));
    }
}
