//! How far a task has come, as a value of the meta changelog. Its event time is the stream time, the least there is
//! where there is none; its payload, big-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 2 | how many inputs follow, each as |
//! | 2 | length of the topic's name |
//! | … | the topic's name |
//! | 8 | position |
//! | 2 | how many nodes with a time of their own follow, each as |
//! | 2 | length of the node's name |
//! | … | the node's name |
//! | 8 | its time, the least there is where there is none |
//! | 2 | length of its cursor |
//! | … | its cursor |
//!
//! What was written before nodes had times ends behind the positions.

use std::sync::Arc;

use super::{Error, NodeProgress, Progress, database::Inner, value};
use crate::record::{Position, Timestamp};

const NONE: Timestamp = Timestamp(i64::MIN);

/// As a value.
pub(super) fn encode(progress: &Progress) -> Vec<u8> {
    let short = |length: usize| u16::try_from(length).expect("topics are few, their names short");
    let mut payload = short(progress.positions.len()).to_be_bytes().to_vec();
    for (topic, position) in &progress.positions {
        payload.extend_from_slice(&short(topic.len()).to_be_bytes());
        payload.extend_from_slice(topic.as_bytes());
        payload.extend_from_slice(&position.0.to_be_bytes());
    }
    payload.extend_from_slice(&short(progress.nodes.len()).to_be_bytes());
    for NodeProgress { node, time, cursor } in &progress.nodes {
        payload.extend_from_slice(&short(node.len()).to_be_bytes());
        payload.extend_from_slice(node.as_bytes());
        payload.extend_from_slice(&time.unwrap_or(NONE).millis().to_be_bytes());
        payload.extend_from_slice(&short(cursor.len()).to_be_bytes());
        payload.extend_from_slice(cursor);
    }
    let mut bytes = Vec::new();
    value::encode(progress.stream_time.unwrap_or(NONE), &payload, &mut bytes);
    bytes
}

/// From a value.
pub(super) fn decode(database: &Inner, bytes: &[u8]) -> Result<Progress, Error> {
    let value = value::decode(bytes).map_err(|why| database.broken_value("meta", why))?;
    let broken = || database.broken("says in an unknown way how far a task has come");
    let mut rest = value.payload;
    let positions = positions(&mut rest).ok_or_else(broken)?;
    let nodes = if rest.is_empty() { Some(Vec::new()) } else { nodes(rest) };
    let nodes = nodes.ok_or_else(broken)?;
    Ok(Progress { stream_time: Some(value.at).filter(|at| *at != NONE), positions, nodes })
}

fn positions(rest: &mut &[u8]) -> Option<Vec<(Arc<str>, Position)>> {
    let mut positions = Vec::new();
    for _ in 0..short(rest)? {
        let topic = text(rest)?;
        positions.push((topic, Position(long(rest)?)));
    }
    Some(positions)
}

fn nodes(mut rest: &[u8]) -> Option<Vec<NodeProgress>> {
    let mut nodes = Vec::new();
    for _ in 0..short(&mut rest)? {
        let node = text(&mut rest)?;
        let time = Some(Timestamp(long(&mut rest)?)).filter(|time| *time != NONE);
        let length = short(&mut rest)?;
        nodes.push(NodeProgress { node, time, cursor: take(&mut rest, length)?.to_vec() });
    }
    rest.is_empty().then_some(nodes)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (part, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(part)
}

fn short(rest: &mut &[u8]) -> Option<usize> {
    let (bytes, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(u16::from_be_bytes(*bytes).into())
}

fn long(rest: &mut &[u8]) -> Option<i64> {
    let (bytes, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(i64::from_be_bytes(*bytes))
}

fn text(rest: &mut &[u8]) -> Option<Arc<str>> {
    let length = short(rest)?;
    Some(std::str::from_utf8(take(rest, length)?).ok()?.into())
}
