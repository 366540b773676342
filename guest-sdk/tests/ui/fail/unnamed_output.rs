#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function]
fn f(value: Text, _: Output<Text>) {}

fn main() {}
