//! The workload's input: amounts of some keys, a few of which come often, written at a steady rate while brokers die.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::seeded::Seeded;
use crate::broker::Kafka;

pub const PARTITIONS: i32 = 6;
pub const KEYS: u64 = 200;

/// A thread that writes amounts until it is told to stop.
pub struct Source {
    thread: JoinHandle<u64>,
    stop: Arc<AtomicBool>,
}

impl Source {
    pub fn start(kafka: &Kafka, topic: &str, per_second: u64, seeded: Seeded) -> Self {
        let producer = producer(kafka);
        let (topic, stop) = (topic.to_owned(), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut writer = Writer { producer, topic, seeded, number: 0 };
            let start = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                writer.write(per_second.div_ceil(100));
                let due = Duration::from_secs_f64(writer.number as f64 / per_second as f64);
                thread::sleep(due.saturating_sub(start.elapsed()));
            }
            writer.finish()
        });
        Self { thread, stop }
    }

    /// Stops, and says how many amounts there are.
    pub fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("amounts can be written")
    }
}

/// Writes so many amounts at once, numbered from `first` on.
pub fn write(kafka: &Kafka, topic: &str, first: u64, count: u64) {
    let (producer, seeded) = (producer(kafka), Seeded::new(first));
    let mut writer = Writer { producer, topic: topic.to_owned(), seeded, number: first };
    writer.write(count);
    writer.finish();
}

/// In the order of the seed's choice.
struct Writer {
    producer: BaseProducer,
    topic: String,
    seeded: Seeded,
    number: u64,
}

impl Writer {
    fn write(&mut self, count: u64) {
        for _ in 0..count {
            // The smaller of two: few keys come often, each comes at times.
            let key = self.seeded.below(KEYS).min(self.seeded.below(KEYS));
            let (key, amount) = (format!("key-{key:03}"), (1 + self.seeded.below(9)).to_string());
            let number = self.number.to_string();
            let headers =
                OwnedHeaders::new().insert(Header { key: "number", value: Some(&number) });
            let mut record =
                BaseRecord::to(&self.topic).key(&key).payload(&amount).headers(headers);
            while let Err((error, back)) = self.producer.send(record) {
                assert!(
                    matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)),
                    "writing: {error}"
                );
                self.producer.poll(Duration::from_millis(10));
                record = back;
            }
            self.number += 1;
        }
        self.producer.poll(Duration::ZERO);
    }

    fn finish(self) -> u64 {
        self.producer.flush(Duration::from_secs(60)).expect("the brokers take the amounts");
        self.number
    }
}

/// By Java's partitioner, as the hosts' outputs go.
pub(super) fn producer(kafka: &Kafka) -> BaseProducer {
    kafka
        .client()
        .set("enable.idempotence", "true")
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "5")
        .create()
        .expect("making a producer")
}
