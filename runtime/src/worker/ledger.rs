//! What was handed to the outbox and what may be committed once it is acknowledged.
//!
//! Work is gathered in epochs. Each produced record belongs to the epoch that was open when it was handed over, and
//! so does each position that moved. A sealed epoch whose records are all acknowledged may be committed, after those
//! before it. So a commit never waits: the next epoch fills while the last one is on its way.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Instant,
};

use crate::{
    record::{Offset, Partition, Position, TopicPartition},
    task::{Source, TaskId},
};

/// Which record a produced record is owed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) task: TaskId,
    pub(super) source: Source,
}

#[derive(Debug)]
struct Epoch {
    number: u32,
    causes: Vec<Cause>,
    outstanding: usize,
    positions: BTreeMap<TopicPartition, Position>,
    begun: Instant,
}

impl Epoch {
    fn new(number: u32) -> Self {
        Epoch {
            number,
            causes: Vec::new(),
            outstanding: 0,
            positions: BTreeMap::new(),
            begun: Instant::now(),
        }
    }
}

/// Positions that may be committed.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) positions: BTreeMap<TopicPartition, Position>,
    /// When their commit was begun.
    pub(super) begun: Instant,
}

/// See the module's page.
#[derive(Debug)]
pub(super) struct Ledger {
    open: Epoch,
    sealed: VecDeque<Epoch>,
    /// Where records went, where somebody looks: by token.
    located: Option<HashMap<usize, (Partition, Option<Offset>)>>,
}

const INDEX_BITS: u32 = 32;

impl Ledger {
    pub(super) fn new(locate: bool) -> Self {
        Ledger { open: Epoch::new(0), sealed: VecDeque::new(), located: locate.then(HashMap::new) }
    }

    /// The token for the next record to be produced; [`produced`](Self::produced) takes it.
    pub(super) fn token(&self) -> usize {
        (self.open.number as usize) << INDEX_BITS | self.open.causes.len()
    }

    /// The record with the last [`token`](Self::token) was handed over.
    pub(super) fn produced(&mut self, cause: Cause) {
        self.open.causes.push(cause);
        self.open.outstanding += 1;
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

    /// A position moved.
    pub(super) fn moved(&mut self, partition: TopicPartition, position: Position) {
        self.open.positions.insert(partition, position);
    }

    /// Whether there is anything that a commit would do.
    pub(super) fn is_dirty(&self) -> bool {
        !self.open.positions.is_empty() || self.open.outstanding > 0
    }

    /// Records without an answer.
    pub(super) fn outstanding(&self) -> usize {
        self.open.outstanding + self.sealed.iter().map(|epoch| epoch.outstanding).sum::<usize>()
    }

    /// Sealed epochs that wait for their answers.
    pub(super) fn sealed(&self) -> usize {
        self.sealed.len()
    }

    /// Ends the open epoch and begins the next.
    pub(super) fn seal(&mut self) {
        let next = Epoch::new(self.open.number.wrapping_add(1));
        let mut sealed = std::mem::replace(&mut self.open, next);
        sealed.begun = Instant::now();
        self.sealed.push_back(sealed);
    }

    /// What of the sealed epochs may be committed now.
    pub(super) fn ready(&mut self) -> Option<Ready> {
        let mut ready: Option<Ready> = None;
        while let Some(epoch) = self.sealed.pop_front_if(|epoch| epoch.outstanding == 0) {
            let all = ready
                .get_or_insert_with(|| Ready { positions: BTreeMap::new(), begun: epoch.begun });
            all.positions.extend(epoch.positions);
        }
        ready.filter(|ready| !ready.positions.is_empty())
    }

    /// A commit of these did not happen: they go with the next one, unless they moved since.
    pub(super) fn restore(&mut self, ready: Ready) {
        for (partition, position) in ready.positions {
            self.open.positions.entry(partition).or_insert(position);
        }
    }

    /// Nothing of this partition is to be committed.
    pub(super) fn forget(&mut self, partition: &TopicPartition) {
        for epoch in self.sealed.iter_mut().chain(std::iter::once(&mut self.open)) {
            epoch.positions.remove(partition);
        }
    }

    /// Drops everything that is not committed. Later answers to it are of no interest.
    pub(super) fn reset(&mut self) {
        self.sealed.clear();
        self.open = Epoch::new(self.open.number.wrapping_add(1));
        if let Some(located) = &mut self.located {
            located.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(offset: i64) -> Cause {
        Cause {
            task: TaskId { part: 0, partition: Partition(0) },
            source: Source::Record { input: 0, offset: Offset(offset) },
        }
    }

    fn partition() -> TopicPartition {
        TopicPartition::new("t", 0)
    }

    #[test]
    fn positions_wait_for_their_own_records_and_for_those_before() {
        let mut ledger = Ledger::new(false);
        let first = ledger.token();
        ledger.produced(cause(0));
        ledger.moved(partition(), Position(1));
        ledger.seal();
        ledger.moved(partition(), Position(2));
        ledger.seal();
        assert!(ledger.ready().is_none(), "the second epoch waits for the first");
        assert_eq!(ledger.delivered(first), Some(cause(0)));
        let ready = ledger.ready().expect("all are acknowledged");
        assert_eq!(ready.positions[&partition()], Position(2));
    }

    #[test]
    fn answers_to_dropped_epochs_are_of_no_interest() {
        let mut ledger = Ledger::new(false);
        let old = ledger.token();
        ledger.produced(cause(0));
        ledger.reset();
        assert_eq!(ledger.delivered(old), None);
        assert!(!ledger.is_dirty());
    }

    #[test]
    fn a_failed_commit_goes_with_the_next_unless_it_moved() {
        let mut ledger = Ledger::new(false);
        ledger.moved(partition(), Position(1));
        ledger.moved(TopicPartition::new("u", 0), Position(1));
        ledger.seal();
        let ready = ledger.ready().expect("nothing is outstanding");
        ledger.moved(partition(), Position(5));
        ledger.restore(ready);
        ledger.forget(&TopicPartition::new("u", 0));
        ledger.seal();
        let ready = ledger.ready().expect("nothing is outstanding");
        assert_eq!(ready.positions.into_iter().collect::<Vec<_>>(), [(partition(), Position(5))]);
    }
}
