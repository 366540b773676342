//! One batch of a driver: packed, handled, and read again, through the real layout.

use super::{Driver, Effects, Failed, Input, Line, Reaction, Sent};
use crate::{
    Function,
    bindings::types::Role,
    host::{double, keeper::Caller},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};
use tidemill_layout::{
    BatchWriter, Emission, Entry, Failure, HeaderPart, Kind, Origin, Outcome, Part,
};

impl<F: Function> Driver<F> {
    /// Runs records, the first of which is number `from`, and answers how many are done with; `None` where they are to
    /// be run again one by one, as a host does to find the one that panics.
    #[track_caller]
    pub(super) fn batch(
        &mut self,
        inputs: &[Input],
        from: usize,
        effects: &mut Effects,
    ) -> Option<usize> {
        if self.instance.is_none()
            && let Err(error) = self.start()
        {
            panic!("`{}` does not start: {error}", F::NAME);
        }
        let batch = self.pack(inputs);
        let callers = self.callers(inputs);
        let times: Vec<_> = callers.iter().map(|caller| caller.time).collect();
        let mut double = self.double();
        double.keeper.begin(callers);
        let instance = self.instance.take().expect("it was started just now");
        let handle = AssertUnwindSafe(|| instance.handle(batch).to_vec());
        let (outcome, double) = double::with(double, || catch_unwind(handle));
        self.keeper = double.keeper;
        let Ok(outcome) = outcome else {
            self.keeper.keep(0);
            if inputs.len() > 1 {
                return None;
            }
            keep_lines(effects, double.lines);
            let reason = double.panicked.unwrap_or_else(|| "panicked".to_owned());
            let timer = self.timer_of(&inputs[0]);
            effects.failed.push(Failed { index: from, timer, reaction: Reaction::Error, reason });
            self.time = Some(times[0]);
            return Some(1);
        };
        self.instance = Some(instance);
        self.random = double.random;
        keep_lines(effects, double.lines);
        let done = self.unpack(&outcome, inputs, from, effects);
        self.time = Some(times[done - 1]);
        Some(done)
    }

    /// The entries as the keeper knows them.
    fn callers(&self, inputs: &[Input]) -> Vec<Caller> {
        let mut time = self.time;
        let callers = inputs.iter().map(|input| {
            let now = time.map_or(input.timestamp, |time| time.max(input.timestamp));
            time = Some(now);
            Caller { key: input.key.clone(), time: now }
        });
        callers.collect()
    }

    /// The name of the timer that an entry is.
    fn timer_of(&self, input: &Input) -> Option<String> {
        let slot = self.description.slots.get(input.timer? as usize);
        slot.map(|slot| slot.name.clone())
    }

    #[track_caller]
    fn pack(&self, inputs: &[Input]) -> Vec<u8> {
        let mut batch = BatchWriter::new();
        let origins: Vec<_> = inputs
            .iter()
            .map(|input| batch.origin(Origin { topic: &input.topic, partition: input.partition }))
            .collect();
        for (input, origin) in inputs.iter().zip(origins) {
            batch.entry(&Entry {
                kind: if input.timer.is_some() { Kind::Timer } else { Kind::Record },
                source: self.source(input),
                origin,
                attempt: input.attempt,
                offset: input.offset.expect("it was placed"),
                timestamp: input.timestamp,
                key: input.key.as_deref(),
                value: input.value.as_deref(),
                headers: input.headers.headers(),
            });
        }
        batch.finish().to_vec()
    }

    #[track_caller]
    fn source(&self, input: &Input) -> u16 {
        if let Some(slot) = input.timer {
            return u16::try_from(slot).expect("a function has few slots");
        }
        let sources = &self.description.sources;
        let found = match &input.source {
            Some(_) => sources.iter().position(|source| source.name == input.source),
            None => (sources.len() == 1).then_some(0),
        };
        let index = found.unwrap_or_else(|| {
            let names: Vec<_> =
                sources.iter().filter_map(|source| source.name.as_deref()).collect();
            panic!("`{}` has the inputs {names:?}; the record is for {:?}", F::NAME, input.source)
        });
        u16::try_from(index).expect("a function has few inputs")
    }

    fn unpack(
        &mut self,
        outcome: &[u8],
        inputs: &[Input],
        from: usize,
        effects: &mut Effects,
    ) -> usize {
        let entries = u32::try_from(inputs.len()).expect("a test's batch is short");
        let outcome =
            Outcome::parse(outcome, entries).expect("the SDK writes outcomes by the layout");
        for emission in outcome.emissions() {
            let emission = emission.expect("the SDK writes emissions by the layout");
            let cause = emission.cause as usize;
            effects.sent.push(self.sent(&emission, from + cause, &inputs[cause]));
        }
        self.keeper.keep(outcome.handled);
        let handled = outcome.handled as usize;
        let Some(failure) = outcome.failure else { return handled };
        let (reaction, reason) = match failure {
            Failure::Error(reason) => (Reaction::Error, reason),
            Failure::Reject(reason) => (Reaction::Reject, reason),
            Failure::Retry { after_ms, reason } => {
                (Reaction::Retry(after_ms.map(Duration::from_millis)), reason)
            }
            Failure::State(reason) => (Reaction::State, reason),
        };
        let (timer, reason) = (self.timer_of(&inputs[handled]), reason.to_owned());
        effects.failed.push(Failed { index: from + handled, timer, reaction, reason });
        handled + 1
    }

    fn sent(&self, emission: &Emission<'_>, cause: usize, input: &Input) -> Sent {
        let part = |part, inherited: &Option<Vec<u8>>| match part {
            Part::Inherit => inherited.clone(),
            Part::Null => None,
            Part::Bytes(bytes) => Some(bytes.to_vec()),
        };
        let headers = match emission.headers {
            HeaderPart::Inherit => input.headers.headers(),
            HeaderPart::Replace(headers) => headers,
        };
        let mut outputs =
            self.description.slots.iter().filter(|slot| matches!(slot.role, Role::Output));
        let output =
            outputs.nth(usize::from(emission.output)).expect("outputs are described in order");
        Sent {
            output: output.name.clone(),
            cause,
            timer: self.timer_of(input),
            key: part(emission.key, &input.key),
            value: part(emission.value, &input.value),
            headers: headers
                .iter()
                .map(|header| (header.name.to_owned(), header.value.map(<[u8]>::to_vec)))
                .collect(),
            timestamp: emission.timestamp.unwrap_or(input.timestamp),
            partition: emission.partition,
        }
    }
}

fn keep_lines(effects: &mut Effects, lines: Vec<(log::Level, String, String)>) {
    effects.lines.extend(lines.into_iter().map(|(level, target, message)| Line {
        level,
        target,
        message,
    }));
}
