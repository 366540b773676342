//! Rows of two tables: each change of either comes out as a row, or as null where the row is gone.
//!
//! The rows of both sides are kept here, with the event times of their last updates. The last one to arrive counts,
//! whatever its time. An update comes out although it changes nothing, as in Kafka Streams.

use tidemill_layout::Part;

use super::{Arrival, Out, Reason, Scope, disk, pack, row, side_of, stands_alone, state};
use crate::topology::JoinKind;

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
        let found = state(scope)?.written(other, key);
        let found = disk(scope, found)?;
        let value = match &found {
            Some((_, other)) if new.is_some() || stands_alone(side.other(), self.kind) => {
                Some(Part::Bytes(pack(side, new, Some(other), &mut self.packed)))
            }
            Some(_) => Some(Part::Null),
            None if !stands_alone(side, self.kind) => None,
            None if new.is_some() => Some(Part::Bytes(pack(side, new, None, &mut self.packed))),
            None => {
                // There is something to take back only where there was something.
                let old = state(scope)?.written(own, key);
                disk(scope, old)?.map(|_| Part::Null)
            }
        };
        state(scope)?.put(arrival.row, own, key, new, at);
        if let Some(value) = value {
            let at = found.map_or(at, |(written, _)| at.max(written));
            let _ = out(row(value, at));
        }
        Ok(())
    }
}
