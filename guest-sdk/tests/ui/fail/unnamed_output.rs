#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function]
fn f(value: Text, _: Output<Text>, _: Counter, _: Table<Text>) {}

fn main() {}
