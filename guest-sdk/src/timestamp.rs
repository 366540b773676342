//! Event time.

use crate::{Entry, Failure, Param, Role, Setup};
use std::{
    ops::{Add, Sub},
    time::Duration,
};

/// A point in time in milliseconds since the Unix epoch: as a parameter, the record's event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Timestamp(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// Later by so much; stays at the end of time.
    fn add(self, duration: Duration) -> Self {
        Timestamp(self.0.saturating_add(millis(duration)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    /// Earlier by so much; stays at the start of time.
    fn sub(self, duration: Duration) -> Self {
        Timestamp(self.0.saturating_sub(millis(duration)))
    }
}

impl<'e> Param<'e> for Timestamp {
    const ROLE: Role = Role::Beside;
    type Prepared = ();

    fn prepare(_setup: &mut Setup<'_>, _name: &str) -> Result<(), String> {
        Ok(())
    }

    #[inline]
    fn extract((): &(), entry: &Entry<'e>) -> Result<Self, Failure> {
        Ok(entry.timestamp())
    }
}
