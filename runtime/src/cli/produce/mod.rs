//! `tidemill produce`: records from the command line, a file or standard input into a topic.
//!
//! A record a line streams: lines are sent as they come, many at a time where they come quickly, in their order.

use std::{
    fs,
    io::{self, IsTerminal as _, Write as _},
    path::Path,
};

use anyhow::{Context as _, bail};
use serde_json::json;

use super::place::{self, Place};

mod lines;
mod sinks;

/// Send records to a topic
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidemill produce orders --key o-1 '{\"id\":\"o-1\",\"amount\":250}'
  tidemill produce orders --key o-1 --header trace=abc @order.json
  tidemill produce orders --key-separator '\\t' - < orders.tsv
  tidemill produce users --key ann --null --kafka client.properties")]
pub(super) struct Args {
    /// The topic
    topic: String,
    /// The value; `-` is a record per line of standard input (blank lines are left out), @FILE the whole file
    #[arg(required_unless_present = "null", conflicts_with = "null", allow_hyphen_values = true)]
    value: Option<String>,
    /// The key; without it: null
    #[arg(long, conflicts_with = "key_separator")]
    key: Option<String>,
    /// With `-`: what stands between key and value; \t is a tab
    #[arg(long, value_name = "TEXT")]
    key_separator: Option<String>,
    /// A header; may repeat
    #[arg(long = "header", value_name = "NAME=VALUE")]
    headers: Vec<String>,
    /// A tombstone: the value is null
    #[arg(long)]
    null: bool,
    /// The partition; without it: by the key
    #[arg(long)]
    partition: Option<u32>,
    /// Milliseconds since the Unix epoch; without it: now
    #[arg(long, value_name = "MS")]
    timestamp: Option<i64>,
    /// Print facts as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: place::Args,
}

/// A record to send.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Message {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

/// What all records of a command have in common.
#[derive(Debug, Clone)]
struct Common {
    topic: String,
    partition: Option<u32>,
    timestamp: Option<i64>,
    headers: Vec<(String, String)>,
}

/// Where one record went.
#[derive(Debug, Clone, Copy)]
struct Landed {
    partition: u32,
    offset: Option<i64>,
}

/// Takes records in order, many at a time.
trait Sink {
    /// Sends them; they may be on their way still when this returns.
    fn send(&mut self, messages: Vec<Message>) -> anyhow::Result<()>;

    /// Waits until all are in the topic. Where the last one is, where that is known.
    fn finish(&mut self) -> anyhow::Result<Option<Landed>>;
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        place::check_name(&self.topic)?;
        let headers = self.headers.iter().map(|header| match header.split_once('=') {
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => bail!("--header `{header}`: write NAME=VALUE"),
        });
        let common = Common {
            topic: self.topic.clone(),
            partition: self.partition,
            timestamp: self.timestamp,
            headers: headers.collect::<anyhow::Result<_>>()?,
        };
        let from_lines = self.value.as_deref() == Some("-");
        if self.key_separator.is_some() && !from_lines {
            bail!(
                "--key-separator goes with `-`, records from standard input: write --key KEY for one record"
            );
        }
        let value = if from_lines { None } else { Some(self.value()?) };
        let mut sink: Box<dyn Sink> = match self.place.open()? {
            Place::Kafka(broker) => Box::new(sinks::KafkaSink::open(&*broker, common)?),
            Place::Host(client) => Box::new(sinks::HostSink::open(client, common)?),
        };
        match value {
            Some(value) => {
                let key = self.key.clone().map(String::into_bytes);
                sink.send(vec![Message { key, value }])?;
                let landed = sink.finish()?;
                self.tell_one(landed)
            }
            None => {
                let count = self.lines(&mut *sink)?;
                self.tell_many(count)
            }
        }
    }

    fn value(&self) -> anyhow::Result<Option<Vec<u8>>> {
        match self.value.as_deref() {
            None => Ok(None),
            Some(text) => match text.strip_prefix('@') {
                Some(file) => Ok(Some(
                    fs::read(Path::new(file)).with_context(|| format!("cannot read `{file}`"))?,
                )),
                None => Ok(Some(text.as_bytes().to_vec())),
            },
        }
    }

    fn lines(&self, sink: &mut dyn Sink) -> anyhow::Result<u64> {
        let separator = self.key_separator.as_deref().map(lines::unescape);
        if separator.as_ref().is_some_and(Vec::is_empty) {
            bail!("--key-separator is empty: write what stands between key and value, as '\\t'");
        }
        let split = lines::Split { key: self.key.clone().map(String::into_bytes), separator };
        let mut progress = lines::Progress::new(io::stderr().is_terminal());
        let sent = lines::pump(io::stdin(), split, |messages| {
            let count = messages.len() as u64;
            sink.send(messages)?;
            progress.add(count);
            Ok(())
        });
        let finished = sink.finish();
        progress.end();
        let count = sent?;
        finished?;
        Ok(count)
    }

    fn tell_one(&self, landed: Option<Landed>) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        let (partition, offset) =
            (landed.map(|landed| landed.partition), landed.and_then(|landed| landed.offset));
        if self.json {
            writeln!(
                out,
                "{}",
                json!({ "topic": self.topic, "partition": partition, "offset": offset, "records": 1 })
            )?;
            return Ok(());
        }
        match (partition, offset) {
            (Some(partition), Some(offset)) => {
                writeln!(out, "{}/{partition}@{offset}", self.topic)?
            }
            (Some(partition), None) => writeln!(out, "{}/{partition}", self.topic)?,
            _ => writeln!(out, "{}", self.topic)?,
        }
        Ok(())
    }

    fn tell_many(&self, count: u64) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{}", json!({ "topic": self.topic, "records": count }))?;
        } else {
            writeln!(out, "{count} records to {}", self.topic)?;
        }
        Ok(())
    }
}
