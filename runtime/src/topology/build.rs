//! From manifest and descriptions to a [`Topology`], with everything checked on the way.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use super::{
    Edge, EventTime, FunctionNode, Input, Node, OnFailure, Output, SubTopology, Topology, Work,
    dead_letter_topic, state,
};
use crate::{
    guest::{Capability, Component, Description, Limits, Role, Shape},
    manifest::{self, FunctionSettings, Manifest, TimestampFrom, code_name},
};

/// What is wrong between a manifest and the code it binds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The manifest's file.
    pub file: String,
    /// The key it is about, as in `functions.settle.outputs`.
    pub key: String,
    /// What was found.
    pub found: String,
    /// What would be right.
    pub right: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}; {}", self.file, self.key, self.found, self.right)
    }
}

/// The manifest and the code do not fit together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// All that is wrong.
    pub problems: Vec<Problem>,
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl Topology {
    /// Builds it. `components` holds the code of every function, by the manifest's name.
    ///
    /// # Errors
    /// With everything that does not fit.
    pub fn build(
        manifest: &Manifest,
        components: &BTreeMap<String, Component>,
    ) -> Result<Topology, Error> {
        let mut builder = Builder {
            manifest,
            problems: Vec::new(),
            outputs: Vec::new(),
            functions: BTreeMap::new(),
        };
        for settings in manifest.functions.values() {
            builder.find(settings, components);
        }
        builder.check_stores();
        let nodes: Vec<(Node, &FunctionSettings)> = builder
            .functions
            .clone()
            .into_values()
            .map(|function| builder.node(&function))
            .collect();
        let topology = builder.connect(nodes);
        if builder.problems.is_empty() {
            Ok(topology)
        } else {
            Err(Error { problems: builder.problems })
        }
    }
}

/// A function of the manifest and the code that was found for it.
#[derive(Clone)]
pub(super) struct Found<'a> {
    pub(super) settings: &'a FunctionSettings,
    component: &'a Component,
    index: u32,
    pub(super) description: &'a Description,
}

pub(super) struct Builder<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) problems: Vec<Problem>,
    outputs: Vec<Arc<str>>,
    pub(super) functions: BTreeMap<&'a str, Found<'a>>,
}

impl<'a> Builder<'a> {
    /// Something is wrong with a function.
    pub(super) fn problem(&mut self, function: &str, key: &str, found: String, right: String) {
        let key = format!("functions.{function}{}{key}", if key.is_empty() { "" } else { "." });
        self.problems.push(Problem { file: self.manifest.file.clone(), key, found, right });
    }

    /// Finds the code: by name, or the only function of its component.
    fn find(
        &mut self,
        settings: &'a FunctionSettings,
        components: &'a BTreeMap<String, Component>,
    ) {
        let name = settings.name.as_str();
        let Some(component) = components.get(name) else {
            return self.problem(
                name,
                "module",
                "no code was loaded".to_owned(),
                "build or upload it first".to_owned(),
            );
        };
        let code = code_name(name);
        let found = match component.descriptions() {
            [only] => Some((0, only)),
            _ => component.function(&code),
        };
        match found {
            Some((index, description)) => {
                self.functions.insert(name, Found { settings, component, index, description });
            }
            None => {
                let names: Vec<&str> =
                    component.descriptions().iter().map(|it| it.name.as_str()).collect();
                let found = format!("{} holds no function `{code}`", settings.module);
                self.problem(
                    name,
                    "module",
                    found,
                    format!("it holds {}: name the section after one", names.join(", ")),
                );
            }
        }
    }

    fn node(&mut self, function: &Found<'a>) -> (Node, &'a FunctionSettings) {
        let Found { settings, component, index, description } = function;
        self.check_state(settings, description);
        self.check_shapes(settings, description);
        self.check_config(settings, description);
        self.check_grants(settings, component);
        let outputs = self.bind_outputs(settings, description);
        let dead_letters =
            self.output(&dead_letter_topic(self.manifest.app.as_str(), &settings.name));
        let node = Node {
            name: settings.name.as_str().into(),
            work: Work::Function(FunctionNode {
                component: (*component).clone(),
                index: *index,
                config: serde_json::Value::Object(settings.config.clone()).to_string().into(),
                limits: limits(&settings.limits),
                bindings: Arc::default(),
                allow: settings.allow.iter().map(|allow| capability(*allow)).collect(),
            }),
            filter: settings.filter.clone(),
            outputs,
            dead_letters: Some(dead_letters),
            on_failure: OnFailure {
                retries: settings.on_failure.retries,
                backoff: settings.on_failure.backoff.0,
                backoff_max: settings.on_failure.backoff.1,
            },
        };
        (node, settings)
    }

    fn check_shapes(&mut self, settings: &FunctionSettings, description: &Description) {
        if let Some(source) = description.sources.iter().find(|source| source.shape != Shape::Plain)
        {
            let found = format!("the code takes {:?} input", source.shape).to_lowercase();
            self.problem(
                &settings.name,
                "inputs",
                found,
                "this version has plain input only".to_owned(),
            );
        }
    }

    fn check_config(&mut self, settings: &FunctionSettings, description: &Description) {
        let known: BTreeSet<&str> =
            description.slots_of(Role::Config).map(|slot| slot.name.as_str()).collect();
        for slot in description.slots_of(Role::Config).filter(|slot| slot.required) {
            if !settings.config.contains_key(&slot.name) {
                let found = format!("`{}` is not given", slot.name);
                let right = format!("the code needs it: config = {{ {} = ... }}", slot.name);
                self.problem(&settings.name, "config", found, right);
            }
        }
        for key in settings.config.keys().filter(|key| !known.contains(key.as_str())) {
            let found = format!("the code has no config `{key}`");
            self.problem(&settings.name, "config", found, known_names("config", &known));
        }
    }

    fn check_grants(&mut self, settings: &FunctionSettings, component: &Component) {
        for capability in [Capability::Clock, Capability::Random] {
            let imported =
                component.imports().iter().any(|import| import.starts_with(capability.import()));
            let granted = settings.allow.iter().any(|allow| self::capability(*allow) == capability);
            if imported && !granted {
                let found =
                    format!("the code imports `{}`, which is not granted", capability.import());
                let right = format!("grant it with allow = [\"{capability}\"]");
                self.problem(&settings.name, "allow", found, right);
            }
            if granted && !imported {
                tracing::warn!(function = settings.name, %capability, "granted but not used");
            }
        }
    }

    /// Every output of the code goes somewhere, and only outputs of the code are bound.
    fn bind_outputs(
        &mut self,
        settings: &FunctionSettings,
        description: &Description,
    ) -> Vec<Output> {
        let known: BTreeSet<&str> =
            description.slots_of(Role::Output).map(|slot| slot.name.as_str()).collect();
        for name in settings.outputs.keys().filter(|name| !known.contains(name.as_str())) {
            let found = format!("the code has no output `{name}`");
            self.problem(&settings.name, "outputs", found, known_names("output", &known));
        }
        let mut outputs = Vec::new();
        for slot in description.slots_of(Role::Output) {
            let topic = settings.outputs.get(&slot.name).map(|topic| self.output(topic));
            let taken = self.takers(&settings.name, &slot.name).next().is_some();
            if topic.is_none() && !taken {
                let found = format!("the code's output `{}` goes nowhere", slot.name);
                let right =
                    format!("bind it to a topic: outputs = {{ {} = \"TOPIC\" }}", slot.name);
                self.problem(&settings.name, "outputs", found, right);
            }
            outputs.push(Output { name: slot.name.as_str().into(), topic, edges: Vec::new() });
        }
        outputs
    }

    /// The functions that take an output in memory, with their source's name.
    fn takers(
        &self,
        function: &str,
        output: &str,
    ) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        let manifest = self.manifest;
        let wanted =
            manifest::Input::Function { function: function.to_owned(), output: output.to_owned() };
        manifest.functions.values().flat_map(move |settings| {
            let wanted = wanted.clone();
            let inputs = settings.inputs.iter().filter(move |(_, input)| *input == wanted);
            inputs.map(|(source, _)| (settings.name.as_str(), source.as_deref()))
        })
    }

    fn output(&mut self, topic: &str) -> usize {
        if let Some(index) = self.outputs.iter().position(|have| **have == *topic) {
            return index;
        }
        self.outputs.push(topic.into());
        self.outputs.len() - 1
    }

    /// The index of a source by the name the manifest uses for it.
    fn source(&mut self, function: &str, name: Option<&str>) -> u16 {
        let Some(found) = self.functions.get(function) else { return 0 };
        let sources = &found.description.sources;
        let names: BTreeSet<&str> =
            sources.iter().filter_map(|source| source.name.as_deref()).collect();
        let index = match name {
            None if sources.len() == 1 => Some(0),
            None => None,
            Some(name) => sources.iter().position(|source| source.name.as_deref() == Some(name)),
        };
        match index.and_then(|index| u16::try_from(index).ok()) {
            Some(index) => index,
            None => {
                let found = match name {
                    None => "the code tells several inputs apart".to_owned(),
                    Some(name) => format!("the code has no input `{name}`"),
                };
                let right = match names.iter().next() {
                    None => {
                        "the code has one input without a name: inputs = [\"TOPIC\"]".to_owned()
                    }
                    Some(first) => format!(
                        "{}: inputs = {{ {first} = \"TOPIC\" }}",
                        known_names("input", &names)
                    ),
                };
                self.problem(function, "inputs", found, right);
                0
            }
        }
    }

    /// Every named source of the code is bound.
    fn check_sources(&mut self, settings: &FunctionSettings) {
        let Some(found) = self.functions.get(settings.name.as_str()) else { return };
        let bound: BTreeSet<&str> =
            settings.inputs.iter().filter_map(|(name, _)| name.as_deref()).collect();
        let names = found.description.sources.iter().filter_map(|source| source.name.as_deref());
        let missing: Vec<String> =
            names.filter(|name| !bound.contains(name)).map(str::to_owned).collect();
        if bound.is_empty() {
            return;
        }
        for name in missing {
            let found = format!("the code's input `{name}` is not bound");
            self.problem(
                &settings.name,
                "inputs",
                found,
                format!("bind it: inputs = {{ {name} = \"TOPIC\" }}"),
            );
        }
    }

    /// Groups nodes that share a topic or an edge, and draws the edges.
    fn connect(&mut self, nodes: Vec<(Node, &'a FunctionSettings)>) -> Topology {
        let manifest = self.manifest;
        let groups = group(nodes.iter().map(|(_, settings)| {
            let stores = self.functions.get(settings.name.as_str()).into_iter();
            let stores = stores.flat_map(|found| state::stores(found.description));
            (*settings, stores.map(|slot| slot.name.as_str()).collect())
        }));
        let mut parts = Vec::new();
        for names in groups {
            let names = self.in_order(&names);
            let at = |name: &str| names.iter().position(|have| *have == name).unwrap_or(0);
            let mut inputs: BTreeMap<&str, Vec<Edge>> = BTreeMap::new();
            let mut members: Vec<Node> = Vec::new();
            for name in &names {
                let Some((node, settings)) = nodes.iter().find(|(node, _)| *node.name == **name)
                else {
                    continue;
                };
                self.check_sources(settings);
                for (source, input) in &settings.inputs {
                    let edge =
                        Edge { node: at(name), source: self.source(name, source.as_deref()) };
                    if let manifest::Input::Topic(topic) = input {
                        inputs.entry(topic).or_default().push(edge);
                    }
                }
                let mut node = node.clone();
                for output in &mut node.outputs {
                    let takers: Vec<_> = self.takers(name, &output.name).collect();
                    output.edges = takers
                        .into_iter()
                        .map(|(taker, source)| Edge {
                            node: at(taker),
                            source: self.source(taker, source),
                        })
                        .collect();
                }
                members.push(node);
            }
            let stores = self.bind(&names, &mut members);
            parts.push(Arc::new(part(manifest, &names, inputs, members, stores)));
        }
        Topology { app: manifest.app.as_str().into(), parts, outputs: self.outputs.clone() }
    }

    /// Those that feed others first, else by name. The manifest has no cycles.
    fn in_order(&self, names: &BTreeSet<&'a str>) -> Vec<&'a str> {
        let feeds = |name: &str| -> Vec<&str> {
            let inputs = &self.manifest.functions[name].inputs;
            let functions = inputs.iter().filter_map(|(_, input)| match input {
                manifest::Input::Function { function, .. } => Some(function.as_str()),
                manifest::Input::Topic(_) => None,
            });
            functions.collect()
        };
        let mut ordered: Vec<&str> = Vec::new();
        while ordered.len() < names.len() {
            let ready = names.iter().find(|name| {
                !ordered.contains(name)
                    && feeds(name)
                        .iter()
                        .all(|feed| ordered.contains(feed) || !names.contains(feed))
            });
            // A manifest without cycles always has one that is ready.
            let Some(ready) = ready else { break };
            ordered.push(ready);
        }
        ordered
    }
}

fn known_names(what: &str, known: &BTreeSet<&str>) -> String {
    match known.len() {
        0 => format!("it has no {what} at all"),
        _ => format!("it has {}", known.iter().copied().collect::<Vec<_>>().join(", ")),
    }
}

/// Functions that share a topic, an edge or a store belong together.
fn group<'a>(
    functions: impl Iterator<Item = (&'a FunctionSettings, Vec<&'a str>)>,
) -> Vec<BTreeSet<&'a str>> {
    let mut groups: Vec<(BTreeSet<&str>, BTreeSet<String>)> = Vec::new();
    for (settings, stores) in functions {
        let mut names = BTreeSet::from([settings.name.as_str()]);
        let mut links = BTreeSet::from([format!("function {}", settings.name)]);
        links.extend(settings.inputs.iter().map(|(_, input)| match input {
            manifest::Input::Topic(topic) => format!("topic {topic}"),
            manifest::Input::Function { function, .. } => format!("function {function}"),
        }));
        links.extend(stores.into_iter().map(|store| format!("store {store}")));
        let (joined, rest): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|(_, have)| !have.is_disjoint(&links));
        for (more_names, more_links) in joined {
            names.extend(more_names);
            links.extend(more_links);
        }
        groups = rest;
        groups.push((names, links));
    }
    let mut groups: Vec<BTreeSet<&str>> = groups.into_iter().map(|(names, _)| names).collect();
    groups.sort();
    groups
}

fn part(
    manifest: &Manifest,
    names: &[&str],
    inputs: BTreeMap<&str, Vec<Edge>>,
    nodes: Vec<Node>,
    state: state::Bound,
) -> SubTopology {
    let inputs = inputs.into_iter().map(|(topic, mut readers)| {
        readers.sort_by_key(|edge| edge.node);
        let time = manifest.topics.get(topic).and_then(|settings| settings.timestamp.as_ref());
        let time = match time {
            None => EventTime::Record,
            Some(TimestampFrom::Json(field)) => EventTime::Json(field.clone()),
            Some(TimestampFrom::Header(name)) => EventTime::Header(name.clone()),
        };
        Input { topic: topic.into(), readers, time }
    });
    let batches = names
        .iter()
        .filter_map(|name| manifest.functions.get(*name))
        .map(|settings| settings.batch);
    // Where several functions write to a store, the records must go through all of them one after another.
    let one_by_one = state::has_several_writers(&nodes);
    let records = batches.clone().map(|batch| batch.records as usize).min().unwrap_or(1);
    SubTopology {
        name: state.part,
        aggregates: BTreeMap::new(),
        stores: state.stores,
        timers: state.timers,
        inputs: inputs.collect(),
        nodes,
        max_ahead: manifest.max_ahead,
        batch_records: if one_by_one { 1 } else { records },
        batch_bytes: batches.map(|batch| batch.bytes).min().unwrap_or(1),
    }
}

fn limits(limits: &manifest::Limits) -> Limits {
    Limits {
        memory_bytes: limits.memory,
        time: limits.time,
        output_bytes: limits.output,
        log_line_bytes: limits.log_line,
    }
}

fn capability(capability: manifest::Capability) -> Capability {
    match capability {
        manifest::Capability::Clock => Capability::Clock,
        manifest::Capability::Random => Capability::Random,
    }
}
