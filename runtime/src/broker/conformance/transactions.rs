//! Transactions: all or nothing, and by the current owner only.

use std::sync::mpsc;

use super::*;
use crate::broker::{Bound, Error, FollowerSettings, Isolation, Membership};

/// Asks until it is known.
fn insist(what: &str, mut call: impl FnMut() -> Result<(), Error>) -> Result<(), Error> {
    until(what, || match call() {
        Err(Error::Unknown(_)) => None,
        answer => Some(answer),
    })
}

fn commit(outbox: &mut dyn Outbox) -> Result<(), Error> {
    insist("a commit", || outbox.commit())
}

fn abort(outbox: &mut dyn Outbox) -> Result<(), Error> {
    insist("an abort", || outbox.abort())
}

fn send(
    outbox: &mut dyn Outbox,
    positions: &[(TopicPartition, Position)],
    membership: &Membership,
) -> Result<(), Error> {
    insist("positions to be sent", || outbox.send_positions(positions, membership))
}

/// Records of a committed transaction are read, those of an aborted one are not; markers take offsets.
pub fn committed_is_visible_and_aborted_is_not(subject: &dyn Subject) {
    let bench = Bench::new(subject, "visible");
    let topic = bench.topic("topic", 1);
    let only = partition(&topic, 0);
    let mut outbox = bench.outbox(Some("producer"));
    outbox.begin().expect("begun");
    produce_all(&mut *outbox, &topic, 0, &["a"]);
    assert_eq!(offsets(deliver_all(&mut *outbox)), [Offset(0)]);
    commit(&mut *outbox).expect("committed");
    outbox.begin().expect("begun");
    produce_all(&mut *outbox, &topic, 0, &["b"]);
    assert_eq!(offsets(deliver_all(&mut *outbox)), [Offset(2)], "the marker took one");
    abort(&mut *outbox).expect("aborted");
    outbox.begin().expect("begun");
    produce_all(&mut *outbox, &topic, 0, &["c"]);
    assert_eq!(offsets(deliver_all(&mut *outbox)), [Offset(4)]);
    commit(&mut *outbox).expect("committed");

    let (mut inbox, _) = bench.join(&[&topic], 1);
    let mut got = Vec::new();
    let mut end = Position(0);
    // Markers may be read after the records before them: the last end counts.
    while end < Position(6) {
        let (more, position) = read_to_end(&mut *inbox, &only);
        got.extend(more);
        end = position;
    }
    assert_eq!((got, end), (vec![seen(0, 0, "a"), seen(0, 4, "c")], Position(6)));

    let mut follower = bench
        .broker()
        .follower(FollowerSettings::new(Isolation::ReadUncommitted))
        .expect("a follower");
    follower.assign(&[(only.clone(), Position(0))]).expect("assigned");
    let (got, end) = follow_to_end(&mut *follower, &only);
    assert_eq!((got, end), (vec![seen(0, 0, "a"), seen(0, 2, "b"), seen(0, 4, "c")], Position(6)));
}

/// While a transaction is open, what comes after it waits too.
pub fn stable_end_waits_for_open_transactions(subject: &dyn Subject) {
    let bench = Bench::new(subject, "stable");
    let topic = bench.topic("topic", 1);
    let only = partition(&topic, 0);
    let mut outbox = bench.outbox(Some("producer"));
    outbox.begin().expect("begun");
    produce_all(&mut *outbox, &topic, 0, &["a"]);
    deliver_all(&mut *outbox);
    assert_eq!(bench.fill(&topic, 0, &["b"]), [Offset(1)]);
    let admin = bench.broker().admin().expect("an admin");
    let bound = |bound| admin.positions(std::slice::from_ref(&only), bound).expect("an answer")[0];
    assert_eq!((bound(Bound::Latest), bound(Bound::LatestStable)), (Position(2), Position(0)));
    let mut follower = bench
        .broker()
        .follower(FollowerSettings::new(Isolation::ReadCommitted))
        .expect("a follower");
    follower.assign(&[(only.clone(), Position(0))]).expect("assigned");
    assert_eq!(follow_to_end(&mut *follower, &only), (vec![], Position(0)));
    commit(&mut *outbox).expect("committed");
    let mut got = Vec::new();
    while got.len() < 2 {
        collect(until("records", || follower.poll(SLICE).expect("the follower reads")), &mut got);
    }
    assert_eq!(got, [seen(0, 0, "a"), seen(0, 1, "b")]);
    until("the marker", || (bound(Bound::LatestStable) == Position(3)).then_some(()));
}

/// A newer producer of the same id aborts what the older one left and fences it.
pub fn zombies_are_fenced(subject: &dyn Subject) {
    let bench = Bench::new(subject, "zombie");
    let topic = bench.topic("topic", 1);
    let only = partition(&topic, 0);
    let mut old = bench.outbox(Some("producer"));
    old.begin().expect("begun");
    produce_all(&mut *old, &topic, 0, &["zombie"]);
    deliver_all(&mut *old);
    let mut new = bench.outbox(Some("producer"));
    new.begin().expect("begun");
    produce_all(&mut *new, &topic, 0, &["new"]);
    deliver_all(&mut *new);
    let fenced = commit(&mut *old);
    assert!(matches!(fenced, Err(Error::Fenced(_))), "{fenced:?}");
    commit(&mut *new).expect("the newer one commits");
    let (mut inbox, _) = bench.join(&[&topic], 1);
    let (got, _) = read_to_end(&mut *inbox, &only);
    assert_eq!(got.iter().map(|record| record.value.as_str()).collect::<Vec<_>>(), ["new"]);
}

/// Positions become the group's when their transaction commits, and only then.
pub fn positions_are_atomic(subject: &dyn Subject) {
    let bench = Bench::new(subject, "atomic");
    let (input, output) = (bench.topic("input", 1), bench.topic("output", 1));
    let only = partition(&input, 0);
    bench.fill(&input, 0, &["a", "b", "c"]);
    let (mut inbox, _) = bench.join(&[&input], 1);
    assert_eq!(read(&mut *inbox, 3).len(), 3);
    let admin = bench.broker().admin().expect("an admin");
    let committed = || {
        let committed = admin.committed(&bench.name("group"), std::slice::from_ref(&only));
        committed.expect("an answer")[0]
    };
    let mut outbox = bench.outbox(Some("producer"));
    outbox.begin().expect("begun");
    produce_all(&mut *outbox, &output, 0, &["x"]);
    let membership = inbox.membership().expect("a member");
    send(&mut *outbox, &[(only.clone(), Position(2))], &membership).expect("sent");
    abort(&mut *outbox).expect("aborted");
    deliver_all(&mut *outbox);
    assert_eq!(committed(), None);
    outbox.begin().expect("begun");
    produce_all(&mut *outbox, &output, 0, &["y"]);
    deliver_all(&mut *outbox);
    let membership = inbox.membership().expect("a member");
    send(&mut *outbox, &[(only.clone(), Position(3))], &membership).expect("sent");
    commit(&mut *outbox).expect("committed");
    // The group's coordinator learns of a commit a moment after the producer.
    until("the position", || (committed() == Some(Position(3))).then_some(()));
    // A transaction of positions alone, as a filter that drops everything makes.
    outbox.begin().expect("begun");
    send(&mut *outbox, &[(only.clone(), Position(1))], &membership).expect("sent");
    commit(&mut *outbox).expect("committed");
    until("the position", || (committed() == Some(Position(1))).then_some(()));
}

/// Whoever takes a partition over waits for positions that a transaction still holds.
pub fn takeover_waits_for_pending_positions(subject: &dyn Subject) {
    let bench = Bench::new(subject, "takeover");
    let topic = bench.topic("topic", 1);
    let only = partition(&topic, 0);
    bench.fill(&topic, 0, &["a", "b", "c"]);
    let (mut first, _) = bench.join(&[&topic], 1);
    assert_eq!(read(&mut *first, 3).len(), 3);
    let mut outbox = bench.outbox(Some("producer"));
    outbox.begin().expect("begun");
    let membership = first.membership().expect("a member");
    send(&mut *outbox, &[(only.clone(), Position(3))], &membership).expect("sent");
    first.close();
    let mut second = bench.inbox(bench.settings(&[&topic]));
    until("the assignment", || {
        matches!(next(&mut *second), Some(Event::Assigned(_))).then_some(())
    });
    let (opening, opened) = mpsc::channel();
    let begins = std::thread::scope(|scope| {
        let second = &mut second;
        let asked = scope.spawn({
            let only = only.clone();
            move || {
                opening.send(()).expect("the case waits for it");
                second.open(&[(only, None)]).expect("the partition opens")
            }
        });
        opened.recv().expect("the other thread runs");
        commit(&mut *outbox).expect("committed");
        asked.join().expect("the other thread is well")
    });
    assert_eq!(begins, [(only, Position(3))]);
}

/// Positions of a member that is in the group no more are refused; the producer itself goes on.
pub fn a_member_that_left_commits_nothing(subject: &dyn Subject) {
    let bench = Bench::new(subject, "left");
    let topic = bench.topic("topic", 1);
    let only = partition(&topic, 0);
    bench.fill(&topic, 0, &["a", "b"]);
    let (first, _) = bench.join(&[&topic], 1);
    let old = first.membership().expect("a member");
    first.close();
    let (second, _) = bench.join(&[&topic], 1);
    let mut outbox = bench.outbox(Some("producer"));
    outbox.begin().expect("begun");
    let refused = send(&mut *outbox, &[(only.clone(), Position(2))], &old);
    assert!(matches!(refused, Err(Error::Abortable(_))), "{refused:?}");
    abort(&mut *outbox).expect("aborted");
    outbox.begin().expect("begun");
    let current = second.membership().expect("a member");
    send(&mut *outbox, &[(only.clone(), Position(1))], &current).expect("sent");
    commit(&mut *outbox).expect("committed");
    let admin = bench.broker().admin().expect("an admin");
    until("the position", || {
        let committed =
            admin.committed(&bench.name("group"), std::slice::from_ref(&only)).expect("an answer");
        (committed == [Some(Position(1))]).then_some(())
    });
}

/// A transaction one of whose records failed cannot commit; after an abort the producer is as good as new.
pub fn a_failed_record_fails_the_transaction(subject: &dyn Subject) {
    let bench = Bench::new(subject, "failed");
    let name = bench.topic_with("topic", 1, &[("max.message.bytes", "10000")]);
    let mut outbox = bench.outbox(Some("producer"));
    outbox.begin().expect("begun");
    let large = "x".repeat(20_000);
    produce_all(&mut *outbox, &name, 0, &["a"]);
    deliver_all(&mut *outbox);
    produce_all(&mut *outbox, &name, 0, &[&large]);
    let deliveries = deliver_all(&mut *outbox);
    assert!(matches!(deliveries[0].result, Err(Error::TooLarge(_))), "{deliveries:?}");
    let refused = commit(&mut *outbox);
    assert!(matches!(refused, Err(Error::Abortable(_))), "{refused:?}");
    abort(&mut *outbox).expect("aborted");
    // A client may need one more abort to put the numbers of its records in order.
    until("a commit", || {
        outbox.begin().expect("begun");
        produce_all(&mut *outbox, &name, 0, &["b"]);
        let committed = commit(&mut *outbox);
        match &committed {
            Ok(()) => {}
            Err(Error::Abortable(_)) => abort(&mut *outbox).expect("aborted"),
            Err(error) => panic!("{error}"),
        }
        deliver_all(&mut *outbox);
        committed.ok()
    });
    let (mut inbox, _) = bench.join(&[&name], 1);
    let got = read(&mut *inbox, 1);
    assert_eq!(got.iter().map(|record| record.value.as_str()).collect::<Vec<_>>(), ["b"]);
}
