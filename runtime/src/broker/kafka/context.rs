//! What a client tells while it works: log lines, errors, rebalances.
//!
//! Log lines become `tracing` events, a few of a kind and interval; the last complaint is kept, so that a time-out
//! can say why. A rebalance is only written down: the inbox returns it as an event and answers it later.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, TopicPartitionList,
    config::RDKafkaLogLevel as Level,
    consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol},
    error::KafkaError,
    producer::{DeliveryResult, ProducerContext},
    types::RDKafkaRespErr,
};

use crate::record::TopicPartition;

/// One line of a kind in this time: a broker that is away makes librdkafka say so several times a second.
const QUIET: Duration = Duration::from_secs(10);

/// What a group coordinator said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rebalance {
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
    Lost(Vec<TopicPartition>),
}

impl Rebalance {
    pub fn partitions(&self) -> &[TopicPartition] {
        let (Rebalance::Assigned(partitions)
        | Rebalance::Revoked(partitions)
        | Rebalance::Lost(partitions)) = self;
        partitions
    }
}

/// See the module. One a client.
#[derive(Debug)]
pub(super) struct Context {
    client_id: String,
    /// What goes wrong ends as the error of a request, so a log line would say it twice.
    reports: bool,
    complaint: Mutex<Option<String>>,
    said: Mutex<HashMap<String, Said>>,
    rebalances: Mutex<VecDeque<Rebalance>>,
    /// The client is being closed: rebalances are answered at once.
    closing: AtomicBool,
    /// A heartbeat of the consumer protocol was not answered.
    unheard: AtomicBool,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    suppressed: u64,
}

impl Context {
    pub fn new(client_id: &str) -> Self {
        Context {
            client_id: client_id.to_owned(),
            reports: false,
            complaint: Mutex::default(),
            said: Mutex::default(),
            rebalances: Mutex::default(),
            closing: AtomicBool::new(false),
            unheard: AtomicBool::new(false),
        }
    }

    /// For a client that does nothing but answer requests.
    pub fn of_requests(client_id: &str) -> Self {
        Context { reports: true, ..Context::new(client_id) }
    }

    /// The last thing that went wrong, once.
    pub fn take_complaint(&self) -> Option<String> {
        lock(&self.complaint).take()
    }

    pub fn next_rebalance(&self) -> Option<Rebalance> {
        lock(&self.rebalances).pop_front()
    }

    /// Whether a heartbeat of the consumer protocol (KIP-848) was not answered since the last call. The answer may have
    /// held an assignment: the broker tells it once, and librdkafka (2.12) does not ask again, so the member would wait
    /// for ever.
    pub fn take_unheard(&self) -> bool {
        self.unheard.swap(false, Ordering::AcqRel)
    }

    pub fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    /// A log line of librdkafka.
    pub fn say(&self, level: Level, kind: &str, text: &str) {
        let client = self.client_id.as_str();
        // There is no other sign of it.
        if kind == "REQTMOUT" && text.contains("ConsumerGroupHeartbeatRequest") {
            self.unheard.store(true, Ordering::Release);
        }
        // Producers and consumers share the user's properties, and each warns of those that are the other's.
        if kind == "CONFWARN" || matches!(level, Level::Notice | Level::Info | Level::Debug) {
            tracing::debug!(client, kind, "librdkafka: {text}");
            return;
        }
        let said_before = self.complain(strip(text));
        if said_before {
            return;
        }
        if self.reports {
            tracing::debug!(client, kind, "librdkafka: {}", strip(text));
            return;
        }
        if let Some(suppressed) = self.is_due(kind) {
            tracing::warn!(client, kind, suppressed, "librdkafka: {}", strip(text));
        }
    }

    /// Keeps what went wrong; whether it was the last thing already: most complaints come as a log line and as an
    /// error.
    fn complain(&self, text: &str) -> bool {
        // That all brokers are away follows from why each one is.
        if text.ends_with("brokers are down") {
            return false;
        }
        let cause = text.split_once(" (after ").map_or(text, |(cause, _)| cause);
        let before = lock(&self.complaint).replace(cause.to_owned());
        before.is_some_and(|before| before == cause)
    }

    /// How many lines of the kind were held back since the last one; `None`: hold back this one too.
    fn is_due(&self, kind: &str) -> Option<u64> {
        let mut said = lock(&self.said);
        let now = Instant::now();
        match said.get_mut(kind) {
            Some(last) if now.duration_since(last.at) < QUIET => {
                last.suppressed += 1;
                None
            }
            Some(last) => {
                last.at = now;
                Some(std::mem::take(&mut last.suppressed))
            }
            None => {
                said.insert(kind.to_owned(), Said { at: now, suppressed: 0 });
                Some(0)
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is whole at every moment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Without librdkafka's thread names: `[thrd:localhost:9092/bootstrap]: `.
fn strip(text: &str) -> &str {
    match text.strip_prefix("[thrd:").and_then(|rest| rest.split_once("]: ")) {
        Some((_, text)) => text,
        None => text,
    }
}

impl ClientContext for Context {
    fn log(&self, level: Level, kind: &str, text: &str) {
        self.say(level, kind, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if !matches!(error, KafkaError::Global(rdkafka::error::RDKafkaErrorCode::PartitionEOF)) {
            self.say(Level::Warning, "ERROR", reason);
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        if self.closing.load(Ordering::Acquire) {
            let answered = match (cooperative, event) {
                (true, RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) => {
                    consumer.incremental_assign(list)
                }
                (true, _) => consumer.incremental_unassign(list),
                (false, _) => consumer.unassign(),
            };
            if let Err(error) = answered {
                tracing::debug!(client = self.client_id, %error, "leaving the group");
            }
            return;
        }
        let partitions = partitions(list);
        let rebalance = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Rebalance::Assigned(partitions),
            _ if consumer.assignment_lost() => Rebalance::Lost(partitions),
            _ => Rebalance::Revoked(partitions),
        };
        tracing::debug!(client = self.client_id, ?rebalance, "the group rebalances");
        lock(&self.rebalances).push_back(rebalance);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    // Only while the producer is dropped: before that the outbox reads its events itself.
    fn delivery(&self, _: &DeliveryResult<'_>, (): Self::DeliveryOpaque) {}
}

/// A list of the client's as plain values.
pub(super) fn partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    list.elements()
        .iter()
        .map(|element| {
            TopicPartition::new(element.topic(), u32::try_from(element.partition()).unwrap_or(0))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_kind_are_held_back_and_counted() {
        let context = Context::new("test");
        assert_eq!(context.is_due("FAIL"), Some(0));
        assert_eq!(context.is_due("FAIL"), None);
        assert_eq!(context.is_due("ERROR"), Some(0));
        if let Some(said) = lock(&context.said).get_mut("FAIL") {
            said.at -= QUIET;
        }
        assert_eq!(context.is_due("FAIL"), Some(1));
    }

    #[test]
    fn a_heartbeat_without_an_answer_is_noticed_once() {
        let context = Context::new("test");
        context.say(Level::Notice, "REQTMOUT", "[thrd:GroupCoordinator]: GroupCoordinator/1: Timed out HeartbeatRequest in flight (after 10011ms, timeout #0)");
        assert!(!context.take_unheard(), "the classic protocol has no such trouble");
        context.say(Level::Notice, "REQTMOUT", "[thrd:GroupCoordinator]: GroupCoordinator/1: Timed out ConsumerGroupHeartbeatRequest in flight (after 10011ms, timeout #0)");
        assert!(context.take_unheard());
        assert!(!context.take_unheard());
    }

    #[test]
    fn a_complaint_loses_its_thread_and_is_told_once() {
        let context = Context::new("test");
        context.say(
            Level::Error,
            "FAIL",
            "[thrd:localhost:1/bootstrap]: localhost:1/bootstrap: refused",
        );
        context.say(Level::Info, "INFO", "fine");
        assert_eq!(context.take_complaint().as_deref(), Some("localhost:1/bootstrap: refused"));
        assert_eq!(context.take_complaint(), None);
    }
}
