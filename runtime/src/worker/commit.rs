//! Commit and abort: the ordering rule of at-least-once.
//!
//! 1. outputs are handed to the outbox (`effects`), and with the last of them their positions to the ledger;
//! 2. every `commit_interval` the ledger's epoch is sealed;
//! 3. once all records of a sealed epoch, and of those before it, are acknowledged,
//! 4. its positions are committed to the group.
//!
//! Where an output fails, nothing of 4 happens for it: all that is not committed is dropped and read again.

use std::time::{Duration, Instant};

use super::{Worker, partition_of};
use crate::{
    broker,
    record::Position,
    task::{Task, TaskId},
};

/// Going back to the last commit more often than this is of no help.
const ABORTS_APART: Duration = Duration::from_millis(100);

impl Worker {
    /// Seals where it is time, commits what is acknowledged. Whether something was committed.
    pub(super) fn commit(&mut self) -> Result<bool, broker::Error> {
        if self.ledger.is_dirty() && self.sealed_at.elapsed() >= self.commit_interval {
            self.seal();
        }
        self.commit_ready()
    }

    fn seal(&mut self) {
        self.sealed_at = Instant::now();
        self.ledger.seal();
        self.outbox.hurry();
        let ids: Vec<TaskId> = self.tasks.keys().copied().collect();
        for id in ids {
            self.count(id);
        }
    }

    fn commit_ready(&mut self) -> Result<bool, broker::Error> {
        let Some(mut ready) = self.ledger.ready() else { return Ok(false) };
        ready.positions.retain(|partition, position| {
            self.open.get(partition).is_some_and(|committed| *position != *committed)
        });
        if ready.positions.is_empty() {
            return Ok(false);
        }
        let positions: Vec<_> = ready
            .positions
            .iter()
            .map(|(partition, position)| (partition.clone(), *position))
            .collect();
        match self.inbox.commit(&positions) {
            Ok(()) => {
                self.metrics.committed(ready.begun.elapsed());
                self.open.extend(ready.positions);
                Ok(true)
            }
            Err(broker::Error::Retriable(trouble) | broker::Error::Unknown(trouble)) => {
                self.troubled(&format!("positions are not committed yet: {trouble}"));
                self.ledger.restore(ready);
                Ok(false)
            }
            // The group has moved on: what it says next is what to do. The next owner does the rest again.
            Err(broker::Error::Fenced(why)) => {
                tracing::info!(
                    app = &*self.code.topology.app,
                    worker = self.number,
                    "not committed: {why}"
                );
                Ok(false)
            }
            Err(other) => Err(other),
        }
    }

    /// Produces, waits for acknowledgements and commits what is there, within `patience`; makes no further turn.
    pub(super) fn drain(&mut self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let result = self.drain_until(deadline);
        if let Err(error) = result {
            tracing::warn!(app = &*self.code.topology.app, worker = self.number, %error, "left uncommitted");
        }
    }

    fn drain_until(&mut self, deadline: Instant) -> Result<(), broker::Error> {
        loop {
            self.perform()?;
            if self.pending.is_empty() && self.ledger.is_dirty() {
                self.seal();
            }
            let committed = self.commit_ready()?;
            let done = self.pending.is_empty()
                && self.ledger.outstanding() == 0
                && !self.ledger.is_dirty();
            if done && !committed {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let outstanding = self.ledger.outstanding();
                let left = format!("{outstanding} outputs are not acknowledged in time");
                return Err(broker::Error::Retriable(left));
            }
            self.acknowledge(Duration::from_millis(1))?;
        }
    }

    /// Drops all that is not committed and reads it again. Where that happens again at once, the clients are made anew
    /// after a wait.
    pub(super) fn abort(&mut self, why: &str) -> Result<(), broker::Error> {
        if self.aborted_at.replace(Instant::now()).is_some_and(|at| at.elapsed() < ABORTS_APART) {
            self.metrics.aborted();
            return Err(broker::Error::Retriable(why.to_owned()));
        }
        tracing::warn!(
            app = &*self.code.topology.app,
            worker = self.number,
            "back to the last commit: {why}"
        );
        self.metrics.aborted();
        self.pending.clear();
        self.ledger.reset();
        let tasks = std::mem::take(&mut self.tasks);
        for (id, mut old) in tasks {
            let partitions: Vec<_> =
                (0..old.part().inputs.len()).map(|input| partition_of(&old, input)).collect();
            let positions: Vec<Position> = partitions
                .iter()
                .map(|partition| self.open.get(partition).copied().unwrap_or(Position::START))
                .collect();
            for (partition, position) in partitions.iter().zip(&positions) {
                self.inbox.seek(partition, *position)?;
            }
            let operators = self.code.operators(id.part);
            let mut task = Task::new(id, old.part().clone(), operators, &positions, 1, None, None);
            task.give_refusals(old.take_refusals());
            self.tasks.insert(id, task);
        }
        Ok(())
    }
}
