//! Keys in some order, and topics of them.

use std::time::Duration;

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use crate::{broker, seeded::Seeded};

pub const PARTITIONS: i32 = 4;

/// How often each key comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// All alike.
    Uniform,
    /// The n-th most frequent one 1/n as often as the first.
    Zipf,
    /// Each once, in order.
    Once,
}

/// Numbers of keys, the same for the same arguments.
pub struct Keys {
    seeded: Seeded,
    keys: u64,
    next: u64,
    spread: Spread,
    /// Sums of 1/n, for Zipf.
    sums: Vec<f64>,
}

impl Keys {
    pub fn new(spread: Spread, keys: u64) -> Self {
        let mut sum = 0.0;
        #[expect(clippy::cast_precision_loss, reason = "keys are far below 2^52")]
        let harmonic = (1..=keys).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        let sums = if spread == Spread::Zipf { harmonic.collect() } else { Vec::new() };
        Keys { seeded: Seeded::new(1), keys, next: 0, spread, sums }
    }

    pub fn next(&mut self) -> u64 {
        match self.spread {
            Spread::Uniform => self.seeded.below(self.keys),
            Spread::Once => {
                self.next += 1;
                self.next - 1
            }
            Spread::Zipf => {
                #[expect(clippy::cast_precision_loss, reason = "53 bits of chance are kept")]
                let chance = (self.seeded.next() >> 11) as f64 / (1u64 << 53) as f64;
                let at = chance * self.sums.last().expect("there are keys");
                let rank = self.sums.partition_point(|sum| *sum < at) as u64;
                // Neighbours in rank are no neighbours in order.
                rank.wrapping_mul(0x9e37_79b9_7f4a_7c15) % self.keys
            }
        }
    }
}

/// As records and stores have it: 12 bytes.
pub fn key(number: u64) -> String {
    format!("key-{number:08}")
}

/// Makes a topic and fills it with amounts of 1.
pub fn fill(topic: &str, spread: Spread, keys: u64, count: u64) {
    broker::create_topic(topic, PARTITIONS);
    let mut numbers = Keys::new(spread, keys);
    append(topic, (0..count).map(|_| numbers.next()));
}

/// Appends amounts of 1.
pub fn append(topic: &str, numbers: impl Iterator<Item = u64>) {
    let producer: BaseProducer = broker::client()
        .set("enable.idempotence", "true")
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "20")
        .set("batch.size", "1000000")
        .set("batch.num.messages", "10000")
        .set("queue.buffering.max.messages", "1000000")
        .create()
        .expect("a producer");
    for (index, number) in numbers.enumerate() {
        let key = key(number);
        let mut record = BaseRecord::to(topic).key(key.as_bytes()).payload(b"1".as_slice());
        while let Err((error, again)) = producer.send(record) {
            let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
            assert_eq!(error, full, "producing");
            record = again;
            producer.poll(Duration::from_millis(1));
        }
        if index % 1000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(Duration::from_secs(60)).expect("all is delivered");
}
