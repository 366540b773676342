//! The batch layout: how a batch travels from host to guest, and its outcome back, each in one `list<u8>`.
//!
//! Lowering a list of records costs per element and field; one list of bytes is one copy. So both directions are
//! a fixed head, then entries of a fixed header followed by their bytes. Integers are little-endian. Nothing is
//! aligned. Each side treats the other's bytes as untrusted: every read is checked, and nothing here panics on
//! bytes that came from outside.
//!
//! # Batch (host to guest)
//! | at | type | head, 16 bytes |
//! |---|---|---|
//! | 0 | u32 | [`VERSION`] |
//! | 4 | u32 | number of entries |
//! | 8 | u32 | number of origins |
//! | 12 | u32 | total length in bytes, this head included |
//!
//! Origins follow, each `u32 partition, u32 length, topic` (UTF-8), then the entries:
//!
//! | at | type | entry header, [`ENTRY_BYTES`] |
//! |---|---|---|
//! | 0 | u8 | [`Kind`]: 0 a record, 1 a timer that fired; others are reserved |
//! | 1 | u8 | reserved, 0 |
//! | 2 | u16 | source: of a record, index into the `sources` of the function's description; of a timer, into its `slots` |
//! | 4 | u16 | origin: index into the origins of this batch; that of a timer has an empty topic |
//! | 6 | u16 | attempt: how often the entry has failed before; 65535 for more |
//! | 8 | i64 | offset in its topic and partition; of a timer -1 |
//! | 16 | i64 | timestamp, milliseconds since the Unix epoch; of a timer, when it was due |
//! | 24 | i32 | length of the key, -1 for null |
//! | 28 | i32 | length of the value, -1 for null |
//! | 32 | u32 | length of the encoded headers |
//! | 36 | u32 | reserved, 0 |
//! | 40 | | key, value, headers; of a timer, the key it was set under, its payload, and no headers |
//!
//! # Outcome (guest to host)
//! | at | type | head, 32 bytes |
//! |---|---|---|
//! | 0 | u32 | [`VERSION`] |
//! | 4 | u32 | handled: how many entries, from the front |
//! | 8 | u32 | number of emissions |
//! | 12 | u32 | failure of the next entry: 0 none, 1 error, 2 reject, 3 retry, 4 state |
//! | 16 | i64 | delay of a retry in milliseconds, -1 for the host's choice |
//! | 24 | u32 | length of the failure's reason (UTF-8), which is last |
//! | 28 | u32 | total length in bytes, this head included |
//!
//! | at | type | emission header, [`EMISSION_BYTES`] |
//! |---|---|---|
//! | 0 | u32 | cause: index of the entry; below `handled`, and never falls |
//! | 4 | u16 | output: index among the function's slots of role `output` |
//! | 6 | u16 | flags: 1 a timestamp is given, 2 a partition is given |
//! | 8 | i32 | length of the key, -1 null, -2 inherit |
//! | 12 | i32 | length of the value, -1 null, -2 inherit |
//! | 16 | i32 | length of the encoded headers, -2 inherit |
//! | 20 | u32 | partition |
//! | 24 | i64 | timestamp |
//! | 32 | | key, value, headers |
//!
//! # Joined rows
//! A joined row is a record. Its value is both sides in one:
//!
//! | at | type | |
//! |---|---|---|
//! | 0 | u8 | which sides are there: 1 left, 2 right, 3 both |
//! | 1 | u32 | length of the left side's value; 0 where it is not there |
//! | 5 | | the left side's value, then the right side's |
//!
//! # Results of windows
//! A result of a window is a record. Its window is in the headers [`WINDOW_START`] and [`WINDOW_END`], in milliseconds since
//! the Unix epoch, as decimal text.
//!
//! # Headers
//! Headers are encoded one after another: `u32 length of the name, i32 length of the value (-1 null), name (UTF-8),
//! value`. Names may repeat; order is kept.

mod batch;
mod headers;
pub mod joined;
mod outcome;
mod read;

pub use batch::{Batch, BatchWriter, ENTRY_BYTES, Entries, Entry, Kind, Origin};
pub use headers::{Header, Headers, HeadersWriter};
pub use joined::Joined;
pub use outcome::{
    EMISSION_BYTES, Emission, Emissions, Failure, HeaderPart, Mark, Outcome, OutcomeWriter, Part,
};
pub use read::Malformed;

/// The header that says where the window of a result begins.
pub const WINDOW_START: &str = "tidemill.window.start";

/// The header that says where the window of a result ends.
pub const WINDOW_END: &str = "tidemill.window.end";

/// The version of both layouts, the first word of each.
pub const VERSION: u32 = 1;
