//! What the broker says of the topics that hold state.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::restore::Wanted;
use crate::{
    broker::{self, Admin, Bound},
    record::{Position, TopicPartition},
    store::{Kind, StoreSpec},
    topology::SubTopology,
};

/// Where a topic does not say how long it keeps tombstones: Kafka's default.
const TOMBSTONES_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// What is known of topics, each asked for once.
pub(crate) struct TopicFacts<'a> {
    admin: &'a dyn Admin,
    known: BTreeMap<Arc<str>, Known>,
}

#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) id: Arc<str>,
    pub(crate) partitions: u32,
    tombstones_kept: Option<Duration>,
}

/// By store how many partitions a broadcast table has; and where each of them ends.
pub(super) type Broadcast = (Vec<u32>, Vec<(Arc<str>, Vec<Position>)>);

impl<'a> TopicFacts<'a> {
    pub(crate) fn new(admin: &'a dyn Admin) -> Self {
        TopicFacts { admin, known: BTreeMap::new() }
    }

    /// Which topic it is. One that holds state is there, or something is wrong.
    pub(crate) fn find(&mut self, topic: &Arc<str>) -> Result<&mut Known, broker::Error> {
        if !self.known.contains_key(topic) {
            let found = self.admin.topic(topic)?.ok_or_else(|| {
                broker::Error::Refused(format!(
                    "topic `{topic}`, which holds state, does not exist"
                ))
            })?;
            let known =
                Known { id: found.id.into(), partitions: found.partitions, tombstones_kept: None };
            self.known.insert(Arc::clone(topic), known);
        }
        Ok(self.known.get_mut(topic).expect("just inserted"))
    }

    /// How long it keeps deletions, as it says.
    pub(crate) fn tombstones_kept(&mut self, topic: &Arc<str>) -> Result<Duration, broker::Error> {
        let admin = self.admin;
        let known = self.find(topic)?;
        if let Some(kept) = known.tombstones_kept {
            return Ok(kept);
        }
        let setting = admin.setting(topic, "delete.retention.ms")?;
        let kept = setting.and_then(|millis| millis.parse().ok());
        let kept = kept.map_or(TOMBSTONES_KEPT, Duration::from_millis);
        Ok(*known.tombstones_kept.insert(kept))
    }

    /// The broadcast tables of a part.
    pub(super) fn broadcast(&mut self, part: &SubTopology) -> Result<Broadcast, broker::Error> {
        let (mut partitions, mut ends) = (Vec::new(), Vec::new());
        for StoreSpec { topic, name, broadcast, .. } in &part.stores {
            if !broadcast {
                partitions.push(0);
                continue;
            }
            let count = self.find(topic)?.partitions;
            let all: Vec<_> =
                (0..count).map(|number| TopicPartition::new(Arc::clone(topic), number)).collect();
            ends.push((Arc::clone(name), self.admin.positions(&all, Bound::LatestStable)?));
            partitions.push(count);
        }
        Ok((partitions, ends))
    }

    /// Where each begins and ends. A changelog ends at its high watermark. A table is somebody else's: only what is
    /// readable now is waited for.
    pub(super) fn bounds(
        &self,
        parts: &[Arc<SubTopology>],
        wanted: &[Wanted],
    ) -> Result<Vec<(Position, Position)>, broker::Error> {
        let is_table =
            |wanted: &&Wanted| parts[wanted.task.part].stores[wanted.store].kind == Kind::Table;
        let ask = |wanted: Vec<&Wanted>, bound| -> Result<BTreeMap<_, _>, broker::Error> {
            let partitions: Vec<_> = wanted.iter().map(|wanted| wanted.partition.clone()).collect();
            if partitions.is_empty() {
                return Ok(BTreeMap::new());
            }
            let positions = self.admin.positions(&partitions, bound)?;
            Ok(partitions.into_iter().zip(positions).collect())
        };
        let starts = ask(wanted.iter().collect(), Bound::Earliest)?;
        let (tables, changelogs): (Vec<_>, Vec<_>) = wanted.iter().partition(is_table);
        let mut ends = ask(changelogs, Bound::Latest)?;
        ends.extend(ask(tables, Bound::LatestStable)?);
        let bounds = |wanted: &Wanted| (starts[&wanted.partition], ends[&wanted.partition]);
        Ok(wanted.iter().map(bounds).collect())
    }
}
