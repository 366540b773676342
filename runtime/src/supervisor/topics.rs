//! The topics of an app: there, as declared, and co-partitioned, before anything starts.

use std::collections::BTreeMap;

use super::{AppSettings, Error};
use crate::{
    broker::{Admin, NewTopic, Topic},
    manifest::{Manifest, TopicSettings},
    topology::{StoreTopic, SubTopology, Topology, Work},
};

mod repartitions;
mod state;
#[cfg(test)]
mod tests;

/// What a record costs beside key, value and headers, in its batch: an upper bound.
const RECORD_OVERHEAD_BYTES: usize = 512;

/// What is known of the topics once they are as they must be.
#[derive(Debug, Clone)]
pub(crate) struct Topics {
    /// The largest record of each output topic.
    pub record_bytes_max: Vec<usize>,
    /// The topics of stores and tables, as [`SubTopology::stores`] has them, by part.
    pub stores: Vec<Vec<StoreTopic>>,
}

/// Creates what is declared and absent, and what is the app's own; checks what is there.
pub(crate) fn ensure(settings: &AppSettings, topology: &Topology) -> Result<Topics, Error> {
    let admin = settings.broker.admin()?;
    Checked { manifest: &settings.manifest, admin: admin.as_ref(), creates: settings.create_topics }
        .ensure(topology)
}

/// What is checked, and how.
struct Checked<'a> {
    manifest: &'a Manifest,
    admin: &'a dyn Admin,
    /// Whether topics that the manifest does not declare are created too.
    creates: bool,
}

impl Checked<'_> {
    fn ensure(&self, topology: &Topology) -> Result<Topics, Error> {
        let mut problems = Vec::new();
        let mut partitions = Partitions::new();
        let tables: BTreeMap<&str, Option<usize>> = state::tables(topology);
        // Tables before outputs: where the app writes to one, it is to be created as a table.
        let named = topology.topics().map(|topic| &**topic).chain(tables.keys().copied());
        let named = named.chain(topology.outputs.iter().map(|topic| &**topic));
        for topic in named {
            if partitions.contains_key(topic)
                || is_dead_letters(topology, topic)
                || is_repartition(topology, topic)
            {
                continue;
            }
            let part = tables.get(topic).map(|part| part.map(|part| &topology.parts[part]));
            let wanted = match part {
                None => Wanted::default(),
                Some(part) => Wanted {
                    partitions: part.and_then(|part| needed(part, &partitions)),
                    settings: BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]),
                },
            };
            match self.check(topic, wanted)? {
                Ok(found) => {
                    partitions.insert(topic.to_owned(), found.partitions);
                }
                Err(problem) => problems.push(problem),
            }
        }
        self.ensure_repartitions(topology, &mut partitions, &mut problems)?;
        for part in &topology.parts {
            problems.extend(co_partitioned(part, topology, &partitions));
            let unfit = state::tables_fit(part, &partitions).into_iter();
            problems.extend(unfit.map(|problem| format!("{}: {problem}", self.manifest.file)));
        }
        if !problems.is_empty() {
            return Err(Error::Topic(problems.join("\n")));
        }
        create_dead_letters(self.admin, topology, &partitions)?;
        let stores = self.ensure_stores(topology, &partitions)?;
        let outputs = topology.outputs.iter();
        let record_bytes_max = outputs
            .map(|topic| record_bytes_max(self.admin, topic))
            .collect::<Result<_, Error>>()?;
        Ok(Topics { record_bytes_max, stores })
    }

    fn check(&self, topic: &str, wanted: Wanted) -> Result<Result<Topic, String>, Error> {
        let declared = self.manifest.topics.get(topic);
        if self.admin.topic(topic)?.is_none() && declared.is_none() && !self.creates {
            return Ok(Err(absent(self.manifest, topic)));
        }
        self.check_own(topic, wanted, None)
    }

    /// Creates a topic where it is not there, and else checks that it is as it is declared, or fixed.
    fn check_own(
        &self,
        topic: &str,
        wanted: Wanted,
        fixed: Option<u32>,
    ) -> Result<Result<Topic, String>, Error> {
        let Checked { manifest, admin, .. } = *self;
        let declared = manifest.topics.get(topic).and_then(|declared| declared.partitions);
        let Some(found) = admin.topic(topic)? else { return self.create(topic, wanted).map(Ok) };
        Ok(match declared.or(fixed).filter(|right| *right != found.partitions) {
            None => Ok(found),
            Some(right) => Err(format!(
                "{}: topics.{topic}.partitions: the topic has {} partitions, not {right}; write {}, or use another topic",
                manifest.file, found.partitions, found.partitions
            )),
        })
    }

    /// Creates a topic, and answers what the broker then shows.
    fn create(&self, topic: &str, mut wanted: Wanted) -> Result<Topic, Error> {
        let Checked { manifest, admin, .. } = *self;
        let empty = TopicSettings::default();
        let declared = manifest.topics.get(topic).unwrap_or(&empty);
        wanted.settings.extend(declared.settings.clone());
        admin.create(&NewTopic {
            name: topic.to_owned(),
            partitions: declared.partitions.or(wanted.partitions),
            replicas: declared.replicas,
            settings: wanted.settings,
        })?;
        tracing::info!(app = manifest.app.as_str(), topic, "created");
        let missing = || {
            Error::Topic(format!("topic `{topic}` was created, but the broker does not show it"))
        };
        admin.topic(topic)?.ok_or_else(missing)
    }
}

/// How many partitions each topic has.
type Partitions = BTreeMap<String, u32>;

/// What a topic is created with where the manifest does not say otherwise.
#[derive(Default)]
struct Wanted {
    partitions: Option<u32>,
    settings: BTreeMap<String, String>,
}

fn is_dead_letters(topology: &Topology, topic: &str) -> bool {
    topology.nodes().any(|node| node.dead_letters.is_some_and(|at| *topology.outputs[at] == *topic))
}

fn is_repartition(topology: &Topology, topic: &str) -> bool {
    topology.repartitions.iter().any(|repartition| *repartition.topic == *topic)
}

/// How many partitions the tasks of a part have.
fn needed(part: &SubTopology, partitions: &Partitions) -> Option<u32> {
    part.inputs.iter().filter_map(|input| partitions.get(&*input.topic)).max().copied()
}

fn absent(manifest: &Manifest, topic: &str) -> String {
    let name = if topic.contains('.') { format!("\"{topic}\"") } else { topic.to_owned() };
    format!(
        "{}: topic `{topic}` does not exist; create it, or add these lines: [topics.{name}] and partitions = 6",
        manifest.file
    )
}

/// Records with equal keys must meet in one task.
fn co_partitioned(
    part: &SubTopology,
    topology: &Topology,
    partitions: &Partitions,
) -> Option<String> {
    let counts: Vec<(&str, u32)> = part
        .inputs
        .iter()
        .filter_map(|input| Some((&*input.topic, *partitions.get(&*input.topic)?)))
        .collect();
    let (first, rest) = counts.split_first()?;
    let other = rest.iter().find(|(_, count)| *count != first.1)?;
    let names: Vec<&str> = part.nodes.iter().map(|node| &*node.name).collect();
    let names = names.join(", ");
    let found = format!("`{}` has {} and `{}` has {}", first.0, first.1, other.0, other.1);
    let own = [first, other].into_iter().find(|(topic, _)| is_repartition(topology, topic));
    if let Some((own, _)) = own {
        return Some(format!(
            "{names} work together on topics that must have equally many partitions: {found}; `{own}` is the app's own: \
             write the other's number as partitions of its [rekey.NAME] and delete the topic once it is read to its end, \
             or name another topic there"
        ));
    }
    let joins = part.nodes.iter().any(|node| matches!(node.work, Work::Join(_)));
    let (why, way_out) = match (joins, part.shares_a_store()) {
        (true, _) => (
            " since they are joined",
            "another topic, or send it through one with as many: [rekey.NAME] with input and by, and that name in the join",
        ),
        (false, true) => (" since they share a store", "another topic, or a store of its own"),
        (false, false) => ("", "another topic"),
    };
    let who = if joins { names } else { format!("functions {names}") };
    Some(format!(
        "{who} read topics that must have equally many partitions{why}: {found}; give one of them {way_out}"
    ))
}

/// A dead letter goes to the partition its source record came from.
fn create_dead_letters(
    admin: &dyn Admin,
    topology: &Topology,
    partitions: &Partitions,
) -> Result<(), Error> {
    for part in &topology.parts {
        let needed = needed(part, partitions).unwrap_or(1);
        let nodes = part.nodes.iter();
        for (node, at) in nodes.filter_map(|node| Some((node, node.dead_letters?))) {
            let topic = &topology.outputs[at];
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
