//! Throughput: counting by key, and passing through, by guarantee.

use std::{collections::BTreeMap, path::PathBuf, process::Command, time::Duration};

use super::{
    amounts::{self, PARTITIONS, Spread},
    bare,
    host::App,
    table::{Table, median, thousands},
};
use crate::{
    broker,
    process::{self, setting},
};

/// One run.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    pub records_per_second: f64,
    pub cpu_seconds_per_million: f64,
    /// The middle commit, and one in a hundred, where there are any.
    pub commit_ms: [f64; 2],
}

impl Figure {
    pub fn of(records: u64, time: Duration, cpu_seconds: f64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "records are far below 2^52")]
        let records = records as f64;
        Figure {
            records_per_second: records / time.as_secs_f64(),
            cpu_seconds_per_million: cpu_seconds / (records / 1e6),
            commit_ms: [f64::NAN; 2],
        }
    }

    fn told(&self) -> String {
        let (rate, cpu) = (thousands(self.records_per_second), self.cpu_seconds_per_million);
        format!("{rate}/s, {cpu:.2} CPU-s/M")
    }
}

const GUARANTEES: [&str; 2] = ["at-least-once", "exactly-once"];

pub fn measure(table: &mut Table) {
    let (keys, amounts) = (setting("BENCH_KEYS", 1_000_000), setting("BENCH_AMOUNTS", 3_000_000));
    let rounds = setting("BENCH_ROUNDS", 3);
    let totals = running_total();
    for (name, spread) in [("uniform", Spread::Uniform), ("zipf", Spread::Zipf)] {
        let input = format!("bench.amounts.{name}");
        amounts::fill(&input, spread, keys, amounts);
        let mut figures = BTreeMap::<&str, Vec<Figure>>::new();
        for round in 1..=rounds {
            figures.entry("bare").or_default().push(bare::measure(spread, keys, amounts));
            for guarantee in GUARANTEES {
                let app = format!("bench-count-{name}-{guarantee}-{round}");
                let app = App {
                    name: &app,
                    guarantee,
                    component: &totals,
                    function: "running-total",
                    input: &input,
                    output: &format!("{app}.totals"),
                    output_name: "totals",
                    properties: "",
                };
                figures.entry(guarantee).or_default().push(run(&app, amounts));
                broker::kafka().delete_topic(&format!("{}.total.changelog", app.name));
            }
        }
        tell(table, &format!("count, {name}"), &figures);
        broker::kafka().delete_topic(&input);
    }
    pass_through(table, rounds);
}

fn pass_through(table: &mut Table, rounds: u64) {
    let records = setting("BENCH_RECORDS", 2_000_000);
    let component = process::component("guest-bench");
    let input = "bench.records";
    broker::create_topic(input, PARTITIONS);
    crate::copy::fill(broker::bootstrap(), input, records);
    let mut figures = BTreeMap::<&str, Vec<Figure>>::new();
    for round in 1..=rounds {
        for guarantee in GUARANTEES {
            let app = format!("bench-pass-{guarantee}-{round}");
            let app = App {
                name: &app,
                guarantee,
                component: &component,
                function: "pass_through",
                input,
                output: &format!("{app}.out"),
                output_name: "out",
                properties: "",
            };
            figures.entry(guarantee).or_default().push(run(&app, records));
        }
    }
    tell(table, "pass-through", &figures);
    broker::kafka().delete_topic(input);
}

/// From the first commit seen to the last.
fn run(app: &App<'_>, records: u64) -> Figure {
    broker::create_topic(app.output, PARTITIONS);
    let folder = tempfile::tempdir().expect("a folder");
    let mut host = app.start(folder.path());
    let watch = host.watch();
    let (began, first, cpu_before) = host.reach(&watch, 1);
    let all = i64::try_from(records).expect("few records");
    let (ended, last, cpu_after) = host.reach(&watch, all);
    let handled = u64::try_from(last - first).expect("positions grow");
    let mut figure = Figure::of(handled, ended - began, cpu_after - cpu_before);
    figure.commit_ms =
        [0.5, 0.99].map(|quantile| host.quantile_ms("tidemill_app_commit_seconds", quantile));
    host.stop();
    broker::kafka().delete_topic(app.output);
    println!("  {}: {}", app.name, figure.told());
    figure
}

fn tell(table: &mut Table, what: &str, figures: &BTreeMap<&str, Vec<Figure>>) {
    let of = |name: &str| {
        let figures = &figures[name];
        let middle = |value: fn(&Figure) -> f64| median(figures.iter().map(value));
        Figure {
            records_per_second: middle(|figure| figure.records_per_second),
            cpu_seconds_per_million: middle(|figure| figure.cpu_seconds_per_million),
            commit_ms: [middle(|figure| figure.commit_ms[0]), middle(|figure| figure.commit_ms[1])],
        }
    };
    let (at_least, exactly) = (of("at-least-once"), of("exactly-once"));
    let ratio = exactly.records_per_second / at_least.records_per_second;
    if figures.contains_key("bare") {
        let bare = of("bare");
        let part = at_least.records_per_second / bare.records_per_second;
        let against = format!("{part:.2} of bare RocksDB at {}", bare.told());
        table.row(&format!("{what}, at-least-once"), at_least.told(), against, "");
    } else {
        table.row(&format!("{what}, at-least-once"), at_least.told(), String::new(), "");
    }
    let against = format!("{ratio:.2} of at-least-once");
    table.row(&format!("{what}, exactly-once"), exactly.told(), against, ">= 0.85");
    let [middle, slow] = exactly.commit_ms;
    let commits = format!("p50 {middle:.1} ms, p99 {slow:.1} ms");
    table.row(&format!("{what}, commits"), commits, "one every 100 ms".into(), "");
}

/// The ready-made function, built from source.
pub fn running_total() -> PathBuf {
    let path = tempfile::tempdir().expect("a folder").keep().join("running-total.wasm");
    let source = broker::repository().join("functions/running-total");
    let built =
        Command::new(process::tidemill()).arg("build").arg(source).arg("-o").arg(&path).output();
    let built = built.expect("tidemill runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    path
}
