//! Integers as codecs: big-endian two's complement, as Kafka's Integer and Long serializers write them.

use crate::{Codec, Decode, Encode, Failure, Raw, reject};

macro_rules! integer {
    ($($integer:ident),+) => {$(
        impl Codec for $integer {
            const NAME: &'static str = stringify!($integer);
            type Target = $integer;

            #[inline]
            fn view(&self) -> &$integer {
                self
            }
        }

        impl<'e> Decode<'e> for $integer {
            #[inline]
            fn decode(raw: Raw<'e>, what: &str) -> Result<Self, Failure> {
                let bytes = raw.as_slice();
                let array = bytes.try_into().map_err(|_| {
                    let (expected, found) = (size_of::<$integer>(), bytes.len());
                    let name = stringify!($integer);
                    reject(format!("{what} is not an {name}: {expected} bytes expected, {found} found"))
                })?;
                Ok($integer::from_be_bytes(array))
            }
        }

        impl Encode for $integer {
            #[inline]
            fn encode(value: &$integer, bytes: &mut Vec<u8>) -> Result<(), Failure> {
                bytes.extend_from_slice(&value.to_be_bytes());
                Ok(())
            }
        }
    )+};
}

integer!(i32, i64);
