#![allow(unused)]

use tidemill_sdk::prelude::*;

#[function(pure)]
fn f(value: Text) {}

#[function(timers)]
fn g(value: Text) {}

#[function(timers())]
fn h(value: Text) {}

#[function(timers("due"))]
fn i(value: Text) {}

#[function(timers(due, due))]
fn j(value: Text) {}

#[on_timer]
fn due(fired: Fired<i64>) {}

fn main() {}
