#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function]
fn f(value: Text, at: Option<Timestamp>) {}

fn main() {}
