//! Records of a stream with the rows of a table: one that is cut as the stream is, or one that is complete on every host.
//!
//! The row is that of the moment: updates of the table send nothing.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use tidemill_layout::Part;

use super::{Arrival, Out, Reason, Scope, Side, disk, pack, row, stands_alone, state};
use crate::{
    store,
    topology::{JoinKind, KeyFrom},
};

pub(super) struct Lookup {
    /// Whether a record goes on without a row.
    alone: bool,
    table: usize,
    key: KeyFrom,
    /// For a key that is put together.
    looked_up: Vec<u8>,
    packed: Vec<u8>,
    /// Rows that were looked up ahead, for this turn.
    ahead: HashMap<Box<[u8]>, Option<Vec<u8>>, RandomState>,
}

impl Lookup {
    pub(super) fn new(kind: JoinKind, table: usize, key: KeyFrom) -> Self {
        let alone = stands_alone(Side::Left, kind);
        let (looked_up, packed) = (Vec::new(), Vec::new());
        Lookup { alone, table, key, looked_up, packed, ahead: HashMap::default() }
    }

    /// What was looked up ahead may have changed since.
    pub(super) fn begin(&mut self) {
        self.ahead.clear();
    }

    /// Looks up the rows of a turn at once: it sees the table as it was when it began.
    pub(super) fn prefetch(
        &mut self,
        arrivals: &[Arrival<'_>],
        scope: &mut Scope,
    ) -> Result<(), store::Error> {
        let Some(state) = scope.state().filter(|_| arrivals.len() > 1) else { return Ok(()) };
        let records = arrivals.iter().map(|arrival| &arrival.record);
        let records = records.filter(|record| record.value.is_some());
        let mut keys: Vec<&[u8]> = match &self.key {
            KeyFrom::Key => records.filter_map(|record| record.key).collect(),
            KeyFrom::Header(name) => {
                let headers = records.filter_map(|record| record.headers.last(name));
                headers.filter_map(|header| header.value).collect()
            }
            // A value is not taken apart twice.
            KeyFrom::Column { .. } => return Ok(()),
        };
        keys.sort_unstable();
        keys.dedup();
        let rows = state.rows(self.table, &keys)?;
        self.ahead.extend(keys.into_iter().map(Box::from).zip(rows));
        Ok(())
    }

    pub(super) fn take(
        &mut self,
        arrival: &Arrival<'_>,
        scope: &mut Scope,
        out: &mut Out<'_>,
    ) -> Result<(), Reason> {
        let record = &arrival.record;
        // Null would say that there is no left side.
        let Some(left) = record.value else { return Ok(()) };
        let key = self.key.read(record, &mut self.looked_up).map_err(Reason::Reject)?;
        // Without a key nothing is found (KIP-962).
        let found;
        let right = match key.map(|key| (key, self.ahead.get(key))) {
            Some((_, Some(row))) => row.as_deref(),
            Some((key, None)) => {
                let row = state(scope)?.row(self.table, key);
                found = disk(scope, row)?;
                found.as_deref()
            }
            None => None,
        };
        if right.is_some() || self.alone {
            let value = pack(Side::Left, Some(left), right, &mut self.packed);
            let _ = out(row(Part::Bytes(value), record.timestamp));
        }
        Ok(())
    }
}
