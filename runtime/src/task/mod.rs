//! A task: the work on one partition number of one sub-topology.
//!
//! Records and ends go in ([`Task::push`], [`Task::end`]); each [`Task::turn`] takes the next records through the
//! operators and answers with [`Effects`], as values: nothing has happened until the worker performs them. A record
//! that fails is found, alone, without harm to its neighbours; what follows is decided here, and the task is then in a
//! state it can be left in: one guest call a turn, so that other tasks go on meanwhile.
//!
//! A task has the state of its functions, lends it to each call, and undoes what a row of a turn wrote where that row
//! turns out not to be handled. Timers are rows like records, and so are results of nodes where no row brings them about;
//! a turn has one of the three.
//!
//! No client library, no thread, no clock: time is handed in.

mod buffer;
mod effects;
mod failure;
mod host;
mod order;
mod process;
mod results;
mod source;
#[cfg(test)]
mod tests;
mod time;
mod timers;
mod visit;

use std::{collections::BTreeMap, sync::Arc};

pub use crate::operator::{Cost, Reason, Tally};
pub use effects::{Effects, Failed, LateRecord, OutputRecord, Verdict};
pub use source::Source;

use crate::{
    aggregate::{self, Engine},
    guest::Scope,
    operator::{Filter, Operator},
    record::{Partition, Position, Records, Timestamp},
    store::{self, NodeProgress, Progress, TaskState},
    topology::{self, AggregateNode, Node, SubTopology},
};
use buffer::{Buffer, Chunk};
use failure::Suspect;
use process::{End, NodeTally, Stop, Walk};
use results::Results;
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
    /// Records that came too late for it.
    pub late: u64,
    /// What it cost.
    pub cost: Cost,
}

/// What a task remembers though it goes back to the last commit: outputs that were refused for good, a pause, and up to
/// where its nodes were hurried.
#[derive(Debug, Default)]
pub struct Refusals {
    refused: BTreeMap<Source, String>,
    paused: Option<String>,
    hurried: Option<Timestamp>,
}

/// See the module's page.
pub struct Task {
    id: TaskId,
    part: Arc<SubTopology>,
    operators: Vec<Operator>,
    filters: Vec<Filter>,
    buffer: Buffer,
    /// A turn takes so many records: halved to find a record that fails, doubled as it goes well.
    limit: usize,
    /// Each on behalf of the one below: results that failed before a row that brings them about.
    suspects: Vec<Suspect>,
    results: Results,
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
    /// Each input has so many `partitions`. The state, where the sub-topology has stores, is that of its nodes,
    /// complete; `progress` is how far it had come with that.
    pub fn new(
        id: TaskId,
        part: Arc<SubTopology>,
        mut operators: Vec<Operator>,
        positions: &[Position],
        partitions: u32,
        state: Option<Box<TaskState>>,
        progress: &Progress,
    ) -> Self {
        let mut scope = state.map_or_else(Scope::default, |state| {
            let (stores, timers) = (part.stores.clone(), part.timers.clone());
            let engines = engines(&part);
            Scope::new(state, stores, timers, id.partition, partitions).with_engines(engines)
        });
        let inputs =
            part.inputs.iter().map(|input| input.time.clone()).zip(positions.iter().copied());
        let filters = part.nodes.iter().map(|node| Filter::new(&node.filter)).collect();
        for (node, operator) in part.nodes.iter().zip(&mut operators) {
            resume(&part, node, operator, &progress.nodes, &mut scope);
        }
        Task {
            id,
            buffer: Buffer::new(inputs),
            operators,
            filters,
            limit: part.batch_records,
            suspects: Vec::new(),
            results: Results::new(&part),
            paused: None,
            refused: BTreeMap::new(),
            tallies: vec![NodeTally::default(); part.nodes.len()],
            partitions,
            scope,
            owners: Task::owners(&part),
            stream_time: progress.stream_time,
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
        self.results.interrupt();
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
    /// timer and no result is due, or it waits with something, or it is paused.
    pub fn is_settled(&self, now: Timestamp) -> bool {
        let due = self.next_due.is_some_and(|due| due <= now.max(self.stream_time.unwrap_or(now)));
        let due = due || self.results.is_due(now);
        !self.suspects.is_empty() || self.paused.is_some() || (self.at_end() && !due)
    }

    /// When it has something to do though nothing is read, by the wall clock.
    pub fn wakes_at(&self) -> Option<Timestamp> {
        match self.suspects.last() {
            _ if self.paused.is_some() => None,
            Some(suspect) => Some(suspect.not_before),
            None => {
                let timer = self.next_due.filter(|_| self.at_end());
                [timer, self.results.next_due()].into_iter().flatten().min()
            }
        }
    }

    /// What is waited with, if anything, and how often it failed.
    pub fn suspect(&self) -> Option<(Source, u32)> {
        self.suspects.last().map(|suspect| (suspect.source, suspect.attempts))
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
            nodes: self.nodes_progress(),
        }
    }

    fn nodes_progress(&self) -> Vec<NodeProgress> {
        let nodes = self.part.nodes.iter().zip(&self.operators);
        let progress = nodes.filter_map(|(node, operator)| {
            let progress = operator.host()?.progress(&self.scope)?;
            Some(NodeProgress { node: Arc::clone(timed(&self.part, node)), ..progress })
        });
        progress.collect()
    }

    /// Deletes some of the state whose time to live is over, see [`TaskState::sweep`], and of what is older than the
    /// retention of the nodes. At the end of the inputs the wall clock counts for the former, else stream time.
    ///
    /// # Errors
    /// What the disk says.
    pub fn sweep(&mut self, now: Timestamp, budget: usize) -> Result<usize, store::Error> {
        let time = if self.at_end() { self.stream_time.max(Some(now)) } else { self.stream_time };
        let mut swept = match (self.scope.state_mut(), time) {
            (Some(state), Some(time)) => state.sweep(time, budget)?,
            _ => 0,
        };
        for host in self.operators.iter_mut().filter_map(Operator::host_mut) {
            swept += host.expire(&mut self.scope, budget)?;
        }
        Ok(swept)
    }

    /// Positions that moved since this was last asked.
    pub fn take_moved(&mut self) -> Vec<(usize, Position)> {
        self.buffer.take_moved()
    }

    /// What a node did since this was last asked.
    pub fn take_work(&mut self, node: usize) -> Work {
        let NodeTally { taken, given, late } = std::mem::take(&mut self.tallies[node]);
        Work { taken, given, late, cost: self.operators[node].take_cost() }
    }

    /// The next time this comes by it goes to the dead letters: its output was refused for good.
    pub fn refuse(&mut self, source: Source, why: String) {
        self.refused.insert(source, why);
    }

    /// What is to outlive the task where it is made anew from the last commit.
    pub fn take_refusals(&mut self) -> Refusals {
        Refusals {
            refused: std::mem::take(&mut self.refused),
            paused: self.paused.take(),
            hurried: self.results.hurried(),
        }
    }

    /// Takes over from the task that this one replaces.
    pub fn give_refusals(&mut self, refusals: Refusals) {
        self.refused.extend(refusals.refused);
        self.paused = refusals.paused.or(self.paused.take());
        if let Some(until) = refusals.hurried {
            self.hurry(until);
        }
    }

    /// Goes on with other code, from the next record on. Operators of the host that are to do the same as before stay,
    /// with what they keep in memory.
    ///
    /// # Errors
    /// What the disk says: the task is of no more use then.
    pub fn swap(
        &mut self,
        part: Arc<SubTopology>,
        operators: Vec<Operator>,
        now: Timestamp,
    ) -> Result<(), store::Error> {
        self.begin(now);
        self.save_changes()?;
        let progress = self.nodes_progress();
        for (store, spec) in &part.aggregates {
            if self.part.aggregates.get(store) != Some(spec) {
                self.scope.set_engine(*store, Box::new(Engine::new(*store, spec)));
            }
        }
        let old = std::mem::replace(&mut self.operators, operators);
        let mut old: Vec<_> = self.part.nodes.iter().zip(old).collect();
        for (node, operator) in part.nodes.iter().zip(&mut self.operators) {
            let same = old.iter().position(|(it, _)| is_same(it, &self.part, node, &part));
            match same {
                Some(same) => *operator = old.swap_remove(same).1,
                None => resume(&part, node, operator, &progress, &mut self.scope),
            }
        }
        self.filters = part.nodes.iter().map(|node| Filter::new(&node.filter)).collect();
        self.tallies = vec![NodeTally::default(); part.nodes.len()];
        self.limit = part.batch_records;
        self.owners = Task::owners(&part);
        self.results = Results::new(&part);
        self.part = part;
        // New code gets a chance at once.
        self.suspects.clear();
        self.paused = self.check()?.err().map(|refused| refused.to_string());
        Ok(())
    }

    /// Whether what its aggregate stores hold was made for what they are declared to be.
    ///
    /// # Errors
    /// What the disk says; inside, that it was not.
    pub fn check(&self) -> Result<Result<(), aggregate::Refused>, store::Error> {
        let Some(state) = self.scope.state() else { return Ok(Ok(())) };
        for store in self.part.aggregates.keys() {
            if let Some(engine) = self.scope.engine_at(*store)
                && let Err(refused) = engine.check(state)?
            {
                return Ok(Err(refused));
            }
        }
        Ok(Ok(()))
    }

    /// Takes the next records, or the timers and results that are due before them, through the operators.
    ///
    /// # Errors
    /// What the disk says, which is no record's doing: nothing has happened then, and the task is of no more use.
    pub fn turn(&mut self, now: Timestamp) -> Result<Turn, store::Error> {
        match self.suspects.last() {
            _ if self.paused.is_some() => return Ok(Turn::Idle),
            Some(suspect) if suspect.not_before > now => {
                return Ok(Turn::Waiting(suspect.not_before));
            }
            _ => {}
        }
        self.begin(now);
        self.look_at_results(now)?;
        let turn = self.next(now).and_then(|chunk| self.attempt(chunk, now));
        self.end_turn(&turn, now)?;
        turn
    }

    /// Lets out the next changes that wait for the end of an epoch: before it is sealed this is called until it answers
    /// something else than [`Turn::Worked`]. A record that is waited with does not hinder it. Where a result is waited
    /// with, or the task is paused at one, what did not come out is written down with the state.
    ///
    /// # Errors
    /// As [`turn`](Self::turn).
    pub fn flush(&mut self, now: Timestamp) -> Result<Turn, store::Error> {
        if !self.is_thinned() {
            return Ok(Turn::Idle);
        }
        self.begin(now);
        if let Some(suspect) = self.suspects.last().filter(|suspect| suspect.result.is_some())
            && (self.paused.is_some() || suspect.not_before > now)
        {
            let until = suspect.not_before;
            self.save_changes()?;
            return Ok(Turn::Waiting(until));
        }
        let mut chunk = self.first_of_all()?;
        if chunk.rows.is_empty() {
            chunk = self.changed_results()?;
        }
        let turn = self.attempt(self.condemn(chunk), now);
        self.end_turn(&turn, now)?;
        turn
    }

    fn begin(&mut self, now: Timestamp) {
        if let Some(state) = self.scope.state_mut() {
            state.begin();
        }
        for host in self.operators.iter_mut().filter_map(Operator::host_mut) {
            host.begin(now, &mut self.scope);
        }
    }

    fn end_turn(
        &mut self,
        turn: &Result<Turn, store::Error>,
        now: Timestamp,
    ) -> Result<(), store::Error> {
        match turn {
            Ok(turn) => {
                if matches!(turn, Turn::Worked { .. }) {
                    self.results_moved();
                }
                self.look_at_timers();
                self.look_at_results(now)
            }
            Err(_) => {
                self.keep(0);
                Ok(())
            }
        }
    }

    fn attempt(&mut self, chunk: Chunk, now: Timestamp) -> Result<Turn, store::Error> {
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
            enough: None,
            attempt: self
                .suspects
                .last()
                .filter(|suspect| suspect.source == chunk.source(0))
                .map_or(0, |suspect| suspect.attempts),
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

    /// Undoes what rows from here on did to the state, and to what operators keep in memory.
    fn keep(&mut self, rows: usize) {
        let rows = u32::try_from(rows).expect("a chunk has few rows");
        self.scope.keep(rows);
        for host in self.operators.iter_mut().filter_map(Operator::host_mut) {
            host.keep(rows);
        }
    }

    /// A result that is tried again, or results that go before the row that brought them about.
    fn first_of_all(&mut self) -> Result<Chunk, store::Error> {
        match self.suspects.last().and_then(|suspect| suspect.result.clone()) {
            Some((node, due)) => Ok(self.results_as_rows(node, vec![due])),
            None => self.set_aside_results(),
        }
    }

    /// The rows of the next turn: what is tried again, or records, or timers and results that are due before them.
    fn next(&mut self, now: Timestamp) -> Result<Chunk, store::Error> {
        let latest = Latest { now, ahead_max: self.part.max_ahead };
        let first = self.first_of_all()?;
        if !first.rows.is_empty() {
            return Ok(self.condemn(first));
        }
        let chunk = match self.suspects.last().map(|suspect| suspect.source) {
            Some(Source::Timer { due, .. }) => {
                let chunk = self.fire(due, 1)?;
                if chunk.rows.is_empty() {
                    // It is not set any more.
                    self.suspects.pop();
                }
                chunk
            }
            Some(Source::Record { input, .. }) => {
                let chunk = self.condemn(self.buffer.pick_head(input, &latest));
                self.schedule(chunk, now)?
            }
            Some(Source::Result { .. }) | None => self.regular(&latest)?,
        };
        Ok(if chunk.is_fired() { self.condemn(chunk) } else { chunk })
    }

    /// Records where nothing failed before, or what is due before them.
    fn regular(&mut self, latest: &Latest) -> Result<Chunk, store::Error> {
        let paced = self.paced_results(latest.now)?;
        if !paced.rows.is_empty() {
            return Ok(paced);
        }
        let chunk = self.buffer.pick(self.limit, self.part.batch_bytes, latest);
        let chunk = self.condemn(chunk);
        let chunk = self.schedule(chunk, latest.now)?;
        if chunk.rows.is_empty() && self.buffer.at_end() {
            return self.closed_results(latest.now);
        }
        Ok(chunk)
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
            self.suspects.pop_if(|suspect| suspect.source == effects.chunk.source(0));
        }
        if stop.is_none() {
            self.limit = (self.limit * 2).min(self.part.batch_records);
        }
        let stop = stop.filter(|stop| !self.set_aside(stop, &effects));
        let failed = match stop {
            None => None,
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

/// The engines of the aggregates among the stores, by store.
fn engines(part: &SubTopology) -> Vec<Option<Box<Engine>>> {
    let engine = |store| part.aggregates.get(&store).map(|spec| Box::new(Engine::new(store, spec)));
    (0..part.stores.len()).map(engine).collect()
}

/// As what the time of a node is kept: that of an aggregate is its store's, for those who read there.
fn timed<'a>(part: &'a SubTopology, node: &'a Node) -> &'a Arc<str> {
    match &node.work {
        topology::Work::Aggregate(aggregate) => &part.stores[aggregate.store].name,
        _ => &node.name,
    }
}

/// Has an operator of the host go on from where its node had come to.
fn resume(
    part: &SubTopology,
    node: &Node,
    operator: &mut Operator,
    progress: &[NodeProgress],
    scope: &mut Scope,
) {
    if let Some(host) = operator.host_mut()
        && let Some(progress) = progress.iter().find(|progress| progress.node == *timed(part, node))
    {
        host.resume(progress, scope);
    }
}

/// Whether nodes of two versions of a sub-topology, operators of the host both, do the same.
fn is_same(one: &Node, of: &SubTopology, other: &Node, of_other: &SubTopology) -> bool {
    let spec = |aggregate: &AggregateNode, part: &SubTopology| {
        part.aggregates.get(&aggregate.store).cloned()
    };
    one.name == other.name
        && one.outputs.len() == other.outputs.len()
        && match (&one.work, &other.work) {
            (topology::Work::Aggregate(one), topology::Work::Aggregate(other)) => {
                one == other && spec(one, of) == spec(other, of_other)
            }
            (topology::Work::Join(one), topology::Work::Join(other)) => one == other,
            _ => false,
        }
}
