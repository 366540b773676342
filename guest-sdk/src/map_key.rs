//! Keys of maps: bytes whose order is the order of the keys, so that a range of keys is a range of bytes.
//!
//! | key | codec | bytes |
//! |---|---|---|
//! | `u8` to `u64` | `u8` to `u64` | big-endian |
//! | `i8` to `i64` | `i8` to `i64` | big-endian, the sign bit flipped |
//! | [`Text`], [`Bytes`] | `text`, `bytes` | as they are |
//! | the same in a tuple | | every byte 0 as 0 255, then 0 0 behind the last |
//! | a tuple of up to four, also of tuples | `(text,i64)` | one after the other |
//!
//! Text is ordered by its UTF-8, which is the order of its code points.

use crate::{Bytes, Text, agreement::same};
use std::fmt;

/// A key of a [`StateMap`](crate::StateMap): [`Text`], [`Bytes`], integers, and tuples of these. Entries are in the order of
/// their keys.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no key of a map",
    note = "`Text`, `Bytes`, an integer of up to 64 bits, or a tuple of up to four of these"
)]
pub trait MapKey: Sized {
    /// How `describe` calls it.
    const CODEC: KeyCodec;

    /// What code passes for it: `str` for [`Text`], `[u8]` for [`Bytes`], the key itself for all others.
    type Target: ?Sized;

    /// The view of a decoded one.
    fn view(&self) -> &Self::Target;

    /// Appends it, so that where it ends can be told.
    fn write(key: &Self::Target, bytes: &mut Vec<u8>);

    /// Takes off what [`write`](Self::write) wrote; `None` where the bytes are something else.
    fn read(bytes: &mut &[u8]) -> Option<Self>;

    /// Appends it where it is all of the key.
    #[doc(hidden)]
    fn write_all(key: &Self::Target, bytes: &mut Vec<u8>) {
        Self::write(key, bytes);
    }

    /// Reads what [`write_all`](Self::write_all) wrote.
    #[doc(hidden)]
    fn read_all(mut bytes: &[u8]) -> Option<Self> {
        Self::read(&mut bytes).filter(|_| bytes.is_empty())
    }
}

/// What keys of a map are written as. It prints as `describe` has it: `text`, `(text,i64)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyCodec {
    /// One of the codecs in the table of this module.
    One(&'static str),
    /// Several, one after the other.
    Tuple(&'static [KeyCodec]),
}

impl KeyCodec {
    /// Equality, where only constants can be called.
    pub(crate) const fn is(&self, other: &KeyCodec) -> bool {
        match (self, other) {
            (KeyCodec::One(one), KeyCodec::One(other)) => same(one, other),
            (KeyCodec::Tuple(parts), KeyCodec::Tuple(others)) => {
                let mut index = 0;
                while index < parts.len() && index < others.len() {
                    if !parts[index].is(&others[index]) {
                        return false;
                    }
                    index += 1;
                }
                parts.len() == others.len()
            }
            _ => false,
        }
    }
}

impl fmt::Display for KeyCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyCodec::One(name) => f.write_str(name),
            KeyCodec::Tuple(parts) => {
                for (index, part) in parts.iter().enumerate() {
                    f.write_str(if index == 0 { "(" } else { "," })?;
                    part.fmt(f)?;
                }
                f.write_str(")")
            }
        }
    }
}

macro_rules! integer {
    ($($integer:ident as $unsigned:ident ^ $flip:expr),+ $(,)?) => {$(
        impl MapKey for $integer {
            const CODEC: KeyCodec = KeyCodec::One(stringify!($integer));
            type Target = $integer;

            #[inline]
            fn view(&self) -> &$integer {
                self
            }

            #[inline]
            fn write(key: &$integer, bytes: &mut Vec<u8>) {
                let ordered = $unsigned::from_ne_bytes(key.to_ne_bytes()) ^ $flip;
                bytes.extend_from_slice(&ordered.to_be_bytes());
            }

            #[inline]
            fn read(bytes: &mut &[u8]) -> Option<Self> {
                let (key, rest) = bytes.split_first_chunk()?;
                *bytes = rest;
                Some($integer::from_ne_bytes(($unsigned::from_be_bytes(*key) ^ $flip).to_ne_bytes()))
            }
        }
    )+};
}

integer!(
    u8 as u8 ^ 0,
    u16 as u16 ^ 0,
    u32 as u32 ^ 0,
    u64 as u64 ^ 0,
    i8 as u8 ^ (1 << 7),
    i16 as u16 ^ (1 << 15),
    i32 as u32 ^ (1 << 31),
    i64 as u64 ^ (1 << 63),
);

const ESCAPE: u8 = 0;
const ESCAPED: u8 = 255;
const END: u8 = 0;

fn write_escaped(part: &[u8], bytes: &mut Vec<u8>) {
    for byte in part {
        bytes.push(*byte);
        if *byte == ESCAPE {
            bytes.push(ESCAPED);
        }
    }
    bytes.extend([ESCAPE, END]);
}

fn read_escaped(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let mut part = Vec::new();
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        if *byte == ESCAPE {
            let (after, rest) = bytes.split_first()?;
            *bytes = rest;
            match *after {
                END => return Some(part),
                ESCAPED => {}
                _ => return None,
            }
        }
        part.push(*byte);
    }
}

impl MapKey for Bytes {
    const CODEC: KeyCodec = KeyCodec::One("bytes");
    type Target = [u8];

    fn view(&self) -> &[u8] {
        self
    }

    fn write(key: &[u8], bytes: &mut Vec<u8>) {
        write_escaped(key, bytes);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        read_escaped(bytes).map(Bytes::from)
    }

    fn write_all(key: &[u8], bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(key);
    }

    fn read_all(bytes: &[u8]) -> Option<Self> {
        Some(bytes.into())
    }
}

impl MapKey for Text {
    const CODEC: KeyCodec = KeyCodec::One("text");
    type Target = str;

    fn view(&self) -> &str {
        self
    }

    fn write(key: &str, bytes: &mut Vec<u8>) {
        write_escaped(key.as_bytes(), bytes);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        Text::check(read_escaped(bytes)?.into()).ok()
    }

    fn write_all(key: &str, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(key.as_bytes());
    }

    fn read_all(bytes: &[u8]) -> Option<Self> {
        Text::check(bytes.into()).ok()
    }
}

macro_rules! tuple {
    ($($part:ident $index:tt),+) => {
        impl<$($part: MapKey),+> MapKey for ($($part,)+) {
            const CODEC: KeyCodec = KeyCodec::Tuple(&[$($part::CODEC),+]);
            type Target = Self;

            fn view(&self) -> &Self {
                self
            }

            fn write(key: &Self, bytes: &mut Vec<u8>) {
                $($part::write(key.$index.view(), bytes);)+
            }

            fn read(bytes: &mut &[u8]) -> Option<Self> {
                Some(($($part::read(bytes)?,)+))
            }
        }
    };
}

tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn all<K: MapKey>(key: &K) -> Vec<u8> {
        let mut bytes = Vec::new();
        K::write_all(key.view(), &mut bytes);
        bytes
    }

    /// Bytes are ordered as the keys, and read again as what was written.
    fn check<K: MapKey + Ord + fmt::Debug>(one: &K, other: &K) {
        let (first, second) = (all(one), all(other));
        assert_eq!(first.cmp(&second), one.cmp(other), "{one:?} and {other:?}");
        assert_eq!(K::read_all(&first).as_ref(), Some(one));
        assert_ne!(K::read_all(&[&*first, &[0]].concat()).as_ref(), Some(one));
    }

    /// Short, of few different bytes, so that one is often the start of another.
    fn bytes() -> impl Strategy<Value = Bytes> {
        vec(prop_oneof![Just(0), Just(1), Just(254), Just(255), any::<u8>()], 0..4)
            .prop_map(Bytes::from)
    }

    fn text() -> impl Strategy<Value = Text> {
        let letter =
            prop_oneof![Just('\0'), Just('\u{1}'), Just('a'), Just('\u{ffff}'), any::<char>()];
        vec(letter, 0..4).prop_map(|letters| Text::from(letters.into_iter().collect::<String>()))
    }

    proptest! {
        #[test]
        fn integers(one in any::<(i8, i16, i32, i64)>(), other in any::<(i8, i16, i32, i64)>()) {
            check(&one.0, &other.0);
            check(&one.1, &other.1);
            check(&one.2, &other.2);
            check(&one.3, &other.3);
            check(&one, &other);
        }

        #[test]
        fn unsigned_integers(one in any::<(u8, u16, u32, u64)>(), other in any::<(u8, u16, u32, u64)>()) {
            check(&one.0, &other.0);
            check(&one.1, &other.1);
            check(&one.2, &other.2);
            check(&one.3, &other.3);
            check(&one, &other);
        }

        #[test]
        fn bytes_and_text(one in (bytes(), text()), other in (bytes(), text())) {
            check(&one.0, &other.0);
            check(&one.1, &other.1);
            check(&one, &other);
        }

        #[test]
        fn tuples_of_tuples(
            one in ((bytes(), any::<i64>()), text(), bytes()),
            other in ((bytes(), any::<i64>()), text(), bytes()),
        ) {
            check(&one, &other);
            check(&(one.0.0.clone(), other.0.1), &one.0);
        }

        #[test]
        fn other_bytes_are_none_and_never_panic(bytes in vec(any::<u8>(), 0..20)) {
            let key = <(Text, i64, Bytes)>::read_all(&bytes);
            if let Some(key) = key {
                prop_assert_eq!(all(&key), bytes);
            }
        }
    }

    #[test]
    fn bytes_are_those_of_the_table() {
        assert_eq!(all(&-1_i32), [0x7f, 0xff, 0xff, 0xff]);
        assert_eq!(all(&1_u16), [0, 1]);
        assert_eq!(all(&Text::from("a\0")), [b'a', 0]);
        assert_eq!(all(&(Text::from("a\0"), 1_u8)), [b'a', 0, 255, 0, 0, 1]);
        assert_eq!(<(Text, (i64, Bytes))>::CODEC.to_string(), "(text,(i64,bytes))");
    }
}
