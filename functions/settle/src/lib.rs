//! Settles trades: one settlement for every trade, keyed by symbol.
//!
//! The rules, in this order: a trade without a key has no user and is *rejected*; one worth more than `large_trade` is
//! *pending*; three in ten of the rest are *flagged*; what remains is *completed*. Which three in ten is decided by a
//! hash of the record's topic, partition and offset, so the same record gets the same answer every time it is read.
//!
//! It keeps no state and asks for no capability. A trade whose worth does not fit 64 bits is a fault, never a wrong
//! amount: the workspace builds with overflow checks.

use serde::{Deserialize, Serialize};
use tidemill_sdk::prelude::*;

/// The fields of a trade that settling looks at; others are ignored.
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
    /// When the trade was made: its record's timestamp, in milliseconds since the Unix epoch.
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

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{Driver, Input, driver};

    fn settler() -> Driver<settle> {
        driver::<settle>().config("large_trade", 100_000)
    }

    fn trade(quantity: i64, price: i64) -> Input {
        Input::new(format!(
            r#"{{"userid":"User_7","symbol":"ZVV","quantity":{quantity},"price":{price}}}"#
        ))
        .key("User_7")
    }

    fn without_key(quantity: i64, price: i64) -> Input {
        Input::new(format!(r#"{{"symbol":"ZVV","quantity":{quantity},"price":{price}}}"#))
    }

    /// Disposition and reason of a trade, which must be settled.
    #[track_caller]
    fn decision(settler: &mut Driver<settle>, input: Input) -> (String, String) {
        let settlement: Decision = settler.send(input).only("settlements").json();
        (settlement.disposition, settlement.reason)
    }

    #[derive(Deserialize)]
    struct Decision {
        disposition: String,
        reason: String,
    }

    #[test]
    fn a_settlement_is_keyed_by_symbol_and_keeps_time_and_headers() {
        let effects =
            settler().send(trade(1000, 500).timestamp(1_767_261_600_000).header("trace", "abc"));
        let settlement = effects.only("settlements");
        assert_eq!(settlement.key_text(), "ZVV");
        assert_eq!(settlement.timestamp, 1_767_261_600_000);
        assert_eq!(settlement.header("trace"), Some("abc"));
        assert_eq!(
            settlement.text(),
            r#"{"user":"User_7","symbol":"ZVV","amount":500000,"disposition":"Pending","reason":"Large trade","timestamp":1767261600000}"#
        );
    }

    #[test]
    fn a_missing_user_comes_before_every_other_rule() {
        for (quantity, price) in [(1000, 500), (1, 5)] {
            let effects = settler().send(without_key(quantity, price));
            let settlement = effects.only("settlements");
            assert!(
                settlement.text().starts_with(r#"{"user":"NO USER","#),
                "{}",
                settlement.text()
            );
            assert!(
                settlement
                    .text()
                    .contains(r#""disposition":"Rejected","reason":"No user account specified""#)
            );
        }
    }

    #[test]
    fn the_limit_itself_is_not_large() {
        let mut settler = settler();
        assert_eq!(
            decision(&mut settler, trade(100_001, 1)),
            ("Pending".into(), "Large trade".into())
        );
        assert_ne!(decision(&mut settler, trade(100_000, 1)).0, "Pending");
        let mut strict = driver::<settle>().config("large_trade", 10);
        assert_eq!(decision(&mut strict, trade(11, 1)).0, "Pending");
    }

    #[test]
    fn three_in_ten_small_trades_are_flagged_and_always_the_same() {
        let decisions = || {
            let mut settler = settler();
            let places =
                (0..6).flat_map(|partition| (0..1000).map(move |offset| (partition, offset)));
            let trades =
                places.map(|(partition, offset)| trade(10, 10).partition(partition).offset(offset));
            trades.map(|trade| decision(&mut settler, trade)).collect::<Vec<_>>()
        };
        let first = decisions();
        let flagged = first.iter().filter(|(disposition, _)| disposition == "SEC Flagged").count();
        assert!((1700..=1900).contains(&flagged), "{flagged} of 6000 are flagged");
        let completed = ("Completed".to_owned(), "Within same day limit".to_owned());
        assert_eq!(first.iter().filter(|decision| **decision == completed).count(), 6000 - flagged);
        assert_eq!(decisions(), first);
    }

    #[test]
    fn what_is_no_trade_is_rejected_and_its_neighbours_are_settled() {
        let effects = settler().send_all([
            trade(1000, 500),
            Input::new("no JSON").key("User_1"),
            trade(1000, 500),
        ]);
        assert_eq!(
            effects.to("settlements").iter().map(|sent| sent.cause).collect::<Vec<_>>(),
            [0, 2]
        );
        assert!(
            effects.failure().starts_with("reject: value is not JSON: "),
            "{}",
            effects.failure()
        );
        assert_eq!(
            settler().send(Input::null()).failure(),
            "reject: value is null: take Option<…> to accept it"
        );
    }

    #[test]
    fn an_amount_beyond_64_bits_is_a_failure() {
        let failure = settler().send(trade(i64::MAX, 2)).failure();
        assert!(failure.contains("attempt to multiply with overflow"), "{failure}");
    }
}
