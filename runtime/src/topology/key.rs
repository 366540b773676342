//! Where a key comes from that is not the record's own.

use tidemill_aggregates::Value;

use super::format::{Format, text};
use crate::record::Record;

/// Where a key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyFrom {
    /// It is the record's key.
    Key,
    /// The last header of this name; none where there is none.
    Header(String),
    /// A column of the value: text as it is, numbers and truth in decimal and words, none where it is missing or null;
    /// what has parts is refused.
    Column {
        /// How values are written.
        format: Format,
        /// Its name.
        name: String,
    },
}

impl KeyFrom {
    /// The key of a record; `buffer` holds it where it is not in the record as it is.
    ///
    /// # Errors
    /// In words, where the value is none of its format, or the column has parts.
    pub fn read<'a>(
        &self,
        record: &Record<'a>,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Option<&'a [u8]>, String> {
        match self {
            KeyFrom::Key => Ok(record.key),
            KeyFrom::Header(name) => {
                let named = record.headers.iter().filter(|header| header.name == name);
                Ok(named.last().and_then(|header| header.value))
            }
            KeyFrom::Column { format, name } => {
                buffer.clear();
                let mut column = Vec::new();
                format.columns(record.value, std::slice::from_ref(name), &mut column)?;
                match &column[0] {
                    Value::Null => return Ok(None),
                    // As the number is on a topic of its own.
                    Value::Bytes(bytes) => buffer.extend_from_slice(bytes),
                    value => {
                        let text = text(value).map_err(|_| {
                            format!("`{name}` is {}, which is no key", value.kind())
                        })?;
                        buffer.extend_from_slice(text.as_bytes());
                    }
                }
                Ok(Some(buffer))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{HeadersWriter, Offset, Timestamp};

    #[test]
    fn keys_are_columns_and_headers() {
        let mut headers = HeadersWriter::new();
        headers.push("user", Some(b"a"));
        headers.push("user", Some(b"b"));
        headers.push("none", None);
        let key = |from: &KeyFrom, value: Option<&[u8]>| -> Result<Option<Vec<u8>>, String> {
            let record = Record {
                offset: Offset(0),
                timestamp: Timestamp(0),
                key: Some(b"own"),
                value,
                headers: headers.headers(),
            };
            Ok(from.read(&record, &mut Vec::new())?.map(<[u8]>::to_vec))
        };
        let json = |value: &str| {
            let from = KeyFrom::Column { format: Format::Json, name: "id".to_owned() };
            key(&from, Some(value.as_bytes()))
                .map(|key| key.map(|key| String::from_utf8(key).unwrap()))
        };
        assert_eq!(json(r#"{"id":"o-1"}"#).unwrap().as_deref(), Some("o-1"));
        assert_eq!(json(r#"{"id":-7}"#).unwrap().as_deref(), Some("-7"));
        assert_eq!(json(r#"{"id":1.5}"#).unwrap().as_deref(), Some("1.5"));
        assert_eq!(json(r#"{"id":true}"#).unwrap().as_deref(), Some("true"));
        assert_eq!(json(r#"{"id":null}"#).unwrap(), None);
        assert_eq!(json("{}").unwrap(), None);
        assert_eq!(json(r#"{"id":[1]}"#).unwrap_err(), "`id` is a list, which is no key");
        assert!(json("nonsense").unwrap_err().starts_with("value is not JSON"));
        let column = KeyFrom::Column { format: Format::Json, name: "id".to_owned() };
        assert_eq!(key(&column, None).unwrap(), None);
        assert_eq!(key(&KeyFrom::Key, None).unwrap().as_deref(), Some(&b"own"[..]));
        assert_eq!(
            key(&KeyFrom::Header("user".to_owned()), None).unwrap().as_deref(),
            Some(&b"b"[..])
        );
        assert_eq!(key(&KeyFrom::Header("none".to_owned()), None).unwrap(), None);
        assert_eq!(key(&KeyFrom::Header("else".to_owned()), None).unwrap(), None);
    }
}
