//! A consumer group of the embedded log: members, who owns what, and the positions they committed.
//!
//! The group knows for each member what it should own (`target`, by `range`) and what it owns. A member comes by
//! with [`Group::reconcile`]; a partition is given to it only when nobody else owns it any more.
//!
//! ```text
//! target lost  -> Revoked told -> released -> free
//! target gained, once free -> Assigned told, owned
//! not seen for the session time-out, or expelled -> no member; what it owned is free
//! ```
//!
//! A commit is taken from a current member, at its current epoch, for what it owns. Everything else is fenced.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::partition::TransactionSeq;
use crate::{
    broker::Error,
    record::{Position, TopicPartition},
};

/// Tells a member from all others of the group, past ones included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct MemberId(u64);

/// A member as a commit names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub group: String,
    pub member: MemberId,
    pub epoch: u32,
}

/// What a member has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
}

#[derive(Debug)]
struct Member {
    topics: Vec<Arc<str>>,
    target: BTreeSet<TopicPartition>,
    owned: BTreeSet<TopicPartition>,
    /// The generation it has caught up with; 0 before the first.
    epoch: u32,
    /// Out of the group after this, unless it polls (the log's clock).
    deadline: Duration,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Group {
    generation: u32,
    members: BTreeMap<MemberId, Member>,
    joined: u64,
    committed: HashMap<TopicPartition, Position>,
    /// Positions inside open transactions: they may become the committed ones.
    pending: HashMap<TopicPartition, HashSet<TransactionSeq>>,
}

impl Group {
    pub fn join(&mut self, topics: Vec<Arc<str>>, deadline: Duration) -> MemberId {
        self.joined += 1;
        let id = MemberId(self.joined);
        let (target, owned) = (BTreeSet::new(), BTreeSet::new());
        self.members.insert(id, Member { topics, target, owned, epoch: 0, deadline });
        id
    }

    pub fn leave(&mut self, id: MemberId) {
        self.members.remove(&id);
    }

    pub fn expel_all(&mut self) {
        self.members.clear();
    }

    /// Removes members that have not polled in time; whether there was one.
    pub fn expire(&mut self, now: Duration) -> bool {
        let before = self.members.len();
        self.members.retain(|_, member| now < member.deadline);
        self.members.len() < before
    }

    pub fn next_deadline(&self) -> Option<Duration> {
        self.members.values().map(|member| member.deadline).min()
    }

    /// Decides anew who should own what: `range`, topic by topic, so that equal partition numbers stay together.
    /// To be called after every change of members or topics.
    pub fn rebalance(&mut self, partitions: impl Fn(&str) -> u32) {
        self.generation += 1;
        let topics: BTreeSet<Arc<str>> =
            self.members.values().flat_map(|member| member.topics.iter().cloned()).collect();
        for member in self.members.values_mut() {
            member.target.clear();
        }
        for topic in topics {
            let count = partitions(&topic);
            let mut subscribed: Vec<&mut Member> =
                self.members.values_mut().filter(|member| member.topics.contains(&topic)).collect();
            let members = u32::try_from(subscribed.len()).expect("members fit in memory");
            let (share, extra) = (count / members, count % members);
            let mut next = 0;
            for (index, member) in (0..).zip(&mut subscribed) {
                let length = share + u32::from(index < extra);
                member.target.extend(
                    (next..next + length)
                        .map(|partition| TopicPartition::new(topic.clone(), partition)),
                );
                next += length;
            }
        }
    }

    /// Says that a member is alive, and what it has to do, one thing at a time. `None` as id: it is a member no
    /// more.
    pub fn reconcile(&mut self, id: MemberId, deadline: Duration) -> Option<Option<Change>> {
        let generation = self.generation;
        let taken: BTreeSet<TopicPartition> = self
            .members
            .iter()
            .filter(|(other, _)| **other != id)
            .flat_map(|(_, member)| member.owned.iter().cloned())
            .collect();
        let member = self.members.get_mut(&id)?;
        member.deadline = deadline;
        let revoked: Vec<TopicPartition> =
            member.owned.difference(&member.target).cloned().collect();
        if !revoked.is_empty() {
            return Some(Some(Change::Revoked(revoked)));
        }
        member.epoch = generation;
        let assigned: Vec<TopicPartition> = member
            .target
            .difference(&member.owned)
            .filter(|wanted| !taken.contains(wanted))
            .cloned()
            .collect();
        if assigned.is_empty() {
            return Some(None);
        }
        member.owned.extend(assigned.iter().cloned());
        Some(Some(Change::Assigned(assigned)))
    }

    pub fn release(&mut self, id: MemberId, partitions: &[TopicPartition]) {
        if let Some(member) = self.members.get_mut(&id) {
            for partition in partitions {
                member.owned.remove(partition);
            }
        }
    }

    pub fn epoch(&self, id: MemberId) -> Option<u32> {
        self.members.get(&id).map(|member| member.epoch).filter(|epoch| *epoch > 0)
    }

    /// Whether these may commit these partitions.
    pub fn check<'a>(
        &self,
        credentials: &Credentials,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
    ) -> Result<(), Error> {
        let group = &credentials.group;
        let member = self.members.get(&credentials.member).ok_or_else(|| {
            Error::Fenced(format!("group {group}: the member is in the group no more"))
        })?;
        if member.epoch != credentials.epoch {
            return Err(Error::Fenced(format!(
                "group {group}: generation {} is over, it is {} now",
                credentials.epoch, member.epoch
            )));
        }
        match partitions.into_iter().find(|partition| !member.owned.contains(partition)) {
            Some(partition) => {
                Err(Error::Fenced(format!("group {group}: the member does not own {partition}")))
            }
            None => Ok(()),
        }
    }

    pub fn commit(&mut self, partition: TopicPartition, position: Position) {
        self.committed.insert(partition, position);
    }

    pub fn committed(&self, partition: &TopicPartition) -> Option<Position> {
        self.committed.get(partition).copied()
    }

    pub fn forget_topic(&mut self, topic: &str) {
        self.committed.retain(|partition, _| *partition.topic != *topic);
    }

    pub fn hold_pending(&mut self, partition: &TopicPartition, transaction: TransactionSeq) {
        self.pending.entry(partition.clone()).or_default().insert(transaction);
    }

    pub fn drop_pending(&mut self, transaction: TransactionSeq) {
        self.pending.retain(|_, transactions| {
            transactions.remove(&transaction);
            !transactions.is_empty()
        });
    }

    pub fn is_pending(&self, partition: &TopicPartition) -> bool {
        self.pending.contains_key(partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Duration = Duration::from_secs(60);

    fn partitions(topic: &str) -> u32 {
        match topic {
            "three" => 3,
            "two" => 2,
            _ => 0,
        }
    }

    fn join(group: &mut Group) -> MemberId {
        let id = group.join(vec!["three".into(), "two".into()], LATER);
        group.rebalance(partitions);
        id
    }

    fn all(names: &[(&str, u32)]) -> Vec<TopicPartition> {
        names.iter().map(|(topic, partition)| TopicPartition::new(*topic, *partition)).collect()
    }

    #[test]
    fn a_partition_is_given_only_when_it_is_free() {
        let mut group = Group::default();
        let first = join(&mut group);
        let everything = all(&[("three", 0), ("three", 1), ("three", 2), ("two", 0), ("two", 1)]);
        assert_eq!(group.reconcile(first, LATER), Some(Some(Change::Assigned(everything))));
        let second = join(&mut group);
        assert_eq!(group.reconcile(second, LATER), Some(None), "all are owned still");
        let moving = all(&[("three", 2), ("two", 1)]);
        assert_eq!(group.reconcile(first, LATER), Some(Some(Change::Revoked(moving.clone()))));
        assert_eq!(group.reconcile(second, LATER), Some(None), "told is not released");
        group.release(first, &moving);
        assert_eq!(group.reconcile(second, LATER), Some(Some(Change::Assigned(moving))));
        assert_eq!(group.reconcile(first, LATER), Some(None));
    }

    #[test]
    fn only_a_current_owner_commits() {
        let mut group = Group::default();
        let first = join(&mut group);
        group.reconcile(first, LATER);
        let old = Credentials {
            group: "g".into(),
            member: first,
            epoch: group.epoch(first).expect("assigned"),
        };
        let mine = all(&[("three", 0)]);
        let theirs = all(&[("three", 2)]);
        assert!(group.check(&old, &theirs).is_ok());
        join(&mut group);
        group.reconcile(first, LATER);
        assert!(group.check(&old, &theirs).is_ok(), "a member commits what it must give back");
        group.release(first, &all(&[("three", 2), ("two", 1)]));
        assert!(matches!(group.check(&old, &theirs), Err(Error::Fenced(_))));
        assert!(group.check(&old, &mine).is_ok());
        group.reconcile(first, LATER);
        assert!(matches!(group.check(&old, &mine), Err(Error::Fenced(_))), "of an old generation");
        assert!(group.expire(LATER));
        assert!(matches!(group.check(&old, &mine), Err(Error::Fenced(_))), "no member");
        assert_eq!(group.reconcile(first, LATER), None);
    }
}
