//! A task: the work on one partition number of one sub-topology.
//!
//! Records and ends go in ([`Task::push`], [`Task::end`]); each [`Task::turn`] takes the next records through the
//! operators and answers with [`Effects`], as values: nothing has happened until the worker performs them. A record
//! that fails is found, alone, without harm to its neighbours; what follows is decided here, and the task is then in a
//! state it can be left in: one guest call a turn, so that other tasks go on meanwhile.
//!
//! A task has the state of its functions, lends it to each call, and undoes what a row of a turn wrote where that row
//! turns out not to be handled. Timers are rows like records; a turn has either.
//!
//! No client library, no thread, no clock: time is handed in.

mod buffer;
mod effects;
mod failure;
mod process;
mod source;
#[cfg(test)]
mod tests;
mod time;
mod timers;

use std::{collections::BTreeMap, sync::Arc};

pub use crate::operator::{Cost, Reason, Tally};
pub use effects::{Effects, Failed, OutputRecord, Verdict};
pub use source::Source;

use crate::{
    guest::Scope,
    operator::{Filter, Function},
    record::{Partition, Position, Records, Timestamp},
    store::{self, Progress, TaskState},
    topology::SubTopology,
};
use buffer::{Buffer, Chunk};
use failure::Suspect;
use process::{End, NodeTally, Stop, Walk};
use time::Latest;
use timers::Owner;

/// Which task: sub-topology and partition number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// Index into the topology's parts.
    pub part: usize,
    /// The partition number of all its inputs.
    pub partition: Partition,
}

/// What a turn came to.
#[derive(Debug)]
pub enum Turn {
    /// Nothing to do until more is read.
    Idle,
    /// A record, or a timer, is waited with until then.
    Waiting(Timestamp),
    /// A guest call was made; there may be effects, and a record may have failed.
    Worked {
        /// What is to be done.
        effects: Effects,
        /// The record, or timer, the turn stopped at.
        failed: Option<Box<Failed>>,
    },
}

/// What a node of a task did since this was last asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work {
    /// Records handled.
    pub taken: Tally,
    /// Records emitted.
    pub given: Tally,
    /// What it cost.
    pub cost: Cost,
}

/// What a task remembers though it goes back to the last commit: outputs that were refused for good, and a pause.
#[derive(Debug, Default)]
pub struct Refusals {
    refused: BTreeMap<Source, String>,
    paused: Option<String>,
}

/// See the module's page.
pub struct Task {
    id: TaskId,
    part: Arc<SubTopology>,
    operators: Vec<Function>,
    filters: Vec<Filter>,
    buffer: Buffer,
    /// A turn takes so many records: halved to find a record that fails, doubled as it goes well.
    limit: usize,
    suspect: Option<Suspect>,
    /// Why it stands still until somebody says otherwise.
    paused: Option<String>,
    /// What outputs were refused of for good, and why.
    refused: BTreeMap<Source, String>,
    tallies: Vec<NodeTally>,
    partitions: u32,
    scope: Scope,
    owners: Vec<Option<Owner>>,
    /// The largest event time of the records handled.
    stream_time: Option<Timestamp>,
    /// Stream time by row of the running turn.
    times: Vec<Option<Timestamp>>,
    /// When the first timer is due, as of the last turn.
    next_due: Option<Timestamp>,
}

impl Task {
    /// A task whose inputs begin at these positions, in the order of the sub-topology's inputs; one operator a node.
    /// Each input has so many `partitions`. The state, where the sub-topology has stores, is that of its functions,
    /// complete; stream time is what it has come to before.
    pub fn new(
        id: TaskId,
        part: Arc<SubTopology>,
        operators: Vec<Function>,
        positions: &[Position],
        partitions: u32,
        state: Option<Box<TaskState>>,
        stream_time: Option<Timestamp>,
    ) -> Self {
        let scope = state.map_or_else(Scope::default, |state| {
            let (stores, timers) = (part.stores.clone(), part.timers.clone());
            Scope::new(state, stores, timers, id.partition, partitions)
        });
        let inputs =
            part.inputs.iter().map(|input| input.time.clone()).zip(positions.iter().copied());
        let filters = part.nodes.iter().map(|node| Filter::new(&node.filter)).collect();
        Task {
            id,
            buffer: Buffer::new(inputs),
            operators,
            filters,
            limit: part.batch_records,
            suspect: None,
            paused: None,
            refused: BTreeMap::new(),
            tallies: vec![NodeTally::default(); part.nodes.len()],
            partitions,
            scope,
            owners: Task::owners(&part),
            stream_time,
            times: Vec::new(),
            next_due: None,
            part,
        }
    }

    /// Which task it is.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// What it runs.
    pub fn part(&self) -> &Arc<SubTopology> {
        &self.part
    }

    /// Takes in what was read.
    pub fn push(&mut self, input: usize, records: Records) {
        self.buffer.push(input, records);
    }

    /// An input was read to its end.
    pub fn end(&mut self, input: usize, position: Position) {
        self.buffer.end(input, position);
    }

    /// Bytes of an input that wait to be handled.
    pub fn waiting_bytes(&self, input: usize) -> usize {
        self.buffer.bytes(input)
    }

    /// Records that wait to be handled.
    pub fn waiting_records(&self) -> usize {
        self.buffer.records()
    }

    /// Whether every input is handled to its end.
    pub fn at_end(&self) -> bool {
        self.buffer.at_end()
    }

    /// Whether it has nothing to do until something is read or time passes: every input is handled to its end and no
    /// timer is due, or it waits with a record, or it is paused.
    pub fn is_settled(&self, now: Timestamp) -> bool {
        let due = self.next_due.is_some_and(|due| due <= now.max(self.stream_time.unwrap_or(now)));
        self.suspect.is_some() || self.paused.is_some() || (self.at_end() && !due)
    }

    /// When it has something to do though nothing is read, by the wall clock.
    pub fn wakes_at(&self) -> Option<Timestamp> {
        match &self.suspect {
            _ if self.paused.is_some() => None,
            Some(suspect) => Some(suspect.not_before),
            None if self.at_end() => self.next_due,
            None => None,
        }
    }

    /// What is waited with, if anything, and how often it failed.
    pub fn suspect(&self) -> Option<(Source, u32)> {
        self.suspect.as_ref().map(|suspect| (suspect.source, suspect.attempts))
    }

    /// Why it is paused, where it is.
    pub fn paused(&self) -> Option<&str> {
        self.paused.as_deref()
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// Stands still until it is resumed or its code is swapped.
    pub fn pause(&mut self, why: String) {
        self.paused = Some(why);
    }

    /// Goes on with what it was paused at.
    pub fn resume(&mut self) {
        self.paused = None;
    }

    /// The state of its functions, where it has stores.
    pub fn state(&self) -> Option<&TaskState> {
        self.scope.state()
    }

    /// The state of its functions, where it has stores.
    pub fn state_mut(&mut self) -> Option<&mut TaskState> {
        self.scope.state_mut()
    }

    /// Gives the state away: the task does no more work.
    pub fn take_state(&mut self) -> Option<Box<TaskState>> {
        std::mem::take(&mut self.scope).into_state()
    }

    /// Gives the state away.
    pub fn into_state(self) -> Option<Box<TaskState>> {
        self.scope.into_state()
    }

    /// How far it has come: what is sealed with its state.
    pub fn progress(&self) -> Progress {
        let inputs = self.part.inputs.iter().map(|input| Arc::clone(&input.topic));
        Progress {
            stream_time: self.stream_time,
            positions: inputs.zip(self.buffer.positions()).collect(),
            nodes: Vec::new(),
        }
    }

    /// Deletes some of the state whose time to live is over; see [`TaskState::sweep`]. At the end of the inputs the
    /// wall clock counts, else stream time.
    ///
    /// # Errors
    /// What the disk says.
    pub fn sweep(&mut self, now: Timestamp, budget: usize) -> Result<usize, store::Error> {
        let time = if self.at_end() { self.stream_time.max(Some(now)) } else { self.stream_time };
        match (self.scope.state_mut(), time) {
            (Some(state), Some(time)) => state.sweep(time, budget),
            _ => Ok(0),
        }
    }

    /// Positions that moved since this was last asked.
    pub fn take_moved(&mut self) -> Vec<(usize, Position)> {
        self.buffer.take_moved()
    }

    /// What a node did since this was last asked.
    pub fn take_work(&mut self, node: usize) -> Work {
        let NodeTally { taken, given } = std::mem::take(&mut self.tallies[node]);
        Work { taken, given, cost: self.operators[node].take_cost() }
    }

    /// The next time this comes by it goes to the dead letters: its output was refused for good.
    pub fn refuse(&mut self, source: Source, why: String) {
        self.refused.insert(source, why);
    }

    /// What is to outlive the task where it is made anew from the last commit.
    pub fn take_refusals(&mut self) -> Refusals {
        Refusals { refused: std::mem::take(&mut self.refused), paused: self.paused.take() }
    }

    /// Takes over from the task that this one replaces.
    pub fn give_refusals(&mut self, refusals: Refusals) {
        self.refused.extend(refusals.refused);
        self.paused = refusals.paused.or(self.paused.take());
    }

    /// Goes on with other code, from the next record on.
    pub fn swap(&mut self, part: Arc<SubTopology>, operators: Vec<Function>) {
        self.filters = part.nodes.iter().map(|node| Filter::new(&node.filter)).collect();
        self.tallies = vec![NodeTally::default(); part.nodes.len()];
        self.limit = part.batch_records;
        self.operators = operators;
        self.owners = Task::owners(&part);
        self.part = part;
        // New code gets a chance at once.
        self.suspect = None;
        self.paused = None;
    }

    /// Takes the next records, or the timers that are due before them, through the operators.
    ///
    /// # Errors
    /// What the disk says, which is no record's doing: nothing has happened then, and the task is of no more use.
    pub fn turn(&mut self, now: Timestamp) -> Result<Turn, store::Error> {
        match &self.suspect {
            _ if self.paused.is_some() => return Ok(Turn::Idle),
            Some(suspect) if suspect.not_before > now => {
                return Ok(Turn::Waiting(suspect.not_before));
            }
            _ => {}
        }
        if let Some(state) = self.scope.state_mut() {
            state.begin();
        }
        let turn = self.attempt(now);
        match &turn {
            Ok(_) => self.look_at_timers(),
            Err(_) => self.keep(0),
        }
        turn
    }

    fn attempt(&mut self, now: Timestamp) -> Result<Turn, store::Error> {
        let chunk = self.next(now)?;
        if chunk.rows.is_empty() {
            return Ok(Turn::Idle);
        }
        let walk = Walk {
            part: &self.part,
            partition: self.id.partition,
            partitions: self.partitions,
            operators: &mut self.operators,
            filters: &self.filters,
            owners: &self.owners,
            scope: &mut self.scope,
            attempt: self.suspect.as_ref().map_or(0, |suspect| suspect.attempts),
            tallies: &mut self.tallies,
        };
        match walk.run(chunk) {
            Err(End::Narrow { node, limit, reason }) => {
                tracing::debug!(function = &*self.part.nodes[node].name, limit, %reason, "looking for the record");
                self.limit = limit;
                self.keep(0);
                Ok(Turn::Worked { effects: Effects::default(), failed: None })
            }
            Err(End::Storage(error)) => Err(error),
            Ok((effects, stop)) => self.conclude(effects, stop, now),
        }
    }

    /// Undoes what rows from here on wrote to the state.
    fn keep(&mut self, rows: usize) {
        self.scope.keep(u32::try_from(rows).expect("a chunk has few rows"));
    }

    /// The rows of the next turn: what is tried again, or records, or timers that are due before them.
    fn next(&mut self, now: Timestamp) -> Result<Chunk, store::Error> {
        let latest = Latest { now, ahead_max: self.part.max_ahead };
        let chunk = match self.suspect.as_ref().map(|suspect| suspect.source) {
            Some(Source::Timer { due, .. }) => {
                let chunk = self.fire(due, 1)?;
                if chunk.rows.is_empty() {
                    // It is not set any more.
                    self.suspect = None;
                }
                chunk
            }
            Some(Source::Record { input, .. }) => {
                let chunk = self.condemn(self.buffer.pick_head(input, &latest));
                self.schedule(chunk, now)?
            }
            None => {
                let chunk = self.buffer.pick(self.limit, self.part.batch_bytes, &latest);
                let chunk = self.condemn(chunk);
                self.schedule(chunk, now)?
            }
        };
        Ok(if chunk.is_fired() { self.condemn(chunk) } else { chunk })
    }

    /// Marks what outputs were refused of before.
    fn condemn(&self, mut chunk: Chunk) -> Chunk {
        if !self.refused.is_empty() {
            for row in 0..chunk.rows.len() {
                if let Some(why) = self.refused.get(&chunk.source(row)) {
                    chunk.rows[row].time = Err(why.clone());
                }
            }
        }
        chunk
    }

    fn conclude(
        &mut self,
        mut effects: Effects,
        stop: Option<Stop>,
        now: Timestamp,
    ) -> Result<Turn, store::Error> {
        self.keep(effects.handled);
        if effects.handled > 0 {
            self.suspect = None;
        }
        let failed = match stop {
            None => {
                self.limit = (self.limit * 2).min(self.part.batch_records);
                None
            }
            Some(stop) => Some(Box::new(self.judge(stop, &mut effects, now)?)),
        };
        if let Some(last) = effects.handled.checked_sub(1)
            && let Some(time) = self.times.get(last)
        {
            self.stream_time = *time;
        }
        self.buffer.done(&effects.chunk.rows[..effects.handled]);
        if !self.refused.is_empty() {
            for row in 0..effects.handled {
                self.refused.remove(&effects.chunk.source(row));
            }
        }
        effects.positions = self.buffer.take_moved();
        Ok(Turn::Worked { effects, failed })
    }
}
