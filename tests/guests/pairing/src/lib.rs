//! Tells which records a join put together.

use serde::{Deserialize, Serialize};
use tidemill_sdk::prelude::*;

#[derive(Deserialize)]
struct Numbered {
    number: u64,
}

#[derive(Serialize)]
struct Pair {
    left: u64,
    right: Option<u64>,
}

/// The numbers of both sides of a row.
#[function]
fn pair(
    row: Joined<Json<Numbered>, Option<Json<Numbered>>>,
    pairs: Output<Json<Pair>>,
) -> Result<(), Failure> {
    let right = row.right.as_ref().map(|right| right.number);
    pairs.send(&Pair { left: row.left.number, right })
}

tidemill_sdk::export!(pair);
