//! The command line: one command a file, each a thin layer over the library.
//!
//! Facts go to standard output, in words or with `--json`; progress, logs and errors to standard error. An error is
//! one line that begins with `error:` and ends the process with 1; a wrong command line ends it with 2.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod args;
pub mod build;
mod consume;
mod delete;
mod deploy;
mod dev;
mod errors;
mod list;
mod logs;
mod new;
mod place;
mod produce;
mod properties;
mod query;
mod remote;
mod resume;
mod run;
mod serve;
mod single;
mod state;
mod status;
mod stop;
mod test;
mod topics;

#[derive(Parser)]
#[command(
    name = "tidemill",
    version,
    about = "Runs WebAssembly functions on Kafka topics",
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Start here:  tidemill new hello && cd hello && tidemill test && tidemill dev"
)]
struct Cli {
    #[command(flatten)]
    logs: logs::Args,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    New(new::Args),
    Build(build::Args),
    Test(test::Args),
    Dev(dev::Args),
    Run(run::Args),
    Serve(serve::Args),
    Deploy(deploy::Args),
    List(list::Args),
    Status(status::Args),
    State(query::Args),
    Resume(resume::Args),
    Delete(delete::Args),
    Produce(produce::Args),
    Consume(consume::Args),
    Topics(topics::Args),
}

impl Command {
    fn run(self) -> anyhow::Result<()> {
        match self {
            Command::New(args) => args.run(),
            Command::Build(args) => args.run(),
            Command::Test(args) => args.run(),
            Command::Dev(args) => args.run(),
            Command::Run(args) => args.run(),
            Command::Serve(args) => args.run(),
            Command::Deploy(args) => args.run(),
            Command::List(args) => args.run(),
            Command::Status(args) => args.run(),
            Command::State(args) => args.run(),
            Command::Resume(args) => args.run(),
            Command::Delete(args) => args.run(),
            Command::Produce(args) => args.run(),
            Command::Consume(args) => args.run(),
            Command::Topics(args) => args.run(),
        }
    }

    /// What is logged where nothing else is asked for.
    fn log_filter(&self) -> &'static str {
        match self {
            Command::Run(_) | Command::Serve(_) => "warn,tidemill=info,guest=info",
            // The view shows every failure already.
            Command::Dev(_) => "error,tidemill::supervisor=warn,guest=info",
            Command::Test(_) => "off",
            _ => "warn",
        }
    }
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = logs::start(&cli.logs, cli.command.log_filter()).and_then(|()| cli.command.run());
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => errors::show(&error),
    }
}

/// A runtime for a command that waits for the network.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    use anyhow::Context as _;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let example = format!("  tidemill {}", command.get_name());
            assert!(help.contains(&example), "`{}` has no example", command.get_name());
        }
    }
}
