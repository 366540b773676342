#![allow(unused)]

use tidemill_sdk::prelude::*;

#[derive(Inputs)]
enum Event {
    Order(String),
}

fn main() {}
