//! What nearly every function needs: `use tidemill_sdk::prelude::*;`.

pub use crate::{
    Bytes, Config, Counter, Failure, Fired, Header, Headers, Inputs, Json, Key, Meta, OrFail as _,
    Origin, Output, Record, State, StateMap, Table, Text, Timer, Timestamp, function, now,
    on_timer, random, reject, retry, retry_after,
};
pub use std::time::Duration;
