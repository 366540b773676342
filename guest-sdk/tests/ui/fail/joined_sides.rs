use tidemill_sdk::prelude::*;

#[function]
fn nothing(_row: Joined<Option<Text>, Option<Text>>) {}

#[function]
fn full(_row: Full<Text, Option<Text>>) {}

#[function]
fn record(_row: Joined<Text, Record>) {}

#[function]
fn results(_row: Windowed<Joined<Text, Text>>) {}

fn main() {}
