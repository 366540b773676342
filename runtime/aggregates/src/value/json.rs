//! A [`Value`] as JSON, through serde.
//!
//! A JSON integer within i64 is an Int, every other number a Float. Bytes are written as base64 text; read back, they
//! are Text until [`crate::Type::conform`] says otherwise. A Float that JSON has no number for is written as null.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, SeqAccess, Visitor},
    ser::SerializeMap,
};

use super::Value;

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(bool) => serializer.serialize_bool(*bool),
            Value::Int(int) => serializer.serialize_i64(*int),
            Value::Float(float) => serializer.serialize_f64(*float),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Bytes(bytes) => serializer.serialize_str(&STANDARD.encode(bytes)),
            Value::List(items) => items.serialize(serializer),
            Value::Struct(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, bool: bool) -> Result<Value, E> {
        Ok(Value::Bool(bool))
    }

    fn visit_i64<E>(self, int: i64) -> Result<Value, E> {
        Ok(Value::Int(int))
    }

    fn visit_u64<E>(self, int: u64) -> Result<Value, E> {
        Ok(unsigned(int))
    }

    fn visit_f64<E>(self, float: f64) -> Result<Value, E> {
        Ok(Value::Float(float))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Value::Struct(fields))
    }
}

fn unsigned(int: u64) -> Value {
    i64::try_from(int).map_or(Value::Float(int as f64), Value::Int)
}

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(bool) => Value::Bool(bool),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(int), _) => Value::Int(int),
                (None, Some(int)) => unsigned(int),
                (None, None) => number.as_f64().map_or(Value::Null, Value::Float),
            },
            serde_json::Value::String(text) => Value::Text(text),
            serde_json::Value::Array(items) => {
                Value::List(items.into_iter().map(Value::from).collect())
            }
            serde_json::Value::Object(fields) => Value::Struct(
                fields.into_iter().map(|(name, value)| (name, value.into())).collect(),
            ),
        }
    }
}

impl From<Value> for serde_json::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(bool) => bool.into(),
            Value::Int(int) => int.into(),
            Value::Float(float) => float.into(),
            Value::Text(text) => text.into(),
            Value::Bytes(bytes) => STANDARD.encode(bytes).into(),
            Value::List(items) => items.into_iter().map(serde_json::Value::from).collect(),
            Value::Struct(fields) => {
                let fields = fields.into_iter().map(|(name, value)| (name, value.into()));
                serde_json::Value::Object(fields.collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_with_its_order_and_its_numbers() {
        let json =
            r#"{"b":[1,-1,1.0,9223372036854775807,9223372036854775808,true,null],"a":{"x":""}}"#;
        let value: Value = serde_json::from_str(json).unwrap();
        let numbers = vec![
            Value::Int(1),
            Value::Int(-1),
            Value::Float(1.0),
            Value::Int(i64::MAX),
            Value::Float(9_223_372_036_854_775_808.0),
            Value::Bool(true),
            Value::Null,
        ];
        let a = Value::Struct(vec![("x".into(), Value::from(""))]);
        assert_eq!(value, Value::Struct(vec![("b".into(), Value::List(numbers)), ("a".into(), a)]));
        let json = r#"{"a":[1,-2,2.5,1.0,true,null,"x"],"b":{"c":{}}}"#;
        let through: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::Value::from(Value::from(through)).to_string(), json);
    }

    #[test]
    fn bytes_are_written_as_base64_and_no_number_as_null() {
        let value = Value::List(vec![Value::Bytes(vec![0, 255]), Value::Float(f64::NAN)]);
        assert_eq!(serde_json::to_string(&value).unwrap(), r#"["AP8=",null]"#);
        assert_eq!(serde_json::Value::from(value).to_string(), r#"["AP8=",null]"#);
    }
}
