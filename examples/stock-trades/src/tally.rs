//! Counts settlements by symbol and disposition.
//!
//! The key of a settlement is its symbol, so each symbol has a map of its own in the store `tallies`, by disposition.
//! There is no output: the counts are asked for where they are kept.

use serde::Deserialize;
use tidemill_sdk::prelude::*;

/// The field of a settlement that is counted by; others are ignored.
#[derive(Deserialize)]
pub(crate) struct Settled {
    disposition: String,
}

#[rustfmt::skip]
#[function]
pub(crate) fn tally(settled: Json<Settled>, tallies: StateMap<Text, i64>) -> Result<(), Failure> {
    let count = tallies.get(&settled.disposition)?.unwrap_or(0);
    tallies.set(&settled.disposition, &(count + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{Input, driver};

    fn settled(symbol: &str, disposition: &str) -> Input {
        Input::new(format!(r#"{{"symbol":"{symbol}","disposition":"{disposition}"}}"#)).key(symbol)
    }

    #[test]
    fn every_symbol_has_its_counts() {
        let mut tally = driver::<tally>().with_entry(
            "tallies",
            "ZVV",
            &Text::from("Pending"),
            41_i64.to_be_bytes(),
        );
        let effects = tally.send_all([
            settled("ZVV", "Pending"),
            settled("ZTEST", "Completed"),
            settled("ZVV", "SEC Flagged"),
            settled("ZTEST", "Completed"),
        ]);
        assert_eq!(effects, Default::default());
        let counts = |symbol: &str| -> Vec<(String, i64)> {
            let entries = tally.entries::<Text>("tallies", symbol).into_iter();
            let count = |value: Vec<u8>| i64::from_be_bytes(value.try_into().unwrap());
            entries.map(|(disposition, value)| (disposition.to_string(), count(value))).collect()
        };
        assert_eq!(counts("ZVV"), [("Pending".to_owned(), 42), ("SEC Flagged".to_owned(), 1)]);
        assert_eq!(counts("ZTEST"), [("Completed".to_owned(), 2)]);
    }

    #[test]
    fn what_is_no_settlement_is_rejected() {
        let failure = driver::<tally>().send(Input::new("{}").key("ZVV")).failure();
        assert_eq!(
            failure,
            "reject: value is not a Settled: missing field `disposition` at column 2"
        );
    }
}
