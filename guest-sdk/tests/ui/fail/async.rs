#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function]
async fn f(value: Text, out: Output<Text>) -> Result<(), Failure> {
    out.send(&value)
}

fn main() {}
