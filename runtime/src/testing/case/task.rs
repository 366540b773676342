//! Cases on a [`TaskDriver`]: the app as its manifest says, with what the case gives.

use std::collections::BTreeMap;

use super::{
    model::{Case, Given},
    run::Drive,
    time::midnight,
};
use crate::{
    guest::Component,
    manifest::{Manifest, code_name},
    record::Timestamp,
    testing::{DriverSettings, Effect, Stimulus, TaskDriver},
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
    TaskDriver::new(&manifest, components.clone(), settings).map_err(|error| error.to_string())
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
}
