//! One chunk through the operators.
//!
//! Nodes are visited in topological order, each with one guest call for all its entries. Where a node stops at an
//! entry, nothing of that entry's source record or of those behind it goes on: `bound` is the first row without
//! effects. A timer that falls due before a later row cuts the walk there in the same way, and nothing of the rows from
//! there on counts, whatever the guest made of them. At the end the emissions are laid in the order of record-at-a-time processing: by source record, then
//! depth first.

use std::{collections::HashMap, ops::Range};

use tidemill_layout::{Emission, HeaderPart, Kind, Part};

use crate::{
    guest::{Binding, Fault, Scope, ScopeEntry},
    operator::{Entry, Filter, Function, Reason, Tally},
    partitioner::partition_of,
    record::{Headers, Partition, Record, Timestamp},
    store,
    topology::{Edge, SubTopology},
};

use super::{
    buffer::Chunk,
    effects::{Effects, Output, Span, resolve},
    source::From,
    timers::Owner,
};

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
}

/// Key and value of a record between two functions.
#[derive(Debug)]
pub(super) struct Intermediate {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
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
}

/// A source record or an emission on its way into a node.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    row: u32,
    source: u16,
    timestamp: Timestamp,
    key: Span,
    value: Span,
    headers: Span,
    /// Emitted by a node of the task rather than a row as it is.
    inner: bool,
    /// The timer that its row is.
    fired: bool,
    /// Of an inner one: which emission, and of which node.
    cause: usize,
    giver: usize,
}

#[derive(Debug, Clone, Copy)]
struct Emitted {
    output: u16,
    partition: Option<u32>,
    timestamp: Timestamp,
    key: Span,
    value: Span,
    headers: Span,
}

/// A node's part of the walk. `ranges[i]` are the emissions of entry *i*.
#[derive(Debug, Default)]
struct Visit {
    entries: Vec<Waiting>,
    ranges: Vec<Range<usize>>,
    emitted: Vec<Emitted>,
}

pub(super) struct Walk<'a> {
    pub(super) part: &'a SubTopology,
    pub(super) partition: Partition,
    pub(super) partitions: u32,
    pub(super) operators: &'a mut [Function],
    pub(super) filters: &'a [Filter],
    /// Who has the timers.
    pub(super) owners: &'a [Option<Owner>],
    pub(super) scope: &'a mut Scope,
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
        // (node, emission) -> the entry it became, for every node it went to.
        let mut became: HashMap<(usize, usize, usize), usize> = HashMap::new();
        for node in 0..visits.len() {
            let bound = stop.as_ref().map_or(chunk.rows.len(), |stop| stop.row);
            let mut visit = std::mem::take(&mut visits[node]);
            visit.entries.retain(|entry| (entry.row as usize) < bound);
            // Several ways may lead here: source records keep their order, and within one the order they came in.
            visit.entries.sort_by_key(|entry| entry.row);
            for (index, entry) in visit.entries.iter().enumerate().filter(|(_, entry)| entry.inner)
            {
                became.insert((entry.giver, entry.cause, node), index);
            }
            let stopped = self.call(node, &chunk, &mut visit, &mut bytes)?;
            let strayed = self.hand_on(node, &visit, &mut visits, &bytes, &chunk);
            stop = strayed.or(stopped).or(stop);
            visits[node] = visit;
        }
        let cut = self.scope.cut().map_or(chunk.rows.len(), |cut| cut as usize);
        let stop = stop.filter(|stop| stop.row < cut);
        let handled = stop.as_ref().map_or(cut, |stop| stop.row);
        let outputs = self.flatten(&visits, &became, handled);
        self.count(&visits, handled, &chunk, &bytes);
        Ok((Effects { chunk, bytes, outputs, positions: Vec::new(), handled }, stop))
    }

    /// Brings source records to the nodes that read their topic, and timers to those that have them.
    fn enter(&self, chunk: &Chunk, visits: &mut [Visit]) -> Option<Stop> {
        for (row, at) in (0..).zip(&chunk.rows) {
            let edge;
            let (readers, fired) = match at.from {
                From::Input(input) => (&*self.part.inputs[input].readers, false),
                From::Timer(timer) => {
                    let owner = self.owners[usize::from(timer)].expect("only such timers fire");
                    edge = [Edge { node: owner.node, source: owner.slot }];
                    (&edge[..], true)
                }
            };
            let timestamp = match &at.time {
                Ok(timestamp) => *timestamp,
                Err(reason) => {
                    let node = readers.first().map_or(0, |edge| edge.node);
                    let reason = Reason::Reject(reason.clone());
                    return Some(Stop { row: row as usize, node, reason, intermediate: None });
                }
            };
            for edge in readers {
                let filter = &self.filters[edge.node];
                if !fired && !filter.is_empty() && !filter.admits(chunk.record(row as usize).value)
                {
                    continue;
                }
                let span = Span::Source(row);
                let (key, value, headers) = (span, span, span);
                let source = edge.source;
                visits[edge.node].entries.push(Waiting {
                    row,
                    source,
                    timestamp,
                    key,
                    value,
                    headers,
                    inner: false,
                    fired,
                    cause: 0,
                    giver: 0,
                });
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
            let called = self.operators[node].call(self.scope, |emission| {
                while last < emission.cause {
                    ranges.push(start..emitted.len());
                    start = emitted.len();
                    last += 1;
                }
                emitted.push(emit(&rest[emission.cause as usize], emission, bytes));
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

    /// How many of the entries are of rows that this turn may handle.
    fn before_cut(&self, entries: &[Waiting]) -> usize {
        match self.scope.cut() {
            Some(cut) => entries.partition_point(|entry| entry.row < cut),
            None => entries.len(),
        }
    }

    fn load(&mut self, node: usize, chunk: &Chunk, entries: &[Waiting], bytes: &[u8]) {
        let topic = |entry: &Waiting| match chunk.rows[entry.row as usize].from {
            From::Input(input) => self.part.inputs[input].topic.as_ref(),
            From::Timer(_) => "",
        };
        let attempt = self.attempt;
        self.operators[node].load(
            self.partition.0,
            entries.iter().map(|entry| Entry {
                kind: if entry.fired { Kind::Timer } else { Kind::Record },
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
                fired: entry.fired,
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
        let cut = self.scope.cut().map(|cut| cut as usize);
        let again = |limit, reason| Err(End::Narrow { node, limit, reason });
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
        let intermediate = failed.inner.then(|| {
            let record = failed.record(chunk, bytes);
            Intermediate {
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
            }
        });
        Ok(Some(Stop { row, node, reason, intermediate }))
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
                        inner: true,
                        fired: false,
                        cause: index,
                        giver: node,
                    };
                    if !self.filters[edge.node].admits(waiting.record(chunk, bytes).value) {
                        continue;
                    }
                    if let Some(reason) = self.strays(&waiting, &output.name, edge.node, bytes) {
                        let (row, intermediate) = (entry.row as usize, None);
                        return Some(Stop { row, node, reason, intermediate });
                    }
                    visits[edge.node].entries.push(waiting);
                }
            }
        }
        None
    }

    /// State is kept by partition: a key that a function chose is looked after where it belongs, and only there.
    fn strays(&self, entry: &Waiting, output: &str, to: usize, bytes: &[u8]) -> Option<Reason> {
        let Span::Own { start, length } = entry.key else { return None };
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

    /// Lays the outputs of the handled rows in the order of record-at-a-time processing.
    fn flatten(
        &self,
        visits: &[Visit],
        became: &HashMap<(usize, usize, usize), usize>,
        handled: usize,
    ) -> Vec<Output> {
        let mut outputs = Vec::with_capacity(visits.iter().map(|visit| visit.emitted.len()).sum());
        let mut next = vec![0; visits.len()];
        for row in 0..handled {
            for (node, visit) in visits.iter().enumerate() {
                while let Some(entry) =
                    visit.entries.get(next[node]).filter(|entry| entry.row as usize == row)
                {
                    if !entry.inner {
                        self.descend(node, next[node], visits, became, &mut outputs);
                    }
                    next[node] += 1;
                }
            }
        }
        outputs
    }

    fn descend(
        &self,
        node: usize,
        entry: usize,
        visits: &[Visit],
        became: &HashMap<(usize, usize, usize), usize>,
        outputs: &mut Vec<Output>,
    ) {
        let visit = &visits[node];
        for index in visit.ranges[entry].clone() {
            let emitted = &visit.emitted[index];
            let output = &self.part.nodes[node].outputs[usize::from(emitted.output)];
            if let Some(topic) = output.topic {
                outputs.push(Output {
                    row: visit.entries[entry].row,
                    topic,
                    partition: emitted.partition,
                    timestamp: emitted.timestamp,
                    key: emitted.key,
                    value: emitted.value,
                    headers: emitted.headers,
                });
            }
            for edge in &output.edges {
                if let Some(entry) = became.get(&(node, index, edge.node)) {
                    self.descend(edge.node, *entry, visits, became, outputs);
                }
            }
        }
    }

    /// Counts what the handled rows took and gave, node by node.
    fn count(&mut self, visits: &[Visit], handled: usize, chunk: &Chunk, bytes: &[u8]) {
        for (visit, tally) in visits.iter().zip(&mut *self.tallies) {
            let entries = visit.entries.iter().zip(&visit.ranges);
            for (entry, range) in entries.filter(|(entry, _)| (entry.row as usize) < handled) {
                let taken = entry.record(chunk, bytes);
                tally.taken.add(&taken);
                for emitted in &visit.emitted[range.clone()] {
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

fn emit(cause: &Waiting, emission: &Emission<'_>, bytes: &mut Vec<u8>) -> Emitted {
    let mut own = |part: &[u8]| {
        let start = bytes.len();
        bytes.extend_from_slice(part);
        Span::Own { start, length: part.len() }
    };
    let mut part = |part: Part<'_>, inherited: Span| match part {
        Part::Inherit => inherited,
        Part::Null => Span::Null,
        Part::Bytes(part) => own(part),
    };
    let key = part(emission.key, cause.key);
    let value = part(emission.value, cause.value);
    let headers = match emission.headers {
        HeaderPart::Inherit => cause.headers,
        HeaderPart::Replace(headers) => part(Part::Bytes(headers.bytes()), Span::Null),
    };
    Emitted {
        output: emission.output,
        partition: emission.partition,
        timestamp: emission.timestamp.map_or(cause.timestamp, Timestamp),
        key,
        value,
        headers,
    }
}

fn spans<'a>(
    chunk: &'a Chunk,
    bytes: &'a [u8],
    row: u32,
    timestamp: Timestamp,
    (key, value, headers): (Span, Span, Span),
) -> Record<'a> {
    // Most records enter as they came, and many leave so.
    if let (Span::Source(from), Span::Source(value), Span::Source(headers)) = (key, value, headers)
        && from == value
        && from == headers
    {
        return Record { timestamp, ..chunk.record(from as usize) };
    }
    let encoded = resolve(chunk, bytes, headers, |record| Some(record.headers.bytes()));
    Record {
        offset: chunk.record(row as usize).offset,
        timestamp,
        key: resolve(chunk, bytes, key, |record| record.key),
        value: resolve(chunk, bytes, value, |record| record.value),
        headers: Headers::from_encoded(encoded.unwrap_or_default()),
    }
}

impl Waiting {
    fn record<'a>(&self, chunk: &'a Chunk, bytes: &'a [u8]) -> Record<'a> {
        spans(chunk, bytes, self.row, self.timestamp, (self.key, self.value, self.headers))
    }
}

impl Emitted {
    /// Whether all its parts are those of its cause, a source record.
    fn inherits_from(&self, cause: &Waiting) -> bool {
        let same = |span| matches!(span, Span::Source(row) if row == cause.row);
        !cause.inner && same(self.key) && same(self.value) && same(self.headers)
    }

    fn record<'a>(&self, chunk: &'a Chunk, bytes: &'a [u8]) -> Record<'a> {
        // The offset of an emission means nothing.
        spans(chunk, bytes, 0, self.timestamp, (self.key, self.value, self.headers))
    }
}
