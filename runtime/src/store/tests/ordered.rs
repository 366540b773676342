//! Ordered stores behave as sorted maps do, whatever is written, undone, committed, expired, lost; and their indexes as
//! those maps in another order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::store::layout;

const KEYS: [&[u8]; 3] = [b"", b"a", b"a\0b"];
/// Of segments of rows.
const SEGMENT: i64 = 10;

/// End, start and key of a window.
type Window = (i64, i64, usize);
type Windows = BTreeMap<Window, u8>;

#[derive(Debug, Clone)]
enum Op {
    Put(Window, u8),
    Delete(Window),
    Fetch(Vec<Window>),
    Turn,
    Keep(u32),
    /// Segments before this one go, so many rows at most.
    Expire(i64, usize),
    Seal,
    Commit,
    Abort,
    Reopen,
    Lose,
}

fn window() -> impl Strategy<Value = Window> {
    (0..60_i64, 0..3_i64, 0..KEYS.len()).prop_map(|(end, length, key)| (end, end - length, key))
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        20 => (window(), any::<u8>()).prop_map(|(window, value)| Op::Put(window, value)),
        4 => window().prop_map(Op::Delete),
        2 => vec(window(), 0..6).prop_map(Op::Fetch),
        3 => Just(Op::Turn),
        2 => (0..40_u32).prop_map(Op::Keep),
        3 => (0..6_i64, select(vec![1, 3, 99])).prop_map(|(segment, budget)| Op::Expire(segment * SEGMENT, budget)),
        3 => Just(Op::Seal),
        3 => Just(Op::Commit),
        1 => select(vec![Op::Abort, Op::Reopen, Op::Lose]),
    ];
    vec(op, 1..80)
}

fn data((end, start, key): Window) -> Vec<u8> {
    let mut suffix = Vec::new();
    let segment = end - end.rem_euclid(SEGMENT);
    layout::span(at(segment), KEYS[key], at(start), at(end), &mut suffix);
    suffix
}

fn index((end, start, key): Window) -> Vec<u8> {
    let mut suffix = Vec::new();
    layout::by_end(tag::INDEX, at(start), at(end), KEYS[key], &mut suffix);
    suffix
}

struct Subject {
    folder: TempDir,
    database: Option<Database>,
    task: Option<TaskState>,
    topic: Vec<OwnedRecord>,
    committed: Windows,
    sealed: Option<Windows>,
    begun: Windows,
    turn: Vec<(Window, Option<u8>)>,
    /// Nothing may be expected of rows that end before.
    floor: i64,
}

impl Subject {
    fn new() -> Subject {
        let (folder, database) = fresh();
        let mut subject = Subject {
            folder,
            database: None,
            task: None,
            topic: Vec::new(),
            committed: Windows::new(),
            sealed: None,
            begun: Windows::new(),
            turn: Vec::new(),
            floor: 0,
        };
        subject.open(database);
        subject
    }

    fn open(&mut self, database: Database) {
        let mut task = task(&database, &[spec("s", Kind::Session), spec("meta", Kind::Meta)]);
        let local = task.local(0).unwrap();
        let from = local.map_or(0, |local| usize::try_from(local.position.0).unwrap());
        let end = Position(i64::try_from(self.topic.len()).unwrap());
        task.restore(0, "id", &records(&self.topic[from..]), end, at(0)).unwrap();
        task.live().unwrap();
        (self.database, self.task) = (Some(database), Some(task));
        self.reset();
    }

    fn reset(&mut self) {
        self.sealed = None;
        self.begun = self.committed.clone();
        self.turn.clear();
    }

    fn model(&self) -> Windows {
        let mut model = self.begun.clone();
        for (window, value) in &self.turn {
            match value {
                Some(value) => model.insert(*window, *value),
                None => model.remove(window),
            };
        }
        model.retain(|(end, ..), _| *end >= self.floor);
        model
    }

    fn begin(&mut self) {
        self.begun = self.model();
        self.turn.clear();
        self.task.as_mut().unwrap().begin();
    }

    fn run(&mut self, op: &Op) {
        let row = Some(u32::try_from(self.turn.len()).unwrap());
        let task = self.task.as_mut().unwrap();
        match op {
            Op::Put(window, value) if window.0 >= self.floor => {
                task.ordered_put(row, 0, &data(*window), at(window.0), &[*value]);
                task.ordered_put(row, 0, &index(*window), at(window.0), &[]);
                self.turn.push((*window, Some(*value)));
            }
            Op::Delete(window) if window.0 >= self.floor => {
                task.ordered_delete(row, 0, &data(*window));
                task.ordered_delete(row, 0, &index(*window));
                self.turn.push((*window, None));
            }
            Op::Put(..) | Op::Delete(_) => {}
            Op::Fetch(windows) => {
                let suffixes: Vec<_> = windows.iter().map(|window| data(*window)).collect();
                task.prefetch(0, suffixes.iter().map(Vec::as_slice)).unwrap();
            }
            Op::Turn => self.begin(),
            Op::Keep(rows) => {
                task.keep(*rows);
                self.turn.truncate(*rows as usize);
            }
            Op::Expire(before, budget) => {
                self.floor = self.floor.max(*before);
                for tag in [tag::DATA, tag::INDEX] {
                    let mut suffix = vec![tag];
                    layout::put_time(at(*before), &mut suffix);
                    assert!(task.expire(0, &[tag], &suffix, *budget).unwrap() <= *budget);
                }
            }
            Op::Seal => self.seal(),
            Op::Commit => self.commit(),
            Op::Abort => {
                task.abort();
                self.reset();
            }
            Op::Reopen => {
                self.task = None;
                self.database = None;
                self.open(open(self.folder.path()));
            }
            Op::Lose => self.lose(),
        }
    }

    fn seal(&mut self) {
        if self.sealed.is_none() {
            self.begin();
            self.task.as_mut().unwrap().seal(&Progress::default());
            self.sealed = Some(self.begun.clone());
        }
    }

    fn commit(&mut self) {
        let Some(sealed) = self.sealed.take() else { return };
        let (task, database) = (self.task.as_mut().unwrap(), self.database.as_ref().unwrap());
        let mut keys = BTreeSet::new();
        for (store, key, value) in logged(task) {
            if store == 0 {
                assert_eq!(key[0], tag::DATA, "an index is local");
                assert!(keys.insert(key.clone()), "one record a key");
                self.topic.push((Some(key), value));
            }
        }
        let end = Position(i64::try_from(self.topic.len()).unwrap());
        let mut batch = database.batch();
        task.commit(&mut batch, &[Some(end)], at(0));
        database.write(batch).unwrap();
        self.committed = sealed;
    }

    fn lose(&mut self) {
        self.task = None;
        self.database = None;
        self.folder = tempfile::tempdir().unwrap();
        self.open(open(self.folder.path()));
    }

    fn check(&self) {
        let model = self.model();
        let task = self.task.as_ref().unwrap();
        for window in model.keys().copied().chain([(59, 59, 0), (20, 18, 2)]) {
            if window.0 >= self.floor {
                let found = task.ordered_get(0, &data(window), |at, value| (at, value[0])).unwrap();
                assert_eq!(found, model.get(&window).map(|value| (at(window.0), *value)));
            }
        }
        for (reverse, from) in [(false, self.floor), (true, self.floor + 25)] {
            let mut found = Vec::new();
            let lower = index((from, i64::MIN, 0));
            task.ordered_scan(0, &lower, &[tag::INDEX + 1], reverse, |suffix, time, _| {
                let (start, end, key) = layout::split_by_end(suffix).unwrap();
                assert_eq!(time, end);
                let key = KEYS.iter().position(|other| *other == key).unwrap();
                found.push((end.millis(), start.millis(), key));
                Ok::<_, Error>(true)
            })
            .unwrap();
            let mut expected: Vec<Window> =
                model.range((from, i64::MIN, 0)..).map(|row| *row.0).collect();
            if reverse {
                expected.reverse();
            }
            assert_eq!(found, expected);
        }
        for (number, key) in (0..).zip(KEYS) {
            let mut found = Vec::new();
            for segment in (self.floor / SEGMENT)..6 {
                let mut from = Vec::new();
                layout::spans(at(segment * SEGMENT), key, &mut from);
                let to = [&from[..], &[255; 17]].concat();
                task.ordered_scan(0, &from, &to, false, |suffix, _, value| {
                    let (start, end) = layout::split_span(suffix).unwrap();
                    found.push(((end.millis(), start.millis(), number), value[0]));
                    Ok::<_, Error>(true)
                })
                .unwrap();
            }
            let expected = model.iter().map(|(window, value)| (*window, *value));
            let expected: Vec<_> = expected.filter(|(window, _)| window.2 == number).collect();
            assert_eq!(found, expected, "windows of {key:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn an_ordered_store_is_a_sorted_map(ops in ops()) {
        let mut subject = Subject::new();
        for op in &ops {
            subject.run(op);
            subject.check();
        }
        subject.seal();
        subject.commit();
        subject.lose();
        subject.check();
    }
}

fn rows(task: &TaskState) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    task.ordered_scan(0, &[0], &[9], false, |suffix, _, _| {
        found.push(suffix.to_vec());
        Ok::<_, Error>(true)
    })
    .unwrap();
    found
}

#[test]
fn what_expires_is_a_tombstone_each_and_goes_as_a_range() {
    let (_folder, database) = fresh();
    let mut state = task(&database, &[spec("w", Kind::Window), spec("meta", Kind::Meta)]);
    let row = |start: i64, key: &[u8]| {
        let mut suffix = Vec::new();
        layout::fixed(tag::DATA, at(start), key, &mut suffix);
        suffix
    };
    for start in 0..4 {
        for key in [b"a", b"b"] {
            state.ordered_put(Some(0), 0, &row(start, key), at(start), b"x");
        }
    }
    commit(&database, &mut state);
    let before = row(3, b"");
    // In slices; the last one finds no more.
    let slices: Vec<usize> =
        (0..4).map(|_| state.expire(0, &[tag::DATA], &before, 4).unwrap()).collect();
    assert_eq!(slices, [4, 2, 0, 0]);
    let gone = |log: Vec<OwnedLog>| -> Vec<Vec<u8>> {
        log.into_iter().filter(|log| log.0 == 0 && log.2.is_none()).map(|log| log.1).collect()
    };
    let expected: Vec<_> = (0..3).flat_map(|start| [row(start, b"a"), row(start, b"b")]).collect();
    assert_eq!(gone(commit(&database, &mut state)), expected);
    assert_eq!(rows(&state), [row(3, b"a"), row(3, b"b")]);
    // Nothing is walked over twice; what expires soon after waits for its range, and is logged all the same.
    assert_eq!(state.expire(0, &[tag::DATA], &row(4, b""), 99).unwrap(), 2);
    assert_eq!(gone(commit(&database, &mut state)), [row(3, b"a"), row(3, b"b")]);
    assert_eq!(rows(&state).len(), 2, "the range is not deleted yet");
    // Opened again it is found again.
    drop(state);
    let mut state = task(&database, &[spec("w", Kind::Window), spec("meta", Kind::Meta)]);
    assert_eq!(state.expire(0, &[tag::DATA], &row(4, b""), 99).unwrap(), 2);
    commit(&database, &mut state);
    assert_eq!(rows(&state).len(), 0);
}
