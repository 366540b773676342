//! From a change of source to an app that runs it: rebuilt, and swapped between two batches where that is enough.

use std::{sync::Arc, thread, time::Instant};

use anyhow::Context as _;
use serde_json::json;

use super::*;

/// Waits for changes on a thread of its own.
pub(super) struct Reloader {
    pub(super) args: ManifestArgs,
    pub(super) process: Arc<Process>,
    pub(super) engine: Engine,
    pub(super) screen: Screen,
    pub(super) view: Arc<View>,
    pub(super) manifest: Manifest,
    pub(super) modules: Modules,
}

impl Reloader {
    /// The thread ends with the process.
    pub(super) fn spawn(mut self, mut watcher: Watcher) -> anyhow::Result<()> {
        let run = move || {
            while let Some(file) = watcher.wait() {
                let text = match self.reload(&file) {
                    Ok(text) => text,
                    Err(error) => format!(
                        "{file} changed · {} · the old code goes on",
                        errors::chain(error.as_ref())
                    ),
                };
                let json = json!({ "event": "changed", "file": file, "outcome": text });
                self.screen.send(Event { text, json });
                // Other modules may be named now.
                match Watcher::new(&self.args.file(), &self.manifest) {
                    Ok(new) if new.watched() != watcher.watched() => watcher = new,
                    _ => {}
                }
            }
        };
        thread::Builder::new().name("reload".into()).spawn(run).context("cannot start a thread")?;
        Ok(())
    }

    fn reload(&mut self, file: &str) -> anyhow::Result<String> {
        let begun = Instant::now();
        let manifest = self.args.read()?;
        if let Some(key) = fixed(&self.manifest, &manifest) {
            bail!("{key} is read at the start: stop and start `tidemill dev`");
        }
        let modules = build::modules(&self.engine, &manifest, build::Options::default())?;
        let built = format!("{file} changed · built in {}", build::seconds(begun.elapsed()));
        let names = changes(&self.modules, &modules);
        let same_manifest = format!("{manifest:?}") == format!("{:?}", self.manifest);
        if names.is_empty() && same_manifest {
            return Ok(format!("{built} · the same code"));
        }
        let how = self.replace(&manifest, &modules)?;
        self.manifest = manifest;
        self.modules = modules;
        let what = if names.is_empty() { "new manifest".to_owned() } else { names.join(", ") };
        Ok(format!("{built} · {what} {how}"))
    }

    fn replace(&self, manifest: &Manifest, modules: &Modules) -> anyhow::Result<&'static str> {
        if read_by_workers(manifest) == read_by_workers(&self.manifest) {
            let swapped = self.process.with(|app| app.swap(manifest.clone(), &modules.components));
            match swapped {
                Some(Ok(())) => return Ok("between two batches"),
                Some(Err(supervisor::Error::OtherTopics)) | None => {}
                Some(Err(error)) => return Err(error.into()),
            }
        }
        self.process.stop();
        let view = || Some(Arc::clone(&self.view) as _);
        let started = self.process.start(manifest, &modules.components, view());
        if let Err(error) = started {
            self.process
                .start(&self.manifest, &self.modules.components, view())
                .context("the app is down")?;
            return Err(error);
        }
        Ok("after a stop and start, positions kept")
    }
}

/// What only a new process can change.
fn fixed(old: &Manifest, new: &Manifest) -> Option<&'static str> {
    if old.app.as_str() != new.app.as_str() {
        return Some("`app`");
    }
    if old.kafka != new.kafka {
        return Some("[kafka]");
    }
    (old.host != new.host).then_some("[host]")
}

/// What workers are made with.
fn read_by_workers(manifest: &Manifest) -> String {
    format!(
        "{:?}",
        (manifest.start, manifest.on_missing_offset, manifest.commit_interval, &manifest.topics)
    )
}

/// `fraud 4f1c02 → 9a02d7` for each function with other code.
fn changes(old: &Modules, new: &Modules) -> Vec<String> {
    let changed = new.components.iter().filter_map(|(name, new)| match old.components.get(name) {
        None => Some(format!("{name} {} is new", new.digest().short())),
        Some(old) if old.digest() == new.digest() => None,
        Some(old) => Some(format!("{name} {} → {}", old.digest().short(), new.digest().short())),
    });
    changed.collect()
}
