//! Long times of chaos, and what must be true afterwards.

use std::time::{Duration, Instant};

use super::amounts::Source;
use super::chaos::Chaos;
use super::fleet::Member;
use super::seeded::Seeded;
use super::totals::Totals;
use super::windowed::Windowed;
use super::{check, events};
use crate::cluster::cluster;

/// Of the regular suite, both guarantees together.
const KILLS_EXACTLY_ONCE: usize = 22;
const KILLS_AT_LEAST_ONCE: usize = 10;
const AMOUNTS_PER_SECOND: u64 = 500;

#[test]
fn exactly_once_whatever_dies() {
    storm("crash-exactly-once", "exactly-once", KILLS_EXACTLY_ONCE);
}

#[test]
fn at_least_once_whatever_dies() {
    storm("crash-at-least-once", "at-least-once", KILLS_AT_LEAST_ONCE);
}

fn storm(app: &str, guarantee: &'static str, kills: usize) {
    let minutes: u64 = std::env::var("CRASH_MINUTES")
        .map_or(0, |minutes| minutes.parse().expect("CRASH_MINUTES is a whole number"));
    let seed = Seeded::seed();
    println!("{app}: CRASH_SEED={seed}");
    let mut seeded = Seeded::new(seed);
    let cluster = cluster();
    let folder = tempfile::tempdir().expect("making a folder");
    let mut totals = Totals::new(&cluster.kafka, app).impatient();
    totals.guarantee = guarantee;
    totals.create_topics(&cluster.kafka);
    // What comes out of windows is exact only where nothing is handled twice.
    let windowed = (guarantee == "exactly-once").then(|| Windowed::beside(&mut totals));
    if let Some(windowed) = &windowed {
        windowed.create_topics(&cluster.kafka);
    }
    let member = |(name, workers)| Member::new(&totals, folder.path(), name, workers);
    let mut fleet = [("first", 1), ("second", 2), ("third", 1)].map(member);
    fleet.iter_mut().for_each(Member::start);
    // Topics with three replicas are made only while three brokers are there.
    fleet.iter_mut().for_each(Member::ready);

    let source = Source::start(&cluster.kafka, &totals.input(), AMOUNTS_PER_SECOND, seeded.fork());
    let events =
        windowed.as_ref().map(|it| events::Source::start(&cluster.kafka, it, seeded.fork()));
    let mut chaos = Chaos::new(&cluster, &mut fleet, seeded);
    if guarantee == "at-least-once" {
        chaos = chaos.without_freezing();
    }
    let (start, minimum) = (Instant::now(), Duration::from_secs(60 * minutes));
    let killed = chaos.run(kills, minimum);
    let written = source.finish();
    if let Some(events) = events {
        events.finish();
    }
    let calm = Instant::now();
    check::settle(&cluster.kafka, &totals, &mut fleet);
    if let Some(windowed) = &windowed {
        windowed.settle(&cluster.kafka, &totals, &mut fleet);
    }
    println!(
        "{app}: {killed} kills in {:.0} s, {written} amounts; all settled {:.1} s after",
        start.elapsed().as_secs_f64(),
        calm.elapsed().as_secs_f64()
    );

    let state = match guarantee {
        "exactly-once" => check::exactly_once(&cluster.kafka, &totals),
        _ => check::at_least_once(&cluster.kafka, &totals),
    };
    check::changelog(&cluster.kafka, &totals, &state);
    if let Some(windowed) = &windowed {
        windowed.check(&cluster.kafka);
    }
    fleet.iter_mut().for_each(Member::ready);
    check::answers(&fleet, &totals, &state);
    fleet.iter_mut().for_each(Member::stop);
}
