//! librdkafka properties: which ones a manifest may set, and what fills them.
//!
//! Some are Tidemill's own, since another value would lose or repeat records. A manifest that was uploaded to a host
//! is somebody else's text: there only settings from a list are taken, none of which names a server, a file or
//! code.

use std::{collections::BTreeMap, path::Path};

use super::{
    section::{Field, join},
    tree::{Table, Value},
};

/// Tidemill's own, with the reason.
const OWNED: &[(&str, &str)] = &[
    ("acks", "Tidemill waits for all in-sync replicas"),
    ("allow.auto.create.topics", "topics are created by [topics.NAME] only"),
    ("auto.commit.enable", COMMITS),
    ("auto.commit.interval.ms", "set `commit-interval` instead"),
    ("auto.offset.reset", "set `start` and `on-missing-offset` instead"),
    ("client.id", "each worker has its own, by app and number"),
    ("enable.auto.commit", COMMITS),
    ("enable.auto.offset.store", COMMITS),
    ("enable.idempotence", "Tidemill's producers are always idempotent"),
    ("enable.partition.eof", "Tidemill needs to know where a partition ends"),
    ("group.id", "the group is the app's name"),
    ("group.instance.id", "one value would be the same for all workers of the group"),
    ("group.protocol.type", "members of the group are consumers"),
    ("group.remote.assignor", ASSIGNOR),
    ("isolation.level", "Tidemill reads committed records only"),
    ("offset.store.method", COMMITS),
    ("partition.assignment.strategy", ASSIGNOR),
    ("partitioner", "records go to the partition that other clients expect for their key"),
    ("request.required.acks", "Tidemill waits for all in-sync replicas"),
    ("transactional.id", "it is made from the app, the host and the worker"),
];
const COMMITS: &str =
    "Tidemill commits a position after the outputs of its record are acknowledged";
const ASSIGNOR: &str = "equal partition numbers of several topics must stay together";

/// Set by code only: a text in their place would be taken for an address in memory.
const POINTERS: &[&str] = &["opaque", "default_topic_conf", "interceptors", "closesocket_cb"];

/// What an uploaded manifest may set.
const UPLOADED: &[&str] = &[
    "batch.num.messages",
    "batch.size",
    "check.crcs",
    "client.rack",
    "compression.codec",
    "compression.level",
    "compression.type",
    "delivery.timeout.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.wait.max.ms",
    "group.protocol",
    "heartbeat.interval.ms",
    "linger.ms",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "message.max.bytes",
    "message.timeout.ms",
    "queue.buffering.max.ms",
    "request.timeout.ms",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "session.timeout.ms",
    "sticky.partitioning.linger.ms",
];

/// Why a property may not be set, whoever wrote it.
pub fn refusal(property: &str) -> Option<&'static str> {
    let owned = OWNED.iter().find(|(name, _)| *name == property).map(|(_, reason)| *reason);
    let pointer = POINTERS.contains(&property) || property.ends_with("_cb");
    owned.or(pointer.then_some("it is no text but part of a program"))
}

/// Where a manifest came from, and with it how far it is trusted.
#[derive(Clone, Copy)]
pub(super) enum Trust<'a> {
    /// A file of the one who runs the process. Files are looked up from `folder`.
    Local { folder: &'a Path, env: &'a dyn Fn(&str) -> Option<String> },
    /// Uploaded to a host.
    Uploaded,
}

/// The connection: a name of the host's, or properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kafka {
    /// A connection of the host's, by name.
    pub connection: Option<String>,
    /// librdkafka properties over those of the connection.
    pub properties: BTreeMap<String, String>,
}

/// The log of the process itself, where a manifest names it as its connection.
pub const EMBEDDED: &str = "embedded";

/// Reads `kafka`; `None` is the embedded log.
pub(super) fn read(field: &Field<'_>, trust: Trust<'_>) -> Option<Kafka> {
    let table = match &field.node.value {
        Value::Text(name) if name == EMBEDDED => return None,
        Value::Text(name) => {
            return Some(Kafka { connection: Some(name.clone()), properties: BTreeMap::new() });
        }
        Value::Table(table) => table,
        _ => {
            return field
                .expected("a table of librdkafka properties, or the name of a host's connection");
        }
    };
    let mut kafka = Kafka { connection: None, properties: BTreeMap::new() };
    for (name, field) in flatten(field, table) {
        if name == "connection" {
            kafka.connection = field.text("the name of a host's connection").map(str::to_owned);
        } else if let Some(value) = property(&name, &field, trust) {
            kafka.properties.insert(name, value);
        }
    }
    if kafka.connection.is_none() {
        match trust {
            Trust::Uploaded => {
                return field.wrong(
                    "a connection of its own",
                    "connections belong to the host: name one, as in kafka = \"main\"",
                );
            }
            Trust::Local { .. } if !names_brokers(table) => {
                return field.wrong(
                    "no \"bootstrap.servers\"",
                    "add \"bootstrap.servers\" = \"localhost:9092\"",
                );
            }
            Trust::Local { .. } => {}
        }
    }
    Some(kafka)
}

/// As written, so that a value that could not be filled is reported once.
fn names_brokers(table: &Table) -> bool {
    let quoted =
        ["bootstrap.servers", "metadata.broker.list"].iter().any(|name| table.get(name).is_some());
    quoted || table.get("bootstrap").is_some()
}

fn property(name: &str, field: &Field<'_>, trust: Trust<'_>) -> Option<String> {
    if let Some(reason) = refusal(name) {
        return field
            .wrong("this property is Tidemill's own", format_args!("leave it out: {reason}"));
    }
    if matches!(trust, Trust::Uploaded) && !UPLOADED.contains(&name) {
        let expected =
            format!("leave it out; of the properties these may be: {}", UPLOADED.join(", "));
        return field.wrong("an uploaded manifest may not set this property", expected);
    }
    let text = scalar(field)?;
    match trust {
        Trust::Uploaded if text.contains("${") => field
            .wrong("found `${` in an uploaded manifest", "secrets belong to the host's connection"),
        Trust::Uploaded => Some(text),
        Trust::Local { folder, env } => expand(&text, folder, env)
            .or_else(|problem| field.wrong(problem, EXPANDS).ok_or(()))
            .ok(),
    }
}

/// A property's or topic setting's value as Kafka takes it.
pub(super) fn scalar(field: &Field<'_>) -> Option<String> {
    match &field.node.value {
        Value::Text(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => field.expected("a text, a number, true or false"),
    }
}

/// The table's values by Kafka's names, which hold dots: without quotes, TOML takes `linger.ms = 5` for a table.
pub(super) fn flatten<'a>(field: &Field<'a>, table: &'a Table) -> Vec<(String, Field<'a>)> {
    let mut flat = Vec::new();
    for entry in &table.0 {
        let here = field.child(&entry.key, &entry.node);
        match &entry.node.value {
            Value::Table(table) => {
                let below = flatten(&here, table).into_iter();
                flat.extend(below.map(|(name, field)| (format!("{}.{name}", entry.key), field)));
            }
            _ => flat.push((entry.key.clone(), here)),
        }
    }
    for (name, field_of) in &mut flat {
        field_of.path = join(&field.path, name);
    }
    flat
}

const EXPANDS: &str = "write \"${env:NAME}\", \"${env:NAME:-default}\" or \"${file:PATH}\"";

/// Fills `${env:NAME}`, `${env:NAME:-default}` and `${file:PATH}`.
fn expand(
    text: &str,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let end = rest[start..].find('}').ok_or("found `${` without `}`")? + start;
        filled.push_str(&rest[..start]);
        filled.push_str(&lookup(&rest[start + 2..end], folder, env)?);
        rest = &rest[end + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

fn lookup(
    what: &str,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    if let Some(name) = what.strip_prefix("env:") {
        let (name, default) =
            name.split_once(":-").map_or((name, None), |(name, default)| (name, Some(default)));
        let value = env(name).or_else(|| default.map(str::to_owned));
        value.ok_or_else(|| format!("the environment variable {name} is not set"))
    } else if let Some(path) = what.strip_prefix("file:") {
        let path = folder.join(path);
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Ok(text.trim_end_matches(['\n', '\r']).to_owned())
    } else {
        Err(format!("found ${{{what}}}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_in_what_the_environment_and_files_hold() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("password"), "geheim}\n").unwrap();
        let env = |name: &str| (name == "BROKER").then(|| "b:9092".to_owned());
        let expand = |text| expand(text, folder.path(), &env);
        assert_eq!(expand("a").unwrap(), "a");
        assert_eq!(expand("${env:BROKER},${env:OTHER:-c:1}").unwrap(), "b:9092,c:1");
        assert_eq!(expand("-${file:password}-").unwrap(), "-geheim}-");
        assert_eq!(expand("${env:OTHER:-}").unwrap(), "");
        assert_eq!(
            expand("${env:OTHER}").unwrap_err(),
            "the environment variable OTHER is not set"
        );
        assert_eq!(expand("${BROKER}").unwrap_err(), "found ${BROKER}");
        assert_eq!(expand("${env:BROKER").unwrap_err(), "found `${` without `}`");
    }

    #[test]
    fn lists_are_sorted_and_disjoint() {
        assert!(OWNED.is_sorted() && UPLOADED.is_sorted());
        assert!(UPLOADED.iter().all(|name| refusal(name).is_none()));
    }
}
