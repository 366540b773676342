//! `[stores.NAME]` and `[tables.NAME]`: the state that functions use, under names that are shared by both.

use std::{collections::BTreeMap, time::Duration};

use super::{
    StoreSettings, TableSettings,
    names::{TOPIC_NAME, code_name, is_topic},
    section::{Field, hint},
    tree::{Entry, Value},
};
use crate::store::Kind;

/// The longest time that anything is kept or looked ahead: 100 years.
pub(super) const AGE: Duration = Duration::from_secs(100 * 31_557_600);

/// Timers and progress are kept under this name.
const OWN_NAME: &str = "meta";
/// Keys of a store that is fed by the host itself.
const AGGREGATE_KEYS: [&str; 8] =
    ["window", "grace", "retention", "compute", "emit", "output", "from", "where"];

/// What is declared, by the code's names.
#[derive(Debug, Default)]
pub(super) struct State {
    pub stores: BTreeMap<String, StoreSettings>,
    pub tables: BTreeMap<String, TableSettings>,
    /// `store` or `table`, and the name as written; what is wrong otherwise is here too.
    declared: BTreeMap<String, (&'static str, String)>,
}

impl State {
    /// Reads both sections.
    pub fn read(stores: Option<&Field<'_>>, tables: Option<&Field<'_>>) -> State {
        let mut state = State::default();
        for (name, field) in stores.into_iter().flat_map(|field| entries(field, "stores")) {
            if let Some(settings) =
                state.declare("store", &name, &field).then(|| store(&field)).flatten()
            {
                state.stores.insert(code_name(&name), StoreSettings { name, ..settings });
            }
        }
        for (name, field) in tables.into_iter().flat_map(|field| entries(field, "tables")) {
            if let Some(settings) =
                state.declare("table", &name, &field).then(|| table(&field)).flatten()
            {
                state.tables.insert(code_name(&name), TableSettings { name, ..settings });
            }
        }
        state
    }

    /// `store` or `table`, where something is called so.
    pub fn kind_of(&self, name: &str) -> Option<&'static str> {
        self.declared.get(&code_name(name)).map(|(what, _)| *what)
    }

    /// The names of what is a `store` or a `table`, as code spells them.
    pub fn names(&self, what: &str) -> impl Iterator<Item = &str> {
        self.declared.iter().filter(move |(_, (is, _))| *is == what).map(|(name, _)| name.as_str())
    }

    /// Takes a name, unless it is taken.
    fn declare(&mut self, what: &'static str, name: &str, field: &Field<'_>) -> bool {
        let code = code_name(name);
        if code == OWN_NAME {
            field.wrong::<()>("a name that is Tidemill's own", "choose another one");
            return false;
        }
        if let Some((taken_by, taken)) = self.declared.get(&code) {
            field.wrong::<()>(
                format_args!("there is a {taken_by} {taken:?} already"),
                "stores and tables share their names, in which `-` and `_` are the same letter: choose another one",
            );
            return false;
        }
        self.declared.insert(code, (what, name.to_owned()));
        true
    }
}

/// The tables of a section by their names, those left out that are none.
fn entries<'a>(field: &Field<'a>, what: &str) -> Vec<(String, Field<'a>)> {
    let Some(table) = field.table(&format!("a table of {what}")) else { return Vec::new() };
    let named = |entry: &'a Entry| {
        let item = field.child(&entry.key, &entry.node);
        if !super::is_name(&entry.key) {
            let expected = format!(
                "{what} have lower-case letters, digits, `-` and `_`, and start with a letter"
            );
            return item.wrong("no name", expected);
        }
        Some((entry.key.clone(), item))
    };
    table.0.iter().filter_map(named).collect()
}

fn store(field: &Field<'_>) -> Option<StoreSettings> {
    let mut section =
        field.section("a table with `kind` and `ttl`, both of which may be left out")?;
    let kind = section.get("kind").map(|field| kind(&field));
    let ttl = section.get("ttl").map(|field| field.duration(Duration::from_millis(1), AGE));
    section.refuse(
        &AGGREGATE_KEYS,
        "windows and aggregates are not in this version yet",
        "leave it out: a store here is a value, a map or a counter that functions write",
    );
    section.finish();
    Some(StoreSettings { name: String::new(), kind: all(kind)?, ttl: all(ttl)? })
}

/// Nothing where it is absent, and no answer where it is wrong.
fn all<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    read.map_or(Some(None), |read| read.map(Some))
}

fn kind(field: &Field<'_>) -> Option<Kind> {
    const KINDS: [&str; 3] = ["value", "map", "counter"];
    match field.text("\"value\", \"map\" or \"counter\"")? {
        "value" => Some(Kind::Value),
        "map" => Some(Kind::Map),
        "counter" => Some(Kind::Counter),
        other => {
            let found = format!("found {}", Value::Text(other.to_owned()).describe());
            field.wrong(found, hint(other, KINDS.into_iter()))
        }
    }
}

fn table(field: &Field<'_>) -> Option<TableSettings> {
    let mut section = field.section("a table with `topic` and perhaps `broadcast`")?;
    let topic = section.need("topic", "topic = \"users\"").and_then(|field| topic(&field));
    let broadcast = section.get("broadcast").map_or(Some(false), |field| match field.node.value {
        Value::Bool(value) => Some(value),
        _ => field.expected("true or false"),
    });
    section.finish();
    Some(TableSettings { name: String::new(), topic: topic?, broadcast: broadcast? })
}

fn topic(field: &Field<'_>) -> Option<String> {
    let text = field.text(TOPIC_NAME)?;
    let topic = text.strip_prefix("topic:").unwrap_or(text);
    is_topic(topic).then(|| topic.to_owned()).or_else(|| field.expected(TOPIC_NAME))
}
