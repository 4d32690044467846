//! The command's side of the control socket.
//!
//! A message is a request, and the reply is a message (several for `show` and `trace`); see `sockeye-control`. A node
//! that does not answer within [`PATIENCE`] is reported rather than waited for: nothing here hangs.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use sockeye_control::{ControlPath, MAX_CALL, MAX_MESSAGE, Reply, Request, What};

use crate::failure::Failure;
use crate::patience::readable_until;

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where the node is: as the options say, or by the rule.
pub(crate) fn path(given: Option<&Path>) -> Result<PathBuf, Failure> {
    use std::os::unix::ffi::OsStrExt;
    let found = match given {
        Some(path) => ControlPath::new(path.as_os_str().as_bytes()),
        None => {
            let control = std::env::var_os(ControlPath::VARIABLE);
            let runtime = std::env::var_os("XDG_RUNTIME_DIR");
            let user = rustix::process::geteuid().as_raw();
            ControlPath::default(
                control.as_deref().map(OsStrExt::as_bytes),
                runtime.as_deref().map(OsStrExt::as_bytes),
                user,
            )
        }
    };
    found.map(|path| path.as_path().to_owned()).map_err(|error| Failure::usage(error.to_string()))
}

/// A connection to a node.
pub(crate) struct Client {
    socket: OwnedFd,
    path: PathBuf,
    /// The answer in text has ended.
    finished: bool,
}

impl Client {
    /// Connects to the node at `path`.
    pub(crate) fn connect(path: &Path) -> Result<Client, Failure> {
        let socket = dial(path).map_err(|error| {
            let mend = match error.kind() {
                io::ErrorKind::PermissionDenied => "use the user that started it, or root",
                _ => "start one with `sockeye up -i IFACE -a ADDR/LEN`, or name another with --control PATH",
            };
            Failure::new(format!("no node answers at {} ({error}); {mend}", path.display()))
        })?;
        Ok(Client { socket, path: path.to_owned(), finished: false })
    }

    /// What the node prints of a table.
    pub(crate) fn show(&mut self, what: What, json: bool) -> Result<String, Failure> {
        self.send(&Request::Show { what, json })?;
        self.finished = false;
        let mut whole = String::new();
        while let Some(piece) = self.text()? {
            whole.push_str(&piece);
        }
        Ok(whole)
    }

    /// Asks for the trace; pieces of it come by [`Client::text`] from then on.
    pub(crate) fn trace(&mut self) -> Result<(), Failure> {
        self.finished = false;
        self.send(&Request::Trace)
    }

    /// Is there something to receive, or will there be soon?
    pub(crate) fn has_more(&self, patience: Duration) -> bool {
        readable_until(&self.socket, Instant::now() + patience)
    }

    /// Tells the node to stop, and waits until it has.
    pub(crate) fn down(&mut self) -> Result<(), Failure> {
        self.send(&Request::Down)?;
        let mut buffer = [0; MAX_CALL];
        match self.receive(&mut buffer)? {
            Some(Reply::Done) | None => {}
            Some(Reply::Error { reason, .. }) => return Err(self.refused(reason)),
            Some(_) => return Err(self.strange()),
        }
        // The node closes its end when it has left.
        loop {
            match rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::empty()) {
                Ok((_, 0)) | Err(rustix::io::Errno::CONNRESET) => return Ok(()),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(self.failed(&error.into())),
            }
        }
    }

    /// The next piece of an answer in text; none after the last, or where the node has left.
    pub(crate) fn text(&mut self) -> Result<Option<String>, Failure> {
        if self.finished {
            return Ok(None);
        }
        let mut buffer = vec![0; MAX_MESSAGE];
        match self.receive(&mut buffer)? {
            Some(Reply::Text { last, text }) => {
                self.finished = last;
                Ok(Some(text.to_owned()))
            }
            None => Ok(None),
            Some(Reply::Error { reason, .. }) => Err(self.refused(reason)),
            Some(_) => Err(self.strange()),
        }
    }

    fn send(&self, request: &Request<'_>) -> Result<(), Failure> {
        let mut buffer = [0; MAX_CALL];
        let len = request.encode(&mut buffer).map_err(|error| Failure::new(format!("cannot ask the node: {error}")))?;
        match rustix::net::send(&self.socket, &buffer[..len], SendFlags::NOSIGNAL) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.failed(&error.into())),
        }
    }

    fn receive<'a>(&self, buffer: &'a mut [u8]) -> Result<Option<Reply<'a>>, Failure> {
        let len = loop {
            match rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::empty()) {
                Ok((_, 0)) | Err(rustix::io::Errno::CONNRESET) => return Ok(None),
                Ok((len, _)) => break len,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(self.failed(&error.into())),
            }
        };
        match Reply::decode(&buffer[..len]) {
            Ok(reply) => Ok(Some(reply)),
            Err(error) => {
                let node = self.path.display();
                Err(Failure::new(format!(
                    "the node at {node} answers in another tongue ({error}); update the older side"
                )))
            }
        }
    }

    fn refused(&self, reason: &str) -> Failure {
        Failure::new(format!("the node at {} refuses: {reason}", self.path.display()))
    }

    fn strange(&self) -> Failure {
        Failure::new(format!(
            "the node at {} gives an answer to another question; update the older side",
            self.path.display()
        ))
    }

    fn failed(&self, error: &io::Error) -> Failure {
        let what = match error.kind() {
            io::ErrorKind::WouldBlock => format!("does not answer within {} s", PATIENCE.as_secs()),
            _ => format!("does not answer ({error})"),
        };
        Failure::new(format!("the node at {} {what}; see whether it runs", self.path.display()))
    }
}

fn dial(path: &Path) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}
