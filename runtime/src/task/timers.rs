//! When timers fire: before the record that makes them due.
//!
//! Stream time is the largest event time of the records handled. A turn's records end where the next one would make a
//! timer due; then that timer, and what else is due by then, are the next turn, in the order of due time, timer and
//! key. With every input at its end the wall clock makes them due too, but it does not move stream time: a backlog
//! that still comes, with the record that cancels a timer in it, is to find it.

use std::rc::Rc;

use crate::{
    record::{Headers, Offset, Record, Records, Timestamp},
    store::{self, Due},
};

use super::{
    Task,
    buffer::{Chunk, Row},
    source::{From, Source},
};

/// Which function has a timer: its node and the slot of its description.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    pub(super) node: usize,
    pub(super) slot: u16,
}

impl Task {
    /// Ends a chunk of records where a timer falls due, or puts the timers in its place that fall due before its
    /// first record, or at the end of the inputs.
    pub(super) fn schedule(
        &mut self,
        mut chunk: Chunk,
        now: Timestamp,
    ) -> Result<Chunk, store::Error> {
        let Some(state) = self.scope.state_mut() else { return Ok(chunk) };
        let next_due = state.next_due()?;
        let mut time = self.stream_time;
        self.times.clear();
        for row in &chunk.rows {
            time = time.max(row.time.as_ref().ok().copied());
            if is_due(next_due, time) {
                break;
            }
            self.times.push(time);
        }
        if !self.times.is_empty() {
            chunk.rows.truncate(self.times.len());
            self.scope.begin(self.times.iter().map(|time| time.unwrap_or_default()));
            return Ok(chunk);
        }
        if chunk.rows.is_empty() && self.buffer.at_end() {
            time = time.max(Some(now));
        }
        match time {
            Some(until) if is_due(next_due, time) => self.fire(until, self.limit),
            _ => Ok(Chunk::default()),
        }
    }

    /// Timers due by then, at most so many, as a chunk.
    pub(super) fn fire(&mut self, until: Timestamp, limit: usize) -> Result<Chunk, store::Error> {
        let Some(state) = self.scope.state_mut() else { return Ok(Chunk::default()) };
        let due = state.due(until, limit, self.part.batch_bytes)?;
        self.times.clear();
        let owner = |due: &Due| self.owners.get(usize::from(due.timer)).copied().flatten();
        if let Some(orphan) = due.iter().find(|due| owner(due).is_none()) {
            let name = self.part.timers.get(usize::from(orphan.timer)).map_or("?", |name| name);
            self.paused =
                Some(format!("timer `{name}` is due, and no function of the code has it"));
            return Ok(Chunk::default());
        }
        self.times.resize(due.len(), self.stream_time);
        self.scope.begin_fired(&due, self.stream_time);
        Ok(chunk(&due))
    }

    /// Remembers when the first timer is due. A disk that does not say so now will not at the next turn either, which
    /// is where that is told.
    pub(super) fn look_at_timers(&mut self) {
        if let Some(state) = self.scope.state_mut()
            && let Ok(due) = state.next_due()
        {
            self.next_due = due;
        }
    }

    /// Which functions have the timers, by number.
    pub(super) fn owners(part: &crate::topology::SubTopology) -> Vec<Option<Owner>> {
        let mut owners = vec![None; part.timers.len()];
        for (node, at) in part.nodes.iter().enumerate() {
            for (slot, binding) in (0..).zip(at.bindings().iter()) {
                if let Some(crate::guest::Binding::Timer(timer)) = binding
                    && let Some(owner) = owners.get_mut(usize::from(*timer))
                {
                    *owner = Some(Owner { node, slot });
                }
            }
        }
        owners
    }
}

fn is_due(due: Option<Timestamp>, time: Option<Timestamp>) -> bool {
    due.is_some_and(|due| time.is_some_and(|time| due <= time))
}

/// Fired timers as rows: key, payload and due time lie in a block as a record's key, value and timestamp do.
fn chunk(due: &[Due]) -> Chunk {
    let mut records = Records::new();
    for due in due {
        records.push(&Record {
            offset: Offset(-1),
            timestamp: due.due,
            key: Some(&due.key),
            value: Some(&due.payload),
            headers: Headers::EMPTY,
        });
    }
    let rows = due.iter().enumerate().map(|(index, due)| Row {
        from: From::Timer(due.timer),
        block: 0,
        index,
        time: Ok(due.due),
    });
    Chunk { rows: rows.collect(), blocks: vec![Rc::new(records)], dues: Vec::new() }
}

impl Chunk {
    /// What a row is known by.
    pub(super) fn source(&self, row: usize) -> Source {
        let record = self.record(row);
        match self.rows[row].from {
            From::Input(input) => Source::Record { input, offset: record.offset },
            From::Timer(timer) => {
                Source::timer(timer, record.timestamp, record.key.unwrap_or_default())
            }
            From::Result(node) => Source::result(node, &self.dues[row]),
        }
    }

    /// Whether its rows are timers or results; they never mix with records.
    pub(super) fn is_fired(&self) -> bool {
        self.rows.first().is_some_and(|row| !matches!(row.from, From::Input(_)))
    }
}
