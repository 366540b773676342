//! What functions keep, as it is seen from outside: committed values, of the partitions that are at work here.
//!
//! Reads RocksDB and never a task, so that no read waits for the data path.

mod windows;

use std::{fmt, sync::Arc};

pub use windows::{FoundWindow, ListedWindows, WantedWindows};

use super::{App, Board};
use crate::{
    manifest::code_name,
    partitioner,
    record::Timestamp,
    store::{self, Database, Kind, LiveStore, PageRequest, TimerRow},
    topology::{Codecs, StoreAt, StoreTopic, Topology},
};

/// Bytes of keys and values in a page.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// The stores and tables of an app, and its timers. Cheap to clone.
#[derive(Clone)]
pub struct Stores {
    database: Database,
    topology: Arc<Topology>,
    topics: Arc<[Vec<StoreTopic>]>,
    board: Board,
}

/// A value that is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The record key; of an entry its own.
    pub key: Vec<u8>,
    /// Where it is.
    pub partition: u32,
    /// The value, and the event time of its last write; `None` for a key of a map, which has entries.
    pub stored: Option<(Vec<u8>, Timestamp)>,
}

/// Some values, and where the next ones are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listed {
    /// By partition, then by key.
    pub entries: Vec<Found>,
    /// What the next page begins with; `None` where this is the last.
    pub next: Option<Cursor>,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// In this partition,
    pub partition: u32,
    /// at this key, itself included.
    pub key: Vec<u8>,
    /// The first key behind it.
    behind: Vec<u8>,
}

/// Which keys, or entries.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// From this one on, itself included.
    pub from: Option<Vec<u8>>,
    /// Up to this one, itself excluded.
    pub to: Option<Vec<u8>>,
    /// Only those that begin so.
    pub prefix: Option<Vec<u8>>,
    /// From the last entry of a map to the first; keys always come from the first on.
    pub reverse: bool,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
    /// How many at most.
    pub limit: usize,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The app has none of this name.
    #[error("the app has no {what} `{name}`; it has {known}")]
    Unknown {
        /// `store or table`, or `timer`.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// It has entries under a key, or none.
    #[error("{0}")]
    Kind(String),
    /// The partition is at work somewhere else.
    #[error(
        "partition {partition} of `{store}`, where this key belongs, is not at work on this host"
    )]
    Elsewhere {
        /// The store.
        store: String,
        /// The partition of the key.
        partition: u32,
    },
    /// The partition is not complete yet.
    #[error(
        "partition {partition} of `{store}`, where this key belongs, is not there yet: {state}"
    )]
    NotYet {
        /// The store.
        store: String,
        /// The partition of the key.
        partition: u32,
        /// What it waits for.
        state: String,
    },
    /// Parts of a window cannot be merged.
    #[error("`{store}` has a window that cannot be computed: {why}")]
    Window {
        /// The store.
        store: String,
        /// Why not.
        why: String,
    },
    /// What the disk says.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl App {
    /// What its functions keep.
    pub fn stores(&self) -> Stores {
        let topics = self.topics.stores.as_slice();
        Stores::new(&self.database, &self.topology, topics, &self.board)
    }
}

/// A store or table that was asked for.
struct Asked<'a> {
    at: StoreAt<'a>,
    live: Vec<LiveStore>,
}

impl Stores {
    /// `topics` as the topology has the stores.
    pub(crate) fn new(
        database: &Database,
        topology: &Arc<Topology>,
        topics: &[Vec<StoreTopic>],
        board: &Board,
    ) -> Stores {
        Stores {
            database: database.clone(),
            topology: Arc::clone(topology),
            topics: topics.into(),
            board: board.clone(),
        }
    }

    /// How functions encode what is in a store or table.
    pub fn codecs(&self, store: &str) -> Codecs {
        self.topology.codecs(&code_name(store)).unwrap_or_default()
    }

    /// What a store or table holds.
    ///
    /// # Errors
    /// Where the app has none of this name.
    pub fn kind(&self, store: &str) -> Result<Kind, ReadError> {
        Ok(self.find(store)?.spec.kind)
    }

    /// The value of a key.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn get(&self, store: &str, key: &[u8]) -> Result<Option<Found>, ReadError> {
        let asked = self.ask(store)?;
        if asked.at.spec.kind == Kind::Map {
            return Err(ReadError::Kind(format!(
                "`{store}` is a map: ask for the entries of the key"
            )));
        }
        self.first(&asked, key, |live| {
            let stored = self.database.get(live, key)?;
            Ok::<_, store::Error>(
                stored.map(|stored| found(key, live, Some((stored.value, stored.at)))),
            )
        })
    }

    /// The value of an entry of a key's map.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn entry(&self, store: &str, key: &[u8], entry: &[u8]) -> Result<Option<Found>, ReadError> {
        let asked = self.ask_map(store)?;
        self.first(&asked, key, |live| {
            let stored = self.database.map_get(live, key, entry)?;
            Ok::<_, store::Error>(
                stored.map(|stored| found(entry, live, Some((stored.value, stored.at)))),
            )
        })
    }

    /// Entries of a key's map, in the order of their keys.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn entries(&self, store: &str, key: &[u8], wanted: &Wanted) -> Result<Listed, ReadError> {
        let asked = self.ask_map(store)?;
        let cursor = wanted.cursor.as_ref();
        let listed = self.first(&asked, key, |live| {
            if cursor.is_some_and(|cursor| cursor.partition != live.partition) {
                return Ok(None);
            }
            let page = self.database.map_page(live, key, &wanted.page(cursor, wanted.limit))?;
            if page.entries.is_empty() && page.next.is_none() {
                return Ok(None);
            }
            let next = page.next.map(|key| Cursor::new(live.partition, key));
            let entries = page.entries.into_iter();
            let entries = entries.map(|row| {
                let stored = row.stored.map(|stored| (stored.value, stored.at));
                found(&row.key, live, stored)
            });
            Ok::<_, store::Error>(Some(Listed { entries: entries.collect(), next }))
        })?;
        Ok(listed.unwrap_or_default())
    }

    /// Keys with their values, of the partitions that are at work here: partition by partition, each in the order of
    /// its keys.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn list(&self, store: &str, wanted: &Wanted) -> Result<Listed, ReadError> {
        let asked = self.ask(store)?;
        let mut listed = Listed::default();
        let mut bytes = 0;
        let begin = wanted.cursor.as_ref().map_or(0, |cursor| cursor.partition);
        for live in asked.live.iter().filter(|live| live.partition >= begin) {
            let cursor = wanted.cursor.as_ref().filter(|cursor| cursor.partition == live.partition);
            let left = wanted.limit - listed.entries.len();
            if left == 0 || bytes >= PAGE_BYTES_MAX {
                let key = wanted.from.clone().unwrap_or_default();
                listed.next = Some(Cursor::new(live.partition, key));
                break;
            }
            let request = PageRequest { reverse: false, ..wanted.page(cursor, left) };
            let page = self.database.page(live, &request)?;
            let next = page.next.map(|key| Cursor::new(live.partition, key));
            let entries = page.entries.into_iter().map(|row| {
                let stored = row.stored.map(|stored| (stored.value, stored.at));
                found(&row.key, live, stored)
            });
            let page = Listed { entries: entries.collect(), next };
            let size =
                |entry: &Found| entry.key.len() + entry.stored.as_ref().map_or(0, |it| it.0.len());
            bytes += page.entries.iter().map(size).sum::<usize>();
            listed.entries.extend(page.entries);
            listed.next = page.next;
            if listed.next.is_some() {
                break;
            }
        }
        Ok(listed)
    }

    /// A key's timer; `function` and `timer` as in code or manifest.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn timer(
        &self,
        function: &str,
        timer: &str,
        key: &[u8],
    ) -> Result<Option<TimerRow>, ReadError> {
        let name = format!("{}.{}", code_name(function), code_name(timer));
        let parts = &self.topology.parts;
        let Some(part) = parts.iter().find(|part| part.timers.iter().any(|it| **it == *name))
        else {
            let known = parts.iter().flat_map(|part| &part.timers);
            return Err(ReadError::Unknown { what: "timer", name, known: list(known) });
        };
        let live = self.database.live(&self.topology.app, META).into_iter();
        for live in live.filter(|live| live.part == part.name) {
            if let Some(row) = self.database.timer(&live, &name, key)? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// A store or table; `-` and `_` are the same letter.
    pub(crate) fn find(&self, store: &str) -> Result<StoreAt<'_>, ReadError> {
        let name = code_name(store);
        let all = || {
            let kept = self.topology.changelogs().filter(|at| at.spec.kind != Kind::Meta);
            kept.chain(self.topology.tables())
        };
        all().find(|at| *at.spec.name == *name).ok_or_else(|| ReadError::Unknown {
            what: "store or table",
            name: store.to_owned(),
            known: list(all().map(|at| &at.spec.name)),
        })
    }

    fn ask(&self, store: &str) -> Result<Asked<'_>, ReadError> {
        let at = self.find(store)?;
        let mut live = self.database.live(&self.topology.app, &at.spec.name);
        // Each sub-topology that looks into a table has its own: the same rows.
        live.dedup_by_key(|live| live.partition);
        Ok(Asked { at, live })
    }

    fn ask_map(&self, store: &str) -> Result<Asked<'_>, ReadError> {
        let asked = self.ask(store)?;
        if asked.at.spec.kind != Kind::Map {
            return Err(ReadError::Kind(format!(
                "`{store}` is no map: a key of it has no entries"
            )));
        }
        Ok(asked)
    }

    /// The first answer: of the partition where the key belongs, else of any other here, since a producer may have
    /// partitioned its records in its own way.
    fn first<T, E>(
        &self,
        asked: &Asked<'_>,
        key: &[u8],
        read: impl Fn(&LiveStore) -> Result<Option<T>, E>,
    ) -> Result<Option<T>, ReadError>
    where
        ReadError: From<E>,
    {
        let count = self.topics[asked.at.part][asked.at.store].partitions;
        let home = partitioner::partition_of(key, count).0;
        let (at_home, others): (Vec<_>, Vec<_>) =
            asked.live.iter().partition(|live| live.partition == home);
        for live in at_home.iter().chain(&others) {
            if let Some(answer) = read(live)? {
                return Ok(Some(answer));
            }
        }
        if at_home.is_empty() { Err(self.not_here(&asked.at, home)) } else { Ok(None) }
    }

    fn not_here(&self, at: &StoreAt<'_>, partition: u32) -> ReadError {
        let store = at.spec.name.to_string();
        let inputs = &self.topology.parts[at.part].inputs;
        let workers = self.board.workers();
        let mut partitions = workers.into_iter().flat_map(|worker| worker.partitions);
        let here = partitions.find(|here| {
            (at.spec.broadcast || here.partition == partition)
                && inputs.iter().any(|input| *input.topic == *here.topic)
        });
        match here {
            Some(here) => {
                let state = here.waiting.unwrap_or_else(|| "it is being opened".to_owned());
                ReadError::NotYet { store, partition, state }
            }
            None => ReadError::Elsewhere { store, partition },
        }
    }
}

const META: &str = "meta";

impl Wanted {
    /// Where a page goes on, the request before is as it was but for one of its ends.
    fn page<'a>(&'a self, cursor: Option<&'a Cursor>, limit: usize) -> PageRequest<'a> {
        let mut page = PageRequest {
            from: self.from.as_deref(),
            to: self.to.as_deref(),
            prefix: self.prefix.as_deref(),
            reverse: self.reverse,
            limit,
            bytes_max: PAGE_BYTES_MAX,
        };
        match cursor {
            Some(cursor) if self.reverse => page.to = Some(&cursor.behind),
            Some(cursor) => page.from = Some(&cursor.key),
            None => {}
        }
        page
    }
}

impl Cursor {
    /// At a key of a partition.
    pub fn new(partition: u32, key: Vec<u8>) -> Cursor {
        let behind = [&key[..], &[0]].concat();
        Cursor { partition, key, behind }
    }
}

fn found(key: &[u8], live: &LiveStore, stored: Option<(Vec<u8>, Timestamp)>) -> Found {
    Found { key: key.to_vec(), partition: live.partition, stored }
}

fn list<T: fmt::Display>(known: impl Iterator<Item = T>) -> String {
    let mut known: Vec<String> = known.map(|name| format!("`{name}`")).collect();
    known.sort();
    known.dedup();
    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bind::tests::{Role, build},
        store::DatabaseSettings,
        worker::{PartitionStatus, WorkerStatus},
    };

    #[test]
    fn a_partition_that_is_not_there_yet_is_told_from_one_that_is_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let settings = DatabaseSettings { memory_bytes: 8 << 20 };
        let database = Database::open(folder.path(), settings).unwrap();
        let slots = [("total", Role::Counter, "", "i64")];
        let topology = build(&[("count", r#"["in"]"#, &slots)], "[stores.total]\n").unwrap();
        let topic = StoreTopic { id: String::new(), partitions: 1, record_bytes_max: 1 };
        let topics = [vec![topic.clone(), topic]];
        let board = Board::default();
        let stores = Stores::new(&database, &Arc::new(topology), &topics, &board);
        let error = || stores.get("total", b"k").unwrap_err().to_string();
        assert_eq!(
            error(),
            "partition 0 of `total`, where this key belongs, is not at work on this host"
        );
        let here = PartitionStatus {
            topic: "in".to_owned(),
            partition: 0,
            position: 0,
            end: None,
            lag: None,
            waiting: Some("for its state: 5 of 9 records".to_owned()),
        };
        board.worker(0, WorkerStatus { partitions: vec![here], trouble: None });
        assert_eq!(
            error(),
            "partition 0 of `total`, where this key belongs, is not there yet: for its state: 5 of 9 records"
        );
    }
}
