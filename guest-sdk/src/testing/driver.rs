//! Runs a function natively, through the same layout and the same code as in a component.

use super::{Effects, Failed, Input, Line, Reaction, Sent};
use crate::{
    Function, Instance,
    bindings::types::{Description, Role},
    describe::describe,
    function,
    host::{
        self,
        double::{self, Double},
        keeper::{Caller, Keeper},
    },
};
use serde::Serialize;
use serde_json::{Map, Value};
use std::{
    collections::HashMap,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};
use tidemill_layout::{
    BatchWriter, Emission, Entry, Failure, HeaderPart, Kind, Origin, Outcome, Part,
};

/// A driver of the function: `driver::<settle>()`.
pub fn driver<F: Function>() -> Driver<F> {
    host::install();
    let description = describe::<F>();
    Driver {
        keeper: Keeper::new(description.slots.iter().map(|slot| slot.role).collect()),
        description,
        config: Map::new(),
        instance: None,
        offsets: HashMap::new(),
        now: 1_767_225_600_000,
        time: None,
        random: 0,
        function: PhantomData,
    }
}

/// How many timers may fire one after the other where no time passes.
const FIRES_MAX: usize = 10_000;

/// Holds a function, its configuration, its state, and the time: see [`driver`].
pub struct Driver<F> {
    pub(super) description: Description,
    pub(super) keeper: Keeper,
    config: Map<String, Value>,
    instance: Option<Box<dyn Instance>>,
    offsets: HashMap<(String, u32), i64>,
    now: i64,
    /// Stream time: the largest event time seen, or how far the wall clock has come with nothing more to read.
    time: Option<i64>,
    random: u64,
    function: PhantomData<F>,
}

impl<F: Function> Driver<F> {
    /// Gives a value of the manifest's `config`; the function starts anew.
    ///
    /// # Panics
    /// Where the value has no JSON form.
    #[must_use]
    pub fn config(mut self, name: &str, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).expect("the value of a test has a JSON form");
        self.config.insert(name.to_owned(), value);
        self.instance = None;
        self
    }

    /// Seeds the random numbers, which are the same in every run; the seed is 0 at first.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.random = seed;
        self
    }

    /// Sets the wall clock, in milliseconds since the Unix epoch; at first it stands at 2026-01-01T00:00:00Z. Nothing
    /// more is to be read until then: timers that are due by then fire.
    ///
    /// # Panics
    /// As [`send`](Self::send).
    #[track_caller]
    pub fn set_now(&mut self, millis: i64) -> Effects {
        self.now = millis;
        self.rest(millis)
    }

    /// Moves the wall clock on. Nothing more is to be read until then: timers that are due by then fire, counted from the
    /// wall clock or from the latest record, whichever is later.
    ///
    /// # Panics
    /// As [`send`](Self::send).
    #[track_caller]
    pub fn advance(&mut self, by: Duration) -> Effects {
        let by = i64::try_from(by.as_millis()).expect("a test's time is short");
        let time = self.time.unwrap_or(self.now).max(self.now) + by;
        self.now += by;
        self.rest(time)
    }

    /// With nothing more to read, time passes.
    #[track_caller]
    fn rest(&mut self, until: i64) -> Effects {
        let time = self.time.unwrap_or(until).max(until);
        let mut effects = Effects::default();
        self.fire(time, 0, &mut effects);
        effects
    }

    /// Starts the function with the configuration given so far. Sending does that too.
    ///
    /// # Errors
    /// What a host would be told.
    pub fn start(&mut self) -> Result<(), String> {
        let config = self.config.clone();
        let (started, double) = double::with(self.double(), || function::start::<F>(&config));
        self.random = double.random;
        self.keeper = double.keeper;
        self.instance = Some(started?);
        Ok(())
    }

    /// Hands a record to the function.
    ///
    /// # Panics
    /// Where the function does not start, or does not have the input that is named.
    #[track_caller]
    pub fn send(&mut self, input: Input) -> Effects {
        self.send_all([input])
    }

    /// Hands records to the function in one batch; where one fails, or a timer fires, the rest follow in a further one. Timers
    /// fire as event time passes, each before the first record that is as late as it is due.
    ///
    /// # Panics
    /// Where the function does not start, or does not have the input that is named.
    #[track_caller]
    pub fn send_all(&mut self, inputs: impl IntoIterator<Item = Input>) -> Effects {
        let mut inputs: Vec<_> = inputs.into_iter().collect();
        for input in &mut inputs {
            self.number(input);
        }
        let mut effects = Effects::default();
        let (mut next, mut alone) = (0, 0);
        while next < inputs.len() {
            let time = self.time_at(&inputs[next]);
            self.fire(time, next, &mut effects);
            let to = if next < alone { next + 1 } else { self.before_due(&inputs, next) };
            match self.batch(&inputs[next..to], next, &mut effects) {
                Some(done) => next += done,
                None => alone = to,
            }
        }
        if let Some(time) = self.time {
            self.fire(time, inputs.len() - 1, &mut effects);
        }
        effects
    }

    fn time_at(&self, input: &Input) -> i64 {
        self.time.map_or(input.timestamp, |time| time.max(input.timestamp))
    }

    /// Where a batch ends that begins with record `from`: before the first record that makes a timer due.
    fn before_due(&self, inputs: &[Input], from: usize) -> usize {
        let mut time = self.time_at(&inputs[from]);
        for (index, input) in inputs.iter().enumerate().skip(from + 1) {
            time = time.max(input.timestamp);
            if self.keeper.due(time).is_some() {
                return index;
            }
        }
        inputs.len()
    }

    /// Fires what is due by `time`, one after the other, before record `before`.
    #[track_caller]
    fn fire(&mut self, time: i64, before: usize, effects: &mut Effects) {
        self.time = Some(time);
        let mut fired = 0;
        while let Some(timer) = self.keeper.due(time) {
            fired += 1;
            assert!(
                fired <= FIRES_MAX,
                "the timers of `{}` set timers that are due at once, without end",
                F::NAME
            );
            self.keeper.take(&timer);
            self.batch(&[Input::fired(timer)], before, effects);
        }
    }

    /// Gives a record its offset.
    fn number(&mut self, input: &mut Input) {
        let next = self.offsets.entry((input.topic.clone(), input.partition)).or_default();
        let offset = *input.offset.get_or_insert(*next);
        *next = offset + 1;
    }

    /// What the host's side is during a call; the keeper comes back with it.
    fn double(&mut self) -> Double {
        let keeper = std::mem::take(&mut self.keeper);
        Double { now: self.now, random: self.random, keeper, ..Double::default() }
    }

    /// Runs records, the first of which is number `from`, and answers how many are done with; `None` where they are to
    /// be run again one by one, as a host does to find the one that panics.
    #[track_caller]
    fn batch(&mut self, inputs: &[Input], from: usize, effects: &mut Effects) -> Option<usize> {
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

impl<F> std::fmt::Debug for Driver<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("function", &self.description.name).finish_non_exhaustive()
    }
}
