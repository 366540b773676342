//! The goldens of `tests/oracle` are what Kafka Streams makes of their cases.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Of the generated cases one in so many is run anew: seconds, where all of them take minutes.
const STEP: &str = "100";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle")
}

fn check(goldens: &Path) -> Output {
    let mut command = Command::new(folder().join("regenerate"));
    command.args(["--check", STEP]).env("GOLDENS", goldens);
    command.output().expect("tests/oracle/regenerate can be run")
}

#[test]
fn goldens_are_what_kafka_streams_makes_of_their_cases() {
    let output = check(&folder().join("goldens"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_golden_that_is_not_what_kafka_streams_makes_of_it_is_told() {
    let copy = tempfile::tempdir().expect("a folder");
    let written = copy.path().join("written");
    fs::create_dir_all(copy.path().join("generated")).expect("a folder");
    fs::create_dir_all(&written).expect("a folder");
    let golden = folder().join("goldens/written/stream-table.jsonl");
    let text = fs::read_to_string(golden).expect("a golden");
    let changed = text.replacen(r#"[["a",[3,2],11]]"#, r#"[["a",[3,2],12]]"#, 1);
    assert_ne!(text, changed);
    fs::write(written.join("stream-table.jsonl"), changed).expect("a golden");
    let output = check(copy.path());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{told}");
    assert!(
        told.contains("stream-table.jsonl is not what Kafka Streams makes of it now"),
        "{told}"
    );
}
