//! A record to hand to a function.

use crate::host::keeper::Set;
use serde::Serialize;
use tidemill_layout::{HeadersWriter, WINDOW_END, WINDOW_START, joined};

/// A record to hand to a function. Unless said otherwise it comes from topic `input`, partition 0, at the next offset,
/// at 2026-01-01T00:00:00Z, without key and headers.
#[derive(Debug, Clone)]
pub struct Input {
    pub(super) topic: String,
    pub(super) partition: u32,
    pub(super) offset: Option<i64>,
    pub(super) timestamp: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: HeadersWriter,
    pub(super) source: Option<String>,
    pub(super) attempt: u16,
    /// Set where it is no record but a timer that fires: its slot.
    pub(super) timer: Option<u32>,
}

impl Input {
    /// A record with this value.
    pub fn new(value: impl AsRef<[u8]>) -> Self {
        Input { value: Some(value.as_ref().to_vec()), ..Self::null() }
    }

    /// A record with this value as JSON.
    ///
    /// # Panics
    /// Where it has no such form.
    pub fn json(value: &(impl Serialize + ?Sized)) -> Self {
        Self::new(serde_json::to_vec(value).expect("the value of a test has a JSON form"))
    }

    /// A record whose value is null: a tombstone.
    pub fn null() -> Self {
        Input {
            topic: "input".to_owned(),
            partition: 0,
            offset: None,
            timestamp: 1_767_225_600_000,
            key: None,
            value: None,
            headers: HeadersWriter::new(),
            source: None,
            attempt: 0,
            timer: None,
        }
    }

    /// A row of a join with these sides, of which at least one is there: for a [`Joined`](crate::Joined) or a
    /// [`Full`](crate::Full).
    pub fn joined(left: Option<impl AsRef<[u8]>>, right: Option<impl AsRef<[u8]>>) -> Self {
        let (left, right) = (left.as_ref().map(AsRef::as_ref), right.as_ref().map(AsRef::as_ref));
        let mut value = Vec::new();
        joined::encode(left, right, &mut value);
        Self::new(value)
    }

    /// A timer that fires.
    pub(super) fn fired(timer: Set) -> Self {
        Input {
            topic: String::new(),
            offset: Some(-1),
            timestamp: timer.due,
            key: Some(timer.key),
            value: Some(timer.payload),
            timer: Some(timer.slot),
            ..Self::null()
        }
    }

    /// Sets the topic it was read from.
    #[must_use]
    pub fn topic(mut self, topic: &str) -> Self {
        topic.clone_into(&mut self.topic);
        self
    }

    /// Sets the partition it was read from.
    #[must_use]
    pub fn partition(mut self, partition: u32) -> Self {
        self.partition = partition;
        self
    }

    /// Sets its offset.
    #[must_use]
    pub fn offset(mut self, offset: i64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// Sets its event time, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn timestamp(mut self, millis: i64) -> Self {
        self.timestamp = millis;
        self
    }

    /// Sets its key.
    #[must_use]
    pub fn key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.key = Some(key.as_ref().to_vec());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(name, Some(value.as_ref()));
        self
    }

    /// Adds a header whose value is null.
    #[must_use]
    pub fn null_header(mut self, name: &str) -> Self {
        self.headers.push(name, None);
        self
    }

    /// Makes it the result of a window from `start` to `end`, in milliseconds since the Unix epoch: for a
    /// [`Windowed`](crate::Windowed).
    #[must_use]
    pub fn window(self, start: i64, end: i64) -> Self {
        self.header(WINDOW_START, start.to_string()).header(WINDOW_END, end.to_string())
    }

    /// Sets the input it comes by, for a function that tells several apart.
    #[must_use]
    pub fn source(mut self, name: &str) -> Self {
        self.source = Some(name.to_owned());
        self
    }

    /// Sets how often it has failed before.
    #[must_use]
    pub fn attempt(mut self, attempt: u16) -> Self {
        self.attempt = attempt;
        self
    }
}
