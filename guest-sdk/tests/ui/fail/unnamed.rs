#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function]
fn f(value: Text, _: Output<Text>, _: Counter, _: Table<Text>) {}

#[function]
fn g(value: Text, out: Output<Text>, #[name("out")] seen: Counter) {}

fn main() {}
