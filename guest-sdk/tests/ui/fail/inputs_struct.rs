#![allow(unused)]

use tidemill_sdk::prelude::*;

#[derive(Inputs)]
struct Event {
    order: Json<i64>,
}

fn main() {}
