//! Where each store partition stands, in the family `meta`:
//!
//! | key | holds |
//! |---|---|
//! | `l`, store id (4), partition (4) | position (8), wall clock (8), topic id, text |
//! | `p`, store id (4), partition (4) | how far a task has come: the value of the meta changelog's record |
//!
//! A store partition that holds anything has an `l` row: they are written at once, and go at once.

use rocksdb::WriteBatch;

use super::{
    Error, Local,
    database::{Family, Inner},
    keys,
};
use crate::record::{Position, Timestamp};

impl Inner {
    /// What is kept of a store partition.
    pub(super) fn local(&self, store: u32, partition: u32) -> Result<Option<Local>, Error> {
        let Some(bytes) = self.get(Family::Meta, &local_key(store, partition))? else {
            return Ok(None);
        };
        let local = decode_local(&bytes);
        local
            .map(Some)
            .ok_or_else(|| self.broken("says in an unknown way where a store partition came from"))
    }

    /// How far a task has come, as in the meta changelog.
    pub(super) fn progress(&self, store: u32, partition: u32) -> Result<Option<Vec<u8>>, Error> {
        let bytes = self.get(Family::Meta, &progress_key(store, partition))?;
        Ok(bytes.map(|bytes| bytes.to_vec()))
    }

    /// All store partitions that hold something.
    pub(super) fn locals(&self) -> Result<Vec<(u32, u32)>, Error> {
        let mut cursor = self.cursor(Family::Meta, vec![b'l'], vec![b'l' + 1], false, false);
        let mut found = Vec::new();
        while let Some((key, _)) = cursor.row()? {
            found.extend(keys::place(&key[1..]));
            cursor.advance();
        }
        Ok(found)
    }

    /// Adds to `writes` that a store partition is to go.
    pub(super) fn remove(&self, store: u32, partition: u32, writes: &mut WriteBatch) {
        let prefix = keys::prefix(store, partition);
        for family in Family::ALL.into_iter().filter(|family| *family != Family::Meta) {
            writes.delete_range_cf(self.family(family), prefix, keys::behind(prefix));
        }
        let meta = self.family(Family::Meta);
        writes.delete_cf(meta, local_key(store, partition));
        writes.delete_cf(meta, progress_key(store, partition));
    }
}

/// The key of an `l` row.
pub(super) fn local_key(store: u32, partition: u32) -> [u8; 9] {
    row_key(b'l', store, partition)
}

/// The key of a `p` row.
pub(super) fn progress_key(store: u32, partition: u32) -> [u8; 9] {
    row_key(b'p', store, partition)
}

fn row_key(kind: u8, store: u32, partition: u32) -> [u8; 9] {
    let mut key = [kind; 9];
    key[1..].copy_from_slice(&keys::prefix(store, partition));
    key
}

/// An `l` row.
pub(super) fn encode_local(local: &Local) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + local.topic_id.len());
    bytes.extend_from_slice(&local.position.0.to_be_bytes());
    bytes.extend_from_slice(&local.at.millis().to_be_bytes());
    bytes.extend_from_slice(local.topic_id.as_bytes());
    bytes
}

fn decode_local(bytes: &[u8]) -> Option<Local> {
    let (position, rest) = bytes.split_first_chunk()?;
    let (at, topic_id) = rest.split_first_chunk()?;
    Some(Local {
        topic_id: std::str::from_utf8(topic_id).ok()?.to_owned(),
        position: Position(i64::from_be_bytes(*position)),
        at: Timestamp(i64::from_be_bytes(*at)),
    })
}
