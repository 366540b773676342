//! What the group gives and takes.
//!
//! ```text
//!              Assigned                         all inputs of its number are open
//! (elsewhere) ----------> open, held, waiting ------------------------------------> brought up (`restore`), read
//!      ^                        |                                                        |
//!      +------------------------+--------- Revoked: finish, commit, release -------------+
//!      +---------------------------------- Lost: drop, release --------------------------+
//! ```
//! A task that goes leaves what it had committed in RocksDB, for its return, and gives its lease back before the
//! partition is.

use std::{collections::BTreeSet, time::Duration};

use super::{Error, Worker, partition_of};
use crate::{
    broker, manifest::Guarantee, record::TopicPartition, task::TaskId, topology::SubTopology,
};

/// How long a revocation may take: the group waits for it.
const REVOKE_PATIENCE: Duration = Duration::from_secs(10);
/// How long to finish what is on its way before partitions are opened, which may wait for other transactions: ours
/// must not be open meanwhile.
const ASSIGN_PATIENCE: Duration = Duration::from_secs(2);

impl Worker {
    /// Reads partitions from where the group was, with tasks where they are complete.
    pub(super) fn assigned(&mut self, partitions: Vec<TopicPartition>) -> Result<(), Error> {
        if self.in_transaction {
            self.drain(ASSIGN_PATIENCE)?;
        }
        self.say(&partitions, "assigned");
        self.unopened.extend(partitions);
        self.open_rest()?;
        Ok(())
    }

    /// Opens what the group gave, or tries again in the next step: another owner's transaction may hold the committed
    /// positions still.
    pub(super) fn open_rest(&mut self) -> Result<bool, Error> {
        if self.unopened.is_empty() {
            return Ok(false);
        }
        let wanted: Vec<_> =
            self.unopened.iter().map(|partition| (partition.clone(), None)).collect();
        let begins = match self.inbox.open(&wanted) {
            Ok(begins) => begins,
            Err(broker::Error::Retriable(trouble)) => {
                self.troubled(&trouble);
                return Ok(false);
            }
            Err(other) => return Err(other.into()),
        };
        self.unopened.clear();
        for (partition, position) in begins {
            self.inbox.hold(&partition);
            self.held.insert(partition.clone());
            self.open.insert(partition, position);
        }
        self.complete();
        self.status_at = None;
        Ok(true)
    }

    /// Finishes what is on its way, commits, and gives partitions back.
    pub(super) fn revoked(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        let finished = self.drain(REVOKE_PATIENCE)?;
        self.say(partitions, "revoked");
        if !finished {
            tracing::warn!(worker = self.number, "left uncommitted: no time is left");
        }
        self.leave(partitions, finished)
    }

    /// Gives partitions back that somebody else has already: nothing of them is committed.
    pub(super) fn lost(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        let app = &*self.code.topology.app;
        tracing::warn!(app, worker = self.number, partitions = list(partitions), "lost");
        self.leave(partitions, false)
    }

    fn leave(&mut self, partitions: &[TopicPartition], finished: bool) -> Result<(), Error> {
        let gone: BTreeSet<&TopicPartition> = partitions.iter().collect();
        self.unopened.retain(|partition| !gone.contains(partition));
        let goes = |part: &SubTopology, id: &TaskId| {
            part.partitions(id.partition.0).any(|partition| gone.contains(&partition))
        };
        let closed: Vec<TaskId> = self
            .tasks
            .iter()
            .filter(|(id, task)| goes(task.part(), id))
            .map(|(id, _)| *id)
            .collect();
        let mut stay = Vec::new();
        for id in closed {
            self.count(id);
            let Some(task) = self.tasks.remove(&id) else { continue };
            self.pending.retain(|pending| pending.task != id);
            self.ledger.forget(id);
            if let Some(sealed) = &mut self.sealed {
                sealed.forget(id);
            }
            self.following.forget(id);
            let inputs = (0..task.part().inputs.len()).map(|input| partition_of(&task, input));
            stay.extend(inputs.filter(|input| !gone.contains(input)));
        }
        self.pending_bytes = self.pending.iter().map(|pending| pending.effects.bytes()).sum();
        let parts = &self.code.topology.parts;
        let coming = self.coming.keys().filter(|id| goes(&parts[id.part], id));
        for id in coming.copied().collect::<Vec<_>>() {
            self.coming.remove(&id);
            self.following.forget(id);
        }
        for partition in partitions {
            self.open.remove(partition);
            self.held.remove(partition);
        }
        for partition in &stay {
            self.stay(partition)?;
        }
        if !finished {
            self.take_back()?;
        }
        self.inbox.release(partitions)?;
        self.status_at = None;
        Ok(())
    }

    /// What tasks that are gone did is not committed, and must not come behind what the next owner does.
    fn take_back(&mut self) -> Result<(), Error> {
        let why = "partitions were taken away before what was done with them was committed";
        match self.guarantee {
            // The transaction holds it.
            Guarantee::ExactlyOnce => self.abort(why),
            Guarantee::AtLeastOnce if self.outbox.in_flight() > 0 => {
                self.outbox.forget()?;
                self.abort(why)
            }
            Guarantee::AtLeastOnce => Ok(()),
        }
    }

    /// A partition stays though its task goes: it is held at what is committed.
    fn stay(&mut self, partition: &TopicPartition) -> Result<(), broker::Error> {
        if let Some(position) = self.open.get(partition) {
            self.inbox.hold(partition);
            self.held.insert(partition.clone());
            self.inbox.seek(partition, *position)?;
        }
        Ok(())
    }

    fn say(&self, partitions: &[TopicPartition], what: &str) {
        let app = &*self.code.topology.app;
        tracing::info!(app, worker = self.number, partitions = list(partitions), "{what}");
    }
}

fn list(partitions: &[TopicPartition]) -> String {
    partitions.iter().map(TopicPartition::to_string).collect::<Vec<_>>().join(" ")
}
