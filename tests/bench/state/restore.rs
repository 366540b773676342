//! How fast state comes back from its changelog where the disk is empty, against reading the same topic.

use std::{
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    topic_partition_list::TopicPartitionList,
};

use super::{
    amounts::{self, PARTITIONS, Spread},
    host::{App, Host, PATIENCE},
    rates,
    table::{Table, median},
};
use crate::{broker, process::setting};

const RESTORED: &str = "tidemill_app_restored_records_total";

pub fn measure(table: &mut Table) {
    let (keys, amounts) = (setting("BENCH_KEYS", 1_000_000), setting("BENCH_AMOUNTS", 3_000_000));
    let rounds = setting("BENCH_ROUNDS", 3);
    let component = rates::running_total();
    let (input, output) = ("bench.restore.amounts", "bench.restore.totals");
    amounts::fill(input, Spread::Uniform, keys, amounts);
    broker::create_topic(output, PARTITIONS);
    let app = App {
        name: "bench-restore",
        guarantee: "exactly-once",
        component: &component,
        function: "running-total",
        input,
        output,
        output_name: "totals",
        properties: "",
    };
    let folder = tempfile::tempdir().expect("a folder");
    let mut host = app.start(folder.path());
    let watch = host.watch();
    host.reach(&watch, i64::try_from(amounts).expect("few records"));
    host.stop();

    let changelog = "bench-restore.total.changelog";
    let (mut plain, mut restored) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (records, megabytes, time) = consume(changelog);
        plain.push(megabytes / time.as_secs_f64());
        let folder = tempfile::tempdir().expect("a folder");
        let host = app.start(folder.path());
        let time = restore(&host, records);
        restored.push(megabytes / time.as_secs_f64());
        host.stop();
        println!(
            "  {records} records, {megabytes:.0} MB: restored at {:.1} MB/s, consumed at {:.1} MB/s",
            restored[restored.len() - 1],
            plain[plain.len() - 1]
        );
    }
    let (plain, restored) = (median(plain), median(restored));
    table.row(
        "restore of a wiped host",
        format!("{restored:.1} MB/s"),
        format!("{:.2} of a plain consume at {plain:.1} MB/s", restored / plain),
        ">= 0.5",
    );
}

/// From the first record seen to the last.
fn restore(host: &Host, records: u64) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "records are far below 2^52")]
    let all = records as f64;
    let deadline = Instant::now() + PATIENCE;
    let mut began: Option<(Instant, f64)> = None;
    loop {
        let restored = host.metric(RESTORED).unwrap_or_default();
        let now = Instant::now();
        match began {
            None if restored > 0.0 => began = Some((now, restored)),
            // Other logs of the app are restored beside it; they are small.
            Some((start, first)) if restored >= all => {
                return (now - start).mul_f64(all / (restored - first).max(1.0));
            }
            _ => {}
        }
        assert!(now < deadline, "{restored} of {records} records are restored");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Reads a topic from its beginning to its end; records, megabytes of keys and values, and the time from the first.
fn consume(topic: &str) -> (u64, f64, Duration) {
    let consumer: BaseConsumer = broker::client()
        .set("group.id", "bench-consume")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("fetch.queue.backoff.ms", "5")
        .create()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Beginning).expect("a partition");
    }
    consumer.assign(&list).expect("an assignment");
    let (mut records, mut bytes, mut ended, mut began) = (0u64, 0usize, 0, None);
    while ended < PARTITIONS {
        match consumer.poll(Duration::from_secs(10)) {
            Some(Ok(message)) => {
                began.get_or_insert_with(Instant::now);
                records += 1;
                bytes += message.key_len() + message.payload_len();
            }
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => panic!("{error}"),
            None => panic!("{topic} does not end"),
        }
    }
    let time = began.expect("there are records").elapsed();
    #[expect(clippy::cast_precision_loss, reason = "topics are far below 2^52 bytes")]
    let megabytes = bytes as f64 / 1e6;
    (records, megabytes, time)
}
