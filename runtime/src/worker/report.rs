//! What the worker says of itself: the status board and the gauges.

use std::{collections::BTreeMap, time::Instant};

use super::{PartitionStatus, STATUS_INTERVAL, Worker, WorkerStatus};
use crate::{
    record::{Position, TopicPartition},
    task::{Source, TaskId},
};

impl Worker {
    /// Brings the status board and the gauges up to date.
    pub(super) fn report(&mut self) {
        if self.status_at.is_some_and(|at| at.elapsed() < STATUS_INTERVAL) {
            return;
        }
        self.status_at = Some(Instant::now());
        let ends: BTreeMap<TopicPartition, Position> = self.inbox.ends().into_iter().collect();
        let mut lags = 0;
        let mut partitions = Vec::with_capacity(self.open.len());
        for (partition, position) in &self.open {
            let end = ends.get(partition).map(|end| end.0);
            let lag = end.map(|end| (end - position.0).max(0));
            lags += usize::try_from(lag.unwrap_or(0)).unwrap_or(0);
            partitions.push(PartitionStatus {
                topic: partition.topic.to_string(),
                partition: partition.partition.0,
                position: position.0,
                end,
                lag,
                waiting: self.waiting(partition),
            });
        }
        self.lag.set(lags);
        self.partitions.set(partitions.len());
        self.paused.set(self.tasks.values().filter(|task| task.paused().is_some()).count());
        self.restoring.set(self.following.records_left());
        self.uncommitted.set(self.uncommitted_bytes());
        self.metrics.state_bytes(self.database.disk_bytes());
        self.report_restore();
        self.board.worker(self.number, WorkerStatus { partitions, trouble: self.trouble.clone() });
    }

    fn waiting(&self, partition: &TopicPartition) -> Option<String> {
        let (part, input) = self.code.topology.reader(&partition.topic)?;
        let id = TaskId { part, partition: partition.partition };
        if let Some(coming) = self.coming.get(&id) {
            return Some(self.waits_for(id, coming));
        }
        let Some(task) = self.tasks.get(&id) else {
            return Some("for the partitions with this number of the other inputs".to_owned());
        };
        if let Some(why) = task.paused() {
            return Some(format!("paused: {why}"));
        }
        match task.suspect()? {
            (Source::Record { input: at, offset }, attempts) if at == input => {
                Some(format!("record {offset} failed {attempts} times and is tried again"))
            }
            (Source::Record { .. }, _) => None,
            (Source::Timer { timer, .. }, attempts) => {
                let name = task.part().timers.get(usize::from(timer))?;
                Some(format!("timer `{name}` failed {attempts} times and is tried again"))
            }
            (Source::Result { node, .. }, attempts) => {
                let name = &task.part().nodes.get(node)?.name;
                Some(format!("a result of `{name}` failed {attempts} times and is tried again"))
            }
        }
    }
}
