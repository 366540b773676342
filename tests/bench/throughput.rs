//! Throughput and cost of the host against a raw copy loop, on a real broker, in one run.
//!
//! `make bench`. Environment: `BENCH_RECORDS` (2,000,000), `BENCH_ROUNDS` (3). A topic of four partitions is filled with
//! JSON values of 200 bytes; then, in turn, round by round:
//!
//! | what | does |
//! |---|---|
//! | copy loop | rdkafka alone: `BaseConsumer::poll` to `BaseProducer::send`, idempotent, acks=all |
//! | pass-through | `tidemill run`, one worker, a function that forwards each record |
//! | JSON map | `tidemill run`, one worker, a function that parses each record, decides, and writes it again |
//!
//! Each runs as a process of its own. What counts is its CPU time (user and system, all threads, from /proc) per million
//! records, between the first output seen and the last: the machine may be noisy, CPU time is less so. Printed is each
//! round, then the medians and their ratio to the copy loop.

#[path = "../acceptance/broker.rs"]
#[expect(dead_code, reason = "the acceptance tests use more of it")]
mod broker;
mod copy;
mod process;
mod watch;

use std::{
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

use process::{component, cpu_seconds, setting, spawn};
use watch::Watcher;

const PARTITIONS: i32 = 4;
const INPUT: &str = "bench.input";
/// How often the output's end is looked at.
const LOOK: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(300);

/// One run.
#[derive(Debug, Clone, Copy)]
struct Figure {
    records_per_second: f64,
    cpu_seconds_per_million: f64,
}

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    match args.next().as_deref() {
        Some("copy") => {
            let (bootstrap, output) =
                (args.next().expect("an address"), args.next().expect("a topic"));
            copy::run(&bootstrap, INPUT, &output, PARTITIONS);
        }
        // `cargo bench -- FILTER` is for other benchmarks.
        Some(_) => {}
        None => compare(),
    }
}

fn compare() {
    let (records, rounds) = (setting("BENCH_RECORDS", 2_000_000), setting("BENCH_ROUNDS", 3));
    let component = component("guest-bench");
    println!(
        "filling {INPUT} with {records} records of 200 bytes over {PARTITIONS} partitions ..."
    );
    broker::create_topic(INPUT, PARTITIONS);
    copy::fill(broker::bootstrap(), INPUT, records);
    let mut figures: Vec<(&str, Vec<Figure>)> =
        ["copy loop", "pass-through", "JSON map"].map(|name| (name, Vec::new())).into();
    println!("{:<8}{:<16}{:>14}{:>24}", "round", "what", "records/s", "CPU-s per million");
    for round in 1..=rounds {
        for (name, figures) in &mut figures {
            let output = format!("bench.output.{}.{round}", name.replace(' ', "-"));
            broker::create_topic(&output, PARTITIONS);
            let folder = tempfile::tempdir().expect("a folder");
            let child = match *name {
                "copy loop" => copy_loop(&output),
                "pass-through" => host(folder.path(), &component, "pass_through", &output),
                _ => host(folder.path(), &component, "json_map", &output),
            };
            let figure = measure(child, &output, records);
            watch::delete(&output);
            let Figure { records_per_second, cpu_seconds_per_million } = figure;
            println!(
                "{round:<8}{name:<16}{records_per_second:>14.0}{cpu_seconds_per_million:>24.2}"
            );
            figures.push(figure);
        }
    }
    let medians: Vec<(&str, Figure)> =
        figures.iter().map(|(name, figures)| (*name, median(figures))).collect();
    let copy = medians[0].1;
    println!(
        "{:<8}{:<16}{:>14}{:>24}{:>16}",
        "median", "what", "records/s", "CPU-s per million", "of the loop's"
    );
    for (name, figure) in medians {
        let Figure { records_per_second, cpu_seconds_per_million } = figure;
        let ratio = cpu_seconds_per_million / copy.cpu_seconds_per_million;
        println!(
            "{:<8}{name:<16}{records_per_second:>14.0}{cpu_seconds_per_million:>24.2}{ratio:>16.2}",
            ""
        );
    }
}

fn median(figures: &[Figure]) -> Figure {
    let middle = |value: fn(&Figure) -> f64| {
        let mut values: Vec<f64> = figures.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Figure {
        records_per_second: middle(|figure| figure.records_per_second),
        cpu_seconds_per_million: middle(|figure| figure.cpu_seconds_per_million),
    }
}

fn copy_loop(output: &str) -> Child {
    let here = std::env::current_exe().expect("this program has a path");
    spawn(Command::new(here).args(["copy", broker::bootstrap(), output]))
}

fn host(folder: &Path, component: &Path, function: &str, output: &str) -> Child {
    let app = output.replace("bench.output.", "bench-").replace('.', "-").to_lowercase();
    let manifest = format!(
        r#"
app = "{app}"
guarantee = "at-least-once"
[host]
workers = 1
listen = "127.0.0.1:0"
[kafka]
"bootstrap.servers" = "{}"
[functions.{function}]
module = "{}"
inputs = ["{INPUT}"]
outputs = {{ out = "{output}" }}
"#,
        broker::bootstrap(),
        component.display()
    );
    process::run(folder, &manifest)
}

/// Watches the output until everything is there, and ends the process.
fn measure(mut child: Child, output: &str, records: u64) -> Figure {
    let target = i64::try_from(records).expect("few records");
    let deadline = Instant::now() + PATIENCE;
    let watcher = Watcher::new(output, PARTITIONS);
    let first = look(&mut child, &watcher, deadline, 1);
    let last = look(&mut child, &watcher, deadline, target);
    process::terminate(child);
    #[expect(clippy::cast_precision_loss, reason = "records are far below 2^52")]
    let handled = (last.records - first.records) as f64;
    Figure {
        records_per_second: handled / last.at.duration_since(first.at).as_secs_f64(),
        cpu_seconds_per_million: (last.cpu_seconds - first.cpu_seconds) / (handled / 1e6),
    }
}

struct Sample {
    at: Instant,
    records: i64,
    cpu_seconds: f64,
}

fn look(child: &mut Child, watcher: &Watcher, deadline: Instant, records: i64) -> Sample {
    loop {
        let there = watcher.records();
        if there >= records {
            return Sample {
                at: Instant::now(),
                records: there,
                cpu_seconds: cpu_seconds(child.id()),
            };
        }
        assert!(Instant::now() < deadline, "{there} of {records} records are there");
        assert!(child.try_wait().expect("a child").is_none(), "the process ended early");
        std::thread::sleep(LOOK);
    }
}
