//! One Apache Kafka for all tests of this binary, with topics made and read through rdkafka.
//!
//! The broker goes when the tests do, however they end: a shell holds one end of a pipe, and the other end closes with
//! this process.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::OwnedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientConfig, Message};

/// How long a request to a healthy broker may take on a busy machine.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// How long reading a whole topic may take.
const READ_LIMIT: Duration = Duration::from_secs(120);

/// A Kafka by its address.
pub struct Kafka {
    bootstrap: String,
}

/// The broker of most tests, which the first call starts.
pub fn kafka() -> &'static Kafka {
    static KAFKA: OnceLock<Kafka> = OnceLock::new();
    KAFKA.get_or_init(|| {
        // Its only node must not be declared dead where a busy machine stops it for seconds.
        let (kafka, _) = Kafka::start(&["--set", "broker.session.timeout.ms=60000"], &[]);
        kafka
    })
}

/// The address of the broker.
pub fn bootstrap() -> &'static str {
    kafka().bootstrap()
}

/// A client's configuration for the broker.
pub fn client() -> ClientConfig {
    kafka().client()
}

pub fn create_topic(name: &str, partitions: i32) {
    kafka().create_topic(name, partitions, &[]);
}

/// The end of each partition, in order.
pub fn ends(topic: &str) -> Vec<i64> {
    kafka().ends(topic)
}

/// The position a group has committed in each partition, in order; -1 where it has none.
pub fn committed(group: &str, topic: &str, partitions: i32) -> Vec<i64> {
    kafka().committed(group, topic, partitions)
}

/// A consumer at the beginning of all partitions of a topic, outside any group.
pub fn reader(topic: &str, partitions: i32) -> BaseConsumer {
    kafka().reader(topic, partitions)
}

/// The folder of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is a folder of the repository")
}

impl Kafka {
    /// Starts one, with more options and environment for the tool; answers its folder too.
    pub fn start(options: &[&str], environment: &[(&str, &str)]) -> (Self, PathBuf) {
        // In memory where that is possible: the tests ask nothing of a disk.
        let parent = ["/dev/shm", "/tmp"].into_iter().map(PathBuf::from).find(|path| path.is_dir());
        let folder = tempfile::Builder::new()
            .prefix("tidemill-kafka-")
            .tempdir_in(parent.expect("there is a folder for temporary files"))
            .expect("making a folder for the broker")
            .keep();
        Command::new("setsid")
            .args(["sh", "-c", r#"cat; "$0" --dir "$1" stop --wipe; rm -rf "$1""#])
            .args([&tool(), &folder])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(|mut guard| std::mem::forget(guard.stdin.take()))
            .expect("starting the shell that stops the broker");
        let output = Command::new(tool())
            .arg("--dir")
            .arg(&folder)
            .args(["start", "--port", "0"])
            .args(options)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .output()
            .expect("running tests/tools/kafka");
        assert!(
            output.status.success(),
            "the broker did not start: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let bootstrap = String::from_utf8(output.stdout).expect("an address is text");
        (Kafka { bootstrap: bootstrap.trim().to_owned() }, folder)
    }

    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().expect("making an admin client")
    }

    pub fn create_topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        // -1: as many replicas as the cluster has by default.
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(-1));
        for (setting, value) in settings {
            topic = topic.set(setting, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(REQUEST_LIMIT));
        let results = runtime()
            .block_on(self.admin().create_topics([&topic], &options))
            .expect("asking for a topic");
        for result in results {
            result.expect("the broker makes the topic");
        }
        for address in self.bootstrap.split(',') {
            known(address, name);
        }
    }

    pub fn delete_topic(&self, name: &str) {
        let options = AdminOptions::new().operation_timeout(Some(REQUEST_LIMIT));
        let results = runtime()
            .block_on(self.admin().delete_topics(&[name], &options))
            .expect("asking to delete a topic");
        for result in results {
            result.expect("the broker deletes the topic");
        }
    }

    /// Deletes the records of a partition before an offset.
    pub fn truncate(&self, topic: &str, partition: i32, before: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(before))
            .expect("adding a partition");
        let deleted = runtime()
            .block_on(self.admin().delete_records(&list, &AdminOptions::new()))
            .expect("asking to delete records");
        for element in deleted.elements() {
            element.error().expect("the broker deletes records");
        }
    }

    /// The end of each partition, in order.
    pub fn ends(&self, topic: &str) -> Vec<i64> {
        let consumer: BaseConsumer = self.client().create().expect("making a consumer");
        let metadata =
            consumer.fetch_metadata(Some(topic), REQUEST_LIMIT).expect("asking for metadata");
        let partitions =
            i32::try_from(metadata.topics()[0].partitions().len()).expect("few partitions");
        (0..partitions)
            .map(|partition| {
                consumer
                    .fetch_watermarks(topic, partition, REQUEST_LIMIT)
                    .expect("asking for the end")
                    .1
            })
            .collect()
    }

    /// The position a group has committed in each partition, in order; -1 where it has none.
    pub fn committed(&self, group: &str, topic: &str, partitions: i32) -> Vec<i64> {
        let consumer: BaseConsumer =
            self.client().set("group.id", group).create().expect("making a consumer");
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, partitions - 1);
        // The group's coordinator may be new, or be moving.
        let start = Instant::now();
        let committed = loop {
            match consumer.committed_offsets(list.clone(), REQUEST_LIMIT) {
                Ok(committed) => break committed,
                Err(error) if start.elapsed() > REQUEST_LIMIT => {
                    panic!("asking for positions: {error}")
                }
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        };
        let position = |offset| if let Offset::Offset(position) = offset { position } else { -1 };
        committed.elements().iter().map(|element| position(element.offset())).collect()
    }

    /// A consumer at the beginning of all partitions of a topic, outside any group.
    pub fn reader(&self, topic: &str, partitions: i32) -> BaseConsumer {
        self.reader_with(topic, partitions, "false")
    }

    /// What a topic holds, as far as it is committed: all of each partition, in order. Waits for transactions that are
    /// open.
    pub fn read(&self, topic: &str) -> Vec<Vec<OwnedMessage>> {
        let ends = self.ends(topic);
        let partitions = i32::try_from(ends.len()).expect("few partitions");
        let consumer = self.reader_with(topic, partitions, "true");
        let stable = |partition: i32| {
            let ends = consumer.fetch_watermarks(topic, partition, REQUEST_LIMIT);
            ends.expect("asking for the stable end").1
        };
        let start = Instant::now();
        while !(0..partitions).all(|partition| stable(partition) >= ends[partition as usize]) {
            assert!(start.elapsed() < READ_LIMIT, "{topic}: a transaction is still open");
            std::thread::sleep(Duration::from_millis(50));
        }
        let mut records: Vec<Vec<OwnedMessage>> = ends.iter().map(|_| Vec::new()).collect();
        let mut ended = HashSet::new();
        let start = Instant::now();
        while ended.len() < ends.len() {
            assert!(start.elapsed() < READ_LIMIT, "{topic} is not read within {READ_LIMIT:?}");
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => records[message.partition() as usize].push(message.detach()),
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
                Some(Err(error)) => panic!("reading {topic}: {error}"),
                None => {}
            }
        }
        records
    }

    fn reader_with(&self, topic: &str, partitions: i32, tell_ends: &str) -> BaseConsumer {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", "readers-commit-nothing")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", tell_ends)
            .set("isolation.level", "read_committed")
            .create()
            .expect("making a consumer");
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition, Offset::Beginning)
                .expect("adding a partition");
        }
        consumer.assign(&list).expect("assigning partitions");
        consumer
    }
}

/// Waits until a broker knows a topic and who leads its partitions.
fn known(address: &str, topic: &str) {
    let mut client = ClientConfig::new();
    // A client that has just been made asks the broker that it was given.
    let consumer: BaseConsumer =
        client.set("bootstrap.servers", address).create().expect("making a consumer");
    let start = Instant::now();
    loop {
        let metadata = consumer.fetch_metadata(Some(topic), REQUEST_LIMIT);
        let metadata = metadata.expect("asking for metadata");
        let found = &metadata.topics()[0];
        let led = found.partitions().iter().all(|partition| partition.leader() >= 0);
        if found.error().is_none() && led && !found.partitions().is_empty() {
            return;
        }
        assert!(start.elapsed() < REQUEST_LIMIT, "{address} does not know {topic}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What starts and stops brokers.
pub fn tool() -> PathBuf {
    repository().join("tests/tools/kafka")
}

/// A small runtime for clients that only come as futures.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("making a runtime")
}

#[test]
fn a_new_topic_has_its_partitions_and_nothing_in_them() {
    create_topic("broker.new", 3);
    assert_eq!(ends("broker.new"), [0, 0, 0]);
}
