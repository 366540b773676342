//! Aggregates: rows go in as JSON, results come out as the columns that code reads. The windows are the engine's.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use tidemill_aggregates::{Compute, Value};

use super::{Inner, Scope, checks::misuse};
use crate::{
    aggregate,
    guest::{Binding, Fault},
    record::Timestamp,
};

/// A window and what it has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Where it begins.
    pub start: Timestamp,
    /// Where it ends.
    pub end: Timestamp,
    /// The columns that the slot reads, as a JSON array.
    pub columns: Vec<u8>,
}

/// What the import `aggregates` does: also for functions that are not WebAssembly.
impl Scope {
    /// Adds a row to the aggregate of an entry's key. Answers the first of the windows it is in, none where it is late.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn add_row(&mut self, slot: u32, entry: u32, row: &[u8]) -> Result<Option<Window>, Fault> {
        self.call()?.add_row(slot, entry, row)
    }

    /// The open windows that a row of an entry is in, by their starts.
    ///
    /// # Errors
    /// Whatever ends the call.
    pub fn windows(&mut self, slot: u32, entry: u32) -> Result<Vec<Window>, Fault> {
        self.call()?.windows(slot, entry)
    }
}

impl Inner {
    fn aggregate(&self, slot: u32) -> Result<usize, Fault> {
        match self.binding(slot) {
            Some(Binding::Aggregate(store)) => Ok(store),
            _ => Err(misuse(format!("its slot {slot} is no aggregate"))),
        }
    }

    pub(in crate::guest) fn add_row(
        &mut self,
        slot: u32,
        entry: u32,
        row: &[u8],
    ) -> Result<Option<Window>, Fault> {
        let store = self.aggregate(slot)?;
        let at = self.at(entry)?;
        self.check_write(entry, Some(store), row.len())?;
        let time = self.entries[entry as usize].timestamp;
        let Some(engine) = self.engines.get_mut(store).and_then(Option::as_deref_mut) else {
            return Err(misuse(format!("its slot {slot} has no windows")));
        };
        let key = &self.keys[at.key];
        let mut add = || {
            columns(row, engine.compute().arguments(), &mut self.row).map_err(Wrong::Row)?;
            let added = engine.add(&mut self.state, at.row, key, time, &self.row)?;
            if added.is_late() {
                return Ok(None);
            }
            let read = self.columns.get(slot as usize);
            let current = engine.current(&self.state, key, time)?;
            Ok(current.map(|window| view(engine.compute(), &window, read)))
        };
        let added = add();
        added.map_err(|wrong| self.wrong(store, entry, wrong))
    }

    pub(in crate::guest) fn windows(
        &mut self,
        slot: u32,
        entry: u32,
    ) -> Result<Vec<Window>, Fault> {
        let store = self.aggregate(slot)?;
        let at = self.at(entry)?;
        let time = self.entries[entry as usize].timestamp;
        let Some(engine) = self.engines.get_mut(store).and_then(Option::as_deref_mut) else {
            return Err(misuse(format!("its slot {slot} has no windows")));
        };
        let windows = engine.windows(&self.state, &self.keys[at.key], time);
        let read = self.columns.get(slot as usize);
        let view = |window: &aggregate::Window| view(engine.compute(), window, read);
        let windows = windows.map(|windows| windows.iter().map(view).collect());
        windows.map_err(|error| self.wrong(store, entry, error.into()))
    }

    #[cold]
    fn wrong(&mut self, store: usize, entry: u32, wrong: Wrong) -> Fault {
        let what = match wrong {
            Wrong::Engine(aggregate::Error::Store(error)) => {
                let what = error.to_string();
                self.broken = Some(error);
                return Fault::Storage { what };
            }
            Wrong::Engine(aggregate::Error::Fault(fault)) => fault.to_string(),
            Wrong::Row(what) => what,
        };
        let message = format!("`{}`: {what}", self.stores[store].name);
        self.blame(entry, Fault::Trap { message })
    }
}

/// Why a row is not added.
enum Wrong {
    Row(String),
    Engine(aggregate::Error),
}

impl From<aggregate::Error> for Wrong {
    fn from(error: aggregate::Error) -> Self {
        Wrong::Engine(error)
    }
}

/// A window as a slot reads it: the columns that it names, or all where it is not known which.
fn view(compute: &Compute, window: &aggregate::Window, read: Option<&Vec<String>>) -> Window {
    let at = |name: &String| compute.columns().position(|(column, _)| column == name);
    let result = |column: Option<usize>| {
        column.map_or(Value::Null, |column| compute.result_of(column, &window.row))
    };
    let columns: Vec<Value> = match read {
        Some(read) => read.iter().map(|name| result(at(name))).collect(),
        None => (0..compute.columns().len()).map(|column| result(Some(column))).collect(),
    };
    let columns = serde_json::to_vec(&columns).expect("values have a JSON form");
    Window { start: window.start, end: window.end, columns }
}

/// The columns of a row, a JSON object; a missing one is null, and `null` has none.
fn columns(row: &[u8], names: &[String], columns: &mut Vec<Value>) -> Result<(), String> {
    columns.clear();
    columns.resize(names.len(), Value::Null);
    if row == b"null" {
        return Ok(());
    }
    let mut reader = serde_json::Deserializer::from_slice(row);
    let read = Fields { names, columns }.deserialize(&mut reader).and_then(|()| reader.end());
    read.map_err(|error| {
        let why = error.to_string().replace(" at line 1 column ", " at column ");
        format!("a row is a JSON object of columns: {why}")
    })
}

/// Reads the named fields of an object and skips the others.
struct Fields<'a> {
    names: &'a [String],
    columns: &'a mut [Value],
}

impl<'d> DeserializeSeed<'d> for Fields<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'d>>(self, row: D) -> Result<(), D::Error> {
        row.deserialize_map(self)
    }
}

impl<'d> Visitor<'d> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'d>>(self, mut row: A) -> Result<(), A::Error> {
        while let Some(column) = row.next_key_seed(Name(self.names))? {
            match column {
                Some(column) => self.columns[column] = row.next_value()?,
                None => drop(row.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Which of the names a field has.
struct Name<'a>(&'a [String]);

impl<'d> DeserializeSeed<'d> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'d>>(self, name: D) -> Result<Option<usize>, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|column| column == name))
    }
}
