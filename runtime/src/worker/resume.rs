//! The rule by which local state is resumed, and where its inputs go on. Pure.

use std::time::Duration;

use crate::{
    manifest::Guarantee,
    record::{Position, Timestamp},
    store::Local,
};

/// What follows of what is kept locally.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is a prefix of the topic: only what is behind this is read.
    Resume(Position),
    /// It is not, or may not be: all is read again. Without a reason there was nothing.
    Rebuild(Option<String>),
}

/// A topic's partition as it is now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'a> {
    pub(crate) topic_id: &'a str,
    pub(crate) start: Position,
    pub(crate) end: Position,
    pub(crate) tombstones_kept: Duration,
}

/// Whether local state is a prefix of its topic.
pub(crate) fn judge(local: Option<&Local>, found: &Found<'_>, now: Timestamp) -> Verdict {
    let Some(local) = local else { return Verdict::Rebuild(None) };
    let why = if local.topic_id != found.topic_id {
        "its topic was deleted and made anew".to_owned()
    } else if local.position > found.end {
        format!("it is at {} and its topic ends at {}", local.position, found.end)
    } else if local.position < found.start {
        format!("it is at {} and its topic begins at {}", local.position, found.start)
    } else if local.position < found.end && age(local.at, now) >= usable(found.tombstones_kept) {
        format!(
            "it is {} h old, and its topic keeps deletions for {} h",
            age(local.at, now).as_secs() / 3600,
            found.tombstones_kept.as_secs() / 3600
        )
    } else {
        return Verdict::Resume(local.position);
    };
    Verdict::Rebuild(Some(why))
}

fn age(at: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(now.millis() - at.millis()).unwrap_or(0))
}

/// Less than what is kept: clocks differ, and cleaning takes its time.
fn usable(kept: Duration) -> Duration {
    kept - kept / 8
}

/// Where an input goes on, from what the group and the state say.
///
/// Under exactly-once both moved in one transaction, so after a restore they are equal. Where they are not, somebody
/// changed or lost the group's: the stored one is where the state belongs, and loses and doubles nothing. Under
/// at-least-once the state may be ahead of the group, and a part of it behind its own position: the older one. There
/// the group knows a position before a task does anything, so one that has none has forgotten it long after the last
/// commit.
pub(super) fn begins_at(
    guarantee: Guarantee,
    group: Option<Position>,
    stored: Option<Position>,
) -> Option<Position> {
    match (guarantee, group, stored) {
        (_, group, None) => group,
        (_, None, stored) | (Guarantee::ExactlyOnce, _, stored) => stored,
        (Guarantee::AtLeastOnce, Some(group), Some(stored)) => Some(group.min(stored)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn after(days: i64) -> Timestamp {
        Timestamp(days * 24 * 60 * 60 * 1000)
    }

    fn local(position: i64) -> Local {
        Local { topic_id: "a".into(), position: Position(position), at: after(0) }
    }

    fn check(local: Option<&Local>, days: i64) -> Verdict {
        let (start, end) = (Position(10), Position(100));
        let found = Found { topic_id: "a", start, end, tombstones_kept: DAY * 8 };
        judge(local, &found, after(days))
    }

    fn why(local: &Local, days: i64) -> String {
        match check(Some(local), days) {
            Verdict::Rebuild(Some(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_prefix_of_the_topic_is_resumed() {
        assert_eq!(check(None, 0), Verdict::Rebuild(None));
        for position in [10, 50, 100] {
            assert_eq!(check(Some(&local(position)), 1), Verdict::Resume(Position(position)));
        }
    }

    #[test]
    fn what_is_no_prefix_is_rebuilt_and_why_is_said() {
        let other = Local { topic_id: "b".into(), ..local(50) };
        assert_eq!(why(&other, 0), "its topic was deleted and made anew");
        assert_eq!(why(&local(101), 0), "it is at 101 and its topic ends at 100");
        assert_eq!(why(&local(9), 0), "it is at 9 and its topic begins at 10");
    }

    #[test]
    fn deletions_may_be_gone_after_their_time_less_a_margin() {
        assert_eq!(check(Some(&local(50)), 6), Verdict::Resume(Position(50)));
        assert_eq!(why(&local(50), 7), "it is 168 h old, and its topic keeps deletions for 192 h");
        assert_eq!(
            check(Some(&local(100)), 700),
            Verdict::Resume(Position(100)),
            "it has all there is"
        );
        assert_eq!(check(Some(&local(50)), -1), Verdict::Resume(Position(50)), "a clock set back");
    }

    #[test]
    fn inputs_go_on_where_their_state_belongs() {
        use Guarantee::{AtLeastOnce, ExactlyOnce};
        let at = |guarantee, group: Option<i64>, stored: Option<i64>| {
            begins_at(guarantee, group.map(Position), stored.map(Position)).map(|at| at.0)
        };
        for (group, stored) in [(Some(5), Some(7)), (Some(9), Some(7)), (None, Some(7))] {
            assert_eq!(at(ExactlyOnce, group, stored), Some(7));
        }
        assert_eq!(at(ExactlyOnce, Some(5), None), Some(5));
        assert_eq!(at(AtLeastOnce, Some(5), Some(7)), Some(5));
        assert_eq!(at(AtLeastOnce, Some(9), Some(7)), Some(7));
        assert_eq!(at(AtLeastOnce, None, Some(7)), Some(7), "never `start` where there is state");
        assert_eq!(at(AtLeastOnce, None, None), None);
    }
}
