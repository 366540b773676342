//! Builds guests of this workspace from source, for tests and benchmarks.

use std::{env, fs, path::Path, process::Command};

/// The core module of a package of this workspace, built as `tidemill build` builds it. Cargo sees to it that this
/// is quick the second time.
///
/// # Panics
/// Where it does not build.
pub fn module(package: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace");
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(root).args(["build", "--quiet", "--profile", "function"]);
    build.args(["--target", "wasm32-unknown-unknown", "-p", package]);
    assert!(build.status().expect("cargo runs").success(), "{package} does not build");
    let target = env::var("CARGO_TARGET_DIR").map_or_else(|_| root.join("target"), Into::into);
    let file = format!("{}.wasm", package.replace('-', "_"));
    let file = target.join("wasm32-unknown-unknown/function").join(file);
    fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
