//! The topics of an app with state, on the embedded log.

use std::time::Duration;

use insta::assert_snapshot;

use super::*;
use crate::{
    bind::tests::{Role, Slot, build, manifest},
    broker::{Broker, memory::MemoryLog},
    topology::{Builder, Expr, Join, JoinKind, KeyFrom, Projection, Rekey, Source, Stream, Table},
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

const BY_USER: &str = "[rekey.by-user]\ninput = \"clicks\"\nby = \"json:user\"\n";

#[test]
fn what_is_sent_on_has_as_many_partitions_as_its_input() {
    let log = MemoryLog::new();
    topic(&log, "clicks", 3, &[]);
    let functions: Functions<'_> = &[("count", r#"["by_user"]"#, &[TOTAL])];
    ensured(&log, functions, &format!("[stores.total]\n{BY_USER}"), false).unwrap();
    let admin = log.admin().unwrap();
    let name = "trial.by_user.repartition";
    assert_eq!(admin.topic(name).unwrap().unwrap().partitions, 3);
    let setting = |setting: &str| admin.setting(name, setting).unwrap().unwrap();
    assert_eq!(
        (setting("cleanup.policy"), setting("retention.ms")),
        ("delete".into(), "-1".into())
    );
    let changelog = admin.topic("trial.total.changelog").unwrap().unwrap();
    assert_eq!(changelog.partitions, 3, "state is cut as what is read");
}

type Draw<'a> = &'a dyn Fn(&mut Builder, [Stream; 3]) -> Stream;

/// The topics of a join without a manifest; it is drawn of `clicks`, of those by a new key, and of `views`.
fn joined(log: &MemoryLog, draw: Draw<'_>) -> Result<Topics, Error> {
    let mut app = Builder::new("trial");
    let [clicks, views] = ["clicks", "views"].map(|topic| app.source(Source::new(topic)));
    let by_user = app.rekey(Rekey::new("by-user", clicks, KeyFrom::Header("user".to_owned())));
    let rows = draw(&mut app, [clicks, by_user, views]);
    let rows = app.project(Projection::new("rows", rows, [("left", Expr::column("left"))]));
    app.sink(rows, "out");
    let (manifest, admin) = (Manifest::bare("trial"), log.admin().unwrap());
    let topology = app.build().unwrap();
    Checked { manifest: &manifest, admin: admin.as_ref(), creates: true }.ensure(&topology)
}

fn pairs(app: &mut Builder, left: Stream, right: Stream) -> Stream {
    let second = Duration::from_secs(1);
    app.join(Join::streams("pairs", left, right, JoinKind::Inner, second, second))
}

fn clicks_and_views() -> MemoryLog {
    let log = MemoryLog::new();
    topic(&log, "clicks", 3, &[]);
    topic(&log, "views", 4, &[]);
    topic(&log, "people", 5, &[("cleanup.policy", "compact")]);
    log
}

#[test]
fn what_is_sent_on_is_cut_as_what_it_is_joined_with() {
    let sent_on = |draw: Draw<'_>| {
        let log = clicks_and_views();
        joined(&log, draw).unwrap();
        log.admin().unwrap().topic("trial.by_user.repartition").unwrap().unwrap().partitions
    };
    assert_eq!(sent_on(&|app, [_, by_user, views]| pairs(app, by_user, views)), 4);
    let table = sent_on(&|app, [_, by_user, _]| {
        let people = app.table(Table::new("people", "people"));
        app.join(Join::table("rows-of", by_user, people, JoinKind::Left))
    });
    assert_eq!(table, 5);
    let everywhere = sent_on(&|app, [_, by_user, _]| {
        let people = app.table(Table::new("people", "people").broadcast());
        app.join(Join::broadcast("rows-of", by_user, people, JoinKind::Left, KeyFrom::Key))
    });
    assert_eq!(everywhere, 3, "as its input");
    let both = sent_on(&|app, [_, by_user, views]| {
        let other = app.rekey(Rekey::new("other", views, KeyFrom::Header("user".to_owned())));
        pairs(app, by_user, other)
    });
    assert_eq!(both, 4, "as the larger of both inputs");
}

#[test]
fn what_is_joined_and_not_cut_alike_is_refused_with_a_way_out() {
    let log = clicks_and_views();
    let clicks = joined(&log, &|app, [clicks, _, views]| pairs(app, clicks, views)).unwrap_err();
    let log = clicks_and_views();
    topic(&log, "trial.by_user.repartition", 2, &[]);
    let sent_on = joined(&log, &|app, [_, by_user, views]| pairs(app, by_user, views)).unwrap_err();
    assert_snapshot!(format!("{clicks}\n{sent_on}"), @r"
    by-user, pairs, rows read topics that must have equally many partitions since they are joined: `clicks` has 3 and `views` has 4; give one of them another topic, or send it through one with as many: [rekey.NAME] with input and by, and that name in the join
    pairs, rows work together on topics that must have equally many partitions: `trial.by_user.repartition` has 2 and `views` has 4; `trial.by_user.repartition` is the app's own: write the other's number as partitions of its [rekey.NAME] and delete the topic once it is read to its end, or name another topic there
    ");
}
