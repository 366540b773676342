#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function]
struct Enrich;

fn main() {}
