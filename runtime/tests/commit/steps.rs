//! One fault at a time, at each step of a commit.

use tidemill::{
    broker::{
        Error,
        memory::{Fault, Step, When},
    },
    manifest::Guarantee,
};

use crate::{
    function::{META, PARTITIONS},
    world::World,
};

const STEPS: [Step; 6] =
    [Step::Produce, Step::Deliver, Step::Begin, Step::SendPositions, Step::Commit, Step::Abort];

/// What may be answered on this side of a step's effect.
fn faults(step: Step, when: When) -> Vec<Fault> {
    let errors = [Error::Retriable, Error::Unknown, Error::Fatal];
    let errors = errors.map(|error| Fault::Error(error("a test's".to_owned())));
    let mut faults: Vec<Fault> = errors.into();
    faults.extend([Fault::Fence, Fault::Kill]);
    if when == When::Before || step != Step::Commit {
        // What says so is not committed.
        faults.push(Fault::Error(Error::Abortable("a test's".to_owned())));
    }
    if when == When::Before {
        // A full buffer has taken nothing.
        faults.push(Fault::Error(Error::Full));
    }
    faults
}

/// Some records, a fault, more records.
fn cut(guarantee: Guarantee, step: Step, when: When, skip: usize, fault: &Fault) -> World {
    let mut world = World::new(guarantee, &[2]);
    for round in 0..3 {
        for record in 0..20 {
            world.append(&format!("k{}", record % 7), 1 + round * 20 + record);
        }
        if round == 1 {
            if step == Step::Abort {
                // Nothing is aborted unless something fails.
                let lost = Fault::Error(Error::Abortable("a test's".to_owned()));
                world.log.faults().plan(Step::Commit, When::Before, 0, lost);
            }
            world.log.faults().plan(step, when, skip, fault.clone());
        }
        world.settle();
    }
    world
}

#[test]
fn each_step_may_fail_on_either_side_and_each_input_counts_once() {
    for step in STEPS {
        for when in [When::Before, When::After] {
            for fault in faults(step, when) {
                for skip in [0, 3] {
                    println!("{step:?} {when:?} after {skip}: {fault:?}");
                    cut(Guarantee::ExactlyOnce, step, when, skip, &fault).check();
                }
            }
        }
    }
}

#[test]
fn at_least_once_nothing_is_lost() {
    for step in [Step::Produce, Step::Deliver] {
        for when in [When::Before, When::After] {
            for fault in faults(step, when) {
                println!("{step:?} {when:?}: {fault:?}");
                let world = cut(Guarantee::AtLeastOnce, step, when, 3, &fault);
                let totals = world.totals();
                for (key, expected) in world.expected() {
                    let last = totals[&key].iter().copied().max().unwrap();
                    assert!(last >= expected[expected.len() - 1], "{key}: {last}");
                    assert!(totals[&key].len() >= expected.len(), "{key}");
                }
            }
        }
    }
}

#[test]
fn while_answers_are_kept_back_nothing_is_committed_and_nothing_is_lost() {
    let mut world = World::new(Guarantee::ExactlyOnce, &[1]);
    world.append("k", 1);
    world.settle();
    world.log.faults().cork();
    for amount in 2..200 {
        world.append("k", amount);
    }
    for _ in 0..100 {
        world.step(0, 0).unwrap();
    }
    assert_eq!(world.totals()["k"], [1], "an open transaction is hidden");
    world.log.faults().uncork();
    world.settle();
    world.check();
}

#[test]
fn at_least_once_how_far_a_task_had_come_is_not_believed_without_what_it_did() {
    let mut world = World::new(Guarantee::AtLeastOnce, &[1]);
    world.append("k", 1);
    let faults = world.log.faults();
    faults.cork();
    // Its output gets there, and where it came to; what it added up to does not.
    let lost = Fault::Error(Error::Retriable("a test's".to_owned()));
    faults.plan(Step::Deliver, When::Before, 1, lost);
    for _ in 0..1000 {
        world.step(0, 0).unwrap();
    }
    assert_eq!((world.read(META, PARTITIONS).len(), world.changelog().len()), (1, 0));
    world.hosts[0].wipe();
    faults.uncork();
    world.append("k", 2);
    world.settle();
    assert_eq!(world.totals()["k"], [1, 1, 3]);
    assert_eq!((world.changelog()["k"], world.state()["k"]), (3, 3));
}
