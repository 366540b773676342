//! The newest session of some keys, in memory: a record that is not older than its key's newest session began can only
//! become one with that, so that nothing is looked for.
//!
//! It is forgotten as a whole where rows are undone, and where it grows too large.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// Of more keys it is not kept: with short keys some megabytes.
const KEYS_MAX: usize = 1 << 16;

/// See the module's page.
#[derive(Default)]
pub(super) struct Newest {
    sessions: HashMap<Box<[u8]>, (i64, i64), RandomState>,
    /// Above all rows of the running turn that changed it.
    rows: u32,
}

impl Newest {
    /// The start and the end of a key's newest session, where they are known.
    #[inline]
    pub(super) fn get(&self, key: &[u8]) -> Option<(i64, i64)> {
        self.sessions.get(key).copied()
    }

    /// A key has another newest session, on behalf of a row.
    pub(super) fn set(&mut self, row: u32, key: &[u8], session: (i64, i64)) {
        self.rows = self.rows.max(row.saturating_add(1));
        if let Some(known) = self.sessions.get_mut(key) {
            *known = session;
            return;
        }
        if self.sessions.len() == KEYS_MAX {
            self.sessions.clear();
        }
        self.sessions.insert(key.into(), session);
    }

    pub(super) fn begin(&mut self) {
        self.rows = 0;
    }

    /// Rows from `rows` on are undone.
    pub(super) fn keep(&mut self, rows: u32) {
        if rows < self.rows {
            self.sessions.clear();
            self.rows = rows;
        }
    }
}
