//! [`Value`]: what a column holds, with a total order.

use std::{
    cmp::Ordering,
    hash::{Hash, Hasher},
};

mod bytes;
mod json;

pub(crate) use bytes::{read, sized, skip};

/// How deep lists and structs may lie in each other; what is deeper is not decoded and not aggregated.
pub const DEPTH_MAX: usize = 128;

/// What a column of a row holds.
///
/// # Order and equality
/// The order is total: Null, Bool, numbers, Text, Bytes, List, Struct. Numbers are ordered by what they stand for,
/// exactly, also between Int and Float; an Int comes before the Float of the same number, and Floats among
/// themselves follow [`f64::total_cmp`]. Two values are equal where the order says so, so an Int never equals a
/// Float, and a NaN equals itself. A Struct's fields are compared in the order they are in.
#[derive(Debug, Clone)]
pub enum Value {
    /// Nothing: a missing field, a JSON null.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number in binary floating point.
    Float(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Values in order.
    List(Vec<Value>),
    /// Named values in order.
    Struct(Vec<(String, Value)>),
}

impl Value {
    /// What kind of value it is, in words: for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a bool",
            Value::Int(_) => "an int",
            Value::Float(_) => "a float",
            Value::Text(_) => "text",
            Value::Bytes(_) => "bytes",
            Value::List(_) => "a list",
            Value::Struct(_) => "a struct",
        }
    }

    /// Whether it is [`Value::Null`].
    #[inline]
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Whether it lies at most `depth_max` lists and structs deep.
    pub(crate) fn is_within(&self, depth_max: usize) -> bool {
        let Some(inner) = depth_max.checked_sub(1) else {
            return !matches!(self, Value::List(_) | Value::Struct(_));
        };
        match self {
            Value::List(items) => items.iter().all(|item| item.is_within(inner)),
            Value::Struct(fields) => fields.iter().all(|(_, value)| value.is_within(inner)),
            _ => true,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Value::Null => 0,
            Value::Bool(_) => 1,
            Value::Int(_) | Value::Float(_) => 2,
            Value::Text(_) => 3,
            Value::Bytes(_) => 4,
            Value::List(_) => 5,
            Value::Struct(_) => 6,
        }
    }

    /// Whether the two are of kinds that have a meaningful order: the same, or both numbers.
    pub(crate) fn is_comparable_to(&self, other: &Value) -> bool {
        self.rank() == other.rank()
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
            (Value::Int(a), Value::Float(b)) => int_to_float(*a, *b),
            (Value::Float(a), Value::Int(b)) => int_to_float(*b, *a).reverse(),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
            (Value::List(a), Value::List(b)) => a.cmp(b),
            (Value::Struct(a), Value::Struct(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

/// 2^63, the first float above every i64.
const INT_END: f64 = 9_223_372_036_854_775_808.0;

/// Compares without rounding: not every i64 is a float.
fn int_to_float(int: i64, float: f64) -> Ordering {
    if float.is_nan() {
        return 0f64.total_cmp(&float);
    }
    if float >= INT_END {
        return Ordering::Less;
    }
    if float < -INT_END {
        return Ordering::Greater;
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole, and between -2^63 and 2^63")]
    let whole = float.trunc() as i64;
    // Where the numbers are the same, the Int comes first.
    int.cmp(&whole).then(if float.fract() < 0.0 { Ordering::Greater } else { Ordering::Less })
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Value::Null => {}
            Value::Bool(bool) => bool.hash(state),
            Value::Int(int) => int.hash(state),
            Value::Float(float) => float.to_bits().hash(state),
            Value::Text(text) => text.hash(state),
            Value::Bytes(bytes) => bytes.hash(state),
            Value::List(items) => items.hash(state),
            Value::Struct(fields) => fields.hash(state),
        }
    }
}

impl From<bool> for Value {
    fn from(bool: bool) -> Self {
        Value::Bool(bool)
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Value::Int(int)
    }
}

impl From<f64> for Value {
    fn from(float: f64) -> Self {
        Value::Float(float)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::value;

    #[test]
    fn numbers_are_ordered_by_what_they_stand_for() {
        let order = [
            Value::Null,
            Value::Bool(true),
            Value::Float(f64::NEG_INFINITY),
            Value::Float(-INT_END),
            Value::Int(i64::MIN + 1),
            Value::Float(-1.5),
            Value::Int(-1),
            Value::Float(-0.5),
            Value::Int(0),
            Value::Float(-0.0),
            Value::Float(0.0),
            Value::Float(0.5),
            Value::Int(1),
            Value::Float(1.0),
            Value::Float(9_007_199_254_740_992.0),
            Value::Int(9_007_199_254_740_993),
            Value::Int(i64::MAX),
            Value::Float(INT_END),
            Value::Float(f64::INFINITY),
            Value::Float(f64::NAN),
            Value::from(""),
            Value::Bytes(Vec::new()),
            Value::List(Vec::new()),
            Value::Struct(Vec::new()),
        ];
        for (at, low) in order.iter().enumerate() {
            assert_eq!(low, low);
            for high in &order[at + 1..] {
                assert_eq!(low.cmp(high), Ordering::Less, "{low:?} {high:?}");
                assert_eq!(high.cmp(low), Ordering::Greater, "{high:?} {low:?}");
            }
        }
        // The smallest i64 is a float too, and the Int comes first.
        assert_eq!(Value::Int(i64::MIN).cmp(&Value::Float(-INT_END)), Ordering::Less);
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in value(), b in value(), c in value()) {
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            let mut sorted = [a, b, c];
            sorted.sort();
            let [a, b, c] = sorted;
            prop_assert!(a <= b && b <= c && a <= c);
        }

        #[test]
        fn equal_values_have_equal_bytes(a in value(), b in value()) {
            let bytes = |value: &Value| {
                let mut bytes = Vec::new();
                value.encode(&mut bytes);
                bytes
            };
            prop_assert_eq!(a == b, bytes(&a) == bytes(&b));
        }
    }
}
