//! `tidemill resume`: the paused tasks of an app try again.

use std::io::{self, Write as _};

use hyper::{Method, body::Bytes};

use super::remote;

/// Have the paused tasks of an app try again
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tidemill status trades\n  tidemill resume trades\n\nA task pauses at a record whose state does not decode; it goes no further until it is told to, or gets other code.\nA record that fails again pauses it again."
)]
pub(super) struct Args {
    /// The app
    app: String,
    #[command(flatten)]
    host: remote::Args,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let client = self.host.client()?;
        let path = format!("/apps/{}/resume", remote::app(&self.app)?);
        super::runtime()?.block_on(client.send(
            Method::POST,
            &path,
            &[],
            None,
            Bytes::new().into(),
        ))?;
        writeln!(io::stdout(), "{}: paused tasks try again", self.app)?;
        Ok(())
    }
}
