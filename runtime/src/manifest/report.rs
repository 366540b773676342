//! What is wrong with a manifest: gathered while checking, so that one run shows all of it.

use std::{cell::RefCell, fmt};

use serde::Serialize;

use super::tree::Place;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The file, or the `--set` argument.
    pub file: String,
    /// The line in the file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The key with the tables around it: `functions.settle.inputs`. Empty where the file is no TOML.
    pub key: String,
    /// What was found.
    pub found: String,
    /// What would be right.
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.found)?;
        if !self.expected.is_empty() {
            write!(f, "; {}", self.expected)?;
        }
        Ok(())
    }
}

/// Why there is no manifest.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read the manifest {path}")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not right. A line each, in the order of the file.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// Gathers problems.
#[derive(Debug)]
pub(super) struct Report {
    file: String,
    problems: RefCell<Vec<Problem>>,
}

impl Report {
    pub fn new(file: &str) -> Self {
        Report { file: file.to_owned(), problems: RefCell::default() }
    }

    /// Whether nothing was wrong so far.
    pub fn is_empty(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// Something is wrong at a place.
    pub fn at(&self, place: &Place, key: &str, found: &str, expected: &str) {
        let (file, line) = match place {
            Place::Line(line) => (self.file.clone(), Some(*line)),
            Place::Set(set) => (format!("--set {set}"), None),
        };
        let problem = Problem {
            file,
            line,
            key: key.to_owned(),
            found: found.to_owned(),
            expected: expected.to_owned(),
        };
        self.problems.borrow_mut().push(problem);
    }

    /// What was built, if nothing was wrong.
    pub fn finish<T>(self, built: Option<T>) -> Result<T, Error> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| (problem.file != self.file, problem.line));
        problems.dedup();
        match built {
            Some(built) if problems.is_empty() => Ok(built),
            _ => {
                assert!(!problems.is_empty(), "what could not be built was reported");
                Err(Error::Invalid(problems))
            }
        }
    }
}
