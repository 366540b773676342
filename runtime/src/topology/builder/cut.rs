//! Cuts a checked graph into sub-topologies, and numbers what is in each.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Builder, Flow, names,
    steps::{Aggregate, Function, Join, Joined, Side, Step, Stream},
    store_kind,
};
use crate::{
    aggregate::Windows,
    guest::{Binding, Role, Slot},
    store::{Kind, StoreSpec},
    topology::{
        AggregateNode, Edge, Expr, Feed, FilterNode, Format, FunctionNode, Input, JoinNode, Layout,
        Node, OnFailure, Output, Pair, Predicate, ProjectNode, RekeyNode, Repartition, SubTopology,
        Topology, Work, changelog_topic, dead_letter_topic, has_several_writers, meta_topic,
    },
};

/// What the meta store is called; no name can collide with it, since it has its own kind.
const META: &str = "meta";

/// The graph cut. It has no problems.
pub(super) fn cut(builder: &Builder) -> Topology {
    let mut outputs: Vec<Arc<str>> = Vec::new();
    let mut parts: Vec<SubTopology> =
        groups(builder).iter().map(|group| Part::new(builder, group).build(&mut outputs)).collect();
    parts.sort_by(|one, other| one.name.cmp(&other.name));
    let rekeys = builder.elements.iter().filter_map(|element| match &element.step {
        Step::Source(source) => {
            Some(Repartition { topic: Arc::clone(&source.topic), partitions: source.repartition? })
        }
        _ => None,
    });
    Topology {
        app: Arc::clone(&builder.app),
        parts: parts.into_iter().map(Arc::new).collect(),
        outputs,
        repartitions: rekeys.collect(),
    }
}

/// The steps that belong together: linked in memory, by a common topic, or by a store. Of sources only those that are
/// read.
fn groups(builder: &Builder) -> Vec<Vec<usize>> {
    let mut group: Vec<usize> = (0..builder.elements.len()).collect();
    let mut merge = |one: usize, other: usize| {
        let (one, other) = (group[one], group[other]);
        if one != other {
            group.iter_mut().filter(|at| **at == other).for_each(|at| *at = one);
        }
    };
    let mut stores: BTreeMap<String, usize> = BTreeMap::new();
    for (at, element) in builder.elements.iter().enumerate() {
        for (_, stream) in &element.inputs {
            merge(builder.flow(*stream).element, at);
        }
        for store in written(&element.step) {
            let first = *stores.entry(store).or_insert(at);
            merge(first, at);
        }
    }
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (at, group) in group.iter().enumerate() {
        groups.entry(*group).or_default().push(at);
    }
    let works = |at: &usize| !matches!(builder.elements[*at].step, Step::Source(_));
    groups.into_values().filter(|group| group.iter().any(works)).collect()
}

/// The stores that a step writes, by name.
pub(super) fn written(step: &Step) -> Vec<String> {
    match step {
        Step::Function(function) => {
            let kept = |slot: &&Slot| slot.role.is_store();
            function.slots().filter(kept).map(|slot| slot.name.clone()).collect()
        }
        Step::Aggregate(aggregate) => vec![names::code(&aggregate.name)],
        Step::Join(join) => match join.joined {
            Joined::Streams { .. } => vec![names::code(&join.name)],
            Joined::Tables => sides(join).to_vec(),
            Joined::Table | Joined::Broadcast(_) => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// The stores of both sides of a join of two tables.
fn sides(join: &Join) -> [String; 2] {
    ["left", "right"].map(|side| format!("{}_{side}", names::code(&join.name)))
}

/// A sub-topology in the making.
struct Part<'b> {
    builder: &'b Builder,
    /// Its steps but sources, each behind those that feed it.
    steps: Vec<usize>,
    stores: Vec<StoreSpec>,
    timers: Vec<Arc<str>>,
    name: Arc<str>,
}

impl<'b> Part<'b> {
    fn new(builder: &'b Builder, group: &[usize]) -> Part<'b> {
        let mut part = Part {
            builder,
            steps: in_order(builder, group),
            stores: Vec::new(),
            timers: Vec::new(),
            name: Arc::default(),
        };
        part.name = part.find_name();
        part.timers = part.find_timers();
        part.stores = part.find_stores();
        part
    }

    fn step(&self, at: usize) -> &'b Step {
        &self.builder.elements[at].step
    }

    fn functions(&self) -> impl Iterator<Item = &'b Function> {
        self.steps.iter().filter_map(|at| match self.step(*at) {
            Step::Function(function) => Some(&**function),
            _ => None,
        })
    }

    fn build(&self, outputs: &mut Vec<Arc<str>>) -> SubTopology {
        let nodes: Vec<Node> = self.steps.iter().map(|at| self.node(*at, outputs)).collect();
        let aggregates = self.steps.iter().filter_map(|at| match self.step(*at) {
            Step::Aggregate(aggregate) => {
                let store = self.store(&names::code(&aggregate.name));
                Some((store, Arc::new(aggregate.spec.clone())))
            }
            _ => None,
        });
        // Where several functions write to a store, the records must go through all of them one after another.
        let one_by_one = has_several_writers(&nodes);
        let records = self.functions().map(|function| function.batch_records).min();
        let bytes = self.functions().map(|function| function.batch_bytes).min();
        SubTopology {
            name: Arc::clone(&self.name),
            inputs: self.inputs(),
            aggregates: aggregates.collect(),
            stores: self.stores.clone(),
            timers: self.timers.clone(),
            batch_records: if one_by_one {
                1
            } else {
                records.unwrap_or(self.builder.batch_records)
            },
            batch_bytes: bytes.unwrap_or(self.builder.batch_bytes),
            max_ahead: self.builder.max_ahead,
            nodes,
        }
    }

    /// See [`SubTopology::name`]: a step without state that comes later must not rename what is kept.
    fn find_name(&self) -> Arc<str> {
        let keeps = |at: &usize| {
            let step = self.step(*at);
            let timer = matches!(step, Step::Function(function)
                if function.slots().any(|slot| slot.role == Role::Timer));
            timer || !written(step).is_empty()
        };
        let mut named: Vec<(bool, String)> =
            self.steps.iter().map(|at| (!keeps(at), names::code(self.step(*at).name()))).collect();
        named.sort();
        named.into_iter().next().map_or_else(Arc::default, |(_, name)| name.into())
    }

    fn find_timers(&self) -> Vec<Arc<str>> {
        let timers = self.functions().flat_map(|function| {
            let name = names::code(&function.name);
            let slots = function.slots().filter(|slot| slot.role == Role::Timer);
            slots.map(move |slot| format!("{name}.{}", slot.name).into())
        });
        timers.collect()
    }

    /// Stores, then tables, by name, then meta.
    fn find_stores(&self) -> Vec<StoreSpec> {
        let app = &*self.builder.app;
        let mut kept: BTreeMap<String, Kind> = BTreeMap::new();
        let mut looked_up: BTreeSet<String> = BTreeSet::new();
        for at in &self.steps {
            match self.step(*at) {
                Step::Function(function) => {
                    for slot in function.slots() {
                        if let Some(kind) = store_kind(slot.role) {
                            kept.insert(slot.name.clone(), kind);
                        } else if slot.role == Role::Table {
                            looked_up.insert(slot.name.clone());
                        }
                    }
                }
                Step::Aggregate(aggregate) => {
                    kept.insert(names::code(&aggregate.name), kind_of(aggregate));
                }
                Step::Join(join) => match (&join.joined, join.right) {
                    (Joined::Streams { .. }, _) => {
                        kept.insert(names::code(&join.name), Kind::Join);
                    }
                    (Joined::Tables, _) => {
                        kept.extend(sides(join).map(|side| (side, Kind::Value)));
                    }
                    (Joined::Table | Joined::Broadcast(_), Side::Table(table)) => {
                        looked_up.insert(names::code(&self.builder.tables[table.0].name));
                    }
                    (Joined::Table | Joined::Broadcast(_), Side::Stream(_)) => {}
                },
                _ => {}
            }
        }
        let mut stores: Vec<StoreSpec> = kept
            .into_iter()
            .map(|(name, kind)| StoreSpec {
                kind,
                ttl: self.builder.stores.get(&name).copied().flatten(),
                broadcast: false,
                topic: changelog_topic(app, &name).into(),
                name: name.into(),
            })
            .collect();
        let keeps = !stores.is_empty() || !self.timers.is_empty();
        stores.extend(looked_up.into_iter().filter_map(|name| {
            let table = self.builder.table_named(&name)?;
            Some(StoreSpec {
                name: name.into(),
                kind: Kind::Table,
                ttl: None,
                broadcast: table.broadcast,
                topic: Arc::clone(&table.topic),
            })
        }));
        if keeps {
            stores.push(StoreSpec {
                name: META.into(),
                kind: Kind::Meta,
                ttl: None,
                broadcast: false,
                topic: meta_topic(app, &self.name).into(),
            });
        }
        stores
    }

    /// The index of a store.
    fn store(&self, name: &str) -> usize {
        self.index(name, false).expect("each store of a step is among those of its part")
    }

    fn table(&self, side: Side) -> usize {
        let Side::Table(table) = side else { unreachable!("checked: the right side is a table") };
        let name = names::code(&self.builder.tables[table.0].name);
        self.index(&name, true).expect("each table of a join is among the stores of its part")
    }

    fn index(&self, name: &str, is_table: bool) -> Option<usize> {
        self.stores.iter().position(|store| {
            *store.name == *name
                && store.kind != Kind::Meta
                && (store.kind == Kind::Table) == is_table
        })
    }

    fn inputs(&self) -> Vec<Input> {
        let mut inputs: BTreeMap<&str, Input> = BTreeMap::new();
        for (node, at) in self.steps.iter().enumerate() {
            for (source, stream) in &self.builder.elements[*at].inputs {
                let flow = self.builder.flow(*stream);
                if let Step::Source(read) = self.step(flow.element) {
                    let input = inputs.entry(&read.topic).or_insert_with(|| Input {
                        topic: Arc::clone(&read.topic),
                        readers: Vec::new(),
                        time: read.time.clone(),
                    });
                    input.readers.push(Edge { node, source: *source });
                }
            }
        }
        inputs.into_values().collect()
    }

    fn node(&self, at: usize, topics: &mut Vec<Arc<str>>) -> Node {
        let step = self.step(at);
        let work = self.work(at);
        let (mut on_failure, mut filter) = (OnFailure::default(), None);
        match step {
            Step::Function(function) => {
                on_failure = function.on_failure;
                filter = self.predicate(at, function.filter.as_ref());
            }
            Step::Aggregate(aggregate) => filter = self.predicate(at, aggregate.filter.as_ref()),
            _ => {}
        }
        let outputs = self.outputs(at, topics);
        let name = step.name();
        let dead_letters = Some(topic(topics, &dead_letter_topic(&self.builder.app, name)));
        Node { name: name.into(), work, filter, outputs, dead_letters, on_failure }
    }

    fn predicate(&self, at: usize, expr: Option<&Expr>) -> Option<Predicate> {
        let expr = expr?.clone();
        let layout = self.input(at).value.clone().unwrap_or(Layout::One(Format::Bytes));
        Some(Predicate { layout, expr })
    }

    fn input(&self, at: usize) -> &'b Flow {
        self.builder.flow(self.builder.elements[at].inputs[0].1)
    }

    fn work(&self, at: usize) -> Work {
        match self.step(at) {
            Step::Function(function) => Work::Function(FunctionNode {
                component: function.component.clone(),
                index: function.index,
                config: Arc::clone(&function.config),
                limits: function.limits,
                bindings: function.slots().map(|slot| self.binding(&function.name, slot)).collect(),
                allow: function.allow.clone(),
            }),
            Step::Aggregate(aggregate) => Work::Aggregate(AggregateNode {
                store: self.store(&names::code(&aggregate.name)),
                feed: aggregate.from.map(|from| Feed {
                    format: format(self.builder.flow(from)),
                    columns: aggregate.spec.compute.arguments().to_vec(),
                }),
                value: aggregate.value,
            }),
            Step::Join(join) => Work::Join(JoinNode { kind: join.kind, pair: self.pair(join) }),
            Step::Rekey(rekey, _) => Work::Rekey(RekeyNode { by: rekey.by.clone() }),
            Step::Filter { predicate, .. } => {
                Work::Filter(FilterNode { predicate: self.predicate(at, predicate.as_ref()) })
            }
            Step::Project(projection) => Work::Project(ProjectNode {
                from: self.input(at).value.clone().unwrap_or(Layout::One(Format::Bytes)),
                columns: projection.columns.clone(),
                value: projection.value,
            }),
            Step::Source(_) => unreachable!("sources are no nodes"),
        }
    }

    fn pair(&self, join: &Join) -> Pair {
        match &join.joined {
            Joined::Table => Pair::StreamTable { table: self.table(join.right) },
            Joined::Broadcast(key) => {
                Pair::StreamBroadcast { table: self.table(join.right), key: key.clone() }
            }
            Joined::Streams { before, after, grace, idle } => Pair::StreamStream {
                store: self.store(&names::code(&join.name)),
                before: *before,
                after: *after,
                grace: *grace,
                idle: *idle,
            },
            Joined::Tables => {
                let [left, right] = sides(join).map(|side| self.store(&side));
                Pair::TableTable { left, right }
            }
        }
    }

    fn binding(&self, function: &str, slot: &Slot) -> Option<Binding> {
        match slot.role {
            Role::Value | Role::Map | Role::Counter => {
                self.index(&slot.name, false).map(Binding::Store)
            }
            Role::Aggregate => self.index(&slot.name, false).map(Binding::Aggregate),
            Role::Table => self.index(&slot.name, true).map(Binding::Table),
            Role::Timer => {
                let name = format!("{}.{}", names::code(function), slot.name);
                let number = self.timers.iter().position(|timer| **timer == *name)?;
                u16::try_from(number).ok().map(Binding::Timer)
            }
            Role::Output | Role::Config => None,
        }
    }

    fn outputs(&self, at: usize, topics: &mut Vec<Arc<str>>) -> Vec<Output> {
        let element = &self.builder.elements[at];
        let mut to = |name: &str, to: Option<&Arc<str>>| Output {
            name: name.into(),
            topic: to.map(|to| topic(topics, to)),
            edges: Vec::new(),
        };
        let mut outputs: Vec<Output> = match &element.step {
            Step::Function(function) => {
                let slots = function.slots().filter(|slot| slot.role == Role::Output);
                slots.map(|slot| to(&slot.name, None)).collect()
            }
            Step::Aggregate(_) => {
                vec![to("results", None), to("late", late(self.builder, at).first())]
            }
            Step::Join(join) if matches!(join.joined, Joined::Streams { .. }) => {
                let of = |side: usize| self.builder.flow(element.inputs[side].1).late.as_ref();
                vec![to("rows", None), to("late_left", of(0)), to("late_right", of(1))]
            }
            Step::Join(_) => vec![to("rows", None)],
            Step::Rekey(_, topic) => vec![to("records", Some(topic))],
            Step::Filter { .. } | Step::Project(_) => vec![to("records", None)],
            Step::Source(_) => Vec::new(),
        };
        if matches!(element.step, Step::Rekey(..)) {
            return outputs;
        }
        for (output, stream) in outputs.iter_mut().zip(&element.flows) {
            let sink = self.builder.sinks.iter().find(|(from, _)| from == stream);
            output.topic = sink.map(|(_, to)| topic(topics, to));
            output.edges = self.edges(*stream);
        }
        outputs
    }

    fn edges(&self, stream: Stream) -> Vec<Edge> {
        let takers = self.steps.iter().enumerate().flat_map(|(node, at)| {
            let inputs = self.builder.elements[*at].inputs.iter();
            let ours = inputs.filter(move |(_, from)| *from == stream);
            ours.map(move |(source, _)| Edge { node, source: *source })
        });
        takers.collect()
    }
}

/// Where records that are too late for an aggregate go: as their topics say. The graph is checked: there is one at most.
pub(super) fn late(builder: &Builder, at: usize) -> Vec<Arc<str>> {
    let element = &builder.elements[at];
    let Step::Aggregate(aggregate) = &element.step else { return Vec::new() };
    let store = names::code(&aggregate.name);
    let feeders = builder.elements.iter().filter(|feeder| {
        matches!(feeder.step, Step::Function(_)) && written(&feeder.step).contains(&store)
    });
    let inputs = feeders.chain(std::iter::once(element)).flat_map(|element| &element.inputs);
    let topics: BTreeSet<Arc<str>> =
        inputs.filter_map(|(_, stream)| builder.flow(*stream).late.clone()).collect();
    topics.into_iter().collect()
}

fn kind_of(aggregate: &Aggregate) -> Kind {
    match aggregate.spec.windows {
        None | Some(Windows::Tumbling { .. } | Windows::Hopping { .. }) => Kind::Window,
        Some(Windows::Sliding { .. } | Windows::Session { .. }) => Kind::Session,
    }
}

fn format(flow: &Flow) -> Format {
    flow.value.as_ref().map_or(Format::Bytes, Layout::format)
}

fn topic(topics: &mut Vec<Arc<str>>, name: &str) -> usize {
    if let Some(index) = topics.iter().position(|have| **have == *name) {
        return index;
    }
    topics.push(name.into());
    topics.len() - 1
}

/// Steps that feed others first, else by name.
fn in_order(builder: &Builder, group: &[usize]) -> Vec<usize> {
    let works = |at: &&usize| !matches!(builder.elements[**at].step, Step::Source(_));
    let mut steps: Vec<usize> = group.iter().filter(works).copied().collect();
    steps.sort_by_key(|at| builder.elements[*at].step.name());
    let mut feeders: Vec<BTreeSet<usize>> = steps
        .iter()
        .map(|to| {
            let inputs = builder.elements[*to].inputs.iter();
            inputs.map(|(_, stream)| builder.flow(*stream).element).collect()
        })
        .collect();
    for from in &steps {
        let step = &builder.elements[*from].step;
        if !matches!(step, Step::Function(_)) {
            continue;
        }
        let stores = written(step);
        for (to, feeders) in steps.iter().zip(&mut feeders) {
            if let Step::Aggregate(aggregate) = &builder.elements[*to].step
                && stores.contains(&names::code(&aggregate.name))
            {
                feeders.insert(*from);
            }
        }
    }
    for feeders in &mut feeders {
        feeders.retain(|at| !matches!(builder.elements[*at].step, Step::Source(_)));
    }
    let (mut ordered, mut done) = (Vec::new(), BTreeSet::new());
    while ordered.len() < steps.len() {
        let waits = |at: &usize| !done.contains(at);
        let ready = steps
            .iter()
            .zip(&feeders)
            .find(|(at, feeders)| waits(at) && !feeders.iter().any(waits));
        // A checked graph has no cycles, so one is always ready.
        let Some((ready, _)) = ready else { break };
        ordered.push(*ready);
        done.insert(*ready);
    }
    ordered
}
