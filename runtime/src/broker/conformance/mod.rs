//! One set of behaviours that every broker behind the seams must show: run against the embedded log and real Kafka.
//!
//! A case is a function of a [`Subject`]; [`conformance!`](crate::conformance) makes a test of each. Cases use topics
//! and groups of their own, so they run side by side on one broker. They wait for events, never for time.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{
    Broker, Delivery, Event, Follower, Inbox, InboxSettings, NewTopic, OnMissingOffset, Outbox,
    OutboxSettings, Produce, Start,
};
use crate::record::{Headers, Offset, Partition, Position, Timestamp, TopicPartition};

pub mod administration;
pub mod groups;
pub mod records;
pub mod transactions;

/// No wait takes longer, or the case fails.
const PATIENCE: Duration = Duration::from_secs(60);
const SLICE: Duration = Duration::from_millis(100);

/// A broker to test, and what the seams cannot do to it.
pub trait Subject: Sync {
    /// The broker.
    fn broker(&self) -> &dyn Broker;

    /// The same broker, which throws a member out of its group soon after it stops to poll.
    fn impatient(&self) -> &dyn Broker;

    /// Throws the members of a group out, where that can be done at once; else they are, for not polling.
    fn expel(&self, group: &str);

    /// Deletes the records of a partition before a position.
    fn truncate(&self, partition: &TopicPartition, before: Position);
}

/// Makes a test of each case, in modules by subject. Takes the name of a function that returns a [`Subject`]; behind
/// a colon, `groups` keeps to what depends on the protocol of groups.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance {
    ($subject:ident) => {
        $crate::conformance! { $subject: groups }
        $crate::conformance! { @cases $subject
            records { round_trip batches_are_bounded end_is_told_each_time partitioner_is_javas
                deliveries_come_once what_is_forgotten_is_not_heard_of null_keys_stay_in_the_topic too_large_is_refused followers_read_anywhere
                followers_change_what_they_read followers_tell_what_is_missing }
            administration { topics_come_and_go topics_have_ids bounds_of_partitions nothing_is_made_unasked refusals_name_the_cause }
        }
    };
    ($subject:ident: groups) => {
        $crate::conformance! { @cases $subject
            groups { restart_at_the_committed_position start_where_nothing_is_committed a_given_position_wins
                hand_over_waits_for_the_release leaving_is_at_once an_end_outlives_a_rebalance
                seek_drops_what_was_before
                held_partitions_wait_in_place an_expelled_member_is_fenced missing_offset_follows_the_policy
                topics_stay_together }
            transactions { committed_is_visible_and_aborted_is_not stable_end_waits_for_open_transactions
                zombies_are_fenced positions_are_atomic takeover_waits_for_pending_positions
                a_member_that_left_commits_nothing a_failed_record_fails_the_transaction }
        }
    };
    (@cases $subject:ident $($module:ident { $($case:ident)+ })+) => {
        $(mod $module {
            $(#[test]
            fn $case() {
                $crate::broker::conformance::$module::$case(&super::$subject());
            })+
        })+
    };
}

/// One case's topics and groups on a broker.
struct Bench<'a> {
    subject: &'a dyn Subject,
    scope: String,
}

impl<'a> Bench<'a> {
    fn new(subject: &'a dyn Subject, case: &str) -> Self {
        // Brokers outlive test runs.
        Bench { subject, scope: format!("{case}-{:08x}", rand::random::<u32>()) }
    }

    fn broker(&self) -> &'a dyn Broker {
        self.subject.broker()
    }

    fn name(&self, name: &str) -> String {
        format!("{}.{name}", self.scope)
    }

    fn topic(&self, name: &str, partitions: u32) -> String {
        self.topic_with(name, partitions, &[])
    }

    fn topic_with(&self, name: &str, partitions: u32, settings: &[(&str, &str)]) -> String {
        let name = self.name(name);
        // The cases' records are old by their timestamps, and stay all the same.
        let settings = settings.iter().chain(&[("retention.ms", "-1")]);
        let settings =
            settings.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let topic =
            NewTopic { name: name.clone(), partitions: Some(partitions), replicas: None, settings };
        self.broker().admin().expect("an admin").create(&topic).expect("the topic is made");
        name
    }

    fn settings(&self, topics: &[&str]) -> InboxSettings {
        InboxSettings {
            group: self.name("group"),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            start: Start::Earliest,
            on_missing_offset: OnMissingOffset::Fail,
            batch_records: 100,
            batch_bytes: 1 << 20,
            client_id: "conformance".into(),
        }
    }

    fn inbox(&self, settings: InboxSettings) -> Box<dyn Inbox> {
        self.broker().inbox(settings).expect("an inbox")
    }

    /// Joins the case's group and waits until `partitions` partitions are assigned and open.
    fn join(
        &self,
        topics: &[&str],
        partitions: usize,
    ) -> (Box<dyn Inbox>, Vec<(TopicPartition, Position)>) {
        let mut inbox = self.inbox(self.settings(topics));
        let begins = open_all(&mut *inbox, partitions);
        (inbox, begins)
    }

    fn outbox(&self, transactional_id: Option<&str>) -> Box<dyn Outbox> {
        let transactional_id = transactional_id.map(|id| self.name(id));
        self.broker()
            .outbox(OutboxSettings {
                transactional_id,
                transaction_timeout: Duration::from_secs(10),
                client_id: "conformance".into(),
            })
            .expect("an outbox")
    }

    /// Produces values without a key to a partition, outside any transaction.
    fn fill(&self, topic: &str, partition: u32, values: &[&str]) -> Vec<Offset> {
        let mut outbox = self.outbox(None);
        produce_all(&mut *outbox, topic, partition, values);
        offsets(deliver_all(&mut *outbox))
    }
}

fn partition(topic: &str, partition: u32) -> TopicPartition {
    TopicPartition::new(topic, partition)
}

/// Calls until there is something.
fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited too long for {what}");
    }
}

/// The next event; temporary errors are passed over, as a worker does.
fn next(inbox: &mut dyn Inbox) -> Option<Event> {
    match inbox.poll(SLICE) {
        Ok(event) => event,
        Err(super::Error::Retriable(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Answers assignments until so many partitions are open, in order.
fn open_all(inbox: &mut dyn Inbox, partitions: usize) -> Vec<(TopicPartition, Position)> {
    let mut begins = Vec::new();
    while begins.len() < partitions {
        match until("an assignment", || next(inbox)) {
            Event::Assigned(assigned) => {
                let wanted: Vec<_> =
                    assigned.into_iter().map(|partition| (partition, None)).collect();
                begins.extend(inbox.open(&wanted).expect("the partitions open"));
            }
            Event::Revoked(revoked) => {
                begins.retain(|(partition, _)| !revoked.contains(partition));
                inbox.release(&revoked).expect("the partitions are released");
            }
            _ => {}
        }
    }
    begins.sort();
    begins
}

/// A record as a case reads it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    partition: u32,
    offset: i64,
    value: String,
}

fn seen(partition: u32, offset: i64, value: &str) -> Seen {
    Seen { partition, offset, value: value.into() }
}

fn collect(event: Event, into: &mut Vec<Seen>) {
    if let Event::Records { partition, records } = event {
        assert!(!records.is_empty(), "records are never empty");
        into.extend(records.iter().map(|record| Seen {
            partition: partition.partition.0,
            offset: record.offset.0,
            value: String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned(),
        }));
    }
}

/// Reads so many records.
fn read(inbox: &mut dyn Inbox, count: usize) -> Vec<Seen> {
    let mut all = Vec::new();
    while all.len() < count {
        collect(until("records", || next(inbox)), &mut all);
    }
    all
}

/// Reads until this partition's end is told, and tells where it is.
fn read_to_end(inbox: &mut dyn Inbox, partition: &TopicPartition) -> (Vec<Seen>, Position) {
    to_end(partition, || next(inbox))
}

/// As [`read_to_end`].
fn follow_to_end(follower: &mut dyn Follower, partition: &TopicPartition) -> (Vec<Seen>, Position) {
    to_end(partition, || follower.poll(SLICE).expect("the follower reads"))
}

fn to_end(
    partition: &TopicPartition,
    mut next: impl FnMut() -> Option<Event>,
) -> (Vec<Seen>, Position) {
    let mut all = Vec::new();
    loop {
        match until("an end", &mut next) {
            Event::End { partition: ended, position } if ended == *partition => {
                return (all, position);
            }
            event => collect(event, &mut all),
        }
    }
}

fn produce_all(outbox: &mut dyn Outbox, topic: &str, partition: u32, values: &[&str]) {
    let topic = outbox.topic(topic).expect("the topic is known");
    for (token, value) in values.iter().enumerate() {
        let record = Produce {
            topic,
            partition: Some(Partition(partition)),
            key: None,
            value: Some(value.as_bytes()),
            headers: Headers::EMPTY,
            timestamp: Timestamp(1_000_000),
        };
        outbox.produce(&record, token).expect("the record is taken");
    }
}

/// All deliveries there are, in the order of their tokens.
fn deliver_all(outbox: &mut dyn Outbox) -> Vec<Delivery> {
    let mut all = Vec::new();
    outbox.hurry();
    until("deliveries", || {
        let polled = outbox.poll(SLICE, &mut |delivery| all.push(delivery));
        assert!(polled.is_ok() || outbox.in_flight() == 0, "{polled:?}");
        (outbox.in_flight() == 0).then_some(())
    });
    all.sort_by_key(|delivery| delivery.token);
    all
}

fn offsets(deliveries: Vec<Delivery>) -> Vec<Offset> {
    let offset = |delivery: Delivery| {
        let (_, offset) = delivery.result.expect("the record is delivered");
        offset.expect("nothing was retried")
    };
    deliveries.into_iter().map(offset).collect()
}
