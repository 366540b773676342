//! Names of steps and of the topics that are the app's own.

/// The name as code spells it: `-` and `_` are the same letter.
pub(super) fn code(name: &str) -> String {
    name.replace('-', "_")
}

/// Whether Kafka takes a topic of this name.
pub(super) fn is_topic(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=249).contains(&text.len()) && text.bytes().all(fits) && text != "." && text != ".."
}
