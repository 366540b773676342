//! Broadcast tables: complete on every host, each read once for all tasks of an app.
//!
//! [`Tables`] is stepped, by a thread of its own beside the workers or by whoever drives an app by hand. It reads what is
//! committed, from where the table was left here, for as long as the app lives; tasks see how far it is
//! ([`Database::reached`](crate::store::Database::reached)) and begin when that is far enough.

use std::{sync::Arc, time::Duration};

use crate::{
    broker::{self, Admin, Broker},
    clock::Clock,
    record::{Partition, Position, Records, TopicPartition},
    store::{Database, StoreSpec, TableState},
    task::TaskId,
    topology::Topology,
    worker::{self, Came, Following, Found, Reading, TopicFacts, Verdict, judge},
};

/// What the tables of an app are followed with.
#[derive(Clone)]
pub struct TableParts {
    /// Which tables.
    pub topology: Arc<Topology>,
    /// Where their topics are.
    pub broker: Arc<dyn Broker>,
    /// Where they are kept.
    pub database: Database,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// See the module's page.
pub struct Tables {
    parts: TableParts,
    admin: Box<dyn Admin>,
    tables: Vec<(StoreSpec, TableState)>,
    following: Following,
}

impl Tables {
    /// Begins to follow the broadcast tables of an app. `None` where it has none, or somebody else in this process
    /// follows them still.
    ///
    /// # Errors
    /// Where the broker or the disk cannot be used.
    pub fn open(parts: TableParts) -> Result<Option<Tables>, worker::Error> {
        let specs = broadcast(&parts.topology);
        if specs.is_empty() {
            return Ok(None);
        }
        let client_id = format!("{}-tables", parts.topology.app);
        let mut tables = Tables {
            admin: parts.broker.admin()?,
            following: Following::new(Arc::clone(&parts.broker), client_id),
            tables: Vec::new(),
            parts,
        };
        for spec in specs {
            if !tables.add(spec)? {
                return Ok(None);
            }
        }
        Ok(Some(tables))
    }

    /// Whether it could be had.
    fn add(&mut self, spec: StoreSpec) -> Result<bool, worker::Error> {
        let app = &self.parts.topology.app;
        let mut facts = TopicFacts::new(self.admin.as_ref());
        let found = facts.find(&spec.topic)?;
        let (topic_id, count) = (Arc::clone(&found.id), found.partitions);
        let tombstones_kept = facts.tombstones_kept(&spec.topic)?;
        let state = TableState::open(&self.parts.database, app, &spec, count)?;
        let Some(mut state) = state else { return Ok(false) };
        let partitions: Vec<_> =
            (0..count).map(|number| TopicPartition::new(Arc::clone(&spec.topic), number)).collect();
        let starts = self.admin.positions(&partitions, broker::Bound::Earliest)?;
        let ends = self.admin.positions(&partitions, broker::Bound::Latest)?;
        let now = self.parts.clock.now();
        let table = self.tables.len();
        for (partition, (start, end)) in partitions.into_iter().zip(starts.into_iter().zip(ends)) {
            let number = partition.partition.0;
            let found = Found { topic_id: &topic_id, start, end, tombstones_kept };
            let position = match judge(state.local(number).as_ref(), &found, now) {
                Verdict::Resume(position) => position,
                Verdict::Rebuild(why) => {
                    if let Some(why) = why {
                        let table = &*spec.name;
                        tracing::warn!(app = &**app, table, partition = number, "rebuilt: {why}");
                    }
                    state.discard(number)?;
                    state.restore(number, &topic_id, &Records::new(), start, now)?;
                    start
                }
            };
            self.following.add(Reading {
                task: TaskId { part: table, partition: Partition(number) },
                store: 0,
                partition,
                topic_id: Arc::clone(&topic_id),
                position,
                end: None,
                for_life: true,
            });
        }
        self.tables.push((spec, state));
        Ok(true)
    }

    /// Takes in what comes next, waiting up to `wait` for it. Whether something came.
    ///
    /// # Errors
    /// Where the broker or the disk cannot be used any more.
    pub fn step(&mut self, wait: Duration) -> Result<bool, worker::Error> {
        let came = match self.following.poll(wait) {
            Ok(came) => came,
            Err(broker::Error::Retriable(trouble)) => {
                tracing::warn!(app = &*self.parts.topology.app, "{trouble}");
                return Ok(false);
            }
            Err(broker::Error::MissingOffset { partition, position, earliest }) => {
                self.skip(&partition, position, earliest);
                return Ok(true);
            }
            Err(error) => return Err(error.into()),
        };
        let Some(came) = came else { return Ok(false) };
        let now = self.parts.clock.now();
        for Came { task, topic_id, records, position, .. } in &came {
            let (_, state) = &mut self.tables[task.part];
            state.restore(task.partition.0, topic_id, records, *position, now)?;
        }
        Ok(!came.is_empty())
    }

    /// The topic lost rows before they were read. What is there stays: tasks are at work with it.
    fn skip(&mut self, partition: &TopicPartition, position: Position, earliest: Position) {
        let app = &*self.parts.topology.app;
        tracing::warn!(app, %partition, %position, %earliest, "rows were deleted before they were read");
        for (task, store, _) in self.following.readers(partition) {
            self.following.rewind(task, store, earliest);
        }
    }
}

/// The broadcast tables of all parts, each once.
fn broadcast(topology: &Topology) -> Vec<StoreSpec> {
    let mut specs: Vec<StoreSpec> = Vec::new();
    for spec in topology.parts.iter().flat_map(|part| &part.stores).filter(|spec| spec.broadcast) {
        if !specs.iter().any(|known| known.name == spec.name) {
            specs.push(spec.clone());
        }
    }
    specs
}
