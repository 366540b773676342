//! What is on the disk, what is on the topics, and how much is read after which loss.

use std::time::Duration;

use tidemill::{
    broker::{
        Broker as _, Error, Start,
        memory::{Fault, Step, When},
    },
    clock::Clock as _,
    manifest::Guarantee,
    record::{Position, Timestamp, TopicPartition},
};

use crate::{
    function::{self, CHANGELOG, INPUT, META, PARTITIONS, RATES, TABLE},
    world::World,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn world() -> World {
    let mut world = World::new(Guarantee::ExactlyOnce, &[1]);
    for round in 0..5 {
        for record in 0..40 {
            world.append(&format!("k{}", record % 20), round + record);
        }
        world.settle();
    }
    world
}

fn later(world: &World, days: u32) {
    let millis = i64::try_from((DAY * days).as_millis()).unwrap();
    world.clock.advance_to(Timestamp(world.clock.now().millis() + millis));
}

#[test]
fn a_disk_that_is_one_commit_behind_reads_the_suffix_alone() {
    let mut world = world();
    world.hosts[0].remember();
    let before = world.logged();
    world.append("k1", 5);
    world.append("k2", 7);
    world.settle();
    let suffix = world.logged() - before;
    assert!((3..20).contains(&suffix), "{suffix}");
    let restored = world.restored();
    world.hosts[0].fall_back();
    world.settle();
    assert_eq!(world.restored() - restored, suffix);
    world.append("k1", 1);
    world.settle();
    world.check();
}

#[test]
fn a_disk_that_is_up_to_date_reads_nothing() {
    let mut world = world();
    let restored = world.restored();
    world.hosts[0].kill();
    world.settle();
    assert_eq!(world.restored(), restored);
    world.check();
}

#[test]
fn a_lost_disk_is_restored_from_the_changelogs() {
    let mut world = world();
    let (restored, logged) = (world.restored(), world.logged());
    world.hosts[0].wipe();
    world.settle();
    assert_eq!(world.restored() - restored, logged);
    world.check();
}

#[test]
fn a_disk_older_than_deletions_are_kept_is_rebuilt() {
    for (days, all) in [(5, false), (8, true)] {
        let mut world = world();
        world.hosts[0].remember();
        let before = world.logged();
        world.append("k1", 5);
        world.settle();
        let (restored, logged) = (world.restored(), world.logged());
        world.hosts[0].fall_back();
        later(&world, days);
        world.settle();
        // Of the task of `k1`: the others have all there is.
        let read = world.restored() - restored;
        assert!(read >= logged - before, "{read}");
        assert_eq!(read > logged / 8, all, "{read} of {logged} after {days} days");
        world.check();
    }
}

#[test]
fn changelogs_that_were_made_anew_are_recognised() {
    let mut world = world();
    world.hosts[0].kill();
    for topic in [CHANGELOG, META] {
        world.log.admin().unwrap().delete(topic).unwrap();
        world.create(topic, PARTITIONS, true);
    }
    let before = world.totals()["k1"].len();
    world.append("k1", 5);
    world.settle();
    assert_eq!(world.totals()["k1"][before..], [5], "it counts from nothing");
    assert_eq!(world.state().into_iter().collect::<Vec<_>>(), [("k1".to_owned(), 5)]);
}

#[test]
fn positions_that_the_group_forgot_are_those_of_the_state() {
    for start in [Start::Earliest, Start::Latest] {
        let mut world = world();
        world.hosts[0].kill();
        world.append("k3", 9);
        (world.group, world.start) = ("another".to_owned(), start);
        world.settle();
        world.check();
    }
}

#[test]
fn positions_are_committed_again_though_nothing_moves() {
    let mut world = world();
    let commits = world.metrics.app(function::APP).commits();
    later(&world, 1);
    world.settle();
    assert_eq!(world.metrics.app(function::APP).commits(), commits + 1);
    world.check();
}

#[test]
fn a_position_older_than_the_log_is_an_error_that_says_so() {
    let mut world = world();
    world.hosts[0].kill();
    for _ in 0..10 {
        world.append("k1", 1);
    }
    let partition = tidemill::partitioner::partition_of(b"k1", PARTITIONS);
    let input = TopicPartition { topic: INPUT.into(), partition };
    let end = world.log.admin().unwrap();
    let end = end.positions(std::slice::from_ref(&input), tidemill::broker::Bound::Latest).unwrap();
    world.log.truncate(&input, Position(end[0].0 - 3)).unwrap();
    let error = (0..1000).find_map(|_| world.step(0, 0).err()).unwrap();
    assert!(error.contains("is older than the earliest record"), "{error}");
}

#[test]
fn a_value_that_the_changelog_refuses_pauses_its_task_and_is_not_dropped() {
    let mut world = World::new(Guarantee::ExactlyOnce, &[1]);
    world.append("k1", 1);
    world.settle();
    // Behind the output comes the counter.
    let refused = Fault::Error(Error::TooLarge("1.1 MB".into()));
    world.log.faults().plan(Step::Deliver, When::Before, 1, refused);
    world.append("k1", 2);
    for _ in 0..200 {
        world.step(0, 0).unwrap();
    }
    assert_eq!(world.log.faults().pending(), 0);
    assert_eq!(world.totals()["k1"], [1]);
    let worker = world.worker(0, 0).unwrap();
    assert!(worker.is_settled(), "it waits");
    worker.resume();
    world.settle();
    world.check();
}

#[test]
fn tables_are_complete_before_a_task_begins_and_followed_then() {
    let mut world = World::with(function::code(true), Guarantee::ExactlyOnce, &[1]);
    world.create(TABLE, PARTITIONS, true);
    world.create(RATES, 2, true);
    for key in 0..20 {
        world.put(TABLE, &format!("k{key}"), Some("3"));
    }
    world.put(RATES, "rate", Some("2"));
    world.append("k1", 1);
    for _ in 0..50 {
        world.step(0, 0).unwrap();
    }
    assert_eq!(world.tasks(), 0, "nobody follows the broadcast table yet");
    world.settle();
    assert_eq!(world.totals()["k1"], [6]);
    world.put(TABLE, "k1", Some("5"));
    world.put(RATES, "rate", None);
    world.follow(0);
    world.append("k1", 1);
    world.settle();
    assert_eq!(world.totals()["k1"], [6, 11]);
    let restored = world.restored();
    world.hosts[0].kill();
    world.put(TABLE, "k1", Some("7"));
    world.append("k1", 1);
    world.settle();
    assert_eq!(world.totals()["k1"], [6, 11, 18]);
    assert_eq!(world.restored() - restored, 1, "only the row that changed is read");
}
