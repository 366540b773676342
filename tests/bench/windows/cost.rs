//! Where the CPU time of a host goes.

use std::{fs, time::Instant};

use super::{median, thousands};
use crate::host::Host;

/// What one run took. Seconds are of CPU time, a million events.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    records_per_second: f64,
    pub total: f64,
    guest: f64,
    operator: f64,
    store: f64,
}

/// What a host says of itself, and the system of its threads, at one time.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    at: Instant,
    records: i64,
    cpu: f64,
    guest: f64,
    operator: f64,
    sealing: f64,
    threads: Threads,
}

impl Sample {
    /// With so many records handled.
    pub fn of(host: &Host, app: &str, (at, records, cpu): (Instant, i64, f64)) -> Self {
        let metric = |name: &str| host.metric(name).expect("a host that is at work serves");
        Sample {
            at,
            records,
            cpu,
            guest: metric("tidemill_function_guest_seconds_total"),
            operator: metric("tidemill_operator_seconds_total"),
            sealing: metric("tidemill_app_store_seconds_total"),
            threads: Threads::of(host.pid(), app),
        }
    }
}

impl Cost {
    pub fn between(first: &Sample, last: &Sample) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "records are far below 2^52")]
        let millions = (last.records - first.records) as f64 / 1e6;
        let ran = last.threads.worker_ran - first.threads.worker_ran;
        let waited = last.threads.worker_waited - first.threads.worker_waited;
        let running = ran / (ran + waited);
        let in_worker = |of: fn(&Sample) -> f64| (of(last) - of(first)) * running / millions;
        let disk = (last.threads.disk - first.threads.disk) / millions;
        Cost {
            records_per_second: millions * 1e6 / (last.at - first.at).as_secs_f64(),
            total: (last.cpu - first.cpu) / millions,
            guest: in_worker(|sample| sample.guest),
            operator: in_worker(|sample| sample.operator),
            store: in_worker(|sample| sample.sealing) + disk,
        }
    }

    pub fn median(costs: &[Cost]) -> Self {
        let middle = |of: fn(&Cost) -> f64| median(costs.iter().map(of));
        Cost {
            records_per_second: middle(|cost| cost.records_per_second),
            total: middle(|cost| cost.total),
            guest: middle(|cost| cost.guest),
            operator: middle(|cost| cost.operator),
            store: middle(|cost| cost.store),
        }
    }

    pub fn title(what: &str) -> String {
        format!(
            "{what:<42}{:>12}{:>9}{:>9}{:>9}{:>10}{:>9}",
            "records/s", "total", "client", "guest", "operator", "store"
        )
    }

    pub fn row(&self, what: &str) -> String {
        let Cost { records_per_second, total, guest, operator, store } = self;
        let client = total - guest - operator - store;
        format!(
            "{what:<42}{:>12}{total:>9.2}{client:>9.2}{guest:>9.2}{operator:>10.2}{store:>9.2}",
            thousands(*records_per_second)
        )
    }
}

/// Seconds of threads that are told apart by their names.
#[derive(Debug, Clone, Copy, Default)]
struct Threads {
    worker_ran: f64,
    worker_waited: f64,
    disk: f64,
}

impl Threads {
    fn of(pid: u32, app: &str) -> Self {
        let (mut threads, worker) = (Threads::default(), format!("{app}-0"));
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is there");
        for task in tasks.flatten() {
            // A thread may end meanwhile.
            let read = |name: &str| fs::read_to_string(task.path().join(name)).ok();
            let (Some(name), Some(times)) = (read("comm"), read("schedstat")) else { continue };
            // Nanoseconds on a processor, and ready to run without one.
            let mut times = times.split(' ').map(|time| time.parse::<f64>().unwrap_or(0.0) / 1e9);
            let (ran, waited) = (times.next().unwrap_or(0.0), times.next().unwrap_or(0.0));
            if name.trim() == worker {
                (threads.worker_ran, threads.worker_waited) = (ran, waited);
            } else if name.starts_with("rocksdb:") {
                threads.disk += ran;
            }
        }
        threads
    }
}
