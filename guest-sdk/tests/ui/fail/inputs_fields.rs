#![allow(unused)]

use tidemill_sdk::prelude::*;

#[derive(Inputs)]
enum Event {
    Order(Json<i64>, Text),
    Payment,
}

fn main() {}
