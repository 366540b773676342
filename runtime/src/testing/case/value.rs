//! Keys and values as case files write them: text where it is text, hex where it looks binary.

use std::fmt;

use serde_json::Value as Json;

use super::time::Time;

/// A key, value or header value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Not the same as empty.
    Null,
    /// Any bytes.
    Bytes(Vec<u8>),
    /// The bytes of a file beside the case file.
    File {
        /// Relative to the case file.
        name: String,
        /// What it held when the case was read.
        bytes: Vec<u8>,
    },
}

impl Value {
    /// The bytes, or `None` for null.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Null => None,
            Value::Bytes(bytes) | Value::File { bytes, .. } => Some(bytes),
        }
    }

    /// From the bytes, or `None` for null.
    pub fn of(bytes: Option<&[u8]>) -> Value {
        bytes.map_or(Value::Null, |bytes| Value::Bytes(bytes.to_vec()))
    }

    /// As one token: a key.
    pub fn token(&self) -> impl fmt::Display {
        fmt::from_fn(move |f| self.write(f, Place::Token))
    }

    /// Between brackets: the key of an entry, in quotes where it would read as a window.
    pub fn bracketed(&self) -> impl fmt::Display {
        let is_window = |bytes: &[u8]| {
            std::str::from_utf8(bytes).is_ok_and(|text| Time::parse_window(text).is_some())
        };
        fmt::from_fn(move |f| {
            f.write_str("[")?;
            match self {
                Value::Bytes(bytes) if bytes.contains(&b']') || is_window(bytes) => {
                    write_quoted(f, bytes)
                }
                _ => self.write(f, Place::Token),
            }?;
            f.write_str("]")
        })
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, place: Place) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bytes(bytes) => write_bytes(f, bytes, place),
            Value::File { name, .. } => write!(f, "file:{name}"),
        }
    }
}

/// As the rest of a line.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, Place::Rest)
    }
}

/// What a value is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Want {
    /// Byte for byte.
    Exactly(Value),
    /// As JSON: the text as written, and what it means.
    Json(String, Json),
    /// JSON with these fields at least.
    Like(String, Json),
}

impl Want {
    /// What is written for a value that came out.
    pub fn of(bytes: Option<&[u8]>) -> Want {
        let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
        match text {
            Some(text) if text.starts_with(['{', '[']) && is_verbatim(text) => {
                match serde_json::from_str(text) {
                    Ok(json) => Want::Json(text.to_owned(), json),
                    Err(_) => Want::Exactly(Value::of(bytes)),
                }
            }
            _ => Want::Exactly(Value::of(bytes)),
        }
    }

    /// Whether a value is as wanted.
    pub fn matches(&self, got: Option<&[u8]>) -> bool {
        let parsed = || got.and_then(|got| serde_json::from_slice::<Json>(got).ok());
        match self {
            Want::Exactly(value) => value.bytes() == got,
            Want::Json(_, want) => parsed().is_some_and(|got| got == *want),
            Want::Like(_, want) => parsed().is_some_and(|got| like(want, &got)),
        }
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // In quotes it is compared byte for byte, which is what it says.
            Want::Exactly(Value::Bytes(bytes)) if reads_as_json(bytes) => write_quoted(f, bytes),
            Want::Exactly(value) => value.fmt(f),
            Want::Json(text, _) => f.write_str(text),
            Want::Like(text, _) => write!(f, "like {text}"),
        }
    }
}

/// Whether `got` has all that `want` has: fields may be added in objects, at every depth.
fn like(want: &Json, got: &Json) -> bool {
    match (want, got) {
        (Json::Object(want), Json::Object(got)) => {
            want.iter().all(|(name, want)| got.get(name).is_some_and(|got| like(want, got)))
        }
        (Json::Array(want), Json::Array(got)) => {
            want.len() == got.len() && want.iter().zip(got).all(|(want, got)| like(want, got))
        }
        _ => want == got,
    }
}

fn reads_as_json(bytes: &[u8]) -> bool {
    (bytes.starts_with(b"{") || bytes.starts_with(b"["))
        && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Token,
    Rest,
}

fn write_bytes(f: &mut fmt::Formatter<'_>, bytes: &[u8], place: Place) -> fmt::Result {
    match std::str::from_utf8(bytes) {
        Ok(text) if is_verbatim(text) && (place == Place::Rest || is_token(text)) => {
            f.write_str(text)
        }
        Ok(text)
            if !text
                .chars()
                .any(|char| char.is_control() && !matches!(char, '\n' | '\r' | '\t')) =>
        {
            write_quoted(f, bytes)
        }
        _ => {
            f.write_str("hex:")?;
            bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
        }
    }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    match std::str::from_utf8(bytes) {
        Ok(text) => write!(f, "{}", Json::from(text)),
        Err(_) => {
            f.write_str("hex:")?;
            bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
        }
    }
}

/// Whether a text stands for itself as the rest of a line.
fn is_verbatim(text: &str) -> bool {
    const FORMS: [&str; 6] = ["\"", "hex:", "base64:", "file:", "json:", "like "];
    !text.is_empty()
        && text != "null"
        && !FORMS.iter().any(|form| text.starts_with(form))
        && !text.starts_with(char::is_whitespace)
        && !text.ends_with(char::is_whitespace)
        && !text.contains(char::is_control)
}

/// Whether a verbatim text stands for itself as a token that a TIME may come before.
fn is_token(text: &str) -> bool {
    !text.contains(char::is_whitespace) && Time::parse(text).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8]) -> String {
        Value::Bytes(bytes.to_vec()).to_string()
    }

    #[test]
    fn text_stays_text_and_binary_is_hex() {
        assert_eq!(shown(b"{\"id\":1}"), "{\"id\":1}");
        assert_eq!(shown(b""), "\"\"");
        assert_eq!(shown(b"null"), "\"null\"");
        assert_eq!(shown(b" a"), "\" a\"");
        assert_eq!(shown(b"two\nlines"), "\"two\\nlines\"");
        assert_eq!(shown(b"hex:00"), "\"hex:00\"");
        assert_eq!(shown(b"\"quoted\""), "\"\\\"quoted\\\"\"");
        assert_eq!(shown(b"\xff\x00"), "hex:ff00");
        assert_eq!(shown(b"a\x00"), "hex:6100");
        assert_eq!(Value::Null.to_string(), "null");
        assert_eq!(Value::Bytes(b"10:00:00".to_vec()).token().to_string(), "\"10:00:00\"");
        assert_eq!(Value::Bytes(b"two words".to_vec()).token().to_string(), "\"two words\"");
    }

    #[test]
    fn json_is_compared_by_meaning_and_like_asks_for_some_fields() {
        let json = Want::of(Some(br#"{"a":1,"b":[1,{"c":2}]}"#));
        assert!(json.matches(Some(br#"{ "b": [1, {"c": 2}], "a": 1 }"#)));
        assert!(!json.matches(Some(br#"{"a":1}"#)));
        assert!(!json.matches(None));
        let text = r#"{"b":[1,{}]}"#;
        let like = Want::Like(text.into(), serde_json::from_str(text).unwrap());
        assert!(like.matches(Some(br#"{"a":1,"b":[1,{"c":2}]}"#)));
        assert!(!like.matches(Some(br#"{"a":1,"b":[1]}"#)));
        assert!(!like.matches(Some(b"nonsense")));
        let quoted = Want::Exactly(Value::Bytes(b"{}".to_vec()));
        assert!(!quoted.matches(Some(b"{ }")));
        assert_eq!(quoted.to_string(), r#""{}""#);
    }
}
