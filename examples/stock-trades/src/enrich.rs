//! Gives each trade the region of its user, from the table `users`.
//!
//! A left join: a trade goes on whether its user is known or not, and without a key as well. The row is the one that the
//! table has when the trade is read.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tidemill_sdk::prelude::*;

/// A trade as it comes in.
#[derive(Deserialize)]
pub(crate) struct Trade<'a> {
    #[serde(borrow, default)]
    userid: Option<Cow<'a, str>>,
    quantity: i64,
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    price: i64,
    #[serde(borrow)]
    account: Cow<'a, str>,
    #[serde(borrow)]
    side: Cow<'a, str>,
}

/// The field of a user that trades are given; others are ignored.
#[derive(Deserialize)]
pub(crate) struct User {
    regionid: String,
}

/// A trade as it goes on.
#[derive(Serialize)]
pub(crate) struct UserTrade<'a> {
    userid: Option<&'a str>,
    /// `null` where the user is not known.
    regionid: Option<&'a str>,
    quantity: i64,
    symbol: &'a str,
    price: i64,
    account: &'a str,
    side: &'a str,
}

impl<'a> UserTrade<'a> {
    fn of(trade: &'a Trade<'_>, regionid: Option<&'a str>) -> Self {
        let Trade { userid, quantity, symbol, price, account, side } = trade;
        let (quantity, price) = (*quantity, *price);
        UserTrade { userid: userid.as_deref(), regionid, quantity, symbol, price, account, side }
    }
}

#[rustfmt::skip]
#[function]
pub(crate) fn enrich(trade: Json<Trade<'_>>, users: Table<Json<User>>, user_trades: Output<Json<UserTrade<'_>>>) -> Result<(), Failure> {
    let user = users.get()?;
    let region = user.as_ref().map(|user| user.regionid.as_str());
    user_trades.send(&UserTrade::of(&trade, region))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{Driver, Input, driver};

    const TRADE: &str = r#"{"userid":"User_7","quantity":10,"symbol":"ZVV","price":5,"account":"ABC123","side":"BUY"}"#;

    fn enriching() -> Driver<enrich> {
        let row = r#"{"userid":"User_7","registertime":1493819497170,"regionid":"Region_3","gender":"OTHER"}"#;
        driver::<enrich>().with_row("users", "User_7", row)
    }

    #[test]
    fn a_trade_gets_the_region_of_its_user_and_keeps_its_key() {
        let effects = enriching().send(Input::new(TRADE).key("User_7").timestamp(7));
        let sent = effects.only("user_trades");
        assert_eq!((sent.key_text(), sent.timestamp), ("User_7", 7));
        assert_eq!(
            sent.text(),
            r#"{"userid":"User_7","regionid":"Region_3","quantity":10,"symbol":"ZVV","price":5,"account":"ABC123","side":"BUY"}"#
        );
    }

    #[test]
    fn a_trade_of_an_unknown_user_goes_on() {
        for input in [Input::new(TRADE).key("User_8"), Input::new(TRADE)] {
            let effects = enriching().send(input);
            let trade: serde_json::Value = effects.only("user_trades").json();
            assert_eq!(trade["regionid"], serde_json::Value::Null);
        }
    }

    #[test]
    fn a_user_who_moves_takes_later_trades_along() {
        let mut enrich = enriching();
        enrich.set_row("users", "User_7", r#"{"userid":"User_7","regionid":"Region_9"}"#);
        let sent = enrich.send(Input::new(TRADE).key("User_7"));
        assert!(sent.only("user_trades").text().contains(r#""regionid":"Region_9""#));
    }

    #[test]
    fn a_row_that_is_no_user_stops_the_task_and_not_the_trade() {
        let mut enrich = enriching();
        enrich.set_row("users", "User_7", "{}");
        assert_eq!(
            enrich.send(Input::new(TRADE).key("User_7")).failure(),
            "state: table `users`: row is not a User: missing field `regionid` at column 2"
        );
    }
}
