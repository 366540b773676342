//! The Tidemill host: runs WebAssembly functions on Kafka topics.

pub mod metrics;
pub mod record;
