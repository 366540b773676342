//! Events with times that go on evenly, and rows of a table.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use crate::{
    amounts::{PARTITIONS, key},
    broker,
    seeded::Seeded,
};

/// How many events are in a second of event time.
const PER_SECOND: u64 = 20_000;

/// Makes a topic and fills it with events of so many keys, with the same times and keys each time. `part` of `parts`:
/// several topics make up the events together.
pub fn fill(topic: &str, events: u64, keys: u64, (part, parts): (u64, u64)) {
    broker::create_topic(topic, PARTITIONS);
    let producer = producer();
    // In the past, whatever the clocks of hosts say.
    let begin = now_millis() - i64::try_from(events * 1000 / PER_SECOND).expect("soon") - 60_000;
    let mut seeded = Seeded::new(1 + part);
    for number in (part..events).step_by(usize::try_from(parts).expect("few")) {
        let (key, v) = (key(seeded.below(keys)), seeded.below(100_000));
        let value = format!(
            r#"{{"id":{number},"v":{v},"currency":"EUR","note":"an event as wide as events often are: about 100"}}"#
        );
        let at = begin + i64::try_from(number * 1000 / PER_SECOND).expect("soon");
        send(&producer, BaseRecord::to(topic).key(&key).payload(&value).timestamp(at));
        if number % 1000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(Duration::from_secs(60)).expect("all is delivered");
}

/// Rows of a table, one a key, and later further ones.
pub struct Rows {
    producer: BaseProducer,
    topic: String,
    keys: u64,
    written: u64,
    seeded: Seeded,
}

impl Rows {
    /// Makes the topic of a table and fills it with a row for each key.
    pub fn fill(topic: &str, keys: u64) -> Self {
        let compact = [("cleanup.policy", "compact")];
        broker::kafka().create_topic(topic, PARTITIONS, &compact);
        let (producer, topic) = (producer(), topic.to_owned());
        let rows = Rows { producer, topic, keys, written: 0, seeded: Seeded::new(7) };
        for number in 0..keys {
            rows.write(number, 0);
        }
        rows.flush();
        rows
    }

    /// Writes further rows of any keys until there are so many of these.
    pub fn update(&mut self, count: u64) {
        while self.written < count {
            let number = self.seeded.below(self.keys);
            self.written += 1;
            self.write(number, self.written);
        }
        self.flush();
    }

    fn write(&self, number: u64, version: u64) {
        let value = format!(
            r#"{{"version":{version},"region":"Region_{}","name":"a row as wide as rows often are, this is"}}"#,
            number % 9
        );
        send(&self.producer, BaseRecord::to(&self.topic).key(&key(number)).payload(&value));
    }

    fn flush(&self) {
        self.producer.flush(Duration::from_secs(60)).expect("all is delivered");
    }
}

fn producer() -> BaseProducer {
    broker::client()
        .set("enable.idempotence", "true")
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "20")
        .set("batch.size", "1000000")
        .set("batch.num.messages", "10000")
        .set("queue.buffering.max.messages", "1000000")
        .create()
        .expect("a producer")
}

fn send(producer: &BaseProducer, mut record: BaseRecord<'_, String, String>) {
    while let Err((error, again)) = producer.send(record) {
        let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
        assert_eq!(error, full, "producing");
        record = again;
        producer.poll(Duration::from_millis(1));
    }
}

fn now_millis() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970");
    i64::try_from(since_epoch.as_millis()).expect("this age")
}
