//! Topics and offsets.

use super::*;
use crate::broker::{Bound, Error, Topic};

/// Topics are made with their settings, listed, and deleted; doing either twice is fine.
pub fn topics_come_and_go(subject: &dyn Subject) {
    let bench = Bench::new(subject, "admin");
    let admin = bench.broker().admin().expect("an admin");
    let name = bench.name("topic");
    assert_eq!(admin.topic(&name).expect("an answer"), None);
    let settings = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
    let topic = NewTopic { name: name.clone(), partitions: Some(3), replicas: None, settings };
    admin.create(&topic).expect("made");
    admin.create(&topic).expect("there already");
    let found = admin.topic(&name).expect("an answer").expect("it was made");
    assert_eq!((found.name.as_str(), found.partitions), (name.as_str(), 3));
    assert!(found.replicas >= 1);
    assert!(admin.topics().expect("an answer").contains(&found));
    let setting = |setting| admin.setting(&name, setting).expect("an answer");
    assert_eq!(setting("cleanup.policy").as_deref(), Some("compact"));
    assert_eq!(setting("max.message.bytes").as_deref(), Some("1048588"), "the default");
    assert_eq!(setting("no.such.setting"), None);
    admin.delete(&name).expect("deleted");
    admin.delete(&name).expect("gone already");
    until("the topic to go", || admin.topic(&name).expect("an answer").is_none().then_some(()));
    let names: Vec<Topic> = admin.topics().expect("an answer");
    assert!(!names.iter().any(|topic| topic.name == name));
}

/// A topic made anew under its old name is another one, and every topic differs from its neighbour.
pub fn topics_have_ids(subject: &dyn Subject) {
    let bench = Bench::new(subject, "ids");
    let admin = bench.broker().admin().expect("an admin");
    let (name, neighbour) = (bench.topic("topic", 1), bench.topic("neighbour", 2));
    let id = |name: &str| admin.topic(name).expect("an answer").expect("it is there").id;
    let (first, other) = (id(&name), id(&neighbour));
    assert!(!first.is_empty());
    assert_ne!(first, other);
    assert_eq!(id(&name), first, "it stays as long as the topic does");
    let all = admin.topics().expect("an answer");
    let listed = all.iter().find(|topic| topic.name == name).expect("it is listed");
    assert_eq!(listed.id, first);
    admin.delete(&name).expect("deleted");
    bench.topic("topic", 1);
    assert_ne!(id(&name), first);
}

/// Both ends, and the first record at or after a time.
pub fn bounds_of_partitions(subject: &dyn Subject) {
    let bench = Bench::new(subject, "bounds");
    let topic = bench.topic("topic", 2);
    bench.fill(&topic, 1, &["a", "b", "c"]);
    bench.subject.truncate(&partition(&topic, 1), Position(1));
    let admin = bench.broker().admin().expect("an admin");
    let both = [partition(&topic, 1), partition(&topic, 0)];
    let bound = |bound| {
        admin.positions(&both, bound).expect("an answer").iter().map(|p| p.0).collect::<Vec<_>>()
    };
    assert_eq!(bound(Bound::Earliest), [1, 0]);
    assert_eq!(bound(Bound::Latest), [3, 0]);
    assert_eq!(bound(Bound::LatestStable), [3, 0]);
    assert_eq!(bound(Bound::Timestamp(Timestamp(1_000_000))), [1, 0]);
    assert_eq!(
        bound(Bound::Timestamp(Timestamp(1_000_001))),
        [3, 0],
        "the end where there is none"
    );
    assert_eq!(admin.committed(&bench.name("nobody"), &both).expect("an answer"), [None, None]);
    assert_eq!(admin.positions(&[], Bound::Latest).expect("an answer"), []);
}

/// Asking for a topic, or producing to one, does not make it.
pub fn nothing_is_made_unasked(subject: &dyn Subject) {
    let bench = Bench::new(subject, "unasked");
    let admin = bench.broker().admin().expect("an admin");
    let name = bench.name("absent");
    assert_eq!(admin.topic(&name).expect("an answer"), None);
    assert!(admin.positions(&[partition(&name, 0)], Bound::Latest).is_err());
    let mut outbox = bench.outbox(None);
    if let Ok(topic) = outbox.topic(&name) {
        let record = Produce {
            topic,
            partition: None,
            key: None,
            value: Some(b"x"),
            headers: Headers::EMPTY,
            timestamp: Timestamp(1),
        };
        if outbox.produce(&record, 0).is_ok() {
            assert!(deliver_all(&mut *outbox)[0].result.is_err());
        }
    }
    assert_eq!(admin.topic(&name).expect("an answer"), None);
}

/// What is refused says why.
pub fn refusals_name_the_cause(subject: &dyn Subject) {
    let bench = Bench::new(subject, "refused");
    let admin = bench.broker().admin().expect("an admin");
    let create = |name: &str, partitions, settings: &[(&str, &str)]| {
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        admin.create(&NewTopic {
            name: name.into(),
            partitions: Some(partitions),
            replicas: None,
            settings,
        })
    };
    for name in ["", "..", "with space", &"x".repeat(250)] {
        let refused = create(name, 1, &[]);
        assert!(matches!(refused, Err(Error::Refused(_))), "{name:?}: {refused:?}");
    }
    let refused = create(&bench.name("none"), 0, &[]);
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    match create(&bench.name("settings"), 1, &[("cleanup.policy", "shred")]) {
        Err(Error::Refused(cause)) => assert!(cause.contains("cleanup.policy"), "{cause}"),
        other => panic!("{other:?}"),
    }
    let topic = bench.topic("topic", 1);
    match admin.positions(&[partition(&topic, 9)], Bound::Latest) {
        Err(Error::Refused(cause)) => assert!(cause.contains(&format!("{topic}/9")), "{cause}"),
        other => panic!("{other:?}"),
    }
}
