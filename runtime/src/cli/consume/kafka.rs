//! Reads through the seams: outside any group, what is committed.

use std::{collections::BTreeMap, io::Write, time::Duration};

use anyhow::bail;

use super::{From, Reading, Screen};
use crate::{
    broker::{Bound, Broker, Event, FollowerSettings, Isolation},
    cli::place,
    record::{Partition, Position, TopicPartition},
};

const WAIT: Duration = Duration::from_millis(200);

pub(super) fn read<W: Write>(
    broker: &dyn Broker,
    reading: &Reading,
    screen: &mut Screen<W>,
) -> anyhow::Result<()> {
    let admin = broker.admin()?;
    let partitions =
        partitions(place::topic(broker, &*admin, &reading.topic)?.partitions, reading)?;
    let bound = match reading.from {
        From::Earliest => Bound::Earliest,
        From::Latest => Bound::LatestStable,
    };
    let starts = admin.positions(&partitions, bound)?;
    let mut open = if reading.follow {
        None
    } else {
        let ends = admin.positions(&partitions, Bound::LatestStable)?;
        Some(Open::new(&partitions, &starts, &ends))
    };
    let mut follower = broker.follower(FollowerSettings::new(Isolation::ReadCommitted))?;
    follower.assign(&partitions.into_iter().zip(starts).collect::<Vec<_>>())?;
    while open.as_ref().is_none_or(|open| !open.0.is_empty()) {
        let Some(event) = follower.poll(WAIT)? else { continue };
        let (partition, position) = match event {
            Event::Records { partition, records } => {
                for record in records.iter() {
                    screen.record(&partition, &record)?;
                    if screen.is_full() {
                        screen.out.flush()?;
                        return Ok(());
                    }
                }
                screen.out.flush()?;
                (partition.partition, records.last().map(|record| record.offset.next()))
            }
            Event::End { partition, position } => (partition.partition, Some(position)),
            Event::Assigned(_) | Event::Revoked(_) | Event::Lost(_) => continue,
        };
        if let (Some(open), Some(position)) = (&mut open, position) {
            open.reached(partition, position);
        }
    }
    screen.out.flush()?;
    Ok(())
}

fn partitions(count: u32, reading: &Reading) -> anyhow::Result<Vec<TopicPartition>> {
    let topic: std::sync::Arc<str> = reading.topic.as_str().into();
    match reading.partition {
        Some(only) if only >= count => {
            bail!("{topic} has the partitions 0 to {}, not {only}", count.saturating_sub(1))
        }
        Some(only) => Ok(vec![TopicPartition::new(topic, only)]),
        None => {
            Ok((0..count).map(|partition| TopicPartition::new(topic.clone(), partition)).collect())
        }
    }
}

/// Partitions that are not read to where they ended at the start, and where that is.
struct Open(BTreeMap<Partition, Position>);

impl Open {
    fn new(partitions: &[TopicPartition], starts: &[Position], ends: &[Position]) -> Self {
        let all = partitions.iter().zip(starts.iter().zip(ends));
        let open = all.filter(|(_, (start, end))| start < end);
        Open(open.map(|(at, (_, end))| (at.partition, *end)).collect())
    }

    fn reached(&mut self, partition: Partition, position: Position) {
        if self.0.get(&partition).is_some_and(|end| position >= *end) {
            self.0.remove(&partition);
        }
    }
}
