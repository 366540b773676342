//! UTF-8 text of the batch, shared rather than copied.

use crate::Bytes;
use std::{fmt, ops::Deref};

/// Text: as an input the record's value, which must be UTF-8; as a codec, what keys and outputs hold.
///
/// Like [`Bytes`] it shares the memory of the batch. `to_string()` gives a `String` of its own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text {
    /// UTF-8, checked by whoever made it; nothing changes shared bytes.
    bytes: Bytes,
}

impl Text {
    /// Checks the bytes; an error names the first that is not UTF-8.
    #[inline]
    pub(crate) fn check(bytes: Bytes) -> Result<Self, std::str::Utf8Error> {
        std::str::from_utf8(&bytes)?;
        Ok(Text { bytes })
    }
}

impl Deref for Text {
    type Target = str;

    #[inline]
    #[expect(
        unsafe_code,
        reason = "checking the same bytes at every use would cost more than making them"
    )]
    fn deref(&self) -> &str {
        // SAFETY: `check` and `From` are the only makers, and the bytes behind an `Rc` never change.
        unsafe { std::str::from_utf8_unchecked(&self.bytes) }
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Text { bytes: text.into_bytes().into() }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}
