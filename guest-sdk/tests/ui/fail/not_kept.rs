#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function]
fn f(value: Text, names: State<String>, seen: StateMap<f64, i64>, users: Table<&str>) {}

fn main() {}
