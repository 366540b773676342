//! What rdkafka alone takes: filling a topic, and copying one to another without looking at a record.

use std::time::Duration;

use rdkafka::{
    ClientConfig, Message as _, Offset,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer as _},
    topic_partition_list::TopicPartitionList,
};

fn producer(bootstrap: &str) -> BaseProducer {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("partitioner", "murmur2_random")
        .set("acks", "all")
        .set("linger.ms", "20")
        .set("batch.size", "1000000")
        .set("batch.num.messages", "10000")
        .set("queue.buffering.max.messages", "1000000")
        .create()
        .expect("a producer")
}

fn send(producer: &BaseProducer, mut record: BaseRecord<'_, [u8], [u8]>) {
    while let Err((error, again)) = producer.send(record) {
        assert!(
            matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)),
            "{error}"
        );
        record = again;
        producer.poll(Duration::from_millis(1));
    }
}

/// JSON values of 200 bytes, keys of 9; each in the partition of its key, as in any topic that producers have filled.
pub fn fill(bootstrap: &str, topic: &str, records: u64) {
    let producer = producer(bootstrap);
    for number in 0..records {
        let mut value = format!(
            r#"{{"id":{number},"user":"user-{:04}","amount":{},"currency":"EUR","note":""#,
            number % 1000,
            number * 7919 % 100_000
        );
        while value.len() < 198 {
            value.push('x');
        }
        value.push_str("\"}");
        let key = format!("user-{:04}", number % 1000);
        let record = BaseRecord::to(topic).key(key.as_bytes()).payload(value.as_bytes());
        send(&producer, record);
        if number % 1000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(Duration::from_secs(60)).expect("all is delivered");
}

/// Copies until it is told to end.
pub fn run(bootstrap: &str, input: &str, output: &str, partitions: i32) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", format!("copy.{output}"))
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.message.max.bytes", "4194304")
        .create()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(input, partition, Offset::Beginning).expect("a partition");
    }
    consumer.assign(&list).expect("an assignment");
    let producer = producer(bootstrap);
    let mut copied = 0u64;
    loop {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else {
            producer.poll(Duration::ZERO);
            continue;
        };
        let message = message.expect("a message");
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(output)
            .partition(message.partition())
            .payload(message.payload().unwrap_or_default());
        if let Some(key) = message.key() {
            record = record.key(key);
        }
        send(&producer, record);
        copied += 1;
        if copied.is_multiple_of(1000) {
            producer.poll(Duration::ZERO);
        }
    }
}
