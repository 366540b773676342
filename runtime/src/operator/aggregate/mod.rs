//! Feeds an aggregate store with columns of records, or lets out what functions feed it with: its results.
//!
//! Output 0 is results, output 1 records that were late for all their windows, as they came. A result has the key of its
//! records and its columns for a value; its window is in headers, or, where that is asked for, in the key as Kafka Streams
//! writes it. A record without a key is passed over, as there, and one without a value where there it is: it still counts
//! in windows of fixed borders and in sessions.

#[cfg(test)]
mod tests;
mod writer;

use std::{ops::ControlFlow, sync::Arc};

use tidemill_aggregates::Value;
use tidemill_layout::{HeaderPart, Part};

use super::{
    Reason,
    host::{Arrival, Ask, Due, Host, Out, Sent},
};
use crate::{
    aggregate::{Change, Emit, Engine, Error, Spec, Waiting, Why, Windows},
    guest::Scope,
    record::Timestamp,
    store::{self, NodeProgress, TaskState},
    topology::{AggregateNode, Feed, Output, SubTopology},
};
use writer::Writer;

/// Output of results.
const RESULTS: u16 = 0;
/// Output of records that were late.
const LATE: u16 = 1;
/// Results that closed are read from the store in portions of so many.
const PORTION: usize = 256;

/// See the module's page.
#[derive(Debug)]
pub struct Aggregate {
    store: usize,
    feed: Option<Feed>,
    spec: Arc<Spec>,
    writer: Writer,
    /// Results go nowhere.
    is_mute: bool,
    arguments: Vec<Value>,
}

impl Aggregate {
    /// The node at work in a task; `outputs` are the node's.
    ///
    /// # Panics
    /// Where its store is no aggregate of the sub-topology.
    pub fn new(node: &AggregateNode, outputs: &[Output], part: &SubTopology) -> Aggregate {
        let results = outputs.get(usize::from(RESULTS));
        let is_wanted =
            results.is_some_and(|output| output.topic.is_some() || !output.edges.is_empty());
        let spec = part.aggregates.get(&node.store).expect("it is built so").clone();
        Aggregate {
            store: node.store,
            feed: node.feed.clone(),
            writer: Writer::new(&spec, node.value),
            is_mute: !is_wanted,
            spec,
            arguments: Vec::new(),
        }
    }

    /// Whether a record without a value is passed over.
    fn wants_value(&self) -> bool {
        matches!(self.spec.windows, None | Some(Windows::Sliding { .. }))
    }

    fn add(
        &mut self,
        arrival: &Arrival<'_>,
        key: &[u8],
        engine: &mut Engine,
        state: &mut TaskState,
        out: &mut Out<'_>,
    ) -> Result<ControlFlow<()>, Failed> {
        let (row, at) = (arrival.row, arrival.record.timestamp);
        let added = engine.add(state, row, key, at, &self.arguments)?;
        if added.is_late() {
            engine.take_late();
            if out(late(at)).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        for (_, change) in engine.updates() {
            if self.writer.send(&self.spec, &change, false, out)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        if engine.closes(added) {
            return self.close(row, engine, state, out);
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Sends what is closed, on behalf of a row.
    fn close(
        &mut self,
        row: u32,
        engine: &mut Engine,
        state: &TaskState,
        out: &mut Out<'_>,
    ) -> Result<ControlFlow<()>, Failed> {
        let Some(time) = engine.time() else { return Ok(ControlFlow::Continue(())) };
        if !engine.may_close(state, time)? {
            return Ok(ControlFlow::Continue(()));
        }
        self.close_until(row, time, engine, state, out)
    }

    /// What functions did, row by row.
    fn collected(
        &mut self,
        engine: &mut Engine,
        state: &TaskState,
        out: &mut dyn FnMut(u32, Sent<'_>) -> ControlFlow<()>,
    ) -> Result<(), Failed> {
        let mut late_rows = engine.take_late();
        late_rows.sort_unstable();
        late_rows.dedup_by_key(|(row, _)| *row);
        let mut updates: Vec<(u32, Change)> = engine.updates().collect();
        updates.sort_by_key(|(row, _)| *row);
        let mut moved =
            if self.spec.emit == Emit::Final { engine.moved().to_vec() } else { Vec::new() };
        moved.sort_unstable();
        let mut rows: Vec<u32> = late_rows.iter().map(|(row, _)| *row).collect();
        rows.extend(updates.iter().map(|(row, _)| *row).chain(moved.iter().map(|(row, _)| *row)));
        rows.sort_unstable();
        rows.dedup();
        let (mut updates, mut moved) = (updates.iter().peekable(), moved.iter().peekable());
        let mut time = None;
        for row in rows {
            let mut send = |sent: Sent<'_>| out(row, sent);
            if let Ok(index) = late_rows.binary_search_by_key(&row, |(row, _)| *row)
                && send(late(late_rows[index].1)).is_break()
            {
                return Ok(());
            }
            while let Some((_, change)) = updates.next_if(|(of, _)| *of == row) {
                if self.writer.send(&self.spec, change, false, &mut send)?.is_break() {
                    return Ok(());
                }
            }
            while let Some((_, to)) = moved.next_if(|(of, _)| *of == row) {
                time = time.max(Some(*to));
            }
            if let Some(time) = time
                && self.close_until(row, time, engine, state, &mut send)?.is_break()
            {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Sends what is closed where time is `time`, on behalf of a row.
    fn close_until(
        &mut self,
        row: u32,
        time: Timestamp,
        engine: &mut Engine,
        state: &TaskState,
        out: &mut Out<'_>,
    ) -> Result<ControlFlow<()>, Failed> {
        loop {
            let closed = engine.closed(state, time, PORTION)?;
            if closed.is_empty() {
                // Perhaps what was to be closed first was undone.
                engine.look_again();
                return Ok(ControlFlow::Continue(()));
            }
            for change in &closed {
                engine.sent(row, change);
                if change.row.is_none() {
                    let (start, end) = (change.start, change.end);
                    tracing::error!(%start, %end, "the parts of a window cannot be merged, its result is lost");
                    continue;
                }
                if self.writer.send(&self.spec, change, true, out)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
    }
}

/// A late record, as it came.
fn late(at: Timestamp) -> Sent<'static> {
    Sent {
        output: LATE,
        timestamp: at,
        key: Part::Inherit,
        value: Part::Inherit,
        headers: HeaderPart::Inherit,
        closing: false,
    }
}

/// Why nothing comes of a record or a result.
enum Failed {
    /// It is its own doing.
    Record(String),
    Disk(store::Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        match error {
            Error::Fault(fault) => Failed::Record(fault.to_string()),
            Error::Store(error) => Failed::Disk(error),
        }
    }
}

impl From<store::Error> for Failed {
    fn from(error: store::Error) -> Self {
        Failed::Disk(error)
    }
}

impl Failed {
    fn reason(self, scope: &mut Scope) -> Reason {
        match self {
            Failed::Record(why) => Reason::Reject(why),
            Failed::Disk(error) => Reason::Fault(scope.fail(error)),
        }
    }
}

impl Host for Aggregate {
    fn begin(&mut self, now: Timestamp, scope: &mut Scope) {
        if let Some((engine, _)) = scope.engine(self.store) {
            engine.mute(self.is_mute);
            engine.tick(now);
        }
    }

    fn prefetch(
        &mut self,
        arrivals: &[Arrival<'_>],
        scope: &mut Scope,
    ) -> Result<(), store::Error> {
        let Some((engine, state)) = scope.engine(self.store) else { return Ok(()) };
        let records = arrivals
            .iter()
            .filter_map(|arrival| Some((arrival.record.key?, arrival.record.timestamp)));
        engine.prefetch(state, records)
    }

    fn take(
        &mut self,
        arrival: &Arrival<'_>,
        scope: &mut Scope,
        out: &mut Out<'_>,
    ) -> Result<(), Reason> {
        let (Some(feed), Some(key)) = (&self.feed, arrival.record.key) else { return Ok(()) };
        if arrival.record.value.is_none() && self.wants_value() {
            return Ok(());
        }
        feed.format
            .columns(arrival.record.value, &feed.columns, &mut self.arguments)
            .map_err(Reason::Reject)?;
        let Some((engine, state)) = scope.engine(self.store) else { return Ok(()) };
        match self.add(arrival, key, engine, state, out) {
            Ok(_) => Ok(()),
            Err(failed) => Err(failed.reason(scope)),
        }
    }

    fn due(&mut self, ask: Ask, scope: &mut Scope, limit: usize) -> Result<Vec<Due>, store::Error> {
        let Some((engine, state)) = scope.engine(self.store) else { return Ok(Vec::new()) };
        let waiting = match ask {
            Ask::Closed(time) => {
                let closed = engine.closed(state, time, limit)?.into_iter();
                let waiting = closed.map(|change| Waiting {
                    key: change.key,
                    start: change.start,
                    end: change.end,
                    at: change.at,
                    why: Why::Closed,
                });
                waiting.collect()
            }
            Ask::Changed => engine.changed(state, limit)?,
            Ask::Paused(now) => engine.paused(state, now, limit)?,
        };
        Ok(waiting.into_iter().map(|waiting| self.row_of(waiting)).collect())
    }

    fn next_close(&mut self, scope: &mut Scope) -> Result<Option<Timestamp>, store::Error> {
        match scope.engine(self.store) {
            Some((engine, state)) => engine.next_close(state),
            None => Ok(None),
        }
    }

    fn next_pause(&mut self, scope: &mut Scope) -> Result<Option<Timestamp>, store::Error> {
        match scope.engine(self.store) {
            Some((engine, state)) => engine.next_pause(state),
            None => Ok(None),
        }
    }

    fn fire(
        &mut self,
        row: u32,
        due: &Due,
        scope: &mut Scope,
        out: &mut Out<'_>,
    ) -> Result<(), Reason> {
        let Some(waiting) = waiting(due) else { return Ok(()) };
        let Some((engine, state)) = scope.engine(self.store) else { return Ok(()) };
        let fired = engine.fire(state, row, &waiting).map_err(Failed::from);
        let sent = fired.and_then(|changes| {
            for change in &changes {
                if self.writer.send(&self.spec, change, false, out)?.is_break() {
                    break;
                }
            }
            Ok(())
        });
        sent.map_err(|failed| failed.reason(scope))
    }

    fn skip(&mut self, row: u32, due: &Due, scope: &mut Scope) -> Result<(), Reason> {
        let Some(waiting) = waiting(due) else { return Ok(()) };
        let Some((engine, state)) = scope.engine(self.store) else { return Ok(()) };
        engine.skip(state, row, &waiting).map_err(|error| Failed::Disk(error).reason(scope))
    }

    fn save_changes(&mut self, row: u32, scope: &mut Scope) -> Result<(), store::Error> {
        if let Some((engine, state)) = scope.engine(self.store) {
            engine.save_changes(state, row);
        }
        Ok(())
    }

    fn collect(
        &mut self,
        scope: &mut Scope,
        out: &mut dyn FnMut(u32, Sent<'_>) -> ControlFlow<()>,
    ) -> Result<(), Reason> {
        if self.feed.is_some() {
            return Ok(());
        }
        let Some((engine, state)) = scope.engine(self.store) else { return Ok(()) };
        self.collected(engine, state, out).map_err(|failed| failed.reason(scope))
    }

    fn expire(&mut self, scope: &mut Scope, budget: usize) -> Result<usize, store::Error> {
        match scope.engine(self.store) {
            Some((engine, state)) => engine.expire(state, budget),
            None => Ok(0),
        }
    }

    fn progress(&self, scope: &Scope) -> Option<NodeProgress> {
        scope.engine_at(self.store).map(Engine::progress)
    }

    fn resume(&mut self, progress: &NodeProgress, scope: &mut Scope) {
        if let Some((engine, _)) = scope.engine(self.store) {
            engine.resume(progress);
        }
    }
}

impl Aggregate {
    /// As a row of a turn.
    fn row_of(&self, waiting: Waiting) -> Due {
        let (start, end) = (waiting.start.millis(), waiting.end.millis());
        let mut mark = vec![match waiting.why {
            Why::Closed => b'c',
            Why::Changed => b'u',
            Why::Paused => b'p',
        }];
        mark.extend_from_slice(&start.to_be_bytes());
        mark.extend_from_slice(&end.to_be_bytes());
        let name = match self.spec.windows {
            None => String::new(),
            // Of panes the end says nothing.
            Some(Windows::Tumbling { size } | Windows::Hopping { size, .. }) => {
                let size = i64::try_from(size.as_millis()).unwrap_or(i64::MAX);
                format!("{start},{}", start.saturating_add(size))
            }
            Some(_) => format!("{start},{end}"),
        };
        Due { at: waiting.at, key: waiting.key, mark, name }
    }
}

/// What a row of a turn stands for.
fn waiting(due: &Due) -> Option<Waiting> {
    let (why, rest) = due.mark.split_first()?;
    let (start, rest) = rest.split_first_chunk()?;
    let end = rest.first_chunk()?;
    let why = match why {
        b'c' => Why::Closed,
        b'u' => Why::Changed,
        b'p' => Why::Paused,
        _ => return None,
    };
    let [start, end] = [start, end].map(|time| Timestamp(i64::from_be_bytes(*time)));
    Some(Waiting { key: due.key.clone(), start, end, at: due.at, why })
}
