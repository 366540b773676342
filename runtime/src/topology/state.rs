//! Stores, tables and timers: what code declares against what the manifest has, and bound to a sub-topology's own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Node, Work,
    build::{Builder, Problem},
    changelog_topic, meta_topic,
};
use crate::{
    guest::{Binding, Description, Role, Slot},
    manifest::{FunctionSettings, TableSettings, code_name},
    store::{Kind, StoreSpec},
};

/// What the meta store is called; no name of the manifest can collide with it, since it has its own kind.
const META: &str = "meta";

/// The state of a sub-topology.
pub(super) struct Bound {
    /// See [`super::SubTopology::name`].
    pub(super) part: Arc<str>,
    /// Stores, then tables, by name, then meta.
    pub(super) stores: Vec<StoreSpec>,
    /// As `function.timer`.
    pub(super) timers: Vec<Arc<str>>,
}

/// The slots of a function that are stores.
pub(super) fn stores(description: &Description) -> impl Iterator<Item = &Slot> {
    description.slots.iter().filter(|slot| kind(slot.role).is_some())
}

fn kind(role: Role) -> Option<Kind> {
    match role {
        Role::Value => Some(Kind::Value),
        Role::Map => Some(Kind::Map),
        Role::Counter => Some(Kind::Counter),
        Role::Aggregate | Role::Table | Role::Output | Role::Timer | Role::Config => None,
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Value => "value",
        Kind::Map => "map",
        Kind::Counter => "counter",
        Kind::Table => "table",
        Kind::Window | Kind::Session => "aggregate",
        Kind::Join => "join",
        Kind::Meta => META,
    }
}

/// Whether a store is used by more than one of these functions.
pub(super) fn has_several_writers(nodes: &[Node]) -> bool {
    let mut writers = BTreeMap::new();
    for (node, binding) in
        nodes.iter().enumerate().flat_map(|(node, it)| it.state().map(move |it| (node, it)))
    {
        if let Binding::Store(store) = binding
            && *writers.entry(store).or_insert(node) != node
        {
            return true;
        }
    }
    false
}

impl Builder<'_> {
    /// The stores that functions share are the same to all of them, and what is declared is used.
    pub(super) fn check_stores(&mut self) {
        let mut problems = Vec::new();
        let mut first: BTreeMap<&str, (&str, &Slot)> = BTreeMap::new();
        let mut tables: Vec<&str> = Vec::new();
        for (function, found) in &self.functions {
            tables.extend(found.description.slots_of(Role::Table).map(|slot| slot.name.as_str()));
            for slot in stores(found.description) {
                let (other, same) = *first.entry(&slot.name).or_insert((*function, slot));
                if (same.role, &same.key, &same.value) != (slot.role, &slot.key, &slot.value) {
                    problems.push(Problem {
                        file: self.manifest.file.clone(),
                        key: format!("stores.{}", slot.name),
                        found: format!(
                            "`{other}` has {} in it and `{function}` {}",
                            content(same),
                            content(slot)
                        ),
                        right: "functions that share a store must agree on it: give one of them a store of its own"
                            .to_owned(),
                    });
                }
            }
        }
        self.problems.extend(problems);
        for store in
            self.manifest.stores.iter().filter(|(name, _)| !first.contains_key(name.as_str()))
        {
            tracing::warn!(store = store.1.name, "the store is declared but no function uses it");
        }
        for table in
            self.manifest.tables.iter().filter(|(name, _)| !tables.contains(&name.as_str()))
        {
            tracing::warn!(table = table.1.name, "the table is declared but no function uses it");
        }
    }

    /// Every slot that is state is declared, of the right kind, and granted.
    pub(super) fn check_state(&mut self, settings: &FunctionSettings, description: &Description) {
        for slot in &description.slots {
            match (kind(slot.role), slot.role) {
                (Some(kind), _) => self.check_store(settings, slot, kind),
                (None, Role::Table) => self.check_table(settings, slot),
                (None, Role::Aggregate) => {
                    let found = format!("the code declares `{}`, an aggregate", slot.name);
                    let right = "this version has no aggregates".to_owned();
                    self.problem(&settings.name, "", found, right);
                }
                _ => {}
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

    fn check_store(&mut self, settings: &FunctionSettings, slot: &Slot, kind: Kind) {
        let (slot, kind_name) = (&slot.name, name(kind));
        let Some(declared) = self.manifest.stores.get(slot) else {
            return self.undeclared(
                settings,
                slot,
                kind_name,
                &format!("[stores.{slot}] and kind = \"{kind_name}\""),
            );
        };
        if let Some(other) = declared.kind.filter(|other| *other != kind) {
            self.problems.push(Problem {
                file: self.manifest.file.clone(),
                key: format!("stores.{}.kind", declared.name),
                found: format!(
                    "found \"{}\", and the code of `{}` has a {kind_name} in it",
                    name(other),
                    settings.name
                ),
                right: format!("write kind = \"{kind_name}\", or leave it out"),
            });
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
        let declared = match (
            self.manifest.stores.contains_key(slot),
            self.manifest.tables.contains_key(slot),
        ) {
            (true, _) => Some("store"),
            (_, true) => Some("table"),
            _ => None,
        };
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

    /// Numbers the state of functions that work together, and binds their slots to it. `nodes` are in the order of
    /// `names`.
    pub(super) fn bind(&self, names: &[&str], nodes: &mut [Node]) -> Bound {
        let app = self.manifest.app.as_str();
        let described = || {
            let found = names.iter().filter_map(|name| self.functions.get(name));
            found.map(|found| (found.settings, found.description))
        };
        let slots = || described().flat_map(|(_, description)| &description.slots);
        let kept: BTreeMap<&str, Kind> =
            slots().filter_map(|slot| Some((slot.name.as_str(), kind(slot.role)?))).collect();
        let looked_up: BTreeMap<&str, &TableSettings> = slots()
            .filter(|slot| slot.role == Role::Table)
            .filter_map(|slot| Some((slot.name.as_str(), self.manifest.tables.get(&slot.name)?)))
            .collect();
        let timers: Vec<Arc<str>> = described()
            .flat_map(|(settings, description)| {
                let name = code_name(&settings.name);
                description
                    .slots_of(Role::Timer)
                    .map(move |slot| format!("{name}.{}", slot.name).into())
            })
            .collect();
        let mut stores: Vec<StoreSpec> = kept
            .iter()
            .map(|(name, kind)| StoreSpec {
                name: (*name).into(),
                kind: *kind,
                ttl: self.manifest.stores.get(*name).and_then(|store| store.ttl),
                broadcast: false,
                topic: changelog_topic(app, name).into(),
            })
            .collect();
        stores.extend(looked_up.iter().map(|(name, table)| StoreSpec {
            name: (*name).into(),
            kind: Kind::Table,
            ttl: None,
            broadcast: table.broadcast,
            topic: table.topic.as_str().into(),
        }));
        let part = self.part_name(names);
        if !kept.is_empty() || !timers.is_empty() {
            stores.push(StoreSpec {
                name: META.into(),
                kind: Kind::Meta,
                ttl: None,
                broadcast: false,
                topic: meta_topic(app, &part).into(),
            });
        }
        for node in nodes {
            let Some(found) = self.functions.get(&*node.name) else { continue };
            let bindings = found
                .description
                .slots
                .iter()
                .map(|slot| binding(&node.name, slot, &stores, &timers));
            let bindings = bindings.collect();
            if let Work::Function(function) = &mut node.work {
                function.bindings = bindings;
            }
        }
        Bound { part, stores, timers }
    }

    /// A function without state that comes later must not rename what is kept: see [`super::SubTopology::name`].
    fn part_name(&self, names: &[&str]) -> Arc<str> {
        let mut sorted = names.to_vec();
        sorted.sort_unstable();
        let keeps = |name: &&&str| {
            let slots = self.functions.get(**name).map(|found| &found.description.slots);
            let mut slots = slots.into_iter().flatten();
            slots.any(|slot| kind(slot.role).is_some() || slot.role == Role::Timer)
        };
        let first = sorted.iter().find(keeps).or(sorted.first());
        first.map_or_else(Arc::default, |name| code_name(name).into())
    }
}

fn binding(
    function: &str,
    slot: &Slot,
    stores: &[StoreSpec],
    timers: &[Arc<str>],
) -> Option<Binding> {
    let is_table = slot.role == Role::Table;
    let store = || {
        stores.iter().position(|store| {
            *store.name == *slot.name
                && store.kind != Kind::Meta
                && (store.kind == Kind::Table) == is_table
        })
    };
    match slot.role {
        Role::Value | Role::Map | Role::Counter => store().map(Binding::Store),
        Role::Table => store().map(Binding::Table),
        Role::Timer => {
            let name = format!("{}.{}", code_name(function), slot.name);
            let number = timers.iter().position(|timer| **timer == *name)?;
            u16::try_from(number).ok().map(Binding::Timer)
        }
        Role::Aggregate | Role::Output | Role::Config => None,
    }
}

/// What a function has in a store, in words.
fn content(slot: &Slot) -> String {
    let kind = kind(slot.role).map_or("?", name);
    let codec = |codec: &str| if codec.is_empty() { String::new() } else { format!(" of {codec}") };
    match slot.role {
        Role::Map => format!("a {kind}{} to {}", codec(&slot.key), slot.value),
        _ => format!("a {kind}{}", codec(&slot.value)),
    }
}
