//! Which results changed and have not come out yet, in memory and in the order in which they first changed. What rows
//! of a turn did to it can be undone. They are all out before an epoch is sealed, so none is lost with the process; where
//! something keeps one from coming out it is written down, see [`Mark::is_saved`].

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hasher as _},
};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::record::Timestamp;

/// A result that is to come out.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    hash: u64,
    pub(super) key: Box<[u8]>,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    /// Of a pane: the first window that it counts in.
    pub(super) from: Timestamp,
    /// It never came out, so that it need not be taken back.
    pub(super) is_fresh: bool,
    /// The store has a row for it.
    pub(super) is_saved: bool,
    /// The first row of the running turn that changed it, where none did before.
    row: Option<u32>,
    gone: Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gone {
    /// It is to come out.
    No,
    /// This row of the running turn sent it, or made it needless.
    By(u32),
    /// For good.
    Yes,
}

/// What a mark is known by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Of<'a> {
    pub(super) key: &'a [u8],
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
}

/// See the module's page.
#[derive(Default)]
pub(super) struct Marks {
    list: Vec<Mark>,
    /// Of those that are to come out.
    table: HashTable<u32>,
    hasher: RandomState,
    /// All before it are gone for good.
    head: usize,
    /// Marks from here on were made in the running turn.
    turn: usize,
    /// Those that went in the running turn.
    gone: Vec<u32>,
}

impl Marks {
    fn hash(&self, of: &Of<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(of.key);
        hasher.write_i64(of.start.millis());
        hasher.write_i64(of.end.millis());
        hasher.finish()
    }

    fn find(&self, hash: u64, of: &Of<'_>) -> Option<u32> {
        let same = |index: &u32| {
            let mark = &self.list[*index as usize];
            *mark.key == *of.key && (mark.start, mark.end) == (of.start, of.end)
        };
        self.table.find(hash, same).copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub(super) fn get(&self, of: &Of<'_>) -> Option<&Mark> {
        Some(&self.list[self.find(self.hash(of), of)? as usize])
    }

    /// A result changed, on behalf of a row; without one it is not undone. `from`, `is_fresh`: see [`Mark`]; of one that
    /// is already marked they stay.
    pub(super) fn add(&mut self, row: Option<u32>, of: &Of<'_>, from: Timestamp, is_fresh: bool) {
        let hash = self.hash(of);
        if let Some(index) = self.find(hash, of) {
            let mark = &mut self.list[index as usize];
            mark.row = match (mark.row, row) {
                (Some(first), Some(row)) => Some(first.min(row)),
                (Some(_), None) | (None, _) => None,
            };
            return;
        }
        let index = u32::try_from(self.list.len()).expect("they are fewer than the overlay's rows");
        self.list.push(Mark {
            hash,
            key: of.key.into(),
            start: of.start,
            end: of.end,
            from,
            is_fresh,
            is_saved: false,
            row,
            gone: Gone::No,
        });
        let list = &self.list;
        self.table.insert_unique(hash, index, |index| list[*index as usize].hash);
    }

    /// A result came out, or need not, on behalf of a row. Answers whether the store has a row for it.
    pub(super) fn remove(&mut self, row: u32, of: &Of<'_>) -> bool {
        let hash = self.hash(of);
        let Ok(entry) = self.table.find_entry(hash, |index| {
            let mark = &self.list[*index as usize];
            *mark.key == *of.key && (mark.start, mark.end) == (of.start, of.end)
        }) else {
            return false;
        };
        let (index, _) = entry.remove();
        let mark = &mut self.list[index as usize];
        mark.gone = Gone::By(row);
        self.gone.push(index);
        mark.is_saved
    }

    /// The store has a row for each.
    pub(super) fn saved(&mut self) {
        for mark in &mut self.list[self.head..] {
            mark.is_saved = true;
        }
    }

    /// Those that are to come out, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Mark> {
        self.list[self.head..].iter().filter(|mark| mark.gone == Gone::No)
    }

    pub(super) fn begin(&mut self) {
        for index in self.gone.drain(..) {
            let mark = &mut self.list[index as usize];
            if matches!(mark.gone, Gone::By(_)) {
                mark.gone = Gone::Yes;
            }
        }
        for mark in &mut self.list[self.turn..] {
            mark.row = None;
        }
        while self.list.get(self.head).is_some_and(|mark| mark.gone == Gone::Yes) {
            self.list[self.head].key = Box::default();
            self.head += 1;
        }
        if self.head == self.list.len() {
            self.list.clear();
            self.table.clear();
            self.head = 0;
        } else if self.head > self.list.len() / 2 {
            self.list.drain(..self.head);
            self.head = 0;
            self.index();
        }
        self.turn = self.list.len();
    }

    /// Undoes what rows from `rows` on did.
    pub(super) fn keep(&mut self, rows: u32) {
        for index in std::mem::take(&mut self.gone) {
            let mark = &mut self.list[index as usize];
            match mark.gone {
                Gone::By(row) if row >= rows => mark.gone = Gone::No,
                Gone::By(_) => self.gone.push(index),
                Gone::No | Gone::Yes => {}
            }
        }
        for mark in &mut self.list[self.turn..] {
            if mark.row.is_some_and(|row| row >= rows) {
                mark.gone = Gone::Yes;
            }
        }
        self.index();
    }

    fn index(&mut self) {
        self.table.clear();
        let list = &self.list;
        for (index, mark) in (0..).zip(list).skip(self.head) {
            if mark.gone == Gone::No {
                self.table.insert_unique(mark.hash, index, |index| list[*index as usize].hash);
            }
        }
    }
}

/// Ranges of hopping windows that came out since there were no marks, by key: panes of a key share windows, and each is
/// to come out once.
#[derive(Default)]
pub(super) struct Fired {
    ranges: HashMap<Box<[u8]>, Vec<(i64, i64)>>,
    /// Of the running turn: the row, and whose range it is.
    turn: Vec<(u32, Box<[u8]>)>,
}

impl Fired {
    /// Whether a window of a key came out.
    pub(super) fn holds(&self, key: &[u8], window: i64) -> bool {
        let ranges = self.ranges.get(key);
        ranges.is_some_and(|ranges| ranges.iter().any(|(from, to)| (*from..=*to).contains(&window)))
    }

    /// Windows of a key came out, from one to another, both included.
    pub(super) fn add(&mut self, row: u32, key: &[u8], range: (i64, i64)) {
        self.ranges.entry(key.into()).or_default().push(range);
        self.turn.push((row, key.into()));
    }

    /// Windows of a key changed again.
    #[inline]
    pub(super) fn forget(&mut self, key: &[u8]) {
        if !self.ranges.is_empty() {
            self.ranges.remove(key);
        }
    }

    pub(super) fn begin(&mut self, is_over: bool) {
        self.turn.clear();
        if is_over {
            self.ranges.clear();
        }
    }

    pub(super) fn keep(&mut self, rows: u32) {
        while let Some((_, key)) = self.turn.pop_if(|(row, _)| *row >= rows) {
            if let Some(ranges) = self.ranges.get_mut(&key) {
                ranges.pop();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[derive(Debug, Clone)]
    enum Op {
        Add(u32, u8),
        Remove(u32, u8),
        Begin,
        Keep(u32),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            8 => (0..6_u32, 0..5_u8).prop_map(|(row, key)| Op::Add(row, key)),
            4 => (0..6_u32, 0..5_u8).prop_map(|(row, key)| Op::Remove(row, key)),
            2 => Just(Op::Begin),
            1 => (0..6_u32).prop_map(Op::Keep),
        ]
    }

    /// What is marked after these.
    fn replay(base: &[u8], turn: &[(u32, bool, u8)]) -> Vec<u8> {
        let mut marked = base.to_vec();
        for (_, add, key) in turn {
            let at = marked.iter().position(|other| other == key);
            match (add, at) {
                (true, None) => marked.push(*key),
                (false, Some(at)) => {
                    marked.remove(at);
                }
                _ => {}
            }
        }
        marked
    }

    proptest! {
        #[test]
        fn marks_are_a_set_that_can_be_undone(ops in vec(op(), 1..60)) {
            let mut marks = Marks::default();
            let (mut base, mut turn) = (Vec::new(), Vec::new());
            let zero = Timestamp(0);
            // One operator goes over the rows of a turn once.
            let mut last = 0;
            for op in ops {
                match op {
                    Op::Add(row, key) => {
                        last = row.max(last);
                        marks.add(Some(last), &Of { key: &[key], start: zero, end: zero }, zero, false);
                        turn.push((last, true, key));
                    }
                    Op::Remove(row, key) => {
                        last = row.max(last);
                        marks.remove(last, &Of { key: &[key], start: zero, end: zero });
                        turn.push((last, false, key));
                    }
                    Op::Begin => {
                        marks.begin();
                        base = replay(&base, &turn);
                        turn.clear();
                        last = 0;
                    }
                    Op::Keep(rows) => {
                        marks.keep(rows);
                        turn.retain(|(row, ..)| *row < rows);
                        last = last.min(rows);
                    }
                }
                let mut expected = replay(&base, &turn);
                let mut found: Vec<u8> = marks.iter().map(|mark| mark.key[0]).collect();
                prop_assert_eq!(marks.is_empty(), expected.is_empty());
                // What is taken back after it was sent is where it was.
                expected.sort_unstable();
                found.sort_unstable();
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn they_come_out_in_the_order_in_which_they_changed() {
        let mut marks = Marks::default();
        let of = |key| Of { key, start: Timestamp(1), end: Timestamp(2) };
        for key in [b"c", b"a", b"c", b"b", b"a"] {
            marks.add(Some(0), &of(key), Timestamp(0), false);
        }
        let keys = |marks: &Marks| -> Vec<u8> { marks.iter().map(|mark| mark.key[0]).collect() };
        assert_eq!(keys(&marks), b"cab");
        marks.begin();
        assert!(!marks.remove(0, &of(b"a")));
        assert_eq!(keys(&marks), b"cb");
        marks.keep(0);
        assert_eq!(keys(&marks), b"cab");
    }
}
