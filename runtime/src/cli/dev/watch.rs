//! Tells when source, crate or manifest has changed; editors write a file in several steps, so it waits for quiet.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::manifest::{Manifest, Module};

/// Quiet that long, and what was written is complete.
const QUIET: Duration = Duration::from_millis(100);
/// The longest wait for quiet.
const PATIENCE: Duration = Duration::from_secs(2);

/// Watches what an app is built from.
pub(super) struct Watcher {
    changes: Receiver<PathBuf>,
    base: PathBuf,
    watched: Vec<String>,
    _watcher: RecommendedWatcher,
}

/// What counts as a change.
#[derive(Debug, Default, Clone)]
struct Sources {
    /// With all that is in them.
    folders: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
}

impl Sources {
    fn of(file: &Path, manifest: &Manifest) -> anyhow::Result<Sources> {
        let mut sources = Sources::default();
        sources.files.insert(resolved(file)?);
        for function in manifest.functions.values() {
            let Module::Path(module) = &function.module else { continue };
            let module = resolved(module)?;
            if module.is_dir() {
                sources.folders.insert(module.join("src"));
                sources.files.insert(module.join("Cargo.toml"));
            } else {
                sources.files.insert(module);
            }
        }
        Ok(sources)
    }

    fn has(&self, path: &Path) -> bool {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let is_backup = name.starts_with('.') || name.ends_with('~') || name == "4913";
        self.files.contains(path)
            || (!is_backup && self.folders.iter().any(|folder| path.starts_with(folder)))
    }
}

impl Watcher {
    pub(super) fn new(file: &Path, manifest: &Manifest) -> anyhow::Result<Watcher> {
        let sources = Sources::of(file, manifest)?;
        let base = resolved(file)?.parent().map(Path::to_owned).unwrap_or_default();
        let (sender, changes) = channel();
        let filter = sources.clone();
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let Ok(event) = event else { return };
                if matches!(event.kind, EventKind::Access(_)) {
                    return;
                }
                for path in event.paths.into_iter().filter(|path| filter.has(path)) {
                    // Where nobody listens any more, the process is ending.
                    let _ = sender.send(path);
                }
            })
            .context("cannot watch files")?;
        // A file that an editor replaces is a new one: its folder is what is watched.
        let parents = sources.files.iter().filter_map(|file| file.parent()).map(Path::to_owned);
        for folder in parents.collect::<BTreeSet<_>>() {
            watch(&mut watcher, &folder, RecursiveMode::NonRecursive)?;
        }
        for folder in sources.folders.iter().filter(|folder| folder.is_dir()) {
            watch(&mut watcher, folder, RecursiveMode::Recursive)?;
        }
        let shown = |path: &PathBuf| short(path, &base);
        let folders = sources.folders.iter().map(|folder| format!("{}/", shown(folder)));
        let cargo = |file: &&PathBuf| file.file_name().is_none_or(|name| name != "Cargo.toml");
        let watched = folders.chain(sources.files.iter().filter(cargo).map(shown)).collect();
        Ok(Watcher { changes, base, watched, _watcher: watcher })
    }

    /// What is watched, for people; a crate's Cargo.toml goes without saying.
    pub(super) fn watched(&self) -> &[String] {
        &self.watched
    }

    /// Waits for a change and then for quiet; a file that changed. `None` where no change can come.
    pub(super) fn wait(&self) -> Option<String> {
        let mut changed = vec![self.changes.recv().ok()?];
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            match self.changes.recv_timeout(QUIET) {
                Ok(path) => changed.push(path),
                Err(_) => break,
            }
        }
        // Editors write to a file of another name first.
        let file = changed.iter().find(|path| path.is_file()).unwrap_or(&changed[0]);
        Some(short(file, &self.base))
    }
}

fn watch(
    watcher: &mut RecommendedWatcher,
    folder: &Path,
    mode: RecursiveMode,
) -> anyhow::Result<()> {
    watcher.watch(folder, mode).with_context(|| format!("cannot watch `{}`", folder.display()))
}

/// As the system names it in events.
fn resolved(path: &Path) -> anyhow::Result<PathBuf> {
    path.canonicalize().with_context(|| format!("cannot find `{}`", path.display()))
}

fn short(path: &Path, base: &Path) -> String {
    path.strip_prefix(base).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_source_is_told_and_a_backup_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("src/deep")).unwrap();
        for (name, text) in [
            ("Cargo.toml", "[package]\nname = \"a\"\n"),
            ("src/lib.rs", ""),
            ("tidemill.toml", "app = \"a\"\n[functions.a]\nmodule = \".\"\ninputs = [\"t\"]\n"),
        ] {
            std::fs::write(path(name), text).unwrap();
        }
        let manifest = Manifest::read(folder.path(), &[]).unwrap();
        let watcher = Watcher::new(&path("tidemill.toml"), &manifest).unwrap();
        assert_eq!(watcher.watched(), ["src/", "tidemill.toml"]);
        std::fs::write(path("src/.lib.rs.swp"), "x").unwrap();
        std::fs::write(path("README.md"), "x").unwrap();
        std::fs::write(path("src/deep/mod.rs"), "x").unwrap();
        assert_eq!(watcher.wait().as_deref(), Some("src/deep/mod.rs"));
        std::fs::write(path("new.toml"), "x").unwrap();
        std::fs::rename(path("new.toml"), path("tidemill.toml")).unwrap();
        assert_eq!(watcher.wait().as_deref(), Some("tidemill.toml"));
    }
}
