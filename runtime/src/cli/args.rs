//! Arguments that several commands have.

use std::path::PathBuf;

use crate::manifest::{self, FILE_NAME, Manifest};

/// Which manifest, and what overrides it.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ManifestArgs {
    /// The manifest, or the folder that it is in
    #[arg(value_name = "MANIFEST", default_value = FILE_NAME)]
    pub(super) manifest: PathBuf,
    /// Overrides a key of the manifest, as --set 'host.listen="127.0.0.1:9000"'; may repeat
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) sets: Vec<String>,
}

impl ManifestArgs {
    pub(super) fn read(&self) -> Result<Manifest, manifest::Error> {
        Manifest::read(&self.manifest, &self.sets)
    }

    /// The folder that paths in the manifest are relative to.
    pub(super) fn folder(&self) -> PathBuf {
        if self.manifest.is_dir() {
            return self.manifest.clone();
        }
        match self.manifest.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        }
    }

    /// The manifest's file.
    pub(super) fn file(&self) -> PathBuf {
        if self.manifest.is_dir() { self.manifest.join(FILE_NAME) } else { self.manifest.clone() }
    }
}
