//! Processes under measurement: the host and what it is held against.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// The host's binary: `make bench` names it, else it lies beside this one.
pub fn tidemill() -> PathBuf {
    std::env::var_os("TIDEMILL").map_or_else(
        || {
            let here = std::env::current_exe().expect("this program has a path");
            here.ancestors().nth(2).expect("the target folder").join("tidemill")
        },
        PathBuf::from,
    )
}

/// A guest of this workspace as a file.
pub fn component(package: &str) -> PathBuf {
    let module = tidemill_guests::module(package);
    let folder = tempfile::tempdir().expect("a folder").keep();
    let (core, component) = (folder.join("core.wasm"), folder.join("component.wasm"));
    fs::write(&core, module).expect("the module is written");
    let built = Command::new(tidemill()).arg("build").arg(&core).arg("-o").arg(&component).output();
    let built = built.expect("tidemill runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    component
}

/// Runs a manifest, which is written into a folder.
pub fn run(folder: &Path, manifest: &str) -> Child {
    let file = folder.join("tidemill.toml");
    fs::write(&file, manifest).expect("the manifest is written");
    spawn(Command::new(tidemill()).arg("run").arg(file).env("RUST_LOG", "warn"))
}

pub fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("a process")
}

/// SIGTERM, and its exit.
pub fn terminate(mut child: Child) {
    let pid = child.id().to_string();
    let _ = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &pid]).status();
    let _ = child.wait();
}

/// User and system time of a process, of all its threads.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is there");
    let after_name = stat.rsplit(") ").next().expect("a name in parentheses");
    let fields: Vec<&str> = after_name.split(' ').collect();
    let ticks = |field: usize| fields[field].parse::<f64>().expect("a number");
    // Fields 14 and 15 of proc(5), the third being the first behind the name; 100 ticks a second on Linux.
    (ticks(11) + ticks(12)) / 100.0
}

/// A number from the environment.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}
