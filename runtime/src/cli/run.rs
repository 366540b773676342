//! `tidemill run`: one production process of an app's group. Builds nothing.

use std::{
    io::{self, Write as _},
    sync::Arc,
};

use anyhow::{Context as _, bail};

use super::{
    args::ManifestArgs,
    build,
    single::{self, ListenArgs, Process},
    stop::Stop,
};

/// Run an app: one process of its group, with code that was built before
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidemill run
  tidemill run prod.toml --set 'kafka.\"bootstrap.servers\"=\"kafka-1:9092\"'

SIGTERM and SIGINT finish the batches at hand, commit and leave the group; a second one ends it at once.
HTTP has /live, /ready and /metrics.")]
pub(super) struct Args {
    #[command(flatten)]
    manifest: ManifestArgs,
    #[command(flatten)]
    listen: ListenArgs,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let manifest = self.manifest.read()?;
        let mut process = Process::open(&manifest, &self.listen, true)?;
        let engine = build::engine()?;
        let components = build::prebuilt(&engine, &manifest)?.components;
        let runtime = super::runtime()?;
        let ran = runtime.block_on(async {
            let mut stop = Stop::new()?;
            let server = process.serve()?;
            let process = Arc::new(process);
            let starting = {
                let (process, manifest) = (Arc::clone(&process), manifest.clone());
                tokio::task::spawn_blocking(move || process.start(&manifest, &components, None))
            };
            tokio::select! {
                started = starting => started.context("the app could not be started")??,
                // Nothing was handled yet, so there is nothing to finish.
                () = stop.asked() => return Ok(()),
            }
            let (app, log) = (&manifest.app, process.log_name());
            writeln!(io::stdout(), "{app} on {log} · http://{}", process.address)?;
            let failure = process.with(|app| app.failure()).context("the app is gone")?;
            let reason = tokio::select! {
                () = stop.asked() => None,
                reason = failed(failure) => Some(reason),
            };
            tracing::info!("stopping");
            single::end(&process, server, &mut stop).await?;
            match reason {
                Some(reason) => bail!("{app} cannot go on: {reason}"),
                None => Ok(()),
            }
        });
        // What still waits for records is not waited for.
        runtime.shutdown_background();
        ran
    }
}

/// Waits until the app has failed.
async fn failed(mut failure: tokio::sync::watch::Receiver<Option<String>>) -> String {
    match failure.wait_for(Option::is_some).await {
        Ok(reason) => reason.clone().unwrap_or_default(),
        Err(_) => "its workers are gone".to_owned(),
    }
}
