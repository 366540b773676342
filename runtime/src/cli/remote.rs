//! A host that commands talk to.

use std::path::PathBuf;

use anyhow::bail;

use crate::{
    http::{Client, ClientError, DEFAULT_HOST},
    manifest::{APP_NAME, AppName, is_name},
};

/// Which host.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// The address of the `tidemill serve`
    #[arg(long, value_name = "URL", env = "TIDEMILL_HOST", default_value = DEFAULT_HOST)]
    host: String,
    /// The file with the host's token [default: the variable TIDEMILL_TOKEN]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Args {
    pub(super) fn client(&self) -> Result<Client, ClientError> {
        Client::with_token_file(&self.host, self.token_file.as_deref())
    }
}

/// A name that may stand in a path.
pub(super) fn app(name: &str) -> anyhow::Result<AppName> {
    match AppName::parse(name) {
        Some(name) => Ok(name),
        None => bail!("`{name}` is no app: expected {APP_NAME}"),
    }
}

/// A name that may stand in a path.
pub(super) fn function(name: &str) -> anyhow::Result<&str> {
    if !is_name(name) {
        bail!("`{name}` is no function: expected {APP_NAME}");
    }
    Ok(name)
}

/// The first digits of a digest, for people.
pub(super) fn short(digest: &str) -> &str {
    let digits = digest.strip_prefix("sha256:").unwrap_or(digest);
    digits.get(..6).unwrap_or(digits)
}
