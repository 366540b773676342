//! `tidemill delete`: an app or a function of a host.

use std::io::{self, Write as _};

use super::remote;

/// Stop an app and forget it, or forget a function
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tidemill delete trades\n  tidemill delete --function settle\n\nTopics and committed positions stay: deployed again, the app goes on where it was."
)]
pub(super) struct Args {
    /// The app
    #[arg(required_unless_present = "function", conflicts_with = "function")]
    app: Option<String>,
    /// The function, with all its versions; none of them may be in use
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
    #[command(flatten)]
    host: remote::Args,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let client = self.host.client()?;
        let (path, said) = match (&self.app, &self.function) {
            (_, Some(name)) => (
                format!("/functions/{}", remote::function(name)?),
                format!("function {name} deleted"),
            ),
            (Some(name), None) => {
                (format!("/apps/{}", remote::app(name)?), format!("{name} stopped and deleted"))
            }
            (None, None) => unreachable!("clap wants one of both"),
        };
        super::runtime()?.block_on(client.delete(&path))?;
        writeln!(io::stdout(), "{said}")?;
        Ok(())
    }
}
