//! How an example ends: well, or with one line that says what failed and what to do.

use std::fmt::Display;
use std::process::ExitCode;

/// What an example comes to; an error is a line for whoever runs it.
pub type Result<T> = std::result::Result<T, String>;

/// Puts what was tried before the reason why it failed.
pub trait Explain<T> {
    /// The value, or "cannot `what`: reason".
    fn explain(self, what: impl Display) -> Result<T>;
}

impl<T, E: Display> Explain<T> for std::result::Result<T, E> {
    fn explain(self, what: impl Display) -> Result<T> {
        self.map_err(|error| format!("cannot {what}: {error}"))
    }
}

/// The exit code of a program that came to this, having said why.
pub fn end(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            eprintln!("{line}");
            ExitCode::FAILURE
        }
    }
}
