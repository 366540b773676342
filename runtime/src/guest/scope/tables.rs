//! Rows of lookup tables.

use super::{Inner, Scope, checks::disk};
use crate::{guest::Fault, partitioner::partition_of, record::Partition, store::StoreSpec};

/// What the import `tables` does: also for functions that are not WebAssembly.
impl Scope {
    /// The row of a table under an entry's own key.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn row(&mut self, slot: u32, entry: u32) -> Result<Option<Vec<u8>>, Fault> {
        self.call()?.row(slot, entry)
    }

    /// The row of a table under another key, or why it cannot be known here.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn lookup(
        &mut self,
        slot: u32,
        entry: u32,
        key: &[u8],
    ) -> Result<Result<Option<Vec<u8>>, String>, Fault> {
        self.call()?.lookup(slot, entry, key)
    }
}

impl Inner {
    pub(in crate::guest) fn row(
        &mut self,
        slot: u32,
        entry: u32,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let store = self.table(slot)?;
        let Some(key) = self.enter(entry)?.key.clone() else { return Ok(None) };
        disk(&mut self.broken, self.state.row(store, &self.keys[key]))
    }

    pub(in crate::guest) fn lookup(
        &mut self,
        slot: u32,
        entry: u32,
        key: &[u8],
    ) -> Result<Result<Option<Vec<u8>>, String>, Fault> {
        let store = self.table(slot)?;
        self.enter(entry)?;
        self.check_key(entry, store, key.len())?;
        let spec = &self.stores[store];
        if !spec.broadcast {
            let home = partition_of(key, self.partitions);
            if home != self.partition {
                return Ok(Err(elsewhere(spec, home, self.partition)));
            }
        }
        disk(&mut self.broken, self.state.row(store, key)).map(Ok)
    }
}

#[cold]
fn elsewhere(table: &StoreSpec, home: Partition, own: Partition) -> String {
    format!(
        "the key belongs to partition {home} of table `{name}`, and this task has partition {own} of it: make the table \
         complete on every host (`broadcast = true` in [tables.{name}]), or re-key the input by what is looked up",
        name = table.name
    )
}
