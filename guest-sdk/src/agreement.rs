//! What `#[function]` and `#[on_timer]` check when a function is compiled: only the types know it, so these are
//! constant functions over their roles.

use crate::{Role, columns::are_same, param::Parameters, timer::Handler};

/// How many of the parameters are the input.
pub const fn inputs(parameters: Parameters) -> usize {
    let (mut inputs, mut index) = (0, 0);
    while index < parameters.len() {
        if matches!(parameters[index].1, Role::Input { .. }) {
            inputs += 1;
        }
        index += 1;
    }
    inputs
}

/// How many of the parameters are what a timer brings.
pub const fn fired(parameters: Parameters) -> usize {
    let (mut fired, mut index) = (0, 0);
    while index < parameters.len() {
        if matches!(parameters[index].1, Role::Fired { .. }) {
            fired += 1;
        }
        index += 1;
    }
    fired
}

/// Whether a parameter, where it is a timer, has a handler.
pub const fn is_handled(parameter: &(&str, Role), handlers: &[Handler]) -> bool {
    if !matches!(parameter.1, Role::Timer { .. }) {
        return true;
    }
    let mut index = 0;
    while index < handlers.len() {
        if same(handlers[index].name, parameter.0) {
            return true;
        }
        index += 1;
    }
    false
}

/// Whether every timer that a handler takes has a handler.
pub const fn are_handled(handler: &Handler, handlers: &[Handler]) -> bool {
    let mut index = 0;
    while index < handler.parameters.len() {
        if !is_handled(&handler.parameters[index], handlers) {
            return false;
        }
        index += 1;
    }
    true
}

/// Whether parameters before it that have its name are the same thing.
pub const fn is_one_thing(index: usize, parameters: Parameters) -> bool {
    let (name, role) = &parameters[index];
    let mut other = 0;
    while other < index && role.is_named() {
        let (other_name, other_role) = &parameters[other];
        if other_role.is_named() && same(name, other_name) && !is_one(role, other_role) {
            return false;
        }
        other += 1;
    }
    true
}

/// Whether handlers that take something of a parameter's name take the same.
pub const fn agrees(parameter: &(&str, Role), handlers: &[Handler]) -> bool {
    let mut index = 0;
    while index < handlers.len() {
        if !agrees_with(parameter, &handlers[index]) {
            return false;
        }
        index += 1;
    }
    true
}

/// Whether a handler agrees with those before it.
pub const fn handlers_agree(index: usize, handlers: &[Handler]) -> bool {
    let parameters = handlers[index].parameters;
    let mut parameter = 0;
    while parameter < parameters.len() {
        let mut other = 0;
        while other <= index {
            if !agrees_with(&parameters[parameter], &handlers[other]) {
                return false;
            }
            other += 1;
        }
        parameter += 1;
    }
    true
}

const fn agrees_with((name, role): &(&str, Role), handler: &Handler) -> bool {
    if !role.is_named() {
        return true;
    }
    let mut index = 0;
    while index < handler.parameters.len() {
        let (other_name, other) = &handler.parameters[index];
        let clash = match other {
            // What a timer brings goes by the timer's name.
            Role::Fired { value } => {
                same(name, handler.name)
                    && !matches!(role, Role::Timer { value: set } if same(set, value))
            }
            _ => other.is_named() && same(name, other_name) && !is_one(role, other),
        };
        if clash {
            return false;
        }
        index += 1;
    }
    true
}

/// Whether two roles may share a name.
const fn is_one(one: &Role, other: &Role) -> bool {
    match (one, other) {
        (Role::Output { key, value }, Role::Output { key: other_key, value: other }) => {
            same(key, other_key) && same(value, other)
        }
        (Role::Map { key, value }, Role::Map { key: other_key, value: other }) => {
            key.is(other_key) && same(value, other)
        }
        (Role::Value { value }, Role::Value { value: other })
        | (Role::Table { value }, Role::Table { value: other })
        | (Role::Timer { value }, Role::Timer { value: other }) => same(value, other),
        (Role::Aggregate { columns }, Role::Aggregate { columns: others }) => {
            are_same(columns, others)
        }
        (Role::Counter, Role::Counter) | (Role::Config { .. }, Role::Config { .. }) => true,
        _ => false,
    }
}

pub(crate) const fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut index = 0;
    while index < one.len() {
        if one[index] != other[index] {
            return false;
        }
        index += 1;
    }
    true
}
