//! State: values and counters, by the key of the record, and how they fail.

use serde::{Deserialize, Serialize};
use tidemill_sdk::prelude::*;
use tidemill_sdk::testing::{Input, Reaction, driver};

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Cart {
    items: Vec<String>,
}

#[function]
fn fill(
    item: Text,
    cart: State<Json<Cart>>,
    last: State<Text>,
    size: State<i64>,
    raw: State<Bytes>,
    added: Counter,
    out: Output<Text>,
) -> Result<(), Failure> {
    match &*item {
        "clear" => {
            raw.set(b"cleared")?;
            return cart.delete();
        }
        "look" => {
            let items = cart.get()?.map_or_else(Vec::new, |cart| cart.into_inner().items);
            let last = last.get()?;
            let size = size.get()?.unwrap_or_default();
            let raw = raw.get()?;
            let (last, count) = (last.as_deref().unwrap_or("-"), added.get()?);
            return out.send(&format!("{items:?} {last} {size} {raw:?} {count}"));
        }
        "break" => {
            last.set("broken")?;
            added.add(100)?;
            panic!("in the middle");
        }
        "refuse" => {
            last.set("refused")?;
            added.add(100)?;
            return Err(reject("not this one"));
        }
        _ => {}
    }
    let mut filled = cart.get()?.map_or_else(|| Cart { items: Vec::new() }, Json::into_inner);
    filled.items.push(item.to_string());
    size.set(&i64::try_from(filled.items.len())?)?;
    cart.set(&filled)?;
    last.set(&item)?;
    added.add(1)?;
    Ok(())
}
tidemill_sdk::export!(fill);

fn item(key: &str, value: &str) -> Input {
    Input::new(value).key(key)
}

#[test]
fn a_record_sees_the_state_of_its_key() {
    let mut fill = driver::<fill>();
    let effects = fill.send_all([
        item("ann", "tea"),
        item("bob", "cup"),
        item("ann", "milk"),
        item("ann", "look"),
    ]);
    assert_eq!(effects.only("out").text(), r#"["tea", "milk"] milk 2 None 2"#);
    assert_eq!(fill.send(item("bob", "look")).only("out").text(), r#"["cup"] cup 1 None 1"#);
    assert_eq!(fill.send(item("eve", "look")).only("out").text(), "[] - 0 None 0");
    assert_eq!(fill.json("cart", "ann"), Some(Cart { items: vec!["tea".into(), "milk".into()] }));
    assert_eq!(fill.value("size", "ann"), Some(2_i64.to_be_bytes().to_vec()));
    fill.send(item("ann", "clear"));
    assert_eq!((fill.text("cart", "ann"), fill.text("raw", "ann")), (None, Some("cleared".into())));
    assert_eq!((fill.count("added", "ann"), fill.count("added", "eve")), (2, 0));
}

#[test]
fn state_may_be_given() {
    let mut fill = driver::<fill>()
        .with_value("cart", "ann", r#"{"items":["tea"]}"#)
        .with_value("size", "ann", 7_i64.to_be_bytes())
        .with_count("added", "ann", 41);
    assert_eq!(fill.send(item("ann", "look")).only("out").text(), r#"["tea"] - 7 None 41"#);
    fill.send(item("ann", "cup"));
    assert_eq!(fill.count("added", "ann"), 42);
}

#[test]
fn what_a_failed_record_wrote_is_undone_and_its_neighbours_stay() {
    for how in ["break", "refuse"] {
        let mut fill = driver::<fill>();
        let effects = fill.send_all([
            item("ann", "tea"),
            item("ann", how),
            item("ann", "cup"),
            item("ann", "look"),
        ]);
        assert_eq!(effects.failed.len(), 1, "{how}");
        assert_eq!(effects.failed[0].index, 1, "{how}");
        assert_eq!(effects.sent[0].text(), r#"["tea", "cup"] cup 2 None 2"#, "{how}");
    }
}

#[test]
fn a_record_without_a_key_has_no_state() {
    for value in ["tea", "clear", "look"] {
        let effects = driver::<fill>().send(Input::new(value));
        assert_eq!(effects.failure(), "reject: record has no key", "{value}");
    }
}

#[test]
fn state_that_does_not_decode_is_not_the_records_doing() {
    let fails = |store: &str, value: &[u8]| {
        let effects = driver::<fill>().with_value(store, "ann", value).send(item("ann", "look"));
        assert_eq!(effects.failed[0].reaction, Reaction::State);
        effects.failure()
    };
    assert_eq!(
        fails("cart", b"{}"),
        "state: store `cart`: value is not a Cart: missing field `items` at column 2"
    );
    assert_eq!(
        fails("cart", b"{"),
        "state: store `cart`: value is not JSON: EOF while parsing an object at column 1"
    );
    assert_eq!(
        fails("last", b"\xff"),
        "state: store `last`: value is not text: no UTF-8 at byte 0"
    );
    assert_eq!(
        fails("size", b"7"),
        "state: store `size`: value is not an i64: 8 bytes expected, 1 found"
    );
}

#[function]
fn total(amount: Json<i64>, total: Counter) -> Result<(), Failure> {
    total.add(*amount).map(drop)
}

#[test]
fn a_counter_that_leaves_its_range_is_a_failure() {
    let mut total = driver::<total>().with_count("total", "ann", i64::MAX - 1);
    let effects = total.send_all(["1", "1", "-1"].map(|amount| item("ann", amount)));
    assert_eq!(effects.failed.len(), 1);
    assert!(effects.failure().contains("is not in the range of 64 bits"), "{}", effects.failure());
    assert_eq!(total.count("total", "ann"), i64::MAX - 1);
}

#[function]
fn unwritable(
    _value: Text,
    map: State<Json<std::collections::HashMap<Vec<u8>, i64>>>,
) -> Result<(), Failure> {
    map.set(&[(vec![1], 1)].into_iter().collect())
}

#[test]
fn what_has_no_json_form_is_an_error() {
    let effects = driver::<unwritable>().send(item("ann", ""));
    assert_eq!(effects.failure(), "error: cannot be written as JSON: key must be a string");
}
