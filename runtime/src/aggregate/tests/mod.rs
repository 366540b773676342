//! The engine gives what windows give as one would write them down, whatever is undone, committed, reopened, expired.

mod model;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use proptest::{collection::vec, option, prelude::*, sample::select};
use tempfile::TempDir;
use tidemill_aggregates::{Aggregate, Compute, Value};

use self::model::{Held, Model, Out, Shape};
use super::*;
use crate::{
    record::Timestamp,
    store::{
        Database, DatabaseSettings, Kind, NodeProgress, Ordered, Progress, StoreSpec, TaskKey,
        TaskState,
    },
};

/// Times are multiples of this, so that they are in several segments of a store.
const UNIT: i64 = 10_000;

const COLUMNS: [(&str, &str); 5] =
    [("n", "count()"), ("s", "sum(v)"), ("l", "min(v)"), ("h", "max(v)"), ("a", "avg(v)")];

fn compute() -> Arc<Compute> {
    let columns = COLUMNS.map(|(name, text)| (name, Aggregate::parse(text).unwrap()));
    Arc::new(Compute::new(columns).unwrap())
}

fn units(units: i64) -> Duration {
    Duration::from_millis(u64::try_from(units * UNIT).unwrap())
}

fn spec(shape: Shape, grace: i64, emit: Emit) -> Arc<Spec> {
    let windows = match shape {
        Shape::Whole => None,
        Shape::Hopping { size, advance } if size == advance => {
            Some(Windows::Tumbling { size: units(size / UNIT) })
        }
        Shape::Hopping { size, advance } => {
            Some(Windows::Hopping { size: units(size / UNIT), advance: units(advance / UNIT) })
        }
        Shape::Sliding { difference } => {
            Some(Windows::Sliding { difference: units(difference / UNIT) })
        }
        Shape::Session { gap } => Some(Windows::Session { gap: units(gap / UNIT) }),
    };
    Arc::new(Spec {
        compute: compute(),
        windows,
        grace: units(grace / UNIT),
        retention: units(40),
        emit,
        idle: None,
        key_format: KeyFormat::Plain,
    })
}

fn expected(held: &Held) -> Vec<Value> {
    let values: Vec<i64> = held.values.iter().flatten().copied().collect();
    let count = i64::try_from(held.values.len()).unwrap();
    let or_null = |value: Option<i64>| value.map_or(Value::Null, Value::Int);
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let average = match values.len() {
        0 => Value::Null,
        some => Value::Float(values.iter().sum::<i64>() as f64 / some as f64),
    };
    vec![
        Value::Int(count),
        Value::Int(values.iter().sum()),
        or_null(values.iter().min().copied()),
        or_null(values.iter().max().copied()),
        average,
    ]
}

/// A result as it can be compared.
type Shown = (u8, i64, i64, i64, Option<Vec<Value>>);

fn shown(change: &Change, compute: &Compute) -> Shown {
    let values = change.row.as_ref().map(|row| compute.result(row));
    (change.key[0], change.start.millis(), change.end.millis(), change.at.millis(), values)
}

fn of_model((key, start, end, at, held): &Out) -> Shown {
    (*key, *start, *end, *at, held.as_ref().map(expected))
}

/// An engine over a store of its own.
struct Subject {
    folder: TempDir,
    database: Option<Database>,
    task: Option<TaskState>,
    spec: Arc<Spec>,
    engine: Engine,
    row: u32,
}

impl Subject {
    fn new(spec: Arc<Spec>) -> Subject {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::new(0, &spec);
        let mut subject = Subject { folder, database: None, task: None, spec, engine, row: 0 };
        subject.open();
        subject
    }

    fn open(&mut self) {
        self.task = None;
        self.database = None;
        let settings = DatabaseSettings { memory_bytes: 16 << 20 };
        let database = Database::open(self.folder.path(), settings).unwrap();
        let kind = match self.spec.windows {
            Some(Windows::Sliding { .. } | Windows::Session { .. }) => Kind::Session,
            _ => Kind::Window,
        };
        let store = |name: &str, kind| StoreSpec {
            name: name.into(),
            kind,
            ttl: None,
            broadcast: false,
            topic: format!("app.{name}.changelog").into(),
        };
        let stores = [store("s", kind), store("meta", Kind::Meta)];
        let key = TaskKey { app: "app".into(), part: "part".into(), partition: 0 };
        let lease = database.lease(&key).unwrap();
        let mut task = TaskState::open(&database, lease, &stores, &[], &[0, 0]).unwrap();
        let progress = task.live().unwrap();
        self.engine = Engine::new(0, &self.spec);
        if let Some(node) = progress.nodes.first() {
            self.engine.resume(node);
        }
        (self.database, self.task) = (Some(database), Some(task));
        self.row = 0;
    }

    fn begin(&mut self) {
        self.task.as_mut().unwrap().begin();
        self.engine.begin();
        self.row = 0;
    }

    fn keep(&mut self, rows: u32) {
        self.task.as_mut().unwrap().keep(rows);
        self.engine.keep(rows);
        self.row = rows;
    }

    /// Adds a record: what comes out at once, and whether it was late.
    fn take(&mut self, key: u8, value: Option<i64>, at: i64) -> (Vec<Shown>, bool) {
        let state = self.task.as_mut().unwrap();
        let (engine, row) = (&mut self.engine, self.row);
        self.row += 1;
        let value = value.map_or(Value::Null, Value::Int);
        let arguments = vec![value; self.spec.compute.arguments().len()];
        let added = engine.add(state, row, &[key], Timestamp(at), &arguments).unwrap();
        let compute = self.spec.compute.clone();
        let mut out: Vec<Shown> =
            engine.updates().map(|(_, change)| shown(&change, &compute)).collect();
        if engine.closes(added) {
            let time = engine.time().unwrap();
            while engine.may_close(state, time).unwrap() {
                // In portions, to stop in the middle of windows.
                let closed = engine.closed(state, time, 2).unwrap();
                if closed.is_empty() {
                    engine.look_again();
                    break;
                }
                for change in closed {
                    engine.sent(row, &change);
                    out.push(shown(&change, &compute));
                }
            }
        }
        assert_eq!(!engine.take_late().is_empty(), added.is_late());
        (out, added.is_late())
    }

    /// Fires what waits, a few a turn.
    fn fire(&mut self, ask: impl Fn(&mut Engine, &TaskState) -> Vec<Waiting>) -> Vec<Shown> {
        let mut out = Vec::new();
        loop {
            self.begin();
            let waiting = ask(&mut self.engine, self.task.as_ref().unwrap());
            if waiting.is_empty() {
                return out;
            }
            for waiting in waiting {
                let state = self.task.as_mut().unwrap();
                let fired = self.engine.fire(state, self.row, &waiting).unwrap();
                out.extend(fired.iter().map(|change| shown(change, &self.spec.compute)));
                self.row += 1;
            }
        }
    }

    fn commit(&mut self) {
        let (task, database) = (self.task.as_mut().unwrap(), self.database.as_ref().unwrap());
        let node = NodeProgress { node: "s".into(), ..self.engine.progress() };
        let progress = Progress { nodes: vec![node], ..Progress::default() };
        task.seal(&progress);
        let mut batch = database.batch();
        task.commit(&mut batch, &[], Timestamp(0));
        database.write(batch).unwrap();
        self.begin();
    }
}

#[derive(Debug, Clone)]
enum Op {
    /// Of a key, this value, so far from the time of the engine.
    Record(u8, Option<i64>, i64),
    Turn,
    Keep(u32),
    Commit,
    Reopen,
    Expire,
    Prefetch,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let ahead = prop_oneof![
        4 => -3..4_i64,
        3 => -12..8_i64,
        1 => 0..60_i64,
        1 => Just(0_i64),
    ];
    // Near the borders, too.
    let near = select(vec![0, 0, 0, 1, -1]);
    let ahead = (ahead, near).prop_map(|(units, near)| units * UNIT + near);
    let value = option::weighted(0.9, -5..50_i64);
    let op = prop_oneof![
        20 => (b'a'..b'd', value, ahead).prop_map(|(key, value, ahead)| Op::Record(key, value, ahead)),
        2 => Just(Op::Turn),
        2 => (0..6_u32).prop_map(Op::Keep),
        2 => Just(Op::Commit),
        1 => select(vec![Op::Reopen, Op::Expire, Op::Prefetch]),
    ];
    vec(op, 1..70)
}

fn shapes() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Whole),
        (1..6_i64).prop_map(|size| Shape::Hopping { size: size * UNIT, advance: size * UNIT }),
        (2..8_i64, 1..8_i64).prop_map(|(size, advance)| Shape::Hopping {
            size: size * UNIT,
            advance: advance.min(size) * UNIT,
        }),
        (1..6_i64).prop_map(|difference| Shape::Sliding { difference: difference * UNIT }),
        (1..5_i64).prop_map(|gap| Shape::Session { gap: gap * UNIT }),
    ]
}

/// What is known at the beginning of a turn, and behind each of its rows.
struct Story {
    models: Vec<Model>,
}

impl Story {
    fn now(&mut self) -> &mut Model {
        self.models.last_mut().unwrap()
    }

    fn begin(&mut self) {
        self.models.drain(..self.models.len() - 1);
    }

    fn keep(&mut self, rows: u32) {
        self.models.truncate(rows as usize + 1);
    }
}

fn run(shape: Shape, grace: i64, emit: Emit, ops: &[Op]) {
    let is_final = emit == Emit::Final;
    let mut subject = Subject::new(spec(shape, grace, emit));
    let mut story = Story { models: vec![Model::new(shape, grace, is_final)] };
    for op in ops {
        match op {
            Op::Record(key, value, ahead) => {
                let model = story.now().clone();
                story.models.push(model);
                let model = story.now();
                let at = (model.time.unwrap_or(0) + ahead).max(0);
                let (out, late) = model.take(*key, *value, at);
                let out: Vec<Shown> = out.iter().map(of_model).collect();
                assert_eq!(subject.take(*key, *value, at), (out, late), "{key} at {at}");
                assert_eq!(subject.engine.time().unwrap().millis(), story.now().time.unwrap());
            }
            Op::Turn => {
                subject.begin();
                story.begin();
            }
            Op::Keep(rows) => {
                let rows = (*rows).min(subject.row);
                subject.keep(rows);
                story.keep(rows);
            }
            Op::Commit => {
                subject.commit();
                story.begin();
                reads_equal(&subject, story.now());
            }
            Op::Reopen => {
                subject.commit();
                story.begin();
                subject.open();
            }
            Op::Expire => {
                // Between turns: it is not undone.
                subject.begin();
                story.begin();
                subject.engine.expire(subject.task.as_mut().unwrap(), 5).unwrap();
            }
            Op::Prefetch => {
                let keys: Vec<[u8; 1]> = (b'a'..b'd').map(|key| [key]).collect();
                let time = story.now().time.unwrap_or(0);
                let records = keys.iter().flat_map(|key| {
                    [0, UNIT].map(|back| (&key[..], Timestamp((time - back).max(0))))
                });
                subject.engine.prefetch(subject.task.as_mut().unwrap(), records).unwrap();
            }
        }
    }
}

/// What is read from outside is what is there, as far as the retention reaches.
fn reads_equal(subject: &Subject, model: &Model) {
    let database = subject.database.as_ref().unwrap();
    let live = &database.live("app", "s")[0];
    let (compute, spec) = (&subject.spec.compute, &subject.spec);
    let shown = |key: u8, window: &Window| -> Shown {
        let (start, end) = (window.start.millis(), window.end.millis());
        (key, start, end, window.at.millis(), Some(compute.result(&window.row)))
    };
    let retained = model.time.unwrap_or(0) - 40 * UNIT;
    let is_whole = spec.windows.is_none();
    let windows = model.windows().filter(|out| is_whole || out.1 >= retained);
    let windows: Vec<Shown> = windows.map(|out| of_model(&out)).collect();
    let (from, to) = (Timestamp(0), Timestamp(i64::MAX));
    for key in b'a'..b'd' {
        let found = read(database, live, spec, &[key], from, to, 99).unwrap();
        let mut expected: Vec<Shown> =
            windows.iter().filter(|shown| shown.0 == key).cloned().collect();
        expected.sort_by_key(|shown| (shown.1, shown.2));
        let found: Vec<Shown> = found.iter().map(|window| shown(key, window)).collect();
        assert_eq!(found, expected);
        if let Some(first) = expected.first().filter(|_| !is_whole) {
            let behind = Timestamp(first.1 + 1);
            let found = read(database, live, spec, &[key], behind, to, 1).unwrap();
            let next = expected.iter().find(|shown| shown.1 > first.1);
            assert_eq!(found.first().map(|window| shown(key, window)).as_ref(), next);
        }
    }
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = scan(database, live, spec, from, to, after.as_deref(), 3).unwrap();
        found.extend(page.entries.iter().map(|(key, window)| shown(key[0], window)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, windows);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn each_update_is_that_of_the_windows_written_down(
        shape in shapes(),
        grace in 0..5_i64,
        ops in ops(),
    ) {
        run(shape, grace * UNIT, Emit::Changes { every_update: true }, &ops);
    }

    #[test]
    fn what_closes_comes_out_once_and_in_order(shape in shapes(), grace in 0..5_i64, ops in ops()) {
        let shape = if matches!(shape, Shape::Whole) { Shape::Session { gap: UNIT } } else { shape };
        run(shape, grace * UNIT, Emit::Final, &ops);
    }

    #[test]
    fn the_newest_of_a_commit_comes_out_once(
        shape in shapes(),
        grace in 0..5_i64,
        every in any::<bool>(),
        ops in ops(),
    ) {
        thinned(shape, grace * UNIT, every, &ops);
    }
}

/// What waits is the newest of each window that changed; what never came out is not taken back.
fn thinned(shape: Shape, grace: i64, every: bool, ops: &[Op]) {
    let pause = Duration::from_millis(10);
    let emit = if every { Emit::Every(pause) } else { Emit::Changes { every_update: false } };
    let mut subject = Subject::new(spec(shape, grace, emit));
    let mut story = Story { models: vec![Model::new(shape, grace, false)] };
    let mut turn: Vec<Vec<Shown>> = Vec::new();
    let mut waits: BTreeMap<(u8, i64, i64), Shown> = BTreeMap::new();
    let mut known: BTreeMap<(u8, i64, i64), Shown> = BTreeMap::new();
    let settle = |turn: &mut Vec<Vec<Shown>>, waits: &mut BTreeMap<_, _>| {
        for shown in turn.drain(..).flatten() {
            waits.insert((shown.0, shown.1, shown.2), shown);
        }
    };
    let mut now = 0;
    subject.engine.tick(Timestamp(now));
    for op in ops {
        match op {
            Op::Record(key, value, ahead) => {
                let model = story.now().clone();
                story.models.push(model);
                let model = story.now();
                let at = (model.time.unwrap_or(0) + ahead).max(0);
                let (out, late) = model.take(*key, *value, at);
                turn.push(out.iter().map(of_model).collect());
                assert_eq!(subject.take(*key, *value, at), (Vec::new(), late));
            }
            Op::Turn => {
                settle(&mut turn, &mut waits);
                subject.begin();
                story.begin();
            }
            Op::Keep(rows) => {
                let rows = (*rows).min(subject.row);
                subject.keep(rows);
                story.keep(rows);
                turn.truncate(rows as usize);
            }
            Op::Commit | Op::Reopen => {
                settle(&mut turn, &mut waits);
                subject.begin();
                story.begin();
                let is_saved = !every && matches!(op, Op::Reopen);
                if is_saved {
                    // Something keeps them from coming out: they are found again.
                    subject.engine.save_changes(subject.task.as_mut().unwrap(), 0);
                }
                if every || is_saved {
                    subject.commit();
                }
                if matches!(op, Op::Reopen) {
                    subject.open();
                    subject.engine.tick(Timestamp(now));
                }
                let fired = if every {
                    let early = subject.engine.paused(
                        subject.task.as_ref().unwrap(),
                        Timestamp(now + 9),
                        3,
                    );
                    assert_eq!(early.unwrap(), Vec::new());
                    let next = subject.engine.next_pause(subject.task.as_ref().unwrap()).unwrap();
                    assert_eq!(
                        next.is_some(),
                        waits
                            .iter()
                            .any(|(at, shown)| { shown.4.is_some() || known.contains_key(at) })
                    );
                    now += 10;
                    subject.fire(|engine, state| engine.paused(state, Timestamp(now), 3).unwrap())
                } else {
                    subject.fire(|engine, state| engine.changed(state, 3).unwrap())
                };
                if !every {
                    assert!(!subject.engine.has_changes());
                }
                let mut found = BTreeMap::new();
                for shown in fired {
                    let at = (shown.0, shown.1, shown.2);
                    assert_eq!(found.insert(at, shown), None, "{at:?} came out twice");
                }
                for (at, shown) in std::mem::take(&mut waits) {
                    match shown.4 {
                        None if !known.contains_key(&at) => {}
                        None => {
                            assert_eq!(found.remove(&at), Some(shown));
                            known.remove(&at);
                        }
                        Some(_) => {
                            assert_eq!(found.remove(&at), Some(shown.clone()));
                            known.insert(at, shown);
                        }
                    }
                }
                assert_eq!(found, BTreeMap::new(), "what did not change");
                subject.commit();
            }
            Op::Expire => {
                settle(&mut turn, &mut waits);
                subject.begin();
                story.begin();
                subject.engine.expire(subject.task.as_mut().unwrap(), 5).unwrap();
            }
            Op::Prefetch => {}
        }
    }
}

#[test]
fn a_store_that_was_made_for_something_else_is_refused() {
    let size = Shape::Hopping { size: UNIT, advance: UNIT };
    let mut subject = Subject::new(spec(size, 0, Emit::Changes { every_update: true }));
    subject.take(b'a', Some(1), 5);
    subject.commit();
    // When results come out, and for how long they are kept, is of no matter.
    subject.spec =
        Arc::new(Spec { retention: units(99), ..(*spec(size, UNIT, Emit::Final)).clone() });
    subject.open();
    subject.take(b'a', Some(1), 5);
    let other = spec(Shape::Hopping { size: 2 * UNIT, advance: UNIT }, 0, Emit::Final);
    let mut engine = Engine::new(0, &other);
    let state = subject.task.as_mut().unwrap();
    let refused = engine.next_close(state).unwrap_err().to_string();
    for part in ["tumbling 10000 ms", "hopping 20000 ms by 10000 ms", "another name"] {
        assert!(refused.contains(part), "{refused}");
    }
    assert!(engine.add(state, 0, b"a", Timestamp(1), &[Value::Int(1)]).is_err());
}

#[test]
fn what_is_older_than_the_retention_goes() {
    for shape in [
        Shape::Hopping { size: 2 * UNIT, advance: UNIT },
        Shape::Sliding { difference: UNIT },
        Shape::Session { gap: UNIT },
    ] {
        let mut subject = Subject::new(spec(shape, 0, Emit::Final));
        for at in 0..200 {
            subject.take(b'a', Some(1), at * 3 * UNIT);
        }
        subject.commit();
        let mut gone = 0;
        loop {
            let some = subject.engine.expire(subject.task.as_mut().unwrap(), 7).unwrap();
            gone += some;
            if some == 0 {
                break;
            }
        }
        assert!(gone >= 150, "{gone} of {shape:?}");
        subject.commit();
        let database = subject.database.as_ref().unwrap();
        let live = &database.live("app", "s")[0];
        let mut left = 0;
        let count = |_: &[u8], _: Timestamp, _: &[u8]| {
            left += 1;
            Ok::<_, crate::store::Error>(true)
        };
        let from = [crate::store::tag::DATA];
        let to = [crate::store::tag::DATA + 1];
        Ordered::ordered_scan(&database.committed(live), 0, &from, &to, false, count).unwrap();
        assert!(left < 50, "{left} of {shape:?}");
    }
}
