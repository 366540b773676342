//! JSON, and how its errors read.

use crate::{Codec, Decode, Encode, Failure, Raw, reject};
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use std::ops::{Deref, DerefMut};

/// JSON: as an input the record's value; as a codec, what keys and outputs hold.
///
/// In `T` take `String` for text. Where its copy matters take `#[serde(borrow)] Cow<'a, str>`, which borrows from the
/// batch; never `&str`, which refuses every text that JSON writes with an escape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Json<T>(pub T);

impl<T> Json<T> {
    /// What was decoded.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Json<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Json<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> Codec for Json<T> {
    const NAME: &'static str = "json";
    type Target = T;

    #[inline]
    fn view(&self) -> &T {
        &self.0
    }
}

impl<'e, T: Deserialize<'e>> Decode<'e> for Json<T> {
    #[inline]
    fn decode(raw: Raw<'e>, what: &str) -> Result<Self, Failure> {
        serde_json::from_slice(raw.as_slice())
            .map(Json)
            .map_err(|error| wrong(&error, what, std::any::type_name::<T>()))
    }
}

impl<T: Serialize> Encode for Json<T> {
    #[inline]
    fn encode(value: &T, bytes: &mut Vec<u8>) -> Result<(), Failure> {
        serde_json::to_writer(bytes, value)
            .map_err(|error| Failure::error(format!("cannot be written as JSON: {error}")))
    }
}

/// Records are one line nearly always, so that the line is said only where it tells something.
#[cold]
fn wrong(error: &serde_json::Error, what: &str, type_name: &str) -> Failure {
    let text = error.to_string().replace(" at line 1 column ", " at column ");
    let hint = if text.contains("expected a borrowed string") {
        "; take String, or Cow<str> with #[serde(borrow)], instead of &str"
    } else {
        ""
    };
    match error.classify() {
        Category::Data => {
            let name = short(type_name);
            let article =
                if name.starts_with(['A', 'E', 'I', 'O', 'a', 'e', 'i', 'o']) { "an" } else { "a" };
            reject(format!("{what} is not {article} {name}: {text}{hint}"))
        }
        Category::Io | Category::Syntax | Category::Eof => {
            reject(format!("{what} is not JSON: {text}"))
        }
    }
}

/// A type's name without the modules before it, also within its arguments, and without lifetimes.
fn short(type_name: &str) -> String {
    let mut short = String::with_capacity(type_name.len());
    for part in type_name.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_' && c != ':') {
        short.push_str(part.rsplit("::").next().unwrap_or(part));
    }
    short.replace("<'_>", "").replace("'_, ", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short() {
        assert_eq!(short("my_crate::input::Login"), "Login");
        assert_eq!(short("alloc::vec::Vec<a::b::Login<'_>>"), "Vec<Login>");
        assert_eq!(
            short("std::collections::HashMap<alloc::string::String, i64>"),
            "HashMap<String, i64>"
        );
        assert_eq!(short("(i64, &a::B)"), "(i64, &B)");
    }
}
