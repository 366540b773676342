//! Ways that lead back to where they began, in any graph of numbered steps.

use std::collections::{BTreeMap, btree_map::Entry};

/// The steps on a way from `start` back to it, `start` first.
pub(crate) fn way_back(behind: &[Vec<usize>], start: usize) -> Option<Vec<usize>> {
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
            if let Entry::Vacant(entry) = came_from.entry(next) {
                entry.insert(here);
                queue.push(next);
            }
        }
    }
    None
}
