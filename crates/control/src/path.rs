//! Where the control socket is.
//!
//! `$SOCKEYE_CONTROL`, else `/run/sockeye/default.sock` for root, else `$XDG_RUNTIME_DIR/sockeye/default.sock`. The rule is a
//! pure function of these values, because the shim must apply it before `main` and without memory of its own.
//!
//! The path should be absolute: programs change their directory. `sockeye run` sets an absolute one.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path that fits in a Unix socket's address.
#[derive(Clone, Copy)]
pub struct ControlPath {
    bytes: [u8; Self::MAX],
    len: usize,
}

/// Why there is no control path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// Neither `SOCKEYE_CONTROL` nor `XDG_RUNTIME_DIR` is set, and the user is not root.
    Unset,
    /// The path is longer than a Unix socket's address can be ([`ControlPath::MAX`] bytes).
    TooLong,
    /// The path contains a zero byte.
    Zero,
    /// The path has no characters.
    Empty,
}

impl ControlPath {
    /// The longest path: `sun_path` with its final zero byte.
    pub const MAX: usize = 107;

    /// The name of the environment variable that names the control socket.
    pub const VARIABLE: &str = "SOCKEYE_CONTROL";

    /// A path that was given, as by `--control`.
    pub fn new(path: &[u8]) -> Result<ControlPath, PathError> {
        if path.is_empty() { Err(PathError::Empty) } else { ControlPath::join(path, b"") }
    }

    /// The rule. `control` is `$SOCKEYE_CONTROL` and `runtime_directory` is `$XDG_RUNTIME_DIR`, where they are set;
    /// empty ones count as unset. `user` is the effective user's number.
    pub fn default(
        control: Option<&[u8]>,
        runtime_directory: Option<&[u8]>,
        user: u32,
    ) -> Result<ControlPath, PathError> {
        let set = |value: Option<&'_ [u8]>| value.is_some_and(|value| !value.is_empty());
        match (control, runtime_directory) {
            (Some(path), _) if set(control) => ControlPath::new(path),
            _ if user == 0 => ControlPath::new(b"/run/sockeye/default.sock"),
            (_, Some(directory)) if set(runtime_directory) => ControlPath::join(directory, b"/sockeye/default.sock"),
            _ => Err(PathError::Unset),
        }
    }

    /// The path's bytes, without a final zero.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The path.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.as_bytes()))
    }

    fn join(first: &[u8], second: &[u8]) -> Result<ControlPath, PathError> {
        let mut bytes = [0; Self::MAX];
        let len = first.len().checked_add(second.len()).ok_or(PathError::TooLong)?;
        let whole = bytes.get_mut(..len).ok_or(PathError::TooLong)?;
        for (to, from) in whole.iter_mut().zip(first.iter().chain(second)) {
            if *from == 0 {
                return Err(PathError::Zero);
            }
            *to = *from;
        }
        Ok(ControlPath { bytes, len })
    }
}

impl fmt::Debug for ControlPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_path().fmt(f)
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathError::Unset => {
                f.write_str("no control path: set SOCKEYE_CONTROL or XDG_RUNTIME_DIR, or give --control PATH")
            }
            PathError::TooLong => {
                write!(f, "control path is longer than {} bytes; give a shorter one", ControlPath::MAX)
            }
            PathError::Zero => f.write_str("control path contains a zero byte"),
            PathError::Empty => f.write_str("control path is empty"),
        }
    }
}

impl std::error::Error for PathError {}
