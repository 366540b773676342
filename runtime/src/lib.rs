//! The Tidemill host: runs WebAssembly functions on Kafka topics.

pub mod broker;
pub mod clock;
pub mod guest;
pub mod manifest;
pub mod metrics;
pub mod operator;
pub mod record;
pub mod supervisor;
pub mod task;
pub mod topology;
pub mod worker;
