//! Commit: the ordering rule.
//!
//! Work fills an open epoch. When a commit is due and all computed effects are handed to the outbox, tasks send what they
//! keep for the end of an epoch, results of aggregate stores that are thinned to the newest. Then the epoch is *sealed*: which tasks did something, how far each has come, what each changed in its state. Then, in this order:
//!
//! | step | exactly-once | at-least-once |
//! |---|---|---|
//! | 1 | what changed goes to the changelogs; every record of the epoch is acknowledged | the same |
//! | 2 | the input positions of every task that did something go into the transaction, moved or not | |
//! | 3 | the transaction is committed | |
//! | 4 | RocksDB takes what changed, with its new positions, in one batch | the same |
//! | 5 | | the input positions are committed to the group |
//!
//! Nothing of a step happens before the step above it is known to be done. Under exactly-once nothing is produced
//! between the seal and 3, so the transaction holds one epoch; tasks go on computing meanwhile. A crash before 3 leaves
//! a transaction that aborts; between 3 and 4 RocksDB is one commit behind, and the changelogs know the rest. No step
//! waits: what is not done yet is asked for again in the next round of the loop.

use std::{
    cmp::Ordering,
    time::{Duration, Instant},
};

use super::{Error, Worker, ledger::Cause};
use crate::{
    broker::{self, Membership, Produce},
    manifest::Guarantee,
    record::{Headers, Offset, Position, TopicPartition},
    store::Progress,
    task::{Task, TaskId, Turn},
};

/// Uncommitted writes of a worker's tasks beyond which a commit is due at once.
pub(super) const OVERLAY_BYTES_MAX: usize = 16 << 20;
/// Records of an epoch beyond which a commit is due at once.
pub(super) const EPOCH_RECORDS_MAX: usize = 500_000;
/// A worker with nothing else to do commits at once, if its last commit took less than this part of the time since.
const IDLE_COST: u32 = 10;
/// How long tasks are let send what waits for the end of an epoch at a time.
const FLUSH_SLICE: Duration = Duration::from_millis(50);
/// How long one step of a commit may be asked for again.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often positions are committed though nothing moved: Kafka forgets those of a group after 7 days.
const REFRESH_MILLIS: i64 = 12 * 60 * 60 * 1000;

/// An epoch that is being committed.
pub(super) struct Sealed {
    begun: Instant,
    tasks: Vec<SealedTask>,
    /// The next changelog record: of which of the tasks, and which.
    next: (usize, usize),
    done: Done,
    /// As what the positions go into the transaction.
    membership: Option<Membership>,
    /// When the step behind `done` was first answered with "not known yet".
    asked: Option<Instant>,
}

struct SealedTask {
    id: TaskId,
    inputs: Vec<(TopicPartition, Position)>,
    /// By store: behind the last changelog record that is known to be there.
    logged: Vec<Option<Position>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Done {
    Nothing,
    Logged,
    Positioned,
    Committed,
    Written,
}

impl Sealed {
    /// Whether a step of the transaction was asked for, and what came of it is not known: nothing else may be asked.
    pub(super) fn is_being_decided(&self) -> bool {
        matches!(self.done, Done::Logged | Done::Positioned) && self.asked.is_some()
    }

    /// How far its tasks have come, where RocksDB has what they did.
    pub(super) fn into_written(self) -> Vec<(TopicPartition, Position)> {
        match self.done {
            Done::Written => self.tasks.into_iter().flat_map(|task| task.inputs).collect(),
            _ => Vec::new(),
        }
    }

    /// A task is gone: nothing of it is committed, even where its partition comes back meanwhile.
    pub(super) fn forget(&mut self, id: TaskId) {
        let Some(at) = self.tasks.iter().position(|task| task.id == id) else { return };
        self.tasks.remove(at);
        match at.cmp(&self.next.0) {
            Ordering::Less => self.next.0 -= 1,
            Ordering::Equal => self.next.1 = 0,
            Ordering::Greater => {}
        }
    }
}

/// What became of a round of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    Waits,
    Committed,
    /// All was dropped; what was sealed is no more.
    Aborted,
}

impl Worker {
    /// Seals where it is time, and goes on with what is sealed. Whether something was committed.
    pub(super) fn commit(&mut self) -> Result<bool, Error> {
        if (self.flushing || self.is_due()) && self.flush()? {
            self.seal();
        }
        let Some(mut sealed) = self.sealed.take() else { return Ok(false) };
        match self.go_on(&mut sealed)? {
            Round::Waits => self.sealed = Some(sealed),
            Round::Aborted => {}
            Round::Committed => {
                self.ledger.settle();
                self.metrics.committed(sealed.begun.elapsed());
                self.committed_at = Instant::now();
                self.commit_took = sealed.begun.elapsed();
                self.went_on(sealed);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What is written is where its tasks go on, whatever comes.
    pub(super) fn went_on(&mut self, sealed: Sealed) {
        for (partition, position) in sealed.into_written() {
            if let Some(committed) = self.open.get_mut(&partition) {
                *committed = position;
            }
        }
    }

    /// Lets tasks send what waits for the end of an epoch, some of it. Whether there is nothing left, and the epoch is to
    /// be sealed: until then its tasks make no other turn.
    fn flush(&mut self) -> Result<bool, Error> {
        self.flushing = self.ledger.is_dirty();
        if !self.flushing {
            return Ok(false);
        }
        let begun = Instant::now();
        let now = self.clock.now();
        for id in self.ledger.touched() {
            while let Some(task) = self.tasks.get_mut(&id) {
                if !self.pending.is_empty() || begun.elapsed() > FLUSH_SLICE {
                    return Ok(false);
                }
                let Turn::Worked { effects, failed } = task.flush(now)? else { break };
                self.take(id, effects, failed.as_deref())?;
                if !self.ledger.is_dirty() {
                    // Everything went back to the last commit.
                    return Ok(false);
                }
            }
        }
        self.flushing = !self.pending.is_empty();
        Ok(!self.flushing)
    }

    /// Whether the open epoch is to be sealed now.
    fn is_due(&mut self) -> bool {
        if self.sealed.is_some() || !self.pending.is_empty() {
            return false;
        }
        let now = self.clock.now();
        if now.millis() - self.refreshed_at.millis() > REFRESH_MILLIS {
            self.refreshed_at = now;
            self.tasks.keys().for_each(|id| self.ledger.touch(*id));
        }
        self.ledger.is_dirty() && (self.is_urgent() || self.time_left().is_zero())
    }

    /// Whether so much is uncommitted that it cannot wait.
    pub(super) fn is_urgent(&self) -> bool {
        self.ledger.open_records() > EPOCH_RECORDS_MAX
            || self.uncommitted_bytes() > OVERLAY_BYTES_MAX
    }

    pub(super) fn uncommitted_bytes(&self) -> usize {
        let states = self.tasks.values().filter_map(Task::state);
        states.map(crate::store::TaskState::uncommitted_bytes).sum()
    }

    /// How long until the open epoch is to be sealed, if it is dirty.
    pub(super) fn time_left(&self) -> Duration {
        let idle = self.commit_took.saturating_mul(IDLE_COST).min(self.commit_interval);
        let apart = if self.is_idle { idle } else { self.commit_interval };
        apart.saturating_sub(self.committed_at.elapsed())
    }

    pub(super) fn seal(&mut self) {
        let mut tasks = Vec::new();
        for id in self.ledger.seal() {
            self.count(id);
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            let progress = task.progress();
            let inputs = inputs(id, &progress);
            let begun = Instant::now();
            let stores = task.state_mut().map(|state| state.seal(&progress));
            self.metrics.stored(begun.elapsed());
            let stores = stores.map_or(0, |()| self.code.topology.parts[id.part].stores.len());
            tasks.push(SealedTask { id, inputs, logged: vec![None; stores] });
        }
        let (begun, next) = (Instant::now(), (0, 0));
        self.sealed =
            Some(Sealed { begun, tasks, next, done: Done::Nothing, membership: None, asked: None });
    }

    /// The steps, in their order.
    fn go_on(&mut self, sealed: &mut Sealed) -> Result<Round, Error> {
        if sealed.done < Done::Logged && self.log(sealed)? == Round::Aborted {
            return Ok(Round::Aborted);
        }
        if sealed.done < Done::Logged || self.ledger.sealed_outstanding() > 0 {
            return Ok(Round::Waits);
        }
        match self.guarantee {
            Guarantee::ExactlyOnce => {
                let transacted = self.transact(sealed);
                match self.answered(sealed, transacted)? {
                    Round::Committed => self.write(sealed)?,
                    round => return Ok(round),
                }
            }
            Guarantee::AtLeastOnce => {
                self.write(sealed)?;
                if !self.tell_group(sealed)? {
                    return Ok(Round::Waits);
                }
            }
        }
        Ok(Round::Committed)
    }

    /// Step 1: a record for each changed key, until the outbox is full.
    fn log(&mut self, sealed: &mut Sealed) -> Result<Round, Error> {
        let timestamp = self.clock.now();
        while let Some(SealedTask { id, .. }) = sealed.tasks.get(sealed.next.0) {
            let id = *id;
            let changed =
                self.tasks.get(&id).and_then(Task::state).map_or(0, |state| state.logged());
            while sealed.next.1 < changed {
                if let Err(error) = self.begin() {
                    return self.answered(sealed, Err(error));
                }
                let state = self.tasks.get(&id).and_then(Task::state).expect("it has changes");
                let logged = state.log(sealed.next.1);
                let topic = self.changelogs[id.part][logged.store];
                let record = Produce {
                    topic: topic.expect("what is logged has a changelog"),
                    partition: Some(id.partition),
                    key: Some(logged.key),
                    value: logged.value,
                    headers: Headers::EMPTY,
                    timestamp,
                };
                let cause = Cause::Store { task: id, store: logged.store };
                match self.outbox.produce(&record, self.ledger.sealed_token()) {
                    Ok(()) => self.ledger.sealed_produced(cause),
                    Err(broker::Error::Full) => return Ok(Round::Waits),
                    Err(error) => {
                        self.not_produced(cause, error)?;
                        return Ok(Round::Aborted);
                    }
                }
                sealed.next.1 += 1;
            }
            sealed.next = (sealed.next.0 + 1, 0);
        }
        self.outbox.hurry();
        sealed.done = Done::Logged;
        Ok(Round::Waits)
    }

    /// A changelog record of the sealed epoch is there. Without an offset, after a retry, the position before it
    /// stands: records are whole values, so reading some again changes nothing.
    pub(super) fn logged(&mut self, task: TaskId, store: usize, offset: Option<Offset>) {
        let sealed = self
            .sealed
            .as_mut()
            .and_then(|sealed| sealed.tasks.iter_mut().find(|sealed| sealed.id == task));
        if let (Some(sealed), Some(offset)) = (sealed, offset) {
            sealed.logged[store] = sealed.logged[store].max(Some(offset.next()));
        }
    }

    /// Steps 2 and 3.
    fn transact(&mut self, sealed: &mut Sealed) -> Result<(), broker::Error> {
        if sealed.done < Done::Positioned {
            let positions: Vec<_> =
                sealed.tasks.iter().flat_map(|task| task.inputs.iter().cloned()).collect();
            if sealed.membership.is_none() {
                self.begin()?;
                sealed.membership = Some(self.inbox.membership().ok_or_else(not_a_member)?);
            }
            let membership = sealed.membership.as_ref().expect("just asked for");
            self.outbox.send_positions(&positions, membership)?;
            (sealed.done, sealed.asked) = (Done::Positioned, None);
            // The group took them from a member of this generation, and whoever is next waits until the outcome is
            // known. A member that is none any more has nothing to commit.
            self.inbox.membership().ok_or_else(not_a_member)?;
        }
        if sealed.done < Done::Committed {
            // From here on the outcome is known only when the outbox says so.
            self.outbox.commit()?;
            (sealed.done, sealed.asked) = (Done::Committed, None);
            self.in_transaction = false;
        }
        Ok(())
    }

    /// What follows an answer in a transaction.
    fn answered(
        &mut self,
        sealed: &mut Sealed,
        answer: Result<(), broker::Error>,
    ) -> Result<Round, Error> {
        let Err(error) = answer else { return Ok(Round::Committed) };
        match error {
            broker::Error::Abortable(why) => {
                self.abort(&why)?;
                Ok(Round::Aborted)
            }
            broker::Error::Retriable(_) | broker::Error::Unknown(_) => {
                if sealed.asked.get_or_insert_with(Instant::now).elapsed() < PATIENCE {
                    return Ok(Round::Waits);
                }
                // A new producer of this id completes or aborts it, and the changelogs tell which.
                Err(error.into())
            }
            other => Err(other.into()),
        }
    }

    /// Step 4.
    fn write(&mut self, sealed: &mut Sealed) -> Result<(), Error> {
        if sealed.done == Done::Written {
            return Ok(());
        }
        let (begun, now) = (Instant::now(), self.clock.now());
        let mut batch = None;
        for SealedTask { id, logged, .. } in &sealed.tasks {
            if let Some(state) = self.tasks.get_mut(id).and_then(Task::state_mut) {
                let batch = batch.get_or_insert_with(|| self.database.batch());
                state.commit(batch, logged, now);
            }
        }
        if let Some(batch) = batch {
            // Where this fails the worker is made anew, from what RocksDB has and the changelogs know.
            self.database.write(batch)?;
        }
        self.metrics.stored(begun.elapsed());
        sealed.done = Done::Written;
        Ok(())
    }

    /// Step 5. Whether it is settled.
    fn tell_group(&mut self, sealed: &mut Sealed) -> Result<bool, Error> {
        let inputs = sealed.tasks.iter().flat_map(|task| task.inputs.iter().cloned());
        let positions: Vec<_> =
            inputs.filter(|(partition, _)| self.open.contains_key(partition)).collect();
        match self.inbox.commit(&positions) {
            Ok(()) => Ok(true),
            Err(broker::Error::Retriable(trouble) | broker::Error::Unknown(trouble)) => {
                self.troubled(&format!("positions are not committed yet: {trouble}"));
                Ok(false)
            }
            // The group has moved on: what it says next is what to do. The next owner does the rest again.
            Err(broker::Error::Fenced(why)) => {
                let app = &*self.code.topology.app;
                tracing::info!(app, worker = self.number, "not committed: {why}");
                Ok(true)
            }
            Err(other) => Err(other.into()),
        }
    }

    /// Begins the transaction where there is none: with the first record or position of an epoch.
    pub(super) fn begin(&mut self) -> Result<(), broker::Error> {
        if self.guarantee == Guarantee::ExactlyOnce && !self.in_transaction {
            self.outbox.begin()?;
            self.in_transaction = true;
        }
        Ok(())
    }

    /// Produces, waits for acknowledgements and commits what is there, within `patience`; makes no further turn.
    /// Whether nothing is left.
    pub(super) fn drain(&mut self, patience: Duration) -> Result<bool, Error> {
        let deadline = Instant::now() + patience;
        loop {
            self.perform()?;
            let can_seal = self.pending.is_empty() && self.sealed.is_none();
            if can_seal && self.ledger.is_dirty() && self.flush()? {
                self.seal();
            }
            self.commit()?;
            if self.pending.is_empty() && self.sealed.is_none() && !self.ledger.is_dirty() {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            self.acknowledge(Duration::from_millis(1))?;
        }
    }
}

fn inputs(id: TaskId, progress: &Progress) -> Vec<(TopicPartition, Position)> {
    let input = |(topic, position): &(std::sync::Arc<str>, Position)| {
        (TopicPartition { topic: topic.clone(), partition: id.partition }, *position)
    };
    progress.positions.iter().map(input).collect()
}

fn not_a_member() -> broker::Error {
    broker::Error::Abortable("the group has no such member at present".to_owned())
}
