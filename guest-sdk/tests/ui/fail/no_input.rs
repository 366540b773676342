#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function]
fn f(key: Key<Text>, out: Output<Text>) -> Result<(), Failure> {
    out.send(&key)
}

fn main() {}
