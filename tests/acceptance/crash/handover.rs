//! Two hosts hand partitions over while amounts flow: one joins, one leaves, one comes back.

use std::time::Duration;

use super::amounts::Source;
use super::check;
use super::fleet::Member;
use super::seeded::Seeded;
use super::totals::Totals;
use crate::broker::kafka;
use crate::wait;

const AMOUNTS_PER_SECOND: u64 = 2000;
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn partitions_move_without_losing_or_doubling_in_the_classic_protocol() {
    partitions_move("classic");
}

#[test]
fn partitions_move_without_losing_or_doubling_in_the_consumer_protocol() {
    partitions_move("consumer");
}

fn partitions_move(protocol: &str) {
    let kafka = kafka();
    let folder = tempfile::tempdir().expect("making a folder");
    let mut totals = Totals::new(kafka, &format!("handover-{protocol}"));
    totals.properties = format!("\"group.protocol\" = \"{protocol}\"\n");
    totals.create_topics(kafka);
    let mut fleet = ["first", "second"].map(|name| Member::new(&totals, folder.path(), name, 2));
    let source =
        Source::start(kafka, &totals.input(), AMOUNTS_PER_SECOND, Seeded::new(Seeded::seed()));

    fleet[0].start();
    works(&mut fleet[0]);
    fleet[1].start();
    works(&mut fleet[1]);
    fleet[0].stop();
    works(&mut fleet[1]);
    fleet[0].start();
    works(&mut fleet[0]);
    source.finish();
    check::settle(kafka, &totals, &mut fleet);

    let state = check::exactly_once(kafka, &totals);
    check::changelog(kafka, &totals, &state);
    check::answers(&fleet, &totals, &state);
    fleet.iter_mut().for_each(Member::stop);
}

/// It is ready, and handles more than it had handled.
fn works(member: &mut Member) {
    member.ready();
    let handled = |member: &Member| member.metric("tidemill_function_records_in_total");
    let before = handled(member);
    wait::until("a host at work", LIMIT, || {
        member.look();
        (handled(member) > before).then_some(())
    });
}
