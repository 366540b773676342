//! Rows of joins and results of windows as inputs.

use serde::Deserialize;
use std::borrow::Cow;
use tidemill_sdk::bindings::types::Shape;
use tidemill_sdk::macros::{Export, describe};
use tidemill_sdk::prelude::*;
use tidemill_sdk::testing::{Effects, Input, driver};

#[derive(Deserialize, Debug)]
struct Order<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

type Left<'a> = Joined<Json<Order<'a>>, Option<i64>>;

#[function]
fn inner(row: Joined<Text, Text>, out: Output<Text>) -> Result<(), Failure> {
    out.send(&format!("{} {}", row.left, row.right))
}

#[function]
fn left(row: Left<'_>, out: Output<Text>) -> Result<(), Failure> {
    out.send(&format!("{} {:?}", row.left.id, row.right))
}

#[function]
fn right(
    Joined { left, right }: Joined<Option<Text>, Bytes>,
    out: Output<Text>,
) -> Result<(), Failure> {
    out.send(&format!("{left:?} {right:?}"))
}

#[function]
fn full(row: Option<Full<Text, Text>>, out: Output<Text>) -> Result<(), Failure> {
    out.send(&match row {
        Some(Full::Both(left, right)) => format!("{left} and {right}"),
        Some(Full::Left(left)) => format!("left {left}"),
        Some(Full::Right(right)) => format!("right {right}"),
        None => "gone".to_owned(),
    })
}

#[function]
fn chained(
    row: Joined<Joined<Text, Option<Text>>, Full<Text, i64>>,
    out: Output<Text>,
) -> Result<(), Failure> {
    out.send(&format!("{row:?}"))
}

#[function]
fn windowed(result: Windowed<Option<Json<i64>>>, out: Output<Text>) -> Result<(), Failure> {
    let value = result.value.map(Json::into_inner);
    out.send(&format!("{value:?} [{},{}]", result.start.millis(), result.end.millis()))
}

#[derive(Inputs)]
enum Several<'a> {
    Rows(Left<'a>),
    Counts(Windowed<Json<i64>>),
    Raw(Bytes),
}

#[function]
fn several(input: Several<'_>, out: Output<Text>) -> Result<(), Failure> {
    out.send(&match input {
        Several::Rows(row) => format!("row {}", row.left.id),
        Several::Counts(count) => format!("count {} at {}", *count.value, count.end.millis()),
        Several::Raw(raw) => format!("raw {raw:?}"),
    })
}
tidemill_sdk::export!(inner, left, right, full, chained, windowed, several);

fn text(effects: Effects) -> String {
    match effects.failed.first() {
        Some(failed) => failed.to_string(),
        None => effects.only("out").text().to_owned(),
    }
}

const NONE: Option<&[u8]> = None;

#[test]
fn sides_are_there_or_not_as_the_kind_of_the_join_says() {
    let mut it = driver::<inner>();
    assert_eq!(text(it.send(Input::joined(Some("a"), Some("")))), "a ");
    let missing = "reject: right value is missing: take Option<…> to accept it";
    assert_eq!(text(it.send(Input::joined(Some("a"), NONE))), missing);

    let mut it = driver::<left>();
    let order = Some(r#"{"id":"o-\"1\""}"#);
    assert_eq!(text(it.send(Input::joined(order, Some(5_i64.to_be_bytes())))), "o-\"1\" Some(5)");
    assert_eq!(text(it.send(Input::joined(order, NONE))), "o-\"1\" None");
    let missing = "reject: left value is missing: take Option<…> to accept it";
    assert_eq!(text(it.send(Input::joined(NONE, Some(5_i64.to_be_bytes())))), missing);

    let mut it = driver::<right>();
    assert_eq!(text(it.send(Input::joined(NONE, Some("r")))), r#"None b"r""#);
    assert_eq!(text(it.send(Input::joined(Some("l"), Some("r")))), r#"Some("l") b"r""#);

    let mut it = driver::<full>();
    assert_eq!(text(it.send(Input::joined(Some("l"), Some("r")))), "l and r");
    assert_eq!(text(it.send(Input::joined(Some("l"), NONE))), "left l");
    assert_eq!(text(it.send(Input::joined(NONE, Some("")))), "right ");
    assert_eq!(text(it.send(Input::null())), "gone");
}

#[test]
fn a_side_that_is_something_else_is_named() {
    let mut it = driver::<left>();
    let failure = text(it.send(Input::joined(Some("{}"), NONE)));
    assert_eq!(failure, "reject: left value is not an Order: missing field `id` at column 2");
    let failure = text(it.send(Input::joined(Some(r#"{"id":""}"#), Some("x"))));
    assert_eq!(failure, "reject: right value is not an i64: 8 bytes expected, 1 found");
    let failure = text(it.send(Input::new("{}")));
    assert_eq!(
        failure,
        "reject: value is no row of a join: unknown sides of a joined row at byte 0"
    );
    assert_eq!(text(it.send(Input::null())), "reject: value is null: take Option<…> to accept it");
}

#[test]
fn a_side_may_come_from_a_join_itself() {
    let pair = |left: Option<&[u8]>, right: Option<&[u8]>| {
        let mut bytes = Vec::new();
        tidemill_layout::joined::encode(left, right, &mut bytes);
        bytes
    };
    let left = pair(Some(b"a"), None);
    let right = pair(None, Some(&7_i64.to_be_bytes()));
    let row = text(driver::<chained>().send(Input::joined(Some(&left), Some(&right))));
    assert_eq!(row, r#"Joined { left: Joined { left: "a", right: None }, right: Right(7) }"#);
}

#[test]
fn a_window_is_in_the_headers() {
    let mut it = driver::<windowed>();
    assert_eq!(text(it.send(Input::new("7").window(-5, 60_000))), "Some(7) [-5,60000]");
    assert_eq!(text(it.send(Input::null().window(0, 1))), "None [0,1]");
    let failure = text(it.send(Input::new("7").header("tidemill.window.start", "0")));
    assert_eq!(
        failure,
        "reject: header `tidemill.window.end` is missing: a result of a window has it"
    );
    let failure = text(it.send(Input::new("7").window(0, 1).header("tidemill.window.end", "soon")));
    assert_eq!(
        failure,
        "reject: header `tidemill.window.end` is no time: milliseconds since 1970 are right"
    );
}

#[test]
fn they_may_be_among_several_inputs() {
    let mut it = driver::<several>();
    let row = Input::joined(Some(r#"{"id":"o-1"}"#), NONE).source("rows");
    assert_eq!(text(it.send(row)), "row o-1");
    assert_eq!(text(it.send(Input::new("3").window(0, 9).source("counts"))), "count 3 at 9");
    assert_eq!(text(it.send(Input::new("x").source("raw"))), r#"raw b"x""#);
}

#[test]
fn shapes_and_both_codecs_are_described() {
    let all = describe(&[
        Export::of::<inner>(),
        Export::of::<left>(),
        Export::of::<right>(),
        Export::of::<full>(),
        Export::of::<chained>(),
        Export::of::<windowed>(),
        Export::of::<several>(),
    ]);
    let sources = all.iter().flat_map(|function| &function.sources);
    let sources: Vec<_> = sources.map(|source| (source.shape, &*source.value)).collect();
    let expected = [
        (Shape::JoinedInner, "(text,text)"),
        (Shape::JoinedLeft, "(json,i64)"),
        (Shape::JoinedRight, "(text,bytes)"),
        (Shape::JoinedFull, "(text,text)"),
        (Shape::JoinedInner, "((text,text),(text,i64))"),
        (Shape::Windowed, "json"),
        (Shape::JoinedLeft, "(json,i64)"),
        (Shape::Windowed, "json"),
        (Shape::Plain, "bytes"),
    ];
    assert_eq!(sources, expected);
}
