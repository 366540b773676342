//! What a component says about itself.

use tidemill_sdk::bindings::types::{Description, Role};
use tidemill_sdk::macros::{Export, describe};
use tidemill_sdk::prelude::*;

#[derive(Inputs)]
#[expect(dead_code, reason = "only its description counts")]
enum Event {
    Orders(Json<i64>),
    Raw(Bytes),
}

#[function]
#[expect(unused_variables, reason = "only its signature counts")]
fn everything(
    first: Output<Json<i64>>,
    #[name("renamed")] limit: Config<u8>,
    event: Event,
    _second: Output<Text, Key<i64>>,
    maybe: Option<Config<u8>>,
    r#type: Config<Option<u8>>,
    key: Option<Key<Text>>,
    #[header("x")] header: Option<Text>,
) {
}

#[function(timers(tick, tock))]
#[expect(unused_variables, reason = "only its signature counts")]
fn stateful(
    record: Record,
    cart: State<Json<Vec<i64>>>,
    by_day: StateMap<(Text, i64), Text>,
    n: Counter,
    users: Table<Json<Vec<i64>>>,
    tick: Timer<i64>,
    out: Output<Text>,
) {
}

#[on_timer]
#[expect(unused_variables, reason = "only its signature counts")]
fn tick(
    fired: Fired<i64>,
    limit: Option<Config<u8>>,
    n: Counter,
    #[name("cart")] filled: State<Json<Vec<i64>>>,
    tock: Timer<Text>,
    out: Output<Text>,
) {
}

#[on_timer]
#[expect(unused_variables, reason = "only its signature counts")]
fn tock(fired: Fired<Text>, limit: Config<u8>, late: Output<Bytes>, key: Key<Text>) {}

#[function]
fn plain(_record: Record, Key(_): Key<Bytes>) {}

fn slots(description: &Description) -> Vec<String> {
    let slots = description.slots.iter();
    slots
        .map(|slot| {
            let role = match slot.role {
                Role::Output => "output",
                Role::Config => "config",
                Role::Value => "value",
                Role::Map => "map",
                Role::Counter => "counter",
                Role::Table => "table",
                Role::Timer => "timer",
                Role::Aggregate => "aggregate",
            };
            format!(
                "{role} {} {}/{} {} {}",
                slot.name, slot.key, slot.value, slot.rekeys, slot.required
            )
        })
        .collect()
}

#[test]
fn descriptions_name_inputs_and_slots() {
    let all = describe(&[Export::of::<everything>(), Export::of::<plain>()]);
    let names: Vec<_> = all.iter().map(|description| &*description.name).collect();
    assert_eq!(names, ["everything", "plain"]);
    assert_eq!(all[0].layouts, [1]);
    let sources: Vec<_> =
        all[0].sources.iter().map(|s| (s.name.as_deref(), &*s.key, &*s.value)).collect();
    assert_eq!(sources, [(Some("orders"), "text", "json"), (Some("raw"), "text", "bytes")]);
    assert_eq!(
        slots(&all[0]),
        [
            "output first /json false false",
            "config renamed /json false true",
            "output second i64/text true false",
            "config maybe /json false false",
            "config type /json false false",
        ]
    );
    let sources: Vec<_> =
        all[1].sources.iter().map(|s| (s.name.as_deref(), &*s.key, &*s.value)).collect();
    assert_eq!(sources, [(None, "bytes", "bytes")]);
}

#[test]
fn a_function_and_its_timer_handlers_have_each_name_once() {
    let all = describe(&[Export::of::<stateful>()]);
    assert_eq!(
        slots(&all[0]),
        [
            "value cart /json false false",
            "map by_day (text,i64)/text false false",
            "counter n /i64 false false",
            "table users /json false false",
            "timer tick /i64 false false",
            "output out /text false false",
            "config limit /json false true",
            "timer tock /text false false",
            "output late /bytes false false",
        ]
    );
}
