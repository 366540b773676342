//! What state, exactly-once and coming back cost, on a real broker, in one run; one table at the end.
//!
//! `make bench`. Environment: `BENCH_KEYS` (1,000,000), `BENCH_AMOUNTS` (3,000,000 updates of them), `BENCH_RECORDS`
//! (2,000,000 of 200 bytes for pass-through), `BENCH_STATE_KEYS` (5,000,000 keys of local state for a restart),
//! `BENCH_ROUNDS` (3).
//!
//! | what | is held against |
//! |---|---|
//! | keyed count: `running-total`, one worker, uniform and Zipf 1.0 | a bare loop of RocksDB get and put on the same keys |
//! | exactly-once, keyed count and pass-through, commits every 100 ms | the same at-least-once |
//! | restore of a wiped host | a plain consume of the same changelog |
//! | start to first output after SIGKILL, much state | the group's session time-out, and little state |
//!
//! Rounds alternate, medians count, and CPU time is told beside rates, since a machine may be noisy.

#[path = "../../acceptance/broker.rs"]
#[expect(dead_code, reason = "the acceptance tests use more of it")]
mod broker;
#[path = "../copy.rs"]
#[expect(dead_code, reason = "the other benchmark copies too")]
mod copy;
#[path = "../../acceptance/http.rs"]
#[expect(dead_code, reason = "the acceptance tests use more of it")]
mod http;
#[path = "../process.rs"]
mod process;
#[path = "../../acceptance/crash/seeded.rs"]
#[expect(dead_code, reason = "the acceptance tests use more of it")]
mod seeded;

mod amounts;
mod bare;
mod host;
mod rates;
mod restart;
mod restore;
mod table;

use table::Table;

fn main() {
    // `cargo bench -- FILTER` is for other benchmarks, but for a part of this one by name.
    let part = std::env::args().skip(1).find(|arg| arg != "--bench");
    let wanted = |name: &str| part.as_deref().is_none_or(|part| part == name);
    let mut table = Table::default();
    if wanted("rates") {
        rates::measure(&mut table);
    }
    if wanted("restore") {
        restore::measure(&mut table);
    }
    if wanted("restart") {
        restart::measure(&mut table);
    }
    table.print();
}
