//! Settling trades, as printed in the handbook.

use serde::{Deserialize, Serialize};
use tidemill_sdk::prelude::*;
use tidemill_sdk::testing::{Driver, Input, driver};

#[derive(Deserialize)]
struct UserTradeIn {
    symbol: String,
    quantity: i64,
    price: i64,
}

#[derive(Serialize)]
struct Settlement<'a> {
    user: &'a str,
    symbol: &'a str,
    amount: i64,
    disposition: &'a str,
    reason: &'a str,
    timestamp: i64,
}

#[rustfmt::skip]
#[function]
fn settle(trade: Json<UserTradeIn>, user: Option<Key<Text>>, at: Timestamp, origin: Origin, large_trade: Config<i64>,
          settlements: Output<Json<Settlement<'_>>, Key<Text>>) -> Result<(), Failure> {
    let amount = trade.quantity * trade.price;                       // overflow-checks: a fault, not a wrap
    let (disposition, reason) = if user.is_none() { ("Rejected", "No user account specified") }
        else if amount > *large_trade { ("Pending", "Large trade") }
        else if origin.hash() % 100 < 30 { ("SEC Flagged", "This trade looks sus") }   // topic, partition, offset: repeatable
        else { ("Completed", "Within same day limit") };
    let user = user.as_deref().unwrap_or("NO USER");
    settlements.send(&trade.symbol, &Settlement { user, symbol: &trade.symbol, amount, disposition, reason, timestamp: at.millis() })
}
tidemill_sdk::export!(settle);

fn settling() -> Driver<settle> {
    driver::<settle>().config("large_trade", 100_000)
}

fn trade(quantity: i64, price: i64) -> Input {
    Input::new(format!(r#"{{"symbol":"ZVV","quantity":{quantity},"price":{price},"side":"BUY"}}"#))
        .topic("user_trades")
}

#[test]
fn a_large_trade_is_pending() {
    let effects = settling().send(trade(1000, 500).key("User_7").timestamp(1_767_261_605_000));
    let sent = effects.only("settlements");
    assert_eq!(sent.key_text(), "ZVV");
    assert_eq!(
        sent.text(),
        r#"{"user":"User_7","symbol":"ZVV","amount":500000,"disposition":"Pending","reason":"Large trade","timestamp":1767261605000}"#
    );
}

#[test]
fn a_trade_without_a_user_is_rejected() {
    let effects = settling().send(trade(1, 1));
    let settlement: serde_json::Value = effects.only("settlements").json();
    assert_eq!(
        (&settlement["disposition"], &settlement["user"]),
        (&"Rejected".into(), &"NO USER".into())
    );
}

#[test]
fn three_of_ten_small_trades_are_flagged_and_always_the_same() {
    let run = || settling().send_all((0..1000).map(|_| trade(1, 1).key("User_1")));
    let flagged = |effects: &tidemill_sdk::testing::Effects| {
        effects.to("settlements").iter().filter(|sent| sent.text().contains("SEC Flagged")).count()
    };
    let effects = run();
    assert_eq!(effects.sent.len(), 1000);
    assert!((250..350).contains(&flagged(&effects)), "{}", flagged(&effects));
    assert_eq!(run(), effects);
}

#[test]
fn an_overflow_is_a_failure_that_says_where() {
    let effects = settling().send(trade(i64::MAX, 2).key("User_1"));
    let failure = effects.failure();
    let (start, rest) = failure.split_at("error: panicked at ".len());
    assert_eq!(start, "error: panicked at ");
    assert!(
        rest.contains("tests/sdk/settle.rs:")
            && rest.ends_with(": attempt to multiply with overflow"),
        "{rest}"
    );
}
