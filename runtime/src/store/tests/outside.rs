//! Reads from outside.

use super::*;

fn rows(page: &Page<Row>) -> Vec<&[u8]> {
    page.entries.iter().map(|row| &row.key[..]).collect()
}

/// All pages, one after another.
fn all<T>(limit: usize, mut page: impl FnMut(&PageRequest<'_>) -> Page<T>) -> Vec<T> {
    let mut found = Vec::new();
    let mut from: Option<Vec<u8>> = None;
    loop {
        let one = page(&PageRequest { from: from.as_deref(), limit, ..PageRequest::default() });
        assert!(one.entries.len() <= limit);
        found.extend(one.entries);
        match one.next {
            Some(next) => from = Some(next),
            None => return found,
        }
    }
}

#[test]
fn only_live_partitions_and_committed_values() {
    let (_folder, database) = fresh();
    let stores = [spec("c", Kind::Counter), spec("meta", Kind::Meta)];
    let mut state = task(&database, &stores);
    assert!(database.live(APP, "c").is_empty(), "not yet complete");
    state.live().unwrap();
    let live = database.live(APP, "c");
    assert_eq!((live.len(), live[0].partition, &live[0].spec), (1, 0, &stores[0]));
    assert!(database.live("other", "c").is_empty());
    assert!(database.live(APP, "d").is_empty());
    state.add(0, 0, b"a", 5, at(7)).unwrap().unwrap();
    assert_eq!(database.get(&live[0], b"a").unwrap(), None);
    commit(&database, &mut state);
    let stored = database.get(&live[0], b"a").unwrap().unwrap();
    assert_eq!((stored.counter(), stored.at), (Some(5), at(7)));
    drop(state);
    assert!(database.live(APP, "c").is_empty());
}

#[test]
fn pages_of_values() {
    let (_folder, database) = fresh();
    let mut state = task(&database, &[spec("v", Kind::Value), spec("w", Kind::Value)]);
    state.live().unwrap();
    for key in [&b""[..], b"a", b"ab", b"ac", b"b", b"\xff"] {
        state.put(0, 0, key, Some(b"1234"), at(0));
        state.put(0, 1, key, Some(b"no"), at(0));
    }
    commit(&database, &mut state);
    let live = &database.live(APP, "v")[0];
    let found = all(2, |page| database.page(live, page).unwrap());
    let keys: Vec<&[u8]> = found.iter().map(|row| &row.key[..]).collect();
    assert_eq!(keys, [&b""[..], b"a", b"ab", b"ac", b"b", b"\xff"]);
    assert_eq!(found[1].stored.as_ref().unwrap().value, b"1234");
    let with = |page| database.page(live, &page).unwrap();
    let a = PageRequest { prefix: Some(b"a"), ..PageRequest::default() };
    assert_eq!(rows(&with(a)), [&b"a"[..], b"ab", b"ac"]);
    assert_eq!(rows(&with(PageRequest { from: Some(b"ab"), ..a })), [&b"ab"[..], b"ac"]);
    assert!(with(PageRequest { from: Some(b"b"), ..a }).entries.is_empty());
    assert!(with(PageRequest { prefix: Some(b"x"), ..a }).entries.is_empty());
    let upto = PageRequest { from: Some(b"ab"), to: Some(b"b"), ..PageRequest::default() };
    assert_eq!(rows(&with(upto)), [&b"ab"[..], b"ac"]);
    let back = PageRequest { reverse: true, limit: 2, ..upto };
    assert_eq!(rows(&with(back)), [&b"ac"[..], b"ab"]);
    let page = with(PageRequest { limit: 1, ..back });
    assert_eq!((rows(&page), page.next.as_deref()), (vec![&b"ac"[..]], Some(&b"ab"[..])));
    let crossed = PageRequest { from: Some(b"b"), to: Some(b"a"), ..back };
    assert!(with(crossed).entries.is_empty());
    // At least one row a page, however small.
    let page = with(PageRequest { bytes_max: 1, ..a });
    assert_eq!((rows(&page), page.next.as_deref()), (vec![&b"a"[..]], Some(&b"ab"[..])));
    let page = with(PageRequest { bytes_max: 11, ..a });
    assert_eq!(rows(&page), [&b"a"[..], b"ab"]);
}

#[test]
fn pages_of_maps() {
    let (_folder, database) = fresh();
    let mut state = task(&database, &[spec("m", Kind::Map)]);
    state.live().unwrap();
    for key in [&b""[..], b"a", b"a\0", b"a\0\x01", b"ab", b"b"] {
        for entry in [&b""[..], b"x", b"\0\0", b"\xff"] {
            state.map_put(0, 0, key, entry, Some(key), at(3));
        }
    }
    commit(&database, &mut state);
    let live = &database.live(APP, "m")[0];
    for limit in [1, 2, 9] {
        let found = all(limit, |page| database.page(live, page).unwrap());
        let keys: Vec<&[u8]> = found.iter().map(|row| &row.key[..]).collect();
        assert_eq!(keys, [&b""[..], b"a", b"a\0", b"a\0\x01", b"ab", b"b"]);
        let found = all(limit, |page| database.map_page(live, b"a\0", page).unwrap());
        let keys: Vec<&[u8]> = found.iter().map(|row| &row.key[..]).collect();
        assert_eq!(keys, [&b""[..], b"\0\0", b"x", b"\xff"]);
        assert!(found.iter().all(|row| row.stored.as_ref().unwrap().value == b"a\0"));
    }
    let page = |prefix| PageRequest { prefix: Some(prefix), ..PageRequest::default() };
    assert_eq!(rows(&database.page(live, &page(b"a\0")).unwrap()), [&b"a\0"[..], b"a\0\x01"]);
    assert_eq!(rows(&database.map_page(live, b"a", &page(b"x")).unwrap()), [&b"x"[..]]);
    let stored = database.map_get(live, b"ab", b"x").unwrap().unwrap();
    assert_eq!((stored.value, stored.at), (b"ab".to_vec(), at(3)));
    assert_eq!(database.map_get(live, b"ab", b"y").unwrap(), None);
}

#[test]
fn what_is_over_is_not_shown() {
    let (_folder, database) = fresh();
    let stores = [StoreSpec { ttl: Some(TTL), ..spec("v", Kind::Value) }, spec("meta", Kind::Meta)];
    let mut state = task(&database, &stores);
    state.live().unwrap();
    state.put(0, 0, b"old", Some(b"x"), at(0));
    state.put(0, 0, b"young", Some(b"x"), at(4));
    state.seal(&Progress { stream_time: Some(at(5)), positions: Vec::new(), nodes: Vec::new() });
    let mut batch = database.batch();
    state.commit(&mut batch, &[], at(0));
    database.write(batch).unwrap();
    let live = &database.live(APP, "v")[0];
    assert_eq!(database.get(live, b"old").unwrap(), None);
    assert!(database.get(live, b"young").unwrap().is_some());
    assert_eq!(rows(&database.page(live, &PageRequest::default()).unwrap()), [&b"young"[..]]);
}

#[test]
fn timers_are_shown() {
    let (_folder, database) = fresh();
    let mut state = task(&database, &[spec("meta", Kind::Meta)]);
    state.live().unwrap();
    for (key, due) in [(&b"b"[..], 1), (b"a", 2), (b"c", -1)] {
        state.set_timer(0, 0, key, at(due), key).unwrap();
    }
    commit(&database, &mut state);
    let live = &database.live(APP, "meta")[0];
    let found = all(2, |page| database.timers(live, page).unwrap());
    let shown: Vec<(i64, &[u8])> =
        found.iter().map(|row| (row.due.millis(), &row.key[..])).collect();
    assert_eq!(shown, [(-1, &b"c"[..]), (1, b"b"), (2, b"a")]);
    assert_eq!(database.timer(live, "f.t", b"a").unwrap().as_ref(), Some(&found[2]));
    assert_eq!(found[2].payload, b"a");
    assert_eq!(database.timer(live, "f.t", b"x").unwrap(), None);
    assert_eq!(database.timer(live, "g.t", b"a").unwrap(), None);
}

#[test]
fn a_broadcast_table_is_shown_once() {
    let (_folder, database) = fresh();
    let spec = StoreSpec { broadcast: true, ..spec("users", Kind::Table) };
    let states: Vec<TaskState> = (0..2)
        .map(|partition| {
            let lease = database.lease(&key(partition)).unwrap();
            let mut state =
                TaskState::open(&database, lease, std::slice::from_ref(&spec), &[], &[3]).unwrap();
            state.live().unwrap();
            state
        })
        .collect();
    let partitions: Vec<u32> =
        database.live(APP, "users").iter().map(|live| live.partition).collect();
    assert_eq!(partitions, [0, 1, 2]);
    drop(states);
}
