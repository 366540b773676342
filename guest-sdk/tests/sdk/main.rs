//! The SDK as authors of functions use it: worked examples, every extractor, every way to fail.

mod aggregates;
mod batches;
mod describe;
mod extractors;
mod failures;
mod hello;
mod inputs;
mod joins;
mod maps;
mod outputs;
mod reminders;
mod settle;
mod state;
mod tables;
mod timers;
mod tricky;
mod visits;
