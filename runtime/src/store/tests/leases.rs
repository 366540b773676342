//! Leases, and what goes when nobody has one.

use super::*;

#[test]
fn a_task_is_leased_once_at_a_time() {
    let (_folder, database) = fresh();
    let lease = database.lease(&key(0)).unwrap();
    assert!(database.lease(&key(0)).is_none());
    assert!(database.lease(&key(1)).is_some());
    drop(lease);
    assert!(database.lease(&key(0)).is_some());
}

#[test]
fn a_batch_keeps_the_leases_of_its_tasks() {
    let (_folder, database) = fresh();
    let mut state = task(&database, &[spec("c", Kind::Counter)]);
    state.add(0, 0, b"a", 1, at(0)).unwrap().unwrap();
    state.seal(&Progress::default());
    let mut batch = database.batch();
    state.commit(&mut batch, &[], at(0));
    drop(state);
    assert!(database.lease(&key(0)).is_none());
    database.write(batch).unwrap();
    assert_eq!(task(&database, &[spec("c", Kind::Counter)]).count(0, b"a", at(0)).unwrap(), 1);
}

#[test]
fn what_left_stays_for_a_return_and_then_goes() {
    let (_folder, database) = fresh();
    let stores = [spec("c", Kind::Counter), spec("meta", Kind::Meta)];
    let mut state = task(&database, &stores);
    state.add(0, 0, b"a", 1, at(0)).unwrap().unwrap();
    state.set_timer(0, 0, b"a", at(9), b"").unwrap();
    commit(&database, &mut state);
    assert_eq!(database.expire(Duration::ZERO).unwrap(), 0, "it is leased");
    drop(state);
    assert_eq!(database.expire(Duration::from_secs(600)).unwrap(), 0, "it just left");
    let state = task(&database, &stores);
    assert_eq!(state.count(0, b"a", at(0)).unwrap(), 1);
    assert_eq!(database.expire(Duration::ZERO).unwrap(), 0, "it came back");
    drop(state);
    assert_eq!(database.expire(Duration::ZERO).unwrap(), 2);
    let mut state = task(&database, &stores);
    assert_eq!((state.local(0).unwrap(), state.local(1).unwrap()), (None, None));
    assert_eq!(state.count(0, b"a", at(0)).unwrap(), 0);
    assert_eq!(state.next_due().unwrap(), None);
    assert_eq!(state.timer(0, b"a").unwrap(), None);
    assert_eq!(state.live().unwrap(), Progress::default());
}

#[test]
fn a_store_of_another_kind_begins_anew() {
    let (folder, database) = fresh();
    let mut state = task(&database, &[spec("s", Kind::Counter)]);
    state.add(0, 0, b"a", 1, at(0)).unwrap().unwrap();
    commit(&database, &mut state);
    drop(state);
    let other = [spec("s", Kind::Value)];
    assert_eq!(task(&database, &other).get(0, b"a", at(0)).unwrap(), None);
    drop(database);
    let database = open(folder.path());
    assert_eq!(database.inner.catalog().retired().len(), 1);
    let mut state = task(&database, &other);
    assert_eq!(state.local(0).unwrap(), None);
    state.put(0, 0, b"a", Some(b"x"), at(0));
    commit(&database, &mut state);
    database.expire(Duration::from_secs(600)).unwrap();
    assert_eq!(database.inner.catalog().retired().len(), 0);
    assert_eq!(state.get(0, b"a", at(0)).unwrap().as_deref(), Some(&b"x"[..]));
    let mut rows = 0;
    let mut cursor = database.inner.cursor(database::Family::Kv, vec![], vec![255], false, false);
    while cursor.row().unwrap().is_some() {
        rows += 1;
        cursor.advance();
    }
    assert_eq!(rows, 1, "the old store is gone");
}
