//! Topics through which records go on under another key: the app's own, with as many partitions as what is read beside
//! them.
//!
//! They are created as Kafka Streams creates its own: `cleanup.policy=delete` and `retention.ms=-1`, since a record that
//! goes before it is read is lost, however long the app stood still. What is read is not purged.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checked, Partitions, Wanted, needed};
use crate::{
    store::Kind,
    supervisor::Error,
    topology::{Repartition, SubTopology, Topology},
};

impl Checked<'_> {
    /// Creates those that are not there, and notes how many partitions each has.
    pub(super) fn ensure_repartitions(
        &self,
        topology: &Topology,
        partitions: &mut Partitions,
        problems: &mut Vec<String>,
    ) -> Result<(), Error> {
        let mut waiting: BTreeSet<&str> =
            topology.repartitions.iter().map(|it| &*it.topic).collect();
        // What stands behind another of them has to wait for it. The graph has no cycles, so one never has to.
        while !waiting.is_empty() {
            let mut ready = Vec::new();
            for repartition in
                topology.repartitions.iter().filter(|it| waiting.contains(&*it.topic))
            {
                let count = match self.admin.topic(&repartition.topic)? {
                    Some(found) => Some(found.partitions),
                    None => count(repartition, topology, partitions, &waiting),
                };
                ready.extend(count.map(|count| (repartition, count)));
            }
            if ready.is_empty() {
                break;
            }
            for (Repartition { topic, partitions: fixed }, count) in ready {
                waiting.remove(&**topic);
                let settings = [("cleanup.policy", "delete"), ("retention.ms", "-1")];
                let settings =
                    settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
                match self.check_own(topic, Wanted { partitions: Some(count), settings }, *fixed)? {
                    Ok(found) => {
                        partitions.insert(topic.to_string(), found.partitions);
                    }
                    Err(problem) => problems.push(problem),
                }
            }
        }
        Ok(())
    }
}

/// How many partitions one is to have; `None`: not known before others are.
fn count(
    repartition: &Repartition,
    topology: &Topology,
    known: &Partitions,
    waiting: &BTreeSet<&str>,
) -> Option<u32> {
    if let Some(count) = repartition.partitions {
        return Some(count);
    }
    let reads = |part: &SubTopology, topic: &str| part.inputs.iter().any(|it| *it.topic == *topic);
    let reader = topology.parts.iter().find(|part| reads(part, &repartition.topic));
    // As what is read beside it.
    let beside = reader.and_then(|part| needed(part, known).or_else(|| tables(part, known)));
    if beside.is_some() {
        return beside;
    }
    // Else as what comes to all that are read together.
    let fixed: BTreeMap<&str, Option<u32>> =
        topology.repartitions.iter().map(|it| (&*it.topic, it.partitions)).collect();
    let together = topology.repartitions.iter().map(|it| &*it.topic).filter(|topic| {
        **topic == *repartition.topic || reader.is_some_and(|part| reads(part, topic))
    });
    let counts = together.filter(|topic| waiting.contains(*topic)).map(|topic| {
        fixed[topic].or_else(|| {
            let writer = topology.parts.iter().find(|part| writes(part, topology, topic))?;
            let ready = writer.inputs.iter().all(|input| known.contains_key(&*input.topic));
            ready.then(|| needed(writer, known)).flatten()
        })
    });
    counts.collect::<Option<Vec<u32>>>()?.into_iter().max()
}

/// How many partitions the tables have that are cut as a part's inputs.
fn tables(part: &SubTopology, known: &Partitions) -> Option<u32> {
    let tables = part.stores.iter().filter(|it| it.kind == Kind::Table && !it.broadcast);
    tables.filter_map(|table| known.get(&*table.topic)).max().copied()
}

fn writes(part: &SubTopology, topology: &Topology, topic: &str) -> bool {
    let mut outputs = part.nodes.iter().flat_map(|node| &node.outputs);
    outputs.any(|output| output.topic.is_some_and(|at| *topology.outputs[at] == *topic))
}
