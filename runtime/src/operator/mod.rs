//! The nodes of a topology at work. One file each; none of them knows Kafka or files.

mod filter;
mod function;

pub use filter::Filter;
pub use function::{Called, Cost, Entry, Function, OutputCheck, Reason, Tally};
