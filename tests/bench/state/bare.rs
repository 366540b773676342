//! What the disk alone takes: a loop of RocksDB get and put, nothing around it.

use std::time::Instant;

use rocksdb::{BlockBasedOptions, Cache, DB, Options, WriteOptions};

use super::{
    amounts::{Keys, Spread, key},
    rates::Figure,
};
use crate::process::cpu_seconds;

/// As much memory as a host has by default.
const MEMORY_BYTES: usize = 256 << 20;

pub fn measure(spread: Spread, keys: u64, count: u64) -> Figure {
    let folder = tempfile::tempdir().expect("a folder");
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_lru_cache(MEMORY_BYTES / 2));
    table.set_bloom_filter(10.0, false);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_db_write_buffer_size(MEMORY_BYTES / 2);
    let database = DB::open(&options, folder.path()).expect("a database");
    let mut write = WriteOptions::default();
    write.disable_wal(true);

    let mut numbers = Keys::new(spread, keys);
    let (start, cpu) = (Instant::now(), cpu_seconds(std::process::id()));
    for _ in 0..count {
        let key = key(numbers.next());
        let value = database.get_pinned(key.as_bytes()).expect("a read");
        let count = value.map_or(0, |value| i64::from_be_bytes((*value).try_into().expect("8")));
        database.put_opt(key, i64::to_be_bytes(count + 1), &write).expect("a write");
    }
    Figure::of(count, start.elapsed(), cpu_seconds(std::process::id()) - cpu)
}
