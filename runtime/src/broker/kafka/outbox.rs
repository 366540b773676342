//! A Kafka producer.
//!
//! Records are produced through a topic handle that is looked up once. Deliveries are read from the client's event
//! queue here, never by rdkafka, whose own waits come in steps of 100 ms.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    config::FromClientConfigAndContext,
    consumer::ConsumerGroupMetadata,
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::{BaseProducer, Producer, PurgeConfig},
    types::RDKafkaRespErr,
};
use rdkafka_sys as sys;

use super::{
    Kafka,
    calls::{Asked, Call, Calls},
    config,
    context::Context,
    error,
    native::{self, Queue, Topic},
    offsets::at_offsets,
    produce::produce,
};
use crate::{
    broker::{Delivery, Error, Membership, Outbox, OutboxSettings, Produce, TopicId},
    record::{Offset, Partition, Position, TopicPartition},
};

/// How long to wait for an answer of a broker.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a made topic may take to be known to all brokers, and how often to ask.
const SETTLING: Duration = Duration::from_secs(2);
const SETTLING_STEP: Duration = Duration::from_millis(50);
/// How long a call of a transaction waits before it answers that it is not known yet: longer than a broker takes that
/// has nothing else to do.
const TURN: Duration = Duration::from_millis(2);

pub(super) struct KafkaOutbox {
    kafka: Arc<Kafka>,
    settings: OutboxSettings,
    names: Vec<String>,
    topics: Vec<Topic>,
    /// Produced, and no report read.
    awaited: usize,
    /// Reports read while another call waited.
    reported: VecDeque<Delivery>,
    /// Why it is of no more use.
    dead: Option<Error>,
    /// Topics and events stand above the producer, to be dropped before it.
    events: Queue,
    /// With a transactional id.
    calls: Option<Calls>,
    producer: Arc<BaseProducer<Context>>,
}

impl KafkaOutbox {
    pub fn new(kafka: Arc<Kafka>, settings: &OutboxSettings) -> Result<Self, Error> {
        let config = config::producer(&kafka.properties, settings);
        let producer: BaseProducer<Context> =
            BaseProducer::from_config_and_context(&config, Context::new(&settings.client_id))
                .map_err(|error| error::of_client(&error))?;
        let producer = Arc::new(producer);
        let calls = match settings.transactional_id {
            Some(_) => Some(Calls::new(&producer, &settings.client_id)?),
            None => None,
        };
        let mut outbox = KafkaOutbox {
            kafka,
            settings: settings.clone(),
            names: Vec::new(),
            topics: Vec::new(),
            awaited: 0,
            reported: VecDeque::new(),
            dead: None,
            events: Queue::main(producer.client().native_ptr()),
            calls,
            producer,
        };
        if settings.transactional_id.is_some() {
            outbox.init(settings.transaction_timeout)?;
        }
        Ok(outbox)
    }

    fn init(&mut self, transaction_timeout: Duration) -> Result<(), Error> {
        // The transaction an older producer left may take a moment to be aborted.
        match self.producer.init_transactions(PATIENCE + transaction_timeout.min(PATIENCE)) {
            Ok(()) => Ok(()),
            Err(KafkaError::Transaction(error)) if error.is_retriable() => {
                self.drain(Duration::ZERO);
                let complaint = self.producer.context().take_complaint();
                Err(error::of_request(Code::OperationTimedOut, &self.kafka.address, complaint))
            }
            Err(error) => Err(self.transaction_error(&error, Error::Fatal)),
        }
    }

    fn alive(&self) -> Result<(), Error> {
        self.dead.clone().map_or(Ok(()), Err)
    }

    /// Reads all events there are, waiting up to `wait` for the first delivery.
    fn drain(&mut self, wait: Duration) {
        let started = Instant::now();
        let mut left = wait;
        while let Some(event) = self.events.poll(left) {
            match event.kind() {
                sys::RD_KAFKA_EVENT_DR => {
                    let (awaited, reported) = (&mut self.awaited, &mut self.reported);
                    event.deliveries(|message| {
                        *awaited = awaited.saturating_sub(1);
                        reported.push_back(delivery(message));
                    });
                    left = Duration::ZERO;
                }
                _ => {
                    event.say(self.producer.context());
                    if event.kind() == sys::RD_KAFKA_EVENT_ERROR {
                        self.look_for_death();
                    }
                    if left > Duration::ZERO {
                        left = wait.saturating_sub(started.elapsed());
                    }
                }
            }
        }
        if self.dead.is_none()
            && self.reported.iter().rev().take(1).any(|last| last.result.is_err())
        {
            self.look_for_death();
        }
    }

    fn look_for_death(&mut self) {
        if self.dead.is_none()
            && let Some((code, text)) = native::fatal_error(self.producer.client().native_ptr())
        {
            self.dead = Some(fatal(code, text));
        }
    }

    /// The error of a transaction's call; `retriable` types what may be tried again.
    fn transaction_error(&mut self, error: &KafkaError, retriable: fn(String) -> Error) -> Error {
        let KafkaError::Transaction(error) = error else { return error::of_client(error) };
        let text = error.string();
        if error.is_fatal() {
            let (code, text) = native::fatal_error(self.producer.client().native_ptr())
                .unwrap_or_else(|| (error.code(), text));
            let dead = fatal(code, text);
            self.dead = Some(dead.clone());
            dead
        } else if error.txn_requires_abort() {
            Error::Abortable(text)
        } else if error.is_retriable() {
            retriable(text)
        } else {
            Error::Refused(text)
        }
    }

    /// Whether a topic exists.
    fn look_up(&mut self, name: &str) -> Result<(), Error> {
        let metadata =
            self.producer.client().fetch_metadata(Some(name), PATIENCE).map_err(|error| {
                self.drain(Duration::ZERO);
                let complaint = self.producer.context().take_complaint();
                let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
                error::of_request(code, &self.kafka.address, complaint)
            })?;
        match metadata.topics().first().and_then(|topic| topic.error()) {
            Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => {
                Err(Error::Refused(format!("topic {name:?} does not exist")))
            }
            Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) | None => Ok(()),
            Some(code) => {
                Err(Error::Refused(format!("topic {name:?}: {}", error::words(code.into()))))
            }
        }
    }

    /// Asks for a call of the transaction, serving deliveries before: some calls wait for them to be read.
    fn ask(&mut self, call: Call) -> Result<(), Error> {
        self.drain(Duration::ZERO);
        let Some(calls) = &mut self.calls else {
            return Err(Error::Refused("the producer has no transactional id".into()));
        };
        match calls.ask(call, TURN) {
            Asked::Answered(Ok(())) => Ok(()),
            // The call goes on by itself, and says so when it is made again.
            Asked::Answered(Err(error)) => Err(self.transaction_error(&error, Error::Unknown)),
            Asked::UnderWay => {
                self.drain(Duration::ZERO);
                Err(Error::Unknown("the coordinator has not answered".into()))
            }
            Asked::Refused(error) => Err(error),
        }
    }
}

impl Outbox for KafkaOutbox {
    fn topic(&mut self, name: &str) -> Result<TopicId, Error> {
        self.alive()?;
        if let Some(known) = self.names.iter().position(|known| known == name) {
            return Ok(TopicId(known));
        }
        let started = Instant::now();
        while let Err(error) = self.look_up(name) {
            // One that was just made may not be known to every broker.
            if !matches!(error, Error::Refused(_)) || started.elapsed() > SETTLING {
                return Err(error);
            }
            std::thread::sleep(SETTLING_STEP);
        }
        let topic = Topic::new(self.producer.client().native_ptr(), name)
            .ok_or_else(|| Error::Refused(format!("{name:?} is no name for a topic")))?;
        self.topics.push(topic);
        self.names.push(name.to_owned());
        Ok(TopicId(self.topics.len() - 1))
    }

    fn produce(&mut self, record: &Produce<'_>, token: usize) -> Result<(), Error> {
        self.alive()?;
        let topic = &self.topics[record.topic.0];
        match produce(self.producer.client().native_ptr(), topic, record, token) {
            Ok(()) => {
                self.awaited += 1;
                Ok(())
            }
            Err(Code::QueueFull) => Err(Error::Full),
            Err(Code::MessageSizeTooLarge) => {
                Err(Error::TooLarge("it is above the producer's `message.max.bytes`".into()))
            }
            Err(Code::State) => {
                self.look_for_death();
                Err(self.dead.clone().unwrap_or_else(|| {
                    Error::Abortable(
                        "the producer takes no records now: its transaction is over or failed"
                            .into(),
                    )
                }))
            }
            Err(code) => {
                self.look_for_death();
                let name = &self.names[record.topic.0];
                Err(self.dead.clone().unwrap_or_else(|| match error::of_delivery(code) {
                    Error::Refused(words) => Error::Refused(format!("topic {name:?}: {words}")),
                    other => other,
                }))
            }
        }
    }

    fn poll(&mut self, wait: Duration, delivered: &mut dyn FnMut(Delivery)) -> Result<(), Error> {
        let wait = if self.reported.is_empty() && self.awaited > 0 { wait } else { Duration::ZERO };
        self.drain(wait);
        self.reported.drain(..).for_each(delivered);
        self.alive()
    }

    fn hurry(&mut self) {
        if self.awaited > 0 {
            // While a flush runs the linger time is nothing. It is given a moment, so that the threads that send
            // see it; it never returns before that, since the reports are read by us.
            native::flush(self.producer.client().native_ptr(), Duration::from_millis(1));
        }
    }

    fn in_flight(&self) -> usize {
        self.awaited + self.reported.len()
    }

    fn begin(&mut self) -> Result<(), Error> {
        self.alive()?;
        self.producer
            .begin_transaction()
            .map_err(|error| self.transaction_error(&error, Error::Retriable))
    }

    fn send_positions(
        &mut self,
        positions: &[(TopicPartition, Position)],
        membership: &Membership,
    ) -> Result<(), Error> {
        self.alive()?;
        if !membership.0.is::<ConsumerGroupMetadata>() {
            return Err(Error::Refused("the membership is not one of Kafka".into()));
        }
        let positions = at_offsets(positions)?;
        self.ask(Call::SendPositions(positions, membership.clone()))
    }

    fn commit(&mut self) -> Result<(), Error> {
        self.alive()?;
        if self.awaited > 0 {
            self.hurry();
            self.drain(TURN);
        }
        if self.awaited > 0 {
            self.alive()?;
            return Err(Error::Unknown(format!(
                "{} records are not acknowledged yet",
                self.awaited
            )));
        }
        self.ask(Call::Commit)
    }

    fn abort(&mut self) -> Result<(), Error> {
        self.alive()?;
        self.ask(Call::Abort)
    }

    fn forget(&mut self) -> Result<(), Error> {
        self.alive()?;
        if self.settings.transactional_id.is_some() {
            return Err(Error::Refused("what a transaction holds is aborted".into()));
        }
        if self.in_flight() == 0 {
            return Ok(());
        }
        // First, and until all threads that send have said so: making another may take its time.
        self.producer.purge(PurgeConfig::default().queue().inflight());
        // Another one: this one's numbering has a gap where records were dropped.
        let mut fresh = KafkaOutbox::new(Arc::clone(&self.kafka), &self.settings)?;
        for name in &self.names {
            let topic = Topic::new(fresh.producer.client().native_ptr(), name);
            fresh.topics.push(topic.expect("the name was one before"));
        }
        fresh.names = std::mem::take(&mut self.names);
        *self = fresh;
        Ok(())
    }
}

fn fatal(code: Code, text: String) -> Error {
    match code {
        Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch => Error::Fenced(text),
        _ => Error::Fatal(text),
    }
}

fn delivery(message: &sys::rd_kafka_message_t) -> Delivery {
    let result = match message.err {
        sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => {
            let offset = (message.offset >= 0).then_some(Offset(message.offset));
            Ok((Partition(u32::try_from(message.partition).unwrap_or(0)), offset))
        }
        code => Err(error::of_delivery(code.into())),
    };
    Delivery { token: message._private.addr(), result }
}
