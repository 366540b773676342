//! What a host keeps: functions by their content, the versions of their names, and the manifests of apps.
//!
//! [`Registry`] is the seam: one host keeps it in files of its data directory ([`Files`]), hosts that share one can
//! keep it elsewhere. Content is never trusted to be what its name says: it is read back by digest, and what is
//! damaged is told, never run. A version, once given, never means other bytes, also after its name was deleted.
//!
//! Knows nothing of how functions are run, and checks neither components nor manifests.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    guest::{Component, Digest},
    manifest::{AppName, Module},
};

mod data;
mod files;
mod store;

pub use self::{
    data::{DataDir, LockError},
    files::Files,
};

/// Functions and apps that survive a restart. What a call changed is durable when it returns.
pub trait Registry: Send + Sync {
    /// Keeps a checked component under a name. The same bytes as the newest version are that version still.
    ///
    /// # Errors
    /// Where it cannot be kept. So do all.
    fn put_function(
        &self,
        name: &str,
        bytes: &[u8],
        about: &About,
    ) -> Result<Put<FunctionVersion>, Error>;

    /// All functions, by name.
    ///
    /// # Errors
    /// See [`Error`]. So do all below.
    fn functions(&self) -> Result<Vec<Function>, Error>;

    /// One function, or `None` where nothing is kept under the name.
    ///
    /// # Errors
    /// See [`Error`].
    fn function(&self, name: &str) -> Result<Option<Function>, Error>;

    /// Forgets a function with all its versions; the bytes too, where no other name and no app has them.
    ///
    /// # Errors
    /// See [`Error`].
    fn delete_function(&self, name: &str) -> Result<(), Error>;

    /// The bytes of a component, as they were put.
    ///
    /// # Errors
    /// [`Error::Damaged`] where they are others by now.
    fn component(&self, digest: &Digest) -> Result<Vec<u8>, Error>;

    /// Keeps an app in place of the one of the same name.
    ///
    /// # Errors
    /// See [`Error`].
    fn put_app(&self, app: &StoredApp) -> Result<(), Error>;

    /// All apps, by name.
    ///
    /// # Errors
    /// See [`Error`].
    fn apps(&self) -> Result<Vec<StoredApp>, Error>;

    /// One app.
    ///
    /// # Errors
    /// See [`Error`].
    fn app(&self, name: &AppName) -> Result<Option<StoredApp>, Error>;

    /// Forgets an app.
    ///
    /// # Errors
    /// See [`Error`].
    fn delete_app(&self, name: &AppName) -> Result<(), Error>;
}

/// What was put, and whether it is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put<T> {
    /// What is kept now.
    pub kept: T,
    /// `false`: it was there already.
    pub new: bool,
}

/// What a component says of itself, kept so that showing it needs no compiler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Which contract it was written against.
    pub world: serde_json::Value,
    /// What it imports: its capabilities.
    pub imports: Vec<String>,
    /// The functions it holds, with sources and slots.
    pub functions: serde_json::Value,
}

impl About {
    /// Of a component.
    pub fn of(component: &Component) -> Self {
        let json = |value: Result<_, _>| value.expect("plain structs with text keys are JSON");
        About {
            world: json(serde_json::to_value(component.world())),
            imports: component.imports().to_vec(),
            functions: json(serde_json::to_value(component.descriptions())),
        }
    }
}

/// A version of a function's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FunctionVersion {
    /// From 1, never given twice.
    pub version: u32,
    /// What is kept under it.
    #[serde(with = "digest_text")]
    pub digest: Digest,
    /// Bytes.
    pub size: usize,
    /// Milliseconds since the Unix epoch.
    pub uploaded_ms: i64,
    /// What it says of itself.
    #[serde(flatten)]
    pub about: About,
}

impl Eq for FunctionVersion {}

/// A name with its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Function {
    /// As uploaded.
    pub name: String,
    /// The oldest first; at least one.
    pub versions: Vec<FunctionVersion>,
}

impl Function {
    /// That version, or the newest one.
    pub fn version(&self, version: Option<u32>) -> Option<&FunctionVersion> {
        match version {
            Some(version) => self.versions.iter().find(|known| known.version == version),
            None => self.versions.last(),
        }
    }
}

/// An app as it was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredApp {
    /// Its name.
    pub name: String,
    /// From 1, one more with each change.
    pub version: u32,
    /// The manifest's file name, for messages.
    pub file: String,
    /// The manifest as it was written.
    pub manifest: String,
    /// What overrides it: `key=value`.
    pub sets: Vec<String>,
    /// The code of each function, fixed when the app was accepted.
    pub modules: Vec<StoredModule>,
}

/// The code of a function of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredModule {
    /// The function's name in the manifest.
    pub function: String,
    /// What the manifest says.
    pub module: String,
    /// What that meant.
    #[serde(with = "digest_text")]
    pub digest: Digest,
}

mod digest_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Digest;

    pub fn serialize<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(digest)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// What a manifest's `module` means here.
///
/// # Errors
/// [`Error::Unknown`] with what there is instead.
pub fn resolve(registry: &dyn Registry, module: &Module) -> Result<Digest, Error> {
    let unknown = |known: String| Error::Unknown { module: module.to_string(), known };
    match module {
        Module::Path(_) => Err(unknown("upload it, then write its name".to_owned())),
        Module::Digest(text) => {
            let digest = text.parse().map_err(|_| unknown("no digest".to_owned()))?;
            let kept = registry.functions()?;
            let known = kept
                .iter()
                .flat_map(|function| &function.versions)
                .any(|known| known.digest == digest);
            if known { Ok(digest) } else { Err(unknown("upload it first".to_owned())) }
        }
        Module::Registry { name, version } => {
            let Some(function) = registry.function(name)? else {
                let names: Vec<String> =
                    registry.functions()?.into_iter().map(|function| function.name).collect();
                let known = if names.is_empty() {
                    "none is uploaded yet".to_owned()
                } else {
                    names.join(", ")
                };
                return Err(unknown(format!("functions here: {known}")));
            };
            let versions = || {
                function.versions.iter().map(|known| known.version.to_string()).collect::<Vec<_>>()
            };
            let found = function.version(*version).map(|version| version.digest);
            found.ok_or_else(|| {
                unknown(format!("versions of {name} here: {}", versions().join(", ")))
            })
        }
    }
}

/// Why something cannot be kept or had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be used.
    #[error("cannot {step} {path}")]
    Io {
        /// What was tried: `read`, `write`, …
        step: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The bytes are not those that were put.
    #[error("{path} is damaged: its content has the digest {found}; upload the function again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is in it.
        found: Digest,
    },
    /// A list is not what was written.
    #[error(
        "{path} is damaged ({source}); restore it from a backup, or delete it to forget what it lists"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// There is no such function.
    #[error("{module} is no uploaded function; {known}")]
    Unknown {
        /// What was asked for.
        module: String,
        /// What there is.
        known: String,
    },
}
