//! The host's side natively: the system's clock and entropy, until a test driver takes them in its hand for the
//! time of a call.

use super::keeper::Keeper;
use std::{
    cell::RefCell,
    hash::{BuildHasher, Hasher, RandomState},
    time::{SystemTime, UNIX_EPOCH},
};

/// What a driver decides and gathers while its function runs on this thread.
#[derive(Debug, Default)]
pub(crate) struct Double {
    pub(crate) now: i64,
    pub(crate) random: u64,
    pub(crate) lines: Vec<(log::Level, String, String)>,
    pub(crate) panicked: Option<String>,
    pub(crate) keeper: Keeper,
}

thread_local! {
    static DOUBLE: RefCell<Option<Double>> = const { RefCell::new(None) };
}

/// Puts the double in place and calls; answers it with what it gathered. `call` does not unwind.
pub(crate) fn with<T>(double: Double, call: impl FnOnce() -> T) -> (T, Double) {
    let before = DOUBLE.replace(Some(double));
    let answer = call();
    let double = DOUBLE.replace(before).expect("nothing takes it away meanwhile");
    (answer, double)
}

/// Asks the keeper of what the host keeps.
///
/// # Panics
/// With what is wrong, as a call into a host would trap.
fn keeper<T>(ask: impl FnOnce(&mut Keeper) -> Result<T, String>) -> T {
    let answer = DOUBLE.with_borrow_mut(|double| match double {
        Some(double) => ask(&mut double.keeper),
        None => Err("only a host keeps state, and natively a `testing::driver`".to_owned()),
    });
    answer.unwrap_or_else(|wrong| panic!("{wrong}"))
}

pub(crate) mod state {
    use super::keeper;
    use crate::{
        bindings::types::Role,
        host::{Page, Range},
    };

    pub(crate) fn get(slot: u32, entry: u32) -> Option<Vec<u8>> {
        keeper(|keeper| keeper.get(Role::Value, slot, entry, &[]))
    }

    pub(crate) fn set(slot: u32, entry: u32, value: &[u8]) {
        keeper(|keeper| keeper.put(Role::Value, slot, entry, &[], Some(value)));
    }

    pub(crate) fn delete(slot: u32, entry: u32) {
        keeper(|keeper| keeper.put(Role::Value, slot, entry, &[], None));
    }

    pub(crate) fn count(slot: u32, entry: u32) -> i64 {
        keeper(|keeper| keeper.count(slot, entry))
    }

    pub(crate) fn add(slot: u32, entry: u32, delta: i64) -> i64 {
        keeper(|keeper| keeper.add(slot, entry, delta))
    }

    pub(crate) fn map_get(slot: u32, entry: u32, key: &[u8]) -> Option<Vec<u8>> {
        keeper(|keeper| keeper.get(Role::Map, slot, entry, key))
    }

    pub(crate) fn map_set(slot: u32, entry: u32, key: &[u8], value: &[u8]) {
        keeper(|keeper| keeper.put(Role::Map, slot, entry, key, Some(value)));
    }

    pub(crate) fn map_delete(slot: u32, entry: u32, key: &[u8]) {
        keeper(|keeper| keeper.put(Role::Map, slot, entry, key, None));
    }

    pub(crate) fn map_scan(slot: u32, entry: u32, range: &Range<'_>) -> Page {
        keeper(|keeper| keeper.scan(slot, entry, range))
    }
}

pub(crate) mod aggregates {
    use super::keeper;
    use crate::host::Window;

    pub(crate) fn add(slot: u32, entry: u32, row: &[u8]) -> Option<Window> {
        keeper(|keeper| keeper.add_row(slot, entry, row))
    }

    pub(crate) fn all(slot: u32, entry: u32) -> Vec<Window> {
        keeper(|keeper| keeper.windows(slot, entry))
    }
}

pub(crate) mod tables {
    use super::keeper;

    pub(crate) fn get(slot: u32, entry: u32) -> Option<Vec<u8>> {
        keeper(|keeper| keeper.row(slot, entry))
    }

    pub(crate) fn lookup(slot: u32, entry: u32, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        keeper(|keeper| keeper.lookup(slot, entry, key))
    }
}

pub(crate) mod timers {
    use super::keeper;

    pub(crate) fn set(slot: u32, entry: u32, due: i64, payload: &[u8]) -> bool {
        keeper(|keeper| keeper.set_timer(slot, entry, due, payload))
    }

    pub(crate) fn cancel(slot: u32, entry: u32) {
        keeper(|keeper| keeper.cancel_timer(slot, entry));
    }

    pub(crate) fn get(slot: u32, entry: u32) -> Option<i64> {
        keeper(|keeper| keeper.timer(slot, entry))
    }
}

pub(super) fn now() -> i64 {
    if let Some(now) = DOUBLE.with_borrow(|double| double.as_ref().map(|double| double.now)) {
        return now;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    i64::try_from(now).unwrap_or(i64::MAX)
}

pub(super) fn random(bytes: &mut [u8]) {
    for chunk in bytes.chunks_mut(8) {
        let drawn = DOUBLE.with_borrow_mut(|double| match double {
            Some(double) => split_mix(&mut double.random),
            None => RandomState::new().build_hasher().finish(),
        });
        chunk.copy_from_slice(&drawn.to_le_bytes()[..chunk.len()]);
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

pub(super) fn write(level: log::Level, target: &str, message: &str) {
    DOUBLE.with_borrow_mut(|double| {
        if let Some(double) = double {
            double.lines.push((level, target.to_owned(), message.to_owned()));
        }
    });
}

/// Keeps the texts of panics under a driver, which are data there; others go their usual way.
pub(super) fn set_panic_hook() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let under_driver = DOUBLE.with(|double| match double.try_borrow_mut() {
            Ok(mut double) => double
                .as_mut()
                .map(|double| double.panicked = Some(super::panic_text(info)))
                .is_some(),
            Err(_) => false,
        });
        if !under_driver {
            usual(info);
        }
    }));
}
