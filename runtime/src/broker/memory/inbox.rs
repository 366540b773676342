//! A member of a consumer group of the embedded log.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    group::{Change, Credentials, MemberId},
    reader::{Reader, on_missing},
    state::{Locked, Shared, State},
};
use crate::{
    broker::{Error, Event, Inbox, InboxSettings, Isolation, Membership, Start},
    record::{Position, TopicPartition},
};

/// A member that has not polled for so long is dead: Kafka's session time-out.
const SESSION: Duration = Duration::from_secs(45);
/// How long [`Inbox::open`] waits for a transaction that holds a committed position: Kafka's request time-out.
const PENDING: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct MemoryInbox {
    shared: Arc<Shared>,
    settings: InboxSettings,
    topics: Vec<Arc<str>>,
    member: MemberId,
    owned: BTreeSet<TopicPartition>,
    /// Told to be revoked or lost, and not released yet.
    leaving: BTreeSet<TopicPartition>,
    reader: Reader,
}

impl MemoryInbox {
    pub fn join(shared: Arc<Shared>, settings: InboxSettings) -> Self {
        let topics: Vec<Arc<str>> =
            settings.topics.iter().map(|topic| topic.as_str().into()).collect();
        let member = join(&mut shared.lock(), &settings.group, &topics);
        let reader = Reader::new(
            Isolation::ReadCommitted,
            settings.batch_records,
            settings.batch_bytes,
            settings.on_missing_offset,
        );
        let (owned, leaving) = (BTreeSet::new(), BTreeSet::new());
        MemoryInbox { shared, settings, topics, member, owned, leaving, reader }
    }

    fn group_event(&mut self, state: &mut Locked<'_>) -> Option<Event> {
        if !self.leaving.is_empty() {
            // Still alive, though busy with its answer.
            let deadline = state.now() + SESSION;
            state.group(&self.settings.group).reconcile(self.member, deadline);
            return None;
        }
        let deadline = state.now() + SESSION;
        match state.group(&self.settings.group).reconcile(self.member, deadline) {
            Some(Some(Change::Assigned(partitions))) => {
                self.owned.extend(partitions.iter().cloned());
                Some(Event::Assigned(partitions))
            }
            Some(Some(Change::Revoked(partitions))) => {
                self.leaving.extend(partitions.iter().cloned());
                Some(Event::Revoked(partitions))
            }
            Some(None) => None,
            None if self.owned.is_empty() => {
                self.member = join(state, &self.settings.group, &self.topics);
                self.group_event(state)
            }
            None => {
                self.leaving.clone_from(&self.owned);
                Some(Event::Lost(self.owned.iter().cloned().collect()))
            }
        }
    }

    fn resolve(
        &self,
        state: &State,
        partition: &TopicPartition,
        at: Option<Position>,
    ) -> Result<Position, Error> {
        let topic = state.topic(&partition.topic)?;
        let log = topic
            .partition(partition.partition)
            .ok_or_else(|| Error::Refused(format!("{partition} does not exist")))?;
        let (start, end) = (log.start(), log.end(Isolation::ReadCommitted));
        let committed =
            || state.groups.get(&self.settings.group).and_then(|group| group.committed(partition));
        match at.or_else(committed) {
            Some(position) if position < start => {
                on_missing(self.settings.on_missing_offset, partition, position, start, end)
            }
            Some(position) if position > log.end(Isolation::ReadUncommitted) => {
                Err(Error::Refused(format!(
                    "{partition}: position {position} is behind the end of the log"
                )))
            }
            Some(position) => Ok(position),
            None => Ok(match self.settings.start {
                Start::Earliest => start,
                Start::Latest => end,
                Start::Timestamp(timestamp) => {
                    log.find(timestamp, Isolation::ReadCommitted).unwrap_or(end)
                }
            }),
        }
    }
}

fn join(state: &mut Locked<'_>, group: &str, topics: &[Arc<str>]) -> MemberId {
    let deadline = state.now() + SESSION;
    let member = state.group(group).join(topics.to_vec(), deadline);
    state.rebalance(group);
    state.change();
    member
}

impl Inbox for MemoryInbox {
    fn poll(&mut self, wait: Duration) -> Result<Option<Event>, Error> {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        let deadline = state.now() + wait;
        loop {
            if let Some(event) = self.group_event(&mut state) {
                return Ok(Some(event));
            }
            if let Some(event) = self.reader.poll(&state)? {
                return Ok(Some(event));
            }
            let in_time;
            (state, in_time) = state.wait(deadline);
            if !in_time {
                return Ok(None);
            }
        }
    }

    fn open(
        &mut self,
        partitions: &[(TopicPartition, Option<Position>)],
    ) -> Result<Vec<(TopicPartition, Position)>, Error> {
        if let Some((partition, _)) =
            partitions.iter().find(|(partition, _)| !self.owned.contains(partition))
        {
            return Err(Error::Refused(format!("{partition} is not assigned")));
        }
        let shared = self.shared.clone();
        let mut state = shared.lock();
        let deadline = state.now() + PENDING;
        while partitions.iter().any(|(partition, at)| {
            at.is_none() && state.group(&self.settings.group).is_pending(partition)
        }) {
            let in_time;
            (state, in_time) = state.wait(deadline);
            if !in_time {
                return Err(Error::Retriable(
                    "a transaction still holds the committed positions".into(),
                ));
            }
        }
        let mut begins = Vec::with_capacity(partitions.len());
        for (partition, at) in partitions {
            begins.push((partition.clone(), self.resolve(&state, partition, *at)?));
        }
        for (partition, position) in &begins {
            self.reader.open(&state, partition.clone(), *position)?;
        }
        Ok(begins)
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        for partition in partitions {
            self.reader.close(partition);
            self.owned.remove(partition);
            self.leaving.remove(partition);
        }
        let mut state = self.shared.lock();
        state.group(&self.settings.group).release(self.member, partitions);
        state.change();
        Ok(())
    }

    fn hold(&mut self, partition: &TopicPartition) {
        self.reader.hold(partition, true);
    }

    fn resume(&mut self, partition: &TopicPartition) {
        self.reader.hold(partition, false);
    }

    fn seek(&mut self, partition: &TopicPartition, position: Position) -> Result<(), Error> {
        self.reader.seek(partition, position)
    }

    fn commit(&mut self, positions: &[(TopicPartition, Position)]) -> Result<(), Error> {
        let mut state = self.shared.lock();
        let (name, member) = (&self.settings.group, self.member);
        let group = state.group(name);
        let epoch = group.epoch(member).unwrap_or(0);
        group.check(
            &Credentials { group: name.clone(), member, epoch },
            positions.iter().map(|(partition, _)| partition),
        )?;
        for (partition, position) in positions {
            group.commit(partition.clone(), *position);
        }
        Ok(())
    }

    fn membership(&self) -> Option<Membership> {
        let group = self.settings.group.clone();
        let epoch = self.shared.lock().group(&group).epoch(self.member)?;
        Some(Membership(Arc::new(Credentials { group, member: self.member, epoch })))
    }

    fn ends(&self) -> Vec<(TopicPartition, Position)> {
        let state = self.shared.lock();
        let end = |partition: &TopicPartition| {
            let log = state.topics.get(&partition.topic)?.partition(partition.partition)?;
            Some((partition.clone(), log.end(Isolation::ReadCommitted)))
        };
        self.reader.partitions().filter_map(end).collect()
    }

    fn close(self: Box<Self>) {}
}

impl Drop for MemoryInbox {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.group(&self.settings.group).leave(self.member);
        state.rebalance(&self.settings.group);
        state.change();
    }
}
