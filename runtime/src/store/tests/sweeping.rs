//! Time to live.

use super::*;

#[test]
fn what_is_over_is_removed_and_its_tombstones_are_logged() {
    let (_folder, database) = fresh();
    let ttl = |name, kind| StoreSpec { ttl: Some(TTL), ..spec(name, kind) };
    let stores = [ttl("v", Kind::Value), spec("w", Kind::Value), ttl("c", Kind::Counter)];
    let mut state = task(&database, &stores);
    for key in 0..10_u8 {
        for store in 0..2 {
            state.put(0, store, &[key], Some(b"x"), at(i64::from(key)));
        }
    }
    state.add(0, 2, b"k", 1, at(3)).unwrap().unwrap();
    commit(&database, &mut state);
    // Written again, not yet committed: none of the sweeper's business.
    state.put(0, 0, &[1], Some(b"y"), at(9));
    let mut rounds = Vec::new();
    loop {
        rounds.push(state.sweep(at(9), 4).unwrap());
        if rounds.len() == 4 {
            break;
        }
    }
    // Keys 0 to 4 are over at 9 but for key 1, and the counter is; the fourth round begins anew and finds nothing
    // more, as the deletions are in the overlay.
    assert_eq!(rounds, [3, 1, 1, 0]);
    let mut log = commit(&database, &mut state);
    log.retain(|(.., value)| value.is_none());
    let gone: Vec<(usize, &[u8])> = log.iter().map(|(store, key, _)| (*store, &key[..])).collect();
    assert_eq!(gone, [(0, &[0][..]), (0, &[2]), (0, &[3]), (0, &[4]), (2, b"k")]);
    assert_eq!(state.get(0, &[1], at(9)).unwrap().as_deref(), Some(&b"y"[..]));
    assert_eq!(state.get(0, &[5], at(9)).unwrap().as_deref(), Some(&b"x"[..]));
    assert_eq!(state.get(1, &[0], at(99)).unwrap().as_deref(), Some(&b"x"[..]));
}

#[test]
fn a_sweep_is_not_undone_with_a_turn() {
    let (_folder, database) = fresh();
    let stores = [StoreSpec { ttl: Some(TTL), ..spec("v", Kind::Value) }];
    let mut state = task(&database, &stores);
    state.put(0, 0, b"a", Some(b"x"), at(0));
    commit(&database, &mut state);
    state.begin();
    assert_eq!(state.sweep(at(50), 100).unwrap(), 1);
    state.put(0, 0, b"b", Some(b"x"), at(50));
    state.keep(0);
    assert_eq!(commit(&database, &mut state), [(0, b"a".to_vec(), None)]);
}
