//! Joins by the record's key. One file each pair; what comes out is both sides in one value
//! (`tidemill_layout::joined`), or null where a row of two tables is gone.
//!
//! Results are those of Kafka Streams 4.3, record for record: which, in which order, with which timestamps. A right join
//! is a left join with its sides exchanged, where Kafka Streams has none. What differs, and why:
//!
//! | what | Kafka Streams | here | why |
//! |---|---|---|---|
//! | headers of an unmatched row that comes out as its window closes | those of the record that moved time | its own | they belong to another record, often of another key |
//! | a stream that falls silent | its unmatched rows wait for the next record | they come out after `idle` | nobody expects a result to wait for an unrelated record |
//! | after a restart | a join's time begins anew, and rows of the same time can overwrite one another | it goes on where it was | the same input gives the same output |
//! | a record of which nothing comes any more | dropped | counted, and sent to the late topic where there is one | it can be looked at |
//!
//! A join knows no topics, and reads values only where its key is in a column.

use tidemill_layout::{HeaderPart, Part};

use super::{Arrival, Ask, Due, Host, Out, Reason, Sent};
use crate::{
    guest::{Fault, Scope},
    record::Timestamp,
    store::{self, NodeProgress, Side, TaskState},
    topology::{JoinKind, JoinNode, KeyFrom, Pair},
};

mod clock;
mod lookup;
mod stream_stream;
mod table_table;

use lookup::Lookup;
use stream_stream::Streams;
use table_table::Tables;

#[cfg(test)]
mod tests;

/// The output of joined rows.
const ROWS: u16 = 0;

/// A join at work.
pub struct Join {
    pair: Work,
}

enum Work {
    Lookup(Lookup),
    Tables(Tables),
    Streams(Streams),
}

impl Join {
    /// At the beginning.
    pub fn new(node: &JoinNode) -> Self {
        let kind = node.kind;
        let pair = match &node.pair {
            Pair::StreamTable { table } => Work::Lookup(Lookup::new(kind, *table, KeyFrom::Key)),
            Pair::StreamBroadcast { table, key } => {
                Work::Lookup(Lookup::new(kind, *table, key.clone()))
            }
            Pair::TableTable { left, right } => Work::Tables(Tables::new(kind, [*left, *right])),
            Pair::StreamStream { store, before, after, grace, .. } => {
                Work::Streams(Streams::new(kind, *store, [*before, *after], *grace))
            }
        };
        Join { pair }
    }

    fn streams(&mut self) -> Option<&mut Streams> {
        match &mut self.pair {
            Work::Streams(streams) => Some(streams),
            Work::Lookup(_) | Work::Tables(_) => None,
        }
    }
}

impl Host for Join {
    fn take(
        &mut self,
        arrival: &Arrival<'_>,
        scope: &mut Scope,
        out: &mut Out<'_>,
    ) -> Result<(), Reason> {
        match &mut self.pair {
            Work::Lookup(lookup) => lookup.take(arrival, scope, out),
            Work::Tables(tables) => tables.take(arrival, scope, out),
            Work::Streams(streams) => streams.take(arrival, scope, out),
        }
    }

    fn prefetch(
        &mut self,
        arrivals: &[Arrival<'_>],
        scope: &mut Scope,
    ) -> Result<(), store::Error> {
        match &mut self.pair {
            Work::Lookup(lookup) => lookup.prefetch(arrivals, scope),
            Work::Tables(tables) => tables.prefetch(arrivals, scope),
            Work::Streams(_) => Ok(()),
        }
    }

    fn due(&mut self, ask: Ask, scope: &mut Scope, limit: usize) -> Result<Vec<Due>, store::Error> {
        match (self.streams(), scope.state(), ask) {
            (Some(streams), Some(state), Ask::Closed(time)) => streams.due(time, state, limit),
            _ => Ok(Vec::new()),
        }
    }

    fn next_close(&mut self, scope: &mut Scope) -> Result<Option<Timestamp>, store::Error> {
        match (self.streams(), scope.state()) {
            (Some(streams), Some(state)) => streams.next_close(state),
            _ => Ok(None),
        }
    }

    fn fire(
        &mut self,
        row: u32,
        due: &Due,
        scope: &mut Scope,
        out: &mut Out<'_>,
    ) -> Result<(), Reason> {
        match self.streams() {
            Some(streams) => streams.fire(row, due, scope, Some(out)),
            None => Ok(()),
        }
    }

    fn skip(&mut self, row: u32, due: &Due, scope: &mut Scope) -> Result<(), Reason> {
        match self.streams() {
            Some(streams) => streams.fire(row, due, scope, None),
            None => Ok(()),
        }
    }

    fn expire(&mut self, scope: &mut Scope, budget: usize) -> Result<usize, store::Error> {
        match (self.streams(), scope.state_mut()) {
            (Some(streams), Some(state)) => streams.expire(state, budget),
            _ => Ok(0),
        }
    }

    fn begin(&mut self, _now: Timestamp, _scope: &mut Scope) {
        match &mut self.pair {
            Work::Lookup(lookup) => lookup.begin(),
            Work::Tables(_) => {}
            Work::Streams(streams) => streams.begin(),
        }
    }

    fn keep(&mut self, rows: u32) {
        if let Some(streams) = self.streams() {
            streams.keep(rows);
        }
    }

    fn progress(&self, _scope: &Scope) -> Option<NodeProgress> {
        match &self.pair {
            Work::Streams(streams) => Some(streams.progress()),
            Work::Lookup(_) | Work::Tables(_) => None,
        }
    }

    fn resume(&mut self, progress: &NodeProgress, _scope: &mut Scope) {
        if let Some(streams) = self.streams() {
            streams.resume(progress);
        }
    }
}

/// Which side an arrival is of.
fn side_of(arrival: &Arrival<'_>) -> Side {
    if arrival.source == 0 { Side::Left } else { Side::Right }
}

/// Whether the rows of a side come out without the other one.
fn stands_alone(side: Side, kind: JoinKind) -> bool {
    match side {
        Side::Left => matches!(kind, JoinKind::Left | JoinKind::Full),
        Side::Right => matches!(kind, JoinKind::Right | JoinKind::Full),
    }
}

/// Puts both sides into one value, `own` being that of `side`.
fn pack<'a>(
    side: Side,
    own: Option<&[u8]>,
    other: Option<&[u8]>,
    packed: &'a mut Vec<u8>,
) -> &'a [u8] {
    let (left, right) = match side {
        Side::Left => (own, other),
        Side::Right => (other, own),
    };
    packed.clear();
    tidemill_layout::joined::encode(left, right, packed);
    packed
}

/// A row that the arrival is the cause of, under its key.
fn row(value: Part<'_>, timestamp: Timestamp) -> Sent<'_> {
    let (key, headers) = (Part::Inherit, HeaderPart::Inherit);
    Sent { output: ROWS, timestamp, key, value, headers, closing: false }
}

/// The state that a join keeps or looks into.
fn state(scope: &mut Scope) -> Result<&mut TaskState, Reason> {
    scope.state_mut().ok_or_else(|| {
        Reason::Fault(Fault::Contract { what: "its task keeps no state for it".to_owned() })
    })
}

/// Ends the turn where the disk fails.
fn disk<T>(scope: &mut Scope, answer: Result<T, store::Error>) -> Result<T, Reason> {
    answer.map_err(|error| Reason::Fault(scope.fail(error)))
}
