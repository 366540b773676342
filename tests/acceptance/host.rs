//! Processes of the `tidemill` binary: short commands, and hosts that run until they are told to stop.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::broker::repository;
use crate::{http, wait};

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// The binary: what `TIDEMILL` names, or the one built into the folder these tests were built into.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("TIDEMILL") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a running program has a path");
    test.parent()
        .and_then(Path::parent)
        .expect("tests are built into target/release/deps")
        .join("tidemill")
}

/// What a command that ended has said.
#[derive(Debug)]
pub struct Said {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

/// Runs a command to its end, which comes within two minutes or by force.
pub fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Said {
    run_in(Path::new("."), arguments)
}

/// Runs a command in a folder.
pub fn run_in<S: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = S>) -> Said {
    let output = Command::new("timeout")
        .args(["--kill-after=5".as_ref(), "120".as_ref(), binary().as_os_str()])
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("running {}: {error}", binary().display()));
    let text = |bytes| String::from_utf8(bytes).expect("what it says is UTF-8");
    Said { status: output.status, out: text(output.stdout), err: text(output.stderr) }
}

/// The component of `functions/settle`, built once for all tests.
pub fn settle() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| component("settle"))
}

/// The component of a ready-made function, built at the first call.
pub fn component(function: &str) -> PathBuf {
    built(function, |_| repository().join("functions").join(function))
}

/// The component of an example, built at the first call.
pub fn example(name: &str) -> PathBuf {
    built(name, |_| repository().join("examples").join(name))
}

/// The component of a guest of the tests, built at the first call.
pub fn guest(package: &str) -> PathBuf {
    built(package, |path| {
        let module = path.with_extension("core.wasm");
        fs::write(&module, tidemill_guests::module(package)).expect("writing a module");
        module
    })
}

/// What `tidemill build` makes of a source, once for all tests.
fn built(name: &str, source: impl FnOnce(&Path) -> PathBuf) -> PathBuf {
    static BUILT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.wasm"));
    if !built.contains(name) {
        let source = source(&path);
        let said = run(["build".as_ref(), source.as_os_str(), "-o".as_ref(), path.as_os_str()]);
        assert!(said.status.success(), "building {name}: {said:?}");
        built.insert(name.to_owned());
    }
    path
}

/// Starts the binary in a folder and waits for nothing. What it prints goes to `log`.
pub fn spawn<S: AsRef<OsStr>>(
    arguments: impl IntoIterator<Item = S>,
    folder: &Path,
    log: &Path,
) -> Child {
    let file = File::create(log).expect("making a log file");
    Command::new(binary())
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(file.try_clone().expect("a second handle of the log"))
        .stderr(file)
        .spawn()
        .unwrap_or_else(|error| panic!("running {}: {error}", binary().display()))
}

/// Sends a signal by its name, such as `TERM`, to a process that has not ended.
pub fn signal(child: &Child, name: &str) {
    // The shell's own: a small system has no other.
    let script = format!("kill -{name} {}", child.id());
    let sent = Command::new("sh").args(["-c", &script]).status();
    assert!(sent.expect("running a shell").success(), "process {} had ended before", child.id());
}

/// An address on this machine that nobody listens on.
pub fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the system has a free port");
    listener.local_addr().expect("a bound socket has an address").to_string()
}

/// A host process; killed when dropped, stopped properly by [`Host::terminate`].
pub struct Host {
    child: Child,
    address: String,
    log: PathBuf,
}

impl Host {
    /// Starts a host that serves HTTP at `address`, and waits until it says that it is ready. What it prints goes to
    /// `log`.
    pub fn start<S: AsRef<OsStr>>(
        arguments: impl IntoIterator<Item = S>,
        address: String,
        log: &Path,
    ) -> Self {
        let child = spawn(arguments, log.parent().expect("a log is in a folder"), log);
        let mut host = Self { child, address, log: log.to_owned() };
        let ready = host.url("/ready");
        wait::until("a host that is ready", START_LIMIT, || {
            let ended = host.child.try_wait().expect("asking after a child");
            assert!(ended.is_none(), "the host ended at its start ({ended:?}): {}", host.said());
            http::get(&ready).ok().filter(|answer| answer.status == 200)
        });
        host
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All that it has printed so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).expect("reading a log")
    }

    /// The sum of a metric over all its labels; 0 where the host has none of it.
    pub fn metric(&self, name: &str) -> f64 {
        http::metric(&self.url("/metrics"), name)
    }

    /// SIGTERM, then its exit.
    pub fn terminate(mut self) -> ExitStatus {
        signal(&self.child, "TERM");
        wait::until("the end of a host told to stop", STOP_LIMIT, || {
            self.child.try_wait().expect("asking after a child")
        })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {} said:\n{}", self.log.display(), self.said());
        }
    }
}
