//! Records of two streams with the same key that are close in time.
//!
//! A record is joined with what is kept of the other side as it comes. One that finds nothing, of a side whose records
//! come out alone, waits until its window has closed or a record of the other side takes it. The windows that a
//! record closes come out before its own rows.

use std::{ops::ControlFlow, time::Duration};

use tidemill_layout::{HeaderPart, Part};

use super::{
    Arrival, Due, Out, ROWS, Reason, Scope, Sent, Side,
    clock::{ALWAYS, Clocks},
    disk, pack, row, side_of, stands_alone, state,
};
use crate::{
    record::{Headers, Timestamp},
    store::{Buffers, Error, Kept, Name, NodeProgress, Segments, Start, TaskState},
    topology::JoinKind,
};

/// So many records that wait are looked at before they are sent.
const PAGE: usize = 1024;

/// Segments are not shorter, in milliseconds: each that a window reaches into costs a walk.
const SEGMENT_MIN: i64 = 60_000;

/// Also the outputs of late records: the left side's, then the right one's.
const LATE: u16 = 1;

pub(super) struct Streams {
    kind: JoinKind,
    buffers: Buffers,
    /// How long before a left record a right one may be, and how long after it; in milliseconds.
    before: i64,
    after: i64,
    grace: i64,
    clocks: Clocks,
    packed: Vec<u8>,
    /// Records of the other side that were found and may have waited.
    taken: Vec<(Timestamp, u64)>,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Became {
    /// It has come out.
    Rows,
    /// It waits.
    Waits,
    /// Nothing yet.
    Nothing,
}

impl Streams {
    pub(super) fn new(
        kind: JoinKind,
        store: usize,
        [before, after]: [Duration; 2],
        grace: Duration,
    ) -> Self {
        let [before, after, grace] = [before, after, grace].map(millis);
        let window = before.saturating_add(after);
        let retention = window.saturating_add(grace);
        let segments = Segments { millis: window.max(retention / 4).max(SEGMENT_MIN) };
        Streams {
            kind,
            buffers: Buffers::new(store),
            before,
            after,
            grace,
            clocks: Clocks::new(segments),
            packed: Vec::new(),
            taken: Vec::new(),
        }
    }

    pub(super) fn take(
        &mut self,
        arrival: &Arrival<'_>,
        scope: &mut Scope,
        out: &mut Out<'_>,
    ) -> Result<(), Reason> {
        let (record, side) = (&arrival.record, side_of(arrival));
        let at = record.timestamp;
        // Whatever becomes of it, as in Kafka Streams.
        let clock = self.clocks.at(arrival.row);
        clock.time = at.max(clock.time);
        let is_latest = at == clock.time;
        let (key, value) = match (record.key, record.value) {
            (Some(key), Some(value)) => (key, value),
            // Without a key nothing is found (KIP-962).
            (None, Some(value)) if stands_alone(side, self.kind) => {
                let value = pack(side, Some(value), None, &mut self.packed);
                let _ = out(row(Part::Bytes(value), at));
                return Ok(());
            }
            _ => return Ok(()),
        };
        if is_latest && self.close(side, arrival.row, scope, out)?.is_break() {
            return Ok(());
        }
        let (became, flow) = self.meet(arrival, side, (key, value), scope, out)?;
        if flow.is_break() {
            return Ok(());
        }
        self.keep_record(arrival, side, (key, value), became, scope, out)
    }

    /// Sends what a record is joined with, or the record alone where it cannot wait any more.
    fn meet(
        &mut self,
        arrival: &Arrival<'_>,
        side: Side,
        (key, value): (&[u8], &[u8]),
        scope: &mut Scope,
        out: &mut Out<'_>,
    ) -> Result<(Became, ControlFlow<()>), Reason> {
        let (at, other, clock) = (arrival.record.timestamp, side.other(), *self.clocks.now());
        let from = minus(at, self.back(side)).max(Timestamp(0)).max(self.visible_from(other));
        let to = plus(at, self.ahead(side)).max(Timestamp(0)).min(clock.kept[other.index()]);
        let may_wait = stands_alone(other, self.kind);
        let (taken, packed) = (&mut self.taken, &mut self.packed);
        let (mut found, mut flow) = (false, ControlFlow::Continue(()));
        taken.clear();
        let state_now = &*state(scope)?;
        let scanned =
            self.buffers.scan(state_now, clock.segments, (other, key), (from, to), |kept| {
                found = true;
                if may_wait && kept.at >= clock.floor {
                    taken.push((kept.at, kept.number));
                }
                let value = pack(side, Some(value), Some(kept.value), packed);
                flow = out(row(Part::Bytes(value), at.max(kept.at)));
                flow
            });
        disk(scope, scanned)?;
        for name in &self.taken {
            let released = self.buffers.release(state(scope)?, arrival.row, (other, key), *name);
            disk(scope, released)?;
        }
        if found || !stands_alone(side, self.kind) {
            return Ok((if found { Became::Rows } else { Became::Nothing }, flow));
        }
        // Without grace, as in Kafka Streams: what comes later and finds it makes a row of both all the same.
        if plus(at, self.ahead(side)) < clock.time {
            let value = pack(side, Some(value), None, &mut self.packed);
            return Ok((Became::Rows, out(row(Part::Bytes(value), at))));
        }
        Ok((Became::Waits, flow))
    }

    /// Keeps a record for the other side, as long as that can find it.
    fn keep_record(
        &mut self,
        arrival: &Arrival<'_>,
        side: Side,
        (key, value): (&[u8], &[u8]),
        became: Became,
        scope: &mut Scope,
        out: &mut Out<'_>,
    ) -> Result<(), Reason> {
        let (at, waits) = (arrival.record.timestamp, became == Became::Waits);
        self.clocks.at(arrival.row).pass(side, at);
        if !waits && at < self.visible_from(side) {
            // The latest one can be out of reach too, where windows have no length: that is not the record's doing.
            if became == Became::Nothing && at < self.clocks.now().kept[side.index()] {
                let output = LATE + u16::from(side == Side::Right);
                let _ = out(Sent { output, ..row(Part::Inherit, at) });
            }
            return Ok(());
        }
        let clock = self.clocks.at(arrival.row);
        let (number, segments) = (clock.number(), clock.segments);
        let state = state(scope)?;
        let headers = arrival.record.headers.bytes();
        let record = Kept { at, number, value, headers };
        self.buffers.put(state, arrival.row, segments, (side, key), &record);
        if waits {
            self.buffers.wait(state, arrival.row, (side, key), (at, number));
            (clock.gate, clock.floor) = (clock.gate.min(at), clock.floor.min(at));
        }
        Ok(())
    }

    /// Sends what waits and is closed, as a record of this side moved time. `Break` where it is to stop.
    fn close(
        &mut self,
        side: Side,
        arrival_row: u32,
        scope: &mut Scope,
        out: &mut Out<'_>,
    ) -> Result<ControlFlow<()>, Reason> {
        let (go_on, stop) = (Ok(ControlFlow::Continue(())), Ok(ControlFlow::Break(())));
        let clock = *self.clocks.now();
        // At first nothing waits, so that this is behind all times.
        if plus(plus(clock.gate, self.ahead(side)), self.grace) >= clock.time {
            return go_on;
        }
        let mut walk = Walk { looked_at: None, open: [false; 2], first_open: None, is_over: false };
        let mut last: Option<Name> = None;
        while !walk.is_over {
            let from = last.as_ref().map_or(Start::Time(clock.floor), Start::Behind);
            let closed = walk.page(self, clock.time, from, state(scope)?);
            let closed = disk(scope, closed)?;
            for name in &closed {
                let sent = self.send(arrival_row, name, true, scope, Some(out))?;
                if sent.is_break() {
                    return stop;
                }
            }
            last = closed.into_iter().next_back();
        }
        let mut looked_at = walk.looked_at;
        if walk.first_open.is_some() && self.kind != JoinKind::Full {
            // Kafka Streams walks to the end, since it never comes to one of the other side.
            let found = self.buffers.last_waiting(state(scope)?);
            looked_at = disk(scope, found)?;
        }
        let clock = self.clocks.at(arrival_row);
        clock.gate = looked_at.unwrap_or(ALWAYS);
        clock.floor = walk.first_open.unwrap_or(ALWAYS);
        go_on
    }

    /// Sends a record that waits, alone, and what it is known by is that it does no more. Without `out` only the
    /// latter.
    fn send(
        &mut self,
        arrival_row: u32,
        name: &Name,
        closing: bool,
        scope: &mut Scope,
        out: Option<&mut Out<'_>>,
    ) -> Result<ControlFlow<()>, Reason> {
        let (side, segments) = (name.side, self.clocks.now().segments);
        let which = ((side, &*name.key), (name.at, name.number));
        let released = self.buffers.release(state(scope)?, arrival_row, which.0, which.1);
        let (true, Some(out)) = (disk(scope, released)?, out) else {
            return Ok(ControlFlow::Continue(()));
        };
        let packed = &mut self.packed;
        let sent = self.buffers.read(state(scope)?, segments, name, |kept| {
            out(Sent {
                output: ROWS,
                timestamp: kept.at,
                key: Part::Bytes(&name.key),
                value: Part::Bytes(pack(side, Some(kept.value), None, packed)),
                headers: HeaderPart::Replace(Headers::from_encoded(kept.headers)),
                closing,
            })
        });
        disk(scope, sent)
    }

    pub(super) fn due(
        &mut self,
        time: Timestamp,
        state: &TaskState,
        limit: usize,
    ) -> Result<Vec<Due>, Error> {
        let mut due = Vec::new();
        if limit == 0 {
            return Ok(due);
        }
        let first = self.ahead(Side::Left).min(self.ahead(Side::Right));
        let start = Start::Time(self.clocks.now().floor);
        self.buffers.scan_waiting(state, start, |name| {
            if plus(plus(name.at, first), self.grace) >= time {
                return ControlFlow::Break(());
            }
            if self.closes(&name) <= time {
                let window =
                    (minus(name.at, self.back(name.side)), plus(name.at, self.ahead(name.side)));
                due.push(Due {
                    at: name.at,
                    mark: name.encode(),
                    name: format!("{},{}", window.0, window.1),
                    key: name.key,
                });
            }
            if due.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(due)
    }

    pub(super) fn next_close(&mut self, state: &TaskState) -> Result<Option<Timestamp>, Error> {
        let clock = self.clocks.now();
        if clock.floor == ALWAYS {
            return Ok(None);
        }
        let first = self.ahead(Side::Left).min(self.ahead(Side::Right));
        let mut next: Option<Timestamp> = None;
        self.buffers.scan_waiting(state, Start::Time(clock.floor), |name| {
            // Those that follow are not earlier than this one would be on the side that closes first.
            if next.is_some_and(|next| plus(plus(name.at, first), self.grace) >= next) {
                return ControlFlow::Break(());
            }
            let closes = self.closes(&name);
            next = Some(next.map_or(closes, |next| next.min(closes)));
            ControlFlow::Continue(())
        })?;
        Ok(next)
    }

    pub(super) fn fire(
        &mut self,
        row: u32,
        due: &Due,
        scope: &mut Scope,
        out: Option<&mut Out<'_>>,
    ) -> Result<(), Reason> {
        let Some(name) = Name::decode(&due.mark) else { return Ok(()) };
        let closes = self.closes(&name);
        let clock = self.clocks.at(row);
        clock.time = clock.time.max(closes);
        self.send(row, &name, false, scope, out).map(|_| ())
    }

    pub(super) fn expire(&mut self, state: &mut TaskState, budget: usize) -> Result<usize, Error> {
        let clock = *self.clocks.now();
        let mut gone = 0;
        for side in [Side::Left, Side::Right] {
            // One that waits can be one millisecond earlier than what is found.
            let mut before = minus(self.visible_from(side), 1);
            if stands_alone(side, self.kind) {
                before = before.min(clock.floor);
            }
            if before > Timestamp(0) && gone < budget {
                gone += self.buffers.expire(state, clock.segments, side, before, budget - gone)?;
            }
        }
        Ok(gone)
    }

    pub(super) fn begin(&mut self) {
        self.clocks.begin();
    }

    pub(super) fn keep(&mut self, rows: u32) {
        self.clocks.keep(rows);
    }

    pub(super) fn progress(&self) -> NodeProgress {
        self.clocks.progress()
    }

    pub(super) fn resume(&mut self, progress: &NodeProgress) {
        self.clocks.resume(progress);
    }

    /// How long before a record of this side one of the other may be.
    fn back(&self, side: Side) -> i64 {
        match side {
            Side::Left => self.before,
            Side::Right => self.after,
        }
    }

    /// How long after it.
    fn ahead(&self, side: Side) -> i64 {
        self.back(side.other())
    }

    /// The first time at which a record that waits comes out.
    fn closes(&self, name: &Name) -> Timestamp {
        plus(plus(plus(name.at, self.ahead(name.side)), self.grace), 1)
    }

    /// Records of a side are found from here on.
    fn visible_from(&self, side: Side) -> Timestamp {
        let retention = self.before.saturating_add(self.after).saturating_add(self.grace);
        plus(minus(self.clocks.now().kept[side.index()], retention), 1)
    }
}

/// A walk over what waits: as in Kafka Streams it looks at one more than it has to, and remembers the last one.
struct Walk {
    looked_at: Option<Timestamp>,
    /// Whether one was found that is open, by side.
    open: [bool; 2],
    first_open: Option<Timestamp>,
    is_over: bool,
}

impl Walk {
    /// Some that are closed.
    fn page(
        &mut self,
        streams: &Streams,
        time: Timestamp,
        from: Start<'_>,
        state: &TaskState,
    ) -> Result<Vec<Name>, Error> {
        let mut closed = Vec::new();
        let one_side = streams.kind != JoinKind::Full;
        self.is_over = true;
        streams.buffers.scan_waiting(state, from, |name| {
            self.looked_at = Some(name.at);
            if self.open == [true; 2] || (one_side && self.first_open.is_some()) {
                return ControlFlow::Break(());
            }
            if streams.closes(&name) > time {
                self.open[name.side.index()] = true;
                self.first_open.get_or_insert(name.at);
                return ControlFlow::Continue(());
            }
            closed.push(name);
            self.is_over = closed.len() < PAGE;
            if self.is_over { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(closed)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn plus(at: Timestamp, millis: i64) -> Timestamp {
    Timestamp(at.millis().saturating_add(millis))
}

fn minus(at: Timestamp, millis: i64) -> Timestamp {
    Timestamp(at.millis().saturating_sub(millis))
}
