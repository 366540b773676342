//! How long a killed host is away, with little state and with much.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{
    amounts::{self, PARTITIONS, Spread},
    host::{App, PATIENCE},
    rates,
    table::{Table, median, thousands},
};
use crate::{broker, process::setting};

/// The group misses a dead member after this.
const SESSION: Duration = Duration::from_secs(6);

pub fn measure(table: &mut Table) {
    let many = setting("BENCH_STATE_KEYS", 5_000_000);
    let component = rates::running_total();
    let rounds = setting("BENCH_ROUNDS", 3);
    let few = many / 100;
    let little = restarts(&component, few, rounds);
    let much = restarts(&component, many, rounds);
    #[expect(clippy::cast_precision_loss, reason = "keys are far below 2^52")]
    let keys = |keys: u64| thousands(keys as f64);
    table.row(
        &format!("restart after SIGKILL, {} keys", keys(many)),
        format!("{much:.2} s beyond the session's {} s", SESSION.as_secs()),
        format!("{little:.2} s with {} keys", keys(few)),
        "<= 2 s",
    );
}

/// Seconds from SIGKILL and a start at once to the first output, beyond the session's time-out.
fn restarts(component: &Path, keys: u64, rounds: u64) -> f64 {
    let name = format!("bench-restart-{keys}");
    let (input, output) = (format!("{name}.amounts"), format!("{name}.totals"));
    amounts::fill(&input, Spread::Once, keys, keys);
    broker::create_topic(&output, PARTITIONS);
    let properties = format!("\"session.timeout.ms\" = {}\n", SESSION.as_millis());
    let app = App {
        name: &name,
        guarantee: "exactly-once",
        component,
        function: "running-total",
        input: &input,
        output: &output,
        output_name: "totals",
        properties: &properties,
    };
    let folder = tempfile::tempdir().expect("a folder");
    let mut written = i64::try_from(keys).expect("few keys");
    // Stopped well once, so that all of the state but what comes later is on the disk.
    let mut host = app.start(folder.path());
    let watch = host.watch();
    host.reach(&watch, written);
    host.stop();
    let mut seconds = Vec::new();
    for _ in 0..rounds {
        let mut host = app.start(folder.path());
        amounts::append(&input, 0..1000);
        written += 1000;
        host.reach(&watch, written);
        let before: i64 = broker::ends(&output).iter().sum();
        host.kill();
        let killed = Instant::now();
        let host = app.start(folder.path());
        amounts::append(&input, 0..1000);
        written += 1000;
        while broker::ends(&output).iter().sum::<i64>() <= before {
            assert!(killed.elapsed() < PATIENCE, "{name}: no output");
            thread::sleep(Duration::from_millis(10));
        }
        let away = killed.elapsed();
        println!("  {name}: first output {:.2} s after SIGKILL", away.as_secs_f64());
        seconds.push(away.as_secs_f64() - SESSION.as_secs_f64());
        host.stop();
    }
    for topic in [&input, &output] {
        broker::kafka().delete_topic(topic);
    }
    median(seconds)
}
