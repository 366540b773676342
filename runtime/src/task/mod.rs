//! A task: the work on one partition number of one sub-topology.
//!
//! Records and ends go in ([`Task::push`], [`Task::end`]); each [`Task::turn`] takes the next records through the
//! operators and answers with [`Effects`], as values: nothing has happened until the worker performs them. A record
//! that fails is found, alone, without harm to its neighbours; what follows is decided here, and the task is then in a
//! state it can be left in: one guest call a turn, so that other tasks go on meanwhile.
//!
//! No client library, no thread, no clock: time is handed in.

mod buffer;
mod effects;
mod failure;
mod process;
mod time;

use std::{collections::BTreeMap, sync::Arc};

pub use crate::operator::{Cost, Reason, Tally};
pub use effects::{Effects, Failed, OutputRecord, Verdict};

use crate::{
    operator::{Filter, Function},
    record::{Offset, Partition, Position, Records, Timestamp},
    topology::SubTopology,
};
use buffer::{Buffer, Chunk};
use failure::Suspect;
use process::{NodeTally, Stop, Walk, Walked};

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
    /// A record is waited with until then.
    Waiting(Timestamp),
    /// A guest call was made; there may be effects, and a record may have failed.
    Worked {
        /// What is to be done.
        effects: Effects,
        /// The record the turn stopped at.
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
    /// Source records whose outputs were refused for good, and why.
    refused: BTreeMap<(usize, Offset), String>,
    tallies: Vec<NodeTally>,
}

impl Task {
    /// A task whose inputs begin at these positions, in the order of the sub-topology's inputs; one operator a node.
    pub fn new(
        id: TaskId,
        part: Arc<SubTopology>,
        operators: Vec<Function>,
        positions: &[Position],
    ) -> Self {
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
            refused: BTreeMap::new(),
            tallies: vec![NodeTally::default(); part.nodes.len()],
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

    /// The record that is waited with, if any: its input, offset and how often it failed.
    pub fn suspect(&self) -> Option<(usize, Offset, u32)> {
        self.suspect.as_ref().map(|suspect| (suspect.input, suspect.offset, suspect.attempts))
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

    /// The next time a source record comes by it goes to the dead letters: its output was refused for good.
    pub fn refuse(&mut self, input: usize, offset: Offset, why: String) {
        self.refused.insert((input, offset), why);
    }

    /// Takes over which records were refused, from the task that this one replaces.
    pub fn inherit_refusals(&mut self, other: Task) {
        self.refused.extend(other.refused);
    }

    /// Goes on with other code, from the next record on.
    pub fn swap(&mut self, part: Arc<SubTopology>, operators: Vec<Function>) {
        self.filters = part.nodes.iter().map(|node| Filter::new(&node.filter)).collect();
        self.tallies = vec![NodeTally::default(); part.nodes.len()];
        self.limit = part.batch_records;
        self.operators = operators;
        self.part = part;
        // New code gets a chance at once.
        self.suspect = None;
    }

    /// Takes the next records through the operators.
    pub fn turn(&mut self, now: Timestamp) -> Turn {
        let chunk = match &self.suspect {
            Some(suspect) if suspect.not_before > now => return Turn::Waiting(suspect.not_before),
            Some(suspect) => self.buffer.pick_head(suspect.input),
            None => self.buffer.pick(self.limit, self.part.batch_bytes),
        };
        if chunk.rows.is_empty() {
            return Turn::Idle;
        }
        let chunk = self.condemn(chunk);
        let walk = Walk {
            part: &self.part,
            partition: self.id.partition,
            operators: &mut self.operators,
            filters: &self.filters,
            attempt: self.suspect.as_ref().map_or(0, |suspect| suspect.attempts),
            tallies: &mut self.tallies,
        };
        match walk.run(chunk) {
            Walked::Narrow { node, rows, fault } => {
                tracing::debug!(function = &*self.part.nodes[node].name, rows, %fault, "looking for the record");
                self.limit = (rows / 2).max(1);
                Turn::Worked { effects: Effects::default(), failed: None }
            }
            Walked::Done { effects, stop } => self.conclude(effects, stop, now),
        }
    }

    /// Marks records whose outputs were refused before.
    fn condemn(&self, mut chunk: Chunk) -> Chunk {
        if !self.refused.is_empty() {
            for row in 0..chunk.rows.len() {
                let at = (chunk.rows[row].input, chunk.record(row).offset);
                if let Some(why) = self.refused.get(&at) {
                    chunk.rows[row].time = Err(why.clone());
                }
            }
        }
        chunk
    }

    fn conclude(&mut self, mut effects: Effects, stop: Option<Stop>, now: Timestamp) -> Turn {
        if effects.handled > 0 {
            self.suspect = None;
        }
        let failed = match stop {
            None => {
                self.limit = (self.limit * 2).min(self.part.batch_records);
                None
            }
            Some(stop) => Some(Box::new(self.judge(stop, &mut effects, now))),
        };
        self.buffer.done(&effects.chunk.rows[..effects.handled]);
        if !self.refused.is_empty() {
            for row in 0..effects.handled {
                self.refused
                    .remove(&(effects.chunk.rows[row].input, effects.chunk.record(row).offset));
            }
        }
        effects.positions = self.buffer.take_moved();
        Turn::Worked { effects, failed }
    }
}
