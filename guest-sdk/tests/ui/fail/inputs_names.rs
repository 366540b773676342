#![allow(unused)]

use tidemill_sdk::prelude::*;

#[derive(Inputs)]
enum Event {
    Orders(Text),
    #[name("orders")]
    Others(Text),
}

fn main() {}
