//! Topics and offsets of a Kafka cluster.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic as Creation, ResourceSpecifier, TopicReplication},
    config::FromClientConfigAndContext,
    error::{KafkaError, RDKafkaErrorCode as Code},
    metadata::MetadataTopic,
};

use super::{
    Kafka, config, context::Context, error, native::Queue, offsets, question::Failure, topics,
};
use crate::{
    broker::{Admin, Bound, Error, NewTopic, Topic},
    record::{Position, TopicPartition},
};

/// How long to wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait for one broker of several.
const ONE_BROKER: Duration = Duration::from_secs(2);
/// How long a made topic may take to be known to all brokers, and how often to ask.
const SETTLING: Duration = Duration::from_secs(15);
const SETTLING_STEP: Duration = Duration::from_millis(20);

pub(super) struct KafkaAdmin {
    /// Above the client, to be dropped before it.
    events: Queue,
    client: AdminClient<Context>,
    kafka: Arc<Kafka>,
}

impl KafkaAdmin {
    pub fn new(kafka: Arc<Kafka>) -> Result<Self, Error> {
        let client_id = "tidemill-admin";
        let config = config::common(&kafka.properties, client_id);
        let client: AdminClient<Context> =
            AdminClient::from_config_and_context(&config, Context::of_requests(client_id))
                .map_err(|error| error::of_client(&error))?;
        Ok(KafkaAdmin { events: Queue::main(client.inner().native_ptr()), client, kafka })
    }

    /// The error of a request, with the client's last complaint where nobody answered.
    fn failed(&self, code: Code) -> Error {
        let context = self.client.inner().context();
        // Nothing else reads this client's events.
        while let Some(event) = self.events.poll(Duration::ZERO) {
            event.say(context);
        }
        error::of_request(code, &self.kafka.address, context.take_complaint())
    }

    fn failed_client(&self, error: &KafkaError) -> Error {
        match error {
            // Which has its code to itself.
            KafkaError::AdminOp(code) => self.failed(*code),
            error => match error.rdkafka_error_code() {
                Some(code) => self.failed(code),
                None => error::of_client(error),
            },
        }
    }

    fn failed_question(&self, failure: Failure) -> Error {
        match failure {
            Failure::Request(code) => self.failed(code),
            Failure::One(error) => error,
        }
    }

    fn describe(&self, names: &[&str]) -> Result<Vec<Topic>, Error> {
        self.insist(|| {
            topics::describe(self.client.inner().native_ptr(), names, None, PATIENCE)
                .map_err(|failure| self.failed_question(failure))
        })
    }

    /// A topic as each broker knows it. Those that do not answer are passed over: they learn of it before they serve.
    fn everywhere(&self, name: &str) -> Result<Vec<Option<Topic>>, Error> {
        let client = self.client.inner();
        let metadata = self.insist(|| {
            let metadata = client.fetch_metadata(Some(name), PATIENCE);
            metadata.map_err(|error| self.failed_client(&error))
        })?;
        let mut known = Vec::new();
        for broker in metadata.brokers() {
            match topics::describe(client.native_ptr(), &[name], Some(broker.id()), ONE_BROKER) {
                Ok(mut found) => known.push(found.pop()),
                Err(Failure::Request(_)) => {}
                Err(Failure::One(error)) => return Err(error),
            }
        }
        Ok(known)
    }

    /// Which of these does not exist: librdkafka only says that one does not.
    fn absent(&self, partitions: &[TopicPartition]) -> Result<Error, Error> {
        for partition in partitions {
            let topic = self.topic(&partition.topic)?;
            if topic.is_none_or(|topic| partition.partition.0 >= topic.partitions) {
                return Ok(Error::Refused(format!("{partition} does not exist")));
            }
        }
        Ok(Error::Retriable("a partition was not there for a moment".into()))
    }

    fn options() -> AdminOptions {
        AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
    }

    /// Asks again while brokers come and go.
    fn insist<T>(&self, mut ask: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
        let started = Instant::now();
        loop {
            match ask() {
                Err(Error::Retriable(_) | Error::Unreachable { .. })
                    if started.elapsed() < PATIENCE => {}
                answer => return answer,
            }
            thread::sleep(SETTLING_STEP);
        }
    }

    /// Until `done`, for as long as the cluster may take to settle.
    fn settle(
        &self,
        what: &str,
        mut done: impl FnMut() -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let started = Instant::now();
        loop {
            match done() {
                Ok(true) => return Ok(()),
                Ok(false) | Err(Error::Retriable(_)) if started.elapsed() < SETTLING => {}
                Ok(false) => {
                    return Err(Error::Retriable(format!(
                        "{what}: the brokers do not agree on it yet"
                    )));
                }
                Err(error) => return Err(error),
            }
            thread::sleep(SETTLING_STEP);
        }
    }
}

impl Admin for KafkaAdmin {
    fn topics(&self) -> Result<Vec<Topic>, Error> {
        let metadata = self.insist(|| {
            let metadata = self.client.inner().fetch_metadata(None, PATIENCE);
            metadata.map_err(|error| self.failed_client(&error))
        })?;
        let names: Vec<&str> = metadata
            .topics()
            .iter()
            .map(MetadataTopic::name)
            .filter(|name| !name.starts_with("__"))
            .collect();
        let mut topics = self.describe(&names)?;
        topics.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(topics)
    }

    fn topic(&self, name: &str) -> Result<Option<Topic>, Error> {
        // One that was just made is not known to every broker yet.
        Ok(match self.describe(&[name])?.pop() {
            None => self.everywhere(name)?.into_iter().flatten().next(),
            found => found,
        })
    }

    fn setting(&self, topic: &str, name: &str) -> Result<Option<String>, Error> {
        let asked = [ResourceSpecifier::Topic(topic)];
        let settings = self.insist(|| {
            let answers = wait(self.client.describe_configs(&asked, &Self::options()))
                .map_err(|error| self.failed_client(&error))?;
            let answer = answers.into_iter().next();
            answer
                .ok_or_else(|| self.failed(Code::OperationTimedOut))?
                .map_err(|code| named(topic, code, self))
        })?;
        Ok(settings.get(name).and_then(|entry| entry.value.clone()))
    }

    fn create(&self, topic: &NewTopic) -> Result<(), Error> {
        let name = &topic.name;
        let partitions = match topic.partitions {
            // -1 is the broker's default.
            None => -1,
            Some(0) => {
                return Err(Error::Refused(format!(
                    "topic {name:?}: 0 partitions, and it needs one at least"
                )));
            }
            Some(count) => i32::try_from(count).map_err(|_| {
                Error::Refused(format!("topic {name:?}: {count} partitions are too many"))
            })?,
        };
        let replicas = topic.replicas.map_or(-1, |count| i32::try_from(count).unwrap_or(i32::MAX));
        let mut creation = Creation::new(name, partitions, TopicReplication::Fixed(replicas));
        for (setting, value) in &topic.settings {
            creation = creation.set(setting, value);
        }
        self.insist(|| {
            let answers = wait(self.client.create_topics([&creation], &Self::options()));
            let answers = answers.map_err(|error| match &error {
                KafkaError::AdminOpCreation(words) => {
                    Error::Refused(format!("topic {name:?}: {words}"))
                }
                other => self.failed_client(other),
            })?;
            match answers.into_iter().next() {
                Some(Ok(_) | Err((_, Code::TopicAlreadyExists))) => Ok(()),
                Some(Err((_, code))) => Err(creation_refused(topic, code, self)),
                None => Err(self.failed(Code::OperationTimedOut)),
            }
        })?;
        self.settle(name, || Ok(self.everywhere(name)?.iter().all(Option::is_some)))
    }

    fn delete(&self, topic: &str) -> Result<(), Error> {
        self.insist(|| {
            let answers = wait(self.client.delete_topics(&[topic], &Self::options()))
                .map_err(|error| self.failed_client(&error))?;
            match answers.into_iter().next() {
                Some(Ok(_) | Err((_, Code::UnknownTopicOrPartition))) => Ok(()),
                Some(Err((_, code))) => Err(named(topic, code, self)),
                None => Err(self.failed(Code::OperationTimedOut)),
            }
        })?;
        self.settle(topic, || Ok(self.everywhere(topic)?.iter().all(Option::is_none)))
    }

    fn positions(
        &self,
        partitions: &[TopicPartition],
        bound: Bound,
    ) -> Result<Vec<Position>, Error> {
        let client = self.client.inner().native_ptr();
        self.insist(|| match offsets::list(client, partitions, bound, PATIENCE) {
            Err(Failure::Request(Code::NoEnt)) => Err(self.absent(partitions)?),
            answer => answer.map_err(|failure| self.failed_question(failure)),
        })
    }

    fn committed(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<Position>>, Error> {
        let client = self.client.inner().native_ptr();
        self.insist(|| {
            offsets::committed(client, group, partitions, PATIENCE)
                .map_err(|failure| self.failed_question(failure))
        })
    }
}

fn named(topic: &str, code: Code, admin: &KafkaAdmin) -> Error {
    match admin.failed(code) {
        Error::Refused(words) => Error::Refused(format!("topic {topic:?}: {words}")),
        other => other,
    }
}

/// The broker's words name no setting; its codes do tell which kind of thing it refused.
fn creation_refused(topic: &NewTopic, code: Code, admin: &KafkaAdmin) -> Error {
    if code == Code::InvalidConfig {
        let settings: Vec<String> =
            topic.settings.iter().map(|(name, value)| format!("{name} = {value:?}")).collect();
        return Error::Refused(format!(
            "topic {:?}: the broker refuses one of its settings: {}",
            topic.name,
            settings.join(", ")
        ));
    }
    named(&topic.name, code, admin)
}

/// Waits for a future that another thread completes. Needs no runtime, so it may be called from anywhere.
fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) =
            future.as_mut().poll(&mut std::task::Context::from_waker(&waker))
        {
            return output;
        }
        thread::park();
    }
}
