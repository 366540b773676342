//! Replays a case on whatever can be driven, and shows what differs.

use std::fmt;

use super::{
    diff::{Change, Context, Difference, Found},
    model::{Case, Expected, Input, Part, Step, Stimulus},
    time,
    value::Value,
};
use crate::{
    record::Timestamp,
    testing::{self, Effect, Header},
};

/// Which part of what a store holds under a key is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// An entry of a map.
    Entry(Vec<u8>),
    /// A window of an aggregate, from its start to its end.
    Window(Timestamp, Timestamp),
}

/// What a case is replayed on. An error means that the case cannot go on.
pub trait Drive {
    /// A record arrives; its effects, in order, until nothing more happens.
    ///
    /// # Errors
    /// In words, where the topic does not exist for instance.
    fn send(&mut self, topic: &str, record: testing::Stimulus) -> Result<Vec<Effect>, String>;

    /// The wall clock moves there.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    fn at(&mut self, at: Timestamp) -> Result<Vec<Effect>, String>;

    /// The process dies and starts anew.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    fn restart(&mut self) -> Result<Vec<Effect>, String>;

    /// What a store holds under a key (of a map: in an entry, of an aggregate: in a window), as a case shows it.
    ///
    /// # Errors
    /// In words, where there is no such store.
    fn state(
        &mut self,
        store: &str,
        key: &[u8],
        part: Option<&At>,
    ) -> Result<Option<Vec<u8>>, String>;

    /// What a table holds under a key.
    ///
    /// # Errors
    /// In words, where there is no such table.
    fn row(&mut self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, String>;

    /// When a key's timer is due.
    ///
    /// # Errors
    /// In words, where there is no such timer.
    fn timer(
        &mut self,
        function: &str,
        timer: &str,
        key: &[u8],
    ) -> Result<Option<Timestamp>, String>;
}

/// How a step went.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It ran: this is how its effects compare.
    Compared(Difference),
    /// It could not run, nor could those behind it.
    Stopped(String),
}

/// How a case went: one outcome a step, fewer where it stopped.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran {
    /// In order of the steps.
    pub outcomes: Vec<Outcome>,
}

impl Ran {
    /// Whether all effects came as expected.
    pub fn passed(&self) -> bool {
        self.outcomes
            .iter()
            .all(|outcome| matches!(outcome, Outcome::Compared(difference) if difference.is_none()))
    }

    /// What is wrong, step by step.
    pub fn problems<'a>(&'a self, case: &'a Case) -> impl Iterator<Item = Problem<'a>> {
        case.steps.iter().zip(&self.outcomes).filter_map(|(step, outcome)| match outcome {
            Outcome::Compared(difference) if difference.is_none() => None,
            outcome => Some(Problem { case, step, outcome }),
        })
    }
}

/// Replays a case.
pub fn run(case: &Case, drive: &mut dyn Drive) -> Ran {
    let date = case.date();
    let mut last = time::midnight(date);
    let mut outcomes = Vec::with_capacity(case.steps.len());
    for step in &case.steps {
        let mut headers = Vec::new();
        let at = when(&step.stimulus, date, last);
        let effects = match &step.stimulus {
            Stimulus::In(input) => {
                headers = input.headers();
                drive.send(&input.topic, input.record(at))
            }
            Stimulus::At(_) => drive.at(at),
            Stimulus::Restart => drive.restart(),
        };
        let expected: Vec<_> = step.effects.iter().map(|effect| &effect.expected).collect();
        let found = |effects: Vec<Effect>| {
            let checks = expected.iter().filter_map(|expected| look(expected, date, at, drive));
            Ok((effects, checks.collect::<Result<Vec<Found>, String>>()?))
        };
        let (effects, found) = match effects.and_then(found) {
            Ok(all) => all,
            Err(error) => {
                outcomes.push(Outcome::Stopped(error));
                break;
            }
        };
        let context = Context { partitions: case.partitions(), date, last, at, headers: &headers };
        outcomes.push(Outcome::Compared(Difference::of(&expected, &effects, found, context)));
        last = at;
    }
    Ran { outcomes }
}

/// What is the case where a check asks; `None` for what is none.
fn look(
    expected: &Expected,
    date: jiff::civil::Date,
    now: Timestamp,
    drive: &mut dyn Drive,
) -> Option<Result<Found, String>> {
    let bytes = |key: &Value| key.bytes().unwrap_or_default().to_vec();
    Some(match expected {
        Expected::State { store, key, part, .. } => {
            let at = part.as_ref().map(|part| match part {
                Part::Entry(entry) => At::Entry(bytes(entry)),
                Part::Window { start, end, .. } => {
                    At::Window(start.resolve(date, now), end.resolve(date, now))
                }
            });
            drive.state(store, &bytes(key), at.as_ref()).map(Found::Value)
        }
        Expected::Table { table, key, .. } => drive.row(table, &bytes(key)).map(Found::Value),
        Expected::Timer { function, timer, key, .. } => {
            drive.timer(function, timer, &bytes(key)).map(Found::Due)
        }
        _ => return None,
    })
}

fn when(stimulus: &Stimulus, date: jiff::civil::Date, last: Timestamp) -> Timestamp {
    match stimulus {
        Stimulus::In(Input { time: Some(time), .. }) | Stimulus::At(time) => {
            time.resolve(date, last)
        }
        Stimulus::In(Input { time: None, .. }) | Stimulus::Restart => last,
    }
}

impl Input {
    /// The record, at a time.
    pub fn record(&self, at: Timestamp) -> testing::Stimulus {
        testing::Stimulus {
            partition: self.partition,
            timestamp: at,
            key: self.key.bytes().map(<[u8]>::to_vec),
            value: self.value.bytes().map(<[u8]>::to_vec),
            headers: self.headers(),
        }
    }

    fn headers(&self) -> Vec<Header> {
        let header =
            |named: &super::Named| (named.name.clone(), named.value.bytes().map(<[u8]>::to_vec));
        self.headers.iter().map(header).collect()
    }
}

/// A step that went wrong. Displays as the stimulus and what differs below it.
#[derive(Debug)]
pub struct Problem<'a> {
    case: &'a Case,
    step: &'a Step,
    outcome: &'a Outcome,
}

impl Problem<'_> {
    /// The number of the first line that is wrong.
    pub fn line(&self) -> usize {
        let Outcome::Compared(difference) = self.outcome else { return self.step.line };
        let first = difference.changes.iter().find(|change| !matches!(change, Change::Same { .. }));
        match first {
            Some(Change::Missing(index)) => self.step.effects[*index].lines.start,
            _ => self.step.line,
        }
    }

    /// Whether the step could not run at all.
    pub fn is_stop(&self) -> bool {
        matches!(self.outcome, Outcome::Stopped(_))
    }

    /// The title of its case.
    pub fn title(&self) -> &str {
        &self.case.title
    }

    /// Its lines: a mark (blank, `-`, `+`, or `!` for an error) and a text that may have several lines.
    pub fn lines(&self) -> Vec<(char, String)> {
        let mut lines = vec![(' ', self.step.stimulus.to_string())];
        match self.outcome {
            Outcome::Stopped(error) => lines.push(('!', error.clone())),
            Outcome::Compared(difference) => {
                lines.extend(difference.changes.iter().map(|change| match change {
                    Change::Same { expected, .. } => {
                        (' ', self.step.effects[*expected].expected.to_string())
                    }
                    Change::Missing(index) => ('-', self.step.effects[*index].expected.to_string()),
                    Change::Extra(index) => ('+', difference.got[*index].to_string()),
                }));
            }
        }
        lines
    }
}

/// Without a line break at the end.
impl fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines();
        for (index, (mark, text)) in lines.iter().enumerate() {
            let line_break = if index + 1 == lines.len() { "" } else { "\n" };
            write!(f, "   {mark} {}{line_break}", text.replace('\n', "\n     "))?;
        }
        Ok(())
    }
}
