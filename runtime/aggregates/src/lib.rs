//! Aggregate functions: what they compute, what they keep between records, and how that is stored.
//!
//! This crate knows no windows, no stores, no topics and no time but that of a record. [`Compute`] is a set of named
//! [`Aggregate`]s; it adds records to a [`Row`], takes them out again, merges rows, and turns them to bytes and back.
//! Given the same records in the same order, rows and results are the same.
//!
//! ```
//! use tidemill_aggregates::{Aggregate, Compute, Value};
//!
//! let compute = Compute::new([
//!     ("n", Aggregate::parse("count()")?),
//!     ("cents", Aggregate::parse("sum(cents)")?),
//! ])?;
//! assert_eq!(compute.arguments(), ["cents"]);
//! let mut row = compute.init();
//! compute.add(&mut row, &[Value::Int(250)], 1_000)?;
//! compute.add(&mut row, &[Value::Null], 2_000)?;
//! assert_eq!(compute.result_json(&row).to_string(), r#"{"cents":250,"n":2}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Functions
//! *Undo*: whether a value can be taken out again, which an aggregate over a table needs. *Nothing*: the result where
//! no value came. *Merge*: how the result of merged rows relates to that of one row with all records in sequence.
//!
//! | function | takes | gives | nothing | undo | merge |
//! |---|---|---|---|---|---|
//! | `count()` | records | int | 0 | yes | equal |
//! | `count(c)` | anything | int | 0 | yes | equal |
//! | `sum(c)` | numbers | int or float | 0 | yes | equal (1) |
//! | `avg(c)` | numbers | float | null | yes | equal (1) |
//! | `min(c)`, `max(c)` | scalars of one kind | the value | null | no | equal |
//! | `first(c)`, `last(c)` | anything | the value at the earliest, latest event time; at the same time the one added first, last | null | no | equal |
//! | `collect-list(c)`, `collect-list(c, max)` | anything | the first `max` values, 1000 where nothing is said | empty | the last equal one | equal |
//! | `collect-set(c)`, `collect-set(c, max)` | anything | the first `max` distinct values | empty | no | equal |
//! | `top-k(c, k)` | scalars of one kind | the `k` largest values, largest first, equal ones as often as they came | empty | no | equal |
//! | `count-distinct(c)` | anything | int: an estimate by HyperLogLog, 1.6 % standard error; exact up to some hundred | 0 | no | equal (2) |
//! | `variance(c)`, `stddev(c)` | numbers | float: of a sample, that is divided by n - 1 | null below two | yes | close (1) |
//! | `histogram(c)`, `histogram(c, max)` | scalars | how often each of the first `max` distinct values came, under its text, sorted | empty | yes | equal until there is no room (3) |
//! | `percentile(c, fraction)` | finite numbers | float: an estimate by DDSketch, within 1 % of the value at rank floor(fraction (n - 1)) | null | no | equal |
//!
//! 1. Where Floats are among the values they are rounded as ever, so the last digits depend on the order of additions,
//!    and undoing a Float leaves what rounding left.
//! 2. Of the estimate that does not depend on the order of the values, which is the one given.
//! 3. A value that had no room in one of the rows was not counted there.
//!
//! # Rules
//! - Nulls are ignored by all but `count()`.
//! - Ints are summed exactly. A sum or count that leaves i64 is a [`Fault`], never a wrong number.
//! - `sum` is an Int until a Float comes and a Float from then on, as a JSON field that holds `3` and then `3.5` wants
//!   it; a column declared as float holds no Ints (see [`Type::conform`]). Floats follow IEEE 754: NaN and infinities
//!   go through `sum`, `avg`, `variance` and `stddev`; `percentile` refuses them.
//! - A value of the wrong kind is a [`Fault`] that names the column, what it holds and what was expected. `min`, `max`
//!   and `top-k` compare bools, numbers, text or bytes, and refuse text after numbers.
//! - Where a list, set or histogram is full, further values are ignored, as ksqlDB does; its limit of 1000 is the
//!   default, [`ELEMENTS_MAX`] the most that can be asked for.
//!
//! # Limits
//! A row stays below [`ROW_BYTES_MAX`]. Sketches take what they need at most; what is left is shared equally among the
//! columns that keep values, at most [`COLUMN_BYTES_MAX`] each. A list or set is full also when its share is. A value
//! that is kept has at most [`VALUE_BYTES_MAX`] bytes encoded (or the share, where that is less; in a top-k the k-th
//! part of it), a larger one is a [`Fault`]. `count-distinct` keeps no values and takes any.
//!
//! # Layout
//! A row is a version byte, 1, and its accumulators without padding, in the order in which the columns first need
//! them; columns that share one come once. Integers and floats are little-endian. `count-distinct`, `percentile`, lists
//! and such carry their length. What a Value's bytes are is said at [`Value::encode`].
//!
//! | of | bytes |
//! |---|---|
//! | `count` | i64 |
//! | `sum` | u8: 1 where a Float came; i64, sum of the Ints; then f64, sum of the Floats |
//! | `avg` | i64 count; i128, sum of the Ints; f64, sum of the Floats |
//! | `min`, `max` | Value, Null before the first |
//! | `first`, `last` | u8: 1 where one came; then i64 milliseconds, Value |
//! | `collect-list`, `collect-set` | u8: 1 where one had no room; u32 number; u32 length; Values |
//! | `top-k` | u32 number; Values, largest first |
//! | `count-distinct` | u32 length; HLL sketch of Apache DataSketches, lg k 12, 8 bits; none before the first value |
//! | `variance`, `stddev` | i64 count; f64 mean; f64, sum of squared distances from it |
//! | `histogram` | u32 number; u32 length; of each value i64 count, varint length, text |
//! | `percentile` | u32 length; DDSketch in the encoding of Datadog's sketches-java; none before the first value |

mod aggregate;
mod compute;
mod fault;
mod limits;
mod reader;
mod state;
mod types;
mod value;

#[cfg(test)]
mod testing;

pub use aggregate::{Aggregate, Function, Invalid};
pub use compute::{Compute, Row};
pub use fault::Fault;
pub use limits::{COLUMN_BYTES_MAX, COLUMNS_MAX, ELEMENTS_MAX, ROW_BYTES_MAX, VALUE_BYTES_MAX};
pub use reader::Broken;
pub use types::{Mismatch, Type};
pub use value::{DEPTH_MAX, Value};
