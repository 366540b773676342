//! Trades whose every field follows from their number, and a source that writes them to a topic at a steady rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::broker;

pub const PARTITIONS: i32 = 6;
/// How many trades there are at least.
const COUNT_MIN: u64 = 200_000;
/// Slow enough that hosts come and go while trades flow.
const PER_SECOND: u64 = 20_000;
const SYMBOLS: [&str; 7] = ["ZBZX", "ZJZZT", "ZTEST", "ZVV", "ZVZZT", "ZWZZT", "ZXZZT"];

/// The trade of a number. Trades take turns over the partitions, so that number / partitions is its offset.
pub struct Trade {
    pub number: u64,
}

impl Trade {
    pub fn partition(&self) -> i32 {
        i32::try_from(self.number % PARTITIONS as u64).expect("few partitions")
    }

    /// Every fiftieth has none.
    pub fn user(&self) -> Option<String> {
        (!self.number.is_multiple_of(50)).then(|| format!("User_{}", 1 + self.number % 9))
    }

    pub fn symbol(&self) -> &'static str {
        SYMBOLS[usize::try_from(self.number % 7).expect("few symbols")]
    }

    // Steps prime to the range, so that every value comes up.
    fn quantity(&self) -> u64 {
        1 + self.number * 1_237 % 5_000
    }

    fn price(&self) -> u64 {
        5 + self.number * 367 % 996
    }

    pub fn amount(&self) -> u64 {
        self.quantity() * self.price()
    }

    fn json(&self) -> String {
        let (quantity, price, symbol) = (self.quantity(), self.price(), self.symbol());
        format!(
            r#"{{"userid":"any","regionid":"Region_1","quantity":{quantity},"symbol":"{symbol}","price":{price},"account":"ABC123","side":"BUY"}}"#
        )
    }

    /// A number to know it by, a name that repeats, and a value that is null.
    pub fn headers(&self) -> Vec<(&'static str, Option<Vec<u8>>)> {
        let number = self.number.to_string().into_bytes();
        vec![
            ("number", Some(number)),
            ("hop", Some(vec![0xff, 0x00])),
            ("hop", Some(Vec::new())),
            ("note", None),
        ]
    }
}

/// A thread that writes trades until it is told that they may end.
pub struct Source {
    thread: JoinHandle<u64>,
    may_end: Arc<AtomicBool>,
}

impl Source {
    pub fn start(topic: &str) -> Self {
        let may_end = Arc::new(AtomicBool::new(false));
        let (topic, end) = (topic.to_owned(), Arc::clone(&may_end));
        Self { thread: thread::spawn(move || write_trades(&topic, &end)), may_end }
    }

    /// Lets the trades end, at the soonest when there are enough; says how many there are.
    pub fn finish(self) -> u64 {
        self.may_end.store(true, Ordering::Relaxed);
        self.thread.join().expect("trades can be written")
    }
}

fn write_trades(topic: &str, may_end: &AtomicBool) -> u64 {
    let producer: BaseProducer = broker::client()
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .create()
        .expect("making a producer");
    let start = Instant::now();
    let base = milliseconds_now();
    let mut number = 0;
    while number < COUNT_MIN || !may_end.load(Ordering::Relaxed) {
        write(&producer, topic, &Trade { number }, base);
        number += 1;
        if number.is_multiple_of(PER_SECOND / 100) {
            producer.poll(Duration::ZERO);
            let due = Duration::from_secs_f64(number as f64 / PER_SECOND as f64);
            thread::sleep(due.saturating_sub(start.elapsed()));
        }
    }
    producer.flush(Duration::from_secs(60)).expect("the broker takes the trades");
    number
}

fn write(producer: &BaseProducer, topic: &str, trade: &Trade, base: i64) {
    let (user, json) = (trade.user(), trade.json());
    let mut headers = OwnedHeaders::new();
    for (key, value) in trade.headers() {
        headers = headers.insert(Header { key, value: value.as_ref() });
    }
    let mut record = BaseRecord::to(topic)
        .partition(trade.partition())
        .timestamp(base + i64::try_from(trade.number).expect("few trades"))
        .headers(headers)
        .payload(&json);
    record.key = user.as_ref();
    while let Err((error, back)) = producer.send(record) {
        assert!(
            matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)),
            "writing: {error}"
        );
        producer.poll(Duration::from_millis(10));
        record = back;
    }
}

fn milliseconds_now() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(since_epoch.as_millis()).expect("the clock is in this age")
}
