//! A log, hosts with a disk each, and their workers, all stepped by hand.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tidemill::{
    broker::{
        Broker as _, InboxSettings, Isolation, NewTopic, OnMissingOffset, OutboxSettings, Start,
        memory::{Append, MemoryLog},
    },
    clock::{Clock as _, ManualClock, SystemClock},
    manifest::Guarantee,
    metrics::Metrics,
    record::{Headers, Position, TopicPartition},
    store::{Database, DatabaseSettings},
    supervisor::{TableParts, Tables},
    worker::{Board, Code, Parts, Step, Worker},
};

use crate::function::{self, APP, CHANGELOG, INPUT, LETTERS, META, OUTPUT, PARTITIONS};

/// Short, so that what a killed producer left is out of the way soon.
const TRANSACTION_TIMEOUT: Duration = Duration::from_millis(300);
/// A run that takes longer does not come to rest.
const PATIENCE: Duration = Duration::from_secs(60);

/// A machine: a disk, and the workers of one process.
pub struct Host {
    number: usize,
    // In this order they go: RocksDB is closed before its folder is deleted.
    workers: Vec<Option<Worker>>,
    tables: Option<Tables>,
    database: Option<Database>,
    disk: TempDir,
    /// The disk as it was once.
    before: Option<TempDir>,
}

pub struct World {
    pub log: MemoryLog,
    pub code: Code,
    pub guarantee: Guarantee,
    pub metrics: Metrics,
    pub clock: Arc<ManualClock>,
    pub board: Board,
    pub on_missing_offset: OnMissingOffset,
    pub group: String,
    pub start: Start,
    pub hosts: Vec<Host>,
    /// What was appended, by key.
    pub amounts: BTreeMap<String, Vec<i64>>,
}

/// The files of a database but its lock and its log, with their sizes.
fn files(folder: &Path) -> BTreeMap<OsString, u64> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let named = entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with("LO"));
    named.filter_map(|entry| Some((entry.file_name(), entry.metadata().ok()?.len()))).collect()
}

/// A copy of a database that is in use: taken again where it changed meanwhile, as a compaction does.
fn copy(from: &Path) -> TempDir {
    loop {
        let (to, before) = (tempfile::tempdir().unwrap(), files(from));
        let copied =
            before.keys().all(|name| fs::copy(from.join(name), to.path().join(name)).is_ok());
        if copied && files(from) == before {
            return to;
        }
    }
}

impl Host {
    fn new(number: usize, workers: usize) -> Self {
        let (disk, workers) = (tempfile::tempdir().unwrap(), (0..workers).map(|_| None).collect());
        Host { number, workers, tables: None, database: None, disk, before: None }
    }

    /// What is on the disk.
    pub fn database(&mut self) -> Database {
        let open = || {
            let settings = DatabaseSettings { memory_bytes: 8 << 20 };
            Database::open(self.disk.path(), settings).unwrap()
        };
        self.database.get_or_insert_with(open).clone()
    }

    /// Ends its process, as a kill does: nothing is finished, nothing is said to anybody.
    pub fn kill(&mut self) {
        self.workers.iter_mut().for_each(|worker| drop(worker.take()));
        self.tables = None;
        self.database = None;
    }

    /// As [`kill`](Self::kill), and the disk is lost.
    pub fn wipe(&mut self) {
        self.kill();
        self.disk = tempfile::tempdir().unwrap();
    }

    /// Keeps a copy of what would be on the disk after a crash now.
    pub fn remember(&mut self) {
        self.database().flush().unwrap();
        self.before = Some(copy(self.disk.path()));
    }

    /// As [`kill`](Self::kill), and nothing that was written since [`remember`](Self::remember) is on the disk.
    pub fn fall_back(&mut self) {
        self.kill();
        if let Some(before) = self.before.take() {
            self.disk = before;
        }
    }

    pub fn kill_worker(&mut self, worker: usize) {
        drop(self.workers[worker].take());
    }

    pub fn workers(&self) -> usize {
        self.workers.len()
    }
}

impl World {
    pub fn new(guarantee: Guarantee, workers: &[usize]) -> Self {
        Self::with(function::code(false), guarantee, workers)
    }

    pub fn with(code: Code, guarantee: Guarantee, workers: &[usize]) -> Self {
        let log = MemoryLog::new();
        let world = World {
            log,
            code,
            guarantee,
            metrics: Metrics::new(),
            clock: Arc::new(ManualClock::new(SystemClock.now())),
            board: Board::default(),
            on_missing_offset: OnMissingOffset::Fail,
            group: APP.to_owned(),
            start: Start::Earliest,
            hosts: (0..).zip(workers).map(|(number, count)| Host::new(number, *count)).collect(),
            amounts: BTreeMap::new(),
        };
        for topic in [INPUT, OUTPUT, LETTERS] {
            world.create(topic, PARTITIONS, false);
        }
        for topic in [CHANGELOG, META] {
            world.create(topic, PARTITIONS, true);
        }
        world
    }

    pub fn create(&self, name: &str, partitions: u32, compacted: bool) {
        let mut settings = BTreeMap::new();
        if compacted {
            settings.insert("cleanup.policy".to_owned(), "compact".to_owned());
            let week = Duration::from_secs(7 * 24 * 60 * 60).as_millis().to_string();
            settings.insert("delete.retention.ms".to_owned(), week);
        }
        let topic =
            NewTopic { name: name.into(), partitions: Some(partitions), replicas: None, settings };
        self.log.admin().unwrap().create(&topic).unwrap();
    }

    pub fn append(&mut self, key: &str, amount: i64) {
        self.put(INPUT, key, Some(&amount.to_string()));
        self.amounts.entry(key.to_owned()).or_default().push(amount);
    }

    pub fn put(&self, topic: &str, key: &str, value: Option<&str>) {
        let record = Append {
            partition: None,
            key: Some(key.as_bytes()),
            value: value.map(str::as_bytes),
            headers: Headers::EMPTY,
            timestamp: Some(self.clock.now()),
        };
        self.log.append(topic, &record).unwrap();
    }

    /// The worker, made where there is none. None where it cannot be made just now.
    pub fn worker(&mut self, host: usize, worker: usize) -> Option<&mut Worker> {
        if self.hosts[host].workers[worker].is_none() {
            let database = self.hosts[host].database();
            let id = format!("{APP}-{}-{worker}", database.instance_id());
            let outbox = self.log.outbox(OutboxSettings {
                transactional_id: (self.guarantee == Guarantee::ExactlyOnce).then_some(id),
                transaction_timeout: TRANSACTION_TIMEOUT,
                client_id: "test".into(),
            });
            let inbox = self.log.inbox(InboxSettings {
                group: self.group.clone(),
                topics: vec![INPUT.into()],
                start: self.start,
                on_missing_offset: self.on_missing_offset,
                batch_records: 13,
                batch_bytes: 64 << 10,
                client_id: "test".into(),
            });
            let made = Worker::new(Parts {
                number: 10 * self.hosts[host].number + worker,
                inbox: inbox.ok()?,
                outbox: outbox.ok()?,
                code: self.code.clone(),
                broker: Arc::new(self.log.clone()),
                database,
                guarantee: self.guarantee,
                on_missing_offset: self.on_missing_offset,
                commit_interval: Duration::from_millis(1),
                clock: Arc::clone(&self.clock) as _,
                metrics: self.metrics.app(APP),
                board: self.board.clone(),
                observer: None,
            });
            self.hosts[host].workers[worker] = Some(made.ok()?);
        }
        self.hosts[host].workers[worker].as_mut()
    }

    /// A step of a worker; where that ends it, it is gone until the next step. What ended it is answered.
    pub fn step(&mut self, host: usize, worker: usize) -> Result<Step, String> {
        let Some(at_work) = self.worker(host, worker) else { return Ok(Step::Busy) };
        match at_work.step(Duration::ZERO) {
            Ok(step) => Ok(step),
            Err(error) => {
                self.hosts[host].kill_worker(worker);
                Err(error.to_string())
            }
        }
    }

    /// Steps all workers until everything that was appended is handled and committed.
    pub fn settle(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.round() {
            assert!(Instant::now() < deadline, "{}", self.describe());
        }
    }

    /// A step of each worker. Whether all is done.
    fn round(&mut self) -> bool {
        let mut settled = true;
        for host in 0..self.hosts.len() {
            self.follow(host);
            for worker in 0..self.hosts[host].workers() {
                settled &= matches!(self.step(host, worker), Ok(Step::Idle));
                let at_work = self.hosts[host].workers[worker].as_ref();
                settled &= at_work.is_some_and(Worker::is_settled);
            }
        }
        settled && self.lag() == 0
    }

    /// A step of who follows the broadcast tables.
    pub fn follow(&mut self, host: usize) {
        let database = self.hosts[host].database();
        let tables = &mut self.hosts[host].tables;
        if tables.is_none() {
            let parts = TableParts {
                topology: Arc::clone(&self.code.topology),
                broker: Arc::new(self.log.clone()),
                database,
                clock: Arc::clone(&self.clock) as _,
            };
            *tables = Tables::open(parts).unwrap();
        }
        if let Some(tables) = tables {
            while tables.step(Duration::ZERO).unwrap() {}
        }
    }

    pub fn tasks(&self) -> usize {
        let workers = self.hosts.iter().flat_map(|host| host.workers.iter().flatten());
        workers.map(Worker::tasks).sum()
    }

    /// Records that are not committed; as long as not all tasks are there, more than none.
    fn lag(&self) -> i64 {
        if self.tasks() != PARTITIONS as usize {
            return i64::MAX;
        }
        let partitions: Vec<_> =
            (0..PARTITIONS).map(|number| TopicPartition::new(INPUT, number)).collect();
        let admin = self.log.admin().unwrap();
        let ends = admin.positions(&partitions, tidemill::broker::Bound::Latest).unwrap();
        let committed = admin.committed(&self.group, &partitions).unwrap();
        let at = |position: Option<Position>| position.unwrap_or(Position::START).0;
        ends.into_iter().zip(committed).map(|(end, committed)| end.0 - at(committed)).sum()
    }

    fn describe(&self) -> String {
        let (tasks, lag) = (self.tasks(), self.lag());
        let waiting: Vec<_> = self.board.workers().into_iter().collect();
        format!("it does not come to rest: {tasks} tasks, {lag} behind, {waiting:?}")
    }

    /// What whoever reads committed records finds in a topic: by key, in order.
    pub fn read(&self, topic: &str, partitions: u32) -> BTreeMap<String, Vec<Option<Vec<u8>>>> {
        let mut found: BTreeMap<String, Vec<Option<Vec<u8>>>> = BTreeMap::new();
        for number in 0..partitions {
            let partition = TopicPartition::new(topic, number);
            let read = Isolation::ReadCommitted;
            let (records, _) =
                self.log.read(&partition, Position::START, read, usize::MAX).unwrap();
            for record in records.iter() {
                let key = String::from_utf8_lossy(record.key.unwrap()).into_owned();
                found.entry(key).or_default().push(record.value.map(<[u8]>::to_vec));
            }
        }
        found
    }

    /// The totals that came out, by key.
    pub fn totals(&self) -> BTreeMap<String, Vec<i64>> {
        let number = |value: Option<Vec<u8>>| -> i64 {
            String::from_utf8(value.unwrap()).unwrap().parse().unwrap()
        };
        let of = |values: Vec<Option<Vec<u8>>>| values.into_iter().map(number).collect();
        let read = self.read(OUTPUT, PARTITIONS);
        read.into_iter().map(|(key, values)| (key, of(values))).collect()
    }

    /// Each total in turn, as they must be.
    pub fn expected(&self) -> BTreeMap<String, Vec<i64>> {
        let sums = |amounts: &Vec<i64>| {
            let mut total = 0;
            amounts.iter().map(|amount| (total += amount, total).1).collect()
        };
        self.amounts.iter().map(|(key, amounts)| (key.clone(), sums(amounts))).collect()
    }

    /// The last value of each key in the changelog.
    pub fn changelog(&self) -> BTreeMap<String, i64> {
        let last = |values: &Vec<Option<Vec<u8>>>| {
            let value = values.last().unwrap().as_ref().unwrap();
            // A version, an event time, the counter.
            i64::from_be_bytes(value[9..].try_into().unwrap())
        };
        let read = self.read(CHANGELOG, PARTITIONS);
        read.iter().map(|(key, values)| (key.clone(), last(values))).collect()
    }

    /// What the hosts have of the store `total`, of the tasks that are theirs.
    pub fn state(&mut self) -> BTreeMap<String, i64> {
        let keys: Vec<String> = self.amounts.keys().cloned().collect();
        let mut found = BTreeMap::new();
        for host in &mut self.hosts {
            let database = host.database();
            for store in database.live(APP, "total") {
                for key in &keys {
                    if let Some(stored) = database.get(&store, key.as_bytes()).unwrap() {
                        let before = found.insert(key.clone(), stored.counter().unwrap());
                        assert_eq!(before, None, "{key} is at two places");
                    }
                }
            }
        }
        found
    }

    /// Every input counted once, in order, and state, changelog and outputs agree.
    pub fn check(&mut self) {
        let expected = self.expected();
        let last = |totals: &Vec<i64>| totals.last().copied().unwrap();
        let sums: BTreeMap<String, i64> =
            expected.iter().map(|(key, totals)| (key.clone(), last(totals))).collect();
        assert_eq!(self.totals(), expected, "the totals that came out");
        assert_eq!(self.changelog(), sums, "the changelog");
        assert_eq!(self.state(), sums, "the state");
        assert!(self.read(LETTERS, PARTITIONS).is_empty(), "no record failed");
    }

    /// Records in the changelogs.
    pub fn logged(&self) -> u64 {
        let count = |topic| -> usize { self.read(topic, PARTITIONS).values().map(Vec::len).sum() };
        (count(CHANGELOG) + count(META)) as u64
    }

    /// Records that were read to restore state, since the world began.
    pub fn restored(&self) -> u64 {
        self.metrics.app(APP).restored_records()
    }
}
