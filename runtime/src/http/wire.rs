//! Records as JSON: what is posted, what is answered, and what `tidemill consume --json` prints.
//!
//! Keys, values and header values are bytes. Those that are UTF-8 are JSON strings, others are `{"base64": "…"}`, and
//! null is null.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
    ser::SerializeMap,
};

use crate::record::{Headers, HeadersWriter, Record, TopicPartition};

/// Bytes or null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown<'a>(pub Option<&'a [u8]>);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
            None => serializer.serialize_none(),
            Some((_, Ok(text))) => serializer.serialize_str(text),
            Some((bytes, Err(_))) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("base64", &BASE64.encode(bytes))?;
                map.end()
            }
        }
    }
}

/// A record and where it is.
#[derive(Debug, Serialize)]
pub struct RecordOut<'a> {
    topic: &'a str,
    partition: u32,
    offset: i64,
    timestamp: i64,
    key: Shown<'a>,
    value: Shown<'a>,
    headers: Vec<HeaderOut<'a>>,
}

#[derive(Debug, Serialize)]
struct HeaderOut<'a> {
    name: &'a str,
    value: Shown<'a>,
}

impl<'a> RecordOut<'a> {
    /// Of a record of a partition.
    pub fn new(partition: &'a TopicPartition, record: &Record<'a>) -> Self {
        let headers = record
            .headers
            .iter()
            .map(|header| HeaderOut { name: header.name, value: Shown(header.value) });
        RecordOut {
            topic: &partition.topic,
            partition: partition.partition.0,
            offset: record.offset.0,
            timestamp: record.timestamp.millis(),
            key: Shown(record.key),
            value: Shown(record.value),
            headers: headers.collect(),
        }
    }
}

/// Bytes or null, as read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Given(pub Option<Vec<u8>>);

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Given;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string, null, or {\"base64\": \"…\"}")
            }

            fn visit_unit<E>(self) -> Result<Given, E> {
                Ok(Given(None))
            }

            fn visit_str<E>(self, text: &str) -> Result<Given, E> {
                Ok(Given(Some(text.as_bytes().to_vec())))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Given, A::Error> {
                let only =
                    "an object must have the one field `base64`; JSON values are sent as a string";
                match map.next_key::<String>()? {
                    Some(key) if key == "base64" => {
                        let text: String = map.next_value()?;
                        if map.next_key::<IgnoredAny>()?.is_some() {
                            return Err(A::Error::custom(only));
                        }
                        let bytes = BASE64
                            .decode(text)
                            .map_err(|error| A::Error::custom(format!("not base64: {error}")))?;
                        Ok(Given(Some(bytes)))
                    }
                    _ => Err(A::Error::custom(only)),
                }
            }
        }
        deserializer.deserialize_any(Text)
    }
}

/// A record to append.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordIn {
    /// Absent: null.
    #[serde(default)]
    pub key: Given,
    /// Null must be written.
    pub value: Given,
    /// A list of `{"name": …, "value": …}`, or an object of names to values.
    #[serde(default)]
    pub headers: HeadersIn,
    /// Absent: by the key.
    #[serde(default)]
    pub partition: Option<u32>,
    /// Milliseconds since the Unix epoch; absent: now.
    #[serde(default)]
    pub timestamp: Option<i64>,
}

/// Headers as read, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeadersIn(pub Vec<(String, Given)>);

impl HeadersIn {
    /// Encoded.
    pub fn write(&self) -> HeadersWriter {
        let mut writer = HeadersWriter::new();
        for (name, value) in &self.0 {
            writer.push(name, value.0.as_deref());
        }
        writer
    }
}

/// As [`RecordIn`] takes them.
pub fn headers_json(headers: Headers<'_>) -> serde_json::Value {
    let headers =
        headers.iter().map(|header| HeaderOut { name: header.name, value: Shown(header.value) });
    serde_json::to_value(headers.collect::<Vec<_>>()).expect("texts are JSON")
}

impl<'de> Deserialize<'de> for HeadersIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Header {
            name: String,
            #[serde(default)]
            value: Given,
        }
        struct ListOrMap;
        impl<'de> Visitor<'de> for ListOrMap {
            type Value = HeadersIn;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of {\"name\": …, \"value\": …}, or an object")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<HeadersIn, A::Error> {
                let mut headers = Vec::new();
                while let Some(Header { name, value }) = list.next_element()? {
                    headers.push((name, value));
                }
                Ok(HeadersIn(headers))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<HeadersIn, A::Error> {
                let mut headers = Vec::new();
                while let Some(header) = map.next_entry()? {
                    headers.push(header);
                }
                Ok(HeadersIn(headers))
            }
        }
        deserializer.deserialize_any(ListOrMap)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::{Offset, Timestamp};

    fn read(text: &str) -> Result<RecordIn, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_texts_bytes_and_null() {
        let record = read(
            r#"{"key":null,"value":{"base64":"/wA="},"headers":{"a":"1","b":null},"partition":2,"timestamp":5}"#,
        )
        .unwrap();
        assert_eq!((record.key, record.value), (Given(None), Given(Some(vec![255, 0]))));
        assert_eq!(
            record.headers.0,
            [("a".to_owned(), Given(Some(b"1".to_vec()))), ("b".to_owned(), Given(None))]
        );
        assert_eq!((record.partition, record.timestamp), (Some(2), Some(5)));
        assert_eq!(read(r#"{"value":""}"#).unwrap().value, Given(Some(vec![])));
    }

    #[test]
    fn says_what_would_be_right() {
        for (text, part) in [
            (r#"{"key":"a"}"#, "missing field `value`"),
            (r#"{"value":{"id":1}}"#, "JSON values are sent as a string"),
            (r#"{"value":{"base64":"?"}}"#, "not base64"),
            (r#"{"value":{"base64":"","x":1}}"#, "the one field `base64`"),
            (r#"{"value":1}"#, "expected a string, null, or {\"base64\": \"…\"}"),
            (r#"{"value":"a","keys":"b"}"#, "unknown field `keys`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    fn bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
        proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9))
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(
            key in bytes(),
            value in bytes(),
            headers in proptest::collection::vec((".{0,5}", bytes()), 0..4),
            timestamp in 0..i64::MAX,
        ) {
            let headers = HeadersIn(headers.into_iter().map(|(name, value)| (name, Given(value))).collect());
            let encoded = headers.write();
            let partition = TopicPartition::new("t", 3);
            let record = Record {
                offset: Offset(7),
                timestamp: Timestamp(timestamp),
                key: key.as_deref(),
                value: value.as_deref(),
                headers: encoded.headers(),
            };
            let mut json = serde_json::to_value(RecordOut::new(&partition, &record)).unwrap();
            let fields = json.as_object_mut().unwrap();
            prop_assert_eq!(fields.remove("topic").unwrap(), "t");
            prop_assert_eq!(fields.remove("offset").unwrap(), 7);
            let read: RecordIn = serde_json::from_value(json).unwrap();
            let expected =
                RecordIn { key: Given(key), value: Given(value), headers, partition: Some(3), timestamp: Some(timestamp) };
            prop_assert_eq!(read, expected);
        }
    }
}
