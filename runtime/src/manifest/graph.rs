//! Refuses apps whose records would run in circles.

use std::collections::{BTreeMap, BTreeSet};

use super::{Input, names::code_name, report::Report, section::join, tree::Place};

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

/// The steps on a way from `start` back to it, `start` first.
fn way_back(behind: &[Vec<usize>], start: usize) -> Option<Vec<usize>> {
    let mut came_from: BTreeMap<usize, usize> = BTreeMap::new();
    let mut queue = vec![start];
    while let Some(here) = queue.pop() {
        for &next in &behind[here] {
            if next == start {
                let mut way = vec![here];
                while let Some(before) =
                    way.last().filter(|last| **last != start).and_then(|last| came_from.get(last))
                {
                    way.push(*before);
                }
                way.reverse();
                return Some(way);
            }
            if let std::collections::btree_map::Entry::Vacant(entry) = came_from.entry(next) {
                entry.insert(here);
                queue.push(next);
            }
        }
    }
    None
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
