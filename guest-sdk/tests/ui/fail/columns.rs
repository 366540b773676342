use tidemill_sdk::prelude::*;

#[derive(Columns)]
enum Kind {
    One,
}

#[derive(Columns)]
struct Pair(i64, i64);

#[derive(Columns)]
struct Generic<T> {
    value: T,
}

#[derive(Columns)]
struct Upper {
    #[name("Count")]
    count: i64,
}

#[derive(Columns)]
struct Twice {
    count: i64,
    #[name("count")]
    other: i64,
}

#[derive(Columns)]
struct Clock {
    at: std::time::Duration,
}

struct Forgotten {
    count: i64,
}

#[function]
fn forgotten(_: Text, counts: Aggregate<(), Forgotten>) {}

fn main() {}
