//! A task over a real store, with functions that are closures: what is undone, what fires when, what a guest that
//! misbehaves comes to.

mod contract;
mod harness;
mod hosts;
mod replay;
mod timers;
