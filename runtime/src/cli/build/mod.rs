//! `tidemill build`: from source, or a compiler's output, to a checked component. Also what other commands build with.
//!
//! A module is a crate's folder, a `.wasm` file (core module or component) or a `.wat` file. Nothing is run but cargo,
//! and the component's own `describe`, under the limits of a call.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use crate::{
    guest::{self, Component, Engine, EngineSettings},
    manifest::{Manifest, Module},
};

mod cargo;
mod imports;
mod report;

pub use report::{bytes, seconds};

/// Make a checked component of a function's source, and print what it is
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tidemill build\n  tidemill build functions/settle --json\n  tidemill build guest.wat -o guest.wasm"
)]
pub(super) struct Args {
    /// A crate's folder, or a .wasm or .wat file
    #[arg(value_name = "DIR", default_value = ".")]
    module: PathBuf,
    /// What the crate is compiled for
    #[arg(long, value_enum, default_value_t = Target::Unknown)]
    target: Target,
    /// Where the component goes [default: tidemill/NAME.wasm in the crate's target folder]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print facts as JSON
    #[arg(long)]
    json: bool,
}

/// What a crate is compiled for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Target {
    /// No WASI at all: the smallest components.
    #[default]
    #[value(name = "wasm32-unknown-unknown")]
    Unknown,
    /// For crates that need WASI; nothing of it is granted.
    #[value(name = "wasm32-wasip2")]
    Wasip2,
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Target::Unknown => "wasm32-unknown-unknown",
            Target::Wasip2 => "wasm32-wasip2",
        }
    }
}

/// How a module is built.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// What a crate is compiled for.
    pub target: Target,
    /// Whether cargo tells what it compiles. Warnings and errors are always told.
    pub verbose: bool,
}

/// A module that was built and checked.
#[derive(Debug, Clone)]
pub struct Built {
    /// The crate's or the file's name.
    pub name: String,
    /// The component's bytes.
    pub bytes: Vec<u8>,
    /// Compiled and checked.
    pub component: Component,
    /// Where a crate's component was written.
    pub file: Option<PathBuf>,
    /// How long it took.
    pub took: Duration,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let engine = engine()?;
        let mut built =
            component(&engine, &self.module, Options { target: self.target, verbose: true })?;
        if let Some(output) = self.output {
            write(&output, &built.bytes)?;
            built.file = Some(output);
        }
        let text = if self.json { report::json(&built) } else { report::text(&built) };
        io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }
}

/// The engine of a command: compiled code is kept in the user's cache.
///
/// # Errors
/// Where the machine lacks what it needs.
pub fn engine() -> Result<Engine, guest::Error> {
    Engine::new(&EngineSettings::with_user_cache())
}

/// Builds and checks what a path names.
///
/// # Errors
/// In words, with what would be right.
pub fn component(engine: &Engine, module: &Path, options: Options) -> anyhow::Result<Built> {
    let begun = Instant::now();
    if module.is_dir() {
        let compiled = cargo::compile(module, options)?;
        let core = read(&compiled.artifact)?;
        let bytes = guest::encode(&core)
            .map_err(|error| imports::explain(&core, Some((module, options.target.name())), error))
            .with_context(|| format!("crate `{}`", compiled.name))?;
        let component =
            engine.load(&bytes).with_context(|| format!("crate `{}`", compiled.name))?;
        write(&compiled.component, &bytes)?;
        let (name, file) = (compiled.name, Some(compiled.component));
        return Ok(Built { name, bytes, component, file, took: begun.elapsed() });
    }
    let shown = module.display();
    if !module.exists() {
        bail!(
            "`{shown}` does not exist: a module is a crate's folder, a .wasm file or a .wat file"
        );
    }
    let core = binary(module)?;
    let bytes = guest::encode(&core)
        .map_err(|error| imports::explain(&core, None, error))
        .with_context(|| format!("`{shown}`"))?;
    let component = engine.load(&bytes).with_context(|| format!("`{shown}`"))?;
    let name = module.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Built { name, bytes, component, file: None, took: begun.elapsed() })
}

/// The components of an app.
pub struct Modules {
    /// By the manifest's function names.
    pub components: BTreeMap<String, Component>,
    /// Each module once, by its path.
    pub built: BTreeMap<PathBuf, Built>,
}

/// Builds what a manifest's functions name, each module once.
///
/// # Errors
/// Where one cannot be built, or is only known to a host.
pub fn modules(engine: &Engine, manifest: &Manifest, options: Options) -> anyhow::Result<Modules> {
    each_module(manifest, |path| {
        if path.is_dir() && io::stderr().is_terminal() {
            eprintln!("building {}", path.display());
        }
        component(engine, path, options)
    })
}

/// Loads what was built before: a crate's folder stands for the component that `tidemill build` left.
///
/// # Errors
/// Where there is none, or it is broken.
pub fn prebuilt(engine: &Engine, manifest: &Manifest) -> anyhow::Result<Modules> {
    each_module(manifest, |path| {
        if path.is_dir() {
            component(engine, &cargo::built_before(path)?, Options::default())
        } else {
            component(engine, path, Options::default())
        }
    })
}

fn each_module(
    manifest: &Manifest,
    mut make: impl FnMut(&Path) -> anyhow::Result<Built>,
) -> anyhow::Result<Modules> {
    let mut modules = Modules { components: BTreeMap::new(), built: BTreeMap::new() };
    for (name, function) in &manifest.functions {
        let Module::Path(path) = &function.module else {
            bail!(
                "function `{name}`: module `{}` is kept by a host: name a crate's folder or a .wasm file, or use \
                 `tidemill deploy`",
                function.module
            );
        };
        if !modules.built.contains_key(path) {
            let built = make(path).with_context(|| format!("function `{name}`"))?;
            modules.built.insert(path.clone(), built);
        }
        modules.components.insert(name.clone(), modules.built[path].component.clone());
    }
    Ok(modules)
}

/// A file's WebAssembly; only a `.wat` file is text.
fn binary(module: &Path) -> anyhow::Result<Vec<u8>> {
    let shown = module.display();
    let bytes = read(module)?;
    if module.extension().is_some_and(|extension| extension == "wat") {
        return wat::parse_bytes(&bytes)
            .map(std::borrow::Cow::into_owned)
            .with_context(|| format!("`{shown}` is not WebAssembly text"));
    }
    if !bytes.starts_with(b"\0asm") {
        bail!("`{shown}` is not WebAssembly: it does not begin with the bytes 00 61 73 6d");
    }
    Ok(bytes)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// Written whole or not at all: somebody may be reading the old one.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = fs::create_dir_all(folder).and_then(|()| {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        Ok(())
    });
    written.with_context(|| format!("cannot write `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(file: &str, bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file);
        fs::write(&path, bytes).unwrap();
        let engine = Engine::new(&EngineSettings::default()).unwrap();
        let error = component(&engine, &path, Options::default()).unwrap_err();
        crate::cli::errors::chain(error.as_ref())
    }

    #[test]
    fn what_is_no_component_is_named_in_one_line() {
        let error = refused("a.wasm", b"no code");
        assert!(
            error.ends_with(
                "a.wasm` is not WebAssembly: it does not begin with the bytes 00 61 73 6d"
            )
        );
        let error = refused("a.wat", br#"(module (import "env" "draw" (func)))"#);
        assert!(
            error.contains("a.wat`: the module imports `env.draw`, which no host offers"),
            "{error}"
        );
        let error = refused("a.wat", b"(component)");
        assert!(error.contains("does not export describe, init, handle"), "{error}");
        let engine = Engine::new(&EngineSettings::default()).unwrap();
        let error = component(&engine, Path::new("absent.wasm"), Options::default()).unwrap_err();
        assert!(error.to_string().starts_with("`absent.wasm` does not exist"), "{error}");
    }
}
