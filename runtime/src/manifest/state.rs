//! `[stores.NAME]` and `[tables.NAME]`: state that functions use, and what the host computes.

use std::{collections::BTreeMap, time::Duration};

use super::{
    StoreSettings, TableSettings, aggregate,
    declared::{Declared, Items, topic},
    names::code_name,
    section::{Field, hint},
    tree::Value,
};
use crate::store::Kind;

/// The longest time that anything is kept or looked ahead: 100 years.
pub(super) const AGE: Duration = Duration::from_secs(100 * 31_557_600);

/// Reads the stores, by the code's names.
pub(super) fn stores(items: &Items<'_>, declared: &Declared) -> BTreeMap<String, StoreSettings> {
    let read = |(name, field): &(String, Field<'_>)| {
        Some((code_name(name), StoreSettings { name: name.clone(), ..store(field, declared)? }))
    };
    items.iter().filter_map(read).collect()
}

/// Reads the tables, by the code's names.
pub(super) fn tables(items: &Items<'_>) -> BTreeMap<String, TableSettings> {
    let read = |(name, field): &(String, Field<'_>)| {
        Some((code_name(name), TableSettings { name: name.clone(), ..table(field)? }))
    };
    items.iter().filter_map(read).collect()
}

fn store(field: &Field<'_>, declared: &Declared) -> Option<StoreSettings> {
    let mut section =
        field.section("a table with `kind`, `ttl`, or what the host is to compute")?;
    let kind = section.get("kind").map(|field| kind(&field));
    let ttl = section.get("ttl");
    let computed = matches!(kind, Some(Some(Stored::Aggregate)));
    let aggregate = aggregate::read(&mut section, field, computed, ttl.as_ref(), declared);
    section.finish();
    let ttl = match &aggregate {
        Some(_) => None,
        None => ttl.map(|field| field.duration(Duration::from_millis(1), AGE)),
    };
    let kind = match all(kind)? {
        Some(Stored::Plain(kind)) if aggregate.is_some() => {
            let found = format!("found kind = {:?} and something to compute", word(kind));
            return field.wrong(found, "write kind = \"aggregate\", or leave it out");
        }
        Some(Stored::Plain(kind)) => Some(kind),
        Some(Stored::Aggregate) | None => None,
    };
    Some(StoreSettings { name: String::new(), kind, ttl: all(ttl)?, aggregate: all(aggregate)? })
}

/// Nothing where it is absent, and no answer where it is wrong.
pub(super) fn all<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    read.map_or(Some(None), |read| read.map(Some))
}

/// What a store says it holds.
enum Stored {
    Plain(Kind),
    Aggregate,
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Map => "map",
        Kind::Counter => "counter",
        _ => "value",
    }
}

fn kind(field: &Field<'_>) -> Option<Stored> {
    const KINDS: [&str; 4] = ["value", "map", "counter", "aggregate"];
    match field.text("\"value\", \"map\", \"counter\" or \"aggregate\"")? {
        "value" => Some(Stored::Plain(Kind::Value)),
        "map" => Some(Stored::Plain(Kind::Map)),
        "counter" => Some(Stored::Plain(Kind::Counter)),
        "aggregate" => Some(Stored::Aggregate),
        other => {
            let found = format!("found {}", Value::Text(other.to_owned()).describe());
            field.wrong(found, hint(other, KINDS.into_iter()))
        }
    }
}

fn table(field: &Field<'_>) -> Option<TableSettings> {
    let mut section = field.section("a table with `topic` and perhaps `broadcast`")?;
    let topic = section.need("topic", "topic = \"users\"").and_then(|field| topic(&field));
    let broadcast = section.get("broadcast").map_or(Some(false), |field| truth(&field));
    section.finish();
    Some(TableSettings { name: String::new(), topic: topic?, broadcast: broadcast? })
}

/// True or false.
pub(super) fn truth(field: &Field<'_>) -> Option<bool> {
    match field.node.value {
        Value::Bool(value) => Some(value),
        _ => field.expected("true or false"),
    }
}
