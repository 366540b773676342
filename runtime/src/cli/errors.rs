//! How an error ends the process: one clear line.

use std::{
    error::Error,
    io::{self, Write as _},
    process::ExitCode,
};

/// The command has said itself what is wrong.
#[derive(Debug, thiserror::Error)]
#[error("the command failed")]
pub(super) struct Reported;

/// Shows an error and answers what the process ends with.
pub(super) fn show(error: &anyhow::Error) -> ExitCode {
    let pipe_closed = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe);
    if pipe_closed {
        // Whoever read the output has seen enough.
        return ExitCode::SUCCESS;
    }
    if !error.is::<Reported>() {
        // Where standard error is gone there is nobody to tell.
        let _ = writeln!(io::stderr(), "error: {}", chain(error.as_ref()));
    }
    ExitCode::FAILURE
}

/// An error and its causes in one text. A cause that the text before it ends with already is not said again.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !said.is_empty() && !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    #[test]
    fn causes_follow_and_are_said_once() {
        let error = anyhow::anyhow!("no such file")
            .context("cannot read `a`: no such file")
            .context("cannot start");
        assert_eq!(super::chain(error.as_ref()), "cannot start: cannot read `a`: no such file");
        let error = Err::<(), _>(std::fmt::Error).context("cannot print").unwrap_err();
        assert!(super::chain(error.as_ref()).starts_with("cannot print: "));
    }
}
