#![allow(unused)]

use tidemill_sdk::prelude::*;

struct Enrich;

tidemill_sdk::export!(Enrich);

fn main() {}
