//! What `describe` says of a function, and what parameters find themselves by when an instance starts.

use crate::{
    Column, Function, Role,
    bindings::types::{Attribute, Description, Role as SlotRole, Shape, Slot, Source},
    param,
};
use tidemill_layout::VERSION;

/// What `describe` says of a function. Its timer handlers are part of it.
pub(crate) fn describe<F: Function>() -> Description {
    let (mut sources, mut keys) = (Vec::new(), None);
    for (_, role) in F::PARAMETERS {
        match role {
            Role::Input { sources: inputs } => sources.extend_from_slice(inputs),
            Role::Key { codec } => keys = Some(*codec),
            _ => {}
        }
    }
    let sources = sources.iter().map(|source| Source {
        name: source.name.map(str::to_owned),
        shape: shape(source.shape),
        key: keys.unwrap_or("bytes").to_owned(),
        value: source.value.to_string(),
        attributes: Vec::new(),
    });
    Description {
        name: F::NAME.to_owned(),
        layouts: vec![VERSION],
        sources: sources.collect(),
        slots: slots::<F>(),
        attributes: Vec::new(),
    }
}

/// Everything that function and timer handlers find by its name, each name once: `#[function]` checks that they agree.
/// The order is the numbering of the contract.
pub(crate) fn slots<F: Function>() -> Vec<Slot> {
    let mut slots: Vec<Slot> = Vec::new();
    let handlers = F::HANDLERS.iter().map(|handler| (handler.name, handler.parameters));
    for (timer, parameters) in std::iter::once((F::NAME, F::PARAMETERS)).chain(handlers) {
        for slot in parameters.iter().filter_map(|(name, role)| slot(timer, name, role)) {
            match slots.iter_mut().find(|same| same.name == slot.name) {
                Some(same) => same.required |= slot.required,
                None => slots.push(slot),
            }
        }
    }
    slots
}

/// The slot of a parameter; `timer` is the name of the handler whose it is.
fn slot(timer: &str, name: &str, role: &Role) -> Option<Slot> {
    let slot = |name: &str, role, key: String, value: &str| Slot {
        name: name.to_owned(),
        role,
        key,
        value: value.to_owned(),
        rekeys: false,
        required: false,
        columns: Vec::new(),
        attributes: Vec::new(),
    };
    let none = String::new;
    Some(match role {
        Role::Input { .. } | Role::Key { .. } | Role::Beside => return None,
        Role::Output { key, value } => {
            let output = slot(name, SlotRole::Output, (*key).to_owned(), value);
            Slot { rekeys: !key.is_empty(), ..output }
        }
        Role::Config { required } => {
            Slot { required: required(), ..slot(name, SlotRole::Config, none(), "json") }
        }
        Role::Value { value } => slot(name, SlotRole::Value, none(), value),
        Role::Map { key, value } => slot(name, SlotRole::Map, key.to_string(), value),
        Role::Counter => slot(name, SlotRole::Counter, none(), "i64"),
        Role::Aggregate { columns } => {
            let column = |column: &Column| Attribute {
                name: column.name.to_owned(),
                value: column.reads.to_string(),
            };
            let columns = columns.iter().map(column).collect();
            Slot { columns, ..slot(name, SlotRole::Aggregate, none(), "json") }
        }
        Role::Table { value } => slot(name, SlotRole::Table, none(), value),
        Role::Timer { value } => slot(name, SlotRole::Timer, none(), value),
        Role::Fired { value } => slot(timer, SlotRole::Timer, none(), value),
    })
}

fn shape(shape: param::Shape) -> Shape {
    match shape {
        param::Shape::Plain => Shape::Plain,
        param::Shape::JoinedInner => Shape::JoinedInner,
        param::Shape::JoinedLeft => Shape::JoinedLeft,
        param::Shape::JoinedRight => Shape::JoinedRight,
        param::Shape::JoinedFull => Shape::JoinedFull,
        param::Shape::Windowed => Shape::Windowed,
    }
}
