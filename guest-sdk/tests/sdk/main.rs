//! The SDK as authors of functions use it: worked examples, every extractor, every way to fail.

mod batches;
mod describe;
mod extractors;
mod failures;
mod hello;
mod inputs;
mod outputs;
mod settle;
mod tricky;
