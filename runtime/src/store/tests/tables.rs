//! Tables, of each task and broadcast.

use super::*;
use crate::partitioner::partition_of;

fn table(name: &str, broadcast: bool) -> StoreSpec {
    StoreSpec { broadcast, topic: name.into(), ..spec(name, Kind::Table) }
}

fn rows(rows: &[(&[u8], Option<&[u8]>)]) -> Records {
    let rows = rows.iter().map(|(key, value)| (Some(key.to_vec()), value.map(<[u8]>::to_vec)));
    records(&rows.collect::<Vec<_>>())
}

#[test]
fn a_table_follows_its_topic() {
    let (_folder, database) = fresh();
    let stores = [table("users", false)];
    let mut state = task(&database, &stores);
    let first = rows(&[(b"a", Some(b"1")), (b"b", Some(b"2")), (b"c", Some(b""))]);
    assert_eq!(state.restore(0, "id", &first, Position(3), at(1)).unwrap(), 3);
    let second = rows(&[(b"a", None), (b"b", Some(b"3"))]);
    assert_eq!(state.restore(0, "id", &second, Position(5), at(2)).unwrap(), 2);
    // A record without a key is no row.
    let keyless = records(&[(None, Some(b"x".to_vec()))]);
    assert_eq!(state.restore(0, "id", &keyless, Position(6), at(2)).unwrap(), 0);
    // A commit does not touch it.
    commit(&database, &mut state);
    drop(state);
    let state = task(&database, &stores);
    let row = |key: &[u8]| state.row(0, key).unwrap();
    assert_eq!((row(b"a"), row(b"b"), row(b"c")), (None, Some(b"3".to_vec()), Some(vec![])));
    let local = Local { topic_id: "id".into(), position: Position(6), at: at(2) };
    assert_eq!(state.local(0).unwrap(), Some(local));
}

#[test]
fn a_broadcast_table_is_kept_once_for_all_tasks() {
    const PARTITIONS: u32 = 3;
    let (_folder, database) = fresh();
    let app: Arc<str> = APP.into();
    let spec = table("users", true);
    assert!(database.reached(APP, "users").is_empty());
    let mut followed = TableState::open(&database, &app, &spec, PARTITIONS).unwrap().unwrap();
    assert!(TableState::open(&database, &app, &spec, PARTITIONS).unwrap().is_none());
    assert_eq!(database.reached(APP, "users"), [None; 3]);
    let keys: Vec<[u8; 1]> = (0..20).map(|key| [key]).collect();
    for partition in 0..PARTITIONS {
        let own = keys.iter().filter(|key| partition_of(*key, PARTITIONS).0 == partition);
        let own: Vec<(&[u8], Option<&[u8]>)> = own.map(|key| (&key[..], Some(&key[..]))).collect();
        followed.restore(partition, "id", &rows(&own), Position(50), at(1)).unwrap();
    }
    assert_eq!(database.reached(APP, "users"), [Some(Position(50)); 3]);
    for partition in 0..2 {
        let lease = database.lease(&key(partition)).unwrap();
        let state =
            TaskState::open(&database, lease, std::slice::from_ref(&spec), &[], &[PARTITIONS])
                .unwrap();
        assert_eq!(state.local(0).unwrap(), None);
        for key in &keys {
            assert_eq!(state.row(0, key).unwrap().as_deref(), Some(&key[..]));
        }
        assert_eq!(state.row(0, b"none").unwrap(), None);
    }
    assert_eq!(database.expire(Duration::ZERO).unwrap(), 0, "it is followed");
    drop(followed);
    assert!(database.reached(APP, "users").is_empty());
    let mut followed = TableState::open(&database, &app, &spec, PARTITIONS).unwrap().unwrap();
    assert_eq!(followed.local(2).unwrap().position, Position(50));
    followed.discard(2).unwrap();
    assert_eq!(followed.local(2), None);
    drop(followed);
    assert_eq!(database.expire(Duration::ZERO).unwrap(), 2);
}
