//! The nodes of a topology at work. One file each; none of them knows Kafka or files.

mod aggregate;
mod filter;
mod function;
mod host;
mod hosted;
mod join;
mod project;
mod rekey;

pub use aggregate::Aggregate;
pub use filter::{Filter, Passing};
pub use function::{Called, Cost, Entry, Function, OutputCheck, Reason, Tally};
pub use host::{Arrival, Ask, Due, Host, Out, Sent};
pub use hosted::{Hosted, Operator, Sink, Stopped, host};
pub use join::Join;
pub use project::Project;
pub use rekey::Rekey;
