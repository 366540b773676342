//! What becomes of trades: `enrich` gives each the region of its user, `settle` decides. The rest of the story is the host's:
//! it brings trades under their users, looks the users up, and counts the settlements.

mod trade;

use tidemill_sdk::prelude::*;
use trade::{Settlement, Trade, User, UserTrade, UserTradeIn};

#[rustfmt::skip]
#[function]
fn enrich(row: Joined<Json<Trade>, Option<Json<User>>>, user_trades: Output<Json<UserTrade<'_>>>) -> Result<(), Failure> {
    let region = row.right.as_ref().map(|user| user.regionid.as_str());
    user_trades.send(&UserTrade::of(&row.left, region))
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
tidemill_sdk::export!(enrich, settle);

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{Input, driver};

    const TRADE: &str = r#"{"userid":"User_7","quantity":10,"symbol":"ZVV","price":5,"account":"ABC123","side":"BUY"}"#;
    const USER: &str = r#"{"userid":"User_7","registertime":1493819497170,"regionid":"Region_3","gender":"OTHER"}"#;

    #[test]
    fn a_trade_gets_the_region_of_its_user_and_keeps_its_key() {
        let row = Input::joined(Some(TRADE), Some(USER)).key("User_7").timestamp(7);
        let effects = driver::<enrich>().send(row);
        let sent = effects.only("user_trades");
        assert_eq!((sent.key_text(), sent.timestamp), ("User_7", 7));
        assert_eq!(
            sent.text(),
            r#"{"userid":"User_7","regionid":"Region_3","quantity":10,"symbol":"ZVV","price":5,"account":"ABC123","side":"BUY"}"#
        );
    }

    #[test]
    fn a_trade_of_an_unknown_user_goes_on() {
        let effects =
            driver::<enrich>().send(Input::joined(Some(TRADE), None::<&str>).key("User_7"));
        let trade: serde_json::Value = effects.only("user_trades").json();
        assert_eq!(trade["regionid"], serde_json::Value::Null);
    }

    #[test]
    fn a_row_that_is_no_user_is_named() {
        let effects = driver::<enrich>().send(Input::joined(Some(TRADE), Some("{}")));
        assert_eq!(
            effects.failure(),
            "reject: right value is not a User: missing field `regionid` at column 2"
        );
    }

    /// The other rules are those of the ready-made function of the same name, and tested there.
    #[test]
    fn a_trade_without_a_key_is_rejected_whatever_it_is_worth() {
        for price in [1, 1000] {
            let trade = format!(r#"{{"symbol":"ZVV","quantity":1000,"price":{price}}}"#);
            let effects = driver::<settle>().config("large_trade", 100_000).send(Input::new(trade));
            let settlement = effects.only("settlements");
            assert_eq!(settlement.key_text(), "ZVV");
            assert!(settlement.text().contains(r#""disposition":"Rejected""#));
        }
    }
}
