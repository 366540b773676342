//! Tests of functions without a broker: case files and what they are replayed on.

pub mod case;
mod effect;

pub use effect::{Effect, Header, Stimulus};
