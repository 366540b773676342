//! How keys and values are read and written: one trait each way, and what both share.

use crate::{Bytes, Failure, Raw, Text, reject};

/// A way to write a key or a value as bytes: [`Json<T>`](crate::Json), [`Text`], [`Bytes`], and integers, big-endian
/// in two's complement as Kafka's own serializers have them.
pub trait Codec {
    /// How `describe` calls it.
    const NAME: &'static str;

    /// What code sees of it: `str` for [`Text`], `T` for [`Json<T>`](crate::Json).
    type Target: ?Sized;

    /// The view of a decoded one.
    fn view(&self) -> &Self::Target;
}

/// Reads a key, a value or a header.
#[diagnostic::on_unimplemented(
    message = "nothing can be read as `{Self}`",
    note = "`Json<T>`, `Text`, `Bytes`, `i32` or `i64`"
)]
pub trait Decode<'e>: Codec + Sized {
    /// Decodes; `what` names it in the failure's reason: `value`, `key`, or a header.
    ///
    /// # Errors
    /// A reject where the bytes are not what they should be.
    fn decode(raw: Raw<'e>, what: &str) -> Result<Self, Failure>;
}

/// Writes a key or a value.
#[diagnostic::on_unimplemented(
    message = "nothing can be written as `{Self}`",
    note = "`Json<T>`, `Text`, `Bytes`, `i32` or `i64`"
)]
pub trait Encode: Codec {
    /// Appends it.
    ///
    /// # Errors
    /// Where it has no such form: a map whose keys are no strings has none in JSON.
    fn encode(value: &Self::Target, bytes: &mut Vec<u8>) -> Result<(), Failure>;
}

impl Codec for Bytes {
    const NAME: &'static str = "bytes";
    type Target = [u8];

    #[inline]
    fn view(&self) -> &[u8] {
        self
    }
}

impl<'e> Decode<'e> for Bytes {
    #[inline]
    fn decode(raw: Raw<'e>, _what: &str) -> Result<Self, Failure> {
        Ok(raw.to_bytes())
    }
}

impl Encode for Bytes {
    #[inline]
    fn encode(value: &[u8], bytes: &mut Vec<u8>) -> Result<(), Failure> {
        bytes.extend_from_slice(value);
        Ok(())
    }
}

impl Codec for Text {
    const NAME: &'static str = "text";
    type Target = str;

    #[inline]
    fn view(&self) -> &str {
        self
    }
}

impl<'e> Decode<'e> for Text {
    #[inline]
    fn decode(raw: Raw<'e>, what: &str) -> Result<Self, Failure> {
        Text::check(raw.to_bytes()).map_err(|error| {
            reject(format!("{what} is not text: no UTF-8 at byte {}", error.valid_up_to()))
        })
    }
}

impl Encode for Text {
    #[inline]
    fn encode(value: &str, bytes: &mut Vec<u8>) -> Result<(), Failure> {
        bytes.extend_from_slice(value.as_bytes());
        Ok(())
    }
}
