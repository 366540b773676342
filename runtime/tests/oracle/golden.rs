//! What Kafka Streams makes of cases: the files that `tests/oracle/regenerate` writes.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// One operator and its parameters; times are milliseconds.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Shape {
    pub(crate) operator: String,
    #[serde(default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) size: u64,
    pub(crate) advance: Option<u64>,
    #[serde(default)]
    pub(crate) gap: u64,
    #[serde(default)]
    pub(crate) before: u64,
    #[serde(default)]
    pub(crate) after: u64,
    #[serde(default)]
    pub(crate) grace: u64,
    #[serde(default)]
    pub(crate) emit: String,
    /// `disk`: what Kafka Streams loses by default is lost.
    #[serde(default)]
    pub(crate) stores: String,
}

/// A record that enters.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "(u16, Option<String>, Option<i64>, i64)")]
pub(crate) struct Arrival {
    /// 0: a stream, or what is on the left.
    pub(crate) side: u16,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<i64>,
    pub(crate) timestamp: i64,
}

impl From<(u16, Option<String>, Option<i64>, i64)> for Arrival {
    fn from((side, key, value, timestamp): (u16, Option<String>, Option<i64>, i64)) -> Self {
        Arrival { side, key, value, timestamp }
    }
}

/// A record that leaves: key, value, timestamp; and of a windowed one start and end.
pub(crate) type Outcome = Value;

/// Records, and what comes of each.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    #[serde(rename = "in")]
    pub(crate) arrivals: Vec<Arrival>,
    #[serde(rename = "out")]
    pub(crate) outcomes: Vec<Vec<Outcome>>,
}

/// Cases of one shape.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) shape: Shape,
    pub(crate) cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Head { shape: Shape },
    Case(Case),
}

/// Where `tests/oracle` is.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/oracle")
}

/// The names of all files of goldens, without their endings, as `written/NAME` or `generated/NAME`.
pub(crate) fn names() -> Vec<String> {
    let mut names = Vec::new();
    for kind in ["written", "generated"] {
        let files =
            std::fs::read_dir(folder().join("goldens").join(kind)).expect("goldens are there");
        for file in files {
            let file = file.expect("a folder can be read").file_name();
            let (name, _) = file.to_str().and_then(|name| name.split_once('.')).expect("a name");
            names.push(format!("{kind}/{name}"));
        }
    }
    names.sort_unstable();
    names
}

/// The groups of a file, by its name as [`names`] has it.
pub(crate) fn read(name: &str) -> Vec<Group> {
    let mut path = folder().join("goldens").join(name);
    path.set_extension("jsonl");
    let text = if name.starts_with("generated") {
        path.as_mut_os_string().push(".zst");
        let file = std::fs::File::open(&path).expect("goldens are there");
        zstd::decode_all(file).expect("goldens are whole")
    } else {
        std::fs::read(&path).expect("goldens are there")
    };
    let mut groups: Vec<Group> = Vec::new();
    for line in std::str::from_utf8(&text).expect("UTF-8").lines() {
        match serde_json::from_str(line) {
            Ok(Line::Head { shape }) => groups.push(Group { shape, cases: Vec::new() }),
            Ok(Line::Case(case)) => {
                assert_eq!(case.arrivals.len(), case.outcomes.len(), "{name}, {}", case.name);
                groups.last_mut().expect("a head comes first").cases.push(case);
            }
            Err(error) => panic!("{name}: {error}: {line}"),
        }
    }
    groups
}
