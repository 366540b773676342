//! Aggregates: rows go out as JSON, results come back as columns.

use serde::Serialize;
use tidemill_sdk::bindings::types::Role;
use tidemill_sdk::macros::{Export, describe};
use tidemill_sdk::prelude::*;
use tidemill_sdk::testing::{Driver, Input, driver};

#[derive(Serialize)]
struct Sale {
    cents: i64,
}

#[derive(Columns, Debug)]
#[expect(dead_code, reason = "it is printed")]
struct Turnover {
    count: i64,
    #[name("least")]
    smallest: Option<i64>,
    mean: f64,
    names: Vec<String>,
    shares: Json<Vec<(String, u32)>>,
}

#[function(timers(again))]
#[expect(unused_variables, reason = "the timer's handler only shares the name")]
fn sum(
    cents: Json<i64>,
    turnover: Aggregate<Sale, Turnover>,
    fed: Aggregate<Sale>,
    again: Timer<Text>,
    out: Output<Text>,
) -> Result<(), Failure> {
    fed.add(&Sale { cents: *cents })?;
    let windows = turnover.add(&Sale { cents: *cents })?;
    let late = windows.is_late();
    let all = windows.all()?;
    let ends: Vec<_> = all.iter().map(|window| window.end.millis()).collect();
    if *cents < 0 {
        return Err(reject("negative"));
    }
    match windows.current() {
        Some(current) => out.send(&format!("{late} {ends:?} {current:?}")),
        None => out.send(&format!("{late} {ends:?}")),
    }
}

#[on_timer]
fn again(_: Fired<Text>, turnover: Aggregate<(), Turnover>) -> Result<(), Failure> {
    turnover.add(&()).map(drop)
}
tidemill_sdk::export!(sum);

const COLUMNS: &str =
    r#"{"mean":2.5,"count":2,"more":true,"names":["a"],"shares":[["b",3]],"least":null}"#;

fn summing() -> Driver<sum> {
    driver::<sum>().with_window("turnover", "ann", 0, 60_000, COLUMNS)
}

fn text(sum: &mut Driver<sum>, value: &str) -> String {
    sum.send(Input::new(value).key("ann")).only("out").text().to_owned()
}

#[test]
fn columns_are_read_by_their_names_whatever_their_order() {
    let mut sum = summing();
    let current = r#"Turnover { count: 2, smallest: None, mean: 2.5, names: ["a"], shares: Json([("b", 3)]) }"#;
    assert_eq!(text(&mut sum, "5"), format!("false [60000] {current}"));
    assert_eq!(sum.rows("turnover", "ann"), [r#"{"cents":5}"#]);
    assert_eq!(sum.rows("fed", "ann"), [r#"{"cents":5}"#]);
}

#[test]
fn the_current_window_is_the_one_that_began_first() {
    let mut sum = summing();
    let columns = COLUMNS.replace(r#""count":2"#, r#""count":7"#);
    sum.set_window("turnover", "ann", -1000, 59_000, &columns);
    let text = text(&mut sum, "5");
    assert!(text.starts_with("false [59000, 60000] Turnover { count: 7,"), "{text}");
}

#[test]
fn without_a_window_a_row_is_late() {
    let mut sum = summing();
    sum.clear_windows("turnover", "ann");
    assert_eq!(text(&mut sum, "5"), "true []");
}

#[test]
fn a_row_of_a_record_that_fails_is_not_there() {
    let mut sum = summing();
    let record = |value: &str| Input::new(value).key("ann");
    let effects = sum.send_all([record("1"), record("-1"), record("3")]);
    assert_eq!(effects.failure(), "reject: negative");
    assert_eq!(sum.rows("turnover", "ann"), [r#"{"cents":1}"#, r#"{"cents":3}"#]);
}

#[test]
fn a_column_that_is_something_else_is_not_the_records_doing() {
    let mut sum = driver::<sum>();
    sum.set_window("turnover", "ann", 0, 60_000, COLUMNS.replace("2.5", r#""much""#));
    let failure = sum.send(Input::new("5").key("ann")).failure();
    let expected =
        "state: store `turnover`: column `mean`: invalid type: string \"much\", expected f64";
    assert!(failure.starts_with(expected), "{failure}");
    assert_eq!(sum.send(Input::new("5")).failure(), "reject: record has no key");
}

#[test]
#[should_panic(expected = "`sum` reads the column `least`, which is not given")]
fn a_test_gives_every_column_that_is_read() {
    drop(driver::<sum>().with_window("turnover", "ann", 0, 1, r#"{"count":1}"#));
}

#[test]
fn columns_are_described_with_their_types() {
    let all = describe(&[Export::of::<sum>()]);
    let slots: Vec<_> = all[0].slots.iter().filter(|slot| slot.role == Role::Aggregate).collect();
    let names: Vec<_> = slots.iter().map(|slot| (&*slot.name, &*slot.key, &*slot.value)).collect();
    assert_eq!(names, [("turnover", "", "json"), ("fed", "", "json")]);
    let columns = slots[0].columns.iter().map(|column| (&*column.name, &*column.value));
    let expected = [
        ("count", "i64"),
        ("least", "i64?"),
        ("mean", "f64"),
        ("names", "list"),
        ("shares", "json"),
    ];
    assert_eq!(columns.collect::<Vec<_>>(), expected);
    assert!(slots[1].columns.is_empty());
}
