#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function]
#[allow(non_snake_case)]
fn Enrich(value: Text) {}

fn main() {}
