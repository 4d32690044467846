//! How the command fails: one line that names the culprit and the mend, and an exit code.

use std::fmt;
use std::process::ExitCode;

/// Why the command ends without having done what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    /// None where it has been told already.
    line: Option<String>,
    code: u8,
}

impl Failure {
    /// Something went wrong: exit code 1. `line` names who, what and the way out.
    pub(crate) fn new(line: impl Into<String>) -> Self {
        Failure { line: Some(single(line.into())), code: 1 }
    }

    /// The command line or the configuration cannot be: exit code 2.
    pub(crate) fn usage(line: impl Into<String>) -> Self {
        Failure { line: Some(single(line.into())), code: 2 }
    }

    /// Another process of ours has told it.
    pub(crate) fn told(code: u8) -> Self {
        Failure { line: None, code }
    }

    /// Prints the line and gives the code.
    pub(crate) fn report(&self) -> ExitCode {
        if let Some(line) = &self.line {
            eprintln!("sockeye: {line}");
        }
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.line.as_deref().unwrap_or("see above"))
    }
}

/// Whatever an error from below holds, it stays one line, and without the system's number for what its words say.
fn single(mut text: String) -> String {
    const NUMBER: &str = " (os error ";
    while let Some(start) = text.find(NUMBER)
        && let Some(len) = text[start..].find(')')
    {
        text.replace_range(start..=start + len, "");
    }
    if !text.contains(['\n', '\r']) {
        return text;
    }
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_without_numbers() {
        let denied = std::io::Error::from_raw_os_error(13);
        let failure = Failure::new(format!("a: {denied}; b: {denied}\n\n  c\n"));
        assert_eq!(failure.to_string(), "a: Permission denied; b: Permission denied c");
    }
}
