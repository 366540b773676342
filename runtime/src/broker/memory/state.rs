//! Everything the embedded log knows, behind one lock, and the one place that waits for it to change.
//!
//! A wait ends when something changed, at the caller's time-out, or when a session or transaction is due to time
//! out; nothing polls. Time is the log's own: it follows the system's, and tests may move it forward.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    faults::Plan,
    group::{Credentials, Group},
    partition::TransactionSeq,
    topic::Topic,
    transaction::{Coordinator, Open, ProducerEpoch},
};
use crate::{
    broker::{Error, Membership},
    clock::{Clock, SystemClock},
    record::{Offset, Partition, Position, Record, Timestamp, TopicPartition},
};

#[derive(Debug)]
pub(super) struct State {
    pub topics: BTreeMap<Arc<str>, Topic>,
    pub groups: HashMap<String, Group>,
    pub coordinator: Coordinator,
    pub faults: Plan,
    started: Instant,
    /// How far tests moved the clock.
    moved: Duration,
    /// Whether somebody waits for a change.
    waited_for: bool,
}

/// What all handles of a log share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// The state while it is locked. What changes it says so with [`Locked::change`].
pub(super) struct Locked<'a> {
    shared: &'a Shared,
    guard: MutexGuard<'a, State>,
}

impl Shared {
    pub fn new() -> Self {
        Shared {
            state: Mutex::new(State {
                topics: BTreeMap::new(),
                groups: HashMap::new(),
                coordinator: Coordinator::default(),
                faults: Plan::default(),
                started: Instant::now(),
                moved: Duration::ZERO,
                waited_for: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Locks, and lets time-outs happen that are due.
    pub fn lock(&self) -> Locked<'_> {
        // A panic under the lock is a bug of this module; its other users need not hide it behind their own.
        let guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut locked = Locked { shared: self, guard };
        locked.let_time_pass();
        locked
    }
}

impl std::ops::Deref for Locked<'_> {
    type Target = State;
    fn deref(&self) -> &State {
        &self.guard
    }
}

impl std::ops::DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.guard
    }
}

impl Locked<'_> {
    /// Wakes whoever waits for a change.
    pub fn change(&mut self) {
        // Only the first change after a wait pays for the wake-up.
        if std::mem::take(&mut self.waited_for) {
            self.shared.changed.notify_all();
        }
    }

    /// Waits for a change until `deadline` (the log's clock); whether there is time left.
    pub fn wait(mut self, deadline: Duration) -> (Self, bool) {
        let now = self.now();
        if now >= deadline {
            return (self, false);
        }
        let due = [self.coordinator.next_deadline()]
            .into_iter()
            .chain(self.groups.values().map(Group::next_deadline))
            .flatten()
            .fold(deadline, Duration::min);
        self.waited_for = true;
        let Locked { shared, guard } = self;
        let (guard, _) = shared
            .changed
            .wait_timeout(guard, due.saturating_sub(now))
            .unwrap_or_else(PoisonError::into_inner);
        let mut locked = Locked { shared, guard };
        locked.let_time_pass();
        (locked, true)
    }

    fn let_time_pass(&mut self) {
        let now = self.now();
        let expired = self.coordinator.expire(now);
        let mut changed = !expired.is_empty();
        for open in expired {
            self.finish(open, false);
        }
        let State { groups, topics, .. } = &mut *self.guard;
        for group in groups.values_mut() {
            if group.expire(now) {
                group.rebalance(|topic| partition_count(topics, topic));
                changed = true;
            }
        }
        if changed {
            self.change();
        }
    }
}

fn partition_count(topics: &BTreeMap<Arc<str>, Topic>, name: &str) -> u32 {
    topics.get(name).map_or(0, Topic::partition_count)
}

impl State {
    /// The log's clock: since the log was made.
    pub fn now(&self) -> Duration {
        self.started.elapsed() + self.moved
    }

    /// The log's clock as a timestamp.
    pub fn timestamp(&self) -> Timestamp {
        let moved = i64::try_from(self.moved.as_millis()).unwrap_or(i64::MAX);
        Timestamp(SystemClock.now().millis().saturating_add(moved))
    }

    pub fn advance(&mut self, by: Duration) {
        self.moved += by;
    }

    pub fn topic(&self, name: &str) -> Result<&Topic, Error> {
        self.topics.get(name).ok_or_else(|| no_topic(name))
    }

    pub fn group(&mut self, name: &str) -> &mut Group {
        if !self.groups.contains_key(name) {
            self.groups.insert(name.to_owned(), Group::default());
        }
        self.groups.get_mut(name).expect("just inserted")
    }

    pub fn rebalance(&mut self, group: &str) {
        if let Some(group) = self.groups.get_mut(group) {
            group.rebalance(|topic| partition_count(&self.topics, topic));
        }
    }

    pub fn rebalance_all(&mut self) {
        for group in self.groups.values_mut() {
            group.rebalance(|topic| partition_count(&self.topics, topic));
        }
    }

    /// Appends one record, inside the producer's transaction where it is a transactional one.
    pub fn append(
        &mut self,
        topic: &Arc<str>,
        partition: Partition,
        record: &Record<'_>,
        producer: Option<&ProducerEpoch>,
    ) -> Result<Offset, Error> {
        let now = self.now();
        let transaction = match producer {
            Some(producer) => {
                let open = self.coordinator.open(producer, now)?;
                open.partitions.insert(TopicPartition { topic: topic.clone(), partition });
                Some(open.seq)
            }
            None => None,
        };
        let topic = self.topics.get_mut(topic).ok_or_else(|| no_topic(topic))?;
        topic.append(partition, record, transaction, now)
    }

    /// Aborts what an older producer of the id left, and fences it.
    pub fn init_producer(&mut self, id: &str, timeout: Duration) -> ProducerEpoch {
        let (producer, left) = self.coordinator.init(id, timeout);
        if let Some(open) = left {
            self.finish(open, false);
        }
        producer
    }

    /// Adds positions to the producer's transaction, if the member may commit them.
    pub fn send_positions(
        &mut self,
        producer: &ProducerEpoch,
        positions: &[(TopicPartition, Position)],
        credentials: &Credentials,
    ) -> Result<(), Error> {
        let now = self.now();
        self.coordinator.check(producer)?;
        let group = self.groups.entry(credentials.group.clone()).or_default();
        // The producer itself is as good as before: it is the member that must not commit.
        group
            .check(credentials, positions.iter().map(|(partition, _)| partition))
            .map_err(|error| Error::Abortable(error.to_string()))?;
        let open = self.coordinator.open(producer, now)?;
        for (partition, position) in positions {
            group.hold_pending(partition, open.seq);
            open.positions.push((credentials.group.clone(), partition.clone(), *position));
        }
        Ok(())
    }

    /// Ends the producer's transaction, if it has one.
    pub fn end_transaction(
        &mut self,
        producer: &ProducerEpoch,
        committed: bool,
    ) -> Result<(), Error> {
        if let Some(open) = self.coordinator.take(producer)? {
            self.finish(open, committed);
        }
        Ok(())
    }

    /// Markers and positions together, under the one lock: nobody sees half of it.
    fn finish(&mut self, open: Open, committed: bool) {
        let now = self.timestamp();
        let Open { seq, partitions, positions, .. } = open;
        for partition in partitions {
            let topic = self.topics.get_mut(&partition.topic);
            if let Some(log) = topic.and_then(|topic| topic.partition_mut(partition.partition)) {
                log.finish(seq, committed, now);
            }
        }
        for (group, partition, position) in positions {
            self.end_pending(&group, seq);
            if committed && let Some(group) = self.groups.get_mut(&group) {
                group.commit(partition, position);
            }
        }
    }

    fn end_pending(&mut self, group: &str, transaction: TransactionSeq) {
        if let Some(group) = self.groups.get_mut(group) {
            group.drop_pending(transaction);
        }
    }
}

pub(super) fn no_topic(name: &str) -> Error {
    Error::Refused(format!("topic {name:?} does not exist"))
}

/// The member that a membership of this log speaks of.
pub(super) fn credentials(membership: &Membership) -> Result<&Credentials, Error> {
    membership
        .0
        .downcast_ref::<Credentials>()
        .ok_or_else(|| Error::Refused("the membership is not one of the embedded log".into()))
}
