//! Streams with streams.

use super::*;

#[test]
fn borders_of_the_window_are_in_it_and_equal_times_keep_their_order() {
    let mut rig = Rig::streams(JoinKind::Inner, 2, 3, 0);
    let rows = rig.drive(&[
        "left a=1@10",
        "right a=x@7",
        "right a=y@8",
        "right a=z@8",
        "right b=o@9",
        "right a=v@13",
        "right a=w@14",
        "left a=2@10h",
        "right a=-@10",
        "right -=n@10",
        "left -=n@10",
    ]);
    // With the right side at 14, it has forgotten what is not later than 9.
    assert_eq!(rows, ["a 1+y@10", "a 1+z@10", "a 1+v@13", "a 2+v@13 h=2"]);
}

#[test]
fn unmatched_rows_come_out_when_their_window_has_closed_before_the_rows_of_that_record() {
    let mut rig = Rig::streams(JoinKind::Left, 5, 5, 2);
    assert!(
        rig.drive(&["left a=1@10h", "left b=2@10", "left a=3@11", "right a=x@16"]) == ["a 3+x@16"]
    );
    assert!(rig.drive(&["right c=y@17"]).is_empty(), "10 + 5 + 2 has not passed");
    let rows = rig.drive(&["left b=4@18", "left b=5@19"]);
    assert_eq!(rows, ["closing a 1+-@10 h=1", "closing b 2+-@10"], "with their own headers");
    assert_eq!(rig.drive(&["right b=z@19"]), ["b 4+z@19", "b 5+z@19"]);
    assert_eq!(rig.kept().1, 0);
}

#[test]
fn a_full_join_lets_the_right_side_go_first_and_each_by_its_own_border() {
    let mut rig = Rig::streams(JoinKind::Full, 1, 4, 0);
    let rows = rig.drive(&[
        "left b=1@10",
        "left a=2@10",
        "right c=x@10",
        "right d=y@11",
        "right k=z@13",
        "left -=5@13",
        "right -=w@13",
    ]);
    assert_eq!(rows, ["closing c -+x@10", "closing d -+y@11", "- 5+-@13", "- -+w@13"]);
    assert!(rig.drive(&["left k=3@15"]).is_empty(), "the one looked at last closes at 16");
    let rows = rig.drive(&["left k=4@16"]);
    assert_eq!(rows, ["closing a 2+-@10", "closing b 1+-@10", "closing k -+z@13"]);
}

#[test]
fn a_right_join_is_a_left_join_with_its_sides_exchanged() {
    let mut rig = Rig::streams(JoinKind::Right, 1, 4, 0);
    let rows = rig.drive(&[
        "left a=1@10",
        "right a=x@8",
        "right b=y@10",
        "right -=z@11",
        "left b=2@12",
        "right c=w@12",
    ]);
    assert_eq!(rows, ["a -+x@8", "- -+z@11", "closing b -+y@10"]);
}

#[test]
fn what_comes_late_is_joined_with_what_is_still_kept_and_else_goes_to_the_late_records() {
    let mut rig = Rig::streams(JoinKind::Inner, 5, 5, 1);
    assert!(rig.drive(&["left a=1@10", "left a=2@30"]).is_empty());
    // Of the right side nothing is kept, so its own time is behind.
    assert_eq!(rig.drive(&["right a=x@12", "right a=y@31"]), ["a 2+y@31"], "1 is forgotten at 30");
    let rows = rig.drive(&["left a=3@20", "left a=4@19", "right b=z@3"]);
    assert_eq!(rows, ["a late 1 4@19", "b late 2 z@3"], "20 > 30 - 11, 19 is not");
    // An unmatched one whose window is over comes out at once, without regard to grace.
    let mut rig = Rig::streams(JoinKind::Left, 5, 5, 1);
    assert_eq!(rig.drive(&["left a=1@30", "left a=2@24", "left a=3@25"]), ["a 2+-@24"]);
    assert_eq!(rig.drive(&["right a=x@19"]), ["a 2+x@24"], "and is found all the same");
}

#[test]
fn a_match_takes_all_that_wait_at_a_time() {
    let mut rig = Rig::streams(JoinKind::Full, 2, 2, 0);
    assert!(rig.drive(&["left a=1@10", "left a=2@10", "left a=3@11", "left b=4@10"]).is_empty());
    assert_eq!(rig.kept(), (4, 4));
    assert_eq!(rig.drive(&["right a=x@9"]), ["a 1+x@10", "a 2+x@10", "a 3+x@11"]);
    assert_eq!(rig.kept(), (5, 1));
}

#[test]
fn what_is_closed_can_be_asked_for_and_fired_one_by_one() {
    let mut rig = Rig::streams(JoinKind::Full, 1, 4, 2);
    assert_eq!(rig.join.next_close(&mut rig.scope).unwrap(), None);
    assert!(rig.drive(&["left a=1@10h", "right b=x@12", "left c=2@13"]).is_empty());
    assert_eq!(rig.join.next_close(&mut rig.scope).unwrap(), Some(Timestamp(16)));
    assert!(rig.fire(15).is_empty());
    assert_eq!(rig.fire(16), ["[8,13] b -+x@12"]);
    assert_eq!(rig.join.next_close(&mut rig.scope).unwrap(), Some(Timestamp(17)));
    assert_eq!(rig.fire(30), ["[9,14] a 1+-@10 h=1", "[12,17] c 2+-@13"]);
    assert_eq!(rig.join.next_close(&mut rig.scope).unwrap(), None);
    // Time is where the last one closed: 13 + 4 + 2 has passed.
    assert_eq!(rig.drive(&["left d=3@15", "left d=4@16"]), ["d 3+-@15"]);
}

#[test]
fn what_is_skipped_does_not_come_again() {
    let mut rig = Rig::streams(JoinKind::Left, 1, 1, 0);
    assert!(rig.drive(&["left a=1@10", "left b=2@10"]).is_empty());
    let due = rig.join.due(Ask::Closed(Timestamp(20)), &mut rig.scope, 1).unwrap();
    assert_eq!((due.len(), &*due[0].key), (1, &b"a"[..]));
    rig.begin();
    rig.join.skip(0, &due[0], &mut rig.scope).unwrap();
    assert_eq!(rig.drive(&["left c=3@20"]), ["closing b 2+-@10"]);
}

#[test]
fn what_a_row_did_is_undone() {
    let mut rig = Rig::streams(JoinKind::Full, 2, 2, 0);
    let records = ["left a=1@10", "right b=x@11", "left b=2@20", "right a=y@10"].map(record);
    assert!(rig.turn(&records, 2).is_empty());
    assert_eq!(rig.kept(), (2, 2));
    // As though time had never been 20, and nothing had been closed.
    assert_eq!(rig.turn(&records[3..], 1), ["a 1+y@10"]);
    assert_eq!(rig.turn(&records[2..3], 1), ["closing b -+x@11"]);
}

#[test]
fn it_goes_on_after_a_restart_here_and_elsewhere() {
    for elsewhere in [false, true] {
        let mut rig = Rig::streams(JoinKind::Left, 2, 2, 1);
        assert!(rig.drive(&["left a=1@10h", "left b=2@11"]).is_empty());
        rig.commit();
        assert_eq!(rig.drive(&["right b=z@12"]), ["b 2+z@12"]);
        if elsewhere {
            rig.move_away()
        } else {
            rig.restart()
        }
        assert_eq!(rig.drive(&["right b=x@9"]), ["b 2+x@11"]);
        assert_eq!(rig.drive(&["right c=y@14"]), ["closing a 1+-@10 h=1"]);
        rig.commit();
        if elsewhere {
            rig.move_away()
        } else {
            rig.restart()
        }
        assert_eq!(rig.kept(), (4, 0));
        assert_eq!(rig.drive(&["left c=3@12", "left d=4@11"]), ["c 3+y@14", "d 4+-@11"]);
    }
}

#[test]
fn whole_segments_go_when_the_time_of_their_own_side_has_passed() {
    // Segments of a minute.
    let mut rig = Rig::streams(JoinKind::Left, 18_000, 18_000, 0);
    assert!(rig.drive(&["right a=x@6000", "right a=y@54000"]).is_empty());
    assert_eq!(rig.drive(&["left a=1@6000", "left a=2@60000"]), ["a 1+-@6000", "a 2+y@60000"]);
    assert!(rig.drive(&["left b=3@90000"]).is_empty());
    assert_eq!(
        rig.join.expire(&mut rig.scope, 10).unwrap(),
        0,
        "90000 - 36000 is in the first one"
    );
    assert!(rig.drive(&["left b=4@96060"]).is_empty());
    assert_eq!(rig.join.expire(&mut rig.scope, 10).unwrap(), 1, "of the left side");
    rig.commit();
    assert!(rig.drive(&["right a=z@102000"]).is_empty());
    assert_eq!(rig.join.expire(&mut rig.scope, 1).unwrap(), 1, "of the right side");
    assert_eq!(rig.join.expire(&mut rig.scope, 1).unwrap(), 1);
    assert_eq!(rig.join.expire(&mut rig.scope, 1).unwrap(), 0);
    rig.commit();
    // What has expired may still be read here.
    rig.move_away();
    assert_eq!(rig.kept(), (4, 2), "nothing comes back from the changelog");
}

#[test]
fn what_waits_is_not_expired() {
    let mut rig = Rig::streams(JoinKind::Left, 0, 18_000, 0);
    let rows =
        rig.drive(&["left p=1@116400", "left q=2@117000", "left s=3@134400", "left u=4@135000"]);
    assert_eq!(rows, ["closing p 1+-@116400"]);
    // The one looked at last was of 134400: until that closes, q is held back, and it is kept as long.
    assert!(rig.drive(&["left w=5@147000"]).is_empty());
    assert_eq!(rig.join.expire(&mut rig.scope, 10).unwrap(), 0);
    rig.commit();
    assert_eq!(rig.drive(&["left z=6@152460"]), ["closing q 2+-@117000", "closing s 3+-@134400"]);
    assert_eq!(rig.join.expire(&mut rig.scope, 10).unwrap(), 2);
    assert_eq!(
        rig.drive(&["left z=7@180000"]),
        ["closing u 4+-@135000", "closing w 5+-@147000", "closing z 6+-@152460"]
    );
}
