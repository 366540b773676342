//! Tidemill's operators, held against Kafka Streams' record for record: key, value, timestamp and order of what comes of
//! each record, where every update comes out.
//!
//! The cases and what Kafka Streams makes of them are in `tests/oracle`. Each runs through a topology of one operator,
//! at work in a task with a store on disk: record by record; many records a turn; and with commits in between, after each
//! of which a new task goes on.

mod compare;
mod golden;
mod product;

use compare::{Lists, UnderTest, check, differences};
use golden::Shape;
use product::{Life, Product};

/// Files of goldens, with the least number of cases each has, and what of their lists is equal. All else is.
macro_rules! equal {
    ($($test:ident: $name:literal, $cases_min:literal, $lists:ident;)+) => {
        const EQUAL: &[&str] = &[$($name),+];
        $(
            #[test]
            fn $test() {
                check($name, $cases_min, Lists::$lists, lives(Life::Whole));
            }
        )+
        mod in_turns {
            use super::*;
            $(
                #[test]
                fn $test() {
                    check($name, $cases_min, Lists::$lists, lives(Life::Turns));
                }
            )+
        }
        mod in_parts {
            use super::*;
            $(
                #[test]
                fn $test() {
                    check($name, $cases_min, Lists::$lists, lives(Life::Parts));
                }
            )+
        }
    };
}

fn lives(life: Life) -> impl Fn(&Shape) -> Box<dyn UnderTest> {
    move |shape| Box::new(Product::new(shape, life))
}

equal! {
    tumbling: "written/tumbling", 44, InOrder;
    hopping: "written/hopping", 28, Members;
    sliding: "written/sliding", 48, InOrder;
    session: "written/session", 48, InOrder;
    stream: "written/stream", 2, InOrder;
    stream_table: "written/stream-table", 12, InOrder;
    stream_globaltable: "written/stream-globaltable", 6, InOrder;
    stream_stream: "written/stream-stream", 192, InOrder;
    table_table: "written/table-table", 36, InOrder;
    many_tumbling: "generated/tumbling", 2000, InOrder;
    many_tumbling_final: "generated/tumbling-final", 2000, InOrder;
    many_hopping: "generated/hopping", 2000, Members;
    many_hopping_final: "generated/hopping-final", 2000, Members;
    many_sliding: "generated/sliding", 2000, InOrder;
    many_sliding_final: "generated/sliding-final", 2000, InOrder;
    many_session: "generated/session", 2000, InOrder;
    many_session_final: "generated/session-final", 2000, InOrder;
    many_stream: "generated/stream", 2000, InOrder;
    many_stream_table_inner: "generated/stream-table-inner", 2000, InOrder;
    many_stream_table_left: "generated/stream-table-left", 2000, InOrder;
    many_stream_globaltable_inner: "generated/stream-globaltable-inner", 2000, InOrder;
    many_stream_globaltable_left: "generated/stream-globaltable-left", 2000, InOrder;
    many_stream_stream_inner: "generated/stream-stream-inner", 2000, InOrder;
    many_stream_stream_left: "generated/stream-stream-left", 2000, InOrder;
    many_stream_stream_right: "generated/stream-stream-right", 2000, InOrder;
    many_stream_stream_outer: "generated/stream-stream-outer", 2000, InOrder;
    many_table_table_inner: "generated/table-table-inner", 2000, InOrder;
    many_table_table_left: "generated/table-table-left", 2000, InOrder;
    many_table_table_right: "generated/table-table-right", 2000, InOrder;
    many_table_table_outer: "generated/table-table-outer", 2000, InOrder;
}

/// Where the two are meant to differ.
const DIFFERENT: &str = "written/lost-finals";

#[test]
fn all_goldens_are_compared() {
    let mut compared: Vec<&str> = EQUAL.iter().copied().chain([DIFFERENT]).collect();
    compared.sort_unstable();
    assert_eq!(golden::names(), compared);
}

/// Kafka Streams forgets windows before it has emitted them as final where time jumps (KAFKA-12960), unless it is told
/// to keep them for longer. Here they come out.
#[test]
fn final_results_are_not_lost_after_a_gap() {
    let groups = golden::read(DIFFERENT);
    for pair in groups.chunks(2) {
        let [lossy, kept] = pair else { panic!("{DIFFERENT} has pairs of shapes") };
        assert_eq!((&*lossy.shape.stores, &*kept.shape.stores), ("disk", ""));
        let differences =
            |group| differences(std::slice::from_ref(group), Lists::InOrder, lives(Life::Whole));
        assert!(differences(kept).is_empty());
        let lost = differences(lossy);
        let lost: Vec<&str> = lost.iter().map(|difference| &*difference.case.name).collect();
        assert_eq!(lost, ["a gap: the windows before it are lost"]);
    }
}

/// A hopping window is put together of panes, so that a record costs the same however many windows it is in. Their
/// values follow one another pane by pane, and within one as they came; in Kafka Streams all as they came.
#[test]
fn hopping_windows_list_values_by_panes() {
    let groups = golden::read("written/hopping");
    let differences = differences(&groups, Lists::InOrder, lives(Life::Whole));
    let mut names: Vec<&str> = differences.iter().map(|it| &*it.case.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, ["borders", "late for some windows, in time for others"]);
}
