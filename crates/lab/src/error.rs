//! What can go wrong in a lab: one line that names the deed and the host, over the kernel's reason.

use std::{fmt, io};

/// A lab's failure: what was tried, and the system's reason.
#[derive(Debug)]
pub struct Error {
    what: String,
    reason: io::Error,
}

/// A lab's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(what: impl Into<String>, reason: io::Error) -> Error {
        Error { what: what.into(), reason }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.reason)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.reason)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        io::Error::new(error.reason.kind(), error)
    }
}

/// Says what was tried when the system refuses.
pub(crate) trait Context<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|reason| Error::new(what(), reason))
    }
}
