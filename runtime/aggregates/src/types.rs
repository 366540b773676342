//! [`Type`]: what a column may hold.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::Value;

/// What a column may hold. Null is allowed everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// Whatever comes.
    Any,
    /// True or false.
    Bool,
    /// Whole numbers within i64.
    Int,
    /// Numbers; an Int becomes a Float.
    Float,
    /// Text.
    Text,
    /// Bytes; Text is read as base64, as it is in JSON.
    Bytes,
    /// Values of one type.
    List(Box<Type>),
    /// Values of one type under names that are data: what a histogram gives.
    Map(Box<Type>),
    /// Values under names that are known. A field that is missing is Null, one that is not listed is left out.
    Struct(Vec<(String, Type)>),
}

/// A value is not of the type its column has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct Mismatch {
    /// The type.
    pub expected: Type,
    /// What kind of value came.
    pub found: &'static str,
}

impl Type {
    /// The value as this type has it: an Int becomes a Float where that is wanted, base64 becomes bytes, the fields of
    /// a Struct are brought in order.
    ///
    /// # Errors
    /// [`Mismatch`], with the innermost type that did not fit.
    pub fn conform(&self, value: Value) -> Result<Value, Mismatch> {
        Ok(match (self, value) {
            (_, Value::Null) => Value::Null,
            (Type::Any, value)
            | (Type::Bool, value @ Value::Bool(_))
            | (Type::Int, value @ Value::Int(_))
            | (Type::Float, value @ Value::Float(_))
            | (Type::Text, value @ Value::Text(_))
            | (Type::Bytes, value @ Value::Bytes(_)) => value,
            (Type::Float, Value::Int(int)) => Value::Float(int as f64),
            (Type::Bytes, Value::Text(text)) => match STANDARD.decode(text) {
                Ok(bytes) => Value::Bytes(bytes),
                Err(_) => return Err(self.mismatch("text that is not base64")),
            },
            (Type::List(item), Value::List(items)) => {
                let items = items.into_iter().map(|value| item.conform(value));
                Value::List(items.collect::<Result<_, _>>()?)
            }
            (Type::Map(item), Value::Struct(fields)) => {
                let fields =
                    fields.into_iter().map(|(name, value)| Ok((name, item.conform(value)?)));
                Value::Struct(fields.collect::<Result<_, _>>()?)
            }
            (Type::Struct(types), Value::Struct(mut fields)) => {
                let fields = types.iter().map(|(name, of)| {
                    let value = fields
                        .iter_mut()
                        .find(|(found, _)| found == name)
                        .map_or(Value::Null, |(_, value)| std::mem::replace(value, Value::Null));
                    Ok((name.clone(), of.conform(value)?))
                });
                Value::Struct(fields.collect::<Result<_, _>>()?)
            }
            (_, value) => return Err(self.mismatch(value.kind())),
        })
    }

    fn mismatch(&self, found: &'static str) -> Mismatch {
        Mismatch { expected: self.clone(), found }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Any => f.write_str("any"),
            Type::Bool => f.write_str("bool"),
            Type::Int => f.write_str("int"),
            Type::Float => f.write_str("float"),
            Type::Text => f.write_str("text"),
            Type::Bytes => f.write_str("bytes"),
            Type::List(item) => write!(f, "list<{item}>"),
            Type::Map(item) => write!(f, "map<{item}>"),
            Type::Struct(fields) => {
                f.write_str("struct<")?;
                for (at, (name, of)) in fields.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(f, "{comma}{name}: {of}")?;
                }
                f.write_str(">")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_brought_to_their_type() {
        let of = Type::Struct(vec![
            ("price".into(), Type::Float),
            ("tags".into(), Type::List(Box::new(Type::Text))),
            ("raw".into(), Type::Bytes),
            ("left".into(), Type::Int),
        ]);
        let value: Value =
            serde_json::from_str(r#"{"raw":"AP8=","more":1,"tags":["a",null],"price":3}"#).unwrap();
        let expected = Value::Struct(vec![
            ("price".into(), Value::Float(3.0)),
            ("tags".into(), Value::List(vec![Value::from("a"), Value::Null])),
            ("raw".into(), Value::Bytes(vec![0, 255])),
            ("left".into(), Value::Null),
        ]);
        assert_eq!(of.conform(value), Ok(expected));
        assert_eq!(of.to_string(), "struct<price: float, tags: list<text>, raw: bytes, left: int>");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let error = |of: Type, value: Value| of.conform(value).unwrap_err().to_string();
        assert_eq!(error(Type::Int, Value::Float(1.0)), "expected int, found a float");
        assert_eq!(
            error(Type::Bytes, Value::from("?")),
            "expected bytes, found text that is not base64"
        );
        let map = Type::Map(Box::new(Type::Int));
        let fields =
            Value::Struct(vec![("a".into(), Value::Int(1)), ("b".into(), Value::from("x"))]);
        assert_eq!(error(map.clone(), fields), "expected int, found text");
        assert_eq!(error(map, Value::List(vec![])), "expected map<int>, found a list");
    }
}
