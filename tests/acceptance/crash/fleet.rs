//! The hosts of an app as processes that are killed, frozen, told to stop, and started again in the same folder.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use super::totals::Totals;
use crate::host::{self, signal};
use crate::{http, wait};

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// One host.
///
/// ```text
///            start                kill
/// Down --------------> Up ----------------> Down
///  ^                   | ^  thaw
///  |        freeze     | +-------- Frozen --kill--> Down
///  |                   +---------> Frozen
///  |                   | terminate
///  +---- its exit ---- Leaving
/// ```
pub struct Member {
    pub name: String,
    folder: PathBuf,
    listen: String,
    runs: usize,
    pub state: State,
}

pub enum State {
    Down,
    Up(Child),
    Frozen(Child),
    Leaving(Child, Instant),
}

impl Member {
    /// Writes the manifest of a host, and starts nothing yet.
    pub fn new(totals: &Totals, parent: &Path, name: &str, workers: usize) -> Self {
        let folder = parent.join(name);
        fs::create_dir(&folder).expect("making a host's folder");
        let mut member = Self {
            name: name.to_owned(),
            listen: host::free_address(),
            folder,
            runs: 0,
            state: State::Down,
        };
        member.configure(totals, workers);
        member
    }

    /// Writes another manifest, for the next start.
    pub fn configure(&mut self, totals: &Totals, workers: usize) {
        let text = totals.manifest(&self.data(), &self.listen, workers);
        fs::write(self.folder.join("tidemill.toml"), text).expect("writing a manifest");
    }

    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub fn start(&mut self) {
        assert!(matches!(self.state, State::Down), "{} runs already", self.name);
        self.runs += 1;
        self.state = State::Up(host::spawn(["run", "tidemill.toml"], &self.folder, &self.log()));
    }

    /// Until it says that it is ready.
    pub fn ready(&mut self) {
        let url = self.url("/ready");
        wait::until("a host that is ready", START_LIMIT, || {
            self.look();
            http::get(&url).ok().filter(|answer| answer.status == 200)
        });
    }

    /// SIGKILL, also where it is frozen or on its way out.
    pub fn kill(&mut self) {
        if let State::Up(mut child) | State::Frozen(mut child) | State::Leaving(mut child, _) =
            std::mem::replace(&mut self.state, State::Down)
        {
            child.kill().expect("killing a child");
            child.wait().expect("waiting for a child");
        }
    }

    /// SIGSTOP: it is out of its group before it knows.
    pub fn freeze(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Down) {
            State::Up(child) => {
                signal(&child, "STOP");
                State::Frozen(child)
            }
            other => other,
        };
    }

    pub fn thaw(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Down) {
            State::Frozen(child) => {
                signal(&child, "CONT");
                State::Up(child)
            }
            other => other,
        };
    }

    /// SIGTERM; its exit is seen by [`look`](Self::look).
    pub fn terminate(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Down) {
            State::Up(child) => {
                signal(&child, "TERM");
                State::Leaving(child, Instant::now())
            }
            other => other,
        };
    }

    /// SIGTERM, and its exit.
    pub fn stop(&mut self) {
        self.terminate();
        wait::until("the end of a host told to stop", STOP_LIMIT, || {
            self.look();
            matches!(self.state, State::Down).then_some(())
        });
    }

    /// Notices the exit of a host that was told to stop, or that found no broker at its start, as its manager would. No
    /// other may end by itself.
    pub fn look(&mut self) {
        let (State::Up(child) | State::Leaving(child, _)) = &mut self.state else { return };
        let ended = child.try_wait().expect("asking after a child");
        match (&self.state, ended) {
            (State::Leaving(..), Some(status)) => {
                // Told so before it could listen, it ends as any process does.
                let early = status.signal().is_some() && self.said().is_empty();
                assert!(
                    status.success() || early,
                    "{} was told to stop and ended with {status}: {}",
                    self.name,
                    self.said()
                );
                self.state = State::Down;
            }
            (State::Leaving(_, since), None) => {
                assert!(
                    since.elapsed() < STOP_LIMIT,
                    "{} does not stop: {}",
                    self.name,
                    self.said()
                );
            }
            (_, Some(_)) if self.said().starts_with("error: no broker answers") => {
                self.state = State::Down;
            }
            (_, Some(status)) => {
                panic!("{} ended by itself with {status}: {}", self.name, self.said())
            }
            _ => {}
        }
    }

    /// Its disk is gone.
    pub fn wipe(&self) {
        assert!(matches!(self.state, State::Down), "{} runs", self.name);
        if let Err(error) = fs::remove_dir_all(self.data()) {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "wiping {}", self.name);
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listen)
    }

    /// The sum of a metric over all its labels; 0 where the host has none of it.
    pub fn metric(&self, name: &str) -> f64 {
        http::metric(&self.url("/metrics"), name)
    }

    /// All that it has printed since its last start.
    pub fn said(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn log(&self) -> PathBuf {
        self.folder.join(format!("log.{}", self.runs))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            for run in 1..=self.runs {
                let log = fs::read_to_string(self.folder.join(format!("log.{run}")));
                eprintln!("--- {}, start {run}, said:\n{}", self.name, log.unwrap_or_default());
            }
        }
    }
}
