//! Names, and which texts are none.

use std::{borrow::Borrow, fmt};

use serde::Serialize;

/// The name of an app: also its consumer group and the begin of its topics' names, where a dot ends it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct AppName(String);

/// What [`AppName::parse`] takes, in words.
pub const APP_NAME: &str =
    "a name of lower-case letters, digits, `-` and `_` that starts with a letter, at most 63";

impl AppName {
    /// The name, or `None` where the text is none: see [`APP_NAME`].
    pub fn parse(text: &str) -> Option<Self> {
        is_name(text).then(|| AppName(text.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for AppName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Whether a manifest may call an app, a function or a part of one so: what code sees, with `-` for `_` if one likes.
pub fn is_name(text: &str) -> bool {
    let rest = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
    };
    text.len() <= 63
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(rest)
}

/// The name as code spells it: `-` and `_` are the same letter.
pub fn code_name(name: &str) -> String {
    name.replace('-', "_")
}

/// What [`is_topic`] takes, in words.
pub const TOPIC_NAME: &str = "a topic's name: letters, digits, `.`, `_` and `-`, at most 249";

/// Whether Kafka takes a topic of this name.
pub fn is_topic(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=249).contains(&text.len()) && text.bytes().all(fits) && text != "." && text != ".."
}
