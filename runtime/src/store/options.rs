//! How RocksDB is set up.

use std::path::Path;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, DataBlockIndexType,
    LogLevel, Options, WriteBufferManager,
};

use super::{DatabaseSettings, database::Family};

/// Less memory than this is taken as this.
const MEMORY_BYTES_MIN: usize = 8 << 20;

/// Opens, or makes, a database. Families that this program does not know are opened too, so that its format can be
/// read, and said.
pub(super) fn open(path: &Path, settings: DatabaseSettings) -> Result<DB, rocksdb::Error> {
    let memory = settings.memory_bytes.max(MEMORY_BYTES_MIN);
    let cache = Cache::new_hyper_clock_cache(memory, 0);
    // Memtables count in the cache, so `memory` is all there is; a third of it for those that are filled and those that
    // are being written to disk. Writers do not stall at the limit: a flush begins before it.
    let buffers =
        WriteBufferManager::new_write_buffer_manager_with_cache(memory / 3, false, cache.clone());
    let database = of_database(&buffers, memory);
    let found =
        if path.join("CURRENT").exists() { DB::list_cf(&database, path)? } else { Vec::new() };
    let known = Family::ALL.iter().map(|family| {
        ColumnFamilyDescriptor::new(family.name(), of_family(Some(*family), &cache, memory))
    });
    let others = found.iter().filter(|name| !Family::ALL.iter().any(|known| known.name() == *name));
    let others = others
        .map(|name| ColumnFamilyDescriptor::new(name.as_str(), of_family(None, &cache, memory)));
    DB::open_cf_descriptors(&database, path, known.chain(others))
}

fn of_database(buffers: &WriteBufferManager, memory: usize) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_atomic_flush(true);
    options.set_write_buffer_manager(buffers);
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    options.set_max_background_jobs(i32::try_from(cores.clamp(2, 8)).unwrap_or(2));
    options.set_bytes_per_sync(1 << 20);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(4 << 20);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    // Only for the family `default`, which RocksDB insists on and nobody uses.
    options.set_write_buffer_size(memory / 8);
    options
}

fn of_family(family: Option<Family>, cache: &Cache, memory: usize) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_cache_index_and_filter_blocks_with_high_priority(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks.set_bloom_filter(10.0, false);
    blocks.set_optimize_filters_for_memory(true);
    blocks.set_format_version(6);
    if family == Some(Family::Kv) {
        // Most reads are of one key.
        blocks.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
        blocks.set_data_block_hash_ratio(0.75);
    }
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    // Larger ones would be written less often, and searched more slowly: they outgrow the processor's caches.
    options.set_write_buffer_size(memory / 8);
    options.set_max_write_buffer_number(4);
    if family != Some(Family::Meta) {
        // Reads of keys that are not in the memtable need not search it.
        options.set_memtable_prefix_bloom_ratio(0.05);
        options.set_memtable_whole_key_filtering(true);
    }
    // The two youngest levels are short-lived.
    let mut levels = vec![DBCompressionType::Lz4; 7];
    levels[..2].fill(DBCompressionType::None);
    options.set_compression_per_level(&levels);
    if family == Some(Family::Timer) {
        // Fired timers leave deletions at the front of the range that is read the most.
        options.add_compact_on_deletion_collector_factory(512, 256, 0.5);
    }
    options
}
