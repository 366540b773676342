#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function(timers(due))]
fn watch(event: Text, due: Timer<Text>) {}

#[function]
fn due(fired: Text) {}

#[on_timer]
fn tick(fired: Fired<i64>) {}

tidemill_sdk::export!(tick);

fn main() {}
