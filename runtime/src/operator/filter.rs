//! `where`: which records enter a function at all.

use std::collections::BTreeMap;

use serde_json::Value;

/// Fields of a JSON value and what they must be.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    fields: BTreeMap<String, Value>,
}

impl Filter {
    /// All of these must be equal.
    pub fn new(fields: &BTreeMap<String, Value>) -> Self {
        Filter { fields: fields.clone() }
    }

    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Whether a record with this value enters. What is no JSON object enters too: the function rejects it with a
    /// reason, where a filter would lose it without one.
    pub fn admits(&self, value: Option<&[u8]>) -> bool {
        if self.fields.is_empty() {
            return true;
        }
        let Some(value) = value else { return true };
        match serde_json::from_slice::<BTreeMap<String, Value>>(value) {
            Ok(object) => self.fields.iter().all(|(name, right)| object.get(name) == Some(right)),
            Err(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_fields_must_be_equal_and_what_is_no_object_enters() {
        let side = Filter::new(&BTreeMap::from([("side".to_owned(), Value::from("BUY"))]));
        let cases: [(Option<&[u8]>, bool); 6] = [
            (Some(br#"{"side":"BUY","n":1}"#), true),
            (Some(br#"{"side":"SELL"}"#), false),
            (Some(br#"{"n":1}"#), false),
            (Some(b"nonsense"), true),
            (Some(b"[1]"), true),
            (None, true),
        ];
        for (value, enters) in cases {
            assert_eq!(side.admits(value), enters, "{value:?}");
        }
        assert!(Filter::default().admits(Some(b"{}")));
    }
}
