//! Timers keep their names, and what is due is found without walking over what fired.

use super::*;

fn open_with(database: &Database, names: &[&str]) -> TaskState {
    let lease = database.lease(&key(0)).unwrap();
    TaskState::open(database, lease, &[spec("meta", Kind::Meta)], &timers(names), &[0]).unwrap()
}

#[test]
fn numbers_may_change() {
    let (_folder, database) = fresh();
    let mut state = open_with(&database, &["a.t", "b.t"]);
    state.set_timer(0, 0, b"k", at(1), b"of a").unwrap();
    state.set_timer(0, 1, b"k", at(2), b"of b").unwrap();
    commit(&database, &mut state);
    drop(state);
    // The function `a` is gone: nobody can take its timer.
    let mut state = open_with(&database, &["0.t", "b.t", "c.t"]);
    let due = Due { timer: 1, key: b"k".to_vec(), due: at(2), payload: b"of b".to_vec() };
    let due = std::slice::from_ref(&due);
    assert_eq!(state.due(at(9), 9, usize::MAX).unwrap(), due);
    assert_eq!(state.next_due().unwrap(), Some(at(2)));
    assert_eq!(state.due(at(9), 9, usize::MAX).unwrap(), due);
    assert_eq!(state.timer(0, b"k").unwrap(), None);
    drop(state);
    let mut state = open_with(&database, &["a.t"]);
    assert_eq!(state.next_due().unwrap(), Some(at(1)));
}

#[test]
fn firing_goes_forward() {
    let (_folder, database) = fresh();
    let mut state = open_with(&database, &["a.t"]);
    for key in 0..100_i64 {
        state.set_timer(0, 0, &key.to_be_bytes(), at(key), b"").unwrap();
    }
    commit(&database, &mut state);
    for round in 0..10 {
        state.begin();
        let due = state.due(at(99), 10, usize::MAX).unwrap();
        let dues: Vec<i64> = due.iter().map(|due| due.due.millis()).collect();
        assert_eq!(dues, (round * 10..round * 10 + 10).collect::<Vec<_>>());
        for due in &due {
            state.cancel_timer(0, 0, &due.key).unwrap();
        }
        assert_eq!(state.next_due().unwrap(), (round < 9).then(|| at(round * 10 + 10)));
        // Undone and done again.
        state.keep(0);
        assert_eq!(state.next_due().unwrap(), Some(at(round * 10)));
        for due in &due {
            state.cancel_timer(0, 0, &due.key).unwrap();
        }
        if round % 3 == 0 {
            commit(&database, &mut state);
        }
    }
    // One that is set in the past comes first, committed or not.
    state.set_timer(0, 0, b"early", at(-5), b"").unwrap();
    assert_eq!(state.next_due().unwrap(), Some(at(-5)));
    commit(&database, &mut state);
    assert_eq!(state.next_due().unwrap(), Some(at(-5)));
    assert_eq!(state.due(at(0), 1, usize::MAX).unwrap().len(), 1);
}

#[test]
fn a_timer_that_is_not_there_leaves_no_record() {
    let (_folder, database) = fresh();
    let mut state = open_with(&database, &["a.t"]);
    state.cancel_timer(0, 0, b"k").unwrap();
    assert!(!state.is_dirty());
    let log = commit(&database, &mut state);
    assert_eq!(log.len(), 1, "only how far the task has come: {log:?}");
}
