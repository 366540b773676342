//! The nodes of a topology at work. One file each; none of them knows Kafka or files.

mod filter;
mod function;
mod host;
mod hosted;
mod join;

pub use filter::Filter;
pub use function::{Called, Cost, Entry, Function, OutputCheck, Reason, Tally};
pub use host::{Arrival, Ask, Due, Host, Out, Sent};
pub use hosted::{Hosted, Operator, Sink, Stopped, host};
pub use join::Join;
