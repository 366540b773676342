//! What a function may ask its host for: log lines, the clock, randomness, and what the host keeps for it. In a component
//! these are imports, and an import that nothing calls is not there. Natively they are doubles that a test driver holds
//! in its hand.

#![allow(
    unexpected_cfgs,
    reason = "the flag is getrandom's, and set by whoever builds the component"
)]

#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod double;
#[cfg(all(
    target_arch = "wasm32",
    target_os = "unknown",
    getrandom_backend = "custom",
    feature = "getrandom"
))]
mod entropy;
#[cfg(target_arch = "wasm32")]
mod imports;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod keeper;

#[cfg(not(target_arch = "wasm32"))]
use double as side;
#[cfg(target_arch = "wasm32")]
use imports as side;

pub(crate) use side::{aggregates, state, tables, timers};

pub(crate) use crate::bindings::tidemill::function::aggregates::Window;

use crate::Timestamp;
use std::{panic::PanicHookInfo, sync::Once};

/// The wall clock. The manifest must grant it: `allow = ["clock"]`. Most functions want the record's
/// [`Timestamp`] instead, which is the same when the record is handled again.
pub fn now() -> Timestamp {
    Timestamp::from_millis(side::now())
}

/// A random number. The manifest must grant it: `allow = ["random"]`. For a choice that stays the same when the record
/// is handled again there is [`Origin::hash`](crate::Origin::hash).
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    side::random(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Fills it with random bytes; see [`random`].
pub fn random_bytes(bytes: &mut [u8]) {
    side::random(bytes);
}

/// Which part of a map.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range<'a> {
    /// From this key on.
    pub(crate) from: Option<&'a [u8]>,
    /// Up to this key, which is not in it.
    pub(crate) to: Option<&'a [u8]>,
    /// From the last to the first.
    pub(crate) reverse: bool,
    /// Entries at most.
    pub(crate) limit: u32,
}

/// A part of a map.
#[derive(Debug)]
pub(crate) struct Page {
    /// Keys and values, in the order asked for.
    pub(crate) entries: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether the range goes on behind the last of them.
    pub(crate) more: bool,
}

/// Sends the lines of the crate `log` and the texts of panics to the host. A logger that is there already stays.
pub(crate) fn install() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        if log::set_logger(&Lines).is_ok() {
            log::set_max_level(log::LevelFilter::Debug);
        }
        side::set_panic_hook();
    });
}

/// The backend of the crate `log`. The host decides what is shown.
struct Lines;

impl log::Log for Lines {
    fn enabled(&self, _metadata: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        match record.args().as_str() {
            Some(text) => side::write(record.level(), record.target(), text),
            None => side::write(record.level(), record.target(), &record.args().to_string()),
        }
    }

    fn flush(&self) {}
}

/// A panic on one line: `panicked at src/lib.rs:21: attempt to multiply with overflow`.
fn panic_text(info: &PanicHookInfo<'_>) -> String {
    let message = info.payload_as_str().unwrap_or("a value that is no text");
    match info.location() {
        Some(at) => format!("panicked at {}:{}: {message}", at.file(), at.line()),
        None => format!("panicked: {message}"),
    }
}
