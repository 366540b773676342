//! Everything a function can take beside its outputs.

use serde::Deserialize;
use std::borrow::Cow;
use tidemill_sdk::prelude::*;
use tidemill_sdk::testing::{Input, driver};

#[derive(Deserialize)]
struct Login<'a> {
    #[serde(borrow)]
    user: Cow<'a, str>,
    ok: bool,
}

#[function]
fn json(login: Json<Login<'_>>, out: Output<Text>) -> Result<(), Failure> {
    out.send(&format!("{} {} {}", login.user, login.ok, matches!(login.user, Cow::Borrowed(_))))
}

#[test]
fn json_borrows_where_it_can() {
    let effects = driver::<json>().send(Input::new(r#"{"user":"ann","ok":true}"#));
    assert_eq!(effects.only("out").text(), "ann true true");
    let effects = driver::<json>().send(Input::new(r#"{"user":"a\"n","ok":true}"#));
    assert_eq!(effects.only("out").text(), "a\"n true false");
}

#[test]
fn json_failures_say_what_and_where() {
    let failure = |value: &str| driver::<json>().send(Input::new(value)).failure();
    assert_eq!(
        failure(""),
        "reject: value is not JSON: EOF while parsing a value at line 1 column 0"
            .replace("line 1 ", "")
    );
    assert_eq!(
        failure(r#"{"user":"#),
        "reject: value is not JSON: EOF while parsing a value at column 8"
    );
    assert_eq!(
        failure("{\n}"),
        "reject: value is not a Login: missing field `user` at line 2 column 1"
    );
    assert_eq!(
        failure(r#"{"user":""}"#),
        "reject: value is not a Login: missing field `ok` at column 11"
    );
}

#[test]
fn json_of_null_says_what_to_take() {
    let failure = driver::<json>().send(Input::null()).failure();
    assert_eq!(failure, "reject: value is null: take Option<…> to accept it");
}

#[derive(Deserialize)]
struct Order<'a> {
    id: &'a str,
}

#[function]
fn borrowed(order: Json<Order<'_>>, out: Output<Text>) -> Result<(), Failure> {
    out.send(order.id)
}

#[test]
fn an_escape_in_a_borrowed_text_says_what_to_take() {
    let failure = driver::<borrowed>().send(Input::new(r#"{"id":"a\nb"}"#)).failure();
    assert!(
        failure.starts_with("reject: value is not an Order: invalid type: string"),
        "{failure}"
    );
    assert!(
        failure.ends_with("take String, or Cow<str> with #[serde(borrow)], instead of &str"),
        "{failure}"
    );
}

#[function]
fn text(value: Text, out: Output<Text>) -> Result<(), Failure> {
    out.send(&value)
}

#[test]
fn text_is_utf8() {
    assert_eq!(driver::<text>().send(Input::new("grüße")).only("out").text(), "grüße");
    let failure = driver::<text>().send(Input::new(b"gr\xfc\xdfe")).failure();
    assert_eq!(failure, "reject: value is not text: no UTF-8 at byte 2");
}

#[function]
fn optional(
    value: Option<Bytes>,
    key: Option<Key<i64>>,
    #[header("x-user")] user: Option<Text>,
    limit: Option<Config<u8>>,
    other: Config<Option<u8>>,
    out: Output<Text>,
) -> Result<(), Failure> {
    out.send(&format!("{value:?} {key:?} {user:?} {:?} {:?}", limit.as_deref(), *other))
}

#[test]
fn what_is_optional_may_be_absent() {
    let effects = driver::<optional>().send(Input::null());
    assert_eq!(effects.only("out").text(), "None None None None None");
    let effects = driver::<optional>().send(Input::null().null_header("x-user"));
    assert_eq!(effects.only("out").text(), "None None None None None");
    let mut all = driver::<optional>().config("limit", 1).config("other", 2);
    let input =
        Input::new("").key(7_i64.to_be_bytes()).header("x-user", "bob").header("x-user", "ann");
    assert_eq!(
        all.send(input).only("out").text(),
        r#"Some(b"") Some(Key(7)) Some("ann") Some(1) Some(2)"#
    );
}

#[test]
fn what_is_optional_may_not_be_wrong() {
    let failure = driver::<optional>().send(Input::null().key("abc")).failure();
    assert_eq!(failure, "reject: key is not an i64: 8 bytes expected, 3 found");
    let failure = driver::<optional>().send(Input::null().header("x-user", [0xff])).failure();
    assert_eq!(failure, "reject: header `x-user` is not text: no UTF-8 at byte 0");
    let error = driver::<optional>().config("limit", 256).start().unwrap_err();
    assert_eq!(error, "config `limit`: invalid value: integer `256`, expected u8");
}

#[function]
fn needed(
    _value: Record,
    key: Key<Text>,
    #[header("x-user")] user: Text,
    limit: Config<u8>,
    out: Output<Text>,
) -> Result<(), Failure> {
    out.send(&format!("{key} {user} {}", *limit))
}

#[test]
fn what_is_needed_is_named_where_it_is_absent() {
    let needed = || driver::<needed>().config("limit", 3);
    let given = needed().send(Input::null().key("k").header("x-user", "ann"));
    assert_eq!(given.only("out").text(), "k ann 3");
    assert_eq!(
        needed().send(Input::null().header("x-user", "ann")).failure(),
        "reject: record has no key"
    );
    let failure = needed().send(Input::null().key("k")).failure();
    assert_eq!(failure, "reject: header `x-user` is missing: take Option<…> to accept it");
    let failure = needed().send(Input::null().key("k").null_header("x-user")).failure();
    assert_eq!(failure, "reject: header `x-user` is null: take Option<…> to accept it");
    assert_eq!(driver::<needed>().start().unwrap_err(), "config `limit` is missing");
}

#[function]
fn whole(
    record: Record,
    origin: Origin,
    at: Timestamp,
    headers: Headers,
    out: Output<Text>,
) -> Result<(), Failure> {
    assert_eq!(record.headers().iter().count(), headers.iter().count());
    assert_eq!((record.topic(), record.timestamp()), (origin.topic(), at));
    let names: Vec<_> = headers.iter().map(|header| header.name).collect();
    let (key, value) = (record.key(), record.value().map(<[u8]>::len));
    out.send(&format!("{origin} {} {key:?} {value:?} {names:?} {}", at.millis(), record.attempt()))
}

#[test]
fn a_record_is_whole() {
    let input = Input::new("four").topic("t").partition(2).offset(40).timestamp(-5).attempt(1);
    let effects = driver::<whole>().send(input.header("a", "1").header("b", "2").key(""));
    assert_eq!(effects.only("out").text(), r#"t/2@40 -5 Some([]) Some(4) ["a", "b"] 1"#);
}

#[function]
fn system(_value: Record, out: Output<Text>) -> Result<(), Failure> {
    log::info!("it is {}", now().millis());
    out.send(&format!("{} {}", random(), random()))
}

#[test]
fn time_randomness_and_lines_are_the_drivers() {
    let mut driver = driver::<system>().seed(7);
    driver.set_now(1000);
    driver.advance(Duration::from_millis(500));
    let effects = driver.send(Input::null());
    assert_eq!(effects.lines[0].message, "it is 1500");
    assert_eq!(
        (effects.lines[0].level, &*effects.lines[0].target),
        (log::Level::Info, "sdk::extractors")
    );
    let again = tidemill_sdk::testing::driver::<system>().seed(7).send(Input::null());
    assert_eq!(effects.only("out").text(), again.only("out").text());
    assert_ne!(driver.send(Input::null()).only("out").text(), again.only("out").text());
}
