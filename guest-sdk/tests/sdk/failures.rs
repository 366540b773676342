//! Every way to fail.

use std::num::ParseIntError;
use tidemill_sdk::prelude::*;
use tidemill_sdk::testing::{Input, Reaction, driver};

#[derive(Debug)]
struct Outer(ParseIntError);

impl std::fmt::Display for Outer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no amount")
    }
}

impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[function]
fn fail(how: Text) -> Result<(), Failure> {
    match &*how {
        "error" => drop("x".parse::<i32>()?),
        "chain" => drop("x".parse::<i32>().map_err(Outer)?),
        "message" => return Err(Failure::error("broken")),
        "reject" => return Err(reject("wrong")),
        "retry" => return Err(retry("busy")),
        "retry after" => return Err(retry_after(Duration::from_millis(1500), "busy")),
        "or_reject option" => None.or_reject("no user")?,
        "or_reject result" => drop("x".parse::<i32>().or_reject("amount")?),
        "or_retry" => None.or_retry("not there yet")?,
        "panic" => panic!("at {}", how.len()),
        _ => {}
    }
    Ok(())
}
tidemill_sdk::export!(fail);

#[test]
fn failures_say_why() {
    let failure = |how: &str| driver::<fail>().send(Input::new(how)).failure();
    assert_eq!(failure("error"), "error: invalid digit found in string");
    assert_eq!(failure("chain"), "error: no amount: invalid digit found in string");
    assert_eq!(failure("message"), "error: broken");
    assert_eq!(failure("reject"), "reject: wrong");
    assert_eq!(failure("retry"), "retry: busy");
    assert_eq!(failure("retry after"), "retry after 1500 ms: busy");
    assert_eq!(failure("or_reject option"), "reject: no user");
    assert_eq!(failure("or_reject result"), "reject: amount: invalid digit found in string");
    assert_eq!(failure("or_retry"), "retry: not there yet");
}

#[test]
fn a_panic_is_a_failure_and_the_next_record_goes_on() {
    let effects = driver::<fail>().send_all(["fine", "panic", "fine", "reject"].map(Input::new));
    let failed: Vec<_> =
        effects.failed.iter().map(|failed| (failed.index, failed.reaction)).collect();
    assert_eq!(failed, [(1, Reaction::Error), (3, Reaction::Reject)]);
    assert!(effects.failed[0].reason.ends_with(": at 5"), "{}", effects.failed[0]);
}

#[function]
fn silent(_value: Record) {}

#[test]
fn a_function_may_return_nothing() {
    assert_eq!(driver::<silent>().send(Input::null()), Default::default());
}
