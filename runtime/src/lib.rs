//! The Tidemill host: runs WebAssembly functions on Kafka topics.
//!
//! One idea repeats at every scale: **a task owns its partitions; given records it returns effects; only the edges
//! touch the world.** Nothing that a function does has happened until the worker performs it, so undoing is dropping.
//!
//! # Follow a record
//! A trade arrives in topic `user_trades`, partition 3, and becomes a settlement:
//!
//! | step | where |
//! |---|---|
//! | The worker's thread steps its loop. | [`worker::Worker::step`] in `worker/mod.rs`, called by `supervisor/thread.rs` |
//! | The inbox gives a batch of one partition, copied once out of the client into [`record::Records`]. | [`broker::Inbox::poll`], in `broker/kafka` or `broker/memory` |
//! | The batch goes to the task of that partition number and waits its turn; event time is read from record, field or header. | `task/buffer.rs`, `task/time.rs` |
//! | A turn picks the next records: arrival order, or by time over several inputs. | [`task::Task::turn`] in `task/mod.rs` |
//! | They walk the nodes of the sub-topology, one guest call a node. | `task/process.rs` over [`topology::SubTopology`] |
//! | The function operator packs them into one list of bytes. | [`operator::Function::load`], layout in the crate `tidemill-layout` |
//! | The guest is called, under limits of time and memory. | [`guest::Instance`] in `guest/instance.rs` |
//! | What it asks of state goes to the task's overlay: under the key of the entry it names, on behalf of its row. | [`guest::Scope`] |
//! | Its answer is checked, and becomes emissions; inherited parts are not copied. | [`operator::Function::call`], `task/process.rs` |
//! | A record that fails is found and judged: again, later, or dead letter. | `task/failure.rs` |
//! | What rows that are not handled wrote is undone. A timer that falls due ends the turn and is the next one. | [`task::Task::turn`], `task/timers.rs` |
//! | The turn answers [`task::Effects`]: outputs and positions, as values. | `task/effects.rs` |
//! | The worker hands outputs to the outbox, each with a token that names its cause. | `worker/effects.rs`, [`broker::Outbox::produce`] |
//! | Acknowledgements come back and are ticked off, epoch by epoch. | `worker/ledger.rs` |
//! | A commit falls due: the epoch is sealed, and each key that changed becomes a changelog record. | `worker/commit.rs`, [`store::TaskState::seal`] |
//! | All is acknowledged: positions go into the transaction, it is committed, RocksDB takes what changed. | `worker/commit.rs`, [`store::Database::write`] |
//!
//! When the group takes a partition away, `worker/assignment.rs` finishes and commits first. When an output cannot be
//! produced, `worker/abort.rs` drops what is not committed and reads it again.
//!
//! # How state comes back
//! A partition that the group gives is opened and held; its task is brought up by `worker/restore.rs`:
//!
//! | step | where |
//! |---|---|
//! | The lease is had: no other worker of this process has the task's stores. | [`store::Database::lease`] |
//! | What RocksDB has is judged: resumed where it is provably a prefix of its changelog, else rebuilt, with the reason. | `worker/resume.rs` |
//! | Changelogs and tables are read to where they ended, in slices of the loop; other tasks go on. | `worker/follow.rs`, [`store::TaskState::restore`] |
//! | The task starts at the position that its state belongs to. | `worker/restore.rs` |
//!
//! Tables that are complete on every host are followed by one thread an app, `supervisor/follower.rs`. What is committed
//! is read from outside by `http/` through `supervisor/stores.rs`, without a word to the task.
//!
//! # The rooms
//! In reading order; each may use those above it, and the third column is what it never does.
//!
//! | module | what it is | never |
//! |---|---|---|
//! | [`record`] | plain values: records, offsets, positions, timestamps | I/O |
//! | [`partitioner`] | which partition a key belongs to | I/O |
//! | [`clock`] | the one place that asks the system for time | |
//! | [`metrics`] | every metric on one page | labels by key or partition; others use `prometheus` |
//! | [`store`] | stores over one RocksDB: layouts, overlay, changelog records, timers | read or write a topic; others use `rocksdb` |
//! | [`aggregate`] | aggregate stores: windows, what is computed, when it comes out | topics, formats |
//! | [`guest`] | engine, components, instances, limits, what a call may do with state | topics; others use `wasmtime` |
//! | [`topology`] | an app as a graph: built step by step, checked, cut | I/O, manifests, JSON as the only format |
//! | [`manifest`] | `tidemill.toml`, as written and as checked | look at topics or code |
//! | [`bind`] | manifest and code against each other, compiled to a graph | I/O |
//! | [`operator`] | the nodes at work | Kafka, files |
//! | [`task`] | buffer, time, timers, process, failure, effects | a client library, a thread, a clock |
//! | [`broker`] | the seams inbox, outbox, follower, admin; over rdkafka and as the embedded log | callbacks; others use `rdkafka` |
//! | [`worker`] | the loop: poll, tasks, effects, commit, assignment, restore | share a task |
//! | [`registry`] | uploaded functions by content, apps as accepted | run anything |
//! | [`supervisor`] | apps and their threads: start, swap, stop; topics checked first; tables of a host; reads of committed state | touch a task |
//! | [`http`] | management, health, metrics | the data path |
//! | [`testing`] | the [`testing::TaskDriver`] and case files | a broker |
//! | [`cli`] | the command line | |
//!
//! The test `rooms` at the end of this file reads the `use` lines and agrees.
//!
//! # Delivery
//! Exactly-once, by default: outputs, changelog records, timers and input positions are one Kafka transaction a worker and
//! commit interval (100 ms; KIP-98, KIP-447), and RocksDB follows it. A crash leaves a transaction that aborts, or a
//! RocksDB that is one commit behind, which the changelog makes good. The order is in `worker/commit.rs`.
//!
//! At-least-once, by choice: positions are committed after the outputs and changelog records behind them are
//! acknowledged by all in-sync replicas. A crash makes the records since the last commit be handled again, on state
//! that may have counted them already.

pub mod aggregate;
pub mod bind;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod guest;
pub mod http;
pub mod manifest;
pub mod metrics;
pub mod operator;
pub mod partitioner;
pub mod record;
pub mod registry;
pub mod store;
pub mod supervisor;
pub mod task;
pub mod testing;
pub mod topology;
pub mod worker;

#[cfg(test)]
mod rooms;
