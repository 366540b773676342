//! Reads settlements and checks each against the trade it belongs to: key, headers, fields, and order.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::{Headers, OwnedMessage};
use serde_json::Value;

use crate::broker;
use crate::trades::{PARTITIONS, Trade};

/// How many are read before the caller looks around again.
const READ_MAX: usize = 20_000;

pub struct Settlements {
    consumer: BaseConsumer,
    /// The numbers of the trades that are settled.
    seen: HashSet<u64>,
    repeated: u64,
    /// The last first settlement for each pair of the trade's partition and the settlement's.
    last: HashMap<(i32, i32), u64>,
    /// Where the settlements of a symbol are.
    places: HashMap<String, i32>,
    /// Timestamp minus number, the same for all trades of a topic.
    base: Option<i64>,
}

impl Settlements {
    pub fn of(topic: &str) -> Self {
        Self {
            consumer: broker::reader(topic, PARTITIONS),
            seen: HashSet::new(),
            repeated: 0,
            last: HashMap::new(),
            places: HashMap::new(),
            base: None,
        }
    }

    /// How many trades are settled.
    pub fn trades(&self) -> u64 {
        self.seen.len() as u64
    }

    /// How many settlements came for a trade that was settled before: allowed, since delivery is at least once.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    pub fn read_until(
        &mut self,
        what: &str,
        limit: Duration,
        mut reached: impl FnMut(&Self) -> bool,
    ) {
        let start = Instant::now();
        while !reached(self) {
            assert!(start.elapsed() < limit, "{what}: not within {limit:?}; {}", self.describe());
            self.read();
        }
    }

    /// How many trades are settled, and for each partition the first that is not and the last that is.
    fn describe(&self) -> String {
        let partitions = (0..PARTITIONS).map(|partition| {
            let numbers =
                || (0..).step_by(PARTITIONS as usize).map(|number: u64| number + partition as u64);
            let first = numbers().find(|number| !self.seen.contains(number)).expect("trades end");
            let last = self
                .seen
                .iter()
                .filter(|number| Trade { number: **number }.partition() == partition)
                .max();
            format!("partition {partition}: {first} is not, {last:?} is the last that is")
        });
        format!(
            "{} trades are settled; {}",
            self.trades(),
            partitions.collect::<Vec<_>>().join("; ")
        )
    }

    fn read(&mut self) {
        for _ in 0..READ_MAX {
            let Some(message) = self.consumer.poll(Duration::from_millis(20)) else { return };
            let message = message.expect("settlements can be read").detach();
            self.check(&message);
        }
    }

    fn check(&mut self, message: &OwnedMessage) {
        let headers = headers(message);
        let number =
            headers.iter().find(|(name, _)| name == "number").and_then(|(_, value)| value.clone());
        let number = String::from_utf8(number.expect("the trade's headers are kept"))
            .expect("a number is text");
        let trade = Trade { number: number.parse().expect("a number is decimal") };
        let expected = trade.headers().into_iter().map(|(name, value)| (name.to_owned(), value));
        assert_eq!(headers, expected.collect::<Vec<_>>(), "headers of trade {number}");
        assert_eq!(message.key(), Some(trade.symbol().as_bytes()), "key of trade {number}");
        self.check_fields(&trade, message);
        self.check_place(&trade, message.partition());
    }

    fn check_fields(&mut self, trade: &Trade, message: &OwnedMessage) {
        let value: Value =
            serde_json::from_slice(message.payload().expect("a settlement")).expect("JSON");
        let timestamp = value["timestamp"].as_i64().expect("a timestamp");
        assert_eq!(
            message.timestamp().to_millis(),
            Some(timestamp),
            "the trade's timestamp is kept"
        );
        let base = timestamp - i64::try_from(trade.number).expect("few trades");
        assert_eq!(*self.base.get_or_insert(base), base, "timestamp of trade {}", trade.number);
        let user = trade.user();
        let expected = (user.as_deref().unwrap_or("NO USER"), trade.symbol(), trade.amount());
        let found = (value["user"].as_str(), value["symbol"].as_str(), value["amount"].as_u64());
        assert_eq!(found, (Some(expected.0), Some(expected.1), Some(expected.2)), "{value}");
        let allowed: &[&str] = match (user, trade.amount()) {
            (None, _) => &["Rejected"],
            (_, 100_001..) => &["Pending"],
            _ => &["SEC Flagged", "Completed"],
        };
        assert!(
            allowed.contains(&value["disposition"].as_str().unwrap_or_default()),
            "{value} is none of {allowed:?}"
        );
    }

    fn check_place(&mut self, trade: &Trade, partition: i32) {
        let place = *self.places.entry(trade.symbol().to_owned()).or_insert(partition);
        assert_eq!(place, partition, "settlements of {} are in one partition", trade.symbol());
        if !self.seen.insert(trade.number) {
            self.repeated += 1;
            return;
        }
        let last = self.last.insert((trade.partition(), partition), trade.number);
        assert!(
            last < Some(trade.number),
            "trade {} was settled before {}",
            last.unwrap_or_default(),
            trade.number
        );
    }
}

fn headers(message: &impl Message) -> Vec<(String, Option<Vec<u8>>)> {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    headers.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
}
