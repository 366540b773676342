//! Reading a topic of the embedded log, waiting for what is not there yet.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use axum::{
    extract::{Path, Query, State},
    http::header,
    response::{IntoResponse, Response},
};

use super::{NDJSON, find, log, partitions};
use crate::{
    broker::{Bound, Broker, Event, Follower, FollowerSettings, Isolation, memory::MemoryLog},
    http::{Api, Problem, blocking, wire::RecordOut},
    record::{Partition, Position, TopicPartition},
};

/// The response header that says where to go on: what to give as `from` the next time.
pub const NEXT_HEADER: &str = "tidemill-next";

/// An answer ends behind the record that exceeds this.
const ANSWER_BYTES_MAX: usize = 8 << 20;
const LIMIT_DEFAULT: usize = 1_000;
const LIMIT_MAX: usize = 100_000;
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How long a thread is taken for at a time, so that a client that has gone frees it.
const WAIT_SLICE: Duration = Duration::from_millis(250);

/// What to read.
struct Reading {
    from: Begin,
    limit: usize,
    wait: Duration,
    partition: Option<u32>,
}

enum Begin {
    Earliest,
    Latest,
    /// As [`NEXT_HEADER`] says; partitions that are not named from their start.
    At(BTreeMap<u32, i64>),
}

pub(in crate::http) async fn read(
    State(api): State<Api>,
    Path(topic): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let log = log(&api)?;
    let reading = Reading::parse(query)?;
    let starts = starts(&log, &topic, &reading)?;
    let mut follower = log.follower(FollowerSettings::new(Isolation::ReadCommitted))?;
    follower.assign(&starts)?;
    let mut answer = Answer {
        lines: Vec::new(),
        records: 0,
        records_max: reading.limit,
        next: starts
            .into_iter()
            .map(|(partition, position)| (partition.partition, position))
            .collect(),
    };
    let deadline = Instant::now() + reading.wait;
    loop {
        let wait = if answer.records > 0 {
            Duration::ZERO
        } else {
            deadline.saturating_duration_since(Instant::now())
        };
        let (event, returned) = next_event(follower, wait.min(WAIT_SLICE)).await?;
        follower = returned;
        let more = match event {
            Some(event) => answer.take(event)?,
            None => answer.records == 0 && !wait.is_zero(),
        };
        if !more {
            break;
        }
    }
    Ok(([(header::CONTENT_TYPE.as_str(), NDJSON), (NEXT_HEADER, &answer.next())], answer.lines)
        .into_response())
}

/// Waits on a thread where there is something to wait for.
async fn next_event(
    mut follower: Box<dyn Follower>,
    wait: Duration,
) -> Result<(Option<Event>, Box<dyn Follower>), Problem> {
    if wait.is_zero() {
        return Ok((follower.poll(wait)?, follower));
    }
    let (event, follower) = blocking(move || (follower.poll(wait), follower)).await?;
    Ok((event?, follower))
}

/// Gathers lines.
struct Answer {
    lines: Vec<u8>,
    records: usize,
    records_max: usize,
    next: BTreeMap<Partition, Position>,
}

impl Answer {
    /// Whether there may be more.
    fn take(&mut self, event: Event) -> Result<bool, Problem> {
        match event {
            Event::Records { partition, records } => {
                for record in records.iter() {
                    if self.records == self.records_max || self.lines.len() > ANSWER_BYTES_MAX {
                        return Ok(false);
                    }
                    serde_json::to_writer(&mut self.lines, &RecordOut::new(&partition, &record))
                        .map_err(|error| Problem::internal(error.to_string()))?;
                    self.lines.push(b'\n');
                    self.records += 1;
                    self.next.insert(partition.partition, record.offset.next());
                }
            }
            Event::End { partition, position } => {
                self.next.insert(partition.partition, position);
            }
            Event::Assigned(_) | Event::Revoked(_) | Event::Lost(_) => {}
        }
        Ok(true)
    }

    fn next(&self) -> String {
        let next = self.next.iter().map(|(partition, position)| format!("{partition}:{position}"));
        next.collect::<Vec<_>>().join(",")
    }
}

impl Reading {
    fn parse(query: Vec<(String, String)>) -> Result<Reading, Problem> {
        let mut reading = Reading {
            from: Begin::Earliest,
            limit: LIMIT_DEFAULT,
            wait: Duration::ZERO,
            partition: None,
        };
        for (key, value) in query {
            let wrong = |expected: &str| {
                Problem::bad_request(format!("{key}={value}: expected {expected}"))
            };
            match key.as_str() {
                "from" => {
                    let expected = "earliest, latest, or partition:offset with commas between";
                    reading.from = from(&value).ok_or_else(|| wrong(expected))?;
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                    reading.limit = limit.ok_or_else(|| wrong("a number from 1 to 100000"))?;
                }
                "wait" => {
                    let wait =
                        humantime::parse_duration(&value).ok().filter(|wait| *wait <= WAIT_MAX);
                    reading.wait = wait.ok_or_else(|| wrong("a duration up to 30s"))?;
                }
                "partition" => {
                    reading.partition =
                        Some(value.parse().map_err(|_| wrong("a partition's number"))?);
                }
                _ => {
                    let known = "known here: from, limit, wait, partition";
                    return Err(Problem::bad_request(format!(
                        "unknown parameter `{key}`; {known}"
                    )));
                }
            }
        }
        Ok(reading)
    }
}

fn from(text: &str) -> Option<Begin> {
    match text {
        "earliest" => Some(Begin::Earliest),
        "latest" => Some(Begin::Latest),
        _ => {
            let at = text.split(',').map(|one| {
                let (partition, offset) = one.split_once(':')?;
                Some((
                    partition.parse().ok()?,
                    offset.parse().ok().filter(|offset: &i64| *offset >= 0)?,
                ))
            });
            at.collect::<Option<_>>().map(Begin::At)
        }
    }
}

fn starts(
    log: &MemoryLog,
    topic: &str,
    reading: &Reading,
) -> Result<Vec<(TopicPartition, Position)>, Problem> {
    let found = find(log, topic)?;
    let mut partitions = partitions(topic, found.partitions);
    if let Some(only) = reading.partition {
        partitions.retain(|partition| partition.partition.0 == only);
        if partitions.is_empty() {
            let last = found.partitions.saturating_sub(1);
            return Err(Problem::not_found(format!(
                "{topic} has the partitions 0 to {last}, not {only}"
            )));
        }
    }
    let bound =
        if matches!(reading.from, Begin::Latest) { Bound::LatestStable } else { Bound::Earliest };
    let mut positions = log.admin()?.positions(&partitions, bound)?;
    if let Begin::At(at) = &reading.from {
        for (partition, position) in partitions.iter().zip(&mut positions) {
            *position =
                at.get(&partition.partition.0).map_or(*position, |offset| Position(*offset));
        }
    }
    Ok(partitions.into_iter().zip(positions).collect())
}
