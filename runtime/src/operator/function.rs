//! The function operator: one guest call for a batch of entries.
//!
//! It owns the instance of its function for its task, makes a fresh one after a fault, packs entries, checks the
//! answer, and says in [`Called`] what was emitted and where it stopped. It decides nothing about a failure.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use tidemill_layout::{BatchWriter, Emission, Failure, HeaderPart, Kind, Origin, Outcome, Part};

use crate::{
    guest::{Fault, Instantiate, Invoke, Scope},
    record::Record,
};

/// A record, or a timer that fired, on its way into a function.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Which of the two.
    pub kind: Kind,
    /// Which of the function's sources; of a timer, which of its slots.
    pub source: u16,
    /// The topic of the source record; empty where a timer is the source.
    pub topic: &'a str,
    /// How often its source failed before.
    pub attempt: u32,
    /// What is handed over; its offset is the source record's.
    pub record: Record<'a>,
}

/// What a call did.
#[derive(Debug, Default)]
pub struct Called {
    /// So many entries are handled, from the front.
    pub handled: usize,
    /// Why the next one is not. `None` and fewer handled than given: the rest wants a further call.
    pub stopped: Option<Reason>,
    /// Which entry stopped it. Behind the handled ones: those between are not at fault, but what they came to is lost.
    pub culprit: usize,
}

/// Why an entry, or some entry of a call, was not handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The function says the record is wrong.
    Reject(String),
    /// The function says it failed.
    Error(String),
    /// The function says not now.
    Retry {
        /// When it wants it again.
        after: Option<Duration>,
        /// Why.
        reason: String,
    },
    /// The function says that bytes of its state are not what it reads them as.
    State(String),
    /// The record's entry is known, the call was ended by it.
    Fault(Fault),
    /// The call was ended by one of its entries, and which is not known.
    Somewhere(Fault),
}

impl Reason {
    /// A short name, for headers and status.
    pub fn kind(&self) -> &'static str {
        match self {
            Reason::Reject(_) => "reject",
            Reason::Error(_) => "error",
            Reason::Retry { .. } => "retry",
            Reason::State(_) => "state",
            Reason::Fault(fault) | Reason::Somewhere(fault) => fault.kind(),
        }
    }
}

/// As it reads in logs, case files and dead letters, behind the kind where the function chose it.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Reject(reason)
            | Reason::Error(reason)
            | Reason::Retry { reason, .. }
            | Reason::State(reason) => f.write_str(reason),
            Reason::Fault(fault) | Reason::Somewhere(fault) => fault.fmt(f),
        }
    }
}

/// What a function cost so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Calls.
    pub invocations: u64,
    /// Time in guest code.
    pub guest: Duration,
}

/// What a batch of entries came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Records.
    pub records: u64,
    /// Bytes of keys, values and headers.
    pub bytes: u64,
}

impl Tally {
    /// Counts a record.
    pub fn add(&mut self, record: &Record<'_>) {
        let part = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
        self.records += 1;
        self.bytes += (part(record.key) + part(record.value) + record.headers.bytes().len()) as u64;
    }
}

/// A function at work in one task.
pub struct Function {
    factory: Arc<dyn Instantiate>,
    instance: Option<Box<dyn Invoke>>,
    outputs: Vec<OutputCheck>,
    batch: BatchWriter,
    loaded: usize,
    cost: Cost,
}

/// An output's name and the largest record it takes.
#[derive(Debug, Clone)]
pub struct OutputCheck {
    /// The name in code.
    pub name: Arc<str>,
    /// Bytes of key, value and headers.
    pub bytes_max: usize,
}

impl Function {
    /// A function whose instances come from `factory`. Outputs are numbered as given.
    pub fn new(factory: Arc<dyn Instantiate>, outputs: Vec<OutputCheck>) -> Self {
        Function {
            factory,
            instance: None,
            outputs,
            batch: BatchWriter::new(),
            loaded: 0,
            cost: Cost::default(),
        }
    }

    /// The next call goes to a fresh instance.
    pub fn renew(&mut self) {
        self.instance = None;
    }

    /// What it cost since this was last asked.
    pub fn take_cost(&mut self) -> Cost {
        std::mem::take(&mut self.cost)
    }

    /// Takes the entries of the next call, all of one partition number.
    pub fn load<'a>(
        &mut self,
        partition: u32,
        entries: impl ExactSizeIterator<Item = Entry<'a>> + Clone,
    ) {
        self.loaded = entries.len();
        pack(&mut self.batch, partition, entries);
    }

    /// Calls the function with what was loaded; `scope` was loaded with the same entries. Each emission of a handled
    /// entry is handed to `emit`, in order. Where the answer turns out wrong later on, emissions of entries that are
    /// not handled were handed over too: they are to be dropped.
    pub fn call(&mut self, scope: &mut Scope, mut emit: impl FnMut(&Emission<'_>)) -> Called {
        let count = self.loaded;
        let called = self.invoke(scope).and_then(|answer| {
            let called = self.read(&answer, count, &mut emit);
            let called = called.map_err(|what| Fault::Contract { what })?;
            scope.unload(called.handled)?;
            Ok(called)
        });
        called.unwrap_or_else(|fault| {
            self.instance = None;
            faulted(fault, scope.take_culprit(), count)
        })
    }

    fn invoke(&mut self, scope: &mut Scope) -> Result<Vec<u8>, Fault> {
        let start = Instant::now();
        if self.instance.is_none() {
            // Whatever stops an instance from coming to life is not the record's doing.
            let fresh = self.factory.instantiate().map_err(|fault| match fault {
                Fault::Init { .. } => fault,
                other => Fault::Init { message: other.to_string() },
            })?;
            self.instance = Some(fresh);
        }
        let instance = self.instance.as_mut().expect("it was made above where there was none");
        let answer = instance.invoke(self.batch.finish(), scope);
        self.cost.invocations += 1;
        self.cost.guest += start.elapsed();
        answer
    }

    fn read(
        &self,
        answer: &[u8],
        count: usize,
        emit: &mut dyn FnMut(&Emission<'_>),
    ) -> Result<Called, String> {
        let count = u32::try_from(count).map_err(|error| error.to_string())?;
        let outcome = Outcome::parse(answer, count).map_err(|error| error.to_string())?;
        let mut stop = None;
        for emission in outcome.emissions() {
            let emission = emission.map_err(|error| error.to_string())?;
            if let Some(fault) = self.check(&emission)? {
                stop = Some((emission.cause, fault));
                break;
            }
            emit(&emission);
        }
        let handled = stop.as_ref().map_or(outcome.handled, |(cause, _)| *cause);
        let stopped = match (stop, outcome.failure) {
            (Some((_, fault)), _) => Some(Reason::Fault(fault)),
            (None, Some(failure)) => Some(reason(failure)),
            (None, None) => None,
        };
        let handled = handled as usize;
        Ok(Called { handled, stopped, culprit: handled })
    }

    fn check(&self, emission: &Emission<'_>) -> Result<Option<Fault>, String> {
        let output = self.outputs.get(usize::from(emission.output));
        let output = output.ok_or_else(|| {
            format!("an emission for output {}, which it does not have", emission.output)
        })?;
        let size = size(emission);
        Ok((size > output.bytes_max).then(|| Fault::Output {
            output: output.name.to_string(),
            size: size as u64,
            limit: output.bytes_max as u64,
        }))
    }
}

/// A call of so many entries that ended without an answer.
fn faulted(fault: Fault, culprit: Option<u32>, count: usize) -> Called {
    let known = culprit.is_some() || count == 1;
    let reason = match fault {
        Fault::Reject { reason } => Reason::Reject(reason),
        fault @ Fault::Storage { .. } => Reason::Fault(fault),
        fault if known => Reason::Fault(fault),
        fault => Reason::Somewhere(fault),
    };
    Called { handled: 0, stopped: Some(reason), culprit: culprit.unwrap_or(0) as usize }
}

fn reason(failure: Failure<'_>) -> Reason {
    match failure {
        Failure::Error(reason) => Reason::Error(reason.to_owned()),
        Failure::Reject(reason) => Reason::Reject(reason.to_owned()),
        Failure::State(reason) => Reason::State(reason.to_owned()),
        Failure::Retry { after_ms, reason } => {
            Reason::Retry { after: after_ms.map(Duration::from_millis), reason: reason.to_owned() }
        }
    }
}

/// The bytes an emission brings of its own; what it inherits was small enough to come in.
fn size(emission: &Emission<'_>) -> usize {
    let part = |part: &Part<'_>| match part {
        Part::Bytes(bytes) => bytes.len(),
        Part::Inherit | Part::Null => 0,
    };
    let headers = match emission.headers {
        HeaderPart::Replace(headers) => headers.bytes().len(),
        HeaderPart::Inherit => 0,
    };
    part(&emission.key) + part(&emission.value) + headers
}

/// Entries of one batch come from few topics: a new origin is looked for among those already there.
fn pack<'a>(
    batch: &mut BatchWriter,
    partition: u32,
    entries: impl Iterator<Item = Entry<'a>> + Clone,
) {
    let mut topics: Vec<&str> = Vec::new();
    batch.clear();
    for entry in entries.clone() {
        if topics.last() != Some(&entry.topic) && !topics.contains(&entry.topic) {
            topics.push(entry.topic);
            batch.origin(Origin { topic: entry.topic, partition });
        }
    }
    let mut last = 0;
    for entry in entries {
        if topics[last] != entry.topic {
            last = topics.iter().position(|topic| *topic == entry.topic).unwrap_or(last);
        }
        let record = &entry.record;
        batch.entry(&tidemill_layout::Entry {
            kind: entry.kind,
            source: entry.source,
            origin: u16::try_from(last).unwrap_or(u16::MAX),
            attempt: u16::try_from(entry.attempt).unwrap_or(u16::MAX),
            offset: record.offset.0,
            timestamp: record.timestamp.0,
            key: record.key,
            value: record.value,
            headers: record.headers,
        });
    }
}
