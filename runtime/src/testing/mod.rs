//! Tests of functions without a broker: case files and what they are replayed on.

pub mod case;
mod driver;
mod effect;

pub use driver::{DriveError, DriverSettings, TaskDriver};
pub use effect::{Effect, Header, Stimulus};
