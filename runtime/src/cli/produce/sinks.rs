//! Where records go: a producer of Kafka, or a host's HTTP API.

use std::time::Duration;

use anyhow::Context as _;
use hyper::Method;
use serde::Serialize;
use tokio::runtime::Runtime;

use super::{Common, Landed, Message, Sink};
use crate::{
    broker::{Broker, Delivery, Error, Outbox, OutboxSettings, Produce, TopicId},
    cli::place,
    clock::{Clock as _, SystemClock},
    http::{Client, wire::Shown},
    record::{HeadersWriter, Partition, Timestamp},
};

/// How long nothing may be acknowledged before it is given up.
const PATIENCE: Duration = Duration::from_secs(60);
const WAIT: Duration = Duration::from_millis(100);

pub(super) struct KafkaSink {
    common: Common,
    headers: HeadersWriter,
    outbox: Box<dyn Outbox>,
    topic: TopicId,
    last: Option<Landed>,
    failed: Option<Error>,
}

impl KafkaSink {
    pub(super) fn open(broker: &dyn Broker, common: Common) -> anyhow::Result<Self> {
        let topic = place::topic(broker, &*broker.admin()?, &common.topic)?;
        if let Some(partition) = common.partition.filter(|partition| *partition >= topic.partitions)
        {
            let last = topic.partitions.saturating_sub(1);
            anyhow::bail!("{} has the partitions 0 to {last}, not {partition}", common.topic);
        }
        let mut outbox = broker.outbox(OutboxSettings {
            transactional_id: None,
            transaction_timeout: PATIENCE,
            client_id: "tidemill-produce".to_owned(),
        })?;
        let topic = outbox.topic(&common.topic)?;
        let mut headers = HeadersWriter::new();
        for (name, value) in &common.headers {
            headers.push(name, Some(value.as_bytes()));
        }
        Ok(KafkaSink { common, headers, outbox, topic, last: None, failed: None })
    }

    fn poll(&mut self, wait: Duration) -> anyhow::Result<()> {
        let (last, failed) = (&mut self.last, &mut self.failed);
        self.outbox.poll(wait, &mut |Delivery { result, .. }| match result {
            Ok((partition, offset)) => {
                *last =
                    Some(Landed { partition: partition.0, offset: offset.map(|offset| offset.0) });
            }
            Err(error) => {
                failed.get_or_insert(error);
            }
        })?;
        match self.failed.take() {
            Some(error) => {
                Err(error).with_context(|| format!("a record is not in {}", self.common.topic))
            }
            None => Ok(()),
        }
    }

    fn produce(&mut self, message: &Message) -> anyhow::Result<()> {
        let timestamp = self.common.timestamp.map_or_else(|| SystemClock.now(), Timestamp);
        loop {
            let record = Produce {
                topic: self.topic,
                partition: self.common.partition.map(Partition),
                key: message.key.as_deref(),
                value: message.value.as_deref(),
                headers: self.headers.headers(),
                timestamp,
            };
            match self.outbox.produce(&record, 0) {
                Ok(()) => return Ok(()),
                Err(Error::Full) => self.poll(WAIT)?,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Sink for KafkaSink {
    fn send(&mut self, messages: Vec<Message>) -> anyhow::Result<()> {
        for message in &messages {
            self.produce(message)?;
        }
        self.poll(Duration::ZERO)
    }

    fn finish(&mut self) -> anyhow::Result<Option<Landed>> {
        self.outbox.hurry();
        let mut patience = std::time::Instant::now() + PATIENCE;
        while self.outbox.in_flight() > 0 {
            let before = self.outbox.in_flight();
            self.poll(WAIT)?;
            if self.outbox.in_flight() < before {
                patience = std::time::Instant::now() + PATIENCE;
            }
            if std::time::Instant::now() > patience {
                anyhow::bail!(
                    "{before} records were not acknowledged within {} s",
                    PATIENCE.as_secs()
                );
            }
        }
        Ok(self.last)
    }
}

pub(super) struct HostSink {
    common: Common,
    client: Client,
    runtime: Runtime,
    last: Option<Landed>,
}

/// As the API takes it.
#[derive(Serialize)]
struct Line<'a> {
    key: Shown<'a>,
    value: Shown<'a>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    headers: &'a [Header<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<i64>,
}

#[derive(Serialize)]
struct Header<'a> {
    name: &'a str,
    value: &'a str,
}

impl HostSink {
    pub(super) fn open(client: Client, common: Common) -> anyhow::Result<Self> {
        Ok(HostSink { common, client, runtime: crate::cli::runtime()?, last: None })
    }

    fn lines(&self, messages: &[Message]) -> anyhow::Result<Vec<u8>> {
        let headers: Vec<Header<'_>> =
            self.common.headers.iter().map(|(name, value)| Header { name, value }).collect();
        let mut body = Vec::new();
        for message in messages {
            let line = Line {
                key: Shown(message.key.as_deref()),
                value: Shown(message.value.as_deref()),
                headers: &headers,
                partition: self.common.partition,
                timestamp: self.common.timestamp,
            };
            serde_json::to_writer(&mut body, &line).context("cannot write a record as JSON")?;
            body.push(b'\n');
        }
        Ok(body)
    }
}

impl Sink for HostSink {
    fn send(&mut self, messages: Vec<Message>) -> anyhow::Result<()> {
        let path = format!("/topics/{}/records", self.common.topic);
        let body = self.lines(&messages)?;
        // One record is sent as such, since then the host answers where it went.
        let media = if messages.len() == 1 { "application/json" } else { "application/x-ndjson" };
        let sent = self.client.send(Method::POST, &path, &[], Some(media), body.into());
        let answer = self.runtime.block_on(sent)?;
        if messages.len() == 1 {
            let answer: serde_json::Value = self.client.json(&answer)?;
            let landed = &answer["records"][0];
            self.last = landed["partition"].as_u64().and_then(|partition| {
                Some(Landed {
                    partition: u32::try_from(partition).ok()?,
                    offset: landed["offset"].as_i64(),
                })
            });
        }
        Ok(())
    }

    fn finish(&mut self) -> anyhow::Result<Option<Landed>> {
        Ok(self.last)
    }
}
