//! Where a process keeps state.

use std::path::Path;

use anyhow::Context as _;
use tempfile::TempDir;

use crate::store::{Database, DatabaseSettings};

/// The folder inside a data directory.
const FOLDER: &str = "state";

/// The state of a process.
pub(super) struct State {
    pub(super) database: Database,
    /// Goes with the process, as the log does that it belongs to.
    _temporary: Option<TempDir>,
}

impl State {
    /// Opens what a data directory has, or makes it.
    pub(super) fn in_data(data: &Path, memory_bytes: usize) -> anyhow::Result<State> {
        let database = Database::open(&data.join(FOLDER), DatabaseSettings { memory_bytes })?;
        Ok(State { database, _temporary: None })
    }

    /// State of topics that end with the process.
    pub(super) fn temporary(memory_bytes: usize) -> anyhow::Result<State> {
        let folder = tempfile::tempdir().context("no temporary folder can be made for state")?;
        let database = Database::open(folder.path(), DatabaseSettings { memory_bytes })?;
        Ok(State { database, _temporary: Some(folder) })
    }
}
