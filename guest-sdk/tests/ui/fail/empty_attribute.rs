#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function]
fn f(value: Text, #[name] out: Output<Text>) {}

fn main() {}
