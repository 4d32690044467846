//! What can go wrong when a node starts or runs: one line each, naming the culprit and what would mend it.

use core::fmt;
use std::io;
use std::path::PathBuf;

use sockeye_device::OpenError;

/// Why a node does not start, or stopped.
#[derive(Debug)]
pub enum Error {
    /// The configuration file says something that cannot be.
    Config {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1, where it is known.
        line: Option<usize>,
        /// The key, where it is known, and what is wrong with it.
        what: String,
    },
    /// The configuration as a whole makes no host.
    Setup(String),
    /// An interface cannot be used.
    Interface(OpenError),
    /// The control socket cannot be had.
    Control {
        /// Its path.
        path: PathBuf,
        /// What is wrong, and the mend.
        what: String,
    },
    /// The kernel refused what the node cannot do without.
    System {
        /// What the node was doing.
        doing: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
}

impl Error {
    /// For `map_err`: the kernel refused what the node was doing.
    pub(crate) fn system<E: Into<io::Error>>(doing: &'static str) -> impl FnOnce(E) -> Error {
        move |error| Error::System { doing, error: error.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Config { file, line: Some(line), what } => write!(f, "{}:{line}: {what}", file.display()),
            Error::Config { file, line: None, what } => write!(f, "{}: {what}", file.display()),
            Error::Setup(what) => f.write_str(what),
            Error::Interface(error) => fmt::Display::fmt(error, f),
            Error::Control { path, what } => write!(f, "control socket {}: {what}", path.display()),
            Error::System { doing, error } => write!(f, "{doing}: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Interface(error) => Some(error),
            Error::System { error, .. } => Some(error),
            Error::Config { .. } | Error::Setup(_) | Error::Control { .. } => None,
        }
    }
}
