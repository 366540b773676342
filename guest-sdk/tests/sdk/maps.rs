//! Maps: values by a further key, and scans over them.

use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use std::ops::{Bound, RangeBounds};
use tidemill_sdk::prelude::*;
use tidemill_sdk::testing::{Driver, Input, driver};

/// A command, with numbers.
#[function]
fn numbers(command: Text, map: StateMap<i64, Text>, out: Output<Text>) -> Result<(), Failure> {
    let mut words = command.split(' ');
    let verb = words.next().unwrap_or_default();
    let numbers: Vec<i64> =
        words.map(|word| word.parse().or_reject("number")).collect::<Result<_, _>>()?;
    let scan = match (verb, &*numbers) {
        ("set", [key]) => return map.set(key, &format!("<{key}>")),
        ("delete", [key]) => return map.delete(key),
        ("get", [key]) => return out.send(map.get(key)?.as_deref().unwrap_or("-")),
        ("all", []) => map.scan(),
        ("from", [from]) => map.range(*from..),
        ("to", [to]) => map.range(..*to),
        ("through", [to]) => map.range(..=*to),
        ("between", [from, to]) => map.range(*from..*to),
        ("within", [from, to]) => map.range(*from..=*to),
        ("behind", [from]) => map.range((Bound::Excluded(*from), Bound::Unbounded)),
        _ => return Err(reject(verb)),
    };
    let scan = scan.page(2);
    let forward = scan.map(|entry| entry.map(|(key, value)| format!("{key}{}", &*value)));
    let forward: Vec<_> = forward.collect::<Result<_, _>>()?;
    out.send(&forward.join(" "))
}

fn filled() -> Driver<numbers> {
    let mut numbers = driver::<numbers>();
    let commands = ["set -5", "set 0", "set 3", "set 700", "set -900"];
    numbers.send_all(commands.map(|command| Input::new(command).key("ann")));
    numbers.send(Input::new("set 1").key("ann\0"));
    numbers.send(Input::new("set 1").key("anm"));
    numbers
}

#[track_caller]
fn check(command: &str, expected: &str) {
    assert_eq!(
        filled().send(Input::new(command).key("ann")).only("out").text(),
        expected,
        "{command}"
    );
}

#[test]
fn keys_are_in_order() {
    check("get 3", "<3>");
    check("get 4", "-");
    check("all", "-900<-900> -5<-5> 0<0> 3<3> 700<700>");
    check("from 0", "0<0> 3<3> 700<700>");
    check("behind 0", "3<3> 700<700>");
    check("to 0", "-900<-900> -5<-5>");
    check("through 0", "-900<-900> -5<-5> 0<0>");
    check("between -5 3", "-5<-5> 0<0>");
    check("within -5 3", "-5<-5> 0<0> 3<3>");
    check("within 3 3", "3<3>");
    check("between 3 3", "");
    check("between 700 -5", "");
}

#[test]
fn a_record_sees_the_map_of_its_key() {
    let mut numbers = filled();
    assert_eq!(numbers.send(Input::new("all").key("anm")).only("out").text(), "1<1>");
    assert_eq!(numbers.send(Input::new("all").key("an")).only("out").text(), "");
    numbers.send(Input::new("delete 3").key("ann"));
    let keys: Vec<i64> = numbers.entries("map", "ann").into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [-900, -5, 0, 700]);
    for command in ["set 1", "get 1", "delete 1", "all"] {
        assert_eq!(
            numbers.send(Input::new(command)).failure(),
            "reject: record has no key",
            "{command}"
        );
    }
}

type Place = (Text, u32);

#[function]
fn places(
    record: Record,
    map: StateMap<Place, i64>,
    names: StateMap<Text, Json<bool>>,
    out: Output<Text>,
) -> Result<(), Failure> {
    for (name, number) in ["b", "a\0", "a", ""].into_iter().zip(0_u32..) {
        names.set(name, &(number > 0))?;
        for index in [256, 1] {
            map.set(&(Text::from(name), index), &(i64::from(number) * 1000 + i64::from(index)))?;
        }
    }
    let backward = map.range(..(Text::from("b"), 1)).rev().page(3);
    let backward: Vec<_> =
        backward.map(|entry| entry.map(|(_, value)| value)).collect::<Result<_, _>>()?;
    let names: Vec<_> = names.range("a".."b").collect::<Result<_, _>>()?;
    let first = map.scan().next().transpose()?;
    out.send(&format!("{} {backward:?} {names:?} {first:?}", record.topic()))
}

#[test]
fn tuples_and_text_and_the_way_back() {
    let effects = driver::<places>().send(Input::null().key("k"));
    assert_eq!(
        effects.only("out").text(),
        r#"input [1256, 1001, 2256, 2001, 3256, 3001] [("a", Json(true)), ("a\0", Json(true))] Some((("", 1), 3001))"#
    );
}

#[test]
fn what_does_not_decode_is_not_the_records_doing() {
    let send = |driver: Driver<numbers>, command: &str| {
        let mut driver = driver;
        driver.send(Input::new(command).key("ann")).failure()
    };
    let value = || driver::<numbers>().with_entry("map", "ann", &7_i64, b"\xff");
    assert_eq!(send(value(), "get 7"), "state: store `map`: value is not text: no UTF-8 at byte 0");
    assert_eq!(send(value(), "all"), "state: store `map`: value is not text: no UTF-8 at byte 0");
    let key = driver::<numbers>().with_entry("map", "ann", &Text::from("a\0"), "x");
    assert_eq!(send(key, "all"), "state: store `map`: key a\\x00 is not of i64");
}

#[function]
fn sweep(_value: Record, map: StateMap<u32, i64>, out: Output<Text>) -> Result<(), Failure> {
    for number in 0..2500 {
        map.set(&number, &i64::from(number))?;
    }
    for entry in map.scan().page(5000) {
        let (key, value) = entry?;
        if value % 2 == 0 {
            map.delete(&key)?;
        }
    }
    let left = map.scan().count();
    let last = map.scan().rev().page(1).next().transpose()?;
    out.send(&format!("{left} {last:?}"))
}

#[test]
fn a_map_may_change_while_it_is_scanned() {
    let effects = driver::<sweep>().send(Input::null().key("k"));
    assert_eq!(effects.only("out").text(), "1250 Some((2499, 2499))");
}

/// Keys that are set, and what is then asked for.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Probe {
    keys: Vec<i8>,
    from: Bound<i8>,
    to: Bound<i8>,
    backward: bool,
    page: u32,
}

#[function]
fn probe(
    probe: Json<Probe>,
    map: StateMap<i8, i64>,
    out: Output<Json<Vec<i8>>>,
) -> Result<(), Failure> {
    for key in &probe.keys {
        map.set(key, &i64::from(*key))?;
    }
    let scan = map.range((probe.from, probe.to)).page(probe.page);
    let scan = if probe.backward { scan.rev() } else { scan };
    let keys: Result<_, Failure> = scan.map(|entry| entry.map(|(key, _)| key)).collect();
    out.send(&keys?)
}

fn bound() -> impl Strategy<Value = Bound<i8>> {
    prop_oneof![
        Just(Bound::Unbounded),
        any::<i8>().prop_map(Bound::Included),
        any::<i8>().prop_map(Bound::Excluded)
    ]
}

proptest! {
    /// Any range, either way, page by page: what a sorted list has.
    #[test]
    fn ranges_are_those_of_a_sorted_list(
        keys in proptest::collection::vec(any::<i8>(), 0..30),
        from in bound(),
        to in bound(),
        backward in any::<bool>(),
        page in 1_u32..5,
    ) {
        let sorted: std::collections::BTreeSet<i8> = keys.iter().copied().collect();
        let mut expected: Vec<i8> =
            sorted.into_iter().filter(|key| (from, to).contains(key)).collect();
        if backward {
            expected.reverse();
        }
        let probed = Probe { keys, from, to, backward, page };
        let effects = driver::<probe>().send(Input::json(&probed).key("k"));
        prop_assert_eq!(effects.only("out").json::<Vec<i8>>(), expected);
    }
}
