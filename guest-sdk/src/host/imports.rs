//! The host's side in a component: its imports.

use crate::bindings::tidemill::function::{clock, log as lines, random as source};

pub(crate) use crate::bindings::tidemill::function::{aggregates, tables, timers};

pub(crate) mod state {
    use crate::{
        bindings::tidemill::function::state,
        host::{Page, Range},
    };

    pub(crate) use state::{add, count, delete, get, map_delete, map_get, map_set, set};

    pub(crate) fn map_scan(slot: u32, entry: u32, range: &Range<'_>) -> Page {
        let page = state::map_scan(
            slot,
            entry,
            &state::Range {
                from: range.from.map(<[u8]>::to_vec),
                to: range.to.map(<[u8]>::to_vec),
                reverse: range.reverse,
                limit: range.limit,
            },
        );
        Page { entries: page.entries, more: page.more }
    }
}

/// How much the host gives at once.
const RANDOM_BYTES_MAX: usize = 65_536;

pub(super) fn now() -> i64 {
    clock::now()
}

pub(super) fn random(bytes: &mut [u8]) {
    for chunk in bytes.chunks_mut(RANDOM_BYTES_MAX) {
        let length = u32::try_from(chunk.len()).expect("a chunk is short");
        chunk.copy_from_slice(&source::bytes(length));
    }
}

pub(super) fn write(level: log::Level, target: &str, message: &str) {
    let level = match level {
        log::Level::Error => lines::Level::Error,
        log::Level::Warn => lines::Level::Warn,
        log::Level::Info => lines::Level::Info,
        log::Level::Debug => lines::Level::Debug,
        log::Level::Trace => lines::Level::Trace,
    };
    lines::write(level, target, message);
}

pub(super) fn set_panic_hook() {
    std::panic::set_hook(Box::new(|info| lines::panicked(&super::panic_text(info))));
}
