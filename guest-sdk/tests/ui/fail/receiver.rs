#![allow(unused)]

use tidemill_sdk::prelude::*;

struct Counter;

impl Counter {
    #[function]
    fn f(&self, value: Text) {}
}

fn main() {}
