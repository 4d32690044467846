//! Programs on the two hosts: how they are started, and how one knows that they have begun to serve.

use std::fs;
use std::path::{Path, PathBuf};

use sockeye_lab::Command;

use super::{Scene, Side, Subject, sockeye_path};
use crate::process::{Process, require, wait_for};

impl Scene {
    /// A program on one of the two sides. It has no proxy and the C locale.
    pub fn command(&self, side: Side, program: &str) -> Command {
        require(program);
        let mut command = match (side, self.kind) {
            (Side::Peer, _) => self.peer.command(program),
            (Side::Subject, Subject::Kernel) => self.programs.command(program),
            (Side::Subject, Subject::Sockeye) => {
                let mut run = self.programs.command(&sockeye_path());
                run.args(["run", "--control"]).arg(self.control()).arg("--").arg(program);
                run
            }
        };
        for proxy in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        command.env("LC_ALL", "C").current_dir(self.directory.path());
        command
    }

    /// A program on the subject that an ordinary user runs: without privileges, but with all that a file's capabilities can give.
    pub fn command_of_nobody(&self, program: &str) -> Command {
        const NOBODY: u32 = 65534;
        let mut command = self.programs.command("setpriv");
        command.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".to_owned()]);
        if self.kind == Subject::Sockeye {
            // Where everybody may run it, and with a place for what it writes.
            let sockeye = self.file("sockeye");
            self.install(Path::new(&sockeye_path()), &sockeye);
            let own = self.make_directory("nobody");
            std::os::unix::fs::chown(&own, Some(NOBODY), Some(NOBODY)).expect("a directory is given away");
            command.env("SOCKEYE_SHIM_DIR", own.join("shim")).arg(sockeye);
            command.args(["run", "--control"]).arg(self.control()).arg("--");
        }
        command.arg(program).env("LC_ALL", "C").current_dir(self.directory.path());
        command
    }

    /// A script of Python's on one of the two sides, as a file of this name: so what fails is told with its line.
    pub fn script(&self, side: Side, name: &str, text: &str) -> Command {
        let path = self.file(name);
        fs::write(&path, text).expect("a script is written");
        let mut command = self.command(side, python());
        command.arg(path).env("PYTHONUNBUFFERED", "1");
        command
    }

    /// A copy of a program, on the subject: no library can be loaded into one that bears capabilities, and a copy bears none.
    pub fn copy(&self, program: &str) -> Command {
        let places = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].map(|place| Path::new(place).join(program));
        let found = places.iter().find(|path| path.is_file());
        let found = found.unwrap_or_else(|| panic!("the program {program} is missing"));
        let copy = self.file(program);
        self.install(found, &copy);
        self.command(Side::Subject, copy.to_str().expect("the path is text"))
    }

    /// A script that can be run, as a file of this name.
    pub fn executable(&self, name: &str, text: &str) -> PathBuf {
        let (draft, path) = (self.file(&format!("{name}.draft")), self.file(name));
        fs::write(&draft, text).expect("a script is written");
        self.install(&draft, &path);
        path
    }

    /// Copies what is to be run. By another process: a child that another test's thread forks meanwhile would hold the file open for
    /// writing, and nobody could execute it.
    fn install(&self, from: &Path, to: &Path) {
        Process::start(self.peer.command("install").args(["-m", "755"]).args([from, to])).success();
    }

    /// Waits until somebody listens at a TCP port of a side. Nobody is connected to: some servers serve once.
    pub fn listens(&self, side: Side, port: u16) {
        wait_for(&format!("TCP port {port} on the {side:?}"), || self.has_port(side, port, "tcp").then_some(()));
    }

    /// Waits until somebody has bound a UDP port of a side, and hears whoever sends there.
    pub fn is_bound(&self, side: Side, port: u16) {
        wait_for(&format!("UDP port {port} on the {side:?}"), || self.has_port(side, port, "udp").then_some(()));
    }

    fn has_port(&self, side: Side, port: u16, protocol: &str) -> bool {
        if side == Side::Subject && self.kind == Subject::Sockeye {
            return self.sockets().iter().any(|socket| {
                socket.protocol == protocol
                    && socket.local.rsplit(':').next() == Some(&port.to_string())
                    && socket.state.starts_with(if protocol == "udp" { "UNCONN" } else { "LISTEN" })
            });
        }
        let host = if side == Side::Peer { &self.peer } else { &self.subject };
        let tables = host.enter(|| {
            ["", "6"].map(|version| fs::read_to_string(format!("/proc/thread-self/net/{protocol}{version}")))
        });
        // sl local_address rem_address st ...: 0A is TCP_LISTEN, 07 TCP_CLOSE, that of sockets that are not connected; an address is HEX:PORT.
        tables.expect("the namespace can be entered").into_iter().flatten().any(|table| {
            table.lines().skip(1).any(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                words.get(1).is_some_and(|local| local.ends_with(&format!(":{port:04X}")))
                    && words.get(3) == Some(if protocol == "udp" { &"07" } else { &"0A" })
            })
        })
    }
}

/// The system's python3, not one of a version manager's, which is a shell script.
pub fn python() -> &'static str {
    if Path::new("/usr/bin/python3").is_file() { "/usr/bin/python3" } else { "python3" }
}
