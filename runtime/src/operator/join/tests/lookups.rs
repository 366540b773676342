//! Streams with tables.

use super::*;
use crate::topology::{Format, KeyFrom};

const TABLE: &[(&str, Option<&str>)] =
    &[("a", Some("A")), ("b", Some("B")), ("b", None), ("c", Some("")), ("1", Some("one"))];

fn table(kind: JoinKind) -> Rig {
    let mut rig = Rig::new(&Home::new(), kind, Pair::StreamTable { table: 0 }, &[Kind::Table]);
    rig.table(0, TABLE);
    rig
}

/// With and without a row, with an empty one, without a key, without a value, and back in time.
const RECORDS: &[&str] = &[
    "left a=1@5",
    "left b=2@6",
    "left c=3@7",
    "left -=4@8",
    "left a=-@9",
    "left -=-@9",
    "left a=5@1h",
];

#[test]
fn an_inner_join_sends_what_has_a_row() {
    assert_eq!(table(JoinKind::Inner).drive(RECORDS), ["a 1+A@5", "c 3+@7", "a 5+A@1 h=5"]);
}

#[test]
fn a_left_join_sends_all_that_have_a_value() {
    let rows = ["a 1+A@5", "b 2+-@6", "c 3+@7", "- 4+-@8", "a 5+A@1 h=5"];
    assert_eq!(table(JoinKind::Left).drive(RECORDS), rows);
}

#[test]
fn rows_are_looked_up_at_once_in_a_turn_and_anew_in_the_next() {
    let mut rig = table(JoinKind::Left);
    let records: Vec<In> = RECORDS.iter().map(|text| record(text)).collect();
    let rows = ["a 1+A@5", "b 2+-@6", "c 3+@7", "- 4+-@8", "a 5+A@1 h=5"];
    assert_eq!(rig.turn(&records, records.len()), rows);
    rig.table(0, &[("a", None), ("b", Some("B2"))]);
    assert_eq!(rig.turn(&records[..2], 2), ["a 1+-@5", "b 2+B2@6"]);
    rig.table(0, &[("a", Some("A3"))]);
    assert_eq!(rig.drive(&["left a=6@9"]), ["a 6+A3@9"], "updates send nothing");
}

#[test]
fn a_broadcast_join_looks_up_another_key_and_keeps_the_records_own() {
    let pair = |key| Pair::StreamBroadcast { table: 0, key };
    for (kind, without) in [(JoinKind::Inner, false), (JoinKind::Left, true)] {
        let mut rig =
            Rig::new(&Home::new(), kind, pair(KeyFrom::Header("h".to_owned())), &[Kind::Table]);
        rig.table(0, TABLE);
        let rows =
            rig.drive(&["left -=a@1h", "left x=1@2h", "left x=7@3h", "left a=7@4", "left a=-@5h"]);
        let mut right = vec!["- a+A@1 h=a", "x 1+one@2 h=1"];
        if without {
            right.extend(["x 7+-@3 h=7", "a 7+-@4"]);
        }
        assert_eq!(rows, right, "{kind:?}");
    }
}

#[test]
fn a_key_can_be_a_column_and_what_is_no_key_is_rejected() {
    let key = KeyFrom::Column { format: Format::Json, name: "id".to_owned() };
    let mut rig = Rig::new(
        &Home::new(),
        JoinKind::Left,
        Pair::StreamBroadcast { table: 0, key },
        &[Kind::Table],
    );
    rig.table(0, TABLE);
    let rows =
        rig.drive(&[r#"left x={"id":1}@5"#, r#"left x={"id":"c"}@6"#, r#"left x={"id":null}@7"#]);
    assert_eq!(rows, [r#"x {"id":1}+one@5"#, r#"x {"id":"c"}+@6"#, r#"x {"id":null}+-@7"#]);
    for wrong in ["nonsense", r#"{"id":[1]}"#] {
        let record = Record {
            offset: Offset(0),
            timestamp: Timestamp(0),
            key: None,
            value: Some(wrong.as_bytes()),
            headers: Headers::EMPTY,
        };
        let arrival = Arrival { row: 0, source: 0, record };
        let taken = rig.join.take(&arrival, &mut rig.scope, &mut |_| ControlFlow::Continue(()));
        assert!(matches!(taken, Err(Reason::Reject(_))), "{wrong}: {taken:?}");
    }
}
