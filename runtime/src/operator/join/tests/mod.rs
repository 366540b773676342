//! Each pair by hand-written tables, over real state, without a topic.
//!
//! A record is written `left a=1@5`: its side, key, value and time; `-` is null. With `h` behind the time it has a header
//! that holds its value. A row reads `a 1+2@5`: its key, both sides, and its time; then ` h=…` for its header; and
//! `closing` in front of one that came out since time went on.

use std::{cell::Cell, ops::ControlFlow, rc::Rc, time::Duration};

use tempfile::TempDir;
use tidemill_layout::{HeaderPart, HeadersWriter, Joined, Part};

use super::*;
use crate::{
    record::{Headers, Offset, Partition, Position, Record, Records},
    store::{Database, DatabaseSettings, Kind, Progress, StoreSpec, TaskKey},
    topology::{JoinNode, Pair},
};

mod lookups;
mod naive;
mod streams;
mod tables;

/// A record on its way in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct In {
    side: Side,
    key: Option<String>,
    value: Option<String>,
    at: i64,
    header: bool,
}

/// Reads a record as the module's page has it.
fn record(text: &str) -> In {
    let (side, rest) = text.split_once(' ').unwrap();
    let (text, time) = rest.split_once('@').unwrap();
    let (key, value) = text.split_once('=').unwrap();
    let side = match side {
        "left" => Side::Left,
        "right" => Side::Right,
        other => panic!("{other} is no side"),
    };
    let part = |part: &str| (part != "-").then(|| part.to_owned());
    let header = time.ends_with('h');
    let at = time.trim_end_matches('h').parse().unwrap();
    In { side, key: part(key), value: part(value), at, header }
}

/// A join in a task of its own.
struct Rig {
    node: JoinNode,
    stores: Vec<StoreSpec>,
    home: Rc<Home>,
    partition: u32,
    join: Join,
    scope: Scope,
    /// What the changelogs have, by store.
    logs: Vec<Records>,
}

/// A database in a folder of its own, for joins one after another: each has a partition that nobody had before it.
struct Home {
    database: Database,
    partitions: Cell<u32>,
    _folder: TempDir,
}

impl Home {
    fn new() -> Rc<Home> {
        let folder = tempfile::tempdir().unwrap();
        let settings = DatabaseSettings { memory_bytes: 16 << 20 };
        let database = Database::open(folder.path(), settings).unwrap();
        Rc::new(Home { database, partitions: Cell::new(0), _folder: folder })
    }

    fn partition(&self) -> u32 {
        self.partitions.replace(self.partitions.get() + 1)
    }
}

impl Rig {
    fn new(home: &Rc<Home>, kind: JoinKind, pair: Pair, stores: &[Kind]) -> Rig {
        let stores: Vec<StoreSpec> = (0..)
            .zip(stores.iter().chain([&Kind::Meta]))
            .map(|(index, kind)| StoreSpec {
                name: format!("store-{index}").into(),
                kind: *kind,
                ttl: None,
                broadcast: false,
                topic: format!("topic-{index}").into(),
            })
            .collect();
        let node = JoinNode { kind, pair };
        let join = Join::new(&node);
        let partition = home.partition();
        let scope = scope(home, &stores, partition);
        let logs = stores.iter().map(|_| Records::new()).collect();
        Rig { node, stores, home: home.clone(), partition, join, scope, logs }
    }

    /// A join of two streams, times in milliseconds.
    fn streams(kind: JoinKind, before: u64, after: u64, grace: u64) -> Rig {
        Rig::streams_in(&Home::new(), kind, [before, after, grace])
    }

    /// As [`streams`](Rig::streams): before, after, grace.
    fn streams_in(home: &Rc<Home>, kind: JoinKind, times: [u64; 3]) -> Rig {
        let [before, after, grace] = times.map(Duration::from_millis);
        let pair = Pair::StreamStream { store: 0, before, after, grace, idle: None };
        Rig::new(home, kind, pair, &[Kind::Join])
    }

    /// One turn of these records, of which so many are kept.
    fn turn(&mut self, records: &[In], keep: usize) -> Vec<String> {
        self.begin();
        let headers: Vec<HeadersWriter> = records.iter().map(header).collect();
        let arrivals =
            records.iter().zip(&headers).enumerate().map(|(row, (from, headers))| Arrival {
                row: u32::try_from(row).unwrap(),
                source: u16::from(from.side == Side::Right),
                record: Record {
                    offset: Offset(0),
                    timestamp: Timestamp(from.at),
                    key: from.key.as_ref().map(String::as_bytes),
                    value: from.value.as_ref().map(String::as_bytes),
                    headers: headers.headers(),
                },
            });
        let arrivals: Vec<Arrival<'_>> = arrivals.collect();
        self.join.prefetch(&arrivals, &mut self.scope).unwrap();
        let mut rows = Vec::new();
        for (index, arrival) in arrivals.iter().enumerate() {
            let taken = self.join.take(arrival, &mut self.scope, &mut |sent| {
                if index < keep {
                    rows.push(shown(Some(arrival), &sent));
                }
                ControlFlow::Continue(())
            });
            taken.unwrap();
        }
        self.undo(u32::try_from(keep).unwrap());
        rows
    }

    fn begin(&mut self) {
        self.scope.state_mut().unwrap().begin();
        self.join.begin(Timestamp(0), &mut self.scope);
    }

    fn undo(&mut self, rows: u32) {
        self.scope.state_mut().unwrap().keep(rows);
        self.join.keep(rows);
    }

    /// Each record in a turn of its own: what comes of all of them.
    fn drive(&mut self, records: &[&str]) -> Vec<String> {
        records.iter().flat_map(|text| self.turn(&[record(text)], 1)).collect()
    }

    /// All that is closed at a time comes out.
    fn fire(&mut self, time: i64) -> Vec<String> {
        let ask = Ask::Closed(Timestamp(time));
        let due = self.join.due(ask, &mut self.scope, 100).unwrap();
        let mut rows = Vec::new();
        self.begin();
        for (row, due) in (0..).zip(&due) {
            let fired = self.join.fire(row, due, &mut self.scope, &mut |sent| {
                rows.push(format!("[{}] {}", due.name, shown(None, &sent)));
                ControlFlow::Continue(())
            });
            fired.unwrap();
        }
        rows
    }

    /// Ends a transaction.
    fn commit(&mut self) {
        let nodes = self.join.progress(&self.scope).into_iter().collect();
        let state = self.scope.state_mut().unwrap();
        state.seal(&Progress { nodes, ..Progress::default() });
        for index in 0..state.logged() {
            let log = state.log(index);
            let offset = Offset(i64::try_from(self.logs[log.store].len()).unwrap());
            self.logs[log.store].push(&Record {
                offset,
                timestamp: Timestamp(0),
                key: Some(log.key),
                value: log.value,
                headers: Headers::EMPTY,
            });
        }
        let mut batch = self.home.database.batch();
        state.commit(&mut batch, &[], Timestamp(0));
        self.home.database.write(batch).unwrap();
    }

    /// The task goes, with what is not committed, and comes again.
    fn restart(&mut self) {
        self.scope = Scope::default();
        self.scope = scope(&self.home, &self.stores, self.partition);
        self.resume();
    }

    /// The task comes again where there is nothing of it but the changelogs.
    fn move_away(&mut self) {
        self.scope = Scope::default();
        self.partition = self.home.partition();
        let mut moved = scope(&self.home, &self.stores, self.partition);
        let state = moved.state_mut().unwrap();
        for (store, log) in self.logs.iter().enumerate() {
            let end = Position(i64::try_from(log.len()).unwrap());
            state.restore(store, "id", log, end, Timestamp(0)).unwrap();
        }
        self.scope = moved;
        self.resume();
    }

    fn resume(&mut self) {
        let progress = self.scope.state_mut().unwrap().live().unwrap();
        self.join = Join::new(&self.node);
        for node in &progress.nodes {
            self.join.resume(node, &mut self.scope);
        }
    }

    /// Rows of a table.
    fn table(&mut self, store: usize, rows: &[(&str, Option<&str>)]) {
        let mut records = Records::new();
        for (key, value) in rows {
            records.push(&Record {
                offset: Offset(0),
                timestamp: Timestamp(0),
                key: Some(key.as_bytes()),
                value: value.map(str::as_bytes),
                headers: Headers::EMPTY,
            });
        }
        let state = self.scope.state_mut().unwrap();
        state.restore(store, "id", &records, Position(0), Timestamp(0)).unwrap();
    }

    /// How many records a join of streams keeps, and how many marks.
    fn kept(&self) -> (usize, usize) {
        let (mut counts, all) = ([0; 2], &[0][..]);
        let state = self.scope.state().unwrap();
        let scanned = state.ordered_scan(0, all, &[255], false, |suffix, _, _| {
            counts[usize::from(suffix[0] != 1)] += 1;
            Ok::<_, store::Error>(true)
        });
        scanned.unwrap();
        (counts[0], counts[1])
    }
}

fn scope(home: &Home, stores: &[StoreSpec], partition: u32) -> Scope {
    let task = TaskKey { app: "app".into(), part: "part".into(), partition };
    let lease = home.database.lease(&task).unwrap();
    let state =
        TaskState::open(&home.database, lease, stores, &[], &vec![0; stores.len()]).unwrap();
    Scope::new(Box::new(state), stores.to_vec(), Vec::new(), Partition(partition), partition + 1)
}

fn header(record: &In) -> HeadersWriter {
    let mut headers = HeadersWriter::new();
    if record.header {
        headers.push("h", record.value.as_ref().map(String::as_bytes));
    }
    headers
}

/// A row as the module's page has it.
fn shown(arrival: Option<&Arrival<'_>>, sent: &Sent<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let side = |side: Option<&[u8]>| side.map_or("-".to_owned(), text);
    let inherited = |part: fn(&Record<'_>) -> Option<Vec<u8>>| part(&arrival.unwrap().record);
    let key = match sent.key {
        Part::Inherit => inherited(|record| record.key.map(<[u8]>::to_vec)),
        Part::Null => None,
        Part::Bytes(key) => Some(key.to_vec()),
    };
    let value = match sent.value {
        Part::Inherit => format!("late {} {}", sent.output, side(arrival.unwrap().record.value)),
        Part::Null => "null".to_owned(),
        Part::Bytes(value) => {
            let Joined { left, right } = Joined::parse(value).unwrap();
            format!("{}+{}", side(left), side(right))
        }
    };
    let headers = match sent.headers {
        HeaderPart::Inherit => arrival.unwrap().record.headers,
        HeaderPart::Replace(headers) => headers,
    };
    let header =
        headers.last("h").map_or(String::new(), |header| format!(" h={}", side(header.value)));
    let closing = if sent.closing { "closing " } else { "" };
    format!("{closing}{} {value}@{}{header}", side(key.as_deref()), sent.timestamp)
}
