//! Runs a function natively, through the same layout and the same code as in a component.

use super::{Effects, Failed, Input, Line, Reaction, Sent};
use crate::{
    Function, Instance, Setup,
    bindings::types::{Description, Role},
    function::describe,
    host::{
        self,
        double::{self, Double},
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
    Driver {
        description: describe::<F>(),
        config: Map::new(),
        instance: None,
        offsets: HashMap::new(),
        now: 1_767_225_600_000,
        random: 0,
        function: PhantomData,
    }
}

/// Holds a function, its configuration, and the time: see [`driver`].
pub struct Driver<F> {
    description: Description,
    config: Map<String, Value>,
    instance: Option<Box<dyn Instance>>,
    offsets: HashMap<(String, u32), i64>,
    now: i64,
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

    /// Sets the wall clock, in milliseconds since the Unix epoch; at first it stands at 2026-01-01T00:00:00Z.
    pub fn set_now(&mut self, millis: i64) {
        self.now = millis;
    }

    /// Moves the wall clock on.
    pub fn advance(&mut self, by: Duration) {
        self.now += i64::try_from(by.as_millis()).expect("a test's time is short");
    }

    /// Starts the function with the configuration given so far. Sending does that too.
    ///
    /// # Errors
    /// What a host would be told.
    pub fn start(&mut self) -> Result<(), String> {
        let mut setup = Setup::new(&self.config);
        let (started, double) = double::with(self.double(), || F::start(&mut setup));
        self.random = double.random;
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

    /// Hands records to the function in one batch; where one fails, the rest follow in a further one.
    ///
    /// # Panics
    /// Where the function does not start, or does not have the input that is named.
    #[track_caller]
    pub fn send_all(&mut self, inputs: impl IntoIterator<Item = Input>) -> Effects {
        let mut inputs: Vec<_> = inputs.into_iter().collect();
        for input in &mut inputs {
            self.place(input);
        }
        let mut effects = Effects::default();
        let mut next = 0;
        while next < inputs.len() {
            next += self.batch(&inputs, next, inputs.len(), &mut effects);
        }
        effects
    }

    /// Gives a record its offset.
    fn place(&mut self, input: &mut Input) {
        let next = self.offsets.entry((input.topic.clone(), input.partition)).or_default();
        let offset = *input.offset.get_or_insert(*next);
        *next = offset + 1;
    }

    fn double(&self) -> Double {
        Double { now: self.now, random: self.random, ..Double::default() }
    }

    /// Runs the records `from..to` and answers how many are done with. A batch that panics is run again one by one, as
    /// a host does to find the culprit.
    #[track_caller]
    fn batch(&mut self, inputs: &[Input], from: usize, to: usize, effects: &mut Effects) -> usize {
        if self.instance.is_none()
            && let Err(error) = self.start()
        {
            panic!("`{}` does not start: {error}", F::NAME);
        }
        let instance = self.instance.as_ref().expect("it was started just now");
        let batch = self.pack(&inputs[from..to]);
        let handle = AssertUnwindSafe(|| instance.handle(batch).to_vec());
        let (outcome, double) = double::with(self.double(), || catch_unwind(handle));
        let Ok(outcome) = outcome else {
            self.instance = None;
            if to - from > 1 {
                for one in from..to {
                    self.batch(inputs, one, one + 1, effects);
                }
                return to - from;
            }
            keep_lines(effects, double.lines);
            let reason = double.panicked.unwrap_or_else(|| "panicked".to_owned());
            effects.failed.push(Failed { index: from, reaction: Reaction::Error, reason });
            return 1;
        };
        self.random = double.random;
        keep_lines(effects, double.lines);
        self.unpack(&outcome, inputs, from, to, effects)
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
                kind: Kind::Record,
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
        &self,
        outcome: &[u8],
        inputs: &[Input],
        from: usize,
        to: usize,
        effects: &mut Effects,
    ) -> usize {
        let entries = u32::try_from(to - from).expect("a test's batch is short");
        let outcome =
            Outcome::parse(outcome, entries).expect("the SDK writes outcomes by the layout");
        for emission in outcome.emissions() {
            let emission = emission.expect("the SDK writes emissions by the layout");
            let cause = from + emission.cause as usize;
            effects.sent.push(self.sent(&emission, cause, &inputs[cause]));
        }
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
        effects.failed.push(Failed { index: from + handled, reaction, reason: reason.to_owned() });
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
