//! The layout from both sides: what is written reads back equal, and bytes that nobody wrote are refused, never worse.

mod batch;
mod hostile;
mod joined;
mod outcome;
mod strategies;
