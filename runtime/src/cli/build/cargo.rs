//! Compiles a crate with cargo, and finds what came out.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use cargo_metadata::{CrateType, Message, Metadata, MetadataCommand, Package};

use super::{Options, Target};

/// A crate that was compiled.
pub(super) struct Compiled {
    /// The package's name.
    pub(super) name: String,
    /// What the compiler wrote.
    pub(super) artifact: PathBuf,
    /// Where its component goes.
    pub(super) component: PathBuf,
}

pub(super) fn compile(folder: &Path, options: Options) -> anyhow::Result<Compiled> {
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        bail!("`{}` holds no Cargo.toml: `tidemill new NAME` makes a crate", folder.display());
    }
    let (metadata, package) = describe(&manifest)?;
    let name = package.name.to_string();
    check_crate_type(&package)?;
    let mut command = Command::new(cargo());
    command
        .current_dir(folder)
        .args(["build", "--lib", "--message-format=json-render-diagnostics"])
        .args(["--target", options.target.name()])
        .args(profile(&metadata))
        // The declared way to let getrandom draw from the host, where the feature `getrandom` of the SDK is on.
        .args([
            "--config",
            r#"target.wasm32-unknown-unknown.rustflags=["--cfg", "getrandom_backend=\"custom\""]"#,
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    if !options.verbose {
        command.arg("--quiet");
    }
    let mut child = command.spawn().map_err(no_cargo)?;
    let stdout = child.stdout.take().expect("it is piped");
    let mut artifact = None;
    for message in Message::parse_stream(BufReader::new(stdout)) {
        if let Message::CompilerArtifact(made) = message.context("cannot read what cargo says")?
            && made.package_id == package.id
            && made.target.crate_types.contains(&CrateType::CDyLib)
        {
            artifact = made.filenames.into_iter().find(|file| file.extension() == Some("wasm"));
        }
    }
    let status = child.wait().context("cannot wait for cargo")?;
    if !status.success() {
        return Err(explain(folder, &package, options.target));
    }
    let artifact = artifact.with_context(|| format!("crate `{name}`: cargo made no .wasm file"))?;
    let component = metadata.target_directory.join("tidemill").join(format!("{name}.wasm"));
    Ok(Compiled { name, artifact: artifact.into(), component: component.into() })
}

/// Where `compile` left the component of a crate. Cargo is not asked: where it runs there may be none.
pub(super) fn built_before(folder: &Path) -> anyhow::Result<PathBuf> {
    let shown = folder.display();
    let manifest = folder.join("Cargo.toml");
    let text = fs::read_to_string(&manifest)
        .with_context(|| format!("cannot read `{}`", manifest.display()))?;
    let parsed: toml::Table = text.parse().with_context(|| format!("`{}`", manifest.display()))?;
    let name =
        parsed.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
    let name = name.with_context(|| format!("`{}` describes no package", manifest.display()))?;
    let file = format!("{name}.wasm");
    let folder = folder.canonicalize().with_context(|| format!("cannot find `{shown}`"))?;
    let targets = env::var_os("CARGO_TARGET_DIR").map(|target| folder.join(target));
    let targets = targets.into_iter().chain(folder.ancestors().map(|folder| folder.join("target")));
    let found =
        targets.map(|target| target.join("tidemill").join(&file)).find(|file| file.is_file());
    found.with_context(|| {
        format!("crate `{name}` is not built: `tidemill build {shown}` makes its component (run builds nothing)")
    })
}

fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn no_cargo(error: io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::NotFound => {
            anyhow::anyhow!("cargo is not installed: https://rustup.rs says how")
        }
        _ => anyhow::Error::new(error).context("cannot start cargo"),
    }
}

fn describe(manifest: &Path) -> anyhow::Result<(Metadata, Package)> {
    let described = MetadataCommand::new().manifest_path(manifest).no_deps().exec();
    let metadata = described.map_err(|error| match error {
        cargo_metadata::Error::CargoMetadata { stderr } => anyhow::anyhow!(
            "`{}` is not understood by cargo: {}",
            manifest.display(),
            stderr.trim().trim_start_matches("error: ").replace('\n', " ")
        ),
        cargo_metadata::Error::Io(error) => no_cargo(error),
        other => anyhow::Error::new(other).context("cannot ask cargo about the crate"),
    })?;
    let manifest =
        manifest.canonicalize().with_context(|| format!("cannot find `{}`", manifest.display()))?;
    let package = metadata
        .packages
        .iter()
        .find(|package| package.manifest_path.as_std_path() == manifest)
        .cloned();
    let package = package.with_context(|| {
        let members: Vec<_> =
            metadata.packages.iter().map(|package| package.name.as_str()).collect();
        format!(
            "`{}` is a workspace, not a crate: name the folder of one of {}",
            manifest.display(),
            members.join(", ")
        )
    })?;
    Ok((metadata, package))
}

fn check_crate_type(package: &Package) -> anyhow::Result<()> {
    if package.targets.iter().any(|target| target.crate_types.contains(&CrateType::CDyLib)) {
        return Ok(());
    }
    bail!(
        "crate `{}` makes no module: add to its Cargo.toml\n[lib]\ncrate-type = [\"cdylib\", \"rlib\"]",
        package.name
    )
}

/// A workspace may have a profile of its own for functions.
fn profile(metadata: &Metadata) -> [&'static str; 2] {
    let manifest =
        fs::read_to_string(metadata.workspace_root.join("Cargo.toml")).unwrap_or_default();
    let has_one = manifest
        .parse::<toml::Table>()
        .ok()
        .and_then(|manifest| manifest.get("profile")?.get("function").cloned())
        .is_some();
    if has_one { ["--profile", "function"] } else { ["--profile", "release"] }
}

/// What is behind a failure of cargo, which has told its own side already.
fn explain(folder: &Path, package: &Package, target: Target) -> anyhow::Error {
    let name = &package.name;
    let target = target.name();
    if !is_installed(folder, target) {
        return anyhow::anyhow!(
            "the compilation target {target} is not installed: rustup target add {target}"
        );
    }
    let sdk = package.dependencies.iter().find(|dependency| dependency.name == "tidemill-sdk");
    let unlocked = !folder.join("Cargo.lock").is_file();
    if sdk.is_some_and(|sdk| sdk.source.is_some() && sdk.path.is_none()) && unlocked {
        return anyhow::anyhow!(
            "crate `{name}` could not be compiled. If cargo found no tidemill-sdk: it is not published yet, write \
             tidemill-sdk = {{ path = \"…/guest-sdk\" }} in Cargo.toml, or use `tidemill new --sdk-path`"
        );
    }
    anyhow::anyhow!("crate `{name}` could not be compiled")
}

fn is_installed(folder: &Path, target: &str) -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let asked = Command::new(rustc)
        .current_dir(folder)
        .args(["--print", "target-libdir", "--target", target])
        .stderr(Stdio::null())
        .output();
    // Where rustc cannot be asked, cargo has said why.
    asked.map_or(true, |asked| {
        let path = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
        path.is_empty() || Path::new(&path).is_dir()
    })
}

/// The crate by which `dependency` came in: the direct dependency of the crate in `folder`, where cargo can tell.
pub(super) fn brought_by(folder: &Path, target: &str, dependency: &str) -> Option<String> {
    let tree = Command::new(cargo())
        .current_dir(folder)
        .args([
            "tree",
            "--quiet",
            "--offline",
            "--target",
            target,
            "--edges",
            "normal",
            "--prefix",
            "depth",
        ])
        .args(["--invert", dependency])
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(tree.stdout).ok()?;
    direct(&text).map(str::to_owned)
}

/// In a tree upside down, the crate one above the deepest.
fn direct(tree: &str) -> Option<&str> {
    let lines: Vec<(usize, &str)> = tree
        .lines()
        .filter_map(|line| {
            let digits = line.find(|letter: char| !letter.is_ascii_digit())?;
            let (depth, rest) = line.split_at(digits);
            Some((depth.parse().ok()?, rest.split(' ').next()?))
        })
        .collect();
    // The first branch, down to the crate itself.
    let end = lines
        .windows(2)
        .position(|pair| pair[1].0 <= pair[0].0)
        .unwrap_or(lines.len().checked_sub(1)?);
    lines.get(end.checked_sub(1)?).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crate_behind_an_import_is_the_direct_dependency() {
        let tree = "0wasm-bindgen v0.2.100\n1js-sys v0.3.77\n2chrono v0.4.40\n3hello v0.1.0 (/hello)\n2other v1.0.0\n";
        assert_eq!(direct(tree), Some("chrono"));
        assert_eq!(direct("0getrandom v0.4.0\n1hello v0.1.0\n"), Some("getrandom"));
        assert_eq!(direct("0hello v0.1.0\n"), None);
        assert_eq!(direct(""), None);
    }

    #[test]
    fn what_was_built_is_found_without_cargo() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("functions/a");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("Cargo.toml"), "[package]\nname = \"built-before-test\"\n").unwrap();
        let error = built_before(&inner).unwrap_err().to_string();
        assert!(error.contains("`built-before-test` is not built: `tidemill build "), "{error}");
        let target = folder.path().join("target/tidemill");
        fs::create_dir_all(&target).unwrap();
        fs::write(target.join("built-before-test.wasm"), "").unwrap();
        assert!(built_before(&inner).unwrap().ends_with("target/tidemill/built-before-test.wasm"));
    }
}
