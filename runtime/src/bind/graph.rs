//! The steps that a manifest stands for.

use std::collections::{BTreeMap, BTreeSet};

use tidemill_aggregates::Value;

use super::{
    Binder, Found,
    functions::{capability, limits},
};
use crate::{
    guest::Role,
    manifest::{Input, JoinSettings, RekeySettings, StoreSettings, TimestampFrom, code_name},
    topology::{
        Aggregate, Builder, Comparison, EventTime, Expr, Format, Function, Join, KeyFrom, Lookup,
        OnFailure, Rekey, Side, Source, Stream, Table,
    },
};

/// The graph of a manifest that fits its code.
pub(super) fn builder(binder: &Binder<'_>) -> Builder {
    let manifest = binder.manifest;
    let mut app = Builder::new(manifest.app.as_str());
    app.max_ahead(manifest.max_ahead);
    for (name, store) in manifest.stores.iter().filter(|(_, store)| store.aggregate.is_none()) {
        app.store(name, store.ttl);
    }
    let mut graph = Graph {
        binder,
        app,
        streams: BTreeMap::new(),
        tables: BTreeMap::new(),
        functions: BTreeSet::new(),
    };
    for name in manifest.tables.keys() {
        graph.table(name);
    }
    for found in binder.functions.values() {
        graph.function(found);
    }
    for name in manifest.joins.keys() {
        graph.join(name);
    }
    for name in manifest.rekeys.keys() {
        graph.rekey(name);
    }
    for name in manifest.stores.keys() {
        graph.store(name);
    }
    graph.app
}

/// What a step is known by: its section, its name, and of a function the output.
type Known = (&'static str, String, usize);

struct Graph<'b, 'a> {
    binder: &'b Binder<'a>,
    app: Builder,
    streams: BTreeMap<Known, Stream>,
    tables: BTreeMap<String, Lookup>,
    /// Those that are there, or being made.
    functions: BTreeSet<String>,
}

impl Graph<'_, '_> {
    /// What an input hands on; the manifest has no cycles. `None` where it is no stream.
    fn input(&mut self, input: &Input) -> Option<Stream> {
        match input {
            Input::Topic(topic) => Some(self.topic(topic)),
            Input::Function { function, output } => {
                let found = self.binder.functions.get(function.as_str())?;
                let outputs = found.description.slots_of(Role::Output);
                let at = outputs.into_iter().position(|slot| slot.name == *output)?;
                self.function(found);
                self.streams.get(&("function", found.settings.name.clone(), at)).copied()
            }
            Input::Join(name) => self.join(name),
            Input::Rekey(name) => self.rekey(name),
            Input::Store(name) => self.store(name),
            Input::Table(_) => None,
        }
    }

    /// An input whose fields are read: where nobody says otherwise its values are JSON.
    fn fields(&mut self, input: &Input) -> Option<Stream> {
        let stream = self.input(input)?;
        self.app.assume(stream, Format::Json);
        Some(stream)
    }

    fn topic(&mut self, topic: &str) -> Stream {
        let mut source = Source::new(topic);
        if let Some(settings) = self.binder.manifest.topics.get(topic) {
            source = source.time(time(settings.timestamp.as_ref()));
            if let Some(format) = settings.key_format {
                source = source.key(format);
            }
            if let Some(format) = settings.format {
                source = source.value(format);
            }
            if let Some(late) = &settings.late {
                source = source.late(late);
            }
        }
        self.app.source(source)
    }

    fn table(&mut self, name: &str) -> Option<Lookup> {
        if let Some(known) = self.tables.get(name) {
            return Some(*known);
        }
        let settings = self.binder.manifest.tables.get(name)?;
        let mut table = Table::new(name, &settings.topic);
        if settings.broadcast {
            table = table.broadcast();
        }
        if let Some(topic) = self.binder.manifest.topics.get(&settings.topic) {
            table = table.time(time(topic.timestamp.as_ref()));
            if let Some(format) = topic.key_format {
                table = table.key(format);
            }
            if let Some(format) = topic.format {
                table = table.value(format);
            }
        }
        let lookup = self.app.table(table);
        self.tables.insert(name.to_owned(), lookup);
        Some(lookup)
    }

    fn function(&mut self, found: &Found<'_>) {
        let Found { settings, component, index, description } = found;
        let known = |at| ("function", settings.name.clone(), at);
        if !self.functions.insert(settings.name.clone()) {
            return;
        }
        let mut inputs = Vec::new();
        for (name, input) in &settings.inputs {
            let stream = match settings.filter.is_empty() {
                true => self.input(input),
                false => self.fields(input),
            };
            let source = Binder::source(found, name.as_deref());
            if let (Some(stream), Some(source)) = (stream, source) {
                inputs.push((source, stream));
            }
        }
        let (backoff, backoff_max) = settings.on_failure.backoff;
        let streams = self.app.function(Function {
            name: settings.name.clone(),
            component: (*component).clone(),
            index: *index,
            inputs,
            filter: predicate(&settings.filter),
            config: serde_json::Value::Object(settings.config.clone()).to_string().into(),
            limits: limits(&settings.limits),
            allow: settings.allow.iter().map(|allow| capability(*allow)).collect(),
            on_failure: OnFailure { retries: settings.on_failure.retries, backoff, backoff_max },
            batch_records: settings.batch.records as usize,
            batch_bytes: settings.batch.bytes,
        });
        let outputs = description.slots_of(Role::Output);
        for ((at, stream), slot) in streams.into_iter().enumerate().zip(outputs) {
            self.streams.insert(known(at), stream);
            if let Some(topic) = settings.outputs.get(&slot.name) {
                self.app.sink(stream, topic);
            }
        }
    }

    fn join(&mut self, name: &str) -> Option<Stream> {
        let known = ("join", name.to_owned(), 0);
        if let Some(stream) = self.streams.get(&known) {
            return Some(*stream);
        }
        let settings = self.binder.manifest.joins.get(name)?;
        let join = self.joined(settings)?;
        let stream = self.app.join(join);
        self.streams.insert(known, stream);
        Some(stream)
    }

    fn joined(&mut self, settings: &JoinSettings) -> Option<Join> {
        let JoinSettings { name, left, right, kind, tables, within, grace, idle, key } = settings;
        if *tables {
            let (left, right) = (self.side(left)?, self.side(right)?);
            return Some(Join::tables(name, left, right, *kind));
        }
        let Input::Table(table) = right else {
            let (left, right) = (self.input(left)?, self.input(right)?);
            let (before, after) = (*within)?;
            let join = Join::streams(name, left, right, *kind, before, after);
            return Some(join.grace(*grace).idle(*idle));
        };
        let right = self.table(table)?;
        if !self.binder.manifest.tables.get(table)?.broadcast {
            return Some(Join::table(name, self.input(left)?, right, *kind));
        }
        let left = match key {
            Some(KeyFrom::Column { .. }) => self.fields(left)?,
            _ => self.input(left)?,
        };
        let key = key.clone().unwrap_or(KeyFrom::Key);
        Some(Join::broadcast(name, left, right, *kind, key))
    }

    fn side(&mut self, input: &Input) -> Option<Side> {
        match input {
            Input::Table(table) => self.table(table).map(Side::Table),
            other => self.input(other).map(Side::Stream),
        }
    }

    fn rekey(&mut self, name: &str) -> Option<Stream> {
        let known = ("rekey", name.to_owned(), 0);
        if let Some(stream) = self.streams.get(&known) {
            return Some(*stream);
        }
        let settings = self.binder.manifest.rekeys.get(name)?;
        let RekeySettings { name, input, by, topic, partitions } = settings;
        let input = match by {
            KeyFrom::Column { .. } => self.fields(input)?,
            KeyFrom::Key | KeyFrom::Header(_) => self.input(input)?,
        };
        let mut rekey = Rekey::new(name, input, by.clone());
        if let Some(topic) = topic {
            rekey = rekey.topic(topic);
        }
        if let Some(partitions) = partitions {
            rekey = rekey.partitions(*partitions);
        }
        let stream = self.app.rekey(rekey);
        self.streams.insert(known, stream);
        Some(stream)
    }

    /// The results of an aggregate store.
    fn store(&mut self, name: &str) -> Option<Stream> {
        let known = ("store", code_name(name), 0);
        if let Some(stream) = self.streams.get(&known) {
            return Some(*stream);
        }
        let StoreSettings { name, aggregate, .. } = self.binder.manifest.stores.get(name)?;
        let settings = aggregate.as_ref()?;
        let mut aggregate = Aggregate::new(name, settings.spec.clone()).value(settings.format);
        if let Some(from) = &settings.from {
            let reads =
                !settings.spec.compute.arguments().is_empty() || !settings.filter.is_empty();
            aggregate = aggregate.from(if reads { self.fields(from)? } else { self.input(from)? });
        } else if !self.is_fed(&known.1) {
            // Declared and not used: the state stays where it is.
            return None;
        }
        if let Some(filter) = predicate(&settings.filter) {
            aggregate = aggregate.filter(filter);
        }
        let stream = self.app.aggregate(aggregate);
        self.streams.insert(known, stream);
        if let Some(topic) = &settings.output {
            self.app.sink(stream, topic);
        }
        Some(stream)
    }

    /// Whether a function feeds an aggregate store.
    fn is_fed(&self, store: &str) -> bool {
        let mut slots = self.binder.functions.values().flat_map(|found| &found.description.slots);
        slots.any(|slot| slot.role == Role::Aggregate && slot.name == store)
    }
}

fn time(from: Option<&TimestampFrom>) -> EventTime {
    match from {
        None => EventTime::Record,
        Some(TimestampFrom::Json(field)) => EventTime::Json(field.clone()),
        Some(TimestampFrom::Header(name)) => EventTime::Header(name.clone()),
    }
}

/// All fields are what they must be.
fn predicate(filter: &BTreeMap<String, serde_json::Value>) -> Option<Expr> {
    let equal = |(name, value): (&String, &serde_json::Value)| {
        let right = Expr::Literal(Value::from(value.clone()));
        Expr::column(name).compare(Comparison::Equal, right)
    };
    let all: Vec<Expr> = filter.iter().map(equal).collect();
    (!all.is_empty()).then_some(Expr::And(all))
}
