//! Faults that tests inject into the outboxes of an embedded log: corked, fenced or killed, at any step.
//!
//! A fault is used once, by the first outbox that comes to its step. Nothing happens by chance.

use std::sync::Arc;

use super::state::Shared;
use crate::broker::Error;

/// A call of an outbox, or what it does to one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// [`Outbox::produce`](crate::broker::Outbox::produce).
    Produce,
    /// A record's way into the log: an error here comes with its delivery.
    Deliver,
    /// [`Outbox::begin`](crate::broker::Outbox::begin).
    Begin,
    /// [`Outbox::send_positions`](crate::broker::Outbox::send_positions).
    SendPositions,
    /// [`Outbox::commit`](crate::broker::Outbox::commit).
    Commit,
    /// [`Outbox::abort`](crate::broker::Outbox::abort).
    Abort,
}

/// On which side of the step's effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The step has no effect.
    Before,
    /// The step has its effect, the caller does not learn of it.
    After,
}

/// What happens.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The caller gets this error.
    Error(Error),
    /// A newer producer takes over: this call and all later ones answer [`Error::Fenced`].
    Fence,
    /// The outbox is dead as if its process were: all calls answer [`Error::Fatal`], its transaction stays open.
    Kill,
}

#[derive(Debug)]
struct Planned {
    step: Step,
    when: When,
    skip: usize,
    fault: Fault,
}

/// What is planned, inside the log's state.
#[derive(Debug, Default)]
pub(super) struct Plan {
    planned: Vec<Planned>,
    pub corked: bool,
}

impl Plan {
    pub fn take(&mut self, step: Step, when: When) -> Option<Fault> {
        let index =
            self.planned.iter().position(|planned| (planned.step, planned.when) == (step, when))?;
        if let Some(skip) = self.planned[index].skip.checked_sub(1) {
            self.planned[index].skip = skip;
            return None;
        }
        Some(self.planned.remove(index).fault)
    }
}

/// The faults of one log: see [`MemoryLog::faults`](super::MemoryLog::faults).
#[derive(Debug, Clone)]
pub struct Faults(pub(super) Arc<Shared>);

impl Faults {
    /// Plans a fault for a step, after `skip` times without.
    pub fn plan(&self, step: Step, when: When, skip: usize, fault: Fault) {
        self.0.lock().faults.planned.push(Planned { step, when, skip, fault });
    }

    /// From now on no delivery is handed over.
    pub fn cork(&self) {
        self.0.lock().faults.corked = true;
    }

    /// Deliveries come again.
    pub fn uncork(&self) {
        let mut state = self.0.lock();
        state.faults.corked = false;
        state.change();
    }

    /// How many planned faults have not happened.
    pub fn pending(&self) -> usize {
        self.0.lock().faults.planned.len()
    }
}
