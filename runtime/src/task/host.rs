//! Operators of the host in a walk: their entries one after another, in the order of rows.

use std::{ops::ControlFlow, time::Instant};

use crate::{
    guest::{Binding, Fault},
    operator::{Arrival, Hosted, Operator, Reason, Sent, Stopped},
    topology::Work,
};

use super::{
    buffer::Chunk,
    process::{End, Intermediate, Stop, Walk},
    visit::{Closing, Emitted, Given, Visit, Waiting, Way},
};

/// A turn ends before the next row where what it hands on comes to so many bytes.
const BYTES_MAX: usize = 8 << 20;
/// Where a row lets out more closed results than this, they come out as rows of their own before it: some at a time.
const CLOSINGS_MAX: usize = 1000;

impl Walk<'_> {
    /// Takes a node through its entries, until they are handled, a timer cuts them, or it stops.
    pub(super) fn host(
        &mut self,
        node: usize,
        chunk: &Chunk,
        visits: &[Visit],
        visit: &mut Visit,
        bytes: &mut Vec<u8>,
    ) -> Result<Option<Stop>, End> {
        let is_fed =
            matches!(&self.part.nodes[node].work, Work::Aggregate(it) if it.feed.is_none());
        if visit.entries.is_empty() && !is_fed {
            return Ok(None);
        }
        let begun = Instant::now();
        let mut stopped = self.take(node, chunk, visit, bytes)?;
        if stopped.is_none() && is_fed {
            stopped = self.collect(node, chunk, visits, visit, bytes)?;
        }
        hosted(self.operators, node).visited(begun);
        Ok(stopped)
    }

    fn take(
        &mut self,
        node: usize,
        chunk: &Chunk,
        visit: &mut Visit,
        bytes: &mut Vec<u8>,
    ) -> Result<Option<Stop>, End> {
        let Visit { entries, ranges, emitted } = visit;
        let entries = &entries[..self.before_cut(entries)];
        self.prefetch(node, chunk, entries, bytes)?;
        let mut own = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            if bytes.len() > BYTES_MAX && entry.row > entries[0].row {
                self.enough = Some(entry.row);
                break;
            }
            let start = emitted.len();
            // What an earlier entry of the row did is lost where the node's results are tried without the row.
            let is_first = index == 0 || entries[index - 1].row != entry.row;
            let own_doing = is_first && entry.way != Way::Result;
            let closing =
                entry.closing.or(own_doing.then_some(Closing { node, time: entry.timestamp }));
            let base = bytes.len();
            let mut closed = 0;
            let mut sink = |sent: Sent<'_>| {
                closed += usize::from(sent.closing && closing.is_some());
                if closed > CLOSINGS_MAX {
                    return ControlFlow::Break(());
                }
                emitted.push(emit(entry, &sent, closing, base, &mut own));
                ControlFlow::Continue(())
            };
            let operator = hosted(self.operators, node);
            let taken = if entry.way == Way::Result {
                let due = &chunk.dues[entry.row as usize];
                operator.fire(entry.row, due, self.scope, &mut sink)
            } else {
                let record = entry.record(chunk, bytes);
                let arrival = Arrival { row: entry.row, source: entry.source, record };
                operator.take(&arrival, self.scope, &mut sink)
            };
            bytes.append(&mut own);
            let taken = if closed > CLOSINGS_MAX { Err(too_many()) } else { taken };
            if let Err(Stopped { reason, closing: is_closing }) = taken {
                emitted.truncate(start);
                let closing = if is_closing { closing } else { entry.closing };
                let (row, reason) = (entry.row as usize, self.told(reason)?);
                let intermediate = Intermediate::of(entry, chunk, bytes);
                return Ok(Some(Stop { row, node, reason, intermediate, closing }));
            }
            ranges.push(start..emitted.len());
        }
        Ok(None)
    }

    fn prefetch(
        &mut self,
        node: usize,
        chunk: &Chunk,
        entries: &[Waiting],
        bytes: &[u8],
    ) -> Result<(), End> {
        let entries = entries.iter().filter(|entry| entry.way != Way::Result);
        let arrivals: Vec<Arrival<'_>> = entries
            .map(|entry| Arrival {
                row: entry.row,
                source: entry.source,
                record: entry.record(chunk, bytes),
            })
            .collect();
        if arrivals.len() < 2 {
            return Ok(());
        }
        hosted(self.operators, node).prefetch(&arrivals, self.scope).map_err(End::Storage)
    }

    /// What functions fed a store with comes out at its node, of each row as if the row had come here.
    fn collect(
        &mut self,
        node: usize,
        chunk: &Chunk,
        visits: &[Visit],
        visit: &mut Visit,
        bytes: &mut Vec<u8>,
    ) -> Result<Option<Stop>, End> {
        let fed = self.fed(node, chunk, visits);
        let Visit { entries, ranges, emitted } = visit;
        let base = bytes.len();
        let mut own = Vec::new();
        let mut of: Vec<(u32, Emitted)> = Vec::new();
        let mut closed = (0, 0);
        let collected = hosted(self.operators, node).collect(self.scope, &mut |row, sent| {
            let time = chunk.rows[row as usize].time.as_ref().copied().unwrap_or_default();
            let entry = Waiting::row(row, 0, time, Way::Fed);
            let closing = fed[row as usize].map(|time| Closing { node, time });
            if closed.0 != row {
                closed = (row, 0);
            }
            closed.1 += usize::from(sent.closing && closing.is_some());
            if closed.1 > CLOSINGS_MAX {
                return ControlFlow::Break(());
            }
            of.push((row, emit(&entry, &sent, closing, base, &mut own)));
            ControlFlow::Continue(())
        });
        let collected = match closed {
            (row, count) if count > CLOSINGS_MAX => Err((Some(row), too_many())),
            _ => collected,
        };
        bytes.append(&mut own);
        of.sort_by_key(|(row, _)| *row);
        let rows = entries.len();
        for (row, emission) in of {
            if entries.get(rows..).and_then(<[_]>::last).is_none_or(|last| last.row != row) {
                let time = chunk.rows[row as usize].time.as_ref().copied().unwrap_or_default();
                entries.push(Waiting::row(row, 0, time, Way::Fed));
                ranges.push(emitted.len()..emitted.len());
            }
            emitted.push(emission);
            ranges.last_mut().expect("one was pushed for the row").end = emitted.len();
        }
        let Err((row, Stopped { reason, closing: is_closing })) = collected else {
            return Ok(None);
        };
        let reason = self.told(reason)?;
        match row {
            Some(row) => {
                let closing = fed[row as usize].filter(|_| is_closing);
                let closing = closing.map(|time| Closing { node, time });
                let row = row as usize;
                Ok(Some(Stop { row, node, reason, intermediate: None, closing }))
            }
            None if chunk.rows.len() > 1 => {
                Err(End::Narrow { node, limit: chunk.rows.len() / 2, reason })
            }
            None => Ok(Some(Stop { row: 0, node, reason, intermediate: None, closing: None })),
        }
    }

    /// By row: up to which time functions fed the node's store, where one entry alone did.
    fn fed(
        &self,
        node: usize,
        chunk: &Chunk,
        visits: &[Visit],
    ) -> Vec<Option<crate::record::Timestamp>> {
        let mut fed = vec![None; chunk.rows.len()];
        let mut entries = vec![0; chunk.rows.len()];
        let Work::Aggregate(aggregate) = &self.part.nodes[node].work else { return fed };
        for (feeder, visit) in self.part.nodes.iter().zip(visits) {
            if !feeder.bindings().contains(&Some(Binding::Aggregate(aggregate.store))) {
                continue;
            }
            for entry in &visit.entries {
                let row = entry.row as usize;
                entries[row] += 1;
                fed[row] = Some(entry.timestamp).filter(|_| entries[row] == 1);
            }
        }
        fed
    }

    /// What the disk says is no row's doing.
    fn told(&mut self, reason: Reason) -> Result<Reason, End> {
        match reason {
            Reason::Fault(Fault::Storage { .. }) => {
                let error = self.scope.take_error();
                Err(End::Storage(error.expect("the scope keeps what the disk said")))
            }
            other => Ok(other),
        }
    }
}

/// Why a row is set aside until what it closes has come out.
fn too_many() -> Stopped {
    let reason = Reason::Error("it closes too many results at once".to_owned());
    Stopped { reason, closing: true }
}

fn hosted(operators: &mut [Operator], node: usize) -> &mut Hosted {
    match &mut operators[node] {
        Operator::Host(hosted) => hosted,
        Operator::Function(_) => unreachable!("it is an operator of the host"),
    }
}

/// What becomes of what an operator sends because of an entry. `closing`: what that is where it is no doing of the
/// entry.
fn emit(
    entry: &Waiting,
    sent: &Sent<'_>,
    closing: Option<Closing>,
    base: usize,
    own: &mut Vec<u8>,
) -> Emitted {
    let given = Given {
        output: sent.output,
        partition: None,
        timestamp: Some(sent.timestamp),
        key: sent.key,
        value: sent.value,
        headers: sent.headers,
    };
    let emitted = entry.emit(&given, base, own);
    if sent.closing { Emitted { closing, ..emitted } } else { emitted }
}
