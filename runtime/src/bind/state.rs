//! Stores and tables: what code declares against what the manifest has.

use std::collections::{BTreeMap, BTreeSet};

use super::Binder;
use crate::{
    guest::{Description, Role, Slot},
    manifest::{FunctionSettings, Input, StoreSettings},
    store::Kind,
};

/// The slots of a function that are stores.
fn stores(description: &Description) -> impl Iterator<Item = &Slot> {
    description.slots.iter().filter(|slot| slot.role.is_store())
}

/// A kind of store as manifests name it.
fn word(role: Role) -> &'static str {
    match role {
        Role::Value => "value",
        Role::Map => "map",
        Role::Counter => "counter",
        Role::Aggregate => "aggregate",
        Role::Table | Role::Output | Role::Timer | Role::Config => "table",
    }
}

/// What the manifest says that a store is; `None`: it leaves it to the code.
fn declared_as(store: &StoreSettings) -> Option<&'static str> {
    if store.aggregate.is_some() {
        return Some("aggregate");
    }
    match store.kind? {
        Kind::Map => Some("map"),
        Kind::Counter => Some("counter"),
        _ => Some("value"),
    }
}

impl Binder<'_> {
    /// The stores that functions share are the same to all of them, and what is declared is used.
    pub(super) fn check_stores(&mut self) {
        let mut problems = Vec::new();
        let mut first: BTreeMap<&str, (&str, &Slot)> = BTreeMap::new();
        let mut tables: Vec<&str> = Vec::new();
        for (function, found) in &self.functions {
            tables.extend(found.description.slots_of(Role::Table).map(|slot| slot.name.as_str()));
            for slot in stores(found.description) {
                let (other, same) = *first.entry(&slot.name).or_insert((*function, slot));
                let both_feed = same.role == Role::Aggregate && slot.role == Role::Aggregate;
                if !both_feed
                    && (same.role, &same.key, &same.value) != (slot.role, &slot.key, &slot.value)
                {
                    let found = format!(
                        "`{other}` has {} in it and `{function}` {}",
                        content(same),
                        content(slot)
                    );
                    let right = "functions that share a store must agree on it: give one of them a store of its own";
                    problems.push(self.at(self.store_key(&slot.name), found, right.to_owned()));
                }
            }
        }
        self.problems.extend(problems);
        for (name, store) in &self.manifest.stores {
            let fed = store.aggregate.as_ref().is_some_and(|aggregate| aggregate.from.is_some());
            if !fed && !first.contains_key(name.as_str()) {
                tracing::warn!(store = store.name, "the store is declared but nothing uses it");
            }
        }
        for (name, table) in &self.manifest.tables {
            let joined =
                || self.manifest.inputs().any(|input| *input == Input::Table(name.clone()));
            if !tables.contains(&name.as_str()) && !joined() {
                tracing::warn!(table = table.name, "the table is declared but nothing uses it");
            }
        }
    }

    /// The key of a store in the manifest.
    fn store_key(&self, name: &str) -> String {
        let written = self.manifest.stores.get(name).map_or(name, |store| &store.name);
        format!("stores.{written}")
    }

    /// Every slot that is state is declared, of the right kind, and granted.
    pub(super) fn check_state(&mut self, settings: &FunctionSettings, description: &Description) {
        for slot in &description.slots {
            if slot.role.is_store() {
                self.check_store(settings, slot);
            } else if slot.role == Role::Table {
                self.check_table(settings, slot);
            }
        }
        let unused = |granted: &Option<BTreeSet<String>>, what: &str| {
            for name in granted.iter().flatten() {
                if !description.slots.iter().any(|slot| slot.name == *name) {
                    tracing::warn!(
                        function = settings.name,
                        "the {what} {name} is granted but not used"
                    );
                }
            }
        };
        unused(&settings.stores, "store");
        unused(&settings.tables, "table");
    }

    fn check_store(&mut self, settings: &FunctionSettings, slot: &Slot) {
        let (kind, slot) = (word(slot.role), &slot.name);
        let Some(declared) = self.manifest.stores.get(slot) else {
            let more = match kind {
                "aggregate" => "compute = [\"count\"]".to_owned(),
                kind => format!("kind = \"{kind}\""),
            };
            return self.undeclared(settings, slot, kind, &format!("[stores.{slot}] and {more}"));
        };
        let right = match (kind, declared_as(declared)) {
            (_, None) if kind == "aggregate" => {
                "say what it computes, as in compute = [\"count\"]".to_owned()
            }
            (_, None) => String::new(),
            (kind, Some(other)) if kind == other => String::new(),
            (_, Some("aggregate")) => "give the store of the code another name".to_owned(),
            ("aggregate", _) => {
                "say what it computes, as in compute = [\"count\"], instead".to_owned()
            }
            _ => format!("write kind = \"{kind}\", or leave it out"),
        };
        if !right.is_empty() {
            let other = declared_as(declared).unwrap_or("no kind");
            let quoted = if other == "no kind" { other.to_owned() } else { format!("\"{other}\"") };
            let article = if kind == "aggregate" { "an" } else { "a" };
            let found = format!(
                "found {quoted}, and the code of `{}` has {article} {kind} in it",
                settings.name
            );
            self.problem_at(format!("stores.{}.kind", declared.name), found, right);
        }
        self.check_granted(settings, &settings.stores, "store", slot);
    }

    fn check_table(&mut self, settings: &FunctionSettings, slot: &Slot) {
        if self.manifest.tables.contains_key(&slot.name) {
            return self.check_granted(settings, &settings.tables, "table", &slot.name);
        }
        let lines = format!("[tables.{}] and topic = \"{}\"", slot.name, slot.name);
        self.undeclared(settings, &slot.name, "table", &lines);
    }

    fn undeclared(&mut self, settings: &FunctionSettings, slot: &str, what: &str, lines: &str) {
        let declared = self.manifest.kind_of(slot);
        let (found, right) = match declared {
            Some(other) => (
                format!(
                    "the code declares the {what} `{slot}`, which is a {other} in the manifest"
                ),
                format!(
                    "give the {other} of the manifest another name, and add these lines: {lines}"
                ),
            ),
            None => (
                format!("the code declares the {what} `{slot}`, which the manifest does not have"),
                format!("add these lines: {lines}"),
            ),
        };
        self.problem(&settings.name, "", found, right);
    }

    fn check_granted(
        &mut self,
        settings: &FunctionSettings,
        granted: &Option<BTreeSet<String>>,
        what: &str,
        slot: &str,
    ) {
        if granted.as_ref().is_some_and(|granted| !granted.contains(slot)) {
            let found = format!("the code uses the {what} `{slot}`, which is not in the list");
            let right = format!(
                "add it, or leave the list out: it then may use all {what}s that it declares"
            );
            self.problem(&settings.name, &format!("{what}s"), found, right);
        }
    }
}

/// What a function has in a store, in words.
fn content(slot: &Slot) -> String {
    let kind = word(slot.role);
    let codec = |codec: &str| if codec.is_empty() { String::new() } else { format!(" of {codec}") };
    match slot.role {
        Role::Map => format!("a {kind}{} to {}", codec(&slot.key), slot.value),
        Role::Aggregate => format!("an {kind}"),
        _ => format!("a {kind}{}", codec(&slot.value)),
    }
}
