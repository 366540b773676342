//! Topics of the embedded log: what is in them, appending, reading.
//!
//! Kafka's topics are not reached here: its clients do that better.

mod read;

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use bytes::BytesMut;
use http_body_util::BodyExt;
use serde_json::json;

pub use self::read::NEXT_HEADER;
pub(super) use self::read::read;
use super::{Api, Problem, whole_body, wire::RecordIn};
use crate::{
    broker::{
        self, Bound, Broker,
        memory::{Append, MemoryLog},
    },
    record::{Offset, Partition, Timestamp, TopicPartition},
};

/// One line of a stream of records.
const LINE_BYTES_MAX: usize = 16 << 20;
const NDJSON: &str = "application/x-ndjson";

pub(super) async fn list(State(api): State<Api>) -> Result<Response, Problem> {
    let log = log(&api)?;
    let admin = log.admin()?;
    let mut topics = Vec::new();
    for topic in admin.topics()? {
        let partitions = partitions(&topic.name, topic.partitions);
        let starts = admin.positions(&partitions, Bound::Earliest)?;
        let ends = admin.positions(&partitions, Bound::LatestStable)?;
        let positions: Vec<_> = starts
            .iter()
            .zip(&ends)
            .enumerate()
            .map(|(partition, (start, end))| json!({ "partition": partition, "start": start.0, "end": end.0 }))
            .collect();
        topics.push(json!({ "name": topic.name, "partitions": positions }));
    }
    Ok(Json(json!({ "topics": topics })).into_response())
}

pub(super) async fn append(
    State(api): State<Api>,
    Path(topic): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let log = log(&api)?;
    find(&log, &topic)?;
    let media =
        headers.get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    // A web page may send neither without asking first, and is then not answered.
    match media.split(';').next().unwrap_or_default().trim() {
        "application/json" => {
            let bytes = whole_body(body, api.upload_bytes_max).await?;
            append_json(&log, &topic, &bytes)
        }
        NDJSON | "application/jsonl" => append_lines(&log, &topic, body).await,
        _ => Err(Problem::bad_request(format!(
            "Content-Type is {media:?}; expected application/json (a record or a list), or {NDJSON} (a record a line)"
        ))),
    }
}

fn append_json(log: &MemoryLog, topic: &str, bytes: &[u8]) -> Result<Response, Problem> {
    let is_list = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let records: Result<Vec<RecordIn>, _> = if is_list {
        serde_json::from_slice(bytes)
    } else {
        serde_json::from_slice(bytes).map(|record| vec![record])
    };
    let records =
        records.map_err(|error| Problem::bad_request(format!("not a record: {error}")))?;
    let mut appended = Vec::new();
    for (index, record) in records.iter().enumerate() {
        let (partition, offset) = append_one(log, topic, record).map_err(|error| Problem {
            detail: format!("record {}: {}{}", index + 1, error.detail, so_far(index)),
            ..error
        })?;
        appended.push(json!({ "partition": partition.0, "offset": offset.0 }));
    }
    Ok(Json(json!({ "appended": appended.len(), "records": appended })).into_response())
}

async fn append_lines(log: &MemoryLog, topic: &str, mut body: Body) -> Result<Response, Problem> {
    let mut rest = BytesMut::new();
    let mut appended = 0;
    let line = |line: &[u8], appended: &mut usize| {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let read =
            serde_json::from_slice(line).map_err(|error| Problem::bad_request(error.to_string()));
        let done =
            read.and_then(|record| append_one(log, topic, &record)).map_err(|error| Problem {
                detail: format!("record {}: {}{}", *appended + 1, error.detail, so_far(*appended)),
                ..error
            });
        *appended += 1;
        done.map(drop)
    };
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Problem::bad_request(format!("the body ended early: {error}{}", so_far(appended)))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        rest.extend_from_slice(&data);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let one = rest.split_to(end + 1);
            line(&one, &mut appended)?;
        }
        if rest.len() > LINE_BYTES_MAX {
            let problem = super::too_large(LINE_BYTES_MAX);
            return Err(Problem {
                detail: format!("a line: {}{}", problem.detail, so_far(appended)),
                ..problem
            });
        }
    }
    line(&rest, &mut appended)?;
    Ok(Json(json!({ "appended": appended })).into_response())
}

fn so_far(appended: usize) -> String {
    match appended {
        0 => "; nothing was appended".to_owned(),
        appended => format!("; the {appended} before it are in the topic"),
    }
}

fn append_one(
    log: &MemoryLog,
    topic: &str,
    record: &RecordIn,
) -> Result<(Partition, Offset), Problem> {
    let headers = record.headers.write();
    let append = Append {
        partition: record.partition.map(Partition),
        key: record.key.0.as_deref(),
        value: record.value.0.as_deref(),
        headers: headers.headers(),
        timestamp: record.timestamp.map(Timestamp),
    };
    Ok(log.append(topic, &append)?)
}

fn partitions(topic: &str, count: u32) -> Vec<TopicPartition> {
    let topic: std::sync::Arc<str> = topic.into();
    (0..count).map(|partition| TopicPartition::new(topic.clone(), partition)).collect()
}

fn find(log: &MemoryLog, topic: &str) -> Result<broker::Topic, Problem> {
    let admin = log.admin()?;
    if let Some(found) = admin.topic(topic)? {
        return Ok(found);
    }
    let names: Vec<String> = admin.topics()?.into_iter().map(|topic| topic.name).collect();
    let known = if names.is_empty() {
        "there is none yet: apps make theirs".to_owned()
    } else {
        names.join(", ")
    };
    Err(Problem::not_found(format!(
        "there is no topic `{topic}` in the embedded log; topics: {known}"
    )))
}

fn log(api: &Api) -> Result<MemoryLog, Problem> {
    let detail = "this process has no embedded log; topics of Kafka are reached with its own clients, or with \
                  `tidemill produce` and `consume --kafka FILE`";
    api.log.clone().ok_or_else(|| Problem::not_found(detail))
}

impl From<broker::Error> for Problem {
    fn from(error: broker::Error) -> Self {
        let detail = error.to_string();
        match error {
            broker::Error::Refused(_) => Problem::bad_request(detail),
            broker::Error::TooLarge(_) => Problem::too_large(detail),
            broker::Error::Unreachable { .. }
            | broker::Error::Retriable(_)
            | broker::Error::Full => Problem::unavailable(detail),
            _ => Problem::internal(detail),
        }
    }
}
