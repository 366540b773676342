#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function]
fn f(value: Text, #[topic("orders")] out: Output<Text>) {}

fn main() {}
