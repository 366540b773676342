//! Adds amounts up, key by key, and sends every new total.
//!
//! An amount is a decimal integer as text; what is none is rejected. The total is the host's, a counter: it is written
//! in the same transaction as the record that tells it, so that the totals sent for a key go up amount by amount, without a
//! gap and without a repeat. A total that does not fit 64 bits is a fault, never a wrong number.

use tidemill_sdk::prelude::*;

#[function]
fn running_total(amount: Text, total: Counter, totals: Output<Text>) -> Result<(), Failure> {
    let amount: i64 = amount.parse().or_reject("amount")?;
    totals.send(&total.add(amount)?.to_string())
}
tidemill_sdk::export!(running_total);

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{Input, driver};

    fn amount(key: &str, amount: &str) -> Input {
        Input::new(amount).key(key)
    }

    #[test]
    fn every_key_has_its_own_total() {
        let mut running_total = driver::<running_total>();
        let effects = running_total.send_all([
            amount("ann", "5"),
            amount("bob", "7"),
            amount("ann", "-2"),
            amount("ann", "+10"),
        ]);
        let totals: Vec<_> =
            effects.to("totals").iter().map(|sent| (sent.key_text(), sent.text())).collect();
        assert_eq!(totals, [("ann", "5"), ("bob", "7"), ("ann", "3"), ("ann", "13")]);
        assert_eq!(running_total.count("total", "ann"), 13);
    }

    #[test]
    fn headers_and_time_are_those_of_the_amount() {
        let input = amount("ann", "5").header("trace", "abc").timestamp(7);
        let effects = driver::<running_total>().send(input);
        let sent = effects.only("totals");
        assert_eq!((sent.header("trace"), sent.timestamp), (Some("abc"), 7));
    }

    #[test]
    fn what_is_no_amount_is_rejected_and_adds_nothing() {
        for wrong in ["", "five", "1.5", " 1", "9223372036854775808"] {
            let mut running_total = driver::<running_total>().with_count("total", "ann", 1);
            let failure = running_total.send(amount("ann", wrong)).failure();
            assert!(failure.starts_with("reject: amount: "), "{wrong:?}: {failure}");
            assert_eq!(running_total.count("total", "ann"), 1);
        }
        let failure = driver::<running_total>().send(Input::new("1")).failure();
        assert_eq!(failure, "reject: record has no key");
    }

    #[test]
    fn a_total_beyond_64_bits_is_a_failure_and_the_total_stays() {
        let mut running_total = driver::<running_total>().with_count("total", "ann", i64::MAX);
        assert!(running_total.send(amount("ann", "1")).failure().starts_with("error: "));
        assert_eq!(
            running_total.send(amount("ann", "-1")).only("totals").text(),
            "9223372036854775806"
        );
    }
}
