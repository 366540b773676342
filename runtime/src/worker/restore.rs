//! Bringing up tasks: from partitions that are open to a task whose state is complete.
//!
//! ```text
//! inputs open, held -> lease had -> what is kept locally judged -> stores read to their ends -> inputs aligned -> task at work
//!                      ^ tried again in every step: another worker of this process may still have it
//! ```
//! Local state is resumed where it is provably a prefix of its topic, else rebuilt, with the reason in the log. A
//! changelog is complete at its high watermark as it was after the inputs were open: whoever owned the task before can
//! have written nothing behind it that counts. Reading only what is committed, an end below it is a transaction that is
//! not over: it is waited for. Meanwhile the loop goes on for the other tasks.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Error, Worker,
    facts::TopicFacts,
    follow::{Came, Reading},
    resume::{Found, Verdict, begins_at, judge},
};
use crate::{
    broker::{self, Admin, Bound, OnMissingOffset},
    manifest::Guarantee,
    record::{Partition, Position, Records, TopicPartition},
    store::{Database, Kind, Lease, Progress, TaskKey, TaskState},
    task::{Task, TaskId},
    topology::SubTopology,
};

/// How long a step reads while nothing else is at work, and while tasks are.
const SLICE_ALONE: Duration = Duration::from_millis(50);
const SLICE: Duration = Duration::from_millis(10);
/// How often progress is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// A task whose inputs are open and whose state is not complete.
pub(super) struct Coming {
    begun: Instant,
    /// None while somebody else in this process has it.
    state: Option<Box<TaskState>>,
    /// What broadcast tables must have reached: by table, then by partition.
    tables: Vec<(Arc<str>, Vec<Position>)>,
    restored: Restored,
}

/// What was read into a state.
#[derive(Debug, Clone, Copy, Default)]
struct Restored {
    records: u64,
    bytes: u64,
}

/// A store and its topic's partition.
pub(super) struct Wanted {
    pub(super) task: TaskId,
    pub(super) store: usize,
    pub(super) partition: TopicPartition,
    pub(super) topic_id: Arc<str>,
}

impl Worker {
    /// Goes on with tasks that are coming, and with the tables of those that are there. Whether something was done.
    pub(super) fn bring_up(&mut self) -> Result<bool, Error> {
        let opened = self.open_rest()?;
        let leased = self.lease()?;
        let read = self.read()?;
        let ready = self.make_ready()?;
        Ok(opened || leased || read || ready)
    }

    /// Looks for tasks whose inputs are all open.
    pub(super) fn complete(&mut self) {
        let topology = Arc::clone(&self.code.topology);
        let numbers: std::collections::BTreeSet<Partition> =
            self.open.keys().map(|partition| partition.partition).collect();
        for (index, part) in topology.parts.iter().enumerate() {
            for number in &numbers {
                let id = TaskId { part: index, partition: *number };
                let known = self.tasks.contains_key(&id) || self.coming.contains_key(&id);
                if !known && part.partitions(number.0).all(|input| self.open.contains_key(&input)) {
                    let (state, tables) = (None, Vec::new());
                    let restored = Restored::default();
                    let begun = Instant::now();
                    self.coming.insert(id, Coming { begun, state, tables, restored });
                }
            }
        }
    }

    /// Takes the leases that can be had, and finds out what their states need.
    fn lease(&mut self) -> Result<bool, Error> {
        let waiting: Vec<TaskId> = self
            .coming
            .iter()
            .filter(|(id, coming)| coming.state.is_none() && self.is_stateful(**id))
            .map(|(id, _)| *id)
            .collect();
        let leases: Vec<(TaskId, Lease)> = waiting
            .into_iter()
            .filter_map(|id| Some((id, self.database.lease(&self.key(id))?)))
            .collect();
        if leases.is_empty() {
            return Ok(false);
        }
        match self.plan(leases) {
            Ok(()) => Ok(true),
            // Nothing is begun: the leases are given back, and taken again in the next step.
            Err(Error::Broker(
                error @ (broker::Error::Retriable(_) | broker::Error::Unreachable { .. }),
            )) => {
                self.troubled(&format!("state is not restored yet: {error}"));
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn is_stateful(&self, id: TaskId) -> bool {
        let part = &self.code.topology.parts[id.part];
        !part.stores.is_empty() || !part.timers.is_empty()
    }

    fn key(&self, id: TaskId) -> TaskKey {
        TaskKey {
            app: Arc::clone(&self.code.topology.app),
            part: Arc::clone(&self.code.topology.parts[id.part].name),
            partition: id.partition.0,
        }
    }

    /// Opens states, judges what each has, and begins to read what it lacks. The ends are asked for here: after the
    /// inputs were opened, and so after their committed positions were fetched.
    fn plan(&mut self, leases: Vec<(TaskId, Lease)>) -> Result<(), Error> {
        let topology = Arc::clone(&self.code.topology);
        if self.admin.is_none() {
            self.admin = Some(self.broker.admin()?);
        }
        let admin = self.admin.as_deref().expect("just made");
        let mut topics = TopicFacts::new(admin);
        let mut wanted = Vec::new();
        let mut states = Vec::new();
        for (id, lease) in leases {
            let part = &topology.parts[id.part];
            let (partitions, tables) = topics.broadcast(part)?;
            let state = open_state(&self.database, lease, part, &partitions)?;
            for (store, spec) in part.stores.iter().enumerate().filter(|(_, spec)| !spec.broadcast)
            {
                let partition = TopicPartition::new(Arc::clone(&spec.topic), id.partition.0);
                let topic_id = topics.find(&spec.topic)?.id.clone();
                wanted.push(Wanted { task: id, store, partition, topic_id });
            }
            states.push((id, state, tables));
        }
        let found = topics.bounds(&topology.parts, &wanted)?;
        let mut kept = BTreeMap::new();
        for wanted in &wanted {
            let kept_for = topics.tombstones_kept(&wanted.partition.topic)?;
            kept.insert(Arc::clone(&wanted.partition.topic), kept_for);
        }
        let now = self.clock.now();
        let mut states: BTreeMap<TaskId, _> =
            states.into_iter().map(|(id, state, tables)| (id, (state, tables))).collect();
        let app = &*topology.app;
        for (wanted, (start, end)) in wanted.into_iter().zip(found) {
            let Wanted { task, store, partition, topic_id } = wanted;
            let spec = &topology.parts[task.part].stores[store];
            let (state, _) = states.get_mut(&task).expect("it was opened above");
            let tombstones_kept = kept[&partition.topic];
            let found = Found { topic_id: &topic_id, start, end, tombstones_kept };
            let position = match judge(state.local(store)?.as_ref(), &found, now) {
                Verdict::Resume(position) => position,
                Verdict::Rebuild(why) => {
                    if let Some(why) = why {
                        let (store, partition) = (&*spec.name, partition.partition.0);
                        tracing::warn!(app, store, partition, "its local state is rebuilt: {why}");
                    }
                    state.discard(store)?;
                    // What is empty is complete too, and known to be of this topic.
                    state.restore(store, &topic_id, &Records::new(), start, now)?;
                    start
                }
            };
            let for_life = spec.kind == Kind::Table;
            let end = Some(end);
            self.following.add(Reading {
                task,
                store,
                partition,
                topic_id,
                position,
                end,
                for_life,
            });
        }
        for (id, (state, tables)) in states {
            if let Some(coming) = self.coming.get_mut(&id) {
                (coming.state, coming.tables) = (Some(state), tables);
            }
        }
        Ok(())
    }

    /// Reads for a slice of time.
    fn read(&mut self) -> Result<bool, Error> {
        let begun = Instant::now();
        let slice = if self.tasks.is_empty() { SLICE_ALONE } else { SLICE };
        let mut read = false;
        loop {
            let wait = if self.following.is_restoring() && self.tasks.is_empty() {
                Duration::from_millis(5)
            } else {
                Duration::ZERO
            };
            match self.following.poll(wait) {
                Ok(None) => return Ok(read),
                Ok(Some(came)) => {
                    read |= !came.is_empty();
                    for came in came {
                        self.take_in(&came)?;
                    }
                }
                Err(broker::Error::Retriable(trouble)) => {
                    self.troubled(&trouble);
                    return Ok(read);
                }
                Err(broker::Error::MissingOffset { partition, position, earliest }) => {
                    self.begin_anew(&partition, position, earliest)?;
                }
                Err(error) => return Err(error.into()),
            }
            if begun.elapsed() > slice {
                return Ok(read);
            }
        }
    }

    fn take_in(&mut self, came: &Came) -> Result<(), Error> {
        let Came { task: id, store, topic_id, records, position } = came;
        let now = self.clock.now();
        if let Some(coming) = self.coming.get_mut(id) {
            coming.restored.records += records.len() as u64;
            coming.restored.bytes += records.bytes() as u64;
            self.metrics.restored(records.len(), records.bytes());
            if let Some(state) = &mut coming.state {
                state.restore(*store, topic_id, records, *position, now)?;
            }
        } else if let Some(state) = self.tasks.get_mut(id).and_then(Task::state_mut) {
            state.restore(*store, topic_id, records, *position, now)?;
        }
        Ok(())
    }

    /// A topic lost the records that were next: what was taken in of it is no prefix any more.
    fn begin_anew(
        &mut self,
        partition: &TopicPartition,
        position: Position,
        earliest: Position,
    ) -> Result<(), Error> {
        for (id, store, is_restoring) in self.following.readers(partition) {
            let state = self.coming.get_mut(&id).and_then(|coming| coming.state.as_mut());
            let (true, Some(state)) = (is_restoring, state) else {
                // A task at work cannot do without its table for a while: it is made anew, and waits.
                let partition = partition.clone();
                return Err(broker::Error::MissingOffset { partition, position, earliest }.into());
            };
            let app = &*self.code.topology.app;
            tracing::warn!(app, %partition, "read again from its begin at {earliest}: {position} is gone");
            state.discard(store)?;
            self.following.rewind(id, store, earliest);
        }
        Ok(())
    }

    /// Makes the tasks whose state is complete.
    fn make_ready(&mut self) -> Result<bool, Error> {
        let ready: Vec<TaskId> = self
            .coming
            .iter()
            .filter(|(id, coming)| self.is_ready(**id, coming))
            .map(|(id, _)| *id)
            .collect();
        if ready.is_empty() {
            return Ok(false);
        }
        let topology = Arc::clone(&self.code.topology);
        let inputs = |id: &TaskId| topology.parts[id.part].partitions(id.partition.0);
        for id in &ready {
            let state = self.coming.get_mut(id).and_then(|coming| coming.state.as_mut());
            if let Some(progress) = state.map(|state| state.live()).transpose()? {
                self.align(&inputs(id).collect::<Vec<_>>(), &progress.positions)?;
            }
        }
        let begins: Vec<(TopicPartition, Position)> =
            ready.iter().flat_map(inputs).map(|input| (input.clone(), self.open[&input])).collect();
        if !self.tell_begins(&begins)? {
            return Ok(false);
        }
        for id in ready {
            let coming = self.coming.remove(&id).expect("it was there");
            self.start(id, coming)?;
        }
        Ok(true)
    }

    /// Under at-least-once, has the group know where tasks begin before they do anything: what a commit logs is
    /// acknowledged in any order, so how far a task had come may be in the log though what it did is not. The group is
    /// told last, and the older of both counts. Whether it is told.
    fn tell_begins(&mut self, begins: &[(TopicPartition, Position)]) -> Result<bool, Error> {
        if self.guarantee == Guarantee::ExactlyOnce {
            return Ok(true);
        }
        match self.inbox.commit(begins) {
            Ok(()) => Ok(true),
            // Where the group has moved on, it says so next.
            Err(
                broker::Error::Retriable(trouble)
                | broker::Error::Unknown(trouble)
                | broker::Error::Fenced(trouble),
            ) => {
                self.troubled(&format!("where to begin is not committed yet: {trouble}"));
                Ok(false)
            }
            Err(other) => Err(other.into()),
        }
    }

    fn is_ready(&self, id: TaskId, coming: &Coming) -> bool {
        if !self.is_stateful(id) {
            return true;
        }
        let app = &*self.code.topology.app;
        let reached = |(table, ends): &(Arc<str>, Vec<Position>)| {
            let reached = self.database.reached(app, table);
            ends.iter().enumerate().all(|(partition, end)| {
                *end == Position::START
                    || reached.get(partition).copied().flatten().is_some_and(|at| at >= *end)
            })
        };
        coming.state.is_some()
            && self.following.is_complete(id)
            && coming.tables.iter().all(reached)
    }

    fn start(&mut self, id: TaskId, mut coming: Coming) -> Result<(), Error> {
        let part = Arc::clone(&self.code.topology.parts[id.part]);
        let inputs: Vec<TopicPartition> = part.partitions(id.partition.0).collect();
        let mut progress = Progress::default();
        if let Some(state) = &mut coming.state {
            progress = state.live()?;
            if !progress.positions.is_empty() {
                // So that the group knows it too, where it has forgotten.
                self.ledger.touch(id);
            }
            let Restored { records, bytes } = coming.restored;
            let (app, took) = (&*self.code.topology.app, coming.begun.elapsed());
            let (partition, took_ms) = (id.partition.0, took.as_millis());
            tracing::info!(app, part = &*part.name, partition, records, bytes, took_ms, "restored");
        }
        let positions: Vec<Position> = inputs.iter().map(|input| self.open[input]).collect();
        let (operators, partitions) = (self.code.operators(id.part), self.code.partitions(id.part));
        let task = Task::new(id, part, operators, &positions, partitions, coming.state, &progress);
        task.check()??;
        self.add(id, task);
        for input in inputs {
            self.inbox.resume(&input);
            self.held.remove(&input);
        }
        self.status_at = None;
        Ok(())
    }

    /// Has the inputs of a task go on where its state belongs.
    fn align(
        &mut self,
        inputs: &[TopicPartition],
        stored: &[(Arc<str>, Position)],
    ) -> Result<(), Error> {
        for input in inputs {
            let stored = stored.iter().find(|(topic, _)| *topic == input.topic);
            let (Some((_, stored)), opened) = (stored, self.open[input]) else { continue };
            if *stored == opened {
                continue;
            }
            let admin = self.admin.as_deref().expect("it was asked for the ends");
            let group = admin.committed(&self.code.topology.app, std::slice::from_ref(input))?[0];
            // What was opened is what the group has, read as of a stable offset; `start` where it has none.
            let group = group.map(|_| opened);
            let Some(at) = begins_at(self.guarantee, group, Some(*stored)) else { continue };
            if at == opened {
                continue;
            }
            let app = &*self.code.topology.app;
            match group {
                None => {
                    tracing::warn!(app, partition = %input, "the group has no position: on at {at}, where its state belongs")
                }
                Some(group) => tracing::warn!(
                    app, partition = %input,
                    "the group says {group}, but its state belongs at {at}: on there; to read other records, delete the \
                     app's state with its changelog topics"
                ),
            }
            let at = within(admin, input, at, self.on_missing_offset)?;
            self.inbox.seek(input, at)?;
            self.open.insert(input.clone(), at);
        }
        Ok(())
    }

    /// What a task that is coming waits for.
    pub(super) fn waits_for(&self, id: TaskId, coming: &Coming) -> String {
        if coming.state.is_none() {
            return "for its state, which another worker of this process still has".to_owned();
        }
        let left = self.following.left_of(id);
        if !self.following.is_complete(id) {
            let Restored { records, .. } = coming.restored;
            return match left_for(coming.begun.elapsed(), records, left) {
                Some(seconds) => {
                    format!(
                        "restoring its state: {records} records, {left} left, about {seconds} s"
                    )
                }
                None => format!("restoring its state: {records} records, {left} left"),
            };
        }
        "for its broadcast tables to be read to where they ended".to_owned()
    }

    /// A line in the log every few seconds, while something is restored.
    pub(super) fn report_restore(&mut self) {
        if !self.following.is_restoring() {
            self.restore_logged = None;
            return;
        }
        let logged = self.restore_logged.get_or_insert_with(Instant::now);
        if logged.elapsed() < LOG_INTERVAL {
            return;
        }
        *logged = Instant::now();
        let restoring = self.coming.values().filter(|coming| coming.state.is_some());
        let (mut tasks, mut records, mut bytes, mut took) = (0, 0, 0, Duration::ZERO);
        for coming in restoring {
            tasks += 1;
            records += coming.restored.records;
            bytes += coming.restored.bytes;
            took = took.max(coming.begun.elapsed());
        }
        let left = self.following.records_left();
        let megabytes_per_second = bytes / 1_000_000 / took.as_secs().max(1);
        let seconds_left = left_for(took, records, left);
        tracing::info!(
            app = &*self.code.topology.app,
            worker = self.number,
            tasks,
            records,
            bytes,
            left,
            megabytes_per_second,
            seconds_left,
            "restoring"
        );
    }
}

/// Seconds that so many further records take.
fn left_for(took: Duration, records: u64, left: usize) -> Option<u64> {
    let millis = u64::try_from(took.as_millis()).ok()?;
    (left as u64).checked_mul(millis)?.checked_div(records)?.checked_div(1000)
}

fn open_state(
    database: &Database,
    lease: Lease,
    part: &SubTopology,
    partitions: &[u32],
) -> Result<Box<TaskState>, Error> {
    let state = TaskState::open(database, lease, &part.stores, &part.timers, partitions)?;
    Ok(Box::new(state))
}

/// A stored position that is in the log.
fn within(
    admin: &dyn Admin,
    input: &TopicPartition,
    at: Position,
    rule: OnMissingOffset,
) -> Result<Position, Error> {
    let ask = |bound| admin.positions(std::slice::from_ref(input), bound);
    let (earliest, latest) = (ask(Bound::Earliest)?[0], ask(Bound::Latest)?[0]);
    if at >= earliest && at <= latest {
        return Ok(at);
    }
    let go_on = match rule {
        OnMissingOffset::Earliest => earliest,
        OnMissingOffset::Latest => latest,
        OnMissingOffset::Fail if at < earliest => {
            let (partition, position) = (input.clone(), at);
            return Err(broker::Error::MissingOffset { partition, position, earliest }.into());
        }
        OnMissingOffset::Fail => {
            return Err(broker::Error::Refused(format!(
                "{input}: its state belongs at {at} and the topic ends at {latest}: was it deleted and made anew? set \
                 `on-missing-offset` to \"earliest\" or \"latest\" to go on with that state"
            ))
            .into());
        }
    };
    tracing::warn!(partition = %input, %at, %earliest, %latest, %go_on, "the position its state belongs at is not in the log");
    Ok(go_on)
}
