#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function(timers(due))]
fn f(value: Text) {}

fn main() {}
