//! A made-up trade, and an endless source of them.

use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

const SIDES: [&str; 2] = ["BUY", "SELL"];
/// Symbols that exchanges reserve for tests.
const SYMBOLS: [&str; 7] = ["ZBZX", "ZJZZT", "ZTEST", "ZVV", "ZVZZT", "ZWZZT", "ZXZZT"];
const ACCOUNTS: [&str; 3] = ["ABC123", "LMN456", "XYZ789"];

/// One trade, as it stands in the topic.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trade {
    /// `User_1` to `User_9`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userid: Option<String>,
    /// `Region_1` to `Region_9`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regionid: Option<String>,
    /// 1 to 5000.
    pub quantity: u32,
    pub symbol: &'static str,
    /// 5 to 1000.
    pub price: u32,
    pub account: &'static str,
    pub side: &'static str,
}

impl Trade {
    /// As it is made, by a user or nobody, before anyone looks the user up.
    pub fn made_by(self, has_user: bool) -> Self {
        Self { userid: self.userid.filter(|_| has_user), regionid: None, ..self }
    }
}

/// Trades without end; the seed decides them.
pub struct Trades {
    // A named algorithm: `StdRng` may change with a release of rand, and with it every seed's trades.
    random: Xoshiro256PlusPlus,
}

impl Trades {
    pub fn new(seed: u64) -> Self {
        Self { random: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }

    fn pick(&mut self, names: &[&'static str]) -> &'static str {
        names.choose(&mut self.random).expect("every list of names has some")
    }
}

impl Iterator for Trades {
    type Item = Trade;

    fn next(&mut self) -> Option<Trade> {
        Some(Trade {
            userid: Some(format!("User_{}", self.random.random_range(1..=9))),
            regionid: Some(format!("Region_{}", self.random.random_range(1..=9))),
            quantity: self.random.random_range(1..=5000),
            symbol: self.pick(&SYMBOLS),
            price: self.random.random_range(5..=1000),
            account: self.pick(&ACCOUNTS),
            side: self.pick(&SIDES),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stay_in_their_ranges_and_reach_their_ends() {
        let trades: Vec<_> = Trades::new(3).take(100_000).collect();
        let quantities = trades.iter().map(|trade| trade.quantity);
        assert_eq!((quantities.clone().min(), quantities.max()), (Some(1), Some(5000)));
        let prices = trades.iter().map(|trade| trade.price);
        assert_eq!((prices.clone().min(), prices.max()), (Some(5), Some(1000)));
        for symbol in SYMBOLS {
            assert!(trades.iter().any(|trade| trade.symbol == symbol), "no {symbol}");
        }
    }

    /// What the example's README promises: about nine in ten are worth more than 100,000.
    #[test]
    fn nine_in_ten_are_large() {
        let large = Trades::new(5)
            .take(100_000)
            .filter(|trade| trade.quantity * trade.price > 100_000)
            .count();
        assert!((90_100..=91_100).contains(&large), "{large} of 100000");
    }
}
