//! Puts the effects that came in place of those that were expected. Stimuli, comments, blank lines and effects that
//! matched stay as they are written.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    diff::{Change, Difference},
    model::{File, Step},
    run::{Outcome, Ran},
};

/// The new text of a file, from the old one, what it was parsed to and how its cases went.
pub fn accept(text: &str, file: &File, ran: &[Ran]) -> String {
    let mut edits = Edits::default();
    for (case, ran) in file.cases.iter().zip(ran) {
        for (step, outcome) in case.steps.iter().zip(&ran.outcomes) {
            if let Outcome::Compared(difference) = outcome {
                edits.step(step, difference);
            }
        }
    }
    edits.apply(text)
}

#[derive(Default)]
struct Edits {
    removed: BTreeSet<usize>,
    /// Texts to insert before the line of that number.
    inserted: BTreeMap<usize, Vec<String>>,
}

impl Edits {
    fn step(&mut self, step: &Step, difference: &Difference) {
        let mut cursor = step.effects_line;
        for change in &difference.changes {
            match change {
                Change::Same { expected, .. } => cursor = step.effects[*expected].lines.end,
                Change::Missing(index) => {
                    let lines = step.effects[*index].lines.clone();
                    cursor = lines.end;
                    self.removed.extend(lines);
                }
                Change::Extra(index) => {
                    self.inserted
                        .entry(cursor)
                        .or_default()
                        .push(difference.got[*index].to_string());
                }
            }
        }
    }

    fn apply(&self, text: &str) -> String {
        let line_break = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let lines: Vec<&str> = text.lines().collect();
        let mut out = String::with_capacity(text.len());
        let mut put = |line: &str| {
            out.push_str(line);
            out.push_str(line_break);
        };
        for number in 1..=lines.len() + 1 {
            let inserted = self.inserted.get(&number).into_iter().flatten();
            inserted.flat_map(|text| text.lines()).for_each(&mut put);
            let Some(line) = lines.get(number - 1) else { continue };
            if !self.removed.contains(&number) || is_comment(line) {
                put(line);
            }
        }
        out
    }
}

fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}
