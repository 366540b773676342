//! What the benchmarks measure: the least that a function can do, and an honest map of JSON.

use serde::{Deserialize, Serialize};
use tidemill_sdk::prelude::*;

/// Every record goes on as it is.
#[function]
fn pass_through(_record: Bytes, out: Output<Bytes>) -> Result<(), Failure> {
    out.forward()
}

/// Every other record goes on as it is.
#[function]
fn filter_half(record: Bytes, out: Output<Bytes>) -> Result<(), Failure> {
    match record.first() {
        Some(byte) if byte & 1 == 1 => out.forward(),
        _ => Ok(()),
    }
}

/// Every record goes on with its last byte changed: the value is copied back.
#[function]
fn transform(record: Bytes, out: Output<Bytes>) -> Result<(), Failure> {
    let mut value = record.to_vec();
    if let Some(last) = value.last_mut() {
        *last ^= 1;
    }
    out.send(&value)
}

#[derive(Serialize, Deserialize)]
struct Order {
    id: u64,
    user: String,
    amount: i64,
    currency: String,
    note: String,
    #[serde(default)]
    large: bool,
}

/// Reads a record as JSON, decides, and writes it again.
#[function]
fn json_map(mut order: Json<Order>, out: Output<Json<Order>>) -> Result<(), Failure> {
    order.large = order.amount > 50_000;
    out.send(&order)
}

/// An event goes on where there is a row for it.
#[function]
fn event_and_row(joined: Joined<Bytes, Option<Bytes>>, out: Output<Bytes>) -> Result<(), Failure> {
    match joined.right {
        Some(_) => out.send(&joined.left),
        None => Ok(()),
    }
}

/// The later one of two events goes on.
#[function]
fn two_events(joined: Joined<Bytes, Bytes>, out: Output<Bytes>) -> Result<(), Failure> {
    out.send(&joined.right)
}

tidemill_sdk::export!(pass_through, filter_half, transform, json_map, event_and_row, two_events);
