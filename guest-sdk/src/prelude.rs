//! What nearly every function needs: `use tidemill_sdk::prelude::*;`.

pub use crate::{
    Aggregate, Bytes, Columns, Config, Counter, Failure, Fired, Full, Header, Headers, Inputs,
    Joined, Json, Key, Meta, OrFail as _, Origin, Output, Record, State, StateMap, Table, Text,
    Timer, Timestamp, Windowed, function, now, on_timer, random, reject, retry, retry_after,
};
pub use std::time::Duration;
