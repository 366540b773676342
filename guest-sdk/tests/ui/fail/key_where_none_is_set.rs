#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function]
fn f(value: Text, out: Output<Text>) -> Result<(), Failure> {
    out.send(&value, &value)
}

fn main() {}
