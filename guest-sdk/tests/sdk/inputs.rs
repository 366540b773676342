//! Several inputs that a function tells apart.

use serde::Deserialize;
use std::borrow::Cow;
use tidemill_sdk::prelude::*;
use tidemill_sdk::testing::{Input, driver};

#[derive(Deserialize)]
struct Refund<'a> {
    #[serde(borrow)]
    order: Cow<'a, str>,
}

#[derive(Inputs)]
enum Event<'a> {
    OrderLines(Option<Text>),
    #[name("refunds")]
    Refund(Json<Refund<'a>>),
    Other(Record),
}

#[function]
fn merge(event: Event<'_>, out: Output<Text>) -> Result<(), Failure> {
    match event {
        Event::OrderLines(line) => out.send(line.as_deref().unwrap_or("none")),
        Event::Refund(refund) => out.send(&refund.order),
        Event::Other(record) => out.send(record.topic()),
    }
}
tidemill_sdk::export!(merge);

#[test]
fn each_input_is_its_variant() {
    let mut merge = driver::<merge>();
    let mut sent = |input: Input| merge.send(input).only("out").text().to_owned();
    assert_eq!(sent(Input::new("tea").source("order_lines")), "tea");
    assert_eq!(sent(Input::null().source("order_lines")), "none");
    assert_eq!(sent(Input::new(r#"{"order":"o-1"}"#).source("refunds")), "o-1");
    assert_eq!(sent(Input::null().source("other").topic("t")), "t");
}

#[test]
fn each_variant_decodes_as_it_says() {
    let failure = driver::<merge>().send(Input::new("{}").source("refunds")).failure();
    assert_eq!(failure, "reject: value is not a Refund: missing field `order` at column 2");
}
