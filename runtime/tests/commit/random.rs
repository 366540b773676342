//! Many faults, in an order made of a number that is printed.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tidemill::{
    broker::{
        Error,
        memory::{Fault, Step, When},
    },
    manifest::Guarantee,
};

use crate::{function::APP, world::World};

const RUNS: u64 = 60;
const ROUNDS: usize = 60;

fn fault(random: &mut StdRng) -> Fault {
    let text = || "a test's".to_owned();
    match random.random_range(0..7) {
        0 => Fault::Error(Error::Retriable(text())),
        1 | 2 => Fault::Error(Error::Abortable(text())),
        3 => Fault::Error(Error::Unknown(text())),
        4 => Fault::Error(Error::Fatal(text())),
        5 => Fault::Fence,
        _ => Fault::Kill,
    }
}

fn is_abortable(fault: &Fault) -> bool {
    matches!(fault, Fault::Error(Error::Abortable(_)))
}

fn plan(world: &World, random: &mut StdRng) {
    let steps =
        [Step::Produce, Step::Deliver, Step::Begin, Step::SendPositions, Step::Commit, Step::Abort];
    let step = steps[random.random_range(0..steps.len())];
    let when = if random.random() { When::Before } else { When::After };
    let records = matches!(step, Step::Produce | Step::Deliver);
    let skip = random.random_range(0..if records { 40 } else { 3 });
    let mut fault = fault(random);
    if (step, when) == (Step::Commit, When::After) && is_abortable(&fault) {
        // What says so is not committed.
        fault = Fault::Kill;
    }
    world.log.faults().plan(step, when, skip, fault);
}

fn round(world: &mut World, random: &mut StdRng) {
    let host = random.random_range(0..world.hosts.len());
    let worker = random.random_range(0..world.hosts[host].workers());
    match random.random_range(0..160) {
        0..=35 => {
            for _ in 0..random.random_range(1..30) {
                let key = format!("k{}", random.random_range(0..20));
                world.append(&key, random.random_range(1..100));
            }
        }
        36..=51 => plan(world, random),
        56..=63 => world.hosts[host].kill_worker(worker),
        64..=67 => world.hosts[host].kill(),
        68..=71 => world.hosts[host].wipe(),
        72..=75 => world.hosts[host].remember(),
        76..=79 => world.hosts[host].fall_back(),
        80..=83 => world.log.expel(APP),
        84..=87 => world.log.advance(Duration::from_secs(1)),
        88..=91 => world.log.compact(),
        _ => {
            for _ in 0..random.random_range(1..12) {
                // What ends a worker is what was planned.
                let _ = world.step(host, worker);
            }
        }
    }
}

fn run(seed: u64, guarantee: Guarantee) -> World {
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    // Two workers share a disk, and so leases; another one has its own.
    let mut world = World::new(guarantee, &[2, 1]);
    for _ in 0..ROUNDS {
        round(&mut world, &mut random);
    }
    world.append("k0", 1);
    world.settle();
    // What was killed for good has left transactions open.
    world.log.advance(Duration::from_secs(1));
    world.settle();
    world
}

#[test]
fn whatever_happens_each_input_counts_once() {
    for seed in seeds() {
        run(seed, Guarantee::ExactlyOnce).check();
    }
}

#[test]
fn at_least_once_nothing_is_lost_whatever_happens() {
    for seed in seeds().take(20) {
        let world = run(seed, Guarantee::AtLeastOnce);
        let totals = world.totals();
        for (key, expected) in world.expected() {
            let came = totals.get(&key).map_or(0, Vec::len);
            assert!(came >= expected.len(), "{key}: {came} of {}", expected.len());
        }
    }
}

/// Those of one run: named by `SEED`, else drawn.
fn seeds() -> Box<dyn Iterator<Item = u64>> {
    match std::env::var("SEED") {
        Ok(seed) => Box::new(std::iter::once(seed.parse().unwrap())),
        Err(_) => {
            let first: u64 = rand::random::<u32>().into();
            Box::new(first..first + RUNS)
        }
    }
}
