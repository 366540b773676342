//! Every metric: its name, labels and help on one page.
//!
//! The only user of `prometheus`. Labels are looked up once, when a handle is made; counting through a handle is an
//! atomic add, so handles belong where records are counted a batch at a time. Names start with `tidemill_` and end
//! in their unit or in `_total`. Nothing is labelled by key or partition: the number of series depends on what is
//! deployed, never on the data.

use std::{sync::Arc, time::Duration};

use prometheus::{
    Counter, CounterVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

const APP: &[&str] = &["app"];
const FUNCTION: &[&str] = &["app", "function"];
const OPERATOR: &[&str] = &["app", "operator"];
const FAULT: &[&str] = &["app", "function", "kind"];

/// Seconds: a commit takes some milliseconds on a broker nearby, and no longer than the transaction time-out. Close
/// together where the median and the 99th percentile are to be read.
const COMMIT_SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0,
];

/// All metrics of a process. Cheap to clone; clones count into the same series.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Families>);

#[derive(Debug)]
struct Families {
    registry: Registry,
    records_in: IntCounterVec,
    records_out: IntCounterVec,
    bytes_in: IntCounterVec,
    bytes_out: IntCounterVec,
    invocations: IntCounterVec,
    guest_seconds: CounterVec,
    late: IntCounterVec,
    operator_seconds: CounterVec,
    faults: IntCounterVec,
    retries: IntCounterVec,
    dead_letters: IntCounterVec,
    lag: IntGaugeVec,
    partitions: IntGaugeVec,
    commits: IntCounterVec,
    aborts: IntCounterVec,
    transactions_aborted: IntCounterVec,
    restored_records: IntCounterVec,
    restored_bytes: IntCounterVec,
    restoring: IntGaugeVec,
    paused: IntGaugeVec,
    uncommitted: IntGaugeVec,
    state_bytes: IntGauge,
    store_seconds: CounterVec,
    commit_seconds: HistogramVec,
}

impl Metrics {
    /// All metrics, with no series yet.
    pub fn new() -> Self {
        let registry = Registry::new();
        let counter = |name, labels, help| {
            let family = IntCounterVec::new(Opts::new(name, help), labels).expect(VALID);
            registry.register(Box::new(family.clone())).expect(UNIQUE);
            family
        };
        let gauge = |name, labels, help| {
            let family = IntGaugeVec::new(Opts::new(name, help), labels).expect(VALID);
            registry.register(Box::new(family.clone())).expect(UNIQUE);
            family
        };
        let seconds = |name, labels, help| {
            let family = CounterVec::new(Opts::new(name, help), labels).expect(VALID);
            registry.register(Box::new(family.clone())).expect(UNIQUE);
            family
        };
        let state_bytes =
            IntGauge::new("tidemill_state_bytes", "Bytes of state on this host's disk.")
                .expect(VALID);
        registry.register(Box::new(state_bytes.clone())).expect(UNIQUE);
        let histogram = |name, labels, help, buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            let family = HistogramVec::new(options, labels).expect(VALID);
            registry.register(Box::new(family.clone())).expect(UNIQUE);
            family
        };
        Metrics(Arc::new(Families {
            records_in: counter(
                "tidemill_function_records_in_total",
                FUNCTION,
                "Records a function, or another step of the app by its name, handled; one that is tried again counts once.",
            ),
            records_out: counter(
                "tidemill_function_records_out_total",
                FUNCTION,
                "Records a function, or another step of the app by its name, emitted, to topics and to other steps.",
            ),
            bytes_in: counter(
                "tidemill_function_bytes_in_total",
                FUNCTION,
                "Bytes of keys, values and headers of the records a function handled.",
            ),
            bytes_out: counter(
                "tidemill_function_bytes_out_total",
                FUNCTION,
                "Bytes of keys, values and headers of the records a function emitted.",
            ),
            invocations: counter(
                "tidemill_function_invocations_total",
                FUNCTION,
                "Calls into the function's code; a call takes a batch of records.",
            ),
            guest_seconds: seconds(
                "tidemill_function_guest_seconds_total",
                FUNCTION,
                "Time spent in the function's code.",
            ),
            late: counter(
                "tidemill_operator_late_records_total",
                OPERATOR,
                "Records that came too late for every window of a store, or of a join; they go to the late topic where \
                 there is one.",
            ),
            operator_seconds: seconds(
                "tidemill_operator_seconds_total",
                OPERATOR,
                "Time spent in what the host does itself: stores that it aggregates, joins, re-keying.",
            ),
            faults: counter(
                "tidemill_function_faults_total",
                FAULT,
                "Records a function failed on, by kind: reject, error, panic, timeout, memory, output, retry, \
                 contract, init, state, partition, storage.",
            ),
            retries: counter(
                "tidemill_function_retries_total",
                FUNCTION,
                "Times a record was given to a function once more.",
            ),
            dead_letters: counter(
                "tidemill_function_dead_letters_total",
                FUNCTION,
                "Records written to the function's dead-letter topic.",
            ),
            lag: gauge(
                "tidemill_app_lag_records",
                APP,
                "Records in the app's inputs behind the committed positions, of the partitions assigned here.",
            ),
            partitions: gauge(
                "tidemill_app_assigned_partitions",
                APP,
                "Input partitions of the app that are assigned to this process.",
            ),
            commits: counter("tidemill_app_commits_total", APP, "Commits of positions."),
            aborts: counter(
                "tidemill_app_aborts_total",
                APP,
                "Times uncommitted work was dropped and read again from the committed positions.",
            ),
            transactions_aborted: counter(
                "tidemill_app_transactions_aborted_total",
                APP,
                "Transactions that were aborted; nobody who reads committed records sees what was in them.",
            ),
            restored_records: counter(
                "tidemill_app_restored_records_total",
                APP,
                "Records read from changelogs and tables to make the state of tasks complete.",
            ),
            restored_bytes: counter(
                "tidemill_app_restored_bytes_total",
                APP,
                "Bytes of keys, values and headers of those records.",
            ),
            restoring: gauge(
                "tidemill_app_restoring_records",
                APP,
                "Records of changelogs and tables that tasks still wait for: at most so many.",
            ),
            paused: gauge(
                "tidemill_app_paused_tasks",
                APP,
                "Tasks that stand still until the app is resumed or has other code.",
            ),
            uncommitted: gauge(
                "tidemill_app_uncommitted_bytes",
                APP,
                "Bytes of state that is written and not committed.",
            ),
            state_bytes,
            store_seconds: seconds(
                "tidemill_app_store_seconds_total",
                APP,
                "Time spent setting apart what changed in state at a commit, writing it to the disk, and deleting what is \
                 expired.",
            ),
            commit_seconds: histogram(
                "tidemill_app_commit_seconds",
                APP,
                "Time from the begin of a commit until it is known to be done, waiting for outputs included.",
                COMMIT_SECONDS,
            ),
            registry,
        }))
    }

    /// The series of an app, from now on shown even where they are zero.
    pub fn app(&self, app: &str) -> AppMetrics {
        let families = &self.0;
        AppMetrics {
            commits: families.commits.with_label_values(&[app]),
            aborts: families.aborts.with_label_values(&[app]),
            transactions_aborted: families.transactions_aborted.with_label_values(&[app]),
            restored_records: families.restored_records.with_label_values(&[app]),
            restored_bytes: families.restored_bytes.with_label_values(&[app]),
            restoring: families.restoring.with_label_values(&[app]),
            paused: families.paused.with_label_values(&[app]),
            uncommitted: families.uncommitted.with_label_values(&[app]),
            lag: families.lag.with_label_values(&[app]),
            partitions: families.partitions.with_label_values(&[app]),
            store_seconds: families.store_seconds.with_label_values(&[app]),
            commit_seconds: families.commit_seconds.with_label_values(&[app]),
            app: app.to_owned(),
            families: Arc::clone(families),
        }
    }

    /// What Prometheus reads.
    pub fn render(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.0.registry.gather())
            .expect("every family has a name and series")
    }

    /// What to call [`render`](Self::render)'s text in `Content-Type`.
    pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;
}

const VALID: &str = "name and labels are literals that follow Prometheus' rules";
const UNIQUE: &str = "every name is registered once";

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

/// The series of an app.
#[derive(Debug, Clone)]
pub struct AppMetrics {
    families: Arc<Families>,
    app: String,
    commits: IntCounter,
    aborts: IntCounter,
    transactions_aborted: IntCounter,
    restored_records: IntCounter,
    restored_bytes: IntCounter,
    restoring: IntGauge,
    paused: IntGauge,
    uncommitted: IntGauge,
    lag: IntGauge,
    partitions: IntGauge,
    store_seconds: Counter,
    commit_seconds: Histogram,
}

impl AppMetrics {
    /// The series of one of the app's functions.
    pub fn function(&self, function: &str) -> FunctionMetrics {
        let families = &self.families;
        let labels = &[self.app.as_str(), function];
        FunctionMetrics {
            records_in: families.records_in.with_label_values(labels),
            records_out: families.records_out.with_label_values(labels),
            bytes_in: families.bytes_in.with_label_values(labels),
            bytes_out: families.bytes_out.with_label_values(labels),
            invocations: families.invocations.with_label_values(labels),
            guest_seconds: families.guest_seconds.with_label_values(labels),
            faults: FaultKind::ALL.map(|kind| {
                families.faults.with_label_values(&[&self.app, function, kind.label()])
            }),
            retries: families.retries.with_label_values(labels),
            dead_letters: families.dead_letters.with_label_values(labels),
        }
    }

    /// The series of one of the app's steps that the host does itself.
    pub fn operator(&self, operator: &str) -> OperatorMetrics {
        let labels = &[self.app.as_str(), operator];
        OperatorMetrics {
            late: self.families.late.with_label_values(labels),
            seconds: self.families.operator_seconds.with_label_values(labels),
        }
    }

    /// A commit was done and took this long.
    pub fn committed(&self, took: Duration) {
        self.commits.inc();
        self.commit_seconds.observe(took.as_secs_f64());
    }

    /// The state of tasks was sealed, written or swept in this time.
    pub fn stored(&self, took: Duration) {
        self.store_seconds.inc_by(took.as_secs_f64());
    }

    /// Uncommitted work was dropped and is read again.
    pub fn aborted(&self) {
        self.aborts.inc();
    }

    /// A transaction was aborted.
    pub fn transaction_aborted(&self) {
        self.transactions_aborted.inc();
    }

    /// Records were read into a state.
    pub fn restored(&self, records: usize, bytes: usize) {
        self.restored_records.inc_by(records as u64);
        self.restored_bytes.inc_by(bytes as u64);
    }

    /// How many records were read to restore state.
    pub fn restored_records(&self) -> u64 {
        self.restored_records.get()
    }

    /// How much state is on this host's disk, of all apps.
    pub fn state_bytes(&self, bytes: u64) {
        self.families.state_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// One worker's part of what is to be restored.
    pub fn restoring(&self) -> Share {
        Share { gauge: self.restoring.clone(), part: 0 }
    }

    /// One worker's part of the paused tasks.
    pub fn paused(&self) -> Share {
        Share { gauge: self.paused.clone(), part: 0 }
    }

    /// One worker's part of what is not committed.
    pub fn uncommitted(&self) -> Share {
        Share { gauge: self.uncommitted.clone(), part: 0 }
    }

    /// One worker's part of the app's lag.
    pub fn lag(&self) -> Share {
        Share { gauge: self.lag.clone(), part: 0 }
    }

    /// One worker's part of the app's partitions.
    pub fn partitions(&self) -> Share {
        Share { gauge: self.partitions.clone(), part: 0 }
    }

    /// How often the app committed.
    pub fn commits(&self) -> u64 {
        self.commits.get()
    }
}

/// A part of a gauge that several workers make up together. Dropped, it takes its part back.
#[derive(Debug)]
pub struct Share {
    gauge: IntGauge,
    part: i64,
}

impl Share {
    /// Replaces this part.
    pub fn set(&mut self, part: usize) {
        let part = i64::try_from(part).unwrap_or(i64::MAX);
        self.gauge.add(part - self.part);
        self.part = part;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.gauge.sub(self.part);
    }
}

/// Why a function failed on a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// It said that the record is wrong.
    Reject,
    /// It said that it failed itself.
    Error,
    /// It panicked or trapped.
    Panic,
    /// It took longer than it may.
    Timeout,
    /// It wanted more memory than it may have.
    Memory,
    /// It emitted more than it may, or what cannot be emitted.
    Output,
    /// It asked for the record later.
    Retry,
    /// It answered what its contract does not allow.
    Contract,
    /// No instance of it can be made.
    Init,
    /// Bytes in its state that it cannot read.
    State,
    /// It emitted under a key of another partition where state is kept.
    Partition,
    /// State could not be read or written: nobody's fault but the disk's.
    Storage,
}

const FAULT_KINDS: usize = 12;

impl FaultKind {
    const ALL: [FaultKind; FAULT_KINDS] = [
        FaultKind::Reject,
        FaultKind::Error,
        FaultKind::Panic,
        FaultKind::Timeout,
        FaultKind::Memory,
        FaultKind::Output,
        FaultKind::Retry,
        FaultKind::Contract,
        FaultKind::Init,
        FaultKind::State,
        FaultKind::Partition,
        FaultKind::Storage,
    ];

    /// As in the label `kind`.
    pub fn label(self) -> &'static str {
        match self {
            FaultKind::Reject => "reject",
            FaultKind::Error => "error",
            FaultKind::Panic => "panic",
            FaultKind::Timeout => "timeout",
            FaultKind::Memory => "memory",
            FaultKind::Output => "output",
            FaultKind::Retry => "retry",
            FaultKind::Contract => "contract",
            FaultKind::Init => "init",
            FaultKind::State => "state",
            FaultKind::Partition => "partition",
            FaultKind::Storage => "storage",
        }
    }
}

/// The series of a function.
#[derive(Debug, Clone)]
pub struct FunctionMetrics {
    /// Records handled.
    pub records_in: IntCounter,
    /// Records emitted.
    pub records_out: IntCounter,
    /// Bytes of the records handled.
    pub bytes_in: IntCounter,
    /// Bytes of the records emitted.
    pub bytes_out: IntCounter,
    /// Calls into its code.
    pub invocations: IntCounter,
    /// Time in its code.
    pub guest_seconds: Counter,
    /// Records given to it once more.
    pub retries: IntCounter,
    /// Records written to its dead-letter topic.
    pub dead_letters: IntCounter,
    faults: [IntCounter; FAULT_KINDS],
}

/// The further series of a step that the host does itself.
#[derive(Debug, Clone)]
pub struct OperatorMetrics {
    /// Records that came too late for it.
    pub late: IntCounter,
    /// Time it took.
    pub seconds: Counter,
}

impl FunctionMetrics {
    /// The function failed on a record.
    pub fn fault(&self, kind: FaultKind) {
        self.faults[kind as usize].inc();
    }

    /// How often it failed, by kind.
    pub fn faults(&self) -> impl Iterator<Item = (FaultKind, u64)> {
        FaultKind::ALL.into_iter().zip(&self.faults).map(|(kind, counter)| (kind, counter.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_what_was_counted() {
        let metrics = Metrics::new();
        let app = metrics.app("trades");
        let settle = app.function("settle");
        settle.records_in.inc_by(3);
        settle.fault(FaultKind::Timeout);
        app.committed(Duration::from_millis(4));
        let text = metrics.render();
        for line in [
            r#"tidemill_function_records_in_total{app="trades",function="settle"} 3"#,
            r#"tidemill_function_faults_total{app="trades",function="settle",kind="timeout"} 1"#,
            r#"tidemill_function_faults_total{app="trades",function="settle",kind="retry"} 0"#,
            r#"tidemill_app_commit_seconds_bucket{app="trades",le="0.0025"} 0"#,
            r#"tidemill_app_commit_seconds_bucket{app="trades",le="0.005"} 1"#,
            r#"tidemill_app_lag_records{app="trades"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn names_end_in_their_unit() {
        let metrics = Metrics::new();
        metrics.app("a").function("f");
        for line in metrics.render().lines().filter(|line| line.starts_with("# TYPE ")) {
            let name = line.split(' ').nth(2).expect("a name");
            assert!(name.starts_with("tidemill_"), "{name}");
            let units = ["_total", "_seconds", "_records", "_partitions", "_bytes", "_tasks"];
            assert!(units.iter().any(|unit| name.ends_with(unit)), "{name}");
        }
    }

    #[test]
    fn parts_of_a_gauge_add_up_and_leave_with_their_worker() {
        let metrics = Metrics::new();
        let app = metrics.app("a");
        let (mut one, mut two) = (app.lag(), app.lag());
        one.set(5);
        two.set(7);
        one.set(2);
        assert!(metrics.render().contains("tidemill_app_lag_records{app=\"a\"} 9"));
        drop(two);
        assert!(metrics.render().contains("tidemill_app_lag_records{app=\"a\"} 2"));
    }

    #[test]
    fn kinds_index_their_counters() {
        for (index, kind) in FaultKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
    }
}
