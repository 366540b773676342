//! Refuses apps whose records would run in circles.

use std::collections::BTreeSet;

use super::{Input, names::code_name, report::Report, section::join, tree::Place};
use crate::topology::way_back;

/// What takes records and hands others on.
pub(super) struct Step<'a> {
    /// `functions`, `joins`, `rekey` or `stores`.
    pub section: &'static str,
    /// As written.
    pub name: &'a str,
    /// The key of what it takes.
    pub key: &'static str,
    /// What it takes.
    pub inputs: Vec<&'a Input>,
    /// The topics it writes to.
    pub topics: Vec<&'a str>,
    /// Where its inputs are named.
    pub place: Place,
}

/// Reports each step that gets its own output back, over topics or directly.
pub(super) fn refuse_cycles(steps: &[Step<'_>], report: &Report) {
    let mut reported = BTreeSet::new();
    let behind = |from: &Step<'_>| (0..steps.len()).filter(|to| feeds(from, &steps[*to])).collect();
    let behind: Vec<Vec<usize>> = steps.iter().map(behind).collect();
    for (start, step) in steps.iter().enumerate() {
        let Some(cycle) = way_back(&behind, start) else { continue };
        if reported.insert(cycle.iter().copied().collect::<BTreeSet<usize>>()) {
            let names: Vec<&str> = cycle.iter().map(|at| steps[*at].name).collect();
            let found = format!("found a cycle: {} → {}", names.join(" → "), step.name);
            let expected = "records would go round without end: take one of these inputs away";
            let key = join(&join(step.section, step.name), step.key);
            report.at(&step.place, &key, &found, expected);
        }
    }
}

fn feeds(from: &Step<'_>, to: &Step<'_>) -> bool {
    let is = |section: &str, name: &str| from.section == section && code_name(from.name) == name;
    to.inputs.iter().any(|input| match input {
        Input::Topic(topic) => from.topics.iter().any(|output| output == topic),
        Input::Function { function, .. } => from.section == "functions" && from.name == function,
        Input::Join(name) => is("joins", name),
        Input::Rekey(name) => is("rekey", name),
        Input::Store(name) => is("stores", name),
        Input::Table(_) => false,
    })
}
