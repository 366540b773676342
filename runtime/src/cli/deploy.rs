//! `tidemill deploy`: builds what a manifest names, uploads it, and puts the app to a host.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::Path,
};

use anyhow::Context as _;
use hyper::Method;
use serde::Deserialize;

use super::{
    args::ManifestArgs,
    build,
    remote::{self, short},
};
use crate::{
    guest::Engine,
    http::{Client, ClientError},
    manifest::{FunctionSettings, Manifest, Module, is_name},
    registry::StoredModule,
    supervisor::host::{AppState, State},
};

/// Build an app, upload it to a host, and run it there
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidemill deploy
  tidemill deploy trades.toml --set 'kafka=\"main\"' --host http://tidemill.example:8080 --token-file token

A crate's folder is built, a .wasm file is taken as it is; the name of an uploaded function is left to the host.
The host has the connections: the manifest names one with kafka = \"main\".")]
pub(super) struct Args {
    #[command(flatten)]
    manifest: ManifestArgs,
    #[command(flatten)]
    host: remote::Args,
    /// Print facts as JSON
    #[arg(long)]
    json: bool,
}

/// What the host says of an upload.
#[derive(Debug, Deserialize)]
struct Uploaded {
    version: u32,
    digest: String,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let manifest = self.manifest.read()?;
        let file = self.manifest.file();
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let client = self.host.client()?;
        let engine = build::engine()?;
        super::runtime()?.block_on(async {
            let before = before(&client, manifest.app.as_str()).await?;
            let modules = upload(&client, &engine, &manifest).await?;
            let after = put(&client, &manifest, text, &self.manifest.sets, &modules).await?;
            let mut out = io::stdout().lock();
            if self.json {
                writeln!(out, "{}", serde_json::to_string(&after)?)?;
            } else {
                writeln!(out, "{}", line(before.as_ref(), &after))?;
            }
            Ok(())
        })
    }
}

/// What runs under the name now.
async fn before(client: &Client, app: &str) -> Result<Option<AppState>, ClientError> {
    match client.get(&format!("/apps/{app}")).await {
        Ok(app) => Ok(Some(app)),
        Err(ClientError::Refused(problem)) if problem.status == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// Builds and uploads each module once. Answers what to override: the function and its digest.
async fn upload(
    client: &Client,
    engine: &Engine,
    manifest: &Manifest,
) -> anyhow::Result<BTreeMap<String, String>> {
    let mut uploaded: BTreeMap<&Path, String> = BTreeMap::new();
    let mut digests = BTreeMap::new();
    for function in manifest.functions.values() {
        let Some(path) = path(function) else { continue };
        if !uploaded.contains_key(path) {
            let context = || format!("function `{}`", function.name);
            let built =
                build::component(engine, path, build::Options::default()).with_context(context)?;
            let name = upload_name(&built.name);
            let target = format!("/functions/{name}");
            let media = Some("application/wasm");
            let answer = client
                .send(Method::PUT, &target, &[], media, built.bytes.into())
                .await
                .with_context(context)?;
            let kept: Uploaded = client.json(&answer)?;
            tracing::info!(
                function = name,
                version = kept.version,
                digest = kept.digest,
                "uploaded"
            );
            uploaded.insert(path, kept.digest);
        }
        digests.insert(function.name.clone(), uploaded[path].clone());
    }
    Ok(digests)
}

/// What is to be built or uploaded; `None` where the host has it.
fn path(function: &FunctionSettings) -> Option<&Path> {
    let Module::Path(path) = &function.module else { return None };
    // A bare name with nothing there is an uploaded function's.
    let bare = path.file_name().and_then(|name| name.to_str()).is_some_and(is_name);
    (!bare || path.exists()).then_some(path)
}

/// A name the host takes, near to the crate's or the file's.
fn upload_name(name: &str) -> String {
    let fit =
        |letter: char| if letter.is_ascii_alphanumeric() || letter == '_' { letter } else { '-' };
    let name: String = name.to_lowercase().chars().map(fit).collect();
    let name = if name.starts_with(|first: char| first.is_ascii_lowercase()) {
        name
    } else {
        format!("f{name}")
    };
    name.chars().take(63).collect()
}

/// Sends the manifest as it was written; what was built overrides its modules.
async fn put(
    client: &Client,
    manifest: &Manifest,
    text: String,
    sets: &[String],
    modules: &BTreeMap<String, String>,
) -> anyhow::Result<AppState> {
    let modules = modules
        .iter()
        .map(|(function, digest)| format!("functions.{function}.module=\"{digest}\""));
    let sets: Vec<String> = sets.iter().cloned().chain(modules).collect();
    let mut query: Vec<(&str, &str)> = sets.iter().map(|set| ("set", set.as_str())).collect();
    query.push(("file", &manifest.file));
    let path = format!("/apps/{}", manifest.app);
    let answer =
        client.send(Method::PUT, &path, &query, Some("application/toml"), text.into()).await?;
    Ok(client.json(&answer)?)
}

/// `trades v2: settle 4f1c02 → 9a02d7, running`
fn line(before: Option<&AppState>, after: &AppState) -> String {
    let state = match after.state {
        State::Starting => "starting",
        State::Running => "running",
        State::Waiting => "waiting",
        State::Failed => "failed",
    };
    let head = format!("{} v{}", after.name, after.version);
    if before.is_some_and(|before| before.version == after.version) {
        return format!("{head}: unchanged, {state}");
    }
    let old = |function: &StoredModule| {
        let functions = before.into_iter().flat_map(|before| &before.functions);
        functions
            .into_iter()
            .find(|old| old.function == function.function && old.digest != function.digest)
    };
    let functions = after.functions.iter().map(|function| {
        let now = function.digest.to_string();
        match old(function) {
            Some(old) => format!(
                "{} {} → {}",
                function.function,
                short(&old.digest.to_string()),
                short(&now)
            ),
            None => format!("{} {}", function.function, short(&now)),
        }
    });
    format!("{head}: {}, {state}", functions.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::Digest;

    fn state(version: u32, code: &[u8]) -> AppState {
        let module = StoredModule {
            function: "settle".to_owned(),
            module: "settle".to_owned(),
            digest: Digest::of(code),
        };
        AppState {
            name: "trades".to_owned(),
            version,
            state: State::Running,
            reason: None,
            functions: vec![module],
        }
    }

    #[test]
    fn says_what_changed() {
        let (one, two) = (state(1, b"one"), state(2, b"two"));
        assert_eq!(line(None, &one), "trades v1: settle 7692c3, running");
        assert_eq!(line(Some(&one), &two), "trades v2: settle 7692c3 → 3fc4cc, running");
        assert_eq!(line(Some(&one), &state(2, b"one")), "trades v2: settle 7692c3, running");
        assert_eq!(line(Some(&two), &two), "trades v2: unchanged, running");
    }

    #[test]
    fn names_of_crates_become_names_of_functions() {
        for (name, expected) in
            [("stock-trades", "stock-trades"), ("Stock.Trades", "stock-trades"), ("7", "f7")]
        {
            assert_eq!(upload_name(name), expected);
            assert!(is_name(expected));
        }
    }
}
