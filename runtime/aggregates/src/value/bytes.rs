//! The compact encoding of a [`Value`]. Equal values have equal bytes, and only those.
//!
//! | first byte | kind | then |
//! |---|---|---|
//! | 0 | Null | |
//! | 1, 2 | Bool: false, true | |
//! | 3 | Int | varint, zigzag |
//! | 4 | Float | 8 bytes, little-endian |
//! | 5 | Text | varint length, UTF-8 |
//! | 6 | Bytes | varint length, bytes |
//! | 7 | List | varint number, values |
//! | 8 | Struct | varint number, fields: varint length, name, value |
//!
//! A varint is LEB128 in as few bytes as the number needs; longer ones are refused, so that bytes can be compared.

use super::{DEPTH_MAX, Value};
use crate::{Broken, reader::Reader};

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const INT: u8 = 3;
const FLOAT: u8 = 4;
const TEXT: u8 = 5;
const BYTES: u8 = 6;
const LIST: u8 = 7;
const STRUCT: u8 = 8;

impl Value {
    /// Appends the encoding.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Value::Int(int) => {
                out.push(INT);
                varint(out, zigzag(*int));
            }
            other => other.encode_other(out),
        }
    }

    fn encode_other(&self, out: &mut Vec<u8>) {
        match self {
            Value::Null => out.push(NULL),
            Value::Bool(false) => out.push(FALSE),
            Value::Bool(true) => out.push(TRUE),
            Value::Int(_) => self.encode(out),
            Value::Float(float) => {
                out.push(FLOAT);
                out.extend_from_slice(&float.to_le_bytes());
            }
            Value::Text(text) => {
                out.push(TEXT);
                sized(out, text.as_bytes());
            }
            Value::Bytes(bytes) => {
                out.push(BYTES);
                sized(out, bytes);
            }
            Value::List(items) => {
                out.push(LIST);
                varint(out, items.len() as u64);
                for item in items {
                    item.encode(out);
                }
            }
            Value::Struct(fields) => {
                out.push(STRUCT);
                varint(out, fields.len() as u64);
                for (name, value) in fields {
                    sized(out, name.as_bytes());
                    value.encode(out);
                }
            }
        }
    }

    /// How many bytes [`Value::encode`] appends.
    pub fn encoded_bytes(&self) -> usize {
        match self {
            Value::Null | Value::Bool(_) => 1,
            Value::Int(int) => 1 + varint_bytes(zigzag(*int)),
            Value::Float(_) => 9,
            Value::Text(text) => 1 + sized_bytes(text.len()),
            Value::Bytes(bytes) => 1 + sized_bytes(bytes.len()),
            Value::List(items) => {
                let inner: usize = items.iter().map(Value::encoded_bytes).sum();
                1 + varint_bytes(items.len() as u64) + inner
            }
            Value::Struct(fields) => {
                let inner = fields
                    .iter()
                    .map(|(name, value)| sized_bytes(name.len()) + value.encoded_bytes());
                1 + varint_bytes(fields.len() as u64) + inner.sum::<usize>()
            }
        }
    }

    /// Reads what [`Value::encode`] wrote, and nothing else.
    pub fn decode(bytes: &[u8]) -> Result<Value, Broken> {
        let mut reader = Reader::new(bytes);
        let value = read(&mut reader)?;
        reader.end()?;
        Ok(value)
    }
}

/// Reads one value.
#[inline]
pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Value, Broken> {
    if reader.next_is(INT) {
        return Ok(Value::Int(unzigzag(reader.varint()?)));
    }
    nested(reader, DEPTH_MAX)
}

fn nested(reader: &mut Reader<'_>, depth_max: usize) -> Result<Value, Broken> {
    Ok(match reader.u8()? {
        NULL => Value::Null,
        FALSE => Value::Bool(false),
        TRUE => Value::Bool(true),
        INT => Value::Int(unzigzag(reader.varint()?)),
        FLOAT => Value::Float(reader.f64()?),
        TEXT => Value::Text(reader.text()?.to_owned()),
        BYTES => Value::Bytes(reader.sized()?.to_vec()),
        LIST => {
            let inner = deeper(reader, depth_max)?;
            let number = reader.varint()?;
            let mut items = Vec::new();
            for _ in 0..number {
                items.push(nested(reader, inner)?);
            }
            Value::List(items)
        }
        STRUCT => {
            let inner = deeper(reader, depth_max)?;
            let number = reader.varint()?;
            let mut fields = Vec::new();
            for _ in 0..number {
                fields.push((reader.text()?.to_owned(), nested(reader, inner)?));
            }
            Value::Struct(fields)
        }
        _ => return Err(reader.broken("there is no such kind of value")),
    })
}

fn deeper(reader: &Reader<'_>, depth_max: usize) -> Result<usize, Broken> {
    depth_max.checked_sub(1).ok_or(reader.broken("lists and structs lie too deep in each other"))
}

/// Passes one value, which is checked as [`Value::decode`] would.
pub(crate) fn skip(reader: &mut Reader<'_>) -> Result<(), Broken> {
    skip_nested(reader, DEPTH_MAX)
}

fn skip_nested(reader: &mut Reader<'_>, depth_max: usize) -> Result<(), Broken> {
    match reader.u8()? {
        NULL | FALSE | TRUE => {}
        INT => drop(reader.varint()?),
        FLOAT => drop(reader.f64()?),
        TEXT => drop(reader.text()?),
        BYTES => drop(reader.sized()?),
        kind @ (LIST | STRUCT) => {
            let inner = deeper(reader, depth_max)?;
            for _ in 0..reader.varint()? {
                if kind == STRUCT {
                    reader.text()?;
                }
                skip_nested(reader, inner)?;
            }
        }
        _ => return Err(reader.broken("there is no such kind of value")),
    }
    Ok(())
}

/// Appends a length and bytes.
pub(crate) fn sized(out: &mut Vec<u8>, bytes: &[u8]) {
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn sized_bytes(length: usize) -> usize {
    varint_bytes(length as u64) + length
}

#[inline]
fn varint(out: &mut Vec<u8>, mut number: u64) {
    let mut bytes = [0; 10];
    let mut length = 0;
    while number >= 0x80 {
        bytes[length] = number.to_le_bytes()[0] | 0x80;
        length += 1;
        number >>= 7;
    }
    bytes[length] = number.to_le_bytes()[0];
    out.extend_from_slice(&bytes[..=length]);
}

fn varint_bytes(number: u64) -> usize {
    let bits = 64 - (number | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[inline]
fn zigzag(int: i64) -> u64 {
    (int.cast_unsigned() << 1) ^ (int >> 63).cast_unsigned()
}

#[inline]
fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::value;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(value in value()) {
            let mut bytes = Vec::new();
            value.encode(&mut bytes);
            prop_assert_eq!(bytes.len(), value.encoded_bytes());
            prop_assert_eq!(Value::decode(&bytes), Ok(value));
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(skip(&mut reader), Ok(()));
            prop_assert_eq!(reader.end(), Ok(()));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader::new(&bytes);
            let skipped = skip(&mut reader).and_then(|()| reader.end());
            match Value::decode(&bytes) {
                Ok(value) => {
                    prop_assert_eq!(skipped, Ok(()));
                    let mut again = Vec::new();
                    value.encode(&mut again);
                    prop_assert_eq!(again, bytes);
                }
                Err(broken) => prop_assert_eq!(skipped, Err(broken)),
            }
        }
    }

    #[test]
    fn what_lies_too_deep_is_refused() {
        let mut value = Value::Null;
        for _ in 0..DEPTH_MAX {
            value = Value::List(vec![value]);
        }
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        assert!(value.is_within(DEPTH_MAX));
        assert_eq!(Value::decode(&bytes).as_ref(), Ok(&value));

        let deeper = Value::List(vec![value]);
        assert!(!deeper.is_within(DEPTH_MAX));
        bytes.clear();
        deeper.encode(&mut bytes);
        assert!(Value::decode(&bytes).is_err());
    }

    #[test]
    fn an_announced_length_is_not_believed() {
        // A list of 2^63 values that ends at once.
        let bytes = [LIST, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01];
        assert_eq!(Value::decode(&bytes), Err(Broken { at: 11, what: "the bytes end too early" }));
    }
}
