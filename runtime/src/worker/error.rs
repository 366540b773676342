//! Why a worker cannot go on.

use crate::{aggregate, broker, store};

/// What ends a worker; its thread decides whether another one is made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A client is of no more use, or the app cannot go on with what the broker says.
    #[error(transparent)]
    Broker(#[from] broker::Error),
    /// The disk, or what is on it. What is committed is in the changelogs.
    #[error(transparent)]
    State(#[from] store::Error),
    /// What an aggregate store holds was made for something else.
    #[error(transparent)]
    Aggregate(#[from] aggregate::Refused),
}
