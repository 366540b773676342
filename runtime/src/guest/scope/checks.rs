//! What holds for every call of a guest: slots are what the call is for, entries are gone through forward, and what is
//! written stays within bounds.

use std::ops::Range;

use bytesize::ByteSize;

use super::{Inner, Place};
use crate::{
    guest::{Binding, Fault},
    record::Timestamp,
    store::{self, Kind},
};

/// Bytes of a key of a map, or of one that a table is asked for.
const KEY_BYTES_MAX: usize = 64 << 10;
/// Bytes that a turn may write: they wait in memory for the end of the transaction, and can be undone until the turn is
/// over. A turn of several rows that comes to more is split.
pub(super) const WRITTEN_BYTES_MAX: usize = 64 << 20;
/// What a write takes beside its key and value.
const WRITE_BYTES: usize = 64;

/// Where something is read or written.
#[derive(Debug, Clone)]
pub(super) struct At {
    pub(super) row: u32,
    pub(super) time: Timestamp,
    pub(super) key: Range<usize>,
}

impl Inner {
    /// Goes on to an entry.
    pub(super) fn enter(&mut self, entry: u32) -> Result<&Place, Fault> {
        if entry as usize >= self.entries.len() {
            return Err(misuse(format!(
                "it names entry {entry} in a call with {}",
                self.entries.len()
            )));
        }
        if entry < self.current {
            return Err(misuse(format!("it goes back from entry {} to {entry}", self.current)));
        }
        self.current = entry;
        if !self.fired.is_empty() {
            self.delete_fired(entry + 1)?;
        }
        Ok(&self.entries[entry as usize])
    }

    pub(super) fn at(&mut self, entry: u32) -> Result<At, Fault> {
        let place = self.enter(entry)?;
        let (row, key) = (place.row, place.key.clone());
        let Some(key) = key else {
            return Err(self.blame(entry, Fault::Reject { reason: "record has no key".to_owned() }));
        };
        Ok(At { row, time: self.at[row as usize], key })
    }

    #[cold]
    pub(super) fn blame(&mut self, entry: u32, fault: Fault) -> Fault {
        self.culprit = Some(entry);
        fault
    }

    pub(super) fn binding(&self, slot: u32) -> Option<Binding> {
        self.bindings.get(slot as usize).copied().flatten()
    }

    pub(super) fn store(&self, slot: u32, kind: Kind) -> Result<usize, Fault> {
        match self.binding(slot) {
            Some(Binding::Store(store)) if self.stores[store].kind == kind => Ok(store),
            _ => Err(misuse(format!("its slot {slot} is no {}", name(kind)))),
        }
    }

    pub(super) fn table(&self, slot: u32) -> Result<usize, Fault> {
        match self.binding(slot) {
            Some(Binding::Table(store)) => Ok(store),
            _ => Err(misuse(format!("its slot {slot} is no table"))),
        }
    }

    pub(super) fn timer_of(&self, slot: u32) -> Result<u16, Fault> {
        match self.binding(slot) {
            Some(Binding::Timer(timer)) => Ok(timer),
            _ => Err(misuse(format!("its slot {slot} is no timer"))),
        }
    }

    /// Before a write of so many bytes to a store, or, without one, of a timer.
    pub(super) fn check_write(
        &mut self,
        entry: u32,
        store: Option<usize>,
        bytes: usize,
    ) -> Result<(), Fault> {
        self.written_bytes += bytes + WRITE_BYTES;
        if bytes <= self.value_bytes_max && self.written_bytes <= WRITTEN_BYTES_MAX {
            return Ok(());
        }
        if bytes <= self.value_bytes_max {
            let limit = size(WRITTEN_BYTES_MAX);
            let message = format!("it writes more than {limit} of state");
            return Err(self.blame(entry, Fault::Trap { message }));
        }
        let what = store.map_or("a timer", |store| &self.stores[store].name);
        let (bytes, limit) = (size(bytes), size(self.value_bytes_max));
        let message = format!("a value for `{what}` has {bytes} and `limits.output` is {limit}");
        Err(self.blame(entry, Fault::Trap { message }))
    }

    pub(super) fn check_key(
        &mut self,
        entry: u32,
        store: usize,
        bytes: usize,
    ) -> Result<(), Fault> {
        if bytes <= KEY_BYTES_MAX {
            return Ok(());
        }
        let what = &self.stores[store].name;
        let (bytes, limit) = (size(bytes), size(KEY_BYTES_MAX));
        let message = format!("a key for `{what}` has {bytes} and {limit} is the limit");
        Err(self.blame(entry, Fault::Trap { message }))
    }
}

pub(in crate::guest) fn no_state() -> Fault {
    misuse("it asks for state where none is kept for it".to_owned())
}

#[cold]
pub(super) fn misuse(what: String) -> Fault {
    Fault::Contract { what }
}

pub(super) fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Value => "value",
        Kind::Map => "map",
        Kind::Counter => "counter",
        Kind::Table => "table",
        Kind::Window | Kind::Session => "aggregate",
        Kind::Join => "join",
        Kind::Meta => "store",
    }
}

pub(super) fn size(bytes: usize) -> impl std::fmt::Display {
    ByteSize(bytes as u64).display().iec()
}

/// Ends the call where the disk fails, and keeps what it said.
#[inline]
pub(super) fn disk<T>(
    broken: &mut Option<store::Error>,
    answer: Result<T, store::Error>,
) -> Result<T, Fault> {
    answer.map_err(|error| {
        let what = error.to_string();
        *broken = Some(error);
        Fault::Storage { what }
    })
}
