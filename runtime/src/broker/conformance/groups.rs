//! Groups: who reads what, from where, and who may commit.

use super::*;
use crate::broker::Error;

/// A new member goes on where the last commit says, not where the last member read.
pub fn restart_at_the_committed_position(subject: &dyn Subject) {
    let bench = Bench::new(subject, "restart");
    let topic = bench.topic("topic", 1);
    let only = partition(&topic, 0);
    bench.fill(&topic, 0, &["a", "b", "c", "d"]);
    let (mut inbox, _) = bench.join(&[&topic], 1);
    assert_eq!(read(&mut *inbox, 4).len(), 4);
    inbox.commit(&[(only.clone(), Position(2))]).expect("the member commits");
    inbox.close();
    let admin = bench.broker().admin().expect("an admin");
    let committed =
        admin.committed(&bench.name("group"), std::slice::from_ref(&only)).expect("an answer");
    assert_eq!(committed, [Some(Position(2))]);
    let (mut inbox, begins) = bench.join(&[&topic], 1);
    assert_eq!(begins, [(only, Position(2))]);
    assert_eq!(read(&mut *inbox, 2), [seen(0, 2, "c"), seen(0, 3, "d")]);
}

/// Without a committed position the settings say where to start.
pub fn start_where_nothing_is_committed(subject: &dyn Subject) {
    let bench = Bench::new(subject, "start");
    let topic = bench.topic("topic", 1);
    let only = partition(&topic, 0);
    let mut outbox = bench.outbox(None);
    let id = outbox.topic(&topic).expect("the topic is known");
    for token in 0..4usize {
        let timestamp = Timestamp(1_600_000_000_000 + i64::try_from(token).expect("small") * 1000);
        let record = Produce {
            topic: id,
            partition: Some(Partition(0)),
            key: None,
            value: Some(b"x"),
            headers: Headers::EMPTY,
            timestamp,
        };
        outbox.produce(&record, token).expect("the record is taken");
    }
    deliver_all(&mut *outbox);
    let starts = [
        (Start::Earliest, 0),
        (Start::Latest, 4),
        (Start::Timestamp(Timestamp(1_600_000_001_500)), 2),
        (Start::Timestamp(Timestamp(1_600_000_001_000)), 1),
        (Start::Timestamp(Timestamp(1_700_000_000_000)), 4),
    ];
    for (number, (start, begins)) in starts.into_iter().enumerate() {
        let group = bench.name(&format!("group-{number}"));
        let mut inbox = bench.inbox(InboxSettings { group, start, ..bench.settings(&[&topic]) });
        assert_eq!(open_all(&mut *inbox, 1), [(only.clone(), Position(begins))], "{start:?}");
    }
}

/// A position given to `open` wins over the committed one.
pub fn a_given_position_wins(subject: &dyn Subject) {
    let bench = Bench::new(subject, "given");
    let topic = bench.topic("topic", 1);
    let only = partition(&topic, 0);
    bench.fill(&topic, 0, &["a", "b", "c"]);
    let mut inbox = bench.inbox(bench.settings(&[&topic]));
    until("the assignment", || matches!(next(&mut *inbox), Some(Event::Assigned(_))).then_some(()));
    let begins = inbox.open(&[(only.clone(), Some(Position(1)))]).expect("the partition opens");
    assert_eq!(begins, [(only, Position(1))]);
    assert_eq!(read(&mut *inbox, 2), [seen(0, 1, "b"), seen(0, 2, "c")]);
}

/// A partition that moves is given on only when its owner has committed and released it.
pub fn hand_over_waits_for_the_release(subject: &dyn Subject) {
    let bench = Bench::new(subject, "hand-over");
    let topic = bench.topic("topic", 4);
    for number in 0..4 {
        bench.fill(&topic, number, &["a", "b", "c"]);
    }
    let (mut first, _) = bench.join(&[&topic], 4);
    assert_eq!(read(&mut *first, 12).len(), 12);
    let mut second = bench.inbox(bench.settings(&[&topic]));
    let mut kept: Vec<TopicPartition> = (0..4).map(|number| partition(&topic, number)).collect();
    let mut revoked_once = false;
    let mut taken: Vec<(TopicPartition, Position)> = Vec::new();
    until("both members to own two", || {
        match next(&mut *first) {
            Some(Event::Revoked(revoked)) => {
                revoked_once = true;
                // Between being told and the answer nobody else has them, and the commit counts.
                assert!(
                    !matches!(next(&mut *second), Some(Event::Assigned(_))),
                    "given on before the release"
                );
                let positions: Vec<_> =
                    revoked.iter().map(|partition| (partition.clone(), Position(2))).collect();
                first.commit(&positions).expect("a member commits what it must give back");
                kept.retain(|partition| !revoked.contains(partition));
                first.release(&revoked).expect("released");
            }
            Some(Event::Assigned(assigned)) => {
                kept.extend(assigned.iter().cloned());
                let wanted: Vec<_> =
                    assigned.into_iter().map(|partition| (partition, None)).collect();
                first.open(&wanted).expect("the partitions open");
            }
            _ => {}
        }
        match next(&mut *second) {
            Some(Event::Assigned(assigned)) => {
                assert!(!assigned.iter().any(|partition| kept.contains(partition)), "owned twice");
                let wanted: Vec<_> =
                    assigned.into_iter().map(|partition| (partition, None)).collect();
                taken.extend(second.open(&wanted).expect("the partitions open"));
            }
            Some(Event::Revoked(revoked)) => {
                taken.retain(|(partition, _)| !revoked.contains(partition));
                second.release(&revoked).expect("released");
            }
            _ => {}
        }
        (kept.len() == 2 && taken.len() == 2).then_some(())
    });
    assert!(revoked_once);
    assert!(taken.iter().all(|(_, position)| *position == Position(2)), "{taken:?}");
}

/// A member that closes is gone at once: the others need not wait for a time-out.
pub fn leaving_is_at_once(subject: &dyn Subject) {
    let bench = Bench::new(subject, "leaving");
    let topic = bench.topic("topic", 2);
    let (mut first, _) = bench.join(&[&topic], 2);
    let mut second = bench.inbox(bench.settings(&[&topic]));
    // Until the second is a member, or there is nothing to leave to.
    until("a revocation", || match next(&mut *first) {
        Some(Event::Revoked(revoked)) => first.release(&revoked).ok(),
        _ => next(&mut *second).map(|event| panic!("{event:?} before the release")),
    });
    let started = Instant::now();
    first.close();
    open_all(&mut *second, 2);
    // Session time-outs are tens of seconds; a leave is not.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

/// Who was at the end of a partition when another member came reads on there.
pub fn an_end_outlives_a_rebalance(subject: &dyn Subject) {
    let bench = Bench::new(subject, "end-rebalance");
    let topic = bench.topic("topic", 3);
    for number in 0..3 {
        bench.fill(&topic, number, &["a", "b"]);
    }
    let (mut first, _) = bench.join(&[&topic], 3);
    let mut ended = std::collections::BTreeSet::new();
    until("all ends", || {
        if let Some(Event::End { partition, .. }) = next(&mut *first) {
            ended.insert(partition.partition);
        }
        (ended.len() == 3).then_some(())
    });
    let mut second = bench.inbox(bench.settings(&[&topic]));
    let mut owned = [3, 0];
    let mut all = Vec::new();
    let mut serve = |owned: &mut [usize; 2], all: &mut Vec<Seen>| {
        for (member, owned) in [&mut first, &mut second].into_iter().zip(owned) {
            match next(&mut **member) {
                Some(Event::Assigned(assigned)) => {
                    *owned += assigned.len();
                    let wanted: Vec<_> =
                        assigned.into_iter().map(|partition| (partition, None)).collect();
                    member.open(&wanted).expect("the partitions open");
                }
                Some(Event::Revoked(revoked)) => {
                    *owned -= revoked.len();
                    member.release(&revoked).expect("released");
                }
                Some(event) => collect(event, all),
                None => {}
            }
        }
    };
    until("both members to own some", || {
        serve(&mut owned, &mut all);
        (owned[0] + owned[1] == 3 && owned[0] > 0 && owned[1] > 0).then_some(())
    });
    for number in 0..3 {
        bench.fill(&topic, number, &["c"]);
    }
    until("what came afterwards", || {
        serve(&mut owned, &mut all);
        (0..3).all(|number| all.contains(&seen(number, 2, "c"))).then_some(())
    });
}

/// After `seek` no record from before it comes.
pub fn seek_drops_what_was_before(subject: &dyn Subject) {
    let bench = Bench::new(subject, "seek");
    let topic = bench.topic("topic", 1);
    let only = partition(&topic, 0);
    let values: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    bench.fill(&topic, 0, &values);
    let settings = InboxSettings { batch_records: 10, ..bench.settings(&[&topic]) };
    let mut inbox = bench.inbox(settings);
    open_all(&mut *inbox, 1);
    for (read_before, position) in [(50, 3), (10, 700), (30, 0)] {
        read(&mut *inbox, read_before);
        inbox.seek(&only, Position(position)).expect("the partition is open");
        let after: Vec<i64> =
            read(&mut *inbox, 40)[..40].iter().map(|record| record.offset).collect();
        let wanted: Vec<i64> = (position..position + 40).collect();
        assert_eq!(after, wanted);
    }
    inbox.seek(&only, Position(1000)).expect("the partition is open");
    assert_eq!(read_to_end(&mut *inbox, &only), (vec![], Position(1000)));
    assert!(inbox.seek(&partition(&topic, 5), Position(0)).is_err(), "not open");
}

/// A held partition says nothing, loses nothing, and does not stop the others.
pub fn held_partitions_wait_in_place(subject: &dyn Subject) {
    let bench = Bench::new(subject, "held");
    let topic = bench.topic("topic", 2);
    let (zero, one) = (partition(&topic, 0), partition(&topic, 1));
    let (mut inbox, _) = bench.join(&[&topic], 2);
    inbox.hold(&zero);
    bench.fill(&topic, 0, &["a", "b"]);
    bench.fill(&topic, 1, &["c", "d"]);
    let got = read(&mut *inbox, 2);
    assert_eq!(got, [seen(1, 0, "c"), seen(1, 1, "d")]);
    inbox.hold(&one);
    bench.fill(&topic, 1, &["e"]);
    inbox.resume(&zero);
    assert_eq!(read(&mut *inbox, 2), [seen(0, 0, "a"), seen(0, 1, "b")]);
    inbox.resume(&one);
    assert_eq!(read(&mut *inbox, 1), [seen(1, 2, "e")]);
}

/// A member that was thrown out commits nothing, learns that its partitions are lost, and may join again.
pub fn an_expelled_member_is_fenced(subject: &dyn Subject) {
    let bench = Bench::new(subject, "expelled");
    let topic = bench.topic("topic", 1);
    let only = partition(&topic, 0);
    bench.fill(&topic, 0, &["a", "b"]);
    let impatient = bench.subject.impatient();
    let mut first = impatient.inbox(bench.settings(&[&topic])).expect("an inbox");
    open_all(&mut *first, 1);
    assert_eq!(read(&mut *first, 2).len(), 2);
    assert!(first.membership().is_some());
    bench.subject.expel(&bench.name("group"));
    let mut second = impatient.inbox(bench.settings(&[&topic])).expect("an inbox");
    open_all(&mut *second, 1);
    second.commit(&[(only.clone(), Position(1))]).expect("the new owner commits");
    let refused = first.commit(&[(only.clone(), Position(2))]);
    assert!(matches!(refused, Err(Error::Fenced(_))), "{refused:?}");
    // A client may say first that it was too slow: `next` passes that over.
    let lost = until("the loss", || match next(&mut *first) {
        Some(Event::Lost(lost)) => Some(lost),
        None => next(&mut *second).and(None),
        Some(event) => panic!("{event:?}, and nothing was told to be lost"),
    });
    assert_eq!(lost, [only]);
    first.release(&lost).expect("released");
    second.close();
    let begins = open_all(&mut *first, 1);
    assert_eq!(begins[0].1, Position(1), "what the new owner committed");
}

/// A committed position that is no longer there fails, or goes on where the settings say.
pub fn missing_offset_follows_the_policy(subject: &dyn Subject) {
    let bench = Bench::new(subject, "missing");
    let topic = bench.topic("topic", 1);
    let only = partition(&topic, 0);
    bench.fill(&topic, 0, &["a", "b", "c", "d"]);
    let (mut inbox, _) = bench.join(&[&topic], 1);
    inbox.commit(&[(only.clone(), Position(1))]).expect("the member commits");
    inbox.close();
    bench.subject.truncate(&only, Position(3));

    let mut inbox = bench.inbox(bench.settings(&[&topic]));
    until("the assignment", || matches!(next(&mut *inbox), Some(Event::Assigned(_))).then_some(()));
    match inbox.open(&[(only.clone(), None)]) {
        Err(Error::MissingOffset { partition, position, earliest }) => {
            assert_eq!((partition, position, earliest), (only.clone(), Position(1), Position(3)));
        }
        other => panic!("{other:?}"),
    }
    inbox.close();
    for (on_missing_offset, begins) in
        [(OnMissingOffset::Earliest, 3), (OnMissingOffset::Latest, 4)]
    {
        let mut inbox =
            bench.inbox(InboxSettings { on_missing_offset, ..bench.settings(&[&topic]) });
        assert_eq!(open_all(&mut *inbox, 1), [(only.clone(), Position(begins))]);
        inbox.close();
    }
}

/// Equal partition numbers of several topics have one owner.
pub fn topics_stay_together(subject: &dyn Subject) {
    let bench = Bench::new(subject, "together");
    let (left, right) = (bench.topic("left", 4), bench.topic("right", 4));
    let topics = [left.as_str(), right.as_str()];
    let mut inboxes = [bench.inbox(bench.settings(&topics)), bench.inbox(bench.settings(&topics))];
    let mut owned: [Vec<TopicPartition>; 2] = Default::default();
    until("four partitions each", || {
        for (inbox, owned) in inboxes.iter_mut().zip(&mut owned) {
            match next(&mut **inbox) {
                Some(Event::Assigned(assigned)) => {
                    owned.extend(assigned.iter().cloned());
                    let wanted: Vec<_> =
                        assigned.into_iter().map(|partition| (partition, None)).collect();
                    inbox.open(&wanted).expect("the partitions open");
                }
                Some(Event::Revoked(revoked)) => {
                    owned.retain(|partition| !revoked.contains(partition));
                    inbox.release(&revoked).expect("released");
                }
                _ => {}
            }
        }
        owned.iter().all(|owned| owned.len() == 4).then_some(())
    });
    for owned in owned {
        let of = |topic: &str| {
            let mut numbers: Vec<Partition> = owned
                .iter()
                .filter(|partition| *partition.topic == *topic)
                .map(|partition| partition.partition)
                .collect();
            numbers.sort();
            numbers
        };
        assert_eq!(of(&left), of(&right));
    }
}
