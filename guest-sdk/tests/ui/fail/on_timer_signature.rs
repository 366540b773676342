#![allow(unused)]

use tidemill_sdk::prelude::*;

#[on_timer]
fn record(fired: Fired<i64>, event: Text) {}

#[on_timer]
fn nothing(out: Output<Text>) {}

#[on_timer]
fn empty() {}

#[on_timer]
fn header(fired: Fired<i64>, #[header("x")] x: Text) {}

#[on_timer(due)]
fn arguments(fired: Fired<i64>) {}

#[on_timer]
struct Due;

#[function]
fn fired(event: Text, fired: Fired<i64>) {}

fn main() {}
