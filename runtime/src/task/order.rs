//! What a walk came to, in the order of record-at-a-time processing: by row, then depth first.

use std::collections::HashMap;

use crate::topology::{SubTopology, Work};

use super::{
    buffer::Chunk,
    effects::{Late, Output},
    process::Walk,
    visit::{Visit, Way},
};

/// (node, emission, node it went to, as which source) -> the entry it became there.
pub(super) type Became = HashMap<(usize, usize, usize, u16), usize>;

/// What is laid in order.
#[derive(Debug, Default)]
pub(super) struct Ordered {
    pub(super) outputs: Vec<Output>,
    pub(super) late: Vec<Late>,
}

impl Walk<'_> {
    /// Lays the outputs of the handled rows in the order of record-at-a-time processing.
    pub(super) fn flatten(&self, visits: &[Visit], became: &Became, handled: usize) -> Ordered {
        let mut ordered = Ordered::default();
        ordered.outputs.reserve(visits.iter().map(|visit| visit.emitted.len()).sum());
        let mut next = vec![0; visits.len()];
        for row in 0..handled {
            for (node, visit) in visits.iter().enumerate() {
                while let Some(entry) =
                    visit.entries.get(next[node]).filter(|entry| entry.row as usize == row)
                {
                    if !entry.is_inner() {
                        self.descend(node, next[node], visits, became, &mut ordered);
                    }
                    next[node] += 1;
                }
            }
        }
        ordered
    }

    fn descend(
        &self,
        node: usize,
        entry: usize,
        visits: &[Visit],
        became: &Became,
        ordered: &mut Ordered,
    ) {
        let visit = &visits[node];
        for index in visit.ranges[entry].clone() {
            let emitted = &visit.emitted[index];
            let output = &self.part.nodes[node].outputs[usize::from(emitted.output)];
            let row = visit.entries[entry].row;
            let late = is_late(self.part, node, emitted.output);
            if late {
                let (key, value) = (emitted.key, emitted.value);
                ordered.late.push(Late { row, node, key, value });
            }
            if let Some(topic) = output.topic {
                ordered.outputs.push(Output {
                    row,
                    late,
                    topic,
                    partition: emitted.partition,
                    timestamp: emitted.timestamp,
                    key: emitted.key,
                    value: emitted.value,
                    headers: emitted.headers,
                });
            }
            for edge in &output.edges {
                if let Some(entry) = became.get(&(node, index, edge.node, edge.source)) {
                    self.descend(edge.node, *entry, visits, became, ordered);
                }
            }
        }
    }

    /// Counts what the handled rows took and gave, node by node.
    pub(super) fn count(&mut self, visits: &[Visit], handled: usize, chunk: &Chunk, bytes: &[u8]) {
        for (node, (visit, tally)) in visits.iter().zip(&mut *self.tallies).enumerate() {
            let entries = visit.entries.iter().zip(&visit.ranges);
            for (entry, range) in entries.filter(|(entry, _)| (entry.row as usize) < handled) {
                let taken = entry.record(chunk, bytes);
                if matches!(entry.way, Way::Record | Way::Timer) {
                    tally.taken.add(&taken);
                }
                for emitted in &visit.emitted[range.clone()] {
                    if is_late(self.part, node, emitted.output) {
                        tally.late += 1;
                        continue;
                    }
                    // What is inherited need not be looked up again.
                    let given = if emitted.inherits_from(entry) {
                        taken
                    } else {
                        emitted.record(chunk, bytes)
                    };
                    tally.given.add(&given);
                }
            }
        }
    }
}

/// Whether an output is that of records that came too late for the node.
fn is_late(part: &SubTopology, node: usize, output: u16) -> bool {
    output > 0 && matches!(part.nodes[node].work, Work::Aggregate(_) | Work::Join(_))
}
