//! `tidemill consume`: shows what is in a topic.

use std::io::{self, BufWriter, Write};

use serde::Deserialize;

use super::place::{self, Place};
use crate::{
    http::wire::{Given, RecordOut},
    record::{Record, TopicPartition},
    testing::case::Value,
};

mod host;
mod kafka;

/// Show the records of a topic: KEY, a tab, VALUE
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidemill consume big-orders
  tidemill consume big-orders --from latest --json
  tidemill consume trade-settlements --follow --count 10 --kafka client.properties

Keys and values are shown as case files write them: null, hex:00ff for what is binary, quotes where they are needed.")]
pub(super) struct Args {
    /// The topic
    topic: String,
    /// Where to begin; `latest` waits for what comes
    #[arg(long, value_enum, default_value_t = From::Earliest)]
    from: From,
    /// End after so many records
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// At the end of the topic, wait for more
    #[arg(long)]
    follow: bool,
    /// Only this partition
    #[arg(long)]
    partition: Option<u32>,
    /// One JSON object a record, with topic, partition, offset, timestamp, key, value and headers
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: place::Args,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum From {
    Earliest,
    Latest,
}

/// What is read.
struct Reading {
    topic: String,
    from: From,
    follow: bool,
    partition: Option<u32>,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        place::check_name(&self.topic)?;
        let follow = self.follow || self.from == From::Latest;
        let reading =
            Reading { topic: self.topic, from: self.from, follow, partition: self.partition };
        let mut screen =
            Screen { out: BufWriter::new(io::stdout().lock()), json: self.json, left: self.count };
        match self.place.open()? {
            Place::Kafka(broker) => kafka::read(&*broker, &reading, &mut screen),
            Place::Host(client) => {
                super::runtime()?.block_on(host::read(&client, &reading, &mut screen))
            }
        }
    }
}

/// Where records are shown.
struct Screen<W: Write> {
    out: W,
    json: bool,
    left: Option<u64>,
}

/// As the HTTP API answers it, as far as it is shown.
#[derive(Deserialize)]
struct Line {
    key: Given,
    value: Given,
}

impl<W: Write> Screen<W> {
    fn record(&mut self, partition: &TopicPartition, record: &Record<'_>) -> anyhow::Result<()> {
        if self.json {
            serde_json::to_writer(&mut self.out, &RecordOut::new(partition, record))
                .map_err(io::Error::from)?;
            writeln!(self.out)?;
        } else {
            self.pair(record.key, record.value)?;
        }
        self.counted();
        Ok(())
    }

    /// A record as one line of JSON.
    fn line(&mut self, line: &[u8]) -> anyhow::Result<()> {
        if self.json {
            self.out.write_all(line)?;
            writeln!(self.out)?;
        } else {
            let read: Line = serde_json::from_slice(line)?;
            self.pair(read.key.0.as_deref(), read.value.0.as_deref())?;
        }
        self.counted();
        Ok(())
    }

    fn pair(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> io::Result<()> {
        let (key, value) = (Value::of(key), Value::of(value));
        writeln!(self.out, "{}\t{value}", key.token())
    }

    fn counted(&mut self) {
        self.left = self.left.map(|left| left.saturating_sub(1));
    }

    fn is_full(&self) -> bool {
        self.left == Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        broker::{
            Broker, NewTopic,
            memory::{Append, MemoryLog},
        },
        record::HeadersWriter,
    };

    fn log() -> MemoryLog {
        let log = MemoryLog::new();
        let new = NewTopic {
            name: "t".into(),
            partitions: Some(2),
            replicas: None,
            settings: Default::default(),
        };
        log.admin().unwrap().create(&new).unwrap();
        log
    }

    fn append(log: &MemoryLog, partition: u32, key: Option<&[u8]>, value: Option<&[u8]>) {
        let mut headers = HeadersWriter::new();
        headers.push("h", Some(b"1"));
        let append = Append {
            partition: Some(crate::record::Partition(partition)),
            key,
            value,
            headers: headers.headers(),
            timestamp: Some(crate::record::Timestamp(5)),
        };
        log.append("t", &append).unwrap();
    }

    fn shown(log: &MemoryLog, partition: Option<u32>, json: bool, count: Option<u64>) -> String {
        let reading = Reading { topic: "t".into(), from: From::Earliest, follow: false, partition };
        let mut screen = Screen { out: Vec::new(), json, left: count };
        kafka::read(log, &reading, &mut screen).unwrap();
        String::from_utf8(screen.out).unwrap()
    }

    #[test]
    fn shows_what_is_there_and_ends() {
        let log = log();
        assert_eq!(shown(&log, None, false, None), "");
        append(&log, 0, Some(b"k"), Some(b"{\"a\":1}"));
        append(&log, 0, None, Some(b"\xff"));
        append(&log, 1, Some(b"null"), None);
        let all = shown(&log, None, false, None);
        let mut lines: Vec<_> = all.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["\"null\"\tnull", "k\t{\"a\":1}", "null\thex:ff"]);
        assert_eq!(shown(&log, Some(1), false, None), "\"null\"\tnull\n");
        assert_eq!(shown(&log, None, false, Some(2)).lines().count(), 2);
    }

    #[test]
    fn json_has_all_there_is() {
        let log = log();
        append(&log, 1, Some(b"k"), Some(b"\xff"));
        let json: serde_json::Value = serde_json::from_str(&shown(&log, None, true, None)).unwrap();
        let expected = serde_json::json!({
            "topic": "t", "partition": 1, "offset": 0, "timestamp": 5, "key": "k", "value": { "base64": "/w==" },
            "headers": [{ "name": "h", "value": "1" }],
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn an_absent_topic_or_partition_is_named() {
        let log = log();
        let read = |topic: &str, partition| {
            let reading =
                Reading { topic: topic.into(), from: From::Earliest, follow: false, partition };
            let mut screen = Screen { out: Vec::new(), json: false, left: None };
            kafka::read(&log, &reading, &mut screen).unwrap_err().to_string()
        };
        assert!(read("none", None).starts_with("there is no topic `none` in "));
        assert_eq!(read("t", Some(2)), "t has the partitions 0 to 1, not 2");
    }
}
