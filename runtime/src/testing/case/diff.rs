//! Compares the effects that came with those that were expected, in order.

use jiff::civil;

use super::{
    model::{Expected, Named},
    time::Time,
    value::{Value, Want},
};
use crate::{
    record::Timestamp,
    testing::{Effect, Header},
};

/// What an expectation leaves out, the stimulus says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    /// How many partitions the case has.
    pub(super) partitions: u32,
    /// The case's day.
    pub(super) date: civil::Date,
    /// When the stimulus before this one was.
    pub(super) last: Timestamp,
    /// When the stimulus is.
    pub(super) at: Timestamp,
    /// The headers of the stimulus.
    pub(super) headers: &'a [Header],
}

/// How an effect of a step compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The expected effect came.
    Same {
        /// Its index among the expected.
        expected: usize,
        /// Its index among those that came.
        got: usize,
    },
    /// The expected effect of this index did not come.
    Missing(usize),
    /// The effect of this index came and was not expected.
    Extra(usize),
}

/// All effects of a step, in the order in which they are best read.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// How each compares; the missing before the extra ones in their place.
    pub changes: Vec<Change>,
    /// The effects that came, as the file would have them.
    pub got: Vec<Expected>,
}

impl Difference {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.changes.iter().all(|change| matches!(change, Change::Same { .. }))
    }

    /// `found` is what is the case for each of the expected that is a check, in order.
    pub(super) fn of(
        expected: &[&Expected],
        effects: &[Effect],
        found: Vec<Found>,
        context: Context<'_>,
    ) -> Difference {
        let (checks, happening): (Vec<usize>, Vec<usize>) =
            (0..expected.len()).partition(|index| expected[*index].is_check());
        let same: Vec<Vec<bool>> = happening
            .iter()
            .map(|index| {
                effects.iter().map(|effect| expected[*index].matches(effect, context)).collect()
            })
            .collect();
        let mut got: Vec<Expected> =
            effects.iter().map(|effect| Expected::of(effect, context)).collect();
        let mut changes = Vec::new();
        let mut checked = checks.into_iter().zip(found).peekable();
        let mut check = |until: usize, changes: &mut Vec<Change>| {
            while let Some((index, found)) = checked.next_if(|(index, _)| *index < until) {
                if expected[index].holds(&found, context) {
                    changes.push(Change::Same { expected: index, got: got.len() });
                } else {
                    changes.extend([Change::Missing(index), Change::Extra(got.len())]);
                }
                got.push(expected[index].as_found(&found, context));
            }
        };
        for change in align(&same, effects.len()) {
            let change = match change {
                Change::Same { expected, got } => {
                    Change::Same { expected: happening[expected], got }
                }
                Change::Missing(index) => Change::Missing(happening[index]),
                Change::Extra(got) => Change::Extra(got),
            };
            if let Change::Same { expected: index, .. } | Change::Missing(index) = change {
                check(index, &mut changes);
            }
            changes.push(change);
        }
        check(usize::MAX, &mut changes);
        Difference { changes, got }
    }
}

/// What is the case where a check asks.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    /// The value of a store or table, as a case shows it.
    Value(Option<Vec<u8>>),
    /// When a timer is due.
    Due(Option<Timestamp>),
}

/// The longest common subsequence, told by what matches what.
fn align(same: &[Vec<bool>], got: usize) -> Vec<Change> {
    let mut longest = vec![vec![0_usize; got + 1]; same.len() + 1];
    for (i, row) in same.iter().enumerate().rev() {
        for (j, same) in row.iter().enumerate().rev() {
            longest[i][j] = if *same {
                longest[i + 1][j + 1] + 1
            } else {
                longest[i + 1][j].max(longest[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut changes) = (0, 0, Vec::new());
    while i < same.len() || j < got {
        if i < same.len() && j < got && same[i][j] {
            changes.push(Change::Same { expected: i, got: j });
            (i, j) = (i + 1, j + 1);
        } else if j == got || (i < same.len() && longest[i + 1][j] >= longest[i][j + 1]) {
            changes.push(Change::Missing(i));
            i += 1;
        } else {
            changes.push(Change::Extra(j));
            j += 1;
        }
    }
    changes
}

impl Expected {
    /// What a file would expect of an effect that came.
    pub(super) fn of(effect: &Effect, context: Context<'_>) -> Expected {
        match effect {
            Effect::Out { topic, partition, timestamp, key, value, headers } => Expected::Out {
                topic: topic.clone(),
                partition: (context.partitions > 1).then_some(*partition),
                time: (*timestamp != context.at).then(|| Time::of(*timestamp, context.date)),
                key: Value::of(key.as_deref()),
                value: Want::of(value.as_deref()),
                headers: (headers != context.headers).then(|| headers.iter().map(named).collect()),
            },
            Effect::Dead { function, key, value, reason } => Expected::Dead {
                function: function.clone(),
                key: Value::of(key.as_deref()),
                value: Want::of(value.as_deref()),
                reason: Some(reason.clone()),
            },
            Effect::Late { store, key, value } => Expected::Late {
                store: store.clone(),
                key: Value::of(key.as_deref()),
                value: Want::of(value.as_deref()),
            },
            Effect::Retry { function, attempt, reason } => Expected::Retry {
                function: function.clone(),
                attempt: *attempt,
                reason: Some(reason.clone()),
            },
            Effect::Pause { function, reason } => {
                Expected::Pause { function: function.clone(), reason: Some(reason.clone()) }
            }
        }
    }

    /// Whether a check is right.
    fn holds(&self, found: &Found, context: Context<'_>) -> bool {
        match (self, found) {
            (
                Expected::State { value, .. } | Expected::Table { value, .. },
                Found::Value(found),
            ) => value.matches(found.as_deref()),
            (Expected::Timer { due, .. }, Found::Due(found)) => {
                due.map(|due| due.resolve(context.date, context.at)) == *found
            }
            _ => false,
        }
    }

    /// The check that would be right.
    fn as_found(&self, found: &Found, context: Context<'_>) -> Expected {
        let mut right = self.clone();
        match (&mut right, found) {
            (
                Expected::State { value, .. } | Expected::Table { value, .. },
                Found::Value(found),
            ) => {
                *value = Want::of(found.as_deref());
            }
            (Expected::Timer { due, .. }, Found::Due(found)) => {
                *due = found.map(|found| Time::of(found, context.date));
            }
            _ => {}
        }
        right
    }

    fn matches(&self, effect: &Effect, context: Context<'_>) -> bool {
        match (self, effect) {
            (
                Expected::Out { topic, partition, time, key, value, headers },
                Effect::Out {
                    topic: got_topic,
                    partition: got_partition,
                    timestamp,
                    key: got_key,
                    value: got_value,
                    headers: got_headers,
                },
            ) => {
                let at = time.map_or(context.at, |time| time.resolve(context.date, context.last));
                topic == got_topic
                    && partition.is_none_or(|partition| partition == *got_partition)
                    && at == *timestamp
                    && key.bytes() == got_key.as_deref()
                    && value.matches(got_value.as_deref())
                    && same_headers(headers.as_deref(), got_headers, context.headers)
            }
            (
                Expected::Dead { function, key, value, reason },
                Effect::Dead {
                    function: got_function,
                    key: got_key,
                    value: got_value,
                    reason: got_reason,
                },
            ) => {
                same_name(function, got_function)
                    && key.bytes() == got_key.as_deref()
                    && value.matches(got_value.as_deref())
                    && reason.as_ref().is_none_or(|reason| reason == got_reason)
            }
            (
                Expected::Late { store, key, value },
                Effect::Late { store: got_store, key: got_key, value: got_value },
            ) => {
                same_name(store, got_store)
                    && key.bytes() == got_key.as_deref()
                    && value.matches(got_value.as_deref())
            }
            (
                Expected::Retry { function, attempt, reason },
                Effect::Retry { function: got_function, attempt: got_attempt, reason: got_reason },
            ) => {
                same_name(function, got_function)
                    && attempt == got_attempt
                    && reason.as_ref().is_none_or(|reason| reason == got_reason)
            }
            (
                Expected::Pause { function, reason },
                Effect::Pause { function: got_function, reason: got_reason },
            ) => {
                same_name(function, got_function)
                    && reason.as_ref().is_none_or(|reason| reason == got_reason)
            }
            _ => false,
        }
    }
}

fn same_headers(expected: Option<&[Named]>, got: &[Header], cause: &[Header]) -> bool {
    match expected {
        None => got == cause,
        Some(expected) => {
            expected.len() == got.len()
                && expected.iter().zip(got).all(|(named, (name, value))| {
                    named.name == *name && named.value.bytes() == value.as_deref()
                })
        }
    }
}

/// `-` and `_` are the same letter between manifest and code.
pub(super) fn same_name(one: &str, other: &str) -> bool {
    let letter = |byte: u8| if byte == b'-' { b'_' } else { byte };
    one.bytes().map(letter).eq(other.bytes().map(letter))
}

fn named((name, value): &Header) -> Named {
    Named { name: name.clone(), value: Value::of(value.as_deref()) }
}
