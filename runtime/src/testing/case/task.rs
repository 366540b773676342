//! Cases on a [`TaskDriver`]: the app as its manifest says, with what the case gives.

use std::{collections::BTreeMap, time::Duration};

use super::{
    model::{Case, Given},
    run::{At, Drive},
    time::midnight,
    value::Value,
};
use crate::{
    guest::Component,
    manifest::{Manifest, code_name},
    record::Timestamp,
    store::Kind,
    supervisor::{FoundWindow, ReadError, WantedWindows},
    testing::{DriverSettings, Effect, Initial, InitialRow, InitialValue, Stimulus, TaskDriver},
};

/// Starts the app for a case.
///
/// # Errors
/// In words, where the app does not start, or the case gives what there is not.
pub fn start(
    case: &Case,
    manifest: &Manifest,
    components: &BTreeMap<String, Component>,
) -> Result<TaskDriver, String> {
    let mut manifest = manifest.clone();
    for given in &case.given {
        if let Given::Config { function, key, value } = given {
            configure(&mut manifest, function, key, value)?;
        }
    }
    let settings = DriverSettings { partitions: case.partitions(), now: midnight(case.date()) };
    TaskDriver::begin(&manifest, components.clone(), settings, &initial(case))
        .map_err(|error| error.to_string())
}

/// The state and rows that a case gives.
fn initial(case: &Case) -> Initial {
    let bytes = |value: &Value| value.bytes().unwrap_or_default().to_vec();
    let mut initial = Initial::default();
    for given in &case.given {
        match given {
            Given::State { store, key, entry, value } => initial.values.push(InitialValue {
                store: store.clone(),
                key: bytes(key),
                entry: entry.as_ref().map(bytes),
                value: bytes(value),
            }),
            Given::Table { table, key, value } => initial.rows.push(InitialRow {
                table: table.clone(),
                key: bytes(key),
                value: value.bytes().map(<[u8]>::to_vec),
            }),
            Given::Config { .. } | Given::Partitions(_) | Given::Date(_) => {}
        }
    }
    initial
}

fn configure(
    manifest: &mut Manifest,
    function: &str,
    key: &str,
    value: &serde_json::Value,
) -> Result<(), String> {
    let known: Vec<String> = manifest.functions.keys().map(|name| format!("`{name}`")).collect();
    let settings =
        manifest.functions.iter_mut().find(|(name, _)| code_name(name) == code_name(function));
    let Some((_, settings)) = settings else {
        return Err(format!(
            "given config {function}.{key}: there is no function `{function}` in the manifest; it has {}",
            known.join(", ")
        ));
    };
    let key = code_name(key);
    if value.is_null() {
        settings.config.remove(&key);
    } else {
        settings.config.insert(key, value.clone());
    }
    Ok(())
}

impl Drive for TaskDriver {
    fn send(&mut self, topic: &str, record: Stimulus) -> Result<Vec<Effect>, String> {
        TaskDriver::send(self, topic, &record).map_err(|error| error.to_string())
    }

    fn at(&mut self, at: Timestamp) -> Result<Vec<Effect>, String> {
        TaskDriver::at(self, at).map_err(|error| error.to_string())
    }

    fn restart(&mut self) -> Result<Vec<Effect>, String> {
        TaskDriver::restart(self).map_err(|error| error.to_string())
    }

    fn state(
        &mut self,
        store: &str,
        key: &[u8],
        part: Option<&At>,
    ) -> Result<Option<Vec<u8>>, String> {
        let stores = self.stores();
        if stores.kind(store).map_err(in_words)? == Kind::Table {
            return Err(format!("`{store}` is a table: write table {store} KEY VALUE"));
        }
        match part {
            Some(At::Window(start, end)) => window(self, store, key, Some((*start, *end))),
            None if stores.aggregate(store).map_err(in_words)?.is_some() => {
                window(self, store, key, None)
            }
            Some(At::Entry(entry)) => shown(self, store, key, Some(entry)),
            None => shown(self, store, key, None),
        }
    }

    fn row(&mut self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        if self.stores().kind(table).map_err(in_words)? != Kind::Table {
            return Err(format!("`{table}` is a store: write state {table} KEY VALUE"));
        }
        shown(self, table, key, None)
    }

    fn timer(
        &mut self,
        function: &str,
        timer: &str,
        key: &[u8],
    ) -> Result<Option<Timestamp>, String> {
        let row = self.stores().timer(function, timer, key).map_err(in_words)?;
        Ok(row.map(|row| row.due))
    }
}

/// The columns of a window, or of the whole of a store without windows, as a case shows them.
fn window(
    driver: &TaskDriver,
    store: &str,
    key: &[u8],
    bounds: Option<(Timestamp, Timestamp)>,
) -> Result<Option<Vec<u8>>, String> {
    let stores = driver.stores();
    let spec = stores.aggregate(store).map_err(in_words)?;
    let spec = spec.ok_or_else(|| format!("`{store}` is no aggregate and has no windows"))?;
    let mut wanted = WantedWindows::default();
    match bounds {
        None if spec.windows.is_some() => {
            return Err(format!(
                "`{store}` has windows: say which in brackets, as [10:00:00,10:01:00)"
            ));
        }
        Some(_) if spec.windows.is_none() => {
            return Err(format!("`{store}` has no windows: leave it out"));
        }
        Some((start, _)) => {
            (wanted.from, wanted.to) = (start, Timestamp(start.millis().saturating_add(1)));
        }
        None => {}
    }
    let found = stores.windows(store, key, &wanted).map_err(in_words)?.entries;
    // As for time to live: at the end of its inputs, retention follows the wall clock where the store's time does.
    let now = spec.idle.map(|idle| driver.now().millis().saturating_sub(whole_millis(idle)));
    let is_over = |window: &FoundWindow| {
        let kept = window.start.millis().saturating_add(whole_millis(spec.retention));
        spec.windows.is_some() && now.is_some_and(|now| kept <= now)
    };
    let is_asked = |window: &FoundWindow| bounds.is_none_or(|(_, end)| window.end == end);
    let found = found.into_iter().find(|window| is_asked(window) && !is_over(window));
    Ok(found.map(|window| window.columns))
}

fn whole_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A value as a case shows it.
fn shown(
    driver: &TaskDriver,
    store: &str,
    key: &[u8],
    entry: Option<&[u8]>,
) -> Result<Option<Vec<u8>>, String> {
    let stores = driver.stores();
    let codecs = stores.codecs(store);
    let found = match entry {
        Some(entry) => stores.entry(store, key, &codecs.entry_of(entry)?),
        None if stores.kind(store).map_err(in_words)? == Kind::Map => {
            return Err(format!("`{store}` is a map: say which entry in brackets, as [tea]"));
        }
        None => stores.get(store, key),
    };
    let stored = found.map_err(in_words)?.and_then(|found| found.stored);
    // A driver is at the end of its inputs, where time to live follows the wall clock.
    let ttl = stores.find(store).map_err(in_words)?.spec.ttl;
    let is_over = |at: Timestamp| {
        let ttl = ttl.map(whole_millis);
        ttl.is_some_and(|ttl| at.millis().saturating_add(ttl) <= driver.now().millis())
    };
    Ok(stored.filter(|(_, at)| !is_over(*at)).map(|(value, _)| codecs.value_text(&value)))
}

fn in_words(error: ReadError) -> String {
    error.to_string()
}
