#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function]
fn f<T: serde::de::DeserializeOwned>(value: Json<T>) {}

fn main() {}
