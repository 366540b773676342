//! The topics of an app with state, on the embedded log.

use insta::assert_snapshot;

use super::*;
use crate::{
    bind::tests::{Role, Slot, build, manifest},
    broker::{Broker, memory::MemoryLog},
};

const TOTAL: Slot = ("total", Role::Counter, "", "i64");
const USERS: Slot = ("users", Role::Table, "text", "json");
const DUE: Slot = ("due", Role::Timer, "", "json");
type Functions<'a> = &'a [(&'a str, &'a str, &'a [Slot])];
const COUNT: Functions<'static> = &[("count", r#"["in"]"#, &[TOTAL, USERS])];
const STATE: &str = "[stores.total]\n[tables.users]\ntopic = \"people\"\n";

fn topic(log: &MemoryLog, name: &str, partitions: u32, settings: &[(&str, &str)]) {
    let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let (partitions, settings) = (Some(partitions), settings.collect());
    let topic = NewTopic { name: name.to_owned(), partitions, replicas: None, settings };
    log.admin().unwrap().create(&topic).unwrap();
}

fn ensured(
    log: &MemoryLog,
    functions: Functions<'_>,
    more: &str,
    creates: bool,
) -> Result<Topics, Error> {
    let (manifest, admin) = (manifest(functions, more), log.admin().unwrap());
    let topology = build(functions, more).unwrap();
    Checked { manifest: &manifest, admin: admin.as_ref(), creates }.ensure(&topology)
}

fn refused(log: &MemoryLog, functions: Functions<'_>, more: &str) -> String {
    ensured(log, functions, more, false).expect_err("something is wrong").to_string()
}

#[test]
fn changelogs_are_created_compacted_and_cut_as_the_inputs() {
    let log = MemoryLog::new();
    let more = format!("{STATE}[topics.in]\npartitions = 3\n[topics.people]\n");
    let topics = ensured(&log, COUNT, &more, false).unwrap();
    let admin = log.admin().unwrap();
    for (name, policy, kept) in [
        ("trial.total.changelog", "compact", "604800000"),
        ("trial.count.meta", "compact", "604800000"),
        ("people", "compact", "86400000"),
    ] {
        assert_eq!(admin.topic(name).unwrap().unwrap().partitions, 3, "{name}");
        let setting = |setting: &str| admin.setting(name, setting).unwrap().unwrap();
        assert_eq!(
            (setting("cleanup.policy").as_str(), setting("delete.retention.ms").as_str()),
            (policy, kept)
        );
    }
    let known: Vec<_> = ["trial.total.changelog", "people", "trial.count.meta"]
        .map(|name| admin.topic(name).unwrap().unwrap().id)
        .into();
    let ids: Vec<_> = topics.stores[0].iter().map(|store| store.id.clone()).collect();
    assert_eq!(ids, known, "in the order of the stores");
    assert!(topics.stores[0].iter().all(|store| store.partitions == 3));
    let again = ensured(&log, COUNT, &more, false).unwrap();
    assert_eq!(again.stores, topics.stores, "what is there stays");
}

#[test]
fn a_changelog_may_be_declared() {
    let log = MemoryLog::new();
    let declared = "[topics.in]\npartitions = 2\n[topics.\"trial.total.changelog\"]\nsettings = { segment.ms = 60000 }\n";
    ensured(
        &log,
        &[("count", r#"["in"]"#, &[TOTAL])],
        &format!("[stores.total]\n{declared}"),
        false,
    )
    .unwrap();
    let setting = log.admin().unwrap().setting("trial.total.changelog", "segment.ms").unwrap();
    assert_eq!(setting.unwrap(), "60000");
}

#[test]
fn what_would_lose_state_is_refused() {
    let count: Functions<'_> = &[("count", r#"["in"]"#, &[TOTAL])];
    let with = |name: &str, partitions, settings: &[(&str, &str)]| {
        let log = MemoryLog::new();
        topic(&log, "in", 2, &[]);
        topic(&log, name, partitions, settings);
        refused(&log, count, "[stores.total]\n")
    };
    let compact = ("cleanup.policy", "compact");
    let week = ("delete.retention.ms", "604800000");
    let changelog = "trial.total.changelog";
    assert_snapshot!(with(changelog, 3, &[compact, week]), @"the changelog `trial.total.changelog` has 3 partitions and the inputs behind it have 2: the state was kept for other partitions; use inputs with 3 partitions as before, or another app name, or delete `trial.total.changelog` to begin without state");
    assert_snapshot!(with(changelog, 2, &[("cleanup.policy", "compact,delete"), week]), @"the changelog `trial.total.changelog` has cleanup.policy=compact,delete, so that state would be lost with time; set cleanup.policy=compact");
    assert_snapshot!(with("trial.count.meta", 2, &[]), @"the changelog `trial.count.meta` has cleanup.policy=delete, so that state would be lost with time; set cleanup.policy=compact");
    assert_snapshot!(with(changelog, 2, &[compact]), @"the changelog `trial.total.changelog` has delete.retention.ms=86400000, and local state is trusted for 7 days: what was deleted meanwhile would come back; set delete.retention.ms=604800000");
}

#[test]
fn tables_are_there_and_cut_as_the_records_that_look_into_them() {
    let log = MemoryLog::new();
    topic(&log, "in", 2, &[]);
    assert_snapshot!(refused(&log, COUNT, STATE), @"tidemill.toml: topic `people` does not exist; create it, or add these lines: [topics.people] and partitions = 6");
    topic(&log, "people", 3, &[]);
    assert_snapshot!(refused(&log, COUNT, STATE), @"tidemill.toml: tables.users: its topic `people` has 3 partitions and the inputs of count have 2, so that a key and its row are not in the same one; write broadcast = true, so that each host holds the whole table, or use a topic with 2 partitions");
    let topics = ensured(&log, COUNT, &format!("{STATE}broadcast = true\n"), false).unwrap();
    assert_eq!(
        topics.stores[0].iter().map(|store| store.partitions).collect::<Vec<_>>(),
        [2, 3, 2]
    );
}

#[test]
fn functions_that_share_a_store_have_inputs_of_equal_cut() {
    let log = MemoryLog::new();
    topic(&log, "in", 2, &[]);
    topic(&log, "out", 3, &[]);
    let functions: Functions<'_> =
        &[("add", r#"["in"]"#, &[TOTAL]), ("take", r#"["out"]"#, &[TOTAL])];
    assert_snapshot!(refused(&log, functions, "[stores.total]\n"), @"functions add, take read topics that must have equally many partitions since they share a store: `in` has 2 and `out` has 3; give one of them another topic, or a store of its own");
}

#[test]
fn timers_of_functions_that_were_apart_are_not_left_behind() {
    let log = MemoryLog::new();
    topic(&log, "a", 2, &[]);
    topic(&log, "b", 2, &[]);
    let apart: Functions<'_> = &[("early", r#"["a"]"#, &[DUE]), ("watch", r#"["b"]"#, &[DUE])];
    ensured(&log, apart, "", false).unwrap();
    let together: Functions<'_> =
        &[("early", r#"["a", "b"]"#, &[DUE]), ("watch", r#"["b"]"#, &[DUE])];
    assert_snapshot!(refused(&log, together, ""), @"`trial.watch.meta` holds the timers of a time when `watch` did not work together with `early`; keep them apart by inputs and stores of their own, or delete `trial.watch.meta` where those timers are no longer wanted");
}
