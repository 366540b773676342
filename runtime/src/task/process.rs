//! One chunk through the operators.
//!
//! Nodes are visited in topological order: a function with one guest call for all its entries, an operator of the host
//! entry by entry (`host`). A store has one node that writes it and rows keep their order, so this comes to the same as
//! one record after another. Where a node stops at an entry, nothing of that entry's row or of those behind it goes on:
//! `bound` is the first row without effects. A timer that falls due before a later row cuts the walk there in the same
//! way, and nothing of the rows from there on counts, whatever the guest made of them. At the end the emissions are laid
//! in the order of record-at-a-time processing (`order`).

use crate::{
    guest::{Binding, Fault, Scope, ScopeEntry},
    operator::{Entry, Filter, Function, Operator, Reason, Tally},
    partitioner::partition_of,
    record::{Partition, Timestamp},
    store,
    topology::{Edge, SubTopology},
};

use super::{
    buffer::Chunk,
    effects::{Effects, Reading, Span, resolve},
    order::{Became, Ordered},
    source::From,
    timers::Owner,
    visit::{Closing, Given, Visit, Waiting, Way},
};

use tidemill_layout::Kind;

/// Where a chunk stopped.
#[derive(Debug)]
pub(super) struct Stop {
    /// The row that failed.
    pub(super) row: usize,
    /// The function that failed on it.
    pub(super) node: usize,
    pub(super) reason: Reason,
    /// What it failed on, where that is not the source record.
    pub(super) intermediate: Option<Intermediate>,
    /// Where that came of results of a node that are not the row's doing: they are to be tried without it.
    pub(super) closing: Option<Closing>,
}

/// Key and value of a record between two functions.
#[derive(Debug)]
pub(super) struct Intermediate {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
}

impl Intermediate {
    /// Of an entry that is not a row as it is.
    pub(super) fn of(entry: &Waiting, chunk: &Chunk, bytes: &[u8]) -> Option<Self> {
        entry.is_inner().then(|| {
            let record = entry.record(chunk, bytes);
            let (key, value) = (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec));
            Intermediate { key, value }
        })
    }
}

/// Why nothing became of a chunk.
pub(super) enum End {
    /// A call ended without an answer for the rows before the one at fault, or which that is is not known: the next turn
    /// is to take so many rows.
    Narrow { node: usize, limit: usize, reason: Reason },
    /// The state cannot be read or written.
    Storage(store::Error),
}

/// What a node did for the rows that have effects.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct NodeTally {
    pub(super) taken: Tally,
    pub(super) given: Tally,
    /// Records that came too late for it.
    pub(super) late: u64,
}

pub(super) struct Walk<'a> {
    pub(super) part: &'a SubTopology,
    pub(super) partition: Partition,
    pub(super) partitions: u32,
    pub(super) operators: &'a mut [Operator],
    pub(super) filters: &'a [Filter],
    /// Who has the timers.
    pub(super) owners: &'a [Option<Owner>],
    pub(super) scope: &'a mut Scope,
    /// Rows from here on are not for this turn: it comes to too much.
    pub(super) enough: Option<u32>,
    /// How often the first row failed before.
    pub(super) attempt: u32,
    pub(super) tallies: &'a mut [NodeTally],
}

impl Walk<'_> {
    /// Sends a chunk through all nodes. The rows before the stop, or before the cut, or all, have effects.
    pub(super) fn run(mut self, chunk: Chunk) -> Result<(Effects, Option<Stop>), End> {
        let mut visits: Vec<Visit> = self.part.nodes.iter().map(|_| Visit::default()).collect();
        let mut bytes = Vec::new();
        let mut stop = self.enter(&chunk, &mut visits);
        let mut became = Became::new();
        for node in 0..visits.len() {
            let bound = stop.as_ref().map_or(chunk.rows.len(), |stop| stop.row);
            let mut visit = std::mem::take(&mut visits[node]);
            visit.entries.retain(|entry| (entry.row as usize) < bound);
            // Several ways may lead here: source records keep their order, and within one the order they came in.
            visit.entries.sort_by_key(|entry| entry.row);
            for (index, entry) in visit.entries.iter().enumerate() {
                if let Some((giver, emission)) = entry.giver {
                    became.insert((giver, emission, node, entry.source), index);
                }
            }
            let stopped = match &self.operators[node] {
                Operator::Function(_) => self.call(node, &chunk, &mut visit, &mut bytes)?,
                Operator::Host(_) => self.host(node, &chunk, &visits, &mut visit, &mut bytes)?,
            };
            let strayed = self.hand_on(node, &visit, &mut visits, &bytes, &chunk);
            stop = strayed.or(stopped).or(stop);
            visits[node] = visit;
        }
        let cut = self.cut().map_or(chunk.rows.len(), |cut| cut as usize);
        let stop = stop.filter(|stop| stop.row < cut);
        let handled = stop.as_ref().map_or(cut, |stop| stop.row);
        let Ordered { outputs, late } = self.flatten(&visits, &became, handled);
        self.count(&visits, handled, &chunk, &bytes);
        let readings = readings(&chunk, &visits);
        let positions = Vec::new();
        Ok((Effects { chunk, bytes, outputs, late, readings, positions, handled }, stop))
    }

    /// Brings source records to the nodes that read their topic, timers to those that have them, results to those they
    /// are of.
    fn enter(&self, chunk: &Chunk, visits: &mut [Visit]) -> Option<Stop> {
        for (row, at) in (0..).zip(&chunk.rows) {
            let edge;
            let (readers, way) = match at.from {
                From::Input(input) => (&*self.part.inputs[input].readers, Way::Record),
                From::Timer(timer) => {
                    let owner = self.owners[usize::from(timer)].expect("only such timers fire");
                    edge = [Edge { node: owner.node, source: owner.slot }];
                    (&edge[..], Way::Timer)
                }
                From::Result(node) => {
                    edge = [Edge { node, source: 0 }];
                    (&edge[..], Way::Result)
                }
            };
            let timestamp = match &at.time {
                Ok(timestamp) => *timestamp,
                Err(reason) => {
                    let node = readers.first().map_or(0, |edge| edge.node);
                    let (row, reason) = (row as usize, Reason::Reject(reason.clone()));
                    return Some(Stop { row, node, reason, intermediate: None, closing: None });
                }
            };
            for edge in readers {
                let filter = &self.filters[edge.node];
                if way == Way::Record
                    && !filter.is_empty()
                    && !filter.admits(chunk.record(row as usize).value)
                {
                    continue;
                }
                let entry = Waiting::row(row, edge.source, timestamp, way);
                visits[edge.node].entries.push(entry);
            }
        }
        None
    }

    /// Calls a node with its entries, until they are handled, a timer cuts them, or it stops.
    fn call(
        &mut self,
        node: usize,
        chunk: &Chunk,
        visit: &mut Visit,
        bytes: &mut Vec<u8>,
    ) -> Result<Option<Stop>, End> {
        let Visit { entries, ranges, emitted } = visit;
        let mut from = 0;
        loop {
            let end = self.before_cut(entries);
            if from >= end {
                return Ok(None);
            }
            let rest = &entries[from..end];
            self.load(node, chunk, rest, bytes);
            let mut last = 0;
            let mut start = emitted.len();
            let called = function(self.operators, node).call(self.scope, |emission| {
                while last < emission.cause {
                    ranges.push(start..emitted.len());
                    start = emitted.len();
                    last += 1;
                }
                let given = Given {
                    output: emission.output,
                    partition: emission.partition,
                    timestamp: emission.timestamp.map(Timestamp),
                    key: emission.key,
                    value: emission.value,
                    headers: emission.headers,
                };
                emitted.push(rest[emission.cause as usize].emit(&given, 0, bytes));
            });
            for _ in last as usize..called.handled {
                ranges.push(start..emitted.len());
                start = emitted.len();
            }
            from += called.handled;
            if let Some(reason) = called.stopped {
                let culprit = called.culprit - called.handled;
                return self.stopped(node, &entries[from..end], culprit, reason, chunk, bytes);
            }
        }
    }

    /// Rows from here on are not to be handled in this turn.
    fn cut(&self) -> Option<u32> {
        self.scope.cut().into_iter().chain(self.enough).min()
    }

    /// How many of the entries are of rows that this turn may handle.
    pub(super) fn before_cut(&self, entries: &[Waiting]) -> usize {
        match self.cut() {
            Some(cut) => entries.partition_point(|entry| entry.row < cut),
            None => entries.len(),
        }
    }

    fn load(&mut self, node: usize, chunk: &Chunk, entries: &[Waiting], bytes: &[u8]) {
        let topic = |entry: &Waiting| match chunk.rows[entry.row as usize].from {
            From::Input(input) => self.part.inputs[input].topic.as_ref(),
            From::Timer(_) | From::Result(_) => "",
        };
        let attempt = self.attempt;
        function(self.operators, node).load(
            self.partition.0,
            entries.iter().map(|entry| Entry {
                kind: if entry.way == Way::Timer { Kind::Timer } else { Kind::Record },
                source: entry.source,
                topic: topic(entry),
                attempt: if entry.row == 0 { attempt } else { 0 },
                record: entry.record(chunk, bytes),
            }),
        );
        self.scope.load(
            &self.part.nodes[node].function().expect("only functions are called").bindings,
            entries.iter().map(|entry| ScopeEntry {
                row: entry.row,
                timestamp: entry.timestamp,
                key: resolve(chunk, bytes, entry.key, |record| record.key),
                fired: entry.way == Way::Timer,
            }),
        );
    }

    /// What an entry that stopped a call means: `rest` are those not handled, of which the culprit is one.
    fn stopped(
        &mut self,
        node: usize,
        rest: &[Waiting],
        culprit: usize,
        reason: Reason,
        chunk: &Chunk,
        bytes: &[u8],
    ) -> Result<Option<Stop>, End> {
        let (Some(first), Some(failed)) = (rest.first(), rest.get(culprit)) else {
            return Ok(None);
        };
        let first = first.row as usize;
        let cut = self.cut().map(|cut| cut as usize);
        let again = |limit, reason| Err(End::Narrow { node, limit, reason });
        let mut closing = failed.closing;
        let (row, reason) = match reason {
            Reason::Fault(Fault::Storage { .. }) => {
                let error = self.scope.take_error();
                return Err(End::Storage(error.expect("the scope keeps what the disk said")));
            }
            Reason::Somewhere(fault) => {
                let mut rows: Vec<u32> = rest.iter().map(|entry| entry.row).collect();
                rows.dedup();
                let limit = match cut {
                    _ if rows.len() == 1 => None,
                    // Perhaps it is of those that are not to be handled now.
                    Some(cut) => Some(cut),
                    // Those before the call are well: they go without the others.
                    None if first > 0 => Some(first),
                    None => Some(rows.len() / 2),
                };
                if let Some(limit) = limit {
                    return again(limit, Reason::Somewhere(fault));
                }
                // Perhaps it is one of them.
                closing = rest.iter().find_map(|entry| entry.closing);
                (first, Reason::Fault(fault))
            }
            known => (failed.row as usize, known),
        };
        if let Some(cut) = cut.filter(|cut| *cut <= row) {
            // It went on where it was not to. What came before is lost if the call did not end by itself.
            return if culprit == 0 { Ok(None) } else { again(cut, reason) };
        }
        if row > first && culprit > 0 {
            return again(row, reason);
        }
        let rows = chunk.rows.len();
        if rows > 1 && self.scope.is_crowded() {
            return again(if row > 0 { row } else { rows / 2 }, reason);
        }
        let intermediate = Intermediate::of(failed, chunk, bytes);
        Ok(Some(Stop { row, node, reason, intermediate, closing }))
    }

    /// Brings emissions to the nodes that take them in memory, up to one that may not go there.
    fn hand_on(
        &self,
        node: usize,
        visit: &Visit,
        visits: &mut [Visit],
        bytes: &[u8],
        chunk: &Chunk,
    ) -> Option<Stop> {
        let outputs = &self.part.nodes[node].outputs;
        if outputs.iter().all(|output| output.edges.is_empty()) {
            return None;
        }
        for (entry, range) in visit.entries.iter().zip(&visit.ranges) {
            for index in range.clone() {
                let emitted = &visit.emitted[index];
                let output = &outputs[usize::from(emitted.output)];
                for edge in &output.edges {
                    let waiting = Waiting {
                        row: entry.row,
                        source: edge.source,
                        timestamp: emitted.timestamp,
                        key: emitted.key,
                        value: emitted.value,
                        headers: emitted.headers,
                        way: Way::Record,
                        closing: emitted.closing,
                        giver: Some((node, index)),
                    };
                    if !self.filters[edge.node].admits(waiting.record(chunk, bytes).value) {
                        continue;
                    }
                    if let Some(reason) = self.strays(&waiting, &output.name, edge.node, bytes) {
                        let (row, closing) = (entry.row as usize, emitted.closing);
                        return Some(Stop { row, node, reason, intermediate: None, closing });
                    }
                    visits[edge.node].entries.push(waiting);
                }
            }
        }
        None
    }

    /// State is kept by partition: a key that a function chose is looked after where it belongs, and only there. The keys
    /// of the host's own operators are those of what is kept here.
    fn strays(&self, entry: &Waiting, output: &str, to: usize, bytes: &[u8]) -> Option<Reason> {
        let Span::Own { start, length } = entry.key else { return None };
        let (giver, _) = entry.giver?;
        if matches!(self.operators[giver], Operator::Host(_)) {
            return None;
        }
        let keyed = |binding: Binding| match binding {
            Binding::Store(_) | Binding::Aggregate(_) | Binding::Timer(_) => true,
            Binding::Table(table) => !self.part.stores[table].broadcast,
        };
        let to = &self.part.nodes[to];
        if !to.state().any(keyed) {
            return None;
        }
        let home = partition_of(&bytes[start..start + length], self.partitions);
        (home != self.partition).then(|| {
            let (name, own) = (&to.name, self.partition);
            Reason::Fault(Fault::Partition {
                what: format!(
                    "its output `{output}` goes to `{name}` in memory under a key that belongs to partition {home}, and \
                     the state here is that of partition {own}: re-key by a topic between the two (send the output to \
                     a topic and let `{name}` read that)"
                ),
            })
        })
    }
}

fn function(operators: &mut [Operator], node: usize) -> &mut Function {
    match &mut operators[node] {
        Operator::Function(function) => function,
        Operator::Host(_) => unreachable!("only functions are called"),
    }
}

/// What results read as, by row, where the rows are results: as the first record that was sent of each.
fn readings(chunk: &Chunk, visits: &[Visit]) -> Vec<Option<Reading>> {
    let Some(From::Result(node)) = chunk.rows.first().map(|row| row.from) else {
        return Vec::new();
    };
    let mut readings = vec![None; chunk.rows.len()];
    let visit = &visits[node];
    for (entry, range) in visit.entries.iter().zip(&visit.ranges) {
        if let Some(first) = visit.emitted[range.clone()].first() {
            readings[entry.row as usize] = Some(Reading {
                timestamp: first.timestamp,
                key: first.key,
                value: first.value,
                headers: first.headers,
            });
        }
    }
    readings
}
