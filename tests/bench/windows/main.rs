//! What windows and joins cost, on a real broker, and where the cost is; one table at the end.
//!
//! `make bench`. Environment: `BENCH_EVENTS` (2,000,000), `BENCH_ROWS` (100,000 of a table), `BENCH_ROUNDS` (3). Events
//! are JSON of about 100 bytes, 20,000 of them in a second of event time, over 10,000 keys (joins: as many as the table has
//! rows). One worker, exactly once, commits every 100 ms. In turn, round by round, medians count:
//!
//! | what | does |
//! |---|---|
//! | pass-through | a function that forwards each event: what the client takes, for comparison |
//! | tumbling 10 s | count, sum, min, max and avg of a field; read by HTTP only, or results at the end of windows |
//! | hopping 60 s / 1 s | the same |
//! | session | the same, a pause of 2 s ending a session; results at the end |
//! | stream-table join | a function gets each event with its row; as events are handled, 5 % as many rows are written |
//! | stream-stream join 10 s | half of the events on each side, each with about one on the other within 10 s |
//!
//! What counts is CPU time of the process per million events, between the first commit seen and the last. It is split
//! by what the host says of itself, and by the system's accounts of its threads:
//!
//! | part | is |
//! |---|---|
//! | guest | time in the function's code |
//! | operator | time in the host's own operators: decoding, windows, joins, reads of state and writes to the overlay |
//! | store | sealing what changed and writing it to RocksDB, and RocksDB's own threads |
//! | client | the rest: rdkafka's threads, polling, walking, producing outputs and changelog records, transactions |
//!
//! The first three are times by the clock, in the worker's thread. They are taken for the part of them in which that
//! thread ran, and did not wait for a processor.

#[path = "../state/amounts.rs"]
#[expect(dead_code, reason = "the benchmark of state fills topics with it")]
mod amounts;
#[path = "../../acceptance/broker.rs"]
#[expect(dead_code, reason = "the acceptance tests use more of it")]
mod broker;
#[path = "../state/host.rs"]
#[expect(dead_code, reason = "the benchmark of state uses more of it")]
mod host;
#[path = "../../acceptance/http.rs"]
#[expect(dead_code, reason = "the acceptance tests use more of it")]
mod http;
#[path = "../process.rs"]
mod process;
#[path = "../../acceptance/crash/seeded.rs"]
#[expect(dead_code, reason = "the acceptance tests use more of it")]
mod seeded;
#[path = "../state/table.rs"]
#[expect(dead_code, reason = "the benchmark of state has another table")]
mod table;

mod apps;
mod cost;
mod events;

use std::collections::BTreeMap;

use apps::Workload;
use cost::Cost;
use process::setting;
use table::{median, thousands};

/// What is measured.
#[derive(Debug, Clone, Copy)]
struct Settings {
    events: u64,
    rows: u64,
}

fn main() {
    // `cargo bench -- FILTER` is for other benchmarks, but for a workload of this one by the beginning of its name.
    let part = std::env::args().skip(1).find(|arg| arg != "--bench");
    let wanted =
        |workload: &&Workload| part.as_deref().is_none_or(|part| workload.name.starts_with(part));
    let workloads: Vec<&Workload> = apps::WORKLOADS.iter().filter(wanted).collect();
    if workloads.is_empty() {
        return;
    }
    let rounds = setting("BENCH_ROUNDS", 3);
    let settings = Settings {
        events: setting("BENCH_EVENTS", 2_000_000),
        rows: setting("BENCH_ROWS", 100_000),
    };
    let component = process::component("guest-bench");
    println!("filling topics with {} events ...", settings.events);
    apps::fill(&workloads, settings);
    let mut costs = BTreeMap::<&str, Vec<Cost>>::new();
    println!("{}", Cost::title("round by round"));
    for round in 1..=rounds {
        for (index, workload) in workloads.iter().enumerate() {
            let app = format!("bw-{index}-{round}");
            let cost = workload.run(&app, &component, settings);
            println!("{}", cost.row(workload.name));
            costs.entry(workload.name).or_default().push(cost);
        }
    }
    println!("\n{}", Cost::title("medians, CPU-seconds per million events"));
    let medians: BTreeMap<&str, Cost> =
        costs.iter().map(|(name, costs)| (*name, Cost::median(costs))).collect();
    for workload in &workloads {
        println!("{}", medians[workload.name].row(workload.name));
    }
    println!();
    for (name, against) in apps::RATIOS {
        if let (Some(cost), Some(other)) = (medians.get(name), medians.get(against)) {
            println!("{name}: {:.2} of what {against} takes", cost.total / other.total);
        }
    }
}
