//! Hosts and brokers die at any moment, and nothing is lost or counted twice.
//!
//! The workload is `running-total`: of each key the sum of its amounts so far, kept by the host. The input itself says
//! what the outputs must be, so a check needs nothing but the topics. Beside it run a count in windows and a join of two
//! streams ([`windowed`]), in the storm under exactly-once. A seed drives everything that is left to chance;
//! it is printed, and `CRASH_SEED` repeats it, as far as a machine repeats itself. `CRASH_MINUTES` makes the chaos go on
//! for longer than the regular number of kills.

mod amounts;
mod chaos;
mod check;
mod counts;
mod events;
mod fleet;
mod handover;
mod pairs;
mod recovery;
mod seeded;
mod storms;
mod totals;
mod windowed;
