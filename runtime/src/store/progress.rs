//! How far a task has come, as a value of the meta changelog. Its event time is the stream time, the least there is
//! where there is none; its payload, big-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 2 | how many inputs follow, each as |
//! | 2 | length of the topic's name |
//! | … | the topic's name |
//! | 8 | position |

use std::sync::Arc;

use super::{Error, Progress, database::Inner, value};
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
    let mut bytes = Vec::new();
    value::encode(progress.stream_time.unwrap_or(NONE), &payload, &mut bytes);
    bytes
}

/// From a value.
pub(super) fn decode(database: &Inner, bytes: &[u8]) -> Result<Progress, Error> {
    let value = value::decode(bytes).map_err(|why| database.broken_value("meta", why))?;
    let broken = || database.broken("says in an unknown way how far a task has come");
    let positions = positions(value.payload).ok_or_else(broken)?;
    Ok(Progress { stream_time: Some(value.at).filter(|at| *at != NONE), positions })
}

fn positions(payload: &[u8]) -> Option<Vec<(Arc<str>, Position)>> {
    let (count, mut rest) = payload.split_first_chunk()?;
    let mut positions = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, behind) = rest.split_first_chunk()?;
        let (topic, behind) = behind.split_at_checked(u16::from_be_bytes(*length).into())?;
        let (position, behind) = behind.split_first_chunk()?;
        let position = Position(i64::from_be_bytes(*position));
        positions.push((std::str::from_utf8(topic).ok()?.into(), position));
        rest = behind;
    }
    rest.is_empty().then_some(positions)
}
