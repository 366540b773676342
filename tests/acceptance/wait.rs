//! Waiting for something observable, with a limit that says what was waited for.

use std::thread;
use std::time::{Duration, Instant};

/// Asks `look` until it answers, and panics with `what` when it has not within `limit`.
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = look() {
            return answer;
        }
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        thread::sleep(Duration::from_millis(20));
    }
}
