//! The topics of an app: there, as declared, and co-partitioned, before anything starts.

use std::collections::BTreeMap;

use super::{AppSettings, Error};
use crate::{
    broker::{Admin, NewTopic, Topic},
    manifest::{Manifest, TopicSettings},
    topology::{SubTopology, Topology},
};

/// What a record costs beside key, value and headers, in its batch: an upper bound.
const RECORD_OVERHEAD_BYTES: usize = 512;

/// Creates what is declared and absent, checks what is there, and answers the largest record of each output topic.
pub(crate) fn ensure(settings: &AppSettings, topology: &Topology) -> Result<Vec<usize>, Error> {
    let admin = settings.broker.admin()?;
    let mut problems = Vec::new();
    let mut partitions = BTreeMap::new();
    for topic in topology.topics().chain(&topology.outputs) {
        if partitions.contains_key(&**topic) || is_dead_letters(topology, topic) {
            continue;
        }
        match check(settings, admin.as_ref(), topic)? {
            Ok(found) => {
                partitions.insert(topic.to_string(), found.partitions);
            }
            Err(problem) => problems.push(problem),
        }
    }
    for part in &topology.parts {
        problems.extend(co_partitioned(part, &partitions));
    }
    if !problems.is_empty() {
        return Err(Error::Topic(problems.join("\n")));
    }
    create_dead_letters(admin.as_ref(), topology, &partitions)?;
    topology.outputs.iter().map(|topic| record_bytes_max(admin.as_ref(), topic)).collect()
}

fn is_dead_letters(topology: &Topology, topic: &str) -> bool {
    topology.nodes().any(|node| *topology.outputs[node.dead_letters] == *topic)
}

fn check(
    settings: &AppSettings,
    admin: &dyn Admin,
    topic: &str,
) -> Result<Result<Topic, String>, Error> {
    let manifest = &settings.manifest;
    let declared = manifest.topics.get(topic);
    if let Some(found) = admin.topic(topic)? {
        let right = declared
            .and_then(|declared| declared.partitions)
            .filter(|right| *right != found.partitions);
        return Ok(match right {
            None => Ok(found),
            Some(right) => Err(format!(
                "{}: topics.{topic}.partitions: the topic has {} partitions, not {right}; write {}, or use another topic",
                manifest.file, found.partitions, found.partitions
            )),
        });
    }
    if declared.is_none() && !settings.create_topics {
        return Ok(Err(absent(manifest, topic)));
    }
    let empty = TopicSettings::default();
    let declared = declared.unwrap_or(&empty);
    admin.create(&NewTopic {
        name: topic.to_owned(),
        partitions: declared.partitions,
        replicas: declared.replicas,
        settings: declared.settings.clone(),
    })?;
    tracing::info!(app = manifest.app.as_str(), topic, "created");
    let found = admin.topic(topic)?;
    Ok(found.ok_or_else(|| format!("topic `{topic}` was created, but the broker does not show it")))
}

fn absent(manifest: &Manifest, topic: &str) -> String {
    let name = if topic.contains('.') { format!("\"{topic}\"") } else { topic.to_owned() };
    format!(
        "{}: topic `{topic}` does not exist; create it, or add these lines: [topics.{name}] and partitions = 6",
        manifest.file
    )
}

/// Records with equal keys must meet in one task.
fn co_partitioned(part: &SubTopology, partitions: &BTreeMap<String, u32>) -> Option<String> {
    let counts: Vec<(&str, u32)> = part
        .inputs
        .iter()
        .filter_map(|input| Some((&*input.topic, *partitions.get(&*input.topic)?)))
        .collect();
    let (first, rest) = counts.split_first()?;
    let other = rest.iter().find(|(_, count)| *count != first.1)?;
    let functions: Vec<&str> = part.nodes.iter().map(|node| &*node.name).collect();
    Some(format!(
        "functions {} read topics that must have equally many partitions: `{}` has {} and `{}` has {}; give one of them \
         another topic",
        functions.join(", "),
        first.0,
        first.1,
        other.0,
        other.1
    ))
}

/// A dead letter goes to the partition its source record came from.
fn create_dead_letters(
    admin: &dyn Admin,
    topology: &Topology,
    partitions: &BTreeMap<String, u32>,
) -> Result<(), Error> {
    for part in &topology.parts {
        let needed = part
            .inputs
            .iter()
            .filter_map(|input| partitions.get(&*input.topic))
            .max()
            .copied()
            .unwrap_or(1);
        for node in &part.nodes {
            let topic = &topology.outputs[node.dead_letters];
            match admin.topic(topic)? {
                Some(found) if found.partitions < needed => {
                    let why = format!(
                        "the dead-letter topic `{topic}` has {} partitions and the input of `{}` has {needed}; add \
                         partitions to it, or delete it once it is read",
                        found.partitions, node.name
                    );
                    return Err(Error::Topic(why));
                }
                Some(_) => {}
                None => admin.create(&NewTopic {
                    name: topic.to_string(),
                    partitions: Some(needed),
                    replicas: None,
                    settings: BTreeMap::new(),
                })?,
            }
        }
    }
    Ok(())
}

fn record_bytes_max(admin: &dyn Admin, topic: &str) -> Result<usize, Error> {
    let setting = admin.setting(topic, "max.message.bytes")?;
    let bytes = setting.and_then(|setting| setting.parse::<usize>().ok());
    Ok(bytes.map_or(usize::MAX, |bytes| bytes.saturating_sub(RECORD_OVERHEAD_BYTES)))
}
