//! Records: there and back.

use std::collections::BTreeSet;

use super::*;
use crate::{
    broker::{Error, FollowerSettings, Isolation},
    partitioner::partition_of,
    record::{HeadersWriter, Record, Records},
};

/// Keys, values and headers, null and empty ones too, and timestamps come back as they went.
pub fn round_trip(subject: &dyn Subject) {
    let bench = Bench::new(subject, "round-trip");
    let topic = bench.topic("topic", 1);
    let mut headers = HeadersWriter::new();
    headers
        .push("trace", Some(b"1"))
        .push("trace", Some(b"2"))
        .push("empty", Some(b""))
        .push("null", None);
    headers.push("bytes", Some(&[0, 255, 10]));
    let record = |key, value, headers, timestamp| Record {
        offset: Offset(0),
        timestamp: Timestamp(timestamp),
        key,
        value,
        headers,
    };
    let sent: Vec<Record<'_>> = vec![
        record(Some(b"key"), Some(b"value"), headers.headers(), 1_600_000_000_123),
        record(None, Some(b"no key"), Headers::EMPTY, 1),
        record(Some(b"no value"), None, Headers::EMPTY, 1_700_000_000_000),
        record(Some(b""), Some(b""), Headers::EMPTY, 1_500_000_000_000),
        record(None, None, headers.headers(), 1_600_000_000_000),
    ];
    let mut outbox = bench.outbox(None);
    let id = outbox.topic(&topic).expect("the topic is known");
    for (token, record) in sent.iter().enumerate() {
        let Record { key, value, headers, timestamp, .. } = *record;
        outbox
            .produce(
                &Produce {
                    topic: id,
                    partition: Some(Partition(0)),
                    key,
                    value,
                    headers,
                    timestamp,
                },
                token,
            )
            .expect("the record is taken");
    }
    assert_eq!(offsets(deliver_all(&mut *outbox)), [0, 1, 2, 3, 4].map(Offset));

    let (mut inbox, _) = bench.join(&[&topic], 1);
    let mut got: Vec<Records> = Vec::new();
    while got.iter().map(Records::len).sum::<usize>() < sent.len() {
        if let Event::Records { partition, records } = until("records", || next(&mut *inbox)) {
            assert_eq!(partition, super::partition(&topic, 0));
            got.push(records);
        }
    }
    let got: Vec<Record<'_>> = got.iter().flat_map(Records::iter).collect();
    for ((offset, sent), got) in (0..).zip(&sent).zip(&got) {
        assert_eq!(Record { offset: Offset(offset), ..*sent }, *got);
    }
}

/// A batch keeps both limits, and a record larger than the limit is a batch of its own.
pub fn batches_are_bounded(subject: &dyn Subject) {
    let bench = Bench::new(subject, "bounded");
    let topic = bench.topic("topic", 1);
    let (short, long) = ("x".repeat(100), "y".repeat(1000));
    let mut values = vec![short.as_str(); 25];
    values.push(&long);
    values.push(&short);
    bench.fill(&topic, 0, &values);
    for (batch_records, batch_bytes) in [(10, 1 << 20), (100, 250)] {
        let settings = InboxSettings {
            group: bench.name(&format!("group-{batch_records}")),
            batch_records,
            batch_bytes,
            ..bench.settings(&[&topic])
        };
        let mut inbox = bench.inbox(settings);
        open_all(&mut *inbox, 1);
        let mut got = Vec::new();
        while got.len() < values.len() {
            if let Event::Records { records, .. } = until("records", || next(&mut *inbox)) {
                assert!(records.len() <= batch_records);
                assert!(
                    records.bytes() <= batch_bytes || records.len() == 1,
                    "{} bytes",
                    records.bytes()
                );
                got.extend(
                    records
                        .iter()
                        .map(|record| (record.offset.0, record.value.map_or(0, <[u8]>::len))),
                );
            }
        }
        let all: Vec<_> = (0..).zip(values.iter().map(|value| value.len())).collect();
        assert_eq!(got, all, "every record once, in order");
    }
}

/// A producer forgets what has no delivery, and goes on.
pub fn what_is_forgotten_is_not_heard_of(subject: &dyn Subject) {
    let bench = Bench::new(subject, "forgotten");
    let topic = bench.topic("topic", 1);
    let mut outbox = bench.outbox(None);
    produce_all(&mut *outbox, &topic, 0, &["a", "b", "c"]);
    outbox.forget().expect("there is no transaction");
    assert_eq!(outbox.in_flight(), 0);
    produce_all(&mut *outbox, &topic, 0, &["d"]);
    let delivered = offsets(deliver_all(&mut *outbox));
    let (mut inbox, _) = bench.join(&[&topic], 1);
    let (found, _) = read_to_end(&mut *inbox, &partition(&topic, 0));
    let last: Vec<Offset> =
        found.iter().filter(|seen| seen.value == "d").map(|seen| Offset(seen.offset)).collect();
    assert_eq!(delivered, last);
}

/// The end is an event each time it is reached, with its position.
pub fn end_is_told_each_time(subject: &dyn Subject) {
    let bench = Bench::new(subject, "end");
    let topic = bench.topic("topic", 1);
    let only = partition(&topic, 0);
    let (mut inbox, begins) = bench.join(&[&topic], 1);
    assert_eq!(begins, [(only.clone(), Position(0))]);
    assert_eq!(read_to_end(&mut *inbox, &only), (vec![], Position(0)));
    bench.fill(&topic, 0, &["a", "b"]);
    assert_eq!(
        read_to_end(&mut *inbox, &only),
        (vec![seen(0, 0, "a"), seen(0, 1, "b")], Position(2))
    );
    bench.fill(&topic, 0, &["c"]);
    assert_eq!(read_to_end(&mut *inbox, &only), (vec![seen(0, 2, "c")], Position(3)));
    assert_eq!(inbox.ends(), [(only, Position(3))]);
}

/// Where a key goes is what our own partitioner says, which is what Java's says.
pub fn partitioner_is_javas(subject: &dyn Subject) {
    let bench = Bench::new(subject, "partitioner");
    let topic = bench.topic("topic", 7);
    let keys: Vec<Vec<u8>> = (0..1000u32)
        .map(|n| match n % 3 {
            0 => format!("User_{n}").into_bytes(),
            1 => n.to_be_bytes().to_vec(),
            _ => {
                vec![u8::try_from(n % 251).expect("small"); usize::try_from(n % 40).expect("small")]
            }
        })
        .collect();
    let mut outbox = bench.outbox(None);
    let id = outbox.topic(&topic).expect("the topic is known");
    for (token, key) in keys.iter().enumerate() {
        let record = Produce {
            topic: id,
            partition: None,
            key: Some(key),
            value: None,
            headers: Headers::EMPTY,
            timestamp: Timestamp(1),
        };
        outbox.produce(&record, token).expect("the record is taken");
    }
    for delivery in deliver_all(&mut *outbox) {
        let (partition, _) = delivery.result.expect("the record is delivered");
        let key = &keys[delivery.token];
        assert_eq!(partition, partition_of(key, 7), "{key:?}");
    }
}

/// Every token comes back once; what fails says so in its delivery and hurts no neighbour.
pub fn deliveries_come_once(subject: &dyn Subject) {
    let bench = Bench::new(subject, "deliveries");
    let topic = bench.topic("topic", 2);
    let mut outbox = bench.outbox(None);
    let id = outbox.topic(&topic).expect("the topic is known");
    assert_eq!(outbox.topic(&topic).expect("the topic is known"), id);
    for token in 0..300usize {
        // The topic has no partition 2.
        let partition = Some(Partition(u32::try_from(token % 3).expect("small")));
        let record = Produce {
            topic: id,
            partition,
            key: None,
            value: Some(b"x"),
            headers: Headers::EMPTY,
            timestamp: Timestamp(1),
        };
        match outbox.produce(&record, token) {
            Ok(()) => {}
            // A client that knows the topic already may say so at once.
            Err(Error::Refused(_)) if token % 3 == 2 => {}
            Err(error) => panic!("{error}"),
        }
    }
    let deliveries = deliver_all(&mut *outbox);
    let tokens: BTreeSet<usize> = deliveries.iter().map(|delivery| delivery.token).collect();
    assert_eq!(tokens.len(), deliveries.len(), "no token twice");
    let mut offsets = [vec![], vec![]];
    for Delivery { token, result } in deliveries {
        match result {
            Ok((partition, offset)) => {
                assert_eq!(partition.0, u32::try_from(token % 3).expect("small"));
                offsets[token % 3].push(offset.expect("nothing was retried").0);
            }
            Err(error) => {
                assert!(token % 3 == 2 && matches!(error, Error::Refused(_)), "{token}: {error:?}")
            }
        }
    }
    let all: Vec<i64> = (0..100).collect();
    assert_eq!(offsets, [all.clone(), all]);
    assert_eq!(outbox.in_flight(), 0);
}

/// Records without a key go to any partition that exists.
pub fn null_keys_stay_in_the_topic(subject: &dyn Subject) {
    let bench = Bench::new(subject, "null-keys");
    let topic = bench.topic("topic", 3);
    let mut outbox = bench.outbox(None);
    let id = outbox.topic(&topic).expect("the topic is known");
    for token in 0..100 {
        let record = Produce {
            topic: id,
            partition: None,
            key: None,
            value: Some(b"x"),
            headers: Headers::EMPTY,
            timestamp: Timestamp(1),
        };
        outbox.produce(&record, token).expect("the record is taken");
    }
    let deliveries = deliver_all(&mut *outbox);
    assert_eq!(deliveries.len(), 100);
    for delivery in deliveries {
        assert!(delivery.result.expect("the record is delivered").0 < Partition(3));
    }
}

/// A record above the topic's `max.message.bytes` is refused alone.
pub fn too_large_is_refused(subject: &dyn Subject) {
    let bench = Bench::new(subject, "too-large");
    let name = bench.topic_with("topic", 1, &[("max.message.bytes", "10000")]);
    let mut outbox = bench.outbox(None);
    let large = "x".repeat(20_000);
    produce_all(&mut *outbox, &name, 0, &[&large]);
    let deliveries = deliver_all(&mut *outbox);
    assert!(matches!(deliveries[0].result, Err(Error::TooLarge(_))), "{deliveries:?}");
    produce_all(&mut *outbox, &name, 0, &["small"]);
    assert_eq!(offsets(deliver_all(&mut *outbox)), [Offset(0)]);
}

/// A follower reads what it is told, from where it is told, and again elsewhere.
pub fn followers_read_anywhere(subject: &dyn Subject) {
    let bench = Bench::new(subject, "follower");
    let topic = bench.topic("topic", 2);
    bench.fill(&topic, 0, &["a", "b", "c"]);
    bench.fill(&topic, 1, &["d"]);
    let mut follower = bench
        .broker()
        .follower(FollowerSettings::new(Isolation::ReadCommitted))
        .expect("a follower");
    let (zero, one) = (partition(&topic, 0), partition(&topic, 1));
    follower.assign(&[(zero.clone(), Position(1))]).expect("assigned");
    let (got, end) = follow_to_end(&mut *follower, &zero);
    assert_eq!((got, end), (vec![seen(0, 1, "b"), seen(0, 2, "c")], Position(3)));
    follower.assign(&[(one.clone(), Position(0)), (zero.clone(), Position(2))]).expect("assigned");
    let mut got = Vec::new();
    let mut ends = BTreeSet::new();
    while ends.len() < 2 {
        match until("both ends", || follower.poll(SLICE).expect("the follower reads")) {
            Event::End { partition, position } => drop(ends.insert((partition, position))),
            event => collect(event, &mut got),
        }
    }
    got.sort();
    assert_eq!(got, [seen(0, 2, "c"), seen(1, 0, "d")]);
    assert_eq!(ends, BTreeSet::from([(zero, Position(3)), (one, Position(1))]));
    let absent = partition(&bench.name("absent"), 0);
    assert!(follower.assign(&[(absent, Position(0))]).is_err());
}

/// Whoever is assigned again with more, or with less, goes on where it stands: no record is lost, none comes twice.
pub fn followers_change_what_they_read(subject: &dyn Subject) {
    const SETS: [&[u32]; 6] = [&[0], &[0, 1], &[1], &[0, 1, 2], &[2, 1], &[2, 0]];
    let bench = Bench::new(subject, "reassign");
    let topic = bench.topic("topic", 3);
    let values: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    for number in 0..3 {
        bench.fill(&topic, number, &values);
    }
    let settings =
        FollowerSettings { batch_records: 7, ..FollowerSettings::new(Isolation::ReadCommitted) };
    let mut follower = bench.broker().follower(settings).expect("a follower");
    let mut stands = [0; 3];
    // Far from all is read while what is assigned changes; then all of it.
    for (set, until_read) in
        SETS.iter().cycle().take(42).map(|set| (*set, 21)).chain([(SETS[3], 1500)])
    {
        let at = |number: &u32| {
            (partition(&topic, *number), Position(stands[usize::try_from(*number).expect("small")]))
        };
        follower.assign(&set.iter().map(at).collect::<Vec<_>>()).expect("assigned");
        let mut read = 0;
        until("records", || {
            if let Some(Event::Records { partition, records }) =
                follower.poll(SLICE).expect("the follower reads")
            {
                let number = partition.partition.0;
                assert!(set.contains(&number), "{partition} is not assigned");
                for record in records.iter() {
                    let stands = &mut stands[usize::try_from(number).expect("small")];
                    assert_eq!(record.offset.0, *stands, "the next record of {partition}");
                    *stands += 1;
                    read += 1;
                }
            }
            (read >= until_read || stands == [500; 3]).then_some(())
        });
    }
    assert_eq!(stands, [500; 3]);
}

/// A position that is not in the log is an error that names both, once; the others are read on.
pub fn followers_tell_what_is_missing(subject: &dyn Subject) {
    let bench = Bench::new(subject, "follower-missing");
    let topic = bench.topic("topic", 2);
    bench.fill(&topic, 0, &["a", "b", "c"]);
    bench.fill(&topic, 1, &["d"]);
    let (zero, one) = (partition(&topic, 0), partition(&topic, 1));
    bench.subject.truncate(&zero, Position(2));
    let settings = FollowerSettings::new(Isolation::ReadCommitted);
    let mut follower = bench.broker().follower(settings).expect("a follower");
    follower.assign(&[(zero.clone(), Position(1)), (one.clone(), Position(0))]).expect("assigned");
    let (mut got, mut missing) = (Vec::new(), 0);
    until("the error and the other partition's end", || {
        match follower.poll(SLICE) {
            Err(Error::MissingOffset { partition, position, earliest }) => {
                missing += 1;
                assert_eq!((&partition, position, earliest), (&zero, Position(1), Position(2)));
            }
            Ok(Some(event)) => collect(event, &mut got),
            Ok(None) => {}
            Err(error) => panic!("{error}"),
        }
        (missing == 1 && got.len() == 1).then_some(())
    });
    assert_eq!(got, [seen(1, 0, "d")]);
    follower.assign(&[(zero.clone(), Position(2)), (one, Position(1))]).expect("assigned");
    assert_eq!(follow_to_end(&mut *follower, &zero), (vec![seen(0, 2, "c")], Position(3)));
}
