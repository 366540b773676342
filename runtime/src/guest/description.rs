//! What a component says of itself, in our own types, checked.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Error, World, bindings::types};

/// Functions a component may hold, and slots and sources a function may have.
const FUNCTIONS_MAX: usize = 100;
const NAMES_MAX: usize = 200;

/// One function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// Matches `[a-z][a-z0-9_]{0,62}`; unique in the component.
    pub name: String,
    /// Batch layouts it speaks, best first; empty in the plain world.
    pub layouts: Vec<u32>,
    /// What it takes.
    pub sources: Vec<Source>,
    /// What it uses beside its input.
    pub slots: Vec<Slot>,
}

/// An input of a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Set where there are several.
    pub name: Option<String>,
    /// What its entries are.
    pub shape: Shape,
    /// Codec of the key.
    pub key: String,
    /// Codec of the value.
    pub value: String,
}

/// What the entries of a source are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are the field's")]
pub enum Shape {
    Plain,
    JoinedInner,
    JoinedLeft,
    JoinedRight,
    JoinedFull,
    Windowed,
}

/// Something a function uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Slot {
    /// The name in code.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// Codec of the key; empty where an output keeps its key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Codec of the value.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// For an output: whether it sets keys of its own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rekeys: bool,
    /// For a config value: whether it must be given.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// For an aggregate: the columns read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<Attribute>,
}

/// A name and a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attribute {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

/// What a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the field's")]
pub enum Role {
    Value,
    Map,
    Counter,
    Aggregate,
    Table,
    Output,
    Timer,
    Config,
}

impl Role {
    /// Whether it is state that the host keeps for the function.
    pub fn is_store(self) -> bool {
        matches!(self, Role::Value | Role::Map | Role::Counter | Role::Aggregate)
    }
}

impl Description {
    /// The slots of a role, in the order that numbers them.
    pub fn slots_of(&self, role: Role) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(move |slot| slot.role == role)
    }
}

/// Takes over what `describe` answered.
pub(super) fn check(
    described: Vec<types::Description>,
    world: World,
) -> Result<Vec<Description>, Error> {
    let wrong = |what: String| Error::Description { what };
    if described.is_empty() || described.len() > FUNCTIONS_MAX {
        return Err(wrong(format!(
            "{} functions, and 1 to {FUNCTIONS_MAX} are right",
            described.len()
        )));
    }
    let mut names = BTreeSet::new();
    let functions: Vec<Description> = described.into_iter().map(Description::from).collect();
    for function in &functions {
        let name = &function.name;
        check_name("function", name)?;
        if !names.insert(name) {
            return Err(wrong(format!("two functions are named `{name}`")));
        }
        if world == World::Packed && !function.layouts.contains(&tidemill_layout::VERSION) {
            let spoken = &function.layouts;
            let ours = tidemill_layout::VERSION;
            return Err(wrong(format!(
                "`{name}` speaks the batch layouts {spoken:?}, and this host speaks {ours}"
            )));
        }
        check_function(function)?;
    }
    Ok(functions)
}

fn check_function(function: &Description) -> Result<(), Error> {
    let name = &function.name;
    let wrong = |what: String| Err(Error::Description { what });
    if function.sources.is_empty() || function.sources.len() + function.slots.len() > NAMES_MAX {
        return wrong(format!(
            "`{name}` has no source, or more than {NAMES_MAX} sources and slots"
        ));
    }
    if function.sources.len() > 1 && function.sources.iter().any(|source| source.name.is_none()) {
        return wrong(format!("`{name}` has several sources, and one of them has no name"));
    }
    let mut stores = BTreeSet::new();
    for slot in function.slots.iter().filter(|slot| slot.role.is_store()) {
        if !stores.insert(&slot.name) {
            return wrong(format!("two stores of `{name}` are named `{}`", slot.name));
        }
    }
    let mut used = BTreeSet::new();
    for source in function.sources.iter().filter_map(|source| source.name.as_ref()) {
        check_name("source", source)?;
        if !used.insert((None, source)) {
            return wrong(format!("two sources of `{name}` are named `{source}`"));
        }
    }
    for slot in &function.slots {
        check_name("slot", &slot.name)?;
        if !used.insert((Some(slot.role as u8), &slot.name)) {
            return wrong(format!("two slots of `{name}` are named `{}`", slot.name));
        }
    }
    Ok(())
}

fn check_name(what: &str, name: &str) -> Result<(), Error> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
    let rest = bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if first && rest && name.len() <= 63 {
        return Ok(());
    }
    let shown: String = name.chars().take(80).collect();
    Err(Error::Description {
        what: format!("a {what} is named {shown:?}, which does not match [a-z][a-z0-9_]{{0,62}}"),
    })
}

impl From<types::Description> for Description {
    fn from(it: types::Description) -> Self {
        Description {
            name: it.name,
            layouts: it.layouts,
            sources: it.sources.into_iter().map(Source::from).collect(),
            slots: it.slots.into_iter().map(Slot::from).collect(),
        }
    }
}

impl From<types::Source> for Source {
    fn from(it: types::Source) -> Self {
        let shape = match it.shape {
            types::Shape::Plain => Shape::Plain,
            types::Shape::JoinedInner => Shape::JoinedInner,
            types::Shape::JoinedLeft => Shape::JoinedLeft,
            types::Shape::JoinedRight => Shape::JoinedRight,
            types::Shape::JoinedFull => Shape::JoinedFull,
            types::Shape::Windowed => Shape::Windowed,
        };
        Source { name: it.name, shape, key: it.key, value: it.value }
    }
}

impl From<types::Slot> for Slot {
    fn from(it: types::Slot) -> Self {
        let role = match it.role {
            types::Role::Value => Role::Value,
            types::Role::Map => Role::Map,
            types::Role::Counter => Role::Counter,
            types::Role::Aggregate => Role::Aggregate,
            types::Role::Table => Role::Table,
            types::Role::Output => Role::Output,
            types::Role::Timer => Role::Timer,
            types::Role::Config => Role::Config,
        };
        let columns = it
            .columns
            .into_iter()
            .map(|column| Attribute { name: column.name, value: column.value });
        Slot {
            name: it.name,
            role,
            key: it.key,
            value: it.value,
            rekeys: it.rekeys,
            required: it.required,
            columns: columns.collect(),
        }
    }
}
