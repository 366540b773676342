//! What a host finds when it comes back: an older state, none, another one's, or a log that moved on.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use tempfile::TempDir;

use super::amounts::{self, PARTITIONS};
use super::check;
use super::fleet::Member;
use super::totals::Totals;
use crate::broker::{Kafka, kafka, runtime};
use crate::cluster::cluster;
use crate::wait;

const LIMIT: Duration = Duration::from_secs(60);
/// Why a host does not believe its disk.
const ANEW: &str = "its local state is rebuilt: its topic was deleted and made anew";
const RESTORED: &str = "tidemill_app_restored_records_total";

/// One host of an app of its own.
struct Lone {
    totals: Totals,
    fleet: [Member; 1],
    written: u64,
    _folder: TempDir,
}

impl Lone {
    fn new(app: &str) -> Self {
        let folder = tempfile::tempdir().expect("making a folder");
        let totals = Totals::new(kafka(), app);
        totals.create_topics(kafka());
        let fleet = [Member::new(&totals, folder.path(), "host", 1)];
        Self { totals, fleet, written: 0, _folder: folder }
    }

    fn host(&mut self) -> &mut Member {
        &mut self.fleet[0]
    }

    fn write(&mut self, kafka: &Kafka, count: u64) {
        amounts::write(kafka, &self.totals.input(), self.written, count);
        self.written += count;
    }

    /// Writes more, and waits until they are handled.
    fn handle(&mut self, count: u64) {
        self.write(kafka(), count);
        check::settle(kafka(), &self.totals, &mut self.fleet);
    }

    /// Started, handled, and told to stop.
    fn run(&mut self, count: u64) {
        self.host().start();
        self.handle(count);
        self.host().stop();
    }

    fn check(&self) {
        let state = check::exactly_once(kafka(), &self.totals);
        check::changelog(kafka(), &self.totals, &state);
        check::answers(&self.fleet, &self.totals, &state);
    }

    /// The host says this in its log.
    fn says(&mut self, what: &str) {
        wait::until(what, LIMIT, || {
            self.host().look();
            self.host().said().contains(what).then_some(())
        });
    }
}

#[test]
fn a_wiped_disk_comes_back_from_the_changelog() {
    let mut lone = Lone::new("recovery-wiped");
    lone.run(3000);
    lone.host().wipe();
    lone.host().start();
    lone.handle(1000);
    let restored = lone.host().metric(RESTORED);
    assert!(restored >= amounts::KEYS as f64 / 2.0, "{restored} records were restored");
    lone.check();
}

/// What was flushed at a stop is not read again: after a crash only what came later is.
#[test]
fn after_a_crash_only_the_suffix_is_restored() {
    let mut lone = Lone::new("recovery-suffix");
    lone.run(3000);
    let changelog = lone.totals.changelog();
    let flushed: i64 = kafka().ends(&changelog).iter().sum();
    lone.host().start();
    lone.handle(500);
    lone.host().kill();
    let behind: i64 = kafka().ends(&changelog).iter().sum::<i64>() - flushed;
    lone.host().start();
    lone.handle(500);
    let restored = lone.host().metric(RESTORED);
    // Timers and positions have a log of their own, with a record for each partition and commit.
    println!("{restored} records restored, {behind} offsets behind the flush");
    assert!(
        restored > 0.0 && restored <= 2.0 * behind as f64,
        "{restored} records were restored, and {behind} offsets are behind the flush at {flushed}"
    );
    lone.check();
}

#[test]
fn after_a_stop_nothing_is_restored() {
    let mut lone = Lone::new("recovery-stopped");
    lone.run(3000);
    lone.host().start();
    lone.handle(500);
    let restored = lone.host().metric(RESTORED);
    assert_eq!(restored, 0.0, "records restored after a clean stop");
    lone.check();
}

/// The state is of a changelog that is gone, so it is gone too; the host says so and begins anew.
#[test]
fn a_changelog_made_anew_is_recognised() {
    let mut lone = Lone::new("recovery-recreated");
    lone.run(1000);
    let changelog = lone.totals.changelog();
    kafka().delete_topic(&changelog);
    lone.host().start();
    lone.handle(1000);
    lone.says(ANEW);
    let mut begun = Lone::new("recovery-recreated-alone");
    // What the host has is what it would have of the second half alone.
    amounts::write(kafka(), &begun.totals.input(), 1000, 1000);
    begun.host().start();
    check::settle(kafka(), &begun.totals, &mut begun.fleet);
    let state = check::exactly_once(kafka(), &begun.totals);
    check::changelog(kafka(), &lone.totals, &state);
    check::answers(&lone.fleet, &lone.totals, &state);
}

/// A folder that was used with another cluster, by an app of the same name.
#[test]
fn a_foreign_data_directory_is_not_believed() {
    let mut lone = Lone::new("recovery-foreign");
    lone.run(1000);
    let cluster = cluster();
    let totals = Totals::new(&cluster.kafka, "recovery-foreign");
    totals.create_topics(&cluster.kafka);
    lone.host().configure(&totals, 1);
    lone.host().start();
    amounts::write(&cluster.kafka, &totals.input(), 0, 500);
    check::settle(&cluster.kafka, &totals, &mut lone.fleet);
    lone.says(ANEW);
    let state = check::exactly_once(&cluster.kafka, &totals);
    check::changelog(&cluster.kafka, &totals, &state);
    check::answers(&lone.fleet, &totals, &state);
}

/// The group forgot where it was; the state did not, and `start = "earliest"` would count all of it again.
#[test]
fn positions_that_expired_are_taken_from_the_state() {
    let mut lone = Lone::new("recovery-expired");
    lone.run(1000);
    let admin: AdminClient<DefaultClientContext> =
        kafka().client().create().expect("making an admin client");
    let deleted =
        runtime().block_on(admin.delete_groups(&[&lone.totals.app], &AdminOptions::new()));
    for group in deleted.expect("asking to delete a group") {
        group.expect("the broker deletes the group");
    }
    let committed = kafka().committed(&lone.totals.app, &lone.totals.input(), PARTITIONS);
    assert_eq!(committed, [-1; PARTITIONS as usize]);
    lone.host().start();
    lone.handle(500);
    lone.check();
}

#[test]
fn a_position_older_than_the_log_is_a_clear_error() {
    let mut lone = Lone::new("recovery-truncated");
    lone.run(1000);
    lone.write(kafka(), 1000);
    let input = lone.totals.input();
    for (partition, end) in (0..).zip(kafka().ends(&input)) {
        kafka().truncate(&input, partition, end - 1);
    }
    lone.host().start();
    wait::until("the error", LIMIT, || {
        let said = lone.host().said();
        let told = said.lines().any(|line| {
            line.contains(&input)
                && line.contains("is older than the earliest record")
                && line.contains("on-missing-offset")
        });
        told.then_some(())
    });
    let committed = kafka().committed(&lone.totals.app, &input, PARTITIONS);
    lone.host().kill();
    let after = kafka().committed(&lone.totals.app, &input, PARTITIONS);
    assert_eq!(committed, after, "nothing is skipped");
}
