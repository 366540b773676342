//! How large a row can grow. A row is one entry of a changelog topic, so all of it stays below Kafka's default limit
//! of a message, 1 MiB.

/// The most columns of a [`crate::Compute`].
pub const COLUMNS_MAX: usize = 64;

/// The largest encoded row.
pub const ROW_BYTES_MAX: usize = 960 * 1024;

/// The most elements a list, a set, a histogram or a top-k can be asked to keep.
pub const ELEMENTS_MAX: u32 = 10_000;

/// What one column keeps at most, where the row has room: its share of [`ROW_BYTES_MAX`] where it is smaller.
pub const COLUMN_BYTES_MAX: usize = 256 * 1024;

/// The largest encoded value that is kept.
pub const VALUE_BYTES_MAX: usize = 16 * 1024;

/// The smallest share that is sensible; a [`crate::Compute`] in which columns would get less is refused.
pub(crate) const SHARE_BYTES_MIN: usize = 4 * 1024;

/// What a state costs beside what its share counts: flags, lengths, numbers.
pub(crate) const OVERHEAD_BYTES: usize = 64;
