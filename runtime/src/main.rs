//! The binary: see [`tidemill::cli`].

fn main() -> std::process::ExitCode {
    tidemill::cli::main()
}
