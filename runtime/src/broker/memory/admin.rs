//! What the embedded log answers about topics and offsets.

use std::sync::Arc;

use super::{
    state::{Shared, no_topic},
    topic::Topic as Stored,
};
use crate::{
    broker::{Admin, Bound, Error, Isolation, NewTopic, Topic},
    record::{Position, TopicPartition},
};

/// Kafka's bound on a topic's name.
const NAME_BYTES_MAX: usize = 249;

#[derive(Debug)]
pub(super) struct MemoryAdmin(pub Arc<Shared>);

impl Admin for MemoryAdmin {
    fn topics(&self) -> Result<Vec<Topic>, Error> {
        Ok(self.0.lock().topics.iter().map(|(name, topic)| describe(name, topic)).collect())
    }

    fn topic(&self, name: &str) -> Result<Option<Topic>, Error> {
        Ok(self.0.lock().topics.get(name).map(|topic| describe(name, topic)))
    }

    fn setting(&self, topic: &str, name: &str) -> Result<Option<String>, Error> {
        Ok(self.0.lock().topic(topic)?.setting(name))
    }

    fn create(&self, topic: &NewTopic) -> Result<(), Error> {
        let name = &topic.name;
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if name.is_empty()
            || name.len() > NAME_BYTES_MAX
            || !name.bytes().all(legal)
            || name.trim_matches('.').is_empty()
        {
            return Err(Error::Refused(format!(
                "{name:?} is no name for a topic: 1 to {NAME_BYTES_MAX} letters, digits, '.', '_' or '-', and not \
                 only dots"
            )));
        }
        let mut state = self.0.lock();
        if !state.topics.contains_key(name.as_str()) {
            let stored = Stored::new(topic.partitions.unwrap_or(1), topic.settings.clone())?;
            state.topics.insert(name.as_str().into(), stored);
            state.rebalance_all();
            state.change();
        }
        Ok(())
    }

    fn delete(&self, topic: &str) -> Result<(), Error> {
        let mut state = self.0.lock();
        if state.topics.remove(topic).is_some() {
            for group in state.groups.values_mut() {
                group.forget_topic(topic);
            }
            state.rebalance_all();
            state.change();
        }
        Ok(())
    }

    fn positions(
        &self,
        partitions: &[TopicPartition],
        bound: Bound,
    ) -> Result<Vec<Position>, Error> {
        let state = self.0.lock();
        let position = |partition: &TopicPartition| {
            let topic =
                state.topics.get(&partition.topic).ok_or_else(|| no_topic(&partition.topic))?;
            let log = topic
                .partition(partition.partition)
                .ok_or_else(|| Error::Refused(format!("{partition} does not exist")))?;
            Ok(match bound {
                Bound::Earliest => log.start(),
                Bound::Latest => log.end(Isolation::ReadUncommitted),
                Bound::LatestStable => log.end(Isolation::ReadCommitted),
                Bound::Timestamp(timestamp) => log
                    .find(timestamp, Isolation::ReadUncommitted)
                    .unwrap_or_else(|| log.end(Isolation::ReadUncommitted)),
            })
        };
        partitions.iter().map(position).collect()
    }

    fn committed(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<Position>>, Error> {
        let state = self.0.lock();
        let group = state.groups.get(group);
        Ok(partitions
            .iter()
            .map(|partition| group.and_then(|group| group.committed(partition)))
            .collect())
    }
}

fn describe(name: &str, topic: &Stored) -> Topic {
    let (name, id) = (name.to_owned(), topic.uid.to_string());
    Topic { name, id, partitions: topic.partition_count(), replicas: 1 }
}
