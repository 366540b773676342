#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function]
fn f(value: Text, #[name("Big-Orders")] out: Output<Text>) {}

fn main() {}
