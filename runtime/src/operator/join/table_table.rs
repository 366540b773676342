//! Rows of two tables: each change of either comes out as a row, or as null where the row is gone.
//!
//! The rows of both sides are kept here, with the event times of their last updates. The last one to arrive counts,
//! whatever its time. An update comes out although it changes nothing, as in Kafka Streams.

use tidemill_layout::Part;

use super::{Arrival, Out, Reason, Scope, Side, disk, pack, row, side_of, stands_alone, state};
use crate::{store, topology::JoinKind};

pub(super) struct Tables {
    kind: JoinKind,
    /// The stores of both sides.
    stores: [usize; 2],
    packed: Vec<u8>,
}

impl Tables {
    pub(super) fn new(kind: JoinKind, stores: [usize; 2]) -> Self {
        Tables { kind, stores, packed: Vec::new() }
    }

    /// Looks up the rows of a turn at once.
    pub(super) fn prefetch(
        &mut self,
        arrivals: &[Arrival<'_>],
        scope: &mut Scope,
    ) -> Result<(), store::Error> {
        let Some(state) = scope.state_mut() else { return Ok(()) };
        for side in [Side::Left, Side::Right] {
            // Of its own side a record asks only where it takes something back.
            let of = arrivals.iter().filter(|it| side_of(it) != side || it.record.value.is_none());
            let keys = of.filter_map(|arrival| arrival.record.key);
            state.prefetch(self.stores[side.index()], keys)?;
        }
        Ok(())
    }

    pub(super) fn take(
        &mut self,
        arrival: &Arrival<'_>,
        scope: &mut Scope,
        out: &mut Out<'_>,
    ) -> Result<(), Reason> {
        let record = &arrival.record;
        let (side, at, new) = (side_of(arrival), record.timestamp, record.value);
        let Some(key) = record.key else { return Ok(()) };
        let [own, other] = [side, side.other()].map(|side| self.stores[side.index()]);
        let shows_other = new.is_some() || stands_alone(side.other(), self.kind);
        let packed = &mut self.packed;
        let found = state(scope)?.ordered_get(other, key, |written, other| {
            if shows_other {
                pack(side, new, Some(other), packed);
            }
            written
        });
        let found = disk(scope, found)?;
        let value = match found {
            Some(_) if shows_other => Some(Part::Bytes(&self.packed)),
            Some(_) => Some(Part::Null),
            None if !stands_alone(side, self.kind) => None,
            None if new.is_some() => Some(Part::Bytes(pack(side, new, None, &mut self.packed))),
            None => {
                // There is something to take back only where there was something.
                let old = state(scope)?.ordered_get(own, key, |_, _| ());
                disk(scope, old)?.map(|()| Part::Null)
            }
        };
        state(scope)?.put(arrival.row, own, key, new, at);
        if let Some(value) = value {
            let at = found.map_or(at, |written| at.max(written));
            let _ = out(row(value, at));
        }
        Ok(())
    }
}
