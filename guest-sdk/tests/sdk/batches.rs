//! How a batch goes through, seen from the host: the component's own entry points and the bytes they exchange.

use tidemill_layout::{BatchWriter, Entry, Failure, Headers, Kind, Origin, Outcome, Part};
use tidemill_sdk::macros::{Export, handle, init};
use tidemill_sdk::prelude::*;

#[function]
fn twice(value: Text, out: Output<Text>) -> Result<(), Failure_> {
    out.forward()?;
    if value.is_empty() {
        return Err(reject("empty"));
    }
    out.send(&value.to_uppercase())
}

/// An alias: the macro does not look at names.
type Failure_ = tidemill_sdk::Failure;

const FUNCTIONS: &[Export] = &[Export::of::<twice>()];

fn batch(values: &[&str]) -> Vec<u8> {
    let mut batch = BatchWriter::new();
    let origin = batch.origin(Origin { topic: "t", partition: 0 });
    for (value, offset) in values.iter().zip(0..) {
        let value = Some(value.as_bytes());
        batch.entry(&Entry {
            kind: Kind::Record,
            source: 0,
            origin,
            attempt: 0,
            offset,
            timestamp: 0,
            key: None,
            value,
            headers: Headers::EMPTY,
        });
    }
    batch.finish().to_vec()
}

#[test]
fn a_failure_ends_the_batch_and_drops_what_its_record_sent() {
    init(FUNCTIONS, 0, "{}").unwrap();
    let outcome = handle(batch(&["a", "b", "", "c"]));
    let outcome = Outcome::parse(&outcome, 4).unwrap();
    assert_eq!((outcome.handled, outcome.failure), (2, Some(Failure::Reject("empty"))));
    let emissions: Vec<_> =
        outcome.emissions().map(|emission| emission.map(|e| (e.cause, e.value))).collect();
    let (a, b) = (Part::Bytes(b"A"), Part::Bytes(b"B"));
    assert_eq!(emissions, [Ok((0, Part::Inherit)), Ok((0, a)), Ok((1, Part::Inherit)), Ok((1, b))]);
}

#[test]
fn an_instance_goes_on_after_a_failure() {
    init(FUNCTIONS, 0, "{}").unwrap();
    handle(batch(&[""]));
    let outcome = handle(batch(&["x"]));
    let outcome = Outcome::parse(&outcome, 1).unwrap();
    assert_eq!((outcome.handled, outcome.failure, outcome.len()), (1, None, 2));
    let outcome = handle(batch(&[]));
    assert_eq!(Outcome::parse(&outcome, 0).unwrap().handled, 0);
}

thread_local! {
    static KEPT: std::cell::RefCell<Vec<Bytes>> = const { std::cell::RefCell::new(Vec::new()) };
}

#[function]
fn keep(value: Bytes) {
    KEPT.with_borrow_mut(|kept| kept.push(value));
}

#[test]
fn what_is_kept_of_a_batch_outlives_it() {
    init(&[Export::of::<keep>()], 0, "{}").unwrap();
    handle(batch(&["a", ""]));
    handle(batch(&["bb"]));
    handle(batch(&["ccc"]));
    let kept = KEPT.take();
    assert_eq!(
        kept.iter().map(|bytes| &**bytes).collect::<Vec<_>>(),
        [&b"a"[..], b"", b"bb", b"ccc"]
    );
}

#[test]
fn a_malformed_batch_is_a_failure() {
    init(FUNCTIONS, 0, "{}").unwrap();
    let mut bytes = batch(&["a", "b"]);
    bytes[0] = 9;
    let outcome = handle(bytes);
    let outcome = Outcome::parse(&outcome, 2).unwrap();
    let reason = "the host's batch is malformed: unknown layout version at byte 0";
    assert_eq!(outcome.failure, Some(Failure::Error(reason)));
}

#[test]
fn init_says_what_is_wrong() {
    assert_eq!(init(FUNCTIONS, 1, "{}"), Err("no function 1: there are 1".to_owned()));
    assert!(init(FUNCTIONS, 0, "[]").unwrap_err().starts_with("config is not a JSON object: "));
}
