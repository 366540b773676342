//! What functions keep, as people and tools see it: by the codecs that descriptions name.
//!
//! | codec | stored | as text | as JSON |
//! |---|---|---|---|
//! | `i32`, `i64` of a value | big-endian | decimal | a number |
//! | `u8` to `u64`, `i8` to `i64` of a map's key | big-endian, the sign bit flipped | decimal | a number |
//! | `(text,i64)` of a map's key | one after the other; `text` and `bytes` with every 0 as 0 255, then 0 0 | JSON | an array |
//! | `json` | as it is | as it is | as it is |
//! | all others | as they are | as they are | text, else `{"base64": …}` |
//!
//! What does not fit its codec is shown as bytes.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// Codecs of a store or table, as descriptions name them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Codecs {
    /// Of the keys of a map's entries; empty for what has none.
    pub entry: String,
    /// Of the values.
    pub value: String,
}

impl Codecs {
    /// A value as JSON.
    pub fn value_json(&self, bytes: &[u8]) -> Value {
        if self.value == "json"
            && let Ok(value) = serde_json::from_slice(bytes)
        {
            return value;
        }
        integer(&self.value, bytes).map_or_else(|| plain_json(bytes), Value::from)
    }

    /// A value as text.
    pub fn value_text(&self, bytes: &[u8]) -> Vec<u8> {
        match integer(&self.value, bytes) {
            Some(number) => number.to_string().into_bytes(),
            None => bytes.to_vec(),
        }
    }

    /// The value that a text stands for.
    ///
    /// # Errors
    /// In words, where it stands for none.
    pub fn value_of(&self, text: &[u8]) -> Result<Vec<u8>, String> {
        match &*self.value {
            "i64" => number::<i64>(text, "i64").map(|number| number.to_be_bytes().to_vec()),
            "i32" => number::<i32>(text, "i32").map(|number| number.to_be_bytes().to_vec()),
            _ => Ok(text.to_vec()),
        }
    }

    /// The key of an entry as JSON.
    pub fn entry_json(&self, bytes: &[u8]) -> Value {
        let key = KeyCodec::parse(&self.entry).and_then(|codec| codec.read_all(bytes));
        key.unwrap_or_else(|| plain_json(bytes))
    }

    /// The key of an entry as text.
    pub fn entry_text(&self, bytes: &[u8]) -> Vec<u8> {
        match KeyCodec::parse(&self.entry) {
            Some(codec) if !codec.is_plain() => match codec.read_all(bytes) {
                Some(key) => key.to_string().into_bytes(),
                None => bytes.to_vec(),
            },
            _ => bytes.to_vec(),
        }
    }

    /// The key of an entry that a text stands for.
    ///
    /// # Errors
    /// In words, where it stands for none.
    pub fn entry_of(&self, text: &[u8]) -> Result<Vec<u8>, String> {
        let Some(codec) = KeyCodec::parse(&self.entry).filter(|codec| !codec.is_plain()) else {
            return Ok(text.to_vec());
        };
        let wrong =
            || format!("`{}` is no key of the codec {}", String::from_utf8_lossy(text), self.entry);
        let key: Value = serde_json::from_slice(text).map_err(|_| wrong())?;
        let mut bytes = Vec::new();
        codec.write(&key, &mut bytes).ok_or_else(wrong)?;
        Ok(bytes)
    }
}

/// Bytes as JSON: text where they are that.
pub fn plain_json(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

fn integer(codec: &str, bytes: &[u8]) -> Option<i64> {
    match codec {
        "i64" => Some(i64::from_be_bytes(bytes.try_into().ok()?)),
        "i32" => Some(i32::from_be_bytes(bytes.try_into().ok()?).into()),
        _ => None,
    }
}

fn number<T: std::str::FromStr>(text: &[u8], codec: &str) -> Result<T, String> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| format!("`{}` is no {codec}", String::from_utf8_lossy(text)))
}

/// The codec of a map's keys.
enum KeyCodec {
    Bytes,
    Integer { bytes: usize, signed: bool },
    Tuple(Vec<KeyCodec>),
}

impl KeyCodec {
    fn parse(text: &str) -> Option<KeyCodec> {
        let mut rest = text;
        let codec = KeyCodec::take(&mut rest)?;
        rest.is_empty().then_some(codec)
    }

    fn take(rest: &mut &str) -> Option<KeyCodec> {
        if let Some(mut inside) = rest.strip_prefix('(') {
            let mut parts = Vec::new();
            loop {
                parts.push(KeyCodec::take(&mut inside)?);
                let next = inside.chars().next()?;
                inside = &inside[1..];
                match next {
                    ',' => {}
                    ')' => break,
                    _ => return None,
                }
            }
            *rest = inside;
            return Some(KeyCodec::Tuple(parts));
        }
        let end = rest.find([',', ')']).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        *rest = behind;
        if matches!(name, "text" | "bytes") {
            return Some(KeyCodec::Bytes);
        }
        let signed = name.starts_with('i');
        let bits: usize = name.strip_prefix(['i', 'u'])?.parse().ok()?;
        matches!(bits, 8 | 16 | 32 | 64).then_some(KeyCodec::Integer { bytes: bits / 8, signed })
    }

    /// Whether its bytes are the text.
    fn is_plain(&self) -> bool {
        matches!(self, KeyCodec::Bytes)
    }

    /// The whole key.
    fn read_all(&self, bytes: &[u8]) -> Option<Value> {
        if self.is_plain() {
            return Some(plain_json(bytes));
        }
        let mut rest = bytes;
        let key = self.read(&mut rest)?;
        rest.is_empty().then_some(key)
    }

    fn read(&self, rest: &mut &[u8]) -> Option<Value> {
        match self {
            KeyCodec::Bytes => {
                let mut part = Vec::new();
                loop {
                    let (byte, behind) = rest.split_first()?;
                    *rest = behind;
                    if *byte == 0 {
                        let (after, behind) = rest.split_first()?;
                        *rest = behind;
                        match after {
                            0 => return Some(plain_json(&part)),
                            255 => {}
                            _ => return None,
                        }
                    }
                    part.push(*byte);
                }
            }
            KeyCodec::Integer { bytes, signed } => {
                let (own, behind) = rest.split_at_checked(*bytes)?;
                *rest = behind;
                let mut wide = [0; 8];
                wide[8 - bytes..].copy_from_slice(own);
                let unsigned = u64::from_be_bytes(wide);
                if !signed {
                    return Some(unsigned.into());
                }
                // The sign bit flipped is the number plus half of the range.
                let half = 1_i128 << (bytes * 8 - 1);
                i64::try_from(i128::from(unsigned) - half).ok().map(Value::from)
            }
            KeyCodec::Tuple(parts) => parts
                .iter()
                .map(|part| part.read(rest))
                .collect::<Option<Vec<_>>>()
                .map(Value::from),
        }
    }

    fn write(&self, key: &Value, bytes: &mut Vec<u8>) -> Option<()> {
        match self {
            KeyCodec::Bytes => {
                let part = match key {
                    Value::String(text) => text.clone().into_bytes(),
                    other => STANDARD.decode(other.get("base64")?.as_str()?).ok()?,
                };
                for byte in part {
                    bytes.push(byte);
                    if byte == 0 {
                        bytes.push(255);
                    }
                }
                bytes.extend([0, 0]);
            }
            KeyCodec::Integer { bytes: length, signed } => {
                let number =
                    key.as_i64().map(i128::from).or_else(|| key.as_u64().map(i128::from))?;
                let half = if *signed { 1_i128 << (length * 8 - 1) } else { 0 };
                let shifted = u64::try_from(number + half).ok()?;
                if *length < 8 && shifted >> (length * 8) != 0 {
                    return None;
                }
                bytes.extend_from_slice(&shifted.to_be_bytes()[8 - length..]);
            }
            KeyCodec::Tuple(parts) => {
                let keys = key.as_array().filter(|keys| keys.len() == parts.len())?;
                for (part, key) in parts.iter().zip(keys) {
                    part.write(key, bytes)?;
                }
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn codecs(entry: &str, value: &str) -> Codecs {
        Codecs { entry: entry.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn values_are_shown_by_their_codec() {
        let shown = |codec: &str, bytes: &[u8]| codecs("", codec).value_json(bytes);
        assert_eq!(shown("json", b"{\"a\": 1}"), json!({ "a": 1 }));
        assert_eq!(shown("json", b"{"), json!("{"));
        assert_eq!(shown("text", b"5"), json!("5"));
        assert_eq!(shown("bytes", &[255]), json!({ "base64": "/w==" }));
        assert_eq!(shown("i64", &(-5_i64).to_be_bytes()), json!(-5));
        assert_eq!(shown("i32", &7_i32.to_be_bytes()), json!(7));
        assert_eq!(shown("i64", b"abc"), json!("abc"), "not eight bytes");
        let counter = codecs("", "i64");
        assert_eq!(counter.value_text(&3_i64.to_be_bytes()), b"3");
        assert_eq!(counter.value_of(b"-3").unwrap(), (-3_i64).to_be_bytes());
        assert_eq!(counter.value_of(b"three").unwrap_err(), "`three` is no i64");
    }

    #[test]
    fn keys_of_maps_are_shown_by_their_codec() {
        let key = codecs("(text,(i64,bytes),u8)", "");
        let bytes = key.entry_of(br#"["a",[-1,"b"],9]"#).unwrap();
        let expected = [&b"a\0\0"[..], &[0x7f, 255, 255, 255, 255, 255, 255, 255], b"b\0\0", &[9]];
        assert_eq!(bytes, expected.concat());
        assert_eq!(key.entry_text(&bytes), br#"["a",[-1,"b"],9]"#);
        assert_eq!(key.entry_json(&bytes), json!(["a", [-1, "b"], 9]));
        assert_eq!(key.entry_json(b"?"), json!("?"), "what is none is shown as it is");
        for wrong in [&br#"["a"]"#[..], b"a", br#"["a",[1,"b"],256]"#, br#"["a",["b",1],1]"#] {
            assert!(key.entry_of(wrong).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
        let text = codecs("text", "");
        assert_eq!(
            (text.entry_of(b"5").unwrap(), text.entry_text(b"5")),
            (b"5".to_vec(), b"5".to_vec())
        );
        let number = codecs("i16", "");
        assert_eq!(number.entry_of(b"-2").unwrap(), [0x7f, 0xfe]);
        assert!(number.entry_of(b"40000").is_err());
    }

    proptest! {
        #[test]
        fn keys_read_back_and_keep_their_order(a in any::<(i32, u64)>(), b in any::<(i32, u64)>(), text in ".{0,5}") {
            let codec = codecs("(text,i32,u64)", "");
            let write = |(one, two): (i32, u64)| {
                let key = json!([&text, one, two]).to_string();
                let bytes = codec.entry_of(key.as_bytes()).unwrap();
                assert_eq!(codec.entry_text(&bytes), key.as_bytes());
                bytes
            };
            prop_assert_eq!(write(a).cmp(&write(b)), a.cmp(&b));
        }

        #[test]
        fn no_bytes_break_it(codec in "[(]?(text|i8|u64|bytes)?(,[(]?(i64|text)[)]?)?[)]?", bytes in any::<Vec<u8>>()) {
            let codec = codecs(&codec, &codec);
            let _ = (codec.entry_json(&bytes), codec.entry_text(&bytes), codec.entry_of(&bytes));
            let _ = (codec.value_json(&bytes), codec.value_text(&bytes), codec.value_of(&bytes));
        }
    }
}
