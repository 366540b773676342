//! What the database knows of itself, in the family `meta`:
//!
//! | key | holds |
//! |---|---|
//! | `f` | the format of all of it: 4 bytes |
//! | `i` | the instance id, text |
//! | `n` | the next store id: 4 bytes |
//! | `s`, app, 0, sub-topology, 0, store | id (4), kind (1), layout (1) |
//! | `x`, id (4) | a store that was replaced: its app, 0, sub-topology |
//! | `l`, `p` | of store partitions, see [`marks`](super::marks) |
//! | `w`, name | a note: text |
//!
//! A store gets another id when its kind or its layout changes, so no store is read as another kind.

use std::{collections::HashMap, sync::Arc};

use rocksdb::{DB, IteratorMode, WriteBatch, WriteOptions};

use super::{
    Error, Kind, StoreSpec, TaskKey,
    database::{self, Family, Inner},
    keys,
};

/// The only format of a database so far.
const FORMAT: u32 = 1;

/// The only layout of each kind so far.
const LAYOUT: u8 = 1;

/// Stores by name.
pub(super) struct Catalog {
    stores: HashMap<Name, Store>,
    owners: HashMap<u32, Owner>,
    next: u32,
    /// Replaced stores, with the last epoch in which they may be in use.
    retired: Vec<(u32, Owner, u64)>,
}

type Name = (Arc<str>, Arc<str>, Arc<str>);

/// An app and a sub-topology.
pub(super) type Owner = (Arc<str>, Arc<str>);

#[derive(Clone, Copy, PartialEq, Eq)]
struct Store {
    id: u32,
    kind: u8,
    layout: u8,
}

/// Reads, or makes, what a database begins with. Answers the instance id.
pub(super) fn found(db: &DB, path: &str) -> Result<String, Error> {
    let failed =
        |cause: rocksdb::Error| Error::Database { path: path.into(), cause: cause.to_string() };
    let broken = |what: String| Error::Format { path: path.into(), what };
    let meta = db.cf_handle(Family::Meta.name()).expect("it was opened with all families");
    let Some(format) = db.get_cf(meta, b"f").map_err(failed)? else {
        let foreign = Family::ALL
            .iter()
            .filter_map(|family| db.cf_handle(family.name()))
            .any(|family| db.iterator_cf(family, IteratorMode::Start).next().is_some())
            || db.iterator(IteratorMode::Start).next().is_some();
        if foreign {
            return Err(broken(
                "was not made by this program: name another folder, or empty this one".into(),
            ));
        }
        return make(db).map_err(failed);
    };
    let format = format.try_into().map_or(0, u32::from_be_bytes);
    if format != FORMAT {
        return Err(broken(format!(
            "has format {format}, and this program knows format {FORMAT}: use the program that wrote it, or delete the \
             folder, whose content then comes back from the changelogs"
        )));
    }
    let id = db.get_cf(meta, b"i").map_err(failed)?;
    id.and_then(|id| String::from_utf8(id).ok()).ok_or_else(|| {
        broken("has no instance id: delete the folder, whose content then comes back from the changelogs".into())
    })
}

fn make(db: &DB) -> Result<String, rocksdb::Error> {
    let meta = db.cf_handle(Family::Meta.name()).expect("it was opened with all families");
    let id = format!("{:016x}", rand::random::<u64>());
    let mut writes = WriteBatch::default();
    writes.put_cf(meta, b"f", FORMAT.to_be_bytes());
    writes.put_cf(meta, b"i", &id);
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    db.write_opt(writes, &options)?;
    // On disk before anybody is told the id: transactions are fenced by it after a crash.
    database::flush(db)?;
    Ok(id)
}

fn kind_code(kind: Kind) -> u8 {
    match kind {
        Kind::Value => 1,
        Kind::Map => 2,
        Kind::Counter => 3,
        Kind::Table => 4,
        Kind::Meta => 5,
        Kind::Window => 6,
        Kind::Session => 7,
        Kind::Join => 8,
    }
}

impl Catalog {
    pub(super) fn load(db: &DB, path: &str) -> Result<Catalog, Error> {
        let failed =
            |cause: rocksdb::Error| Error::Database { path: path.into(), cause: cause.to_string() };
        let broken = || {
            Error::Format {
            path: path.into(),
            what: "lists its stores in a way that this program does not know: delete the folder, whose content then \
                   comes back from the changelogs"
                .into(),
        }
        };
        let meta = db.cf_handle(Family::Meta.name()).expect("it was opened with all families");
        let next = match db.get_cf(meta, b"n").map_err(failed)? {
            Some(next) => u32::from_be_bytes(next.try_into().map_err(|_| broken())?),
            None => 1,
        };
        let mut catalog =
            Catalog { stores: HashMap::new(), owners: HashMap::new(), next, retired: Vec::new() };
        for row in db.iterator_cf(meta, IteratorMode::Start) {
            let (key, value) = row.map_err(failed)?;
            match key.split_first() {
                Some((b's', name)) => {
                    let name = text(name, 3).ok_or_else(broken)?;
                    let store = Store::decode(&value).ok_or_else(broken)?;
                    let name = (name[0].clone(), name[1].clone(), name[2].clone());
                    catalog.owners.insert(store.id, (name.0.clone(), name.1.clone()));
                    catalog.stores.insert(name, store);
                }
                Some((b'x', id)) => {
                    let id = u32::from_be_bytes(id.try_into().map_err(|_| broken())?);
                    let owner = text(&value, 2).ok_or_else(broken)?;
                    // Nobody can use it any more: this process has just begun.
                    catalog.retired.push((id, (owner[0].clone(), owner[1].clone()), 0));
                }
                _ => {}
            }
        }
        Ok(catalog)
    }

    /// The app and the sub-topology of a store.
    pub(super) fn owner(&self, id: u32) -> Option<&Owner> {
        self.owners.get(&id)
    }

    pub(super) fn retired(&self) -> &[(u32, Owner, u64)] {
        &self.retired
    }

    pub(super) fn forget_retired(&mut self, ids: &[u32]) {
        self.retired.retain(|(id, ..)| !ids.contains(id));
    }
}

/// Texts with a byte 0 between them.
fn text(bytes: &[u8], count: usize) -> Option<Vec<Arc<str>>> {
    let parts = bytes.split(|byte| *byte == 0);
    let parts: Option<Vec<Arc<str>>> =
        parts.map(|part| Some(std::str::from_utf8(part).ok()?.into())).collect();
    parts.filter(|parts| parts.len() == count)
}

impl Store {
    fn encode(self) -> [u8; 6] {
        let id = self.id.to_be_bytes();
        [id[0], id[1], id[2], id[3], self.kind, self.layout]
    }

    fn decode(bytes: &[u8]) -> Option<Store> {
        let (id, rest) = bytes.split_first_chunk()?;
        let [kind, layout] = rest.try_into().ok()?;
        Some(Store { id: u32::from_be_bytes(*id), kind, layout })
    }
}

/// The sub-topology under which a broadcast table is kept: it belongs to the app. No sub-topology has such a name.
pub(super) fn broadcast_part(table: &str) -> Arc<str> {
    format!("table {table}").into()
}

impl Inner {
    /// The id of a store; made where it is new or has become another kind.
    pub(super) fn store_id(
        &self,
        app: &Arc<str>,
        part: &Arc<str>,
        spec: &StoreSpec,
    ) -> Result<u32, Error> {
        let name = (app.clone(), part.clone(), spec.name.clone());
        let epoch = self.leases().epoch();
        let mut catalog = self.catalog();
        let old = catalog.stores.get(&name).copied();
        if let Some(old) = old
            && (old.kind, old.layout) == (kind_code(spec.kind), LAYOUT)
        {
            return Ok(old.id);
        }
        let id = catalog.next;
        if id == u32::MAX {
            return Err(self.broken("has had four billion stores: delete the folder, whose content then comes back from the changelogs"));
        }
        let store = Store { id, kind: kind_code(spec.kind), layout: LAYOUT };
        let meta = self.family(Family::Meta);
        let mut writes = WriteBatch::default();
        writes.put_cf(meta, b"n", (id + 1).to_be_bytes());
        writes.put_cf(meta, format!("s{app}\0{part}\0{}", spec.name), store.encode());
        if let Some(old) = old {
            writes.put_cf(meta, retired_key(old.id), format!("{app}\0{part}"));
        }
        self.write(writes)?;
        catalog.next = id + 1;
        catalog.stores.insert(name, store);
        catalog.owners.insert(id, (app.clone(), part.clone()));
        if let Some(old) = old {
            catalog.owners.remove(&old.id);
            catalog.retired.push((old.id, (app.clone(), part.clone()), epoch));
        }
        Ok(id)
    }

    /// Adds to `writes` that a replaced store is to go.
    pub(super) fn remove_retired(&self, store: u32, writes: &mut WriteBatch) {
        let (from, to) = (keys::prefix(store, 0), keys::prefix(store + 1, 0));
        for family in Family::ALL.into_iter().filter(|family| *family != Family::Meta) {
            writes.delete_range_cf(self.family(family), from, to);
        }
        let meta = self.family(Family::Meta);
        for kind in [b'l', b'p'] {
            let key = |prefix: keys::Prefix| [&[kind][..], &prefix].concat();
            writes.delete_range_cf(meta, key(from), key(to));
        }
        writes.delete_cf(meta, retired_key(store));
    }
}

fn retired_key(store: u32) -> Vec<u8> {
    [&b"x"[..], &store.to_be_bytes()].concat()
}

/// The lease that covers a partition of a store with this owner.
pub(super) fn lease_of(owner: &Owner, partition: u32) -> TaskKey {
    // A broadcast table is held as one.
    let partition = if owner.1.starts_with("table ") { 0 } else { partition };
    TaskKey { app: owner.0.clone(), part: owner.1.clone(), partition }
}
