//! What a function did.

use serde::de::DeserializeOwned;
use std::{fmt, time::Duration};

/// What a function did with the records it was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// What it sent, in order.
    pub sent: Vec<Sent>,
    /// The records it failed on, in order.
    pub failed: Vec<Failed>,
    /// What it logged, in order.
    pub lines: Vec<Line>,
}

/// A record that a function sent. What it inherited from its cause is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The name of the output.
    pub output: String,
    /// The index of the record that caused it, among those given; of a timer, that of the record before which it fired.
    pub cause: usize,
    /// The timer whose handler sent it; `None` is the function itself.
    pub timer: Option<String>,
    /// `None` is null.
    pub key: Option<Vec<u8>>,
    /// `None` is null: a tombstone.
    pub value: Option<Vec<u8>>,
    /// In order; names may repeat.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// `None`: by the key.
    pub partition: Option<u32>,
}

/// A record, or a timer, that a function failed on. Prints as `reject: record has no key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Its index among the records given; of a timer, that of the record before which it fired.
    pub index: usize,
    /// The timer whose handler failed; `None` is the function itself.
    pub timer: Option<String>,
    /// What it asks for.
    pub reaction: Reaction,
    /// Why.
    pub reason: String,
}

/// What a failure asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// Nothing: the code failed, or panicked.
    Error,
    /// That the record be put aside.
    Reject,
    /// That it be tried again, after a delay.
    Retry(Option<Duration>),
    /// That the task pause: bytes of its state do not decode.
    State,
}

/// A line that a function logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its level.
    pub level: log::Level,
    /// Usually the module.
    pub target: String,
    /// Its text.
    pub message: String,
}

impl Effects {
    /// What was sent to that output.
    pub fn to(&self, output: &str) -> Vec<&Sent> {
        self.sent.iter().filter(|sent| sent.output == output).collect()
    }

    /// The one record that was sent to that output.
    ///
    /// # Panics
    /// Where it is not one, or where any record failed.
    #[track_caller]
    pub fn only(&self, output: &str) -> &Sent {
        if let Some(failed) = self.failed.first() {
            panic!("record {} failed: {failed}", failed.index);
        }
        match &*self.to(output) {
            [one] => one,
            sent => {
                panic!("one record was expected at output `{output}`, {} were sent", sent.len())
            }
        }
    }

    /// The text of the one failure: `reject: record has no key`.
    ///
    /// # Panics
    /// Where it is not one.
    #[track_caller]
    pub fn failure(&self) -> String {
        match &*self.failed {
            [one] => one.to_string(),
            failed => panic!("one failure was expected, there are {}: {failed:?}", failed.len()),
        }
    }
}

impl Sent {
    /// The value, decoded from JSON.
    ///
    /// # Panics
    /// Where it is null or something else.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(self.value.as_deref().expect("the value is null")) {
            Ok(value) => value,
            Err(error) => panic!("the value is something else: {error}"),
        }
    }

    /// The value as text.
    ///
    /// # Panics
    /// Where it is null or no UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.value.as_deref().expect("the value is null"))
            .expect("the value is UTF-8")
    }

    /// The key as text.
    ///
    /// # Panics
    /// Where it is null or no UTF-8.
    #[track_caller]
    pub fn key_text(&self) -> &str {
        std::str::from_utf8(self.key.as_deref().expect("the key is null"))
            .expect("the key is UTF-8")
    }

    /// The value of the last header of that name, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().rev().find(|(header, _)| header == name)?;
        std::str::from_utf8(value.as_deref()?).ok()
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reaction {
            Reaction::Error => write!(f, "error: {}", self.reason),
            Reaction::Reject => write!(f, "reject: {}", self.reason),
            Reaction::State => write!(f, "state: {}", self.reason),
            Reaction::Retry(None) => write!(f, "retry: {}", self.reason),
            Reaction::Retry(Some(after)) => {
                write!(f, "retry after {} ms: {}", after.as_millis(), self.reason)
            }
        }
    }
}
