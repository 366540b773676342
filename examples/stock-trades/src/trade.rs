//! A trade on its way: as it comes in, with its user's region, and settled.

use serde::{Deserialize, Serialize};

/// A trade as it comes in.
#[derive(Deserialize)]
pub(crate) struct Trade {
    userid: Option<String>,
    quantity: i64,
    symbol: String,
    price: i64,
    account: String,
    side: String,
}

/// The field of a user that trades are given; others are ignored.
#[derive(Deserialize)]
pub(crate) struct User {
    pub(crate) regionid: String,
}

/// A trade with its user's region.
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
    pub(crate) fn of(trade: &'a Trade, regionid: Option<&'a str>) -> Self {
        let Trade { userid, quantity, symbol, price, account, side } = trade;
        let (quantity, price) = (*quantity, *price);
        UserTrade { userid: userid.as_deref(), regionid, quantity, symbol, price, account, side }
    }
}

/// The fields of a trade that settling looks at; others are ignored.
#[derive(Deserialize)]
pub(crate) struct UserTradeIn {
    pub(crate) symbol: String,
    pub(crate) quantity: i64,
    pub(crate) price: i64,
}

/// What became of a trade.
#[derive(Serialize)]
pub(crate) struct Settlement<'a> {
    pub(crate) user: &'a str,
    pub(crate) symbol: &'a str,
    pub(crate) amount: i64,
    pub(crate) disposition: &'a str,
    pub(crate) reason: &'a str,
    /// When the trade was made: its record's timestamp, in milliseconds since the Unix epoch.
    pub(crate) timestamp: i64,
}
