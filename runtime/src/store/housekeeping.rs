//! What a database does by itself, in a thread of its own: writing memtables to disk every few minutes, so that a
//! crash costs a short suffix of the changelogs, and deleting what nobody wants any more.

use std::{
    io,
    sync::{
        Weak,
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use super::database::Inner;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(120);

/// How long a partition that left stays, for a return.
const EXPIRY: Duration = Duration::from_secs(600);

/// Starts the thread; it ends when the sender of `stopped` is gone.
pub(super) fn start(database: Weak<Inner>, stopped: Receiver<()>) -> io::Result<()> {
    thread::Builder::new().name("state".into()).spawn(move || {
        while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            let Some(database) = database.upgrade() else { return };
            if let Err(error) = keep(&database) {
                tracing::warn!(%error, "the state could not be flushed or cleaned; it will be tried again");
            }
        }
    })?;
    Ok(())
}

fn keep(database: &Inner) -> Result<(), super::Error> {
    let gone = database.expire(EXPIRY)?;
    if gone > 0 {
        tracing::info!(partitions = gone, "deleted local state of partitions that left");
    }
    if database.is_unflushed() {
        database.flush()?;
    }
    Ok(())
}
