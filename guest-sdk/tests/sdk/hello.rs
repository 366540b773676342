//! The first function of the handbook, as printed there.

use serde::{Deserialize, Serialize};
use tidemill_sdk::prelude::*;
use tidemill_sdk::testing::{Input, driver};

#[derive(Serialize, Deserialize)]
#[rustfmt::skip]
struct Order { id: String, amount: i64, #[serde(default)] tier: String }
#[function]
#[rustfmt::skip]
fn hello(mut order: Json<Order>, minimum: Config<i64>, big: Output<Json<Order>>) -> Result<(), Failure> {
    if order.amount < *minimum { return Ok(()); }
    order.tier = "gold".into();
    big.send(&order)
}
tidemill_sdk::export!(hello);

#[test]
fn large_orders_pass_small_ones_are_dropped() {
    let mut hello = driver::<hello>().config("minimum", 100);
    let effects =
        hello.send(Input::new(r#"{"id":"o-1","amount":250}"#).key("o-1").header("trace", "abc"));
    let sent = effects.only("big");
    assert_eq!(sent.text(), r#"{"id":"o-1","amount":250,"tier":"gold"}"#);
    assert_eq!((sent.key_text(), sent.header("trace")), ("o-1", Some("abc")));
    let effects = hello.send(Input::new(r#"{"id":"o-2","amount":5}"#).key("o-2"));
    assert_eq!(effects, Default::default());
}

#[test]
fn nonsense_is_rejected() {
    let mut hello = driver::<hello>().config("minimum", 100);
    let failure = hello.send(Input::new([0xff, 0x00])).failure();
    assert_eq!(failure, "reject: value is not JSON: expected value at column 1");
}
