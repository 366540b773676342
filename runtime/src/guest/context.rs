//! What a guest sees of the host beside state: log, clock, randomness, and a WASI in which nothing is granted.

use std::{fmt, sync::Arc, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use wasmtime::{ResourceLimiter, component::ResourceTable};
use wasmtime_wasi::{
    HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView,
};

use super::{
    bindings::{clock, log, random, types},
    scope::Inner,
};
use crate::clock::Clock;

/// Log lines of one call; more are counted and dropped.
const LINES_MAX: u32 = 100;
/// Bytes of one `random.bytes` call.
const RANDOM_BYTES_MAX: u32 = 65_536;

/// What a manifest's `allow` may grant.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Capability {
    /// Wall clock time.
    Clock,
    /// Randomness.
    Random,
}

impl Capability {
    /// The import that asks for it.
    pub fn import(self) -> &'static str {
        match self {
            Capability::Clock => "tidemill:function/clock",
            Capability::Random => "tidemill:function/random",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Capability::Clock => "clock",
            Capability::Random => "random",
        })
    }
}

/// The host side of one instance.
pub(super) struct Context {
    pub(super) function: Arc<str>,
    pub(super) log_line_max: usize,
    pub(super) memory: Memory,
    /// The last panic message of the running call.
    pub(super) panic: Option<String>,
    pub(super) lines: u32,
    /// What the running call may do with state.
    pub(super) scope: Option<Box<Inner>>,
    clock: Option<Arc<dyn Clock>>,
    random: Option<SmallRng>,
    wasi: WasiCtx,
    table: ResourceTable,
}

/// Bounds linear memory and remembers a refusal, so that the trap that follows can be explained.
pub(super) struct Memory {
    pub(super) bytes_max: usize,
    pub(super) refused: bool,
}

impl Context {
    pub(super) fn new(
        function: Arc<str>,
        memory_max: usize,
        log_line_max: usize,
        clock: Option<Arc<dyn Clock>>,
        random: bool,
    ) -> Self {
        let mut wasi = WasiCtxBuilder::new();
        wasi.allow_blocking_current_thread(true).max_random_size(u64::from(RANDOM_BYTES_MAX));
        wasi.stdout(stdio::Lines::new(&function, log_line_max));
        wasi.stderr(stdio::Lines::new(&function, log_line_max));
        wasi.wall_clock(WallClock(clock.clone()));
        if clock.is_none() {
            wasi.monotonic_clock(StoppedClock);
        }
        if !random {
            wasi.secure_random(SmallRng::seed_from_u64(0))
                .insecure_random(SmallRng::seed_from_u64(0));
            wasi.insecure_random_seed(0);
        }
        Context {
            function,
            log_line_max,
            memory: Memory { bytes_max: memory_max, refused: false },
            panic: None,
            lines: 0,
            scope: None,
            clock,
            random: random.then(rand::make_rng),
            wasi: wasi.build(),
            table: ResourceTable::new(),
        }
    }
}

/// Time for a WASI guest without the grant: the epoch, and it stands still.
struct WallClock(Option<Arc<dyn Clock>>);

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        let millis = self.0.as_ref().map_or(0, |clock| clock.now().millis());
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

struct StoppedClock;

impl HostMonotonicClock for StoppedClock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        0
    }
}

impl WasiView for Context {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = desired <= self.bytes_max;
        self.refused |= !granted;
        Ok(granted)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= 100_000)
    }
}

impl types::Host for Context {}

impl log::Host for Context {
    fn write(&mut self, level: log::Level, target: String, message: String) {
        self.lines += 1;
        match self.lines.cmp(&LINES_MAX) {
            std::cmp::Ordering::Less => {
                write_line(&self.function, level, &target, cut(&message, self.log_line_max))
            }
            std::cmp::Ordering::Equal => {
                write_line(
                    &self.function,
                    log::Level::Warn,
                    &target,
                    "further log lines of this call are dropped",
                );
            }
            std::cmp::Ordering::Greater => {}
        }
    }

    fn panicked(&mut self, message: String) {
        self.panic = Some(cut(&message, self.log_line_max).to_owned());
    }
}

impl clock::Host for Context {
    /// Without the grant the component was refused before it got here; 0 is for `describe`.
    fn now(&mut self) -> i64 {
        self.clock.as_ref().map_or(0, |clock| clock.now().millis())
    }
}

impl random::Host for Context {
    fn bytes(&mut self, length: u32) -> Vec<u8> {
        let mut bytes = vec![0; length.min(RANDOM_BYTES_MAX) as usize];
        if let Some(random) = &mut self.random {
            random.fill_bytes(&mut bytes);
        }
        bytes
    }
}

/// At most `length_max` bytes of a line, cut between characters.
fn cut(line: &str, length_max: usize) -> &str {
    &line[..line.floor_char_boundary(length_max)]
}

fn write_line(function: &str, level: log::Level, target: &str, line: &str) {
    match level {
        log::Level::Error => tracing::error!(target: "guest", function, from = target, "{line}"),
        log::Level::Warn => tracing::warn!(target: "guest", function, from = target, "{line}"),
        log::Level::Info => tracing::info!(target: "guest", function, from = target, "{line}"),
        log::Level::Debug => tracing::debug!(target: "guest", function, from = target, "{line}"),
        log::Level::Trace => tracing::trace!(target: "guest", function, from = target, "{line}"),
    }
}

/// Standard output and error of a WASI guest, as log lines.
mod stdio {
    use std::{
        pin::Pin,
        sync::{Arc, Mutex, PoisonError},
        task::{Context, Poll},
    };

    use tokio::io::AsyncWrite;
    use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

    use super::{cut, log, write_line};

    #[derive(Clone)]
    pub(super) struct Lines {
        function: Arc<str>,
        length_max: usize,
        open: Arc<Mutex<Vec<u8>>>,
    }

    impl Lines {
        pub(super) fn new(function: &Arc<str>, length_max: usize) -> Self {
            Lines { function: Arc::clone(function), length_max, open: Arc::default() }
        }

        /// Keeps at most one line's length of an unfinished line.
        fn take(&self, bytes: &[u8]) {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            for part in bytes.split_inclusive(|byte| *byte == b'\n') {
                let room = (self.length_max + 4).saturating_sub(open.len());
                open.extend_from_slice(&part[..part.len().min(room)]);
                if part.ends_with(b"\n") {
                    let line = String::from_utf8_lossy(&open);
                    let line = cut(line.trim_end(), self.length_max);
                    write_line(&self.function, log::Level::Info, "stdio", line);
                    open.clear();
                }
            }
        }
    }

    impl IsTerminal for Lines {
        fn is_terminal(&self) -> bool {
            false
        }
    }

    impl StdoutStream for Lines {
        fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
            Box::new(self.clone())
        }
    }

    impl AsyncWrite for Lines {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<std::io::Result<usize>> {
            self.take(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
}
