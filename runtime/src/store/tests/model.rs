//! A task's state behaves as plain maps do, whatever is written, undone, sealed, committed, dropped, reopened, lost.

use std::collections::BTreeMap;

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;

const VALUES: usize = 0;
const MAPS: usize = 1;
const COUNTERS: usize = 2;
const META: usize = 3;
const KEYS: [&[u8]; 4] = [b"", b"a", b"a\0", b"b\xff"];
const NAMES: [&str; 2] = ["f.t", "f.u"];

fn stores() -> Vec<StoreSpec> {
    let ttl = |spec| StoreSpec { ttl: Some(TTL), ..spec };
    vec![
        ttl(spec("values", Kind::Value)),
        ttl(spec("maps", Kind::Map)),
        ttl(spec("counters", Kind::Counter)),
        spec("meta", Kind::Meta),
    ]
}

#[derive(Debug, Clone)]
enum Write {
    Value(usize, Option<u8>),
    Entry(usize, usize, Option<u8>),
    Add(usize, i64),
    Set(usize, usize, i64, u8),
    Cancel(usize, usize),
}

#[derive(Debug, Clone)]
enum Op {
    /// A write, so many rows behind the last one of its store.
    Write(u32, Write),
    Turn,
    Keep(u32),
    Pass(i64),
    Sweep(usize),
    Seal,
    Commit,
    Abort,
    Flush,
    Reopen,
    Crash,
}

fn write() -> impl Strategy<Value = Write> {
    let key = 0..KEYS.len();
    let name = 0..NAMES.len();
    prop_oneof![
        (key.clone(), option::of(any::<u8>())).prop_map(|(key, value)| Write::Value(key, value)),
        (key.clone(), key.clone(), option::weighted(0.7, any::<u8>()))
            .prop_map(|(key, entry, value)| Write::Entry(key, entry, value)),
        (key.clone(), prop_oneof![-5..5_i64, Just(i64::MAX)])
            .prop_map(|(key, delta)| Write::Add(key, delta)),
        (name.clone(), key.clone(), -2..4_i64, any::<u8>())
            .prop_map(|(name, key, due, payload)| Write::Set(name, key, due, payload)),
        (name, key).prop_map(|(name, key)| Write::Cancel(name, key)),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        20 => (0..3_u32, write()).prop_map(|(row, write)| Op::Write(row, write)),
        3 => Just(Op::Turn),
        2 => (0..8_u32).prop_map(Op::Keep),
        2 => (0..4_i64).prop_map(Op::Pass),
        1 => (0..6_usize).prop_map(Op::Sweep),
        3 => Just(Op::Seal),
        3 => Just(Op::Commit),
        1 => select(vec![Op::Abort, Op::Flush, Op::Reopen, Op::Crash]),
    ];
    vec(op, 1..60)
}

/// The state as plain maps.
#[derive(Debug, Clone, Default)]
struct Model {
    values: BTreeMap<usize, (u8, i64)>,
    entries: BTreeMap<(usize, Vec<u8>), (u8, i64)>,
    counters: BTreeMap<usize, (i64, i64)>,
    timers: BTreeMap<(usize, usize), (i64, u8)>,
}

fn lives(written: i64, at: i64) -> bool {
    at < written + 5
}

impl Model {
    fn count(&self, key: usize, at: i64) -> i64 {
        self.counters
            .get(&key)
            .filter(|(_, written)| lives(*written, at))
            .map_or(0, |found| found.0)
    }

    fn write(&mut self, write: &Write, at: i64) {
        match write {
            Write::Value(key, Some(value)) => {
                self.values.insert(*key, (*value, at));
            }
            Write::Value(key, None) => {
                self.values.remove(key);
            }
            Write::Entry(key, entry, Some(value)) => {
                self.entries.insert((*key, KEYS[*entry].to_vec()), (*value, at));
            }
            Write::Entry(key, entry, None) => {
                self.entries.remove(&(*key, KEYS[*entry].to_vec()));
            }
            Write::Add(key, delta) => {
                if let Some(sum) = self.count(*key, at).checked_add(*delta) {
                    self.counters.insert(*key, (sum, at));
                }
            }
            Write::Set(name, key, due, payload) => {
                self.timers.insert((*name, *key), (*due, *payload));
            }
            Write::Cancel(name, key) => {
                self.timers.remove(&(*name, *key));
            }
        }
    }

    fn due(&self, until: i64, limit: usize) -> Vec<(i64, usize, usize, u8)> {
        let timers = self.timers.iter();
        let mut due: Vec<_> = timers
            .filter(|(_, (due, _))| *due <= until)
            .map(|((name, key), (due, payload))| (*due, *name, *key, *payload))
            .collect();
        due.sort_by_key(|(due, name, key, _)| (*due, NAMES[*name], KEYS[*key]));
        due.truncate(limit);
        due
    }

    /// All that can be read of a task is as here; of the maps only that of one key, unless told otherwise.
    fn check(&self, task: &mut TaskState, now: i64, map: Option<usize>) {
        for (index, key) in KEYS.iter().enumerate() {
            let value = self.values.get(&index).filter(|(_, written)| lives(*written, now));
            let found = task.get(VALUES, key, at(now)).unwrap();
            assert_eq!(found, value.map(|(value, _)| vec![*value]), "value of {key:?}");
            let found = task.count(COUNTERS, key, at(now)).unwrap();
            assert_eq!(found, self.count(index, now), "counter of {key:?}");
            if map.is_none_or(|map| map == index) {
                self.check_map(task, index, now);
            }
            for (number, _) in (0..).zip(NAMES) {
                let due = self.timers.get(&(usize::from(number), index)).map(|(due, _)| at(*due));
                assert_eq!(task.timer(number, key).unwrap(), due, "timer {number} of {key:?}");
            }
        }
        let first = self.timers.values().map(|(due, _)| at(*due)).min();
        assert_eq!(task.next_due().unwrap(), first);
        for (until, limit) in [(-1, 9), (1, 2), (i64::MAX, 9)] {
            let due = task.due(at(until), limit, usize::MAX).unwrap().into_iter();
            let due: Vec<_> = due
                .map(|due| {
                    let key = KEYS.iter().position(|key| *key == due.key).unwrap();
                    (due.due.millis(), usize::from(due.timer), key, due.payload[0])
                })
                .collect();
            assert_eq!(due, self.due(until, limit), "until {until}, {limit} at most");
        }
    }

    fn check_map(&self, task: &TaskState, index: usize, now: i64) {
        let entries = self.entries.iter().filter(|((key, _), _)| *key == index);
        let entries = entries.filter(|(_, (_, written))| lives(*written, now));
        let entries: Vec<(&[u8], u8)> =
            entries.map(|((_, entry), (value, _))| (entry.as_slice(), *value)).collect();
        for entry in KEYS {
            let value =
                entries.iter().find(|(key, _)| *key == entry).map(|(_, value)| vec![*value]);
            assert_eq!(task.map_get(MAPS, KEYS[index], entry, at(now)).unwrap(), value);
        }
        let bounds = [None, Some(KEYS[0]), Some(KEYS[2]), Some(KEYS[3])];
        for (from, to) in bounds.iter().flat_map(|from| bounds.iter().map(move |to| (*from, *to))) {
            for (reverse, limit) in [(false, 9), (true, 9), (false, 2), (true, 1), (true, 0)] {
                let range = Range { from, to, reverse, limit, bytes_max: usize::MAX };
                let found = task.map_scan(MAPS, KEYS[index], &range, at(now)).unwrap();
                let found: Vec<(&[u8], u8)> =
                    found.iter().map(|entry| (entry.key.as_slice(), entry.value[0])).collect();
                let within = |key: &[u8]| {
                    from.is_none_or(|from| key >= from) && to.is_none_or(|to| key < to)
                };
                let mut expected: Vec<_> =
                    entries.iter().copied().filter(|(key, _)| within(key)).collect();
                if reverse {
                    expected.reverse();
                }
                expected.truncate(limit);
                assert_eq!(found, expected, "{range:?}");
            }
        }
    }
}

/// A task, its changelogs, and what both should be.
struct Subject {
    folder: TempDir,
    database: Option<Database>,
    task: Option<TaskState>,
    topics: Vec<Vec<OwnedRecord>>,
    committed: Model,
    sealed: Option<Model>,
    begun: Model,
    turn: Vec<(u32, Write, i64)>,
    rows: BTreeMap<usize, u32>,
    now: i64,
}

impl Subject {
    fn new() -> Subject {
        let (folder, database) = fresh();
        let mut subject = Subject {
            folder,
            database: None,
            task: None,
            topics: vec![Vec::new(); 4],
            committed: Model::default(),
            sealed: None,
            begun: Model::default(),
            turn: Vec::new(),
            rows: BTreeMap::new(),
            now: 0,
        };
        subject.open(database);
        subject
    }

    /// Opens the task and takes in what its changelogs have more.
    fn open(&mut self, database: Database) {
        let lease = database.lease(&key(0)).unwrap();
        let mut task = TaskState::open(&database, lease, &stores(), &timers(&NAMES), &[]).unwrap();
        for (store, topic) in self.topics.iter().enumerate() {
            let local = task.local(store).unwrap();
            assert!(local.as_ref().is_none_or(|local| local.topic_id == format!("id {store}")));
            let from = local.map_or(0, |local| usize::try_from(local.position.0).unwrap());
            let end = Position(i64::try_from(topic.len()).unwrap());
            let id = format!("id {store}");
            task.restore(store, &id, &records(&topic[from..]), end, at(self.now)).unwrap();
        }
        task.live().unwrap();
        (self.database, self.task) = (Some(database), Some(task));
        self.reset();
    }

    /// Only what is committed is left.
    fn reset(&mut self) {
        self.sealed = None;
        self.begun = self.committed.clone();
        self.turn.clear();
        self.rows.clear();
    }

    fn model(&self) -> Model {
        let mut model = self.begun.clone();
        for (_, write, at) in &self.turn {
            model.write(write, *at);
        }
        model
    }

    fn run(&mut self, op: &Op) {
        let task = self.task.as_mut().unwrap();
        match op {
            Op::Write(rows, write) => self.write(*rows, write),
            Op::Turn => self.begin(),
            Op::Keep(rows) => {
                task.keep(*rows);
                self.turn.retain(|(row, ..)| row < rows);
                self.rows.values_mut().for_each(|row| *row = (*row).min(*rows));
            }
            Op::Pass(millis) => self.now += millis,
            Op::Sweep(budget) => {
                task.sweep(at(self.now), *budget).unwrap();
            }
            Op::Seal => self.seal(),
            Op::Commit => self.commit(),
            Op::Abort => {
                task.abort();
                self.reset();
            }
            Op::Flush => self.database.as_ref().unwrap().flush().unwrap(),
            Op::Reopen => {
                self.task = None;
                self.database = None;
                self.open(open(self.folder.path()));
            }
            Op::Crash => {
                self.task = None;
                let folder = crashed(self.folder.path());
                self.database = None;
                self.folder = folder;
                self.open(open(self.folder.path()));
            }
        }
    }

    fn begin(&mut self) {
        self.begun = self.model();
        self.turn.clear();
        self.rows.clear();
        self.task.as_mut().unwrap().begin();
    }

    fn write(&mut self, rows: u32, write: &Write) {
        let (task, now) = (self.task.as_mut().unwrap(), at(self.now));
        let store = match write {
            Write::Value(..) => VALUES,
            Write::Entry(..) => MAPS,
            Write::Add(..) => COUNTERS,
            Write::Set(..) | Write::Cancel(..) => META,
        };
        let row = self.rows.entry(store).or_default();
        *row += rows;
        let row = *row;
        let number = |name: &usize| u16::try_from(*name).unwrap();
        match write {
            Write::Value(key, value) => {
                task.put(
                    row,
                    store,
                    KEYS[*key],
                    value.map(|value| [value]).as_ref().map(|v| &v[..]),
                    now,
                );
            }
            Write::Entry(key, entry, value) => {
                let value = value.map(|value| [value]);
                let value = value.as_ref().map(|value| &value[..]);
                task.map_put(row, store, KEYS[*key], KEYS[*entry], value, now);
            }
            Write::Add(key, delta) => {
                let sum = task.add(row, store, KEYS[*key], *delta, now).unwrap();
                assert_eq!(sum.ok(), self.model().count(*key, self.now).checked_add(*delta));
            }
            Write::Set(name, key, due, payload) => {
                task.set_timer(row, number(name), KEYS[*key], at(*due), &[*payload]).unwrap();
            }
            Write::Cancel(name, key) => {
                task.cancel_timer(row, number(name), KEYS[*key]).unwrap();
            }
        }
        self.turn.push((row, write.clone(), self.now));
    }

    fn seal(&mut self) {
        if self.sealed.is_none() {
            self.begin();
            let position = Position(self.now);
            self.task.as_mut().unwrap().seal(&Progress {
                stream_time: Some(at(self.now)),
                positions: vec![("in".into(), position)],
                nodes: Vec::new(),
            });
            self.sealed = Some(self.begun.clone());
        }
    }

    fn commit(&mut self) {
        let Some(sealed) = self.sealed.take() else { return };
        let (task, database) = (self.task.as_mut().unwrap(), self.database.as_ref().unwrap());
        let mut keys = std::collections::BTreeSet::new();
        for (store, key, value) in logged(task) {
            assert!(keys.insert((store, key.clone())), "one record a key");
            self.topics[store].push((Some(key), value));
        }
        let ends =
            self.topics.iter().map(|topic| Some(Position(i64::try_from(topic.len()).unwrap())));
        let mut batch = database.batch();
        task.commit(&mut batch, &ends.collect::<Vec<_>>(), at(self.now));
        database.write(batch).unwrap();
        self.committed = sealed;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, ..ProptestConfig::default() })]

    #[test]
    fn a_state_is_plain_maps(ops in ops()) {
        let mut subject = Subject::new();
        for (step, op) in ops.iter().enumerate() {
            subject.run(op);
            let model = subject.model();
            model.check(subject.task.as_mut().unwrap(), subject.now, Some(step % KEYS.len()));
        }
        subject.model().check(subject.task.as_mut().unwrap(), subject.now, None);
        // All of it lost: it comes back from the changelogs.
        let Subject { committed, now, .. } = &subject;
        let (committed, now) = (committed.clone(), *now);
        subject.task = None;
        subject.database = None;
        subject.folder = tempfile::tempdir().unwrap();
        subject.open(open(subject.folder.path()));
        committed.check(subject.task.as_mut().unwrap(), now, None);
    }
}
