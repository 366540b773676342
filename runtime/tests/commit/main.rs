//! Commits that are cut: at every step, on either side of it, by every kind of fault; while workers die, partitions move,
//! and disks are lost. Afterwards each input was counted exactly once.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod function;
mod random;
mod recovery;
mod steps;
mod world;
