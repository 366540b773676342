#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function]
fn f() {}

fn main() {}
