//! Refuses apps whose records would run in circles.

use std::collections::{BTreeMap, BTreeSet};

use super::{FunctionSettings, Input, function::inputs_key, report::Report, tree::Place};

/// Reports each function that gets its own output back, over topics or directly. `places` are those of the inputs.
pub(super) fn refuse_cycles(
    functions: &BTreeMap<String, FunctionSettings>,
    places: &BTreeMap<String, Place>,
    report: &Report,
) {
    let mut reported = BTreeSet::new();
    for start in functions.keys() {
        let Some(cycle) = way_back(functions, start) else { continue };
        let members: BTreeSet<&str> = cycle.iter().copied().collect();
        if reported.insert(members) {
            let found = format!("found a cycle: {} → {start}", cycle.join(" → "));
            let expected = "records would go round without end: take one of these inputs away";
            report.at(&places[start], &inputs_key(start), &found, expected);
        }
    }
}

/// The functions on a way from `start` back to it, `start` first.
fn way_back<'a>(
    functions: &'a BTreeMap<String, FunctionSettings>,
    start: &'a str,
) -> Option<Vec<&'a str>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut queue = vec![start];
    while let Some(here) = queue.pop() {
        for next in functions.keys().filter(|next| feeds(&functions[here], &functions[*next])) {
            if next == start {
                let mut way = vec![here];
                while let Some(before) =
                    way.last().filter(|last| **last != start).and_then(|last| came_from.get(last))
                {
                    way.push(before);
                }
                way.reverse();
                return Some(way);
            }
            if !came_from.contains_key(next.as_str()) {
                came_from.insert(next, here);
                queue.push(next);
            }
        }
    }
    None
}

fn feeds(from: &FunctionSettings, to: &FunctionSettings) -> bool {
    to.inputs.iter().any(|(_, input)| match input {
        Input::Topic(topic) => from.outputs.values().any(|output| output == topic),
        Input::Function { function, .. } => *function == from.name,
    })
}
