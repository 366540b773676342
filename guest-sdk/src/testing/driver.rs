//! Runs a function natively, through the same layout and the same code as in a component.

use super::{Effects, Input};
use crate::{
    Function, Instance,
    bindings::types::Description,
    describe::describe,
    function,
    host::{
        self,
        double::{self, Double},
        keeper::Keeper,
    },
};
use serde::Serialize;
use serde_json::{Map, Value};
use std::{collections::HashMap, marker::PhantomData, time::Duration};

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
    pub(super) instance: Option<Box<dyn Instance>>,
    offsets: HashMap<(String, u32), i64>,
    now: i64,
    /// Stream time: the largest event time seen, or how far the wall clock has come with nothing more to read.
    pub(super) time: Option<i64>,
    pub(super) random: u64,
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
    pub(super) fn double(&mut self) -> Double {
        let keeper = std::mem::take(&mut self.keeper);
        Double { now: self.now, random: self.random, keeper, ..Double::default() }
    }
}

impl<F> std::fmt::Debug for Driver<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("function", &self.description.name).finish_non_exhaustive()
    }
}
