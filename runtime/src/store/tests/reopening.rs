//! What a folder holds when it is opened again, and folders that are not ours.

use super::*;
use crate::store::database::Family;

#[test]
fn the_instance_id_is_made_once() {
    let (folder, database) = fresh();
    let id = database.instance_id().to_owned();
    assert_eq!(id.len(), 16);
    assert!(id.bytes().all(|letter| letter.is_ascii_hexdigit()), "{id}");
    let copy = crashed(folder.path());
    assert_eq!(open(copy.path()).instance_id(), id);
    drop(database);
    assert_eq!(open(folder.path()).instance_id(), id);
    assert_ne!(fresh().1.instance_id(), id);
}

#[test]
fn a_crash_leaves_a_state_that_was_there_once() {
    let (folder, database) = fresh();
    let stores = [spec("c", Kind::Counter), spec("d", Kind::Counter), spec("meta", Kind::Meta)];
    let mut state = task(&database, &stores);
    for round in 1..=3 {
        for (store, key) in [(0, b"a"), (1, b"b")] {
            state.add(0, store, key, 1, at(0)).unwrap().unwrap();
        }
        state.set_timer(0, 0, b"a", at(round), b"").unwrap();
        state.seal(&Progress {
            stream_time: Some(at(round)),
            positions: Vec::new(),
            nodes: Vec::new(),
        });
        let mut batch = database.batch();
        state.commit(&mut batch, &[Some(Position(round)); 3], at(10 * round));
        database.write(batch).unwrap();
        if round == 2 {
            database.flush().unwrap();
        }
    }
    let copy = crashed(folder.path());
    let mut state = task(&open(copy.path()), &stores);
    assert_eq!(state.count(0, b"a", at(0)).unwrap(), 2);
    assert_eq!(state.count(1, b"b", at(0)).unwrap(), 2);
    assert_eq!(state.next_due().unwrap(), Some(at(2)));
    assert_eq!(state.live().unwrap().stream_time, Some(at(2)));
    let local = Local { topic_id: String::new(), position: Position(2), at: at(20) };
    for store in 0..3 {
        assert_eq!(state.local(store).unwrap(), Some(local.clone()));
    }
}

#[test]
fn progress_comes_back() {
    let (_folder, database) = fresh();
    let stores = [spec("meta", Kind::Meta)];
    let mut state = task(&database, &stores);
    assert_eq!(state.live().unwrap(), Progress::default());
    let progress = Progress {
        stream_time: Some(at(-7)),
        positions: vec![("in".into(), Position(3)), ("other".into(), Position(0))],
        nodes: vec![
            NodeProgress { node: "counts".into(), time: Some(at(9)), cursor: vec![0, 1] },
            NodeProgress { node: "idle".into(), ..NodeProgress::default() },
        ],
    };
    state.seal(&progress);
    let mut batch = database.batch();
    state.commit(&mut batch, &[], at(0));
    database.write(batch).unwrap();
    drop(state);
    assert_eq!(task(&database, &stores).live().unwrap(), progress);
}

#[test]
fn what_is_discarded_is_gone_for_one_partition() {
    let (_folder, database) = fresh();
    let stores = [spec("v", Kind::Value), spec("w", Kind::Value)];
    let mut states: Vec<TaskState> = (0..2)
        .map(|partition| {
            let lease = database.lease(&key(partition)).unwrap();
            TaskState::open(&database, lease, &stores, &[], &[]).unwrap()
        })
        .collect();
    for state in &mut states {
        for store in 0..2 {
            state.put(0, store, b"a", Some(b"x"), at(0));
        }
        commit(&database, state);
    }
    states[0].discard(0).unwrap();
    assert_eq!(states[0].local(0).unwrap(), None);
    let there = |state: usize, store| states[state].get(store, b"a", at(0)).unwrap().is_some();
    assert_eq!((there(0, 0), there(0, 1), there(1, 0), there(1, 1)), (false, true, true, true));
}

#[test]
fn an_unknown_format_is_refused() {
    let (folder, database) = fresh();
    let mut writes = rocksdb::WriteBatch::default();
    writes.put_cf(database.inner.family(Family::Meta), b"f", 7_u32.to_be_bytes());
    database.inner.write(writes).unwrap();
    drop(database);
    let settings = DatabaseSettings { memory_bytes: 16 << 20 };
    let told = Database::open(folder.path(), settings).unwrap_err().to_string();
    let path = folder.path().display().to_string();
    for part in [&path, "has format 7", "knows format 1", "delete the folder"] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn a_foreign_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = rocksdb::DB::open_default(folder.path()).unwrap();
    foreign.put(b"k", b"v").unwrap();
    drop(foreign);
    let settings = DatabaseSettings { memory_bytes: 16 << 20 };
    let told = Database::open(folder.path(), settings).unwrap_err().to_string();
    assert!(told.contains("was not made by this program"), "{told}");
    // And neither is a file in its place.
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let told = Database::open(&file, settings).unwrap_err().to_string();
    assert!(told.contains("cannot be used"), "{told}");
}

#[test]
fn records_of_an_unknown_format_are_refused() {
    let (_folder, database) = fresh();
    let stores = [spec("c", Kind::Counter), spec("v", Kind::Value), spec("meta", Kind::Meta)];
    let mut state = task(&database, &stores);
    let cases: [(usize, &[u8], &[u8], &str); 5] = [
        (0, b"k", &[9; 17], "value of format 9"),
        (0, b"k", &[1; 12], "value of 12 bytes"),
        (1, b"k", &[1; 3], "value of 3 bytes"),
        (2, &[9, 0], &[1; 9], "of a kind that this program does not know"),
        (2, &[2, b'f'], &[1; 9], "of a kind that this program does not know"),
    ];
    for (store, key, value, why) in cases {
        let record = [(Some(key.to_vec()), Some(value.to_vec()))];
        let told = state.restore(store, "id", &records(&record), Position(1), at(0)).unwrap_err();
        let told = told.to_string();
        assert!(told.contains(why) && told.contains("at offset 0"), "{told}");
        assert_eq!(state.local(store).unwrap(), None, "nothing is written");
    }
    let told = state.restore(0, "id", &records(&[(None, None)]), Position(1), at(0)).unwrap_err();
    assert!(told.to_string().contains("has no key"), "{told}");
}

#[test]
fn a_disk_that_fails_is_an_error_and_costs_nothing_committed() {
    let (folder, database) = fresh();
    let stores = [spec("c", Kind::Counter)];
    let mut state = task(&database, &stores);
    state.add(0, 0, b"a", 1, at(0)).unwrap().unwrap();
    commit(&database, &mut state);
    database.flush().unwrap();
    let kept = crashed(folder.path());
    state.add(0, 0, b"a", 1, at(0)).unwrap().unwrap();
    let log = commit(&database, &mut state);
    fs::remove_dir_all(folder.path()).unwrap();
    let told = database.flush().unwrap_err().to_string();
    assert!(told.contains(&folder.path().display().to_string()), "{told}");
    state.add(0, 0, b"a", 1, at(0)).unwrap().unwrap();
    state.seal(&Progress::default());
    let mut batch = database.batch();
    state.commit(&mut batch, &[], at(0));
    assert!(
        database.write(batch).is_err(),
        "after a failure nothing is taken that may not reach the disk"
    );
    // What was committed is in the changelog, and comes from there.
    let mut state = task(&open(kept.path()), &stores);
    assert_eq!(state.count(0, b"a", at(0)).unwrap(), 1);
    let suffix: Vec<OwnedRecord> =
        log.into_iter().map(|(_, key, value)| (Some(key), value)).collect();
    state.restore(0, "id", &records(&suffix), Position(2), at(0)).unwrap();
    assert_eq!(state.count(0, b"a", at(0)).unwrap(), 2);
}

#[test]
fn of_a_key_the_last_record_counts() {
    let (_folder, database) = fresh();
    let mut state = task(&database, &[spec("v", Kind::Value)]);
    let value = |byte| {
        let mut bytes = Vec::new();
        value::encode(at(0), &[byte], &mut bytes);
        Some(bytes)
    };
    let key = |byte| Some(vec![byte]);
    let log = [
        (key(2), value(1)),
        (key(1), value(2)),
        (key(2), value(3)),
        (key(3), value(4)),
        (key(1), None),
        (key(2), value(5)),
    ];
    assert_eq!(state.restore(0, "id", &records(&log), Position(6), at(0)).unwrap(), 6);
    let found = [1, 2, 3].map(|key| state.get(0, &[key], at(0)).unwrap());
    assert_eq!(found, [None, Some(vec![5]), Some(vec![4])]);
}
