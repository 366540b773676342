//! Lookup tables.

use serde::Deserialize;
use tidemill_sdk::prelude::*;
use tidemill_sdk::testing::{Input, driver};

#[derive(Deserialize)]
struct User {
    name: String,
}

#[function]
fn greet(other: Text, users: Table<Json<User>>, out: Output<Text>) -> Result<(), Failure> {
    let name =
        |user: Option<Json<User>>| user.map_or_else(|| "nobody".to_owned(), |user| user.0.name);
    let (own, other) = (name(users.get()?), name(users.lookup(&*other)?));
    out.send(&format!("{own} greets {other}"))
}
tidemill_sdk::export!(greet);

#[test]
fn rows_are_found_by_the_records_key_and_by_others() {
    let mut greet = driver::<greet>().with_row("users", "u1", r#"{"name":"ann"}"#).with_row(
        "users",
        "u2",
        r#"{"name":"bob"}"#,
    );
    let mut text = |input: Input| greet.send(input).only("out").text().to_owned();
    assert_eq!(text(Input::new("u2").key("u1")), "ann greets bob");
    assert_eq!(text(Input::new("u3").key("u2")), "bob greets nobody");
    assert_eq!(text(Input::new("u2")), "nobody greets bob");
    assert_eq!(text(Input::new("").key("")), "nobody greets nobody");
    greet.set_row("users", "u1", r#"{"name":"eve"}"#);
    greet.delete_row("users", "u2");
    assert_eq!(greet.send(Input::new("u2").key("u1")).only("out").text(), "eve greets nobody");
}

#[test]
fn a_row_of_another_partition_is_an_error_and_never_none() {
    let mut greet = driver::<greet>().with_row_elsewhere("users", "u2");
    let failure = greet.send(Input::new("u2").key("u1")).failure();
    assert_eq!(failure, "error: the row of u2 is in another partition");
}

#[test]
fn a_row_that_does_not_decode_is_not_the_records_doing() {
    let mut greet = driver::<greet>().with_row("users", "u1", "{}");
    let expected = "state: table `users`: row is not a User: missing field `name` at column 2";
    assert_eq!(greet.send(Input::new("").key("u1")).failure(), expected);
    assert_eq!(greet.send(Input::new("u1").key("u2")).failure(), expected);
}
