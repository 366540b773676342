//! Tests of functions without a broker: case files and what they are replayed on.

pub mod case;
mod driver;
mod effect;
mod initial;
#[cfg(test)]
mod tests;

pub use driver::{DriveError, DriverSettings, TaskDriver};
pub use effect::{Effect, Header, Stimulus};
pub use initial::{Initial, InitialRow, InitialValue};
