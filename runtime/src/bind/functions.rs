//! Functions: their code, and what the manifest gives it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Binder, Found};
use crate::{
    guest::{Capability, Component, Limits, Role},
    manifest::{self, FunctionSettings, code_name},
};

impl<'a> Binder<'a> {
    /// Finds the code: by name, or the only function of its component.
    pub(super) fn find(
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

    /// What code and manifest say of one function.
    pub(super) fn check(&mut self, found: &Found<'a>) {
        self.check_state(found.settings, found.description);
        self.check_config(found);
        self.check_grants(found);
        self.check_outputs(found);
        for (source, _) in &found.settings.inputs {
            self.check_source(found, source.as_deref());
        }
        self.check_sources(found);
    }

    fn check_config(&mut self, found: &Found<'a>) {
        let Found { settings, description, .. } = found;
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

    fn check_grants(&mut self, found: &Found<'a>) {
        let Found { settings, component, .. } = found;
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
    fn check_outputs(&mut self, found: &Found<'a>) {
        let Found { settings, description, .. } = found;
        let known: BTreeSet<&str> =
            description.slots_of(Role::Output).map(|slot| slot.name.as_str()).collect();
        for name in settings.outputs.keys().filter(|name| !known.contains(name.as_str())) {
            let found = format!("the code has no output `{name}`");
            self.problem(&settings.name, "outputs", found, known_names("output", &known));
        }
        let taken = self.taken(&settings.name);
        for slot in description.slots_of(Role::Output) {
            if !settings.outputs.contains_key(&slot.name) && !taken.contains(slot.name.as_str()) {
                let found = format!("the code's output `{}` goes nowhere", slot.name);
                let right =
                    format!("bind it to a topic: outputs = {{ {} = \"TOPIC\" }}", slot.name);
                self.problem(&settings.name, "outputs", found, right);
            }
        }
        for output in taken.into_iter().filter(|output| !known.contains(output)) {
            let found =
                format!("`{}.{output}` is read, and the code has no such output", settings.name);
            self.problem(&settings.name, "outputs", found, known_names("output", &known));
        }
    }

    /// The outputs of a function that something takes in memory.
    fn taken(&self, function: &str) -> BTreeSet<&'a str> {
        let outputs = self.manifest.inputs().filter_map(|input| match input {
            manifest::Input::Function { function: of, output } if of == function => {
                Some(output.as_str())
            }
            _ => None,
        });
        outputs.collect()
    }

    /// The index of a source by the name the manifest uses for it.
    pub(super) fn source(found: &Found<'_>, name: Option<&str>) -> Option<u16> {
        let sources = &found.description.sources;
        let index = match name {
            None if sources.len() == 1 => Some(0),
            None => None,
            Some(name) => sources.iter().position(|source| source.name.as_deref() == Some(name)),
        };
        index.and_then(|index| u16::try_from(index).ok())
    }

    fn check_source(&mut self, function: &Found<'a>, name: Option<&str>) {
        if Self::source(function, name).is_some() {
            return;
        }
        let sources = &function.description.sources;
        let names: BTreeSet<&str> =
            sources.iter().filter_map(|source| source.name.as_deref()).collect();
        let found = match name {
            None => "the code tells several inputs apart".to_owned(),
            Some(name) => format!("the code has no input `{name}`"),
        };
        let right = match names.iter().next() {
            None => "the code has one input without a name: inputs = [\"TOPIC\"]".to_owned(),
            Some(first) => {
                format!("{}: inputs = {{ {first} = \"TOPIC\" }}", known_names("input", &names))
            }
        };
        self.problem(&function.settings.name, "inputs", found, right);
    }

    /// Every named source of the code is bound.
    fn check_sources(&mut self, found: &Found<'a>) {
        let Found { settings, description, .. } = found;
        let bound: BTreeSet<&str> =
            settings.inputs.iter().filter_map(|(name, _)| name.as_deref()).collect();
        if bound.is_empty() {
            return;
        }
        let names = description.sources.iter().filter_map(|source| source.name.as_deref());
        for name in names.filter(|name| !bound.contains(name)) {
            let found = format!("the code's input `{name}` is not bound");
            let right = format!("bind it: inputs = {{ {name} = \"TOPIC\" }}");
            self.problem(&settings.name, "inputs", found, right);
        }
    }
}

fn known_names(what: &str, known: &BTreeSet<&str>) -> String {
    match known.len() {
        0 => format!("it has no {what} at all"),
        _ => format!("it has {}", known.iter().copied().collect::<Vec<_>>().join(", ")),
    }
}

pub(super) fn limits(limits: &manifest::Limits) -> Limits {
    Limits {
        memory_bytes: limits.memory,
        time: limits.time,
        output_bytes: limits.output,
        log_line_bytes: limits.log_line,
    }
}

pub(super) fn capability(capability: manifest::Capability) -> Capability {
    match capability {
        manifest::Capability::Clock => Capability::Clock,
        manifest::Capability::Random => Capability::Random,
    }
}
