//! `tidemill dev`: builds, runs, shows every record with its effects, and goes on with new code when it changes.
//!
//! Code that does not build, or does not fit, changes nothing: the old code goes on and the error is shown.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use self::{
    screen::{Event, Screen},
    view::View,
    watch::Watcher,
};
use super::{
    args::ManifestArgs,
    build::{self, Modules},
    errors,
    single::{self, ListenArgs, Process},
    stop::Stop,
};
use crate::{
    guest::Engine,
    manifest::{Input, Manifest},
    supervisor,
    testing::case::{self, Stimulus},
};

mod reload;
mod screen;
mod view;
mod watch;

/// Build, run and watch an app: the embedded log unless there is [kafka]
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidemill dev
  tidemill dev examples/stock-trades --listen 127.0.0.1:9000

In another terminal: tidemill produce TOPIC --key KEY VALUE, tidemill consume TOPIC.")]
pub(super) struct Args {
    #[command(flatten)]
    manifest: ManifestArgs,
    #[command(flatten)]
    listen: ListenArgs,
    /// One JSON object an event, for tools
    #[arg(long)]
    json: bool,
}

/// How often is looked whether the app has failed.
const FAILURE_EVERY: Duration = Duration::from_millis(500);

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let manifest = self.manifest.read()?;
        let mut process = Process::open(&manifest, &self.listen, false)?;
        let engine = build::engine()?;
        let begun = Instant::now();
        let modules = build::modules(&engine, &manifest, build::Options::default())?;
        let took = begun.elapsed();
        let watcher = Watcher::new(&self.manifest.file(), &manifest)?;
        let screen = Screen::start(self.json)?;
        let view = Arc::new(View::new(screen.clone(), self.json));
        let runtime = super::runtime()?;
        let ran = runtime.block_on(async {
            let mut stop = Stop::new()?;
            let server = process.serve()?;
            let process = Arc::new(process);
            let starting = {
                let (process, manifest) = (Arc::clone(&process), manifest.clone());
                let (components, view) = (modules.components.clone(), Arc::clone(&view));
                tokio::task::spawn_blocking(move || {
                    process.start(&manifest, &components, Some(view as _))
                })
            };
            tokio::select! {
                started = starting => started.context("the app could not be started")??,
                () = stop.asked() => return Ok(()),
            }
            screen.send(started(&process, &manifest, &modules, &watcher, took));
            if let Some(hint) = hint(&manifest, &self.manifest.folder(), &process) {
                screen.send(hint);
            }
            let reloader = reload::Reloader {
                args: self.manifest.clone(),
                process: Arc::clone(&process),
                engine,
                screen: screen.clone(),
                view: Arc::clone(&view),
                manifest,
                modules,
            };
            reloader.spawn(watcher)?;
            let failure = loop {
                tokio::select! {
                    () = stop.asked() => break None,
                    () = tokio::time::sleep(FAILURE_EVERY) => {
                        view.tick();
                        let failure = process.with(|app| app.failure().borrow().clone()).flatten();
                        if failure.is_some() {
                            break failure;
                        }
                    }
                }
            };
            single::end(&process, server, &mut stop).await?;
            match failure {
                Some(reason) => bail!("the app cannot go on: {reason}"),
                None => Ok(()),
            }
        });
        runtime.shutdown_background();
        screen.finish();
        ran
    }
}

/// The first line.
fn started(
    process: &Process,
    manifest: &Manifest,
    modules: &Modules,
    watcher: &Watcher,
    took: Duration,
) -> Event {
    let built: Vec<String> = modules
        .built
        .values()
        .map(|built| format!("{} {}", built.name, build::bytes(built.bytes.len())))
        .collect();
    let url = format!("http://{}", process.address);
    let text = format!(
        "{} on {} · {url} · built {} in {} · watching {}",
        manifest.app,
        process.log_name(),
        built.join(", "),
        build::seconds(took),
        watcher.watched().join(" ")
    );
    let json = serde_json::json!({
        "event": "started", "app": manifest.app.as_str(), "log": process.log_name(), "url": url,
        "built": built, "seconds": took.as_secs_f64(), "watching": watcher.watched(),
    });
    Event { text, json }
}

/// A line to try: with the first record of a case file where there is one.
fn hint(manifest: &Manifest, folder: &Path, process: &Process) -> Option<Event> {
    let topics = || {
        manifest.inputs().filter_map(|input| match input {
            Input::Topic(topic) => Some(topic.as_str()),
            _ => None,
        })
    };
    let written = |topic: &str| {
        let mut outputs =
            manifest.functions.values().flat_map(|function| function.outputs.values());
        outputs.any(|output| output == topic)
    };
    let topic = topics().find(|topic| !written(topic)).or_else(|| topics().next())?;
    let (key, value) =
        example(topic, &folder.join("cases")).unwrap_or_else(|| ("KEY".into(), "VALUE".into()));
    let key = if key == "null" { String::new() } else { format!(" --key {}", quote(&key)) };
    // Where `produce` looks by itself: the manifest in the folder it is called from, as this was.
    let here = folder.components().eq(Path::new(".").components())
        && process.address == manifest.host.listen;
    let place = match (&manifest.kafka, here) {
        (_, true) => String::new(),
        (Some(_), false) => format!(" --manifest {}", quote(&manifest.file)),
        (None, false) if format!("http://{}", process.address) == crate::http::DEFAULT_HOST => {
            String::new()
        }
        (None, false) => format!(" --host http://{}", process.address),
    };
    let command = format!("tidemill produce {topic}{key} {}{place}", quote(&value));
    Some(Event {
        text: format!("try: {command}\n"),
        json: serde_json::json!({ "event": "hint", "try": command }),
    })
}

/// Key and value of the first record of that topic in the case files.
fn example(topic: &str, cases: &Path) -> Option<(String, String)> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(cases).ok()?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let inputs = files.iter().filter_map(|path| {
        let text = std::fs::read_to_string(path).ok()?;
        let file = case::parse("", &text, &|_| Ok(Vec::new())).ok()?;
        file.cases.into_iter().flat_map(|case| case.steps).find_map(|step| match step.stimulus {
            Stimulus::In(input) if input.topic == topic => Some(input),
            _ => None,
        })
    });
    let text = |value: &case::Value| match value.bytes() {
        None => Some("null".to_owned()),
        Some(bytes) => String::from_utf8(bytes.to_vec()).ok(),
    };
    inputs.filter_map(|input| Some((text(&input.key)?, text(&input.value)?))).next()
}

/// For a POSIX shell.
fn quote(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:@%+=,".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
