//! Uploading functions and binding them: what is wrong is refused and leaves nothing behind, what is right survives.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::host::{self, Host};
use crate::hostile::EMPTY_COMPONENT;
use crate::http::{self, Answer};
use crate::settlements::Settlements;
use crate::trades::{PARTITIONS, Source};
use crate::{broker, wait};

const LIMIT: Duration = Duration::from_secs(60);
const UPLOAD_BYTES_MAX: usize = 1024 * 1024;
const WASM: &str = "application/wasm";
const TOML: &str = "application/toml";

/// A folder that a host serves from, again and again.
struct Served {
    folder: tempfile::TempDir,
}

impl Served {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("making a folder");
        let properties = format!("bootstrap.servers={}\n", broker::bootstrap());
        fs::write(folder.path().join("main.properties"), properties).expect("writing a connection");
        Self { folder }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn start(&self) -> Host {
        let listen = host::free_address();
        let connection = format!("main={}", self.folder.path().join("main.properties").display());
        let data = self.data();
        let arguments = [
            "serve",
            "--data",
            data.to_str().expect("a temporary path is text"),
            "--kafka",
            &connection,
        ];
        let limit = UPLOAD_BYTES_MAX.to_string();
        let more = ["--listen", &listen, "--max-upload", &limit];
        Host::start(
            arguments.into_iter().chain(more),
            listen.clone(),
            &self.folder.path().join("log"),
        )
    }
}

/// Every file below a folder with its length, in order, without the cache of compiled code: what is compiled is cached by
/// its content, whatever becomes of it.
fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("reading a folder") {
            let entry = entry.expect("reading a folder");
            let metadata = entry.metadata().expect("a file that stays");
            if metadata.is_dir() {
                folders.extend((entry.file_name() != "cache").then(|| entry.path()));
            } else {
                found.push((entry.path(), metadata.len()));
            }
        }
    }
    found.sort();
    found
}

/// A problem document of this status that says `word`.
fn check_problem(answer: &Answer, status: u16, word: &str) {
    assert_eq!(
        (answer.status, answer.content_type.as_str()),
        (status, "application/problem+json"),
        "{answer:?}"
    );
    let problem = answer.json();
    assert_eq!(problem["status"], status, "{problem}");
    assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
    assert!(
        problem["detail"].as_str().is_some_and(|detail| detail.contains(word)),
        "{word:?} in {problem}"
    );
}

#[test]
fn an_upload_that_is_wrong_is_refused_and_leaves_nothing() {
    let served = Served::new();
    let host = served.start();
    let before = (files(&served.data()), http::get(&host.url("/functions")).unwrap().json());
    let settle = fs::read(host::settle()).expect("reading the component");

    let upload = |bytes: &[u8], status, word| {
        let answer = http::put(&host.url("/functions/settle"), WASM, bytes.to_vec()).unwrap();
        check_problem(&answer, status, word);
    };
    upload(b"this is no WebAssembly", 422, "not a WebAssembly component");
    upload(b"", 422, "not a WebAssembly component");
    upload(&settle[..settle.len() / 2], 422, "not a WebAssembly component");
    upload(EMPTY_COMPONENT, 422, "describe");
    upload(&vec![0; UPLOAD_BYTES_MAX + 1], 413, "1.0 MiB");
    let badly_named = http::put(&host.url("/functions/No%20Name"), WASM, settle).unwrap();
    check_problem(&badly_named, 400, "No Name");
    let unknown = manifest("uploads.none", "uploads.none-either").into_bytes();
    check_problem(&http::put(&host.url("/apps/uploads"), TOML, unknown).unwrap(), 422, "settle");
    check_problem(&http::get(&host.url("/apps/uploads")).unwrap(), 404, "uploads");
    check_problem(&http::get(&host.url("/nowhere")).unwrap(), 404, "nowhere");
    check_problem(&http::delete(&host.url("/functions")).unwrap(), 405, "method");

    let after = (files(&served.data()), http::get(&host.url("/functions")).unwrap().json());
    assert_eq!(after, before, "nothing is stored");
    assert!(host.terminate().success());
}

#[test]
fn an_uploaded_function_is_bound_watched_and_there_again_after_a_restart() {
    let served = Served::new();
    let (input, output) = ("uploads.trades", "uploads.settlements");
    broker::create_topic(input, PARTITIONS);
    broker::create_topic(output, PARTITIONS);
    let settle = fs::read(host::settle()).expect("reading the component");
    let host = served.start();

    let first = http::put(&host.url("/functions/settle"), WASM, settle.clone()).unwrap();
    assert_eq!(first.status, 201, "{first:?}");
    let facts = first.json();
    assert_eq!(
        (&facts["name"], &facts["version"]),
        (&Value::from("settle"), &Value::from(1)),
        "{facts}"
    );
    let digest = facts["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:"));
    assert_eq!(digest.map(str::len), Some(64), "{facts}");
    let again = http::put(&host.url("/functions/settle"), WASM, settle).unwrap();
    assert_eq!(
        (again.status, again.json()["version"].as_u64()),
        (200, Some(1)),
        "the same bytes are the same version"
    );

    let app =
        http::put(&host.url("/apps/uploads"), TOML, manifest(input, output).into_bytes()).unwrap();
    assert!([200, 201].contains(&app.status), "{app:?}");
    let mut settlements = Settlements::of(output);
    let source = Source::start(input);
    settlements.read_until("the app settles trades", LIMIT, |settlements| settlements.trades() > 0);
    let status = http::get(&host.url("/apps/uploads/status")).unwrap();
    assert_eq!(status.status, 200, "{status:?}");
    assert!(host.metric("tidemill_function_records_in_total") > 0.0, "the records are counted");
    check_problem(&http::delete(&host.url("/functions/settle")).unwrap(), 409, "uploads");
    assert!(host.terminate().success());

    let host = served.start();
    let total = source.finish();
    settlements.read_until("the app goes on after a restart", LIMIT, |settlements| {
        settlements.trades() == total
    });
    let kept = http::get(&host.url("/functions/settle")).unwrap().json();
    assert_eq!(kept["versions"][0]["digest"], facts["digest"], "{kept}");

    assert!([200, 204].contains(&http::delete(&host.url("/apps/uploads")).unwrap().status));
    check_problem(&http::get(&host.url("/apps/uploads/status")).unwrap(), 404, "uploads");
    let deleted = wait::until("a function that nothing uses can be deleted", LIMIT, || {
        http::delete(&host.url("/functions/settle")).ok().filter(|answer| answer.status != 409)
    });
    assert!([200, 204].contains(&deleted.status), "{deleted:?}");
    assert!(host.terminate().success());
}

fn manifest(input: &str, output: &str) -> String {
    format!(
        r#"app = "uploads"
start = "earliest"
kafka = "main"

[functions.settle]
module = "settle@1"
inputs = ["{input}"]
outputs = {{ settlements = "{output}" }}
config = {{ large_trade = 100000 }}
"#
    )
}
