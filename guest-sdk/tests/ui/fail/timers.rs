#![allow(unused)]

use tidemill_sdk::prelude::*;

#[on_timer]
fn due(fired: Fired<Text>) {}

#[on_timer]
fn number(fired: Fired<i64>) {}

#[on_timer]
fn again(fired: Fired<i64>, due: Timer<Text>) {}

#[on_timer]
fn keeps(fired: Fired<i64>, seen: State<i64>, out: Output<Text>) {}

#[on_timer]
fn sends(fired: Fired<i64>, out: Output<Bytes>) {}

#[function]
fn no_handler(event: Text, due: Timer<Text>) {}

#[function(timers(due))]
fn another_name(event: Text, reminder: Timer<Text>) {}

#[function(timers(number))]
fn another_codec(event: Text, number: Timer<Text>) {}

#[function(timers(again))]
fn set_by_a_handler(event: Text) {}

#[function(timers(keeps, sends))]
fn shared_names(event: Text, seen: Counter) {}

fn main() {}
