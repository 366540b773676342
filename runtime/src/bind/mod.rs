//! From a manifest and the code it binds to a [`Topology`]: what both say is checked against each other, and compiled to
//! the steps of a [`Builder`](crate::topology::Builder).
//!
//! The builder knows neither manifests nor code names in them; what it finds wrong is told here with file, line and key.

mod functions;
mod graph;
mod state;
#[cfg(test)]
pub(crate) mod tests;

use std::{collections::BTreeMap, fmt};

use crate::{
    guest::{Component, Description},
    manifest::{FunctionSettings, Manifest},
    topology::{self, Topology, What},
};

/// What is wrong between a manifest and the code it binds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The manifest's file.
    pub file: String,
    /// The line it is about, where there is one.
    pub line: Option<usize>,
    /// The key it is about, as in `functions.settle.outputs`.
    pub key: String,
    /// What was found.
    pub found: String,
    /// What would be right.
    pub right: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}: {}; {}", self.key, self.found, self.right)
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
        let mut binder = Binder { manifest, problems: Vec::new(), functions: BTreeMap::new() };
        for settings in manifest.functions.values() {
            binder.find(settings, components);
        }
        binder.check_stores();
        for found in binder.functions.clone().values() {
            binder.check(found);
        }
        if !binder.problems.is_empty() {
            return Err(Error { problems: binder.problems });
        }
        graph::builder(&binder).build().map_err(|invalid| {
            let problems = invalid.problems.into_iter().map(|it| binder.translate(it));
            Error { problems: problems.collect() }
        })
    }
}

/// A function of the manifest and the code that was found for it.
#[derive(Clone)]
struct Found<'a> {
    settings: &'a FunctionSettings,
    component: &'a Component,
    index: u32,
    description: &'a Description,
}

/// A manifest, the code of its functions, and what is wrong between them.
struct Binder<'a> {
    manifest: &'a Manifest,
    problems: Vec<Problem>,
    functions: BTreeMap<&'a str, Found<'a>>,
}

impl Binder<'_> {
    /// Something is wrong with a function.
    fn problem(&mut self, function: &str, key: &str, found: String, right: String) {
        let key = format!("functions.{function}{}{key}", if key.is_empty() { "" } else { "." });
        self.problem_at(key, found, right);
    }

    fn problem_at(&mut self, key: String, found: String, right: String) {
        let problem = self.at(key, found, right);
        self.problems.push(problem);
    }

    fn at(&self, key: String, found: String, right: String) -> Problem {
        let line = self.manifest.line(&key);
        Problem { file: self.manifest.file.clone(), line, key, found, right }
    }

    /// What the builder found, in the words of the manifest.
    fn translate(&self, problem: topology::Problem) -> Problem {
        let topology::Problem { what, name, part, found, right } = problem;
        let manifest = self.manifest;
        let code = crate::manifest::code_name(&name);
        let (section, name) = match what {
            What::Topic => ("topics", name),
            What::Table => {
                ("tables", manifest.tables.get(&code).map_or(name, |it| it.name.clone()))
            }
            What::Store => {
                ("stores", manifest.stores.get(&code).map_or(name, |it| it.name.clone()))
            }
            What::Join => ("joins", name),
            What::Rekey | What::Filter | What::Projection => ("rekey", name),
            What::Function => ("functions", name),
        };
        let dot = if part.is_empty() { "" } else { "." };
        self.at(format!("{section}.{name}{dot}{part}"), found, right)
    }
}
