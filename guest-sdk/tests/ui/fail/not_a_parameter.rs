#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function]
fn f(value: String, limit: &i64) {}

fn main() {}
