//! Logs: to standard error, as text or JSON.

use std::io::{self, IsTerminal as _};

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

/// What is logged, and how.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// What is logged, as `info` or `tidemill=debug,guest=info`
    #[arg(
        long = "log",
        value_name = "FILTER",
        env = "RUST_LOG",
        global = true,
        hide_env_values = true
    )]
    filter: Option<String>,
    /// How log lines look
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    log_format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(super) fn start(args: &Args, default: &str) -> anyhow::Result<()> {
    let filter = args.filter.as_deref().filter(|filter| !filter.is_empty()).unwrap_or(default);
    let filter = EnvFilter::try_new(filter).with_context(|| {
        format!("--log `{filter}` is not understood: write a level, as info, or target=level with commas between")
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match args.log_format {
        Format::Text => builder.with_ansi(io::stderr().is_terminal()).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))
}
