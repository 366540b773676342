#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function]
fn f(value: impl AsRef<[u8]>) {}

fn main() {}
