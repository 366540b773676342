//! What was handed to the outbox, and which of it a commit has to wait for.
//!
//! Work is gathered in epochs: each produced record belongs to one, and so does each task that did something. There is
//! the *open* epoch, which work fills, and at most one *sealed* epoch, which is being committed: it may be once all its
//! records are acknowledged. So the next epoch fills while the last one is on its way.

use std::collections::{BTreeSet, HashMap};

use crate::{
    record::{Offset, Partition},
    task::{Source, TaskId},
};

/// What a produced record is owed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// An output: this source record, or timer.
    Output { task: TaskId, source: Source },
    /// A changelog record: this store of the task.
    Store { task: TaskId, store: usize },
}

#[derive(Debug)]
struct Epoch {
    number: u32,
    causes: Vec<Cause>,
    outstanding: usize,
    tasks: BTreeSet<TaskId>,
}

impl Epoch {
    fn new(number: u32) -> Self {
        Epoch { number, causes: Vec::new(), outstanding: 0, tasks: BTreeSet::new() }
    }

    fn token(&self) -> usize {
        (self.number as usize) << INDEX_BITS | self.causes.len()
    }

    fn push(&mut self, cause: Cause) {
        self.causes.push(cause);
        self.outstanding += 1;
    }
}

/// See the module's page.
#[derive(Debug)]
pub(super) struct Ledger {
    open: Epoch,
    sealed: Option<Epoch>,
    /// Where records went, where somebody looks: by token.
    located: Option<HashMap<usize, (Partition, Option<Offset>)>>,
}

const INDEX_BITS: u32 = 32;
const SEALED: &str = "only a sealed epoch is asked";

impl Ledger {
    pub(super) fn new(locate: bool) -> Self {
        Ledger { open: Epoch::new(0), sealed: None, located: locate.then(HashMap::new) }
    }

    /// The token for the next record to be produced; [`produced`](Self::produced) takes it.
    pub(super) fn token(&self) -> usize {
        self.open.token()
    }

    /// Whether the epoch that a token is of is the open one.
    pub(super) fn is_open(&self, token: usize) -> bool {
        self.open.number as usize == token >> INDEX_BITS
    }

    /// The record with the last [`token`](Self::token) was handed over.
    pub(super) fn produced(&mut self, cause: Cause) {
        self.open.push(cause);
    }

    /// As [`token`](Self::token), of the sealed epoch.
    pub(super) fn sealed_token(&self) -> usize {
        self.sealed.as_ref().expect(SEALED).token()
    }

    /// As [`produced`](Self::produced), in the sealed epoch.
    pub(super) fn sealed_produced(&mut self, cause: Cause) {
        self.sealed.as_mut().expect(SEALED).push(cause);
    }

    /// A record was acknowledged, or refused: then its cause is answered. Those of dropped epochs are of no interest.
    pub(super) fn delivered(&mut self, token: usize) -> Option<Cause> {
        let (number, index) = (token >> INDEX_BITS, token & ((1 << INDEX_BITS) - 1));
        let epochs = self.sealed.iter_mut().chain(std::iter::once(&mut self.open));
        let epoch = epochs.into_iter().find(|epoch| epoch.number as usize == number)?;
        epoch.outstanding -= 1;
        Some(epoch.causes[index])
    }

    /// Remembers where a record went.
    pub(super) fn locate(&mut self, token: usize, partition: Partition, offset: Option<Offset>) {
        if let Some(located) = &mut self.located {
            located.insert(token, (partition, offset));
        }
    }

    /// Where a record went, once.
    pub(super) fn location(&mut self, token: usize) -> Option<(Partition, Option<Offset>)> {
        self.located.as_mut()?.remove(&token)
    }

    /// A task did something, if only that it moved on.
    pub(super) fn touch(&mut self, task: TaskId) {
        self.open.tasks.insert(task);
    }

    /// The tasks that did something.
    pub(super) fn touched(&self) -> Vec<TaskId> {
        self.open.tasks.iter().copied().collect()
    }

    /// Whether there is anything that a commit would do, beside what is sealed.
    pub(super) fn is_dirty(&self) -> bool {
        !self.open.tasks.is_empty() || self.open.outstanding > 0
    }

    /// Records of the open epoch, answered or not.
    pub(super) fn open_records(&self) -> usize {
        self.open.causes.len()
    }

    /// Records without an answer.
    pub(super) fn outstanding(&self) -> usize {
        self.open.outstanding + self.sealed_outstanding()
    }

    /// Records of the sealed epoch without an answer.
    pub(super) fn sealed_outstanding(&self) -> usize {
        self.sealed.as_ref().map_or(0, |epoch| epoch.outstanding)
    }

    /// Ends the open epoch, begins the next, and answers which tasks did something.
    pub(super) fn seal(&mut self) -> BTreeSet<TaskId> {
        assert!(self.sealed.is_none(), "at most one epoch is sealed");
        let next = Epoch::new(self.open.number.wrapping_add(1));
        let mut sealed = std::mem::replace(&mut self.open, next);
        let tasks = std::mem::take(&mut sealed.tasks);
        self.sealed = Some(sealed);
        tasks
    }

    /// The sealed epoch is committed.
    pub(super) fn settle(&mut self) {
        let sealed = self.sealed.take().expect(SEALED);
        assert_eq!(sealed.outstanding, 0, "only what is acknowledged is committed");
    }

    /// A task is gone: it has nothing to commit.
    pub(super) fn forget(&mut self, task: TaskId) {
        self.open.tasks.remove(&task);
    }

    /// Drops everything that is not committed. Later answers to it are of no interest.
    pub(super) fn reset(&mut self) {
        self.sealed = None;
        self.open = Epoch::new(self.open.number.wrapping_add(1));
        if let Some(located) = &mut self.located {
            located.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(partition: u32) -> TaskId {
        TaskId { part: 0, partition: Partition(partition) }
    }

    fn cause(offset: i64) -> Cause {
        Cause::Output { task: task(0), source: Source::Record { input: 0, offset: Offset(offset) } }
    }

    #[test]
    fn a_sealed_epoch_waits_for_its_own_records_alone() {
        let mut ledger = Ledger::new(false);
        let first = ledger.token();
        ledger.produced(cause(0));
        ledger.touch(task(0));
        assert_eq!(ledger.seal().into_iter().collect::<Vec<_>>(), [task(0)]);
        let log = ledger.sealed_token();
        ledger.sealed_produced(Cause::Store { task: task(0), store: 0 });
        let next = ledger.token();
        ledger.produced(cause(1));
        assert_eq!((ledger.sealed_outstanding(), ledger.outstanding()), (2, 3));
        assert_eq!(ledger.delivered(first), Some(cause(0)));
        assert_eq!(ledger.delivered(log), Some(Cause::Store { task: task(0), store: 0 }));
        assert_eq!((ledger.sealed_outstanding(), ledger.outstanding()), (0, 1));
        ledger.settle();
        assert!(ledger.is_dirty());
        assert_eq!(ledger.delivered(next), Some(cause(1)));
        assert!(!ledger.is_dirty());
    }

    #[test]
    fn answers_to_dropped_epochs_are_of_no_interest() {
        let mut ledger = Ledger::new(false);
        let old = ledger.token();
        ledger.produced(cause(0));
        ledger.seal();
        ledger.touch(task(1));
        ledger.reset();
        assert_eq!(ledger.delivered(old), None);
        assert!(!ledger.is_dirty());
    }

    #[test]
    fn a_task_that_is_gone_has_nothing_to_commit() {
        let mut ledger = Ledger::new(false);
        ledger.touch(task(0));
        ledger.touch(task(1));
        ledger.forget(task(0));
        assert_eq!(ledger.seal().into_iter().collect::<Vec<_>>(), [task(1)]);
    }
}
