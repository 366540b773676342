//! The embedded log is a broker like any other; and what only it can be asked.

use std::time::Duration;

use super::*;
use crate::broker::{Event, NewTopic, OnMissingOffset, Produce, Start, conformance::Subject};

struct Embedded(MemoryLog);

impl Subject for Embedded {
    fn broker(&self) -> &dyn Broker {
        &self.0
    }

    fn impatient(&self) -> &dyn Broker {
        &self.0
    }

    fn expel(&self, group: &str) {
        self.0.expel(group);
    }

    fn truncate(&self, partition: &TopicPartition, before: Position) {
        self.0.truncate(partition, before).expect("the partition exists");
    }
}

fn embedded() -> Embedded {
    Embedded(MemoryLog::new())
}

crate::conformance!(embedded);

const NOW: Duration = Duration::ZERO;

fn log_with(settings: &[(&str, &str)]) -> MemoryLog {
    let log = MemoryLog::new();
    let settings = settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let topic = NewTopic { name: "t".into(), partitions: Some(1), replicas: None, settings };
    log.admin().expect("an admin").create(&topic).expect("made");
    log
}

fn put(log: &MemoryLog, key: &str, value: Option<&str>) {
    let value = value.map(str::as_bytes);
    let record = Append {
        partition: None,
        key: Some(key.as_bytes()),
        value,
        headers: Headers::EMPTY,
        timestamp: None,
    };
    log.append("t", &record).expect("appended");
}

fn offsets(log: &MemoryLog) -> Vec<i64> {
    let (records, _) = log
        .read(&TopicPartition::new("t", 0), Position(0), Isolation::ReadCommitted, 1 << 20)
        .expect("read");
    records.iter().map(|record| record.offset.0).collect()
}

fn outbox(log: &MemoryLog) -> Box<dyn Outbox> {
    log.outbox(OutboxSettings {
        transactional_id: Some("id".into()),
        transaction_timeout: Duration::from_secs(10),
        client_id: "test".into(),
    })
    .expect("an outbox")
}

fn produce(outbox: &mut dyn Outbox) -> Result<(), Error> {
    let topic = outbox.topic("t")?;
    let headers = Headers::EMPTY;
    outbox.produce(
        &Produce {
            topic,
            partition: None,
            key: Some(b"k"),
            value: None,
            headers,
            timestamp: Timestamp(1),
        },
        7,
    )
}

fn deliveries(outbox: &mut dyn Outbox) -> Vec<Result<(Partition, Option<Offset>), Error>> {
    let mut all = Vec::new();
    outbox.poll(NOW, &mut |delivery| all.push(delivery.result)).expect("polled");
    all
}

fn inbox(log: &MemoryLog) -> Box<dyn Inbox> {
    log.inbox(InboxSettings {
        group: "g".into(),
        topics: vec!["t".into()],
        start: Start::Earliest,
        on_missing_offset: OnMissingOffset::Fail,
        batch_records: 100,
        batch_bytes: 1000,
        client_id: "test".into(),
    })
    .expect("an inbox")
}

#[test]
fn compaction_happens_by_itself_and_on_request() {
    let log = log_with(&[("cleanup.policy", "compact"), ("delete.retention.ms", "1000")]);
    for _ in 0..5000 {
        put(&log, "a", Some("1"));
    }
    assert!(offsets(&log).len() < 3000, "{} records of one key", offsets(&log).len());
    put(&log, "b", None);
    log.compact();
    assert_eq!(offsets(&log), [4999, 5000]);
    log.advance(Duration::from_secs(2));
    log.compact();
    assert_eq!(offsets(&log), [4999]);
    let no_key = Append {
        partition: None,
        key: None,
        value: None,
        headers: Headers::EMPTY,
        timestamp: None,
    };
    assert!(matches!(log.append("t", &no_key), Err(Error::Refused(_))));
}

#[test]
fn memory_is_bounded_and_a_reader_that_is_overtaken_is_told() {
    let log = log_with(&[("retention.bytes", "10000")]);
    put(&log, "a", Some("1"));
    let mut inbox = inbox(&log);
    let Some(Event::Assigned(partitions)) = inbox.poll(NOW).expect("polled") else {
        panic!("not assigned")
    };
    inbox.open(&[(partitions[0].clone(), None)]).expect("opened");
    for _ in 0..1000 {
        put(&log, "a", Some(&"x".repeat(100)));
    }
    assert!(offsets(&log).len() < 100);
    assert!(matches!(inbox.poll(NOW), Err(Error::MissingOffset { .. })));
}

#[test]
fn a_silent_member_is_out_after_its_session() {
    let log = log_with(&[]);
    let mut silent = inbox(&log);
    let Some(Event::Assigned(partitions)) = silent.poll(NOW).expect("polled") else {
        panic!("not assigned")
    };
    let mut other = inbox(&log);
    assert!(other.poll(NOW).expect("polled").is_none());
    log.advance(Duration::from_secs(44));
    assert!(other.poll(NOW).expect("polled").is_none());
    log.advance(Duration::from_secs(2));
    assert!(matches!(other.poll(NOW), Ok(Some(Event::Assigned(_)))));
    assert!(matches!(silent.poll(NOW), Ok(Some(Event::Lost(lost))) if lost == partitions));
}

#[test]
fn a_transaction_times_out_and_its_producer_is_fenced() {
    let log = log_with(&[]);
    let mut outbox = outbox(&log);
    outbox.begin().expect("begun");
    produce(&mut *outbox).expect("taken");
    put(&log, "b", None);
    assert_eq!(offsets(&log), [0; 0]);
    log.advance(Duration::from_secs(11));
    assert_eq!(offsets(&log), [1]);
    assert!(matches!(outbox.commit(), Err(Error::Fenced(_))));
}

#[test]
fn a_waiting_reader_wakes_on_a_record() {
    let log = log_with(&[]);
    let mut follower =
        log.follower(FollowerSettings::new(Isolation::ReadCommitted)).expect("a follower");
    follower.assign(&[(TopicPartition::new("t", 0), Position(0))]).expect("assigned");
    assert!(matches!(follower.poll(NOW), Ok(Some(Event::End { .. }))));
    let woken = std::thread::spawn(move || follower.poll(Duration::from_secs(60)));
    put(&log, "a", None);
    let event = woken.join().expect("the other thread is well");
    assert!(matches!(event, Ok(Some(Event::Records { .. }))), "{event:?}");
}

#[test]
fn corked_deliveries_wait() {
    let log = log_with(&[]);
    let mut outbox = outbox(&log);
    outbox.begin().expect("begun");
    log.faults().cork();
    produce(&mut *outbox).expect("taken");
    assert!(deliveries(&mut *outbox).is_empty());
    assert_eq!(outbox.in_flight(), 1);
    log.faults().uncork();
    assert!(matches!(deliveries(&mut *outbox)[..], [Ok((Partition(0), Some(Offset(0))))]));
}

#[test]
fn an_unknown_commit_is_known_when_asked_again() {
    for when in [When::Before, When::After] {
        let log = log_with(&[]);
        let mut outbox = outbox(&log);
        log.faults().plan(
            Step::Commit,
            when,
            1,
            Fault::Error(Error::Unknown("lost answer".into())),
        );
        for round in 0..2 {
            outbox.begin().expect("begun");
            produce(&mut *outbox).expect("taken");
            if round == 1 {
                assert!(matches!(outbox.commit(), Err(Error::Unknown(_))));
                assert_eq!(offsets(&log).len(), if when == When::Before { 1 } else { 2 });
            }
            outbox.commit().expect("committed");
        }
        assert_eq!(offsets(&log), [0, 2]);
        assert_eq!(log.faults().pending(), 0);
    }
}

#[test]
fn a_failed_delivery_a_fence_and_a_death() {
    let log = log_with(&[]);
    let mut first = outbox(&log);
    log.faults().plan(
        Step::Deliver,
        When::Before,
        0,
        Fault::Error(Error::Retriable("no leader".into())),
    );
    first.begin().expect("begun");
    produce(&mut *first).expect("taken");
    assert!(matches!(deliveries(&mut *first)[..], [Err(Error::Retriable(_))]));
    assert!(matches!(first.commit(), Err(Error::Abortable(_))));
    first.abort().expect("aborted");

    log.faults().plan(Step::Commit, When::Before, 0, Fault::Fence);
    first.begin().expect("begun");
    produce(&mut *first).expect("taken");
    assert!(matches!(first.commit(), Err(Error::Fenced(_))));
    assert!(matches!(first.begin(), Err(Error::Fenced(_))));
    assert_eq!(offsets(&log), [0; 0]);

    let mut second = outbox(&log);
    log.faults().plan(Step::Commit, When::Before, 0, Fault::Kill);
    second.begin().expect("begun");
    produce(&mut *second).expect("taken");
    assert!(matches!(second.commit(), Err(Error::Fatal(_))));
    put(&log, "b", None);
    assert_eq!(offsets(&log), [0; 0], "what the dead one left open holds the end");
    outbox(&log);
    assert_eq!(offsets(&log).len(), 1, "its successor aborts that");
}
