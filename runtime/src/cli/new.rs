//! `tidemill new`: a function crate that builds and passes its test at once.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use crate::manifest::{code_name, is_name};

/// Write a function crate that builds and passes its test at once
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  tidemill new hello && cd hello && tidemill test && tidemill dev"
)]
pub(super) struct Args {
    /// The folder to make; its last part names crate, app and function
    #[arg(value_name = "NAME")]
    path: PathBuf,
    /// What the function is written in
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    lang: Language,
    /// The folder of tidemill-sdk, where it is not taken from the registry of crates
    #[arg(long, value_name = "FOLDER", env = "TIDEMILL_SDK_PATH")]
    sdk_path: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Language {
    Rust,
}

/// Where each file goes, and what is in it.
const RUST: &[(&str, &str)] = &[
    (".gitignore", include_str!("../../templates/rust/gitignore")),
    ("Cargo.toml", include_str!("../../templates/rust/Cargo.toml")),
    ("README.md", include_str!("../../templates/rust/README.md")),
    ("cases/{{name}}.case", include_str!("../../templates/rust/cases/function.case")),
    ("src/lib.rs", include_str!("../../templates/rust/src/lib.rs")),
    ("tidemill.toml", include_str!("../../templates/rust/tidemill.toml")),
];

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let name = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !is_name(&code_name(name)) {
            bail!(
                "`{name}` cannot name a function: write lower-case letters, digits, - and _, a letter first, at most \
                 63 in all"
            );
        }
        if is_keyword(&code_name(name)) {
            bail!("`{name}` is a word of Rust: choose another name");
        }
        if self.path.exists() {
            bail!(
                "`{}` exists already: choose another name, or delete it first",
                self.path.display()
            );
        }
        let Language::Rust = self.lang;
        let sdk = sdk(self.sdk_path.as_deref())?;
        for (file, text) in RUST {
            let fill = |text: &str| {
                text.replace("{{name}}", name)
                    .replace("{{function}}", &code_name(name))
                    .replace("{{sdk}}", &sdk)
            };
            write(&self.path.join(fill(file)), &fill(text))?;
        }
        let shown = self.path.display();
        writeln!(io::stdout(), "made {shown}\nnext: cd {shown} && tidemill test && tidemill dev")?;
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
}

/// The dependency as `Cargo.toml` has it.
fn sdk(path: Option<&Path>) -> anyhow::Result<String> {
    let Some(path) = path else {
        return Ok(format!(
            "\"{}.{}\"",
            env!("CARGO_PKG_VERSION_MAJOR"),
            env!("CARGO_PKG_VERSION_MINOR")
        ));
    };
    if !path.join("Cargo.toml").is_file() {
        bail!(
            "`{}` holds no Cargo.toml: --sdk-path is the folder guest-sdk of Tidemill",
            path.display()
        );
    }
    let path = path.canonicalize().with_context(|| format!("cannot find `{}`", path.display()))?;
    let text = toml::Value::from(path.to_str().context("--sdk-path has a name that is not UTF-8")?);
    Ok(format!("{{ path = {text} }}"))
}

/// Names that a function cannot have in Rust.
fn is_keyword(name: &str) -> bool {
    const WORDS: &str = "abstract as async await become box break const continue crate do dyn else enum extern false \
                         final fn for gen if impl in let loop macro match mod move mut override priv pub ref return \
                         self static struct super trait true try type typeof unsafe unsized use virtual where while \
                         yield";
    WORDS.split_whitespace().any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(path: PathBuf, sdk_path: Option<PathBuf>) -> anyhow::Result<()> {
        Args { path, lang: Language::Rust, sdk_path }.run()
    }

    #[test]
    fn the_crate_is_as_small_as_promised_and_its_manifest_is_right() {
        let folder = tempfile::tempdir().unwrap();
        let crate_folder = folder.path().join("gold-orders");
        new(crate_folder.clone(), None).unwrap();
        let text = |file: &str| fs::read_to_string(crate_folder.join(file)).unwrap();
        assert!(text("src/lib.rs").lines().filter(|line| !line.is_empty()).count() <= 12);
        assert!(text("src/lib.rs").contains("fn gold_orders("));
        assert_eq!(text("tidemill.toml").lines().count(), 6);
        assert!(text("Cargo.toml").contains("tidemill-sdk = \"0.1\""));
        let manifest = crate::manifest::Manifest::read(&crate_folder, &[]).unwrap();
        assert_eq!(manifest.app.as_str(), "gold-orders");
        let cases = text("cases/gold-orders.case");
        let none = |_: &Path| Err(io::ErrorKind::NotFound.into());
        assert_eq!(crate::testing::case::parse("a.case", &cases, &none).unwrap().cases.len(), 1);
        let again = new(crate_folder, None).unwrap_err().to_string();
        assert!(
            again.ends_with("exists already: choose another name, or delete it first"),
            "{again}"
        );
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["Hello", "1st", "a b", "match", ".."] {
            assert!(new(folder.path().join(name), None).is_err(), "{name}");
        }
        let error = new(folder.path().join("hello"), Some(folder.path().to_owned())).unwrap_err();
        assert!(error.to_string().contains("holds no Cargo.toml"), "{error}");
    }
}
