#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function]
fn f<'a>(value: Json<std::borrow::Cow<'a, str>>) {}

fn main() {}
