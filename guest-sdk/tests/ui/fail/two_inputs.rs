#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function]
fn f(order: Json<i64>, payment: Text) {}

fn main() {}
