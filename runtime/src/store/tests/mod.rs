//! What holds of the room as a whole.

use std::{fs, path::Path, sync::Arc, time::Duration};

use tempfile::TempDir;

use super::*;
use crate::record::{Headers, Offset, Record, Records};

mod leases;
mod model;
mod ordered;
mod outside;
mod reopening;
mod sweeping;
mod tables;
mod timers;

const APP: &str = "app";
const PART: &str = "part";
const TTL: Duration = Duration::from_millis(5);

fn open(path: &Path) -> Database {
    Database::open(path, DatabaseSettings { memory_bytes: 16 << 20 }).unwrap()
}

fn fresh() -> (TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path());
    (folder, database)
}

/// What a crash now would leave on disk.
fn crashed(path: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in fs::read_dir(path).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

fn spec(name: &str, kind: Kind) -> StoreSpec {
    StoreSpec {
        name: name.into(),
        kind,
        ttl: None,
        broadcast: false,
        topic: format!("app.{name}.changelog").into(),
    }
}

fn key(partition: u32) -> TaskKey {
    TaskKey { app: APP.into(), part: PART.into(), partition }
}

fn timers(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

fn task(database: &Database, stores: &[StoreSpec]) -> TaskState {
    let lease = database.lease(&key(0)).unwrap();
    TaskState::open(database, lease, stores, &timers(&["f.t"]), &vec![0; stores.len()]).unwrap()
}

fn at(millis: i64) -> Timestamp {
    Timestamp(millis)
}

/// Commits what is open, and answers what went to the changelogs.
fn commit(database: &Database, task: &mut TaskState) -> Vec<OwnedLog> {
    task.seal(&Progress::default());
    let log = logged(task);
    let mut batch = database.batch();
    task.commit(&mut batch, &[], at(0));
    database.write(batch).unwrap();
    log
}

type OwnedLog = (usize, Vec<u8>, Option<Vec<u8>>);

fn logged(task: &TaskState) -> Vec<OwnedLog> {
    let records = (0..task.logged()).map(|index| task.log(index));
    records.map(|log| (log.store, log.key.to_vec(), log.value.map(<[u8]>::to_vec))).collect()
}

type OwnedRecord = (Option<Vec<u8>>, Option<Vec<u8>>);

fn records(from: &[OwnedRecord]) -> Records {
    let mut records = Records::new();
    for (offset, (key, value)) in (0..).zip(from) {
        records.push(&Record {
            offset: Offset(offset),
            timestamp: at(offset),
            key: key.as_deref(),
            value: value.as_deref(),
            headers: Headers::default(),
        });
    }
    records
}
