//! What is wrong with a manifest, a file, a broker, a port or a folder is said in one clear line, and nothing starts.
//!
//! Each test makes one thing wrong in a manifest that is otherwise right.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use crate::host;
use crate::manifest::Settling;

/// A module and a component without anything in them.
const EMPTY_MODULE: &[u8] = b"\0asm\x01\0\0\0";
pub const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

struct Wrong {
    host: Settling,
    text: String,
    _folder: tempfile::TempDir,
}

impl Wrong {
    fn new(app: &str) -> Self {
        let folder = tempfile::tempdir().expect("making a folder");
        let host = Settling::new(app, folder.path(), "host");
        let text = host.text();
        Self { host, text, _folder: folder }
    }

    /// Puts `to` in place of `from`.
    fn with(mut self, from: &str, to: &str) -> Self {
        assert!(self.text.contains(from), "{from} is in the manifest");
        self.text = self.text.replace(from, to);
        self
    }

    fn with_module(self, name: &str, bytes: &[u8]) -> Self {
        fs::write(self.host.folder.join(name), bytes).expect("writing a module");
        let settle = host::settle().display().to_string();
        self.with(&settle, name)
    }

    fn with_topics(self) -> Self {
        self.host.create_topics(1);
        self
    }

    /// `tidemill run` says one line, which holds each of `words`, and fails.
    fn is_refused(&self, words: &[&str]) {
        let path = self.host.write(&self.text);
        check_refused(&host::run(["run".as_ref(), path.as_os_str()]), words);
    }
}

fn check_refused(said: &host::Said, words: &[&str]) {
    assert!(said.status.code().is_some_and(|code| code != 0), "it fails by itself: {said:?}");
    assert_eq!(said.out, "", "nothing has started");
    let lines: Vec<_> = said.err.lines().collect();
    assert!(
        matches!(lines[..], [line] if line.starts_with("error: ")),
        "one line that says so: {}",
        said.err
    );
    for word in words {
        assert!(said.err.contains(word), "the line holds {word:?}: {}", said.err);
    }
}

#[test]
fn a_file_that_is_no_component() {
    let wrong = Wrong::new("hostile-junk").with_module("junk.wasm", b"this is no WebAssembly");
    wrong.is_refused(&["junk.wasm", "is not WebAssembly"]);
    let junk = wrong.host.folder.join("junk.wasm");
    check_refused(&host::run([Path::new("build"), &junk]), &["junk.wasm"]);
}

#[test]
fn a_core_module_where_a_component_is_due() {
    Wrong::new("hostile-module")
        .with_module("module.wasm", EMPTY_MODULE)
        .is_refused(&["module.wasm", "describe"]);
}

#[test]
fn a_component_of_another_world() {
    let wrong = Wrong::new("hostile-world").with_module("other.wasm", EMPTY_COMPONENT);
    wrong.is_refused(&["other.wasm", "describe"]);
}

#[test]
fn a_module_that_is_not_there() {
    let settle = host::settle().display().to_string();
    Wrong::new("hostile-absent").with(&settle, "nowhere.wasm").is_refused(&["nowhere.wasm"]);
}

#[test]
fn an_output_that_is_not_bound() {
    let wrong = Wrong::new("hostile-output");
    let outputs = format!("outputs = {{ settlements = \"{}\" }}", wrong.host.output);
    wrong.with(&outputs, "").is_refused(&["tidemill.toml", "settle", "settlements"]);
}

#[test]
fn an_unknown_key() {
    let wrong = Wrong::new("hostile-key").with("workers = 2", "worker = 2");
    wrong.is_refused(&["tidemill.toml:7", "worker", "workers"]);
}

#[test]
fn a_property_that_is_not_the_users_to_set() {
    let wrong = Wrong::new("hostile-property")
        .with("[kafka]", "[kafka]\n\"enable.auto.commit\" = \"true\"");
    wrong.is_refused(&["tidemill.toml:10", "enable.auto.commit"]);
}

#[test]
fn a_broker_that_nobody_reaches() {
    let nobody = host::free_address();
    Wrong::new("hostile-broker").with(crate::broker::bootstrap(), &nobody).is_refused(&[&nobody]);
}

#[test]
fn a_topic_that_is_not_there() {
    let wrong = Wrong::new("hostile-topic");
    crate::broker::create_topic(&wrong.host.output, 1);
    wrong.is_refused(&["hostile-topic.trades", "[topics."]);
}

#[test]
fn a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("the system has a free port");
    let address = taken.local_addr().expect("a bound socket has an address").to_string();
    let wrong = Wrong::new("hostile-port").with_topics();
    let free = wrong.host.listen.clone();
    let port = taken.local_addr().expect("a bound socket has an address").port().to_string();
    wrong.with(&free, &address).is_refused(&[&port, "in use"]);
}

#[test]
fn a_data_directory_that_another_host_holds() {
    let wrong = Wrong::new("hostile-data").with_topics();
    let holder = wrong.host.start();
    let (data, listen) = (wrong.host.folder.join("data"), wrong.host.listen.clone());
    wrong
        .with(&listen, &host::free_address())
        .is_refused(&[data.to_str().expect("a temporary path is text"), "locked"]);
    assert!(holder.terminate().success(), "the holder goes on until it is told to stop");
}
