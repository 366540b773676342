#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function]
fn f(value: Text, #[header("x-user")] #[name("user")] user: Text) {}

fn main() {}
