//! One Apache Kafka for all tests of this binary, with topics made and read through rdkafka.
//!
//! The broker goes when the tests do, however they end: a shell holds one end of a pipe, and the other end closes with
//! this process.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// How long a request to a healthy broker may take on a busy machine.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// The address of the broker, which the first call starts.
pub fn bootstrap() -> &'static str {
    static BOOTSTRAP: OnceLock<String> = OnceLock::new();
    BOOTSTRAP.get_or_init(start)
}

/// The folder of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is a folder of the repository")
}

fn start() -> String {
    let tool = repository().join("tests/tools/kafka");
    // In memory where that is possible: the tests ask nothing of a disk.
    let parent = ["/dev/shm", "/tmp"].into_iter().map(PathBuf::from).find(|path| path.is_dir());
    let folder = tempfile::Builder::new()
        .prefix("tidemill-kafka-")
        .tempdir_in(parent.expect("there is a folder for temporary files"))
        .expect("making a folder for the broker")
        .keep();
    Command::new("setsid")
        .args(["sh", "-c", r#"cat; "$0" --dir "$1" stop --wipe; rm -rf "$1""#])
        .args([&tool, &folder])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(|mut guard| std::mem::forget(guard.stdin.take()))
        .expect("starting the shell that stops the broker");
    let output = Command::new(&tool)
        .arg("--dir")
        .arg(&folder)
        .args(["start", "--port", "0"])
        // Its only node must not be declared dead where a busy machine stops it for seconds.
        .args(["--set", "broker.session.timeout.ms=60000"])
        .stdin(Stdio::null())
        .output()
        .expect("running tests/tools/kafka");
    assert!(
        output.status.success(),
        "the broker did not start: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("an address is text").trim().to_owned()
}

/// A client's configuration for the broker.
pub fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap());
    config
}

pub fn create_topic(name: &str, partitions: i32) {
    let admin: AdminClient<DefaultClientContext> =
        client().create().expect("making an admin client");
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(REQUEST_LIMIT));
    let results =
        runtime().block_on(admin.create_topics([&topic], &options)).expect("asking for a topic");
    for result in results {
        result.expect("the broker makes the topic");
    }
}

/// The end of each partition, in order.
pub fn ends(topic: &str) -> Vec<i64> {
    let consumer: BaseConsumer = client().create().expect("making a consumer");
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
pub fn committed(group: &str, topic: &str, partitions: i32) -> Vec<i64> {
    let consumer: BaseConsumer =
        client().set("group.id", group).create().expect("making a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, partitions - 1);
    let committed = consumer.committed_offsets(list, REQUEST_LIMIT).expect("asking for positions");
    let position = |offset| if let Offset::Offset(position) = offset { position } else { -1 };
    committed.elements().iter().map(|element| position(element.offset())).collect()
}

/// A consumer at the beginning of all partitions of a topic, outside any group.
pub fn reader(topic: &str, partitions: i32) -> BaseConsumer {
    let consumer: BaseConsumer = client()
        .set("group.id", "readers-commit-nothing")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .create()
        .expect("making a consumer");
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning).expect("adding a partition");
    }
    consumer.assign(&list).expect("assigning partitions");
    consumer
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
