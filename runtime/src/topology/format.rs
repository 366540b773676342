//! How keys and values are written, and the columns that can be read of them.
//!
//! A [`Format`] turns bytes into a [`Value`] and back. Of a JSON object the columns are its fields; any other value has
//! the one column `value`. A [`Layout`] is a format, or two of them where the value is a row of a join: its columns
//! are `left` and `right` and what is in them, as in `left.amount`.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use tidemill_aggregates::Value;
use tidemill_layout::joined::Joined;

/// How keys or values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A JSON object, its fields the columns; or any other JSON value.
    Json,
    /// UTF-8 text.
    String,
    /// Bytes as they are.
    Bytes,
    /// 8 bytes, big-endian, signed.
    Long,
    /// 8 bytes, big-endian, IEEE 754.
    Double,
    /// Both sides of a join in one: never on a topic.
    Joined,
}

/// The only column of a value that has no fields.
pub const VALUE: &str = "value";

impl Format {
    /// All that may be on a topic, as they are written in manifests.
    pub const NAMES: [&str; 5] = ["json", "string", "bytes", "long", "double"];

    /// The format of that name.
    pub fn parse(name: &str) -> Option<Format> {
        match name {
            "json" => Some(Format::Json),
            "string" => Some(Format::String),
            "bytes" => Some(Format::Bytes),
            "long" => Some(Format::Long),
            "double" => Some(Format::Double),
            _ => None,
        }
    }

    /// The format of what a function takes or gives, by the name of its codec; `None` where the host knows none.
    pub fn of_codec(codec: &str) -> Option<Format> {
        match codec {
            "json" => Some(Format::Json),
            "text" => Some(Format::String),
            "bytes" => Some(Format::Bytes),
            "i64" => Some(Format::Long),
            "f64" => Some(Format::Double),
            _ => None,
        }
    }

    /// Whether what is written as `self` can be read as `other`.
    pub fn reads_as(self, other: Format) -> bool {
        self == other
            || self == Format::Bytes
            || other == Format::Bytes
            || (self, other) == (Format::Json, Format::String)
    }

    /// The value that these bytes stand for.
    ///
    /// # Errors
    /// In words, where they stand for none.
    pub fn decode(self, bytes: &[u8]) -> Result<Value, String> {
        let eight = |what: &str| -> Result<[u8; 8], String> {
            let found = bytes.len();
            bytes.try_into().map_err(|_| format!("value is no {what}: it has {found} bytes, not 8"))
        };
        match self {
            Format::Json => serde_json::from_slice(bytes).map_err(no_json),
            Format::String => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Value::from(text)),
                Err(_) => Err("value is not UTF-8 text".to_owned()),
            },
            Format::Bytes => Ok(Value::Bytes(bytes.to_vec())),
            Format::Long => Ok(Value::Int(i64::from_be_bytes(eight("long")?))),
            Format::Double => Ok(Value::Float(f64::from_be_bytes(eight("double")?))),
            Format::Joined => Err("a row of a join has no value of its own".to_owned()),
        }
    }

    /// Reads columns: `out` then has one value for each name, null where there is none.
    ///
    /// # Errors
    /// In words, where the bytes are no value of this format.
    pub fn columns(
        self,
        value: Option<&[u8]>,
        names: &[String],
        out: &mut Vec<Value>,
    ) -> Result<(), String> {
        out.clear();
        out.resize(names.len(), Value::Null);
        let Some(bytes) = value else { return Ok(()) };
        if self == Format::Json {
            let mut reader = serde_json::Deserializer::from_slice(bytes);
            Fields { names, out }.deserialize(&mut reader).map_err(no_json)?;
            return reader.end().map_err(no_json);
        }
        let whole = self.decode(bytes)?;
        for (_, column) in names.iter().zip(out).filter(|(name, _)| *name == VALUE) {
            *column = whole.clone();
        }
        Ok(())
    }

    /// Writes a value.
    ///
    /// # Errors
    /// In words, where this format cannot hold it.
    pub fn encode(self, value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
        match (self, value) {
            (Format::Json, value) => {
                serde_json::to_writer(out, value).map_err(|error| error.to_string())?;
            }
            (Format::String, value) => out.extend_from_slice(text(value)?.as_bytes()),
            (Format::Bytes, Value::Bytes(bytes)) => out.extend_from_slice(bytes),
            (Format::Bytes, Value::Text(text)) => out.extend_from_slice(text.as_bytes()),
            (Format::Long, Value::Int(number)) => out.extend_from_slice(&number.to_be_bytes()),
            (Format::Double, Value::Float(number)) => out.extend_from_slice(&number.to_be_bytes()),
            #[expect(clippy::cast_precision_loss, reason = "a double is asked for")]
            (Format::Double, Value::Int(number)) => {
                out.extend_from_slice(&(*number as f64).to_be_bytes());
            }
            (format, value) => {
                return Err(format!("{} cannot be written as {format}", value.kind()));
            }
        }
        Ok(())
    }
}

/// The text of a plain value: text as it is, numbers and truth in decimal and words.
///
/// # Errors
/// In words, for what has parts or is none.
pub(super) fn text(value: &Value) -> Result<std::borrow::Cow<'_, str>, String> {
    match value {
        Value::Text(text) => Ok(text.as_str().into()),
        Value::Int(number) => Ok(number.to_string().into()),
        Value::Float(number) => Ok(number.to_string().into()),
        Value::Bool(truth) => Ok(truth.to_string().into()),
        other => Err(format!("{} has no text", other.kind())),
    }
}

fn no_json(error: serde_json::Error) -> String {
    let (text, column) = (error.to_string(), error.column());
    let text = text.split(" at line ").next().unwrap_or_default();
    format!("value is not JSON: {text} at column {column}")
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Json => "json",
            Format::String => "string",
            Format::Bytes => "bytes",
            Format::Long => "long",
            Format::Double => "double",
            Format::Joined => "joined",
        })
    }
}

/// Reads the named fields of an object and skips the others; what is no object has none, but for the column `value`.
struct Fields<'a> {
    names: &'a [String],
    out: &'a mut [Value],
}

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Fields<'_> {
    fn whole<E>(self, value: Value) -> Result<(), E> {
        for (_, column) in self.names.iter().zip(self.out).filter(|(name, _)| *name == VALUE) {
            *column = value.clone();
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(at) = map.next_key_seed(Name(self.names))? {
            match at {
                Some(at) => {
                    let value: Value = map.next_value()?;
                    // A name may be asked for twice.
                    for again in
                        (at + 1..self.names.len()).filter(|n| self.names[*n] == self.names[at])
                    {
                        self.out[again] = value.clone();
                    }
                    self.out[at] = value;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        self.whole(Value::List(items))
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.whole(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.whole(Value::Int(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a number beyond 64 bits is a float, as in all of JSON"
        )]
        let value = i64::try_from(value).map_or(Value::Float(value as f64), Value::Int);
        self.whole(value)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        if !value.is_finite() {
            return Err(E::custom("a number that is not finite"));
        }
        self.whole(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.whole(Value::from(value))
    }
}

/// Which of the names a key is.
struct Name<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|name| name == text))
    }
}

/// How a value is written, down to the sides of a join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// In one format.
    One(Format),
    /// A row of a join: its left and its right side.
    Sides(Box<Layout>, Box<Layout>),
}

/// The columns of a joined row.
const LEFT: &str = "left";
const RIGHT: &str = "right";

impl Layout {
    /// Its format as a whole.
    pub fn format(&self) -> Format {
        match self {
            Layout::One(format) => *format,
            Layout::Sides(..) => Format::Joined,
        }
    }

    /// How many values it is made of.
    pub(super) fn sides(&self) -> usize {
        match self {
            Layout::One(_) => 1,
            Layout::Sides(left, right) => left.sides() + right.sides(),
        }
    }

    /// Reads columns: see [`Format::columns`].
    ///
    /// # Errors
    /// As there.
    pub fn columns(
        &self,
        value: Option<&[u8]>,
        names: &[String],
        out: &mut Vec<Value>,
    ) -> Result<(), String> {
        match self {
            Layout::One(format) => format.columns(value, names, out),
            Layout::Sides(left, right) => {
                out.clear();
                out.resize(names.len(), Value::Null);
                let Some(bytes) = value else { return Ok(()) };
                let row = row(bytes)?;
                left.side(LEFT, row.left, names, out)?;
                right.side(RIGHT, row.right, names, out)
            }
        }
    }

    /// Fills in the columns that begin with the side's name.
    fn side(
        &self,
        side: &str,
        value: Option<&[u8]>,
        names: &[String],
        out: &mut [Value],
    ) -> Result<(), String> {
        let Some(value) = value else { return Ok(()) };
        let mut inner = Vec::new();
        let mut at = Vec::new();
        for (index, name) in names.iter().enumerate() {
            if name == side {
                out[index] = self.whole(value)?;
            } else if let Some(rest) = within(name, side) {
                inner.push(rest.to_owned());
                at.push(index);
            }
        }
        if inner.is_empty() {
            return Ok(());
        }
        let mut columns = Vec::new();
        self.columns(Some(value), &inner, &mut columns)?;
        for (index, column) in at.into_iter().zip(columns) {
            out[index] = column;
        }
        Ok(())
    }

    /// The whole value.
    ///
    /// # Errors
    /// In words, where the bytes are no such value.
    pub fn whole(&self, bytes: &[u8]) -> Result<Value, String> {
        match self {
            Layout::One(format) => format.decode(bytes),
            Layout::Sides(left, right) => {
                let row = row(bytes)?;
                let side = |layout: &Layout, bytes: Option<&[u8]>| {
                    bytes.map_or(Ok(Value::Null), |bytes| layout.whole(bytes))
                };
                Ok(Value::Struct(vec![
                    (LEFT.to_owned(), side(left, row.left)?),
                    (RIGHT.to_owned(), side(right, row.right)?),
                ]))
            }
        }
    }

    /// Whether a value may have this column, as far as that is known without seeing it.
    pub fn may_have(&self, name: &str) -> bool {
        match self {
            Layout::One(Format::Json) => true,
            Layout::One(_) => name == VALUE,
            Layout::Sides(left, right) => {
                [(LEFT, left), (RIGHT, right)].iter().any(|(side, layout)| {
                    name == *side || within(name, side).is_some_and(|rest| layout.may_have(rest))
                })
            }
        }
    }
}

fn row(bytes: &[u8]) -> Result<Joined<'_>, String> {
    Joined::parse(bytes).map_err(|_| "value is no row of a join".to_owned())
}

/// What stands behind `side.` in a name.
fn within<'n>(name: &'n str, side: &str) -> Option<&'n str> {
    name.strip_prefix(side)?.strip_prefix('.')
}

#[cfg(test)]
mod tests {
    use tidemill_layout::joined;

    use super::*;

    fn columns(layout: &Layout, value: &[u8], names: &[&str]) -> Result<Vec<Value>, String> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut out = vec![Value::Bool(true)];
        layout.columns(Some(value), &names, &mut out).map(|()| out)
    }

    #[test]
    fn columns_of_objects_are_their_fields() {
        let json = Layout::One(Format::Json);
        let text = br#"{"a":1,"skipped":[{"a":2}],"b\u0062":"x","n":null}"#;
        let read = columns(&json, text, &["bb", "a", "n", "none", "a"]).unwrap();
        let expected = [Value::from("x"), Value::Int(1), Value::Null, Value::Null, Value::Int(1)];
        assert_eq!(read, expected);
        assert_eq!(
            columns(&json, b"[1]", &["a", "value"]).unwrap()[1],
            Value::List(vec![Value::Int(1)])
        );
        assert_eq!(columns(&json, b"7", &["value"]).unwrap(), [Value::Int(7)]);
        let big = columns(&json, b"18446744073709551615", &["value"]).unwrap();
        assert_eq!(big, [Value::Float(18_446_744_073_709_551_615.0)]);
        assert_eq!(
            columns(&json, b"{\"a\":1", &["a"]).unwrap_err(),
            "value is not JSON: EOF while parsing an object at column 6"
        );
        assert_eq!(
            columns(&json, b"{} x", &[]).unwrap_err(),
            "value is not JSON: trailing characters at column 4"
        );
    }

    #[test]
    fn plain_values_have_one_column() {
        let cases: [(Format, &[u8], Value); 4] = [
            (Format::String, b"a", Value::from("a")),
            (Format::Bytes, &[255], Value::Bytes(vec![255])),
            (Format::Long, &(-3_i64).to_be_bytes(), Value::Int(-3)),
            (Format::Double, &0.5_f64.to_be_bytes(), Value::Float(0.5)),
        ];
        for (format, bytes, value) in cases {
            let read = columns(&Layout::One(format), bytes, &["value", "other"]).unwrap();
            assert_eq!(read, [value.clone(), Value::Null]);
            let mut written = Vec::new();
            format.encode(&value, &mut written).unwrap();
            assert_eq!(written, bytes, "{format}");
        }
        assert_eq!(
            Format::Long.decode(b"abc").unwrap_err(),
            "value is no long: it has 3 bytes, not 8"
        );
        assert_eq!(Format::String.decode(&[255]).unwrap_err(), "value is not UTF-8 text");
        let error = Format::Long.encode(&Value::from("a"), &mut Vec::new()).unwrap_err();
        assert_eq!(error, "text cannot be written as long");
    }

    #[test]
    fn columns_of_joined_rows_are_those_of_their_sides() {
        let inner =
            Layout::Sides(Box::new(Layout::One(Format::Json)), Box::new(Layout::One(Format::Long)));
        let layout = Layout::Sides(Box::new(inner), Box::new(Layout::One(Format::String)));
        let (mut inner, mut row) = (Vec::new(), Vec::new());
        joined::encode(Some(b"{\"a\":5}"), Some(&7_i64.to_be_bytes()), &mut inner);
        joined::encode(Some(&inner), None, &mut row);
        let read =
            columns(&layout, &row, &["left.left.a", "left.right", "right", "left.right.value"])
                .unwrap();
        assert_eq!(read, [Value::Int(5), Value::Int(7), Value::Null, Value::Int(7)]);
        let whole = Value::Struct(vec![
            ("left".to_owned(), serde_json::from_str(r#"{"left":{"a":5},"right":7}"#).unwrap()),
            ("right".to_owned(), Value::Null),
        ]);
        assert_eq!(layout.whole(&row).unwrap(), whole);
        assert!(layout.may_have("left.left.x") && layout.may_have("right.value"));
        assert!(!layout.may_have("left.right.x") && !layout.may_have("a"));
        assert_eq!(columns(&layout, b"x", &["right"]).unwrap_err(), "value is no row of a join");
    }
}
