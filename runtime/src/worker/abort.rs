//! Back to the last commit: what is not committed is dropped and read again.

use std::time::{Duration, Instant};

use super::{Error, Worker, commit::Sealed, ledger::Cause, partition_of};
use crate::{
    broker,
    record::Position,
    store::Progress,
    task::{Task, TaskId},
};

/// Going back to the last commit so often, each time within so short a time, is of no help.
const ABORTS_IN_A_ROW: u32 = 3;
const ABORTS_APART: Duration = Duration::from_millis(100);
/// How long the abort of a transaction may be asked for again, and how long to wait each time.
const PATIENCE: Duration = Duration::from_secs(20);
const ABORT_WAIT: Duration = Duration::from_millis(1);

impl Worker {
    /// Drops all that is not committed and reads it again. Where that happens again at once, the clients are made anew
    /// after a wait.
    pub(super) fn abort(&mut self, why: &str) -> Result<(), Error> {
        self.metrics.aborted();
        if self.sealed.as_ref().is_some_and(Sealed::is_being_decided) {
            // It may be committed. A new producer of this id finds out, and the changelogs tell.
            return Err(broker::Error::Unknown(why.to_owned()).into());
        }
        let again = self.aborted_at.replace(Instant::now());
        let again = again.is_some_and(|at| at.elapsed() < ABORTS_APART);
        self.aborts_in_a_row = if again { self.aborts_in_a_row + 1 } else { 1 };
        if self.aborts_in_a_row > ABORTS_IN_A_ROW {
            return Err(broker::Error::Retriable(why.to_owned()).into());
        }
        let app = &*self.code.topology.app;
        tracing::warn!(app, worker = self.number, "back to the last commit: {why}");
        self.abort_transaction()?;
        if let Some(sealed) = self.sealed.take() {
            // Under at-least-once only the group may not know of it yet.
            self.went_on(sealed);
        }
        self.flushing = false;
        self.pending.clear();
        self.pending_bytes = 0;
        self.ledger.reset();
        let ids: Vec<TaskId> = self.tasks.keys().copied().collect();
        ids.into_iter().try_for_each(|id| self.rewind(id))
    }

    /// A task as it was at the last commit.
    fn rewind(&mut self, id: TaskId) -> Result<(), Error> {
        self.count(id);
        let Some(mut old) = self.tasks.remove(&id) else { return Ok(()) };
        let partitions: Vec<_> =
            (0..old.part().inputs.len()).map(|input| partition_of(&old, input)).collect();
        let positions: Vec<Position> = partitions
            .iter()
            .map(|partition| self.open.get(partition).copied().unwrap_or(Position::START))
            .collect();
        for (partition, position) in partitions.iter().zip(&positions) {
            self.inbox.seek(partition, *position)?;
        }
        let (part, refusals) = (old.part().clone(), old.take_refusals());
        let mut state = old.into_state();
        let mut progress = Progress::default();
        if let Some(state) = &mut state {
            state.abort();
            progress = state.live()?;
        }
        let (operators, partitions) = (self.code.operators(id.part), self.code.partitions(id.part));
        let mut task = Task::new(id, part, operators, &positions, partitions, state, &progress);
        task.give_refusals(refusals);
        self.add(id, task);
        Ok(())
    }

    /// Ends the open transaction, if there is one, so that nobody ever sees what is in it. What was produced is not
    /// heard of any more.
    pub(super) fn abort_transaction(&mut self) -> Result<(), broker::Error> {
        if !std::mem::take(&mut self.in_transaction) {
            return Ok(());
        }
        self.metrics.transaction_aborted();
        let deadline = Instant::now() + PATIENCE;
        let mut asked = false;
        loop {
            match self.outbox.abort() {
                Ok(()) => return Ok(()),
                // Done the last time, though the answer was another.
                Err(broker::Error::Refused(_)) if asked => return Ok(()),
                Err(broker::Error::Retriable(_) | broker::Error::Unknown(_))
                    if Instant::now() < deadline =>
                {
                    asked = true;
                    // What is dropped with it must be heard of, or it does not end.
                    self.outbox.poll(ABORT_WAIT, &mut |_| {})?;
                }
                Err(other) => return Err(other),
            }
        }
    }

    /// A record that could not be produced: what its cause pays, and back to the last commit.
    pub(super) fn not_produced(&mut self, cause: Cause, error: broker::Error) -> Result<(), Error> {
        match (cause, &error) {
            (_, broker::Error::Fatal(_) | broker::Error::Fenced(_)) => Err(error.into()),
            (
                Cause::Output { task: id, source },
                broker::Error::TooLarge(why) | broker::Error::Refused(why),
            ) => {
                // It goes to the dead letters the next time.
                if let Some(task) = self.tasks.get_mut(&id) {
                    task.refuse(source, format!("its output was refused: {why}"));
                }
                self.abort(&format!("an output was refused: {why}"))
            }
            (
                Cause::Store { task: id, store },
                broker::Error::TooLarge(why) | broker::Error::Refused(why),
            ) => {
                let store = &self.code.topology.parts[id.part].stores[store];
                let (name, topic) = (&store.name, &store.topic);
                let why = format!("a value of store `{name}` was refused by {topic}: {why}");
                self.pause(id, why)
            }
            _ => self.abort(&format!("a record could not be produced: {error}")),
        }
    }

    /// Nothing is dropped and nothing left out: the task waits for somebody to mend it.
    fn pause(&mut self, id: TaskId, why: String) -> Result<(), Error> {
        if let Some(task) = self.tasks.get_mut(&id) {
            let app = &*self.code.topology.app;
            tracing::error!(app, partition = id.partition.0, "paused: {why}");
            task.pause(why.clone());
        }
        self.abort(&why)
    }
}
