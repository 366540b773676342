//! What nearly every function needs: `use tidemill_sdk::prelude::*;`.

pub use crate::{
    Bytes, Config, Failure, Header, Headers, Inputs, Json, Key, Meta, OrFail as _, Origin, Output,
    Record, Text, Timestamp, function, now, random, reject, retry, retry_after,
};
pub use std::time::Duration;
