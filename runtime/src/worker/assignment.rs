//! What the group gives and takes.
//!
//! ```text
//!              Assigned                         all inputs of its number are open
//! (elsewhere) ----------> open, held, waiting ------------------------------------> read by a task
//!      ^                        |                                                        |
//!      +------------------------+--------- Revoked: finish, commit, release -------------+
//!      +---------------------------------- Lost: drop, release --------------------------+
//! ```

use std::{collections::BTreeSet, time::Duration};

use super::{Worker, partition_of};
use crate::{
    broker,
    record::{Partition, TopicPartition},
    task::{Task, TaskId},
};

/// How long a revocation may take: the group waits for it.
const REVOKE_PATIENCE: Duration = Duration::from_secs(10);

impl Worker {
    /// Reads partitions from where the group was, with tasks where they are complete.
    pub(super) fn assigned(&mut self, partitions: &[TopicPartition]) -> Result<(), broker::Error> {
        let wanted: Vec<_> = partitions.iter().map(|partition| (partition.clone(), None)).collect();
        for (partition, position) in self.inbox.open(&wanted)? {
            self.inbox.hold(&partition);
            self.held.insert(partition.clone());
            self.open.insert(partition, position);
        }
        let list = list(partitions);
        tracing::info!(
            app = &*self.code.topology.app,
            worker = self.number,
            partitions = list,
            "assigned"
        );
        self.complete();
        self.status_at = None;
        Ok(())
    }

    /// Makes the tasks whose inputs are all open.
    fn complete(&mut self) {
        let topology = std::sync::Arc::clone(&self.code.topology);
        let numbers: BTreeSet<Partition> =
            self.open.keys().map(|partition| partition.partition).collect();
        for (index, part) in topology.parts.iter().enumerate() {
            for number in &numbers {
                let id = TaskId { part: index, partition: *number };
                let positions: Option<Vec<_>> = part
                    .partitions(number.0)
                    .map(|partition| self.open.get(&partition).copied())
                    .collect();
                let Some(positions) = positions.filter(|_| !self.tasks.contains_key(&id)) else {
                    continue;
                };
                self.tasks.insert(
                    id,
                    Task::new(
                        id,
                        part.clone(),
                        self.code.operators(index),
                        &positions,
                        1,
                        None,
                        None,
                    ),
                );
                for partition in part.partitions(number.0) {
                    self.inbox.resume(&partition);
                    self.held.remove(&partition);
                }
            }
        }
    }

    /// Finishes what is on its way, commits, and gives partitions back.
    pub(super) fn revoked(&mut self, partitions: &[TopicPartition]) -> Result<(), broker::Error> {
        self.drain(REVOKE_PATIENCE);
        let list = list(partitions);
        tracing::info!(
            app = &*self.code.topology.app,
            worker = self.number,
            partitions = list,
            "revoked"
        );
        self.leave(partitions)
    }

    /// Gives partitions back that somebody else has already: nothing of them is committed.
    pub(super) fn lost(&mut self, partitions: &[TopicPartition]) -> Result<(), broker::Error> {
        let list = list(partitions);
        tracing::warn!(
            app = &*self.code.topology.app,
            worker = self.number,
            partitions = list,
            "lost"
        );
        self.leave(partitions)
    }

    fn leave(&mut self, partitions: &[TopicPartition]) -> Result<(), broker::Error> {
        let gone: BTreeSet<&TopicPartition> = partitions.iter().collect();
        let closed: Vec<TaskId> = self
            .tasks
            .iter()
            .filter(|(id, task)| {
                task.part().partitions(id.partition.0).any(|partition| gone.contains(&partition))
            })
            .map(|(id, _)| *id)
            .collect();
        for id in closed {
            self.count(id);
            let Some(task) = self.tasks.remove(&id) else { continue };
            self.pending.retain(|pending| pending.task != id);
            for input in 0..task.part().inputs.len() {
                let partition = partition_of(&task, input);
                self.ledger.forget(&partition);
                if !gone.contains(&partition) {
                    self.stay(&partition)?;
                }
            }
        }
        for partition in partitions {
            self.open.remove(partition);
            self.held.remove(partition);
            self.ledger.forget(partition);
        }
        self.inbox.release(partitions)?;
        self.status_at = None;
        Ok(())
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
}

fn list(partitions: &[TopicPartition]) -> String {
    partitions.iter().map(TopicPartition::to_string).collect::<Vec<_>>().join(" ")
}
