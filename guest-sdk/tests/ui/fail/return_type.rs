#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function]
fn f(value: Text) -> Result<Text, Failure> {
    Ok(value)
}

fn main() {}
