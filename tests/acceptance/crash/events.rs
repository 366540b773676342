//! Events whose times matter: readings, some out of order and a few too late; questions and their answers.
//!
//! Times are those of the wall clock. All that is due is acknowledged before more is written, so that no partition
//! and no topic is ahead of the others while its leader is dead. At the end each partition gets an event that closes what is
//! open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::amounts::{self, PARTITIONS};
use super::seeded::Seeded;
use super::windowed::{AFTER_MS, Windowed};
use crate::broker::Kafka;

/// How often something is written.
const TICK: Duration = Duration::from_millis(50);
const READINGS_PER_TICK: u64 = 12;
const QUESTIONS_PER_TICK: u64 = 4;
const READERS: u64 = 40;
/// Questions wait so long, so that some answers come before them.
const QUESTION_MS: i64 = 500;
const ANSWERS_MS: u64 = 3500;
/// Behind all that is open.
const CLOSING_MS: i64 = 3 * AFTER_MS;

/// A thread that writes events until it is told to stop.
pub struct Source {
    thread: JoinHandle<()>,
    stop: Arc<AtomicBool>,
}

impl Source {
    pub fn start(kafka: &Kafka, windowed: &Windowed, seeded: Seeded) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut writer = Writer {
            producer: amounts::producer(kafka),
            windowed: windowed.clone(),
            seeded,
            readings: 0,
            questions: 0,
            answers: 0,
            due: Vec::new(),
        };
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let begun = Instant::now();
                writer.tick();
                thread::sleep(TICK.saturating_sub(begun.elapsed()));
            }
            writer.finish();
        });
        Self { thread, stop }
    }

    /// Stops, and closes all that is open.
    pub fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("events can be written");
    }
}

/// A question or an answer that is due.
struct Due {
    at: i64,
    is_question: bool,
    key: String,
    number: u64,
}

struct Writer {
    producer: BaseProducer,
    windowed: Windowed,
    seeded: Seeded,
    readings: u64,
    questions: u64,
    answers: u64,
    due: Vec<Due>,
}

impl Writer {
    fn tick(&mut self) {
        let now = now();
        let readings = self.windowed.readings();
        for _ in 0..READINGS_PER_TICK {
            // Most are in order, some are not, and of the last kind some are too late and others just not.
            let behind = match self.seeded.below(20) {
                ..14 => 0,
                14..19 => self.seeded.below(900),
                _ => self.seeded.below(6000),
            };
            let key = format!("reader-{:02}", self.seeded.below(READERS));
            let (number, v) = (self.readings, self.seeded.below(1000));
            let value = format!(r#"{{"number":{number},"v":{v}}}"#);
            let behind = i64::try_from(behind).expect("small");
            self.send(BaseRecord::to(&readings).key(&key).payload(&value).timestamp(now - behind));
            self.readings += 1;
        }
        self.plan(now);
        self.write_due(now);
        self.flush();
    }

    /// Two questions share a key, some have no answer, some two, and some answers have no question.
    fn plan(&mut self, now: i64) {
        for _ in 0..QUESTIONS_PER_TICK {
            let number = self.questions;
            let key = format!("question-{:06}", number / 2);
            self.questions += 1;
            let (asked, answers) = match self.seeded.below(20) {
                ..8 => (true, 0),
                8..16 => (true, 1),
                16..19 => (true, 2),
                _ => (false, 1),
            };
            for _ in 0..answers {
                let at = now + i64::try_from(self.seeded.below(ANSWERS_MS)).expect("small");
                let (key, number) = (key.clone(), self.answers);
                self.due.push(Due { at, is_question: false, key, number });
                self.answers += 1;
            }
            if asked {
                self.due.push(Due { at: now + QUESTION_MS, is_question: true, key, number });
            }
        }
    }

    fn write_due(&mut self, until: i64) {
        let (mut due, later): (Vec<Due>, Vec<Due>) =
            std::mem::take(&mut self.due).into_iter().partition(|due| due.at <= until);
        self.due = later;
        due.sort_by_key(|due| due.at);
        let (asked, answered) = (self.windowed.asked(), self.windowed.answered());
        for Due { at, is_question, key, number } in due {
            let topic = if is_question { &asked } else { &answered };
            let value = format!(r#"{{"number":{number}}}"#);
            self.send(BaseRecord::to(topic).key(&key).payload(&value).timestamp(at));
        }
    }

    fn finish(mut self) {
        self.write_due(i64::MAX);
        self.flush();
        let at = now() + CLOSING_MS;
        for topic in [self.windowed.readings(), self.windowed.answered()] {
            for partition in 0..PARTITIONS {
                let (key, value) = (closing(partition), r#"{"number":0,"v":0}"#.to_owned());
                let record = BaseRecord::to(&topic).partition(partition).key(&key).payload(&value);
                self.send(record.timestamp(at));
            }
        }
        self.flush();
    }

    fn send(&self, mut record: BaseRecord<'_, String, String>) {
        while let Err((error, back)) = self.producer.send(record) {
            assert!(
                matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)),
                "writing: {error}"
            );
            self.producer.poll(Duration::from_millis(10));
            record = back;
        }
    }

    fn flush(&self) {
        self.producer.flush(Duration::from_secs(60)).expect("the brokers take the events");
    }
}

/// The key of the last event of a partition.
pub fn closing(partition: i32) -> String {
    format!("closing-{partition}")
}

fn now() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970");
    i64::try_from(since_epoch.as_millis()).expect("this age")
}
