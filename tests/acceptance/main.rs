//! The built binary, as its users run it, against a real Apache Kafka.
//!
//! Nothing but [`conformance`] uses the runtime as a library: what the other tests know is the command line, the HTTP
//! API and the topics. One broker serves them all, started by the first that asks ([`broker`]), and one cluster of three
//! those that kill brokers ([`cluster`]); each test has topics, groups and folders of its own, so they run side by side.
//! They wait for what they can see, never for time to pass.

mod broker;
mod cluster;
mod conformance;
mod crash;
mod examples;
mod host;
mod hostile;
mod http;
mod manifest;
mod newcomer;
mod oracle;
mod settlements;
mod settling;
mod trades;
mod uploads;
mod wait;
