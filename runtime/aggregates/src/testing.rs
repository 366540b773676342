//! What property tests draw from.

use proptest::prelude::*;

use crate::Value;

/// Any float, those that are no numbers too.
pub(crate) fn float() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), any::<u64>().prop_map(f64::from_bits), (-3..3i32).prop_map(f64::from)]
}

/// Any Int, near each other now and then.
pub(crate) fn int() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), -3..3i64]
}

/// Any value that holds no others.
pub(crate) fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        int().prop_map(Value::Int),
        float().prop_map(Value::Float),
        ".{0,4}".prop_map(Value::Text),
        proptest::collection::vec(any::<u8>(), 0..4).prop_map(Value::Bytes),
    ]
}

/// Any value.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            proptest::collection::vec((".{0,3}", inner), 0..4).prop_map(Value::Struct),
        ]
    })
}
