//! `tidemill topics`: which topics there are, and how much is in them.

use std::io::{self, Write as _};

use serde::{Deserialize, Serialize};

use super::place::{self, Place};
use crate::{
    broker::{Bound, Broker},
    record::TopicPartition,
};

/// List the topics of Kafka or of the embedded log
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tidemill topics\n  tidemill topics --kafka client.properties --json"
)]
pub(super) struct Args {
    #[command(flatten)]
    place: place::Args,
    /// Print facts as JSON
    #[arg(long)]
    json: bool,
}

/// As the HTTP API answers it.
#[derive(Debug, Serialize, Deserialize)]
struct Listing {
    topics: Vec<Topic>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Topic {
    name: String,
    partitions: Vec<Partition>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Partition {
    partition: u32,
    start: i64,
    end: i64,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let listing = match self.place.open()? {
            Place::Kafka(broker) => listing(&*broker)?,
            Place::Host(client) => super::runtime()?.block_on(client.get("/topics"))?,
        };
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, &listing).map_err(io::Error::from)?;
            writeln!(out)?;
        } else {
            write!(out, "{}", table(&listing))?;
        }
        Ok(())
    }
}

fn listing(broker: &dyn Broker) -> anyhow::Result<Listing> {
    let admin = broker.admin()?;
    let mut topics = Vec::new();
    for topic in admin.topics()? {
        let partitions: Vec<_> = (0..topic.partitions)
            .map(|partition| TopicPartition::new(topic.name.as_str(), partition))
            .collect();
        let starts = admin.positions(&partitions, Bound::Earliest)?;
        let ends = admin.positions(&partitions, Bound::LatestStable)?;
        let partitions =
            partitions.iter().zip(starts.iter().zip(&ends)).map(|(at, (start, end))| Partition {
                partition: at.partition.0,
                start: start.0,
                end: end.0,
            });
        topics.push(Topic { name: topic.name, partitions: partitions.collect() });
    }
    Ok(Listing { topics })
}

fn table(listing: &Listing) -> String {
    if listing.topics.is_empty() {
        return "no topics yet\n".to_owned();
    }
    let width =
        listing.topics.iter().map(|topic| topic.name.chars().count()).max().unwrap_or(0).max(5);
    let mut text = format!("{:width$}  {:>10}  {:>12}\n", "topic", "partitions", "records");
    for topic in &listing.topics {
        // Control markers and compaction leave gaps, so this is what there is at most.
        let records: i64 =
            topic.partitions.iter().map(|partition| partition.end - partition.start).sum();
        text += &format!("{:width$}  {:>10}  {records:>12}\n", topic.name, topic.partitions.len());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{NewTopic, memory::MemoryLog};

    #[test]
    fn lists_topics_with_what_is_in_them() {
        let log = MemoryLog::new();
        let new = NewTopic {
            name: "orders".into(),
            partitions: Some(2),
            replicas: None,
            settings: Default::default(),
        };
        log.admin().unwrap().create(&new).unwrap();
        let record = crate::broker::memory::Append {
            partition: None,
            key: Some(b"k"),
            value: None,
            headers: Default::default(),
            timestamp: None,
        };
        log.append("orders", &record).unwrap();
        let expected = "topic   partitions       records\norders           2             1\n";
        assert_eq!(table(&listing(&log).unwrap()), expected);
        assert_eq!(table(&Listing { topics: vec![] }), "no topics yet\n");
    }
}
