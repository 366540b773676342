//! The topics behind stores and tables: changelogs and meta topics, which are the app's own, and the tables' topics.

use std::collections::BTreeMap;

use super::{Checked, Partitions, Wanted, needed, record_bytes_max};
use crate::{
    broker::{Admin, Topic},
    manifest::code_name,
    store::{Kind, StoreSpec},
    supervisor::Error,
    topology::{StoreTopic, SubTopology, Topology, meta_topic},
};

/// How long a changelog keeps the trace of what was deleted: 7 days. Local state that is older is not trusted, since it
/// may hold what nothing tells to be gone.
const DELETE_RETENTION_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// The topics of tables, each with a part whose partitions it shares, where there is one.
pub(super) fn tables(topology: &Topology) -> BTreeMap<&str, Option<usize>> {
    let mut tables: BTreeMap<&str, Option<usize>> = BTreeMap::new();
    for table in topology.tables() {
        let part = tables.entry(&table.spec.topic).or_default();
        *part = part.or((!table.spec.broadcast).then_some(table.part));
    }
    tables
}

/// Tables that are not there as a whole must be cut as the records that look into them.
pub(super) fn tables_fit(part: &SubTopology, partitions: &Partitions) -> Vec<String> {
    let Some(right) = needed(part, partitions) else { return Vec::new() };
    let tables = part.stores.iter().filter(|store| store.kind == Kind::Table && !store.broadcast);
    let wrong = |table: &StoreSpec| {
        let has = *partitions.get(&*table.topic).filter(|has| **has != right)?;
        let functions: Vec<&str> = part.nodes.iter().map(|node| &*node.name).collect();
        Some(format!(
            "tables.{}: its topic `{}` has {has} partitions and the inputs of {} have {right}, so that a key and its row \
             are not in the same one; write broadcast = true, so that each host holds the whole table, or use a topic \
             with {right} partitions",
            table.name,
            table.topic,
            functions.join(", ")
        ))
    };
    tables.filter_map(wrong).collect()
}

impl Checked<'_> {
    /// Creates changelogs and meta topics, refuses what would lose state, and answers what is known of all stores' topics.
    pub(super) fn ensure_stores(
        &self,
        topology: &Topology,
        partitions: &Partitions,
    ) -> Result<Vec<Vec<StoreTopic>>, Error> {
        let Checked { manifest, admin, .. } = *self;
        let mut problems = Vec::new();
        let mut parts = Vec::new();
        for part in &topology.parts {
            let right = needed(part, partitions).unwrap_or(1);
            let mut stores = Vec::new();
            for store in &part.stores {
                let topic = if store.kind == Kind::Table {
                    table(admin, store)?
                } else {
                    let topic = self.changelog(&store.topic, right)?;
                    problems.extend(unfit(admin, &topic, right)?);
                    topic
                };
                let record_bytes_max = record_bytes_max(admin, &store.topic)?;
                stores.push(StoreTopic {
                    id: topic.id,
                    partitions: topic.partitions,
                    record_bytes_max,
                });
            }
            problems.extend(former_meta(manifest.app.as_str(), admin, part)?);
            parts.push(stores);
        }
        if problems.is_empty() { Ok(parts) } else { Err(Error::Topic(problems.join("\n"))) }
    }

    fn changelog(&self, topic: &str, partitions: u32) -> Result<Topic, Error> {
        if let Some(found) = self.admin.topic(topic)? {
            return Ok(found);
        }
        let settings = BTreeMap::from([
            ("cleanup.policy".to_owned(), "compact".to_owned()),
            ("delete.retention.ms".to_owned(), DELETE_RETENTION_MS.to_string()),
        ]);
        self.create(topic, Wanted { partitions: Some(partitions), settings })
    }
}

fn table(admin: &dyn Admin, store: &StoreSpec) -> Result<Topic, Error> {
    let gone =
        || Error::Topic(format!("topic `{}` was there a moment ago and is gone", store.topic));
    let found = admin.topic(&store.topic)?.ok_or_else(gone)?;
    let policy = admin.setting(&store.topic, "cleanup.policy")?;
    if policy.as_ref().is_some_and(|policy| !policy.contains("compact")) {
        tracing::warn!(
            table = &*store.name,
            topic = &*store.topic,
            "the table's topic is not compacted: rows that nobody writes again go with its retention; set \
             cleanup.policy=compact"
        );
    }
    Ok(found)
}

/// Why a changelog cannot keep the state of so many tasks.
fn unfit(admin: &dyn Admin, topic: &Topic, right: u32) -> Result<Option<String>, Error> {
    let name = &topic.name;
    if topic.partitions != right {
        return Ok(Some(format!(
            "the changelog `{name}` has {} partitions and the inputs behind it have {right}: the state was kept for other \
             partitions; use inputs with {} partitions as before, or another app name, or delete `{name}` to begin \
             without state",
            topic.partitions, topic.partitions
        )));
    }
    let policy = admin.setting(name, "cleanup.policy")?;
    if let Some(policy) = policy.filter(|policy| policy != "compact") {
        return Ok(Some(format!(
            "the changelog `{name}` has cleanup.policy={policy}, so that state would be lost with time; set \
             cleanup.policy=compact"
        )));
    }
    let kept =
        admin.setting(name, "delete.retention.ms")?.and_then(|kept| kept.parse::<i64>().ok());
    Ok(kept.filter(|kept| *kept < DELETE_RETENTION_MS).map(|kept| {
        format!(
            "the changelog `{name}` has delete.retention.ms={kept}, and local state is trusted for 7 days: what was \
             deleted meanwhile would come back; set delete.retention.ms={DELETE_RETENTION_MS}"
        )
    }))
}

/// Timers are kept under a name of the part: functions that were a part of their own before bring a second such topic.
fn former_meta(app: &str, admin: &dyn Admin, part: &SubTopology) -> Result<Vec<String>, Error> {
    let mut problems = Vec::new();
    for function in part.nodes.iter().map(|node| code_name(&node.name)) {
        if *function == *part.name || part.timers.is_empty() {
            continue;
        }
        let topic = meta_topic(app, &function);
        if admin.topic(&topic)?.is_some() {
            problems.push(format!(
                "`{topic}` holds the timers of a time when `{function}` did not work together with `{}`; keep them apart \
                 by inputs and stores of their own, or delete `{topic}` where those timers are no longer wanted",
                part.name
            ));
        }
    }
    Ok(problems)
}
