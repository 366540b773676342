//! Tables with tables.

use super::*;

fn tables(kind: JoinKind) -> Rig {
    Rig::new(
        &Home::new(),
        kind,
        Pair::TableTable { left: 0, right: 1 },
        &[Kind::Value, Kind::Value],
    )
}

/// Each way a row can come, change and go, with the other side there or not; without a key; back in time.
const RECORDS: &[&str] = &[
    "left a=-@1",
    "left a=1@2",
    "left a=2@3",
    "right a=-@4",
    "right a=x@5",
    "right a=x@4",
    "left a=3@1",
    "left a=-@6",
    "left a=-@7",
    "right a=y@8",
    "right a=-@9",
    "right a=-@10",
    "left -=1@11",
    "right -=1@12",
    "right b=z@13h",
    "left b=4@14h",
    "right b=-@15",
    "left b=-@16",
];

#[test]
fn inner() {
    let rows = [
        "a null@4",
        "a 2+x@5",
        "a 2+x@4",
        "a 3+x@4",
        "a null@6",
        "a null@7",
        "b 4+z@14 h=4",
        "b null@15",
    ];
    assert_eq!(tables(JoinKind::Inner).drive(RECORDS), rows);
}

#[test]
fn left() {
    let rows = [
        "a 1+-@2",
        "a 2+-@3",
        "a 2+-@4",
        "a 2+x@5",
        "a 2+x@4",
        "a 3+x@4",
        "a null@6",
        "a null@7",
        "b 4+z@14 h=4",
        "b 4+-@15",
        "b null@16",
    ];
    assert_eq!(tables(JoinKind::Left).drive(RECORDS), rows);
}

#[test]
fn right_is_left_with_its_sides_exchanged() {
    let exchanged: Vec<String> = RECORDS
        .iter()
        .map(|text| match text.strip_prefix("left") {
            Some(rest) => format!("right{rest}"),
            None => text.replace("right", "left"),
        })
        .collect();
    let exchanged: Vec<&str> = exchanged.iter().map(String::as_str).collect();
    let rows = [
        "a -+1@2",
        "a -+2@3",
        "a -+2@4",
        "a x+2@5",
        "a x+2@4",
        "a x+3@4",
        "a null@6",
        "a null@7",
        "b z+4@14 h=4",
        "b -+4@15",
        "b null@16",
    ];
    assert_eq!(tables(JoinKind::Right).drive(&exchanged), rows);
}

#[test]
fn full() {
    let rows = [
        "a 1+-@2",
        "a 2+-@3",
        "a 2+-@4",
        "a 2+x@5",
        "a 2+x@4",
        "a 3+x@4",
        "a -+x@6",
        "a -+x@7",
        "a -+y@8",
        "a null@9",
        "b -+z@13 h=z",
        "b 4+z@14 h=4",
        "b 4+-@15",
        "b null@16",
    ];
    assert_eq!(tables(JoinKind::Full).drive(RECORDS), rows);
}

#[test]
fn what_a_row_did_is_undone_and_what_is_committed_stays() {
    let mut rig = tables(JoinKind::Full);
    let records = ["left a=1@1", "right a=x@2", "left a=-@3"].map(record);
    assert_eq!(rig.turn(&records, 2), ["a 1+-@1", "a 1+x@2"]);
    assert_eq!(rig.drive(&["right a=y@4"]), ["a 1+y@4"]);
    rig.commit();
    assert_eq!(rig.drive(&["right a=z@9"]), ["a 1+z@9"]);
    rig.restart();
    assert_eq!(rig.drive(&["left a=2@3"]), ["a 2+y@4"]);
    rig.commit();
    rig.move_away();
    assert_eq!(rig.drive(&["left a=-@5"]), ["a -+y@5"]);
}
