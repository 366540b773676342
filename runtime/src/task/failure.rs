//! What follows a failure.
//!
//! ```text
//! reject                          -> dead letter
//! error, trap, memory, output ... -> once more in a fresh instance -> dead letter
//! retry, time-out                 -> wait with back-off, again and again; `retries` bounds it -> dead letter
//! no instance can be made         -> wait with back-off, without end: it is not the record's doing
//! state does not decode           -> pause: it is not the record's doing, and no time mends it
//! ```
//! A function that is granted something from outside (clock, random) may answer differently the next time, so its
//! errors wait with back-off too, three times unless `retries` says otherwise.

use crate::{
    guest::Fault,
    operator,
    record::{HeadersWriter, Timestamp},
    store,
    topology::Node,
};

use super::{
    Task,
    effects::{Effects, Failed, Output, Reason, Span, Verdict},
    process::Stop,
    source::{From, Source},
};

/// Tries of a function with outside grants where the manifest says nothing.
const RETRIES_WITH_GRANTS: u32 = 3;

/// A row that failed and is tried again before any other: a record at its head, a timer, or a result.
#[derive(Debug)]
pub(super) struct Suspect {
    pub(super) source: Source,
    /// Where it is a result: of which node, and which.
    pub(super) result: Option<(usize, operator::Due)>,
    pub(super) attempts: u32,
    pub(super) not_before: Timestamp,
}

impl Task {
    /// Decides about the row behind the handled ones; a dead letter is added to the effects.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn judge(
        &mut self,
        stop: Stop,
        effects: &mut Effects,
        now: Timestamp,
    ) -> Result<Failed, store::Error> {
        let source = effects.chunk.source(stop.row);
        let timestamp = effects.record(stop.row).timestamp;
        let before = self.suspects.pop_if(|suspect| suspect.source == source);
        let attempts = before.map_or(0, |suspect| suspect.attempts) + 1;
        let node = &self.part.nodes[stop.node];
        let result = match effects.chunk.rows[stop.row].from {
            From::Result(node) => Some((node, effects.chunk.dues[stop.row].clone())),
            From::Input(_) | From::Timer(_) => None,
        };
        let mut verdict = verdict(node, &stop.reason, attempts, now);
        if verdict == Verdict::DeadLetter && !self.bury(&stop, effects, attempts)? {
            verdict = Verdict::Pause;
        }
        match verdict {
            Verdict::DeadLetter => {}
            Verdict::Again => {
                self.operators[stop.node].renew();
                self.suspects.push(Suspect { source, result, attempts, not_before: now });
            }
            Verdict::Wait(not_before) => {
                self.suspects.push(Suspect { source, result, attempts, not_before });
            }
            Verdict::Pause => {
                let node = &self.part.nodes[stop.node];
                self.paused = Some(format!("`{}`: {}", node.name, stop.reason));
                if result.is_some() {
                    // Not to be gone past by others of its kind either.
                    self.suspects.push(Suspect { source, result, attempts, not_before: now });
                }
            }
        }
        let (node, reason) = (stop.node, stop.reason);
        Ok(Failed { node, source, timestamp, attempts, reason, verdict })
    }

    /// The dead letter: the source record as it came, the timer's key and payload, or the result as it was sent, and why
    /// in headers with the names of KIP-1034. Whether there can be one: a node whose work is to fail on no record has no
    /// topic for them, and a result must not come again.
    fn bury(
        &mut self,
        stop: &Stop,
        effects: &mut Effects,
        attempts: u32,
    ) -> Result<bool, store::Error> {
        let node = &self.part.nodes[stop.node];
        let Some(topic) = node.dead_letters else { return Ok(false) };
        let row = u32::try_from(stop.row).expect("a chunk has few rows");
        let source = effects.record(stop.row);
        let mut headers = HeadersWriter::new();
        let mut text = |name: &str, value: &str| {
            headers.push(name, Some(value.as_bytes()));
        };
        text("__streams.errors.exception", stop.reason.kind());
        text("__streams.errors.message", &stop.reason.to_string());
        match effects.chunk.rows[stop.row].from {
            From::Input(input) => {
                text("__streams.errors.topic", &self.part.inputs[input].topic);
                text("__streams.errors.partition", &self.id.partition.to_string());
                text("__streams.errors.offset", &source.offset.to_string());
            }
            From::Timer(timer) => {
                text("__streams.errors.partition", &self.id.partition.to_string());
                text("tidemill.timer", &self.part.timers[usize::from(timer)]);
                // It is done with, though its handler did not end.
                if let Some(state) = self.scope.state_mut() {
                    state.cancel_timer(row, timer, source.key.unwrap_or_default())?;
                }
            }
            From::Result(of) => {
                let due = &effects.chunk.dues[stop.row];
                text("__streams.errors.partition", &self.id.partition.to_string());
                text("tidemill.window", &due.name);
                if let Some(host) = self.operators[of].host_mut()
                    && let Err(reason) = host.skip(row, due, &mut self.scope)
                {
                    let error = self.scope.take_error();
                    let node = &*self.part.nodes[of].name;
                    tracing::error!(
                        node,
                        "a result that failed cannot be marked as sent: {reason}"
                    );
                    return error.map_or(Ok(false), Err);
                }
            }
        }
        text("tidemill.function", &node.name);
        if let Some(function) = node.function() {
            text("tidemill.digest", &function.component.digest().to_string());
        }
        text("tidemill.attempts", &attempts.to_string());
        if let Some(intermediate) = &stop.intermediate {
            headers.push("tidemill.intermediate.key", intermediate.key.as_deref());
            headers.push("tidemill.intermediate.value", intermediate.value.as_deref());
        }
        let mut all = HeadersWriter::new();
        all.extend(source.headers).extend(headers.headers());
        let all = all.headers().bytes();
        let timestamp = Timestamp(source.timestamp.millis().max(0));
        let reading = effects.readings.get(stop.row).copied().flatten();
        let own = (Span::Source(row), Span::Source(row));
        let (key, value) = reading.map_or(own, |reading| (reading.key, reading.value));
        let start = effects.bytes.len();
        effects.bytes.extend_from_slice(all);
        effects.outputs.push(Output {
            row,
            late: false,
            topic,
            partition: Some(self.id.partition.0),
            timestamp,
            key,
            value,
            headers: Span::Own { start, length: all.len() },
        });
        effects.handled = stop.row + 1;
        Ok(true)
    }
}

fn verdict(node: &Node, reason: &Reason, attempts: u32, now: Timestamp) -> Verdict {
    let wait = |wait: std::time::Duration| {
        let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        Verdict::Wait(Timestamp(now.millis().saturating_add(wait)))
    };
    let bounded = |retries: Option<u32>, after| match retries {
        Some(retries) if attempts > retries => Verdict::DeadLetter,
        _ => wait(after),
    };
    let policy = &node.on_failure;
    let backoff = policy.wait(attempts);
    match reason {
        Reason::Reject(_) => Verdict::DeadLetter,
        Reason::State(_) => Verdict::Pause,
        Reason::Retry { after, .. } => bounded(policy.retries, after.unwrap_or(backoff)),
        Reason::Fault(Fault::Timeout { .. }) => bounded(policy.retries, backoff),
        Reason::Fault(Fault::Init { .. }) => wait(backoff),
        Reason::Error(_) | Reason::Fault(_) | Reason::Somewhere(_) => {
            if node.function().is_some_and(|function| !function.allow.is_empty()) {
                bounded(policy.retries.or(Some(RETRIES_WITH_GRANTS)), backoff)
            } else if attempts > 1 {
                Verdict::DeadLetter
            } else {
                Verdict::Again
            }
        }
    }
}
