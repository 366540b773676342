//! The record's key as a parameter, and what an output's key is written as.

use crate::{Codec, Decode, Entry, Failure, Optional, Param, Role, Setup, reject};
use std::{fmt, ops::Deref};

/// The record's key, decoded as `C`: [`Text`](crate::Text), [`Bytes`](crate::Bytes), [`Json<T>`](crate::Json), `i32` or
/// `i64`. A record without a key is rejected; `Option<Key<C>>` takes it.
///
/// In [`Output<V, Key<C>>`](crate::Output) it says how the output's keys are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key<C>(pub C);

impl<C> Key<C> {
    /// What was decoded.
    pub fn into_inner(self) -> C {
        self.0
    }
}

impl<C: Codec> Deref for Key<C> {
    type Target = C::Target;

    #[inline]
    fn deref(&self) -> &C::Target {
        self.0.view()
    }
}

impl<C: fmt::Display> fmt::Display for Key<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'e, C: Decode<'e>> Param<'e> for Key<C> {
    const ROLE: Role = Role::Key { codec: C::NAME };
    type Prepared = ();

    fn prepare(_setup: &mut Setup<'_>, _name: &str) -> Result<(), String> {
        Ok(())
    }

    #[inline]
    fn extract((): &(), entry: &Entry<'e>) -> Result<Self, Failure> {
        match entry.key() {
            Some(raw) => C::decode(raw, "key").map(Key),
            None => Err(reject("record has no key")),
        }
    }
}

impl<'e, C: Decode<'e>> Optional<'e> for Key<C> {
    const ROLE: Role = Role::Key { codec: C::NAME };
    type Prepared = ();

    fn prepare(_setup: &mut Setup<'_>, _name: &str) -> Result<(), String> {
        Ok(())
    }

    #[inline]
    fn extract((): &(), entry: &Entry<'e>) -> Result<Option<Self>, Failure> {
        entry.key().map(|raw| C::decode(raw, "key").map(Key)).transpose()
    }
}
