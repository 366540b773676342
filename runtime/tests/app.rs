//! Apps with their threads, on the embedded log, while things go wrong under them: nothing is lost, order is kept.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tidemill::{
    broker::{
        Broker as _, Error, Isolation, NewTopic,
        memory::{Append, Fault, MemoryLog, Step, When},
    },
    clock::SystemClock,
    guest::{Component, Engine, EngineSettings, encode},
    manifest::{Guarantee, Manifest},
    metrics::Metrics,
    record::{Headers, Partition, Position, TopicPartition},
    store::{Database, DatabaseSettings},
    supervisor::{self, App, AppSettings},
};

const PARTITIONS: u32 = 4;
const MANIFEST: &str = r#"
    app = "trial"
    guarantee = "at-least-once"
    commit-interval = "5ms"
    [functions.faulty]
    module = "faulty.wasm"
    inputs = ["in"]
    outputs = { out = "done", huge = "done" }
"#;

fn component(package: &str) -> Component {
    static LOADED: OnceLock<(Engine, Mutex<BTreeMap<String, Component>>)> = OnceLock::new();
    let (engine, loaded) = LOADED.get_or_init(|| {
        (Engine::new(&EngineSettings::with_user_cache()).unwrap(), Mutex::default())
    });
    let mut loaded = loaded.lock().unwrap();
    let load = || engine.load(&encode(&tidemill_guests::module(package)).unwrap()).unwrap();
    loaded.entry(package.to_owned()).or_insert_with(load).clone()
}

/// The log, and the disks of the processes that work on it.
struct Log {
    log: MemoryLog,
    disks: TempDir,
}

impl Log {
    fn empty() -> Self {
        Log { log: MemoryLog::new(), disks: tempfile::tempdir().unwrap() }
    }
}

impl std::ops::Deref for Log {
    type Target = MemoryLog;
    fn deref(&self) -> &MemoryLog {
        &self.log
    }
}

fn log() -> Log {
    let log = Log::empty();
    for name in ["in", "done"] {
        let partitions = Some(PARTITIONS);
        let topic =
            NewTopic { name: name.into(), partitions, replicas: None, settings: BTreeMap::new() };
        log.admin().unwrap().create(&topic).unwrap();
    }
    log
}

fn settings(log: &Log, workers: usize, metrics: &Metrics) -> AppSettings {
    // Each is a process of its own.
    let folder = tempfile::tempdir_in(log.disks.path()).unwrap().keep();
    let database = Database::open(&folder, DatabaseSettings { memory_bytes: 8 << 20 }).unwrap();
    AppSettings {
        database,
        manifest: Manifest::parse(MANIFEST, "tidemill.toml", &[], &|_| None).unwrap(),
        components: BTreeMap::from([("faulty".to_owned(), component("guest-faulty"))]),
        broker: Arc::new(log.log.clone()),
        create_topics: true,
        workers,
        metrics: metrics.clone(),
        clock: Arc::new(SystemClock),
        observer: None,
    }
}

fn append(log: &MemoryLog, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let value = format!("{number:06}");
        let record = Append {
            partition: Some(Partition(number % PARTITIONS)),
            key: Some(b"k"),
            value: Some(value.as_bytes()),
            headers: Headers::EMPTY,
            timestamp: None,
        };
        log.append("in", &record).unwrap();
    }
}

/// The values of each partition of the output, in order.
fn done(log: &MemoryLog) -> Vec<Vec<String>> {
    let read = |partition| {
        let partition = TopicPartition::new("done", partition);
        let (records, _) =
            log.read(&partition, Position::START, Isolation::ReadCommitted, usize::MAX).unwrap();
        records
            .iter()
            .map(|record| String::from_utf8(record.value.unwrap().to_vec()).unwrap())
            .collect()
    };
    (0..PARTITIONS).map(read).collect()
}

/// Everything that came out, each once.
fn distinct(log: &MemoryLog) -> usize {
    let mut values: Vec<String> = done(log).into_iter().flatten().collect();
    values.sort();
    values.dedup();
    values.len()
}

#[track_caller]
fn wait(what: &str, mut until: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !until() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        // Looking takes the log's lock, which the app needs too.
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn committed(log: &MemoryLog) -> i64 {
    let partitions: Vec<_> =
        (0..PARTITIONS).map(|partition| TopicPartition::new("in", partition)).collect();
    let positions = log.admin().unwrap().committed("trial", &partitions).unwrap();
    positions.into_iter().flatten().map(|position| position.0).sum()
}

/// Records that come in order go out in order, those that are repeated too: within a partition of the output (all
/// records have one key), the first time each comes follows the order of its partition.
fn assert_order(log: &MemoryLog) {
    for source in 0..PARTITIONS {
        let mut seen = Vec::new();
        for value in done(log).into_iter().flatten() {
            let number: u32 = value.parse().unwrap();
            if number % PARTITIONS == source && !seen.contains(&number) {
                seen.push(number);
            }
        }
        assert!(seen.is_sorted(), "partition {source} is out of order");
    }
}

#[test]
fn a_stopped_app_goes_on_where_it_was_and_repeats_nothing() {
    let (log, metrics) = (log(), Metrics::new());
    append(&log, 0..1000);
    let app = App::start(settings(&log, 2, &metrics)).unwrap();
    wait("the first half", || distinct(&log) == 1000);
    app.stop();
    assert_eq!(committed(&log), 1000, "a graceful stop commits");
    append(&log, 1000..2000);
    let app = App::start(settings(&log, 3, &metrics)).unwrap();
    wait("the second half", || distinct(&log) == 2000);
    wait("the status", || app.status().lag == 0 && app.status().partitions.len() == 4);
    assert!(app.is_ready());
    assert_eq!(
        app.status().functions["faulty"].digest,
        component("guest-faulty").digest().to_string()
    );
    app.stop();
    assert_eq!(done(&log).iter().map(Vec::len).sum::<usize>(), 2000, "nothing came twice");
    assert_order(&log);
}

#[test]
fn an_output_that_fails_takes_all_back_to_the_last_commit() {
    let (log, metrics) = (log(), Metrics::new());
    let lost = || Fault::Error(Error::Retriable("the leader is gone".into()));
    for skip in [10, 300, 700] {
        log.faults().plan(Step::Deliver, When::Before, skip, lost());
    }
    append(&log, 0..1000);
    let app = App::start(settings(&log, 1, &metrics)).unwrap();
    wait("every record", || distinct(&log) == 1000);
    wait("every fault", || log.faults().pending() == 0);
    wait("the commit", || committed(&log) == 1000);
    app.stop();
    // Not in order: what was refused comes again, behind what was not.
    assert!(
        metrics.render().contains("tidemill_app_aborts_total{app=\"trial\"} 3"),
        "{}",
        metrics.render()
    );
}

#[test]
fn an_output_that_is_refused_for_good_is_charged_to_its_source_record() {
    let (log, metrics) = (log(), Metrics::new());
    log.faults().plan(
        Step::Deliver,
        When::Before,
        5,
        Fault::Error(Error::TooLarge("1.1 MB".into())),
    );
    append(&log, 0..100);
    let app = App::start(settings(&log, 1, &metrics)).unwrap();
    wait("the commit", || committed(&log) == 100);
    let status = app.status();
    app.stop();
    assert_eq!(distinct(&log), 99, "one is a dead letter");
    let failure = status.functions["faulty"].status.last_failure.clone().unwrap();
    assert_eq!(
        (failure.kind.as_str(), failure.message.as_str()),
        ("reject", "its output was refused: 1.1 MB")
    );
    let letters: usize = (0..PARTITIONS)
        .map(|partition| {
            let partition = TopicPartition::new("trial.faulty.dlq", partition);
            log.read(&partition, Position::START, Isolation::ReadCommitted, 10).unwrap().0.len()
        })
        .sum();
    assert_eq!(letters, 1);
}

#[test]
fn a_producer_that_dies_is_made_anew() {
    let (log, metrics) = (log(), Metrics::new());
    log.faults().plan(Step::Produce, When::Before, 200, Fault::Kill);
    append(&log, 0..1000);
    let app = App::start(settings(&log, 1, &metrics)).unwrap();
    wait("every record", || distinct(&log) == 1000);
    wait("the commit", || committed(&log) == 1000);
    assert!(app.failure().borrow().is_none());
    app.stop();
    assert_order(&log);
}

#[test]
fn nothing_is_committed_before_it_is_acknowledged() {
    let (log, metrics) = (log(), Metrics::new());
    log.faults().cork();
    append(&log, 0..100);
    let app = App::start(settings(&log, 1, &metrics)).unwrap();
    wait("the outputs", || distinct(&log) == 100);
    wait("the status", || app.status().partitions.len() == 4);
    assert_eq!(committed(&log), 0);
    log.faults().uncork();
    wait("the commit", || committed(&log) == 100);
    app.stop();
}

#[test]
fn members_that_come_and_go_lose_nothing_and_keep_the_order() {
    let (log, metrics) = (log(), Metrics::new());
    append(&log, 0..2000);
    let first = App::start(settings(&log, 1, &metrics)).unwrap();
    wait("some records", || distinct(&log) > 200);
    let second = App::start(settings(&log, 2, &metrics)).unwrap();
    append(&log, 2000..4000);
    wait("the second to work", || !second.status().partitions.is_empty());
    first.stop();
    append(&log, 4000..6000);
    wait("every record", || distinct(&log) == 6000);
    wait("the commit", || committed(&log) == 6000);
    second.stop();
    assert_order(&log);
}

#[test]
fn exactly_once_nothing_comes_twice_whatever_dies() {
    let (log, metrics) = (log(), Metrics::new());
    let start = |workers| {
        let mut settings = settings(&log, workers, &metrics);
        settings.manifest.guarantee = Guarantee::ExactlyOnce;
        App::start(settings).unwrap()
    };
    append(&log, 0..2000);
    let first = start(1);
    wait("some records", || distinct(&log) > 200);
    log.faults().plan(Step::Produce, When::Before, 200, Fault::Kill);
    log.faults().plan(Step::Commit, When::After, 3, Fault::Kill);
    log.faults().plan(Step::Commit, When::Before, 6, Fault::Fence);
    let second = start(2);
    append(&log, 2000..4000);
    wait("the second to work", || !second.status().partitions.is_empty());
    first.stop();
    append(&log, 4000..6000);
    wait("every record", || distinct(&log) == 6000);
    wait("the commit", || committed(&log) == 6000);
    assert!(second.failure().borrow().is_none());
    second.stop();
    assert_eq!(done(&log).iter().map(Vec::len).sum::<usize>(), 6000, "nothing came twice");
    assert_order(&log);
}

#[test]
fn code_is_swapped_between_two_batches() {
    let (log, metrics) = (log(), Metrics::new());
    let mut app = App::start(settings(&log, 2, &metrics)).unwrap();
    append(&log, 0..500);
    let manifest = Manifest::parse(MANIFEST, "tidemill.toml", &[], &|_| None).unwrap();
    let components = BTreeMap::from([("faulty".to_owned(), component("guest-faulty"))]);
    app.swap(manifest, &components).unwrap();
    append(&log, 500..1000);
    wait("every record", || distinct(&log) == 1000);
    let elsewhere =
        Manifest::parse(&MANIFEST.replace("\"in\"", "\"other\""), "tidemill.toml", &[], &|_| None);
    let refused = app.swap(elsewhere.unwrap(), &components);
    assert!(matches!(refused, Err(supervisor::Error::OtherTopics)));
    app.stop();
    assert_eq!(done(&log).iter().map(Vec::len).sum::<usize>(), 1000);
}

#[test]
fn topics_are_checked_before_anything_starts() {
    let metrics = Metrics::new();
    let log = Log::empty();
    let mut strict = settings(&log, 1, &metrics);
    strict.create_topics = false;
    let error = App::start(strict.clone()).err().unwrap().to_string();
    assert_eq!(
        error,
        "tidemill.toml: topic `in` does not exist; create it, or add these lines: [topics.in] and partitions = 6\n\
         tidemill.toml: topic `done` does not exist; create it, or add these lines: [topics.done] and partitions = 6"
    );
    strict.manifest = Manifest::parse(
        &format!("{MANIFEST}\n[topics.in]\npartitions = 3\n[topics.done]\npartitions = 2\n"),
        "tidemill.toml",
        &[],
        &|_| None,
    )
    .unwrap();
    App::start(strict.clone()).unwrap().stop();
    let admin = log.admin().unwrap();
    let partitions = |topic: &str| admin.topic(topic).unwrap().unwrap().partitions;
    assert_eq!((partitions("in"), partitions("done"), partitions("trial.faulty.dlq")), (3, 2, 3));
    strict.manifest.topics.get_mut("in").unwrap().partitions = Some(5);
    let error = App::start(strict).err().unwrap().to_string();
    assert!(error.contains("topics.in.partitions: the topic has 3 partitions, not 5"), "{error}");
}
