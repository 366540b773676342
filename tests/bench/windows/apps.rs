//! The workloads: which topics they read, what their manifests say.

use std::{collections::BTreeSet, path::Path, time::Duration};

use rdkafka::{consumer::Consumer as _, metadata::MetadataTopic};

use super::{
    Settings,
    cost::{Cost, Sample},
    events::{self, Rows},
};
use crate::{amounts::PARTITIONS, broker, host::Host};

const REQUEST_LIMIT: Duration = Duration::from_secs(30);
const EVENTS: &str = "bench.events";
const EVENTS_OF_USERS: &str = "bench.events-of-users";
const USERS: &str = "bench.users";
const LEFT: &str = "bench.left";
const RIGHT: &str = "bench.right";
const KEYS: u64 = 10_000;
/// One row is written for so many events.
const EVENTS_PER_UPDATE: u64 = 20;

/// An app that is measured.
pub struct Workload {
    pub name: &'static str,
    inputs: &'static [&'static str],
    app: App,
}

/// What a manifest says beside the usual; the app's one output is the topic `OUTPUT`, its component `MODULE`.
enum App {
    Function(&'static str),
    /// A window, and how results come out; where they do not, they can be read only.
    Store(&'static str, Option<&'static str>),
    Join {
        join: &'static str,
        function: &'static str,
    },
}

pub const PASS_THROUGH: &str = "pass-through function";
const TUMBLING: &str = "tumbling 10 s, read only";
const TUMBLING_FINAL: &str = "tumbling 10 s, results at the end";
const HOPPING: &str = "hopping 60 s / 1 s, read only";
const HOPPING_FINAL: &str = "hopping 60 s / 1 s, results at the end";

pub const WORKLOADS: [Workload; 8] = [
    Workload { name: PASS_THROUGH, inputs: &[EVENTS], app: App::Function("pass_through") },
    Workload {
        name: TUMBLING,
        inputs: &[EVENTS],
        app: App::Store(r#"{ tumbling = "10s" }"#, None),
    },
    Workload {
        name: HOPPING,
        inputs: &[EVENTS],
        app: App::Store(r#"{ hopping = "60s", advance = "1s" }"#, None),
    },
    Workload {
        name: TUMBLING_FINAL,
        inputs: &[EVENTS],
        app: App::Store(r#"{ tumbling = "10s" }"#, Some("final")),
    },
    Workload {
        name: HOPPING_FINAL,
        inputs: &[EVENTS],
        app: App::Store(r#"{ hopping = "60s", advance = "1s" }"#, Some("final")),
    },
    Workload {
        name: "session, results at the end",
        inputs: &[EVENTS],
        app: App::Store(r#"{ session = "2s" }"#, Some("final")),
    },
    Workload {
        name: "stream-table join, 5 % updates",
        inputs: &[EVENTS_OF_USERS],
        app: App::Join {
            join: r#"
[tables.users]
topic = "bench.users"
[joins.joined]
left = "bench.events-of-users"
right = "users"
kind = "left"
"#,
            function: "event_and_row",
        },
    },
    Workload {
        name: "stream-stream join 10 s",
        inputs: &[LEFT, RIGHT],
        app: App::Join {
            join: r#"
[joins.joined]
left = "bench.left"
right = "bench.right"
kind = "inner"
within = { before = "0s", after = "10s" }
"#,
            function: "two_events",
        },
    },
];

/// What is held against what.
pub const RATIOS: [(&str, &str); 3] =
    [(HOPPING, TUMBLING), (HOPPING_FINAL, TUMBLING_FINAL), (TUMBLING, PASS_THROUGH)];

/// Fills the topics that some workloads read.
pub fn fill(workloads: &[&Workload], settings: Settings) {
    let inputs: BTreeSet<&str> =
        workloads.iter().flat_map(|workload| workload.inputs).copied().collect();
    for input in inputs {
        let (keys, part) = match input {
            LEFT => (settings.rows, (0, 2)),
            RIGHT => (settings.rows, (1, 2)),
            EVENTS_OF_USERS => (settings.rows, (0, 1)),
            _ => (KEYS, (0, 1)),
        };
        events::fill(input, settings.events, keys, part);
    }
}

impl Workload {
    /// From the first commit seen to the last.
    pub fn run(&self, app: &str, component: &Path, settings: Settings) -> Cost {
        let output = format!("{app}.out");
        broker::create_topic(&output, PARTITIONS);
        let mut rows =
            self.inputs.contains(&EVENTS_OF_USERS).then(|| Rows::fill(USERS, settings.rows));
        let folder = tempfile::tempdir().expect("a folder");
        let inputs = self.inputs.iter().map(|input| (*input).to_owned()).collect();
        let mut host = Host::start(app, inputs, folder.path(), |data, listen| {
            self.manifest(app, component, &output, data, listen)
        });
        let watch = host.watch();
        let first = host.reach(&watch, 1);
        let first = Sample::of(&host, app, first);
        let all = i64::try_from(settings.events).expect("few events");
        if let Some(rows) = &mut rows {
            let mut handled = 0;
            while handled < all {
                rows.update(u64::try_from(handled).expect("positive") / EVENTS_PER_UPDATE);
                handled = host.reach(&watch, (handled + 1).min(all)).1;
            }
        }
        let last = host.reach(&watch, all);
        let last = Sample::of(&host, app, last);
        host.stop();
        // The next one needs their room.
        let (metadata, own) = (watch.fetch_metadata(None, REQUEST_LIMIT), format!("{app}."));
        for topic in metadata.expect("an answer").topics().iter().map(MetadataTopic::name) {
            if topic.starts_with(&own) || (rows.is_some() && topic == USERS) {
                broker::kafka().delete_topic(topic);
            }
        }
        Cost::between(&first, &last)
    }

    fn manifest(
        &self,
        app: &str,
        component: &Path,
        output: &str,
        data: &Path,
        listen: &str,
    ) -> String {
        let (bootstrap, data) = (broker::bootstrap(), data.display());
        let function = |name: &str, input: &str| {
            format!(
                "[functions.{name}]\nmodule = \"{}\"\ninputs = [\"{input}\"]\noutputs = {{ out = \"{output}\" }}\n",
                component.display()
            )
        };
        let sections = match &self.app {
            App::Function(name) => function(name, self.inputs[0]),
            App::Join { join, function: name } => format!("{join}{}", function(name, "joined")),
            App::Store(window, emit) => {
                let emit = emit.map(|emit| {
                    format!("emit = \"{emit}\"\nidle = \"off\"\noutput = \"{output}\"\n")
                });
                format!(
                    r#"[stores.counted]
from = "{EVENTS}"
window = {window}
grace = "1s"
compute = {{ n = "count()", sum = "sum(v)", least = "min(v)", most = "max(v)", mean = "avg(v)" }}
{}"#,
                    emit.unwrap_or_default()
                )
            }
        };
        format!(
            r#"app = "{app}"
start = "earliest"
commit-interval = "100ms"

[host]
workers = 1
data = "{data}"
listen = "{listen}"

[kafka]
"bootstrap.servers" = "{bootstrap}"

{sections}"#
        )
    }
}
