//! Who the workers of an app are to the broker: their transactional ids.
//!
//! An id is the app, the instance (kept with the state) and the worker's number, so that a process that starts again
//! fences its own former self and aborts at once what that left open. Nobody waits for a time-out: neither who reads
//! the outputs nor a new owner of the state.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::AppSettings;
use crate::{
    broker::{self, OutboxSettings},
    manifest::Guarantee,
    worker,
};

/// A broker aborts a transaction that is open for longer: the bound on how long a dead process holds up others.
pub(super) const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);
/// So many fences of one id within so long a time are no accident of a restart.
const FENCES_MAX: usize = 3;
const FENCES_WITHIN: Duration = Duration::from_secs(60);

/// The transactional id of a worker; none where nothing is transactional.
pub(super) fn transactional_id(settings: &AppSettings, worker: usize) -> Option<String> {
    let (app, instance) = (settings.manifest.app.as_str(), settings.database.instance_id());
    (settings.manifest.guarantee == Guarantee::ExactlyOnce)
        .then(|| format!("{app}-{instance}-{worker}"))
}

/// How a worker's producer is made.
pub(super) fn outbox_settings(settings: &AppSettings, worker: usize) -> OutboxSettings {
    OutboxSettings {
        transactional_id: transactional_id(settings, worker),
        // Several commits must fit into it.
        transaction_timeout: TRANSACTION_TIMEOUT.max(settings.manifest.commit_interval * 4),
        client_id: format!("{}-{worker}", settings.manifest.app.as_str()),
    }
}

/// Fences the workers that the app once had here and has no more, and remembers how many it has now.
pub(super) fn fence_former(settings: &AppSettings) -> Result<(), worker::Error> {
    if settings.manifest.guarantee != Guarantee::ExactlyOnce {
        return Ok(());
    }
    let name = format!("workers.{}", settings.manifest.app.as_str());
    let now = settings.workers.max(1);
    let note = settings.database.note(&name)?;
    let former = note.and_then(|count| count.parse().ok()).unwrap_or(now);
    for worker in now..former {
        // Made is all it takes.
        drop(settings.broker.outbox(outbox_settings(settings, worker))?);
    }
    if former != now {
        tracing::info!(
            app = settings.manifest.app.as_str(),
            former,
            now,
            "another number of workers"
        );
    }
    Ok(settings.database.set_note(&name, &now.to_string())?)
}

/// How often a worker's id was taken over lately.
#[derive(Debug, Default)]
pub(super) struct Fences(VecDeque<Instant>);

impl Fences {
    /// It was once more. Whether that happens too often for a restart to be the reason.
    pub(super) fn another(&mut self) -> bool {
        let now = Instant::now();
        self.0.push_back(now);
        self.0.retain(|at| now.duration_since(*at) < FENCES_WITHIN);
        self.0.len() >= FENCES_MAX
    }
}

/// What to say then.
pub(super) fn in_use_elsewhere(settings: &AppSettings, worker: usize) -> broker::Error {
    let id = transactional_id(settings, worker).unwrap_or_default();
    broker::Error::Fatal(format!(
        "instance id in use elsewhere: the transactional id {id} was taken over {FENCES_MAX} times within {} s; another \
         process works with a copy of this data directory: give each its own",
        FENCES_WITHIN.as_secs()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_fence_within_a_minute_is_no_accident() {
        let mut fences = Fences::default();
        assert!(!fences.another());
        assert!(!fences.another());
        assert!(fences.another());
        fences.0.iter_mut().for_each(|at| *at -= FENCES_WITHIN);
        assert!(!fences.another(), "those were long ago");
    }
}
