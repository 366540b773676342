//! Why a record is not handled, and the short ways to say so.

use std::{error::Error, fmt, time::Duration};
use tidemill_layout as layout;

/// Why a record is not handled. The host decides what follows; see each way to make one.
///
/// Any error becomes a failure of the code by `?`: the record is tried once more in a fresh instance, then follows
/// the function's policy. So that this works for every error, `Failure` is not an error itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    kind: Kind,
    reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Error,
    Reject,
    Retry(Option<Duration>),
    State,
}

impl Failure {
    /// The code failed. What `?` makes of an error; this makes it of a message.
    #[cold]
    pub fn error(reason: impl Into<String>) -> Self {
        Failure { kind: Kind::Error, reason: reason.into() }
    }

    /// Bytes of the function's own state are not what they should be. That is not the record's doing: the task pauses before
    /// it until code or bytes are mended. The SDK says so by itself where state, rows or timers do not decode.
    #[cold]
    pub fn state(reason: impl Into<String>) -> Self {
        Failure { kind: Kind::State, reason: reason.into() }
    }

    /// What the function said.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    pub(crate) fn as_layout(&self) -> layout::Failure<'_> {
        let reason = &*self.reason;
        match self.kind {
            Kind::Error => layout::Failure::Error(reason),
            Kind::Reject => layout::Failure::Reject(reason),
            Kind::Retry(after) => layout::Failure::Retry {
                after_ms: after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
                reason,
            },
            Kind::State => layout::Failure::State(reason),
        }
    }
}

impl<E: Error> From<E> for Failure {
    /// The error and its causes, joined by colons.
    #[cold]
    fn from(error: E) -> Self {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            reason.push_str(": ");
            reason.push_str(&cause.to_string());
            source = cause.source();
        }
        Failure::error(reason)
    }
}

/// The record is wrong: it goes straight to the function's policy, by default the dead-letter topic.
#[cold]
pub fn reject(reason: impl Into<String>) -> Failure {
    Failure { kind: Kind::Reject, reason: reason.into() }
}

/// Not now: the record is tried again in place, after a delay of the host's choice; those behind it wait.
#[cold]
pub fn retry(reason: impl Into<String>) -> Failure {
    Failure { kind: Kind::Retry(None), reason: reason.into() }
}

/// As [`retry`], after this delay; milliseconds count, finer parts do not.
#[cold]
pub fn retry_after(delay: Duration, reason: impl Into<String>) -> Failure {
    Failure { kind: Kind::Retry(Some(delay)), reason: reason.into() }
}

/// Turns what is missing or went wrong into a failure: `amount.parse::<i64>().or_reject("amount")?`.
pub trait OrFail<T> {
    /// A [`reject`]: the record is wrong. An error's text follows the reason.
    ///
    /// # Errors
    /// Where there is no value.
    fn or_reject(self, reason: &str) -> Result<T, Failure>;

    /// A [`retry`]: not now. An error's text follows the reason.
    ///
    /// # Errors
    /// Where there is no value.
    fn or_retry(self, reason: &str) -> Result<T, Failure>;
}

impl<T> OrFail<T> for Option<T> {
    fn or_reject(self, reason: &str) -> Result<T, Failure> {
        self.ok_or_else(|| reject(reason))
    }

    fn or_retry(self, reason: &str) -> Result<T, Failure> {
        self.ok_or_else(|| retry(reason))
    }
}

impl<T, E: fmt::Display> OrFail<T> for Result<T, E> {
    fn or_reject(self, reason: &str) -> Result<T, Failure> {
        self.map_err(|error| reject(format!("{reason}: {error}")))
    }

    fn or_retry(self, reason: &str) -> Result<T, Failure> {
        self.map_err(|error| retry(format!("{reason}: {error}")))
    }
}

/// What a function may return: nothing, or `Result<(), Failure>`.
#[diagnostic::on_unimplemented(
    message = "a function returns nothing or `Result<(), Failure>`, not `{Self}`",
    label = "this return type"
)]
pub trait Answer {
    /// As a result.
    ///
    /// # Errors
    /// The failure that was returned.
    fn into_result(self) -> Result<(), Failure>;
}

impl Answer for () {
    #[inline]
    fn into_result(self) -> Result<(), Failure> {
        Ok(())
    }
}

impl Answer for Result<(), Failure> {
    #[inline]
    fn into_result(self) -> Result<(), Failure> {
        self
    }
}
