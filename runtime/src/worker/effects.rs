//! Performing what a task wants done.

use std::time::{Duration, Instant};

use super::{
    Error, Failure, Late, NodeMetrics, Pending, Produced, View, Worker, ledger::Cause,
    status::FailureStatus,
};
use crate::{
    broker::{self, Delivery, Produce},
    guest::Fault,
    metrics::FaultKind,
    record::{Offset, Record, TopicPartition},
    task::{Effects, Failed, Reason, Source, TaskId, Verdict},
    topology::SubTopology,
};

/// What became of effects that were handed to the outbox.
enum Taken {
    All,
    /// It was full.
    Part,
    /// Everything went back to the last commit.
    Refused,
}

/// How long an observed batch is waited for, so that its view can say where each record went.
const OBSERVE_PATIENCE: Duration = Duration::from_secs(5);

impl Worker {
    /// Takes over the effects of a turn.
    pub(super) fn take(
        &mut self,
        id: TaskId,
        effects: Effects,
        failed: Option<&Failed>,
    ) -> Result<(), Error> {
        if let Some(failed) = failed {
            self.log_failure(id, failed);
        }
        if self.observer.is_some() {
            return self.take_observed(id, effects, failed);
        }
        self.pending_bytes += effects.bytes();
        self.pending.push_back(Pending { task: id, effects, next: 0 });
        self.perform()
    }

    /// Hands waiting effects to the outbox, until it is full. They count for the next commit once all are handed over.
    pub(super) fn perform(&mut self) -> Result<(), Error> {
        if self.is_transaction_sealed() {
            return Ok(());
        }
        while let Some(mut pending) = self.pending.pop_front() {
            match self.produce(&mut pending)? {
                Taken::All => self.performed(&pending),
                Taken::Part => {
                    self.pending.push_front(pending);
                    return Ok(());
                }
                Taken::Refused => return Ok(()),
            }
        }
        Ok(())
    }

    fn performed(&mut self, pending: &Pending) {
        self.pending_bytes = self.pending_bytes.saturating_sub(pending.effects.bytes());
        if self.tasks.contains_key(&pending.task) {
            self.ledger.touch(pending.task);
        }
    }

    fn produce(&mut self, pending: &mut Pending) -> Result<Taken, Error> {
        if !pending.effects.is_empty() {
            match self.begin() {
                Ok(()) => {}
                Err(broker::Error::Retriable(trouble) | broker::Error::Unknown(trouble)) => {
                    self.troubled(&format!("no transaction begins: {trouble}"));
                    return Ok(Taken::Part);
                }
                Err(broker::Error::Abortable(why)) => {
                    self.abort(&why)?;
                    return Ok(Taken::Refused);
                }
                Err(other) => return Err(other.into()),
            }
        }
        while pending.next < pending.effects.len() {
            let output = pending.effects.output(pending.next);
            let record = Produce {
                topic: self.topics[output.topic],
                partition: output.partition,
                key: output.key,
                value: output.value,
                headers: output.headers,
                timestamp: output.timestamp,
            };
            let cause = Cause::Output { task: pending.task, source: output.source };
            match self.outbox.produce(&record, self.ledger.token()) {
                Ok(()) => self.ledger.produced(cause),
                Err(broker::Error::Full) => return Ok(Taken::Part),
                Err(error) => {
                    self.not_produced(cause, error)?;
                    return Ok(Taken::Refused);
                }
            }
            pending.next += 1;
        }
        Ok(Taken::All)
    }

    /// Hears what became of produced records.
    pub(super) fn acknowledge(&mut self, wait: Duration) -> Result<(), Error> {
        let mut failed: Option<(Cause, broker::Error)> = None;
        let mut logged: Vec<(TaskId, usize, Option<Offset>)> = Vec::new();
        let ledger = &mut self.ledger;
        self.outbox.poll(wait, &mut |Delivery { token, result }| {
            let Some(cause) = ledger.delivered(token) else { return };
            match (result, cause) {
                (Ok((_, offset)), Cause::Store { task, store }) => {
                    logged.push((task, store, offset));
                }
                (Ok((partition, offset)), Cause::Output { .. }) => {
                    ledger.locate(token, partition, offset);
                }
                (Err(error), cause) => {
                    failed.get_or_insert((cause, error));
                }
            }
        })?;
        for (task, store, offset) in logged {
            self.logged(task, store, offset);
        }
        match failed {
            None => Ok(()),
            Some((cause, error)) => self.not_produced(cause, error),
        }
    }

    /// One line for each failure, when it first happens and when it is settled.
    fn log_failure(&mut self, id: TaskId, failed: &Failed) {
        let part = &self.code.topology.parts[id.part];
        let function = &*part.nodes[failed.node].name;
        let (topic, offset) = place(part, failed.source);
        let counters = &self.counters[id.part][failed.node].step;
        let app = &*self.code.topology.app;
        let (partition, offset, kind) = (id.partition.0, offset.0, failed.reason.kind());
        counters.fault(fault_kind(&failed.reason));
        match failed.verdict {
            Verdict::DeadLetter => {
                counters.dead_letters.inc();
                let (attempts, reason) = (failed.attempts, &failed.reason);
                tracing::warn!(
                    app,
                    function,
                    topic,
                    partition,
                    offset,
                    kind,
                    attempts,
                    "dead letter: {reason}"
                );
            }
            Verdict::Wait(_) => {
                counters.retries.inc();
                if failed.attempts == 1 {
                    let reason = &failed.reason;
                    tracing::warn!(
                        app,
                        function,
                        topic,
                        partition,
                        offset,
                        kind,
                        "tried again with back-off: {reason}"
                    );
                }
            }
            Verdict::Again => counters.retries.inc(),
            Verdict::Pause => {
                let reason = &failed.reason;
                tracing::error!(app, function, topic, partition, offset, kind, "paused: {reason}");
            }
        }
        let status = FailureStatus {
            topic: topic.to_owned(),
            partition,
            offset,
            kind: kind.to_owned(),
            message: failed.reason.to_string(),
            attempts: failed.attempts,
            at: self.clock.now(),
        };
        self.board.function(function, |function| {
            match failed.verdict {
                Verdict::DeadLetter => function.dead_letters += 1,
                Verdict::Wait(_) | Verdict::Again => function.retries += 1,
                Verdict::Pause => {}
            }
            function.last_failure = Some(status);
        });
    }

    /// Counts what the nodes of a task did. Answers the time of each.
    pub(super) fn count(&mut self, id: TaskId) -> Vec<Duration> {
        let Some(task) = self.tasks.get_mut(&id) else { return Vec::new() };
        let mut times = Vec::new();
        for (node, counters) in self.counters[id.part].iter().enumerate() {
            let work = task.take_work(node);
            times.push(work.cost.guest);
            if work.cost.invocations == 0 {
                continue;
            }
            let NodeMetrics { step: counters, operator } = counters;
            counters.records_in.inc_by(work.taken.records);
            counters.bytes_in.inc_by(work.taken.bytes);
            counters.records_out.inc_by(work.given.records);
            counters.bytes_out.inc_by(work.given.bytes);
            if let Some(operator) = operator {
                operator.late.inc_by(work.late);
                operator.seconds.inc_by(work.cost.guest.as_secs_f64());
                continue;
            }
            counters.invocations.inc_by(work.cost.invocations);
            counters.guest_seconds.inc_by(work.cost.guest.as_secs_f64());
            self.board.function(&task.part().nodes[node].name, |function| {
                function.records_in += work.taken.records;
                function.records_out += work.given.records;
            });
        }
        times
    }

    /// As `take`, and waits until every record has its place, to show it.
    fn take_observed(
        &mut self,
        id: TaskId,
        effects: Effects,
        failed: Option<&Failed>,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + OBSERVE_PATIENCE;
        self.perform()?;
        while !self.pending.is_empty() || self.is_transaction_sealed() {
            self.commit()?;
            self.acknowledge(Duration::from_millis(1))?;
            self.perform()?;
        }
        let first = self.ledger.token();
        self.pending_bytes += effects.bytes();
        let mut pending = Pending { task: id, effects, next: 0 };
        loop {
            match self.produce(&mut pending)? {
                Taken::All => break,
                Taken::Part => self.acknowledge(Duration::from_millis(1))?,
                Taken::Refused => return Ok(()),
            }
        }
        self.outbox.hurry();
        let target = pending.effects.len();
        while self.ledger.outstanding() > 0 && Instant::now() < deadline {
            self.acknowledge(Duration::from_millis(1))?;
        }
        if !self.ledger.is_open(first) {
            // Everything went back to the last commit.
            return Ok(());
        }
        let places: Vec<_> =
            (first..first + target).map(|token| self.ledger.location(token)).collect();
        let times = self.count(id);
        self.show(id, &pending.effects, &places, failed, &times);
        self.performed(&pending);
        Ok(())
    }

    fn show(
        &self,
        id: TaskId,
        effects: &Effects,
        places: &[Option<(crate::record::Partition, Option<crate::record::Offset>)>],
        failed: Option<&Failed>,
        times: &[Duration],
    ) {
        let Some(observer) = &self.observer else { return };
        let part = &self.code.topology.parts[id.part];
        let topology = &self.code.topology;
        let share = u32::try_from(effects.handled.max(1)).unwrap_or(u32::MAX);
        let functions: Vec<(&str, Duration)> = part
            .nodes
            .iter()
            .zip(times)
            .filter(|(_, time)| !time.is_zero())
            .map(|(node, time)| (&*node.name, *time / share))
            .collect();
        let produced = |index: usize| {
            let output = effects.output(index);
            let (partition, offset) = places[index].unwrap_or((crate::record::Partition(0), None));
            Produced {
                topic: &topology.outputs[output.topic],
                partition,
                offset,
                record: Record {
                    offset: place(part, output.source).1,
                    timestamp: output.timestamp,
                    key: output.key,
                    value: output.value,
                    headers: output.headers,
                },
            }
        };
        let source = |source: Source| TopicPartition::new(place(part, source).0, id.partition.0);
        for (row, (from, record, range)) in effects.sources().enumerate() {
            let failed = failed.filter(|failed| failed.source == from);
            let letter = failed.is_some();
            // Late records are shown as such, not as what is produced.
            let shown = range.clone().filter(|index| !letter && !effects.output(*index).late);
            let outputs = shown.map(produced).collect();
            let late = effects.late(row).map(|late| Late {
                node: &part.nodes[late.node].name,
                key: late.key,
                value: late.value,
            });
            let late = if letter { Vec::new() } else { late.collect() };
            let failure = failed.map(|failed| Failure {
                function: &part.nodes[failed.node].name,
                attempts: failed.attempts,
                reason: &failed.reason,
                verdict: failed.verdict,
                dead_letter: range.last().map(produced),
            });
            observer.observe(&View {
                source: source(from),
                record,
                outputs,
                late,
                failure,
                functions: functions.clone(),
            });
        }
        // A record that is tried again is not among the handled ones.
        if let Some(failed) = failed.filter(|failed| failed.verdict != Verdict::DeadLetter)
            && let Some((from, record)) = effects.next_source()
        {
            let failure = Failure {
                function: &part.nodes[failed.node].name,
                attempts: failed.attempts,
                reason: &failed.reason,
                verdict: failed.verdict,
                dead_letter: None,
            };
            let (outputs, failure) = (Vec::new(), Some(failure));
            let (source, late) = (source(from), Vec::new());
            observer.observe(&View { source, record, outputs, late, failure, functions });
        }
    }
}

/// Where a record is; of a timer or a result, its name or its node's, and no offset.
fn place(part: &SubTopology, source: Source) -> (&str, Offset) {
    match source {
        Source::Record { input, offset } => (&part.inputs[input].topic, offset),
        Source::Timer { timer, .. } => (&part.timers[usize::from(timer)], Offset(-1)),
        Source::Result { node, .. } => (&part.nodes[node].name, Offset(-1)),
    }
}

fn fault_kind(reason: &Reason) -> FaultKind {
    match reason {
        Reason::Reject(_) => FaultKind::Reject,
        Reason::Error(_) => FaultKind::Error,
        Reason::State(_) => FaultKind::State,
        Reason::Retry { .. } => FaultKind::Retry,
        Reason::Fault(fault) | Reason::Somewhere(fault) => match fault {
            Fault::Reject { .. } => FaultKind::Reject,
            Fault::Timeout { .. } => FaultKind::Timeout,
            Fault::Memory { .. } => FaultKind::Memory,
            Fault::Output { .. } => FaultKind::Output,
            Fault::Contract { .. } => FaultKind::Contract,
            Fault::Partition { .. } => FaultKind::Partition,
            Fault::Init { .. } => FaultKind::Init,
            Fault::Storage { .. } => FaultKind::Storage,
            Fault::Trap { .. } => FaultKind::Panic,
        },
    }
}
