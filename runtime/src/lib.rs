//! The Tidemill host: runs WebAssembly functions on Kafka topics.

pub mod clock;
pub mod guest;
pub mod manifest;
pub mod metrics;
pub mod record;
pub mod registry;
