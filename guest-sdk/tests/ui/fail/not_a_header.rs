#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function]
fn f(value: Text, #[header("x-user")] user: Key<Text>) {}

fn main() {}
