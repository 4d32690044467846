//! The programs that the demo runs: those of the machine, or the built-in ones.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::failure::Failure;
use crate::patience::ends_within;
use crate::{program, run};

/// How long a program may take to tell its version.
const PATIENCE: Duration = Duration::from_secs(10);

/// The port that the demo's servers use.
pub(crate) const PORT: u16 = 8000;

/// What fetches and what serves.
#[derive(Debug)]
pub(crate) struct Programs {
    curl: Option<PathBuf>,
    python: Option<PathBuf>,
    own: PathBuf,
}

impl Programs {
    /// Looks what the machine has, and whether it works and can be reached.
    pub(crate) fn find() -> Result<Programs, Failure> {
        let curl = program::find(OsStr::new("curl")).ok().map(|found| found.path);
        let curl = curl.filter(|path| output(path, &["--version"]).is_some());
        // What is called python3 may be a script that finds the real one, or start slowly; ask for the real one.
        let python = output(Path::new("python3"), &["-c", "import sys, http.server; print(sys.executable)"])
            .map(|path| PathBuf::from(path.trim()))
            .filter(|path| path.is_absolute() && program::find(path.as_os_str()).is_ok());
        Ok(Programs { curl, python, own: run::myself()? })
    }

    /// What fetches, for people.
    pub(crate) fn client(&self) -> &'static str {
        if self.curl.is_some() { "curl" } else { "built-in client" }
    }

    /// What serves, for people.
    pub(crate) fn server(&self) -> &'static str {
        if self.python.is_some() { "python3" } else { "built-in server" }
    }

    /// Fetches `url` into `output`, and prints how many seconds it took.
    pub(crate) fn fetch(&self, url: &str, output: &Path) -> Vec<OsString> {
        let Some(curl) = &self.curl else {
            return vec![self.own.clone().into(), "demo-fetch".into(), url.into(), output.into()];
        };
        let mut words: Vec<OsString> = vec![curl.clone().into()];
        // Nobody's settings: no .curlrc, no proxy.
        words.extend(["-q", "--noproxy", "*", "-sS", "-f", "-w", "%{time_total}", "-o"].map(OsString::from));
        words.extend([output.into(), url.into()]);
        words
    }

    /// Serves the files of `directory` at an address, and says "Serving" when it does.
    pub(crate) fn serve(&self, at: SocketAddr, directory: &Path) -> Vec<OsString> {
        let Some(python) = &self.python else {
            return vec![self.own.clone().into(), "demo-serve".into(), at.to_string().into(), directory.into()];
        };
        let (address, port) = (at.ip().to_string(), at.port().to_string());
        let mut words: Vec<OsString> = vec![python.clone().into()];
        words.extend(["-u", "-m", "http.server", &port, "--bind", &address, "--directory"].map(OsString::from));
        words.push(directory.into());
        words
    }
}

/// What a program prints, where it works.
fn output(program: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    if !ends_within(&child, PATIENCE) {
        let _ = child.kill();
    }
    let output = child.wait_with_output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
