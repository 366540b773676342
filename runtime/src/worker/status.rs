//! What an app says of itself while it runs: kept up to date by its workers, read by everybody else.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;

use crate::record::Timestamp;

/// One worker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WorkerStatus {
    /// What it reads.
    pub partitions: Vec<PartitionStatus>,
    /// Why it does not work at present.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// A partition that is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionStatus {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: u32,
    /// What is committed.
    pub position: i64,
    /// Where the partition ends, as far as is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<i64>,
    /// Records between the two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<i64>,
    /// What is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
}

/// One function, over all workers of this process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FunctionStatus {
    /// Records handled.
    pub records_in: u64,
    /// Records emitted.
    pub records_out: u64,
    /// Records that went to the dead-letter topic.
    pub dead_letters: u64,
    /// Times a record was tried again.
    pub retries: u64,
    /// The newest failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<FailureStatus>,
}

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureStatus {
    /// Where the record was.
    pub topic: String,
    /// Where the record was.
    pub partition: u32,
    /// Where the record was.
    pub offset: i64,
    /// `reject`, `error`, `retry`, `trap`, `timeout`, `memory`, `output`, `contract` or `init`.
    pub kind: String,
    /// What the function, or the limit, said.
    pub message: String,
    /// How often this record failed so far.
    pub attempts: u32,
    /// When.
    pub at: Timestamp,
}

/// The one place the workers of an app write to and others read from.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    workers: BTreeMap<usize, WorkerStatus>,
    functions: BTreeMap<String, FunctionStatus>,
}

impl Board {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces what a worker says.
    pub fn worker(&self, worker: usize, status: WorkerStatus) {
        self.entries().workers.insert(worker, status);
    }

    /// Changes what is said of a function.
    pub fn function(&self, name: &str, change: impl FnOnce(&mut FunctionStatus)) {
        let mut entries = self.entries();
        match entries.functions.get_mut(name) {
            Some(status) => change(status),
            None => change(entries.functions.entry(name.to_owned()).or_default()),
        }
    }

    /// All workers, by number.
    pub fn workers(&self) -> Vec<WorkerStatus> {
        self.entries().workers.values().cloned().collect()
    }

    /// All functions, by name.
    pub fn functions(&self) -> BTreeMap<String, FunctionStatus> {
        self.entries().functions.clone()
    }
}
