//! The lab of one subject: two hosts on one wire.
//!
//! ```text
//!   peer 10.9.0.1, core 1                subject 10.9.0.2, core 0
//!   kernel ── veth0 ══════════════ veth0 ── kernel; or a node; or a driver; or a translator
//!                                            └── programs
//! ```
//!
//! Whatever belongs to the subject is pinned to one core: program and node, program and translator. The peer's programs have the
//! other. A veth pair delivers a frame on the core of its sender, so a part of the receiving kernel's work is done on the
//! core of the other side, for every subject alike: the processor time of the whole machine tells what the rate does not.
//! A run may also leave all of it to the scheduler ([`Turn`]).

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sockeye_lab::{Command, Host, Lab, Offloads};

use crate::process::Process;
use crate::subject::Subject;
use crate::{Result, Tools};

/// The peer's address.
pub const PEER: &str = "10.9.0.1";
/// The subject's address, as the peer sees it.
pub const SUBJECT: &str = "10.9.0.2";
/// What slirp4netns calls the host behind it.
const BEHIND_SLIRP: &str = "10.0.2.100";

/// The ports that servers of the workloads use; a translator forwards these.
const PORTS: [u16; 12] = [80, 5201, 6379, 7001, 7002, 7003, 7004, 7005, 7006, 7007, 7008, 7009];

/// How long anything may take to be there.
const PATIENCE: Duration = Duration::from_secs(10);

const SUBJECTS_CORE: usize = 0;
const PEERS_CORE: usize = 1;

/// What is between the two hosts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wire {
    /// Whether frames travel unfinished: without checksums, 64 KiB in one piece.
    pub offloads: bool,
    /// The MTU of both ends.
    pub mtu: u32,
}

impl Wire {
    /// As a veth pair is born.
    pub const OFFLOADS: Wire = Wire { offloads: true, mtu: 1500 };
    /// Each frame is one that a wire could carry.
    pub const BARE: Wire = Wire { offloads: false, mtu: 1500 };
    /// The same with jumbo frames.
    pub const JUMBO: Wire = Wire { offloads: false, mtu: 9000 };

    /// For a title.
    pub fn name(self) -> String {
        format!("offloads {}, MTU {}", if self.offloads { "on" } else { "off" }, self.mtu)
    }
}

/// One of the two sides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// The kernel at the other end.
    Peer,
    /// What is measured.
    Subject,
}

/// How each measurement is made.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Turn {
    /// How long it takes, in seconds.
    pub seconds: f64,
    /// Whether each side has a core to itself.
    #[serde(default = "yes")]
    pub pinned: bool,
}

/// What outcomes mean that do not say.
fn yes() -> bool {
    true
}

/// The two hosts, and what belongs to them.
#[derive(Debug)]
pub struct Scene<'a> {
    /// Who is measured.
    pub subject: Subject,
    /// How long each measurement takes, in seconds.
    pub seconds: f64,
    pinned: bool,
    tools: &'a Tools,
    /// A node or a translator.
    service: Option<Process>,
    peer: Host,
    host: Host,
    programs: Host,
    directory: Directory,
}

impl<'a> Scene<'a> {
    /// Two hosts, ready to run programs.
    pub fn new(tools: &'a Tools, subject: Subject, wire: Wire, turn: Turn) -> Result<Scene<'a>> {
        let lab = Lab::new()?;
        let (peer, host) = (lab.host("peer")?, lab.host("subject")?);
        lab.link(&peer, "veth0", &host, "veth0")?;
        let programs = if subject == Subject::Kernel { host.clone() } else { lab.host("programs")? };
        for host in [&peer, &host] {
            host.offloads("veth0", if wire.offloads { Offloads::All } else { Offloads::None })?;
            host.mtu("veth0", wire.mtu)?;
        }
        for host in [&peer, &host, &programs] {
            // Short connections in great number, and backlogs that do not decide the result.
            host.sysctl("ipv4/ip_local_port_range", "10000 65000")?;
            host.sysctl("core/somaxconn", "65535")?;
            host.sysctl("ipv4/tcp_max_syn_backlog", "65535")?;
        }
        peer.address("veth0", &format!("{PEER}/24"))?;
        if matches!(subject, Subject::Kernel | Subject::Passt | Subject::Slirp4netns) {
            host.address("veth0", &format!("{SUBJECT}/24"))?;
        }
        if subject == Subject::Passt {
            // It takes its own bearings from the default route.
            host.route("default", PEER.parse()?)?;
        }
        let directory = Directory::new()?;
        let Turn { seconds, pinned } = turn;
        let mut scene = Scene { subject, seconds, pinned, tools, service: None, peer, host, programs, directory };
        scene.service = match subject {
            Subject::Sockeye => Some(scene.node()?),
            Subject::Passt => Some(scene.passt()?),
            Subject::Slirp4netns => Some(scene.slirp()?),
            _ => None,
        };
        Ok(scene)
    }

    /// A program on one side, on the side's core.
    pub fn command(&self, side: Side, program: &str) -> Command {
        match side {
            Side::Peer => self.pinned(&self.peer, PEERS_CORE, program),
            Side::Subject => self.on_subject(SUBJECTS_CORE, program),
        }
    }

    fn on_subject(&self, core: usize, program: &str) -> Command {
        if self.subject != Subject::Sockeye {
            return self.pinned(&self.programs, core, program);
        }
        let mut run = self.pinned(&self.programs, core, &self.tools.sockeye);
        run.args(["run", "--control"]).arg(self.file("control")).arg("--").arg(program);
        run
    }

    /// The driver that has the subject linked in, on the subject's interface.
    pub fn driver(&self) -> Result<Command> {
        let mut command = self.engine()?;
        command.args(["-i", "veth0", "-a", &format!("{SUBJECT}/24")]);
        Ok(command)
    }

    /// The same without an interface.
    pub fn engine(&self) -> Result<Command> {
        let path = self.tools.driver(self.subject)?;
        Ok(self.pinned(&self.host, SUBJECTS_CORE, &path.to_string_lossy()))
    }

    /// Our own traffic program on one side.
    pub fn traffic(&self, side: Side) -> Command {
        self.command(side, &self.tools.traffic)
    }

    /// Our own traffic program as a second one on the subject, on the other core.
    pub fn neighbour_traffic(&self) -> Command {
        self.on_subject(PEERS_CORE, &self.tools.traffic)
    }

    /// Our own traffic program as a client on the subject, or the driver that understands the same.
    pub fn client(&self) -> Result<Command> {
        if self.subject.takes_programs() { Ok(self.traffic(Side::Subject)) } else { self.driver() }
    }

    /// The far end of all traffic, on one side.
    pub fn traffic_server(&self, side: Side) -> Result<Process> {
        let mut command = self.traffic(side);
        Process::start(command.args(["serve", self.own_address(side)]))?.ready("ready")
    }

    /// The address at which a side is reached by the other.
    pub fn address(&self, side: Side) -> &'static str {
        if side == Side::Peer { PEER } else { SUBJECT }
    }

    /// The address that a program on this side binds.
    pub fn own_address(&self, side: Side) -> &'static str {
        match (side, self.subject) {
            (Side::Subject, Subject::Slirp4netns) => BEHIND_SLIRP,
            _ => self.address(side),
        }
    }

    /// Waits until a server on the subject accepts connections of the peer.
    pub fn serves(&self, port: u16) -> Result<()> {
        let address = SocketAddr::new(SUBJECT.parse()?, port);
        let end = Instant::now() + PATIENCE;
        loop {
            match self.peer.enter(|| TcpStream::connect_timeout(&address, Duration::from_secs(1)))? {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > end => return Err(format!("nobody serves at {address}: {error}").into()),
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// The process of the node or the translator.
    pub fn service(&self) -> Option<u32> {
        self.service.as_ref().map(Process::id)
    }

    /// A path for a file; it goes with the scene.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.0.join(name)
    }

    /// How long to wait for a program that takes as long as a measurement.
    pub fn patience(&self) -> Duration {
        Duration::from_secs_f64(self.seconds * 4.0 + 20.0)
    }

    fn node(&self) -> Result<Process> {
        let mut up = self.pinned(&self.host, SUBJECTS_CORE, &self.tools.sockeye);
        up.args(["up", "-i", "veth0", "-a", &format!("{SUBJECT}/24"), "--control"]).arg(self.file("control"));
        Process::start(&mut up)?.ready("ready")
    }

    fn passt(&self) -> Result<Process> {
        let ports = PORTS.map(|port| port.to_string()).join(",");
        let mut pasta = self.pinned(&self.host, SUBJECTS_CORE, "pasta");
        pasta.args(["--foreground", "--config-net", "--no-map-gw", "--runas", "0", "-t", &ports, "-u", "5201,7005"]);
        pasta.args(["-a", SUBJECT, "-n", "24", "-g", PEER, "-i", "veth0", "--netns-only"]);
        // It gives up its rights first and then opens the namespace: it may open only what it holds already.
        let namespace = self.programs.namespace().as_fd().try_clone_to_owned()?;
        let mut pasta = Process::start_with_input(pasta.args(["--netns", "/proc/self/fd/0"]), namespace.into())?;
        self.has_interface("veth0", &mut pasta)?;
        Ok(pasta)
    }

    fn slirp(&self) -> Result<Process> {
        let mut slirp = self.pinned(&self.host, SUBJECTS_CORE, "slirp4netns");
        slirp.args(["--configure", "--mtu=65520", "--netns-type=path", "--api-socket"]).arg(self.file("slirp"));
        let mut slirp = Process::start(slirp.args([&self.programs_path(), "tap0"]))?;
        self.has_interface("tap0", &mut slirp)?;
        for (protocol, ports) in [("tcp", &PORTS[..]), ("udp", &[7005])] {
            for port in ports {
                self.forward(protocol, *port)?;
            }
        }
        Ok(slirp)
    }

    /// Has slirp4netns forward a port. Its own socket may not be there yet.
    fn forward(&self, protocol: &str, port: u16) -> Result<()> {
        let from = format!(r#""proto":"{protocol}","host_addr":"0.0.0.0","host_port":{port}"#);
        let to = format!(r#""guest_addr":"{BEHIND_SLIRP}","guest_port":{port}"#);
        let order = format!(r#"{{"execute":"add_hostfwd","arguments":{{{from},{to}}}}}"#);
        let give = || -> std::io::Result<String> {
            let mut stream = UnixStream::connect(self.file("slirp"))?;
            stream.write_all(order.as_bytes())?;
            stream.shutdown(std::net::Shutdown::Write)?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let end = Instant::now() + PATIENCE;
        loop {
            match give() {
                Ok(answer) if answer.contains("return") => return Ok(()),
                Ok(answer) => return Err(format!("slirp4netns does not forward port {port}: {answer}").into()),
                Err(error) if Instant::now() > end => {
                    return Err(format!("slirp4netns does not answer: {error}").into());
                }
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// A path that leads to the namespace of the programs.
    fn programs_path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.programs.namespace().as_fd().as_raw_fd())
    }

    /// Waits until a translator has made its interface and a route over it.
    fn has_interface(&self, name: &str, translator: &mut Process) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let routes = self.programs.enter(|| fs::read_to_string("/proc/thread-self/net/route"))??;
            if routes.lines().any(|line| line.starts_with(name)) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(translator.last_words().into())
    }

    fn pinned(&self, host: &Host, core: usize, program: &str) -> Command {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut command = host.command("taskset");
        let place = if self.pinned { core.min(cores - 1).to_string() } else { format!("0-{}", cores - 1) };
        command.args(["-c", &place, program]).env("LC_ALL", "C").current_dir(&self.directory.0);
        command
    }
}

/// A directory that goes when this does.
#[derive(Debug)]
struct Directory(PathBuf);

impl Directory {
    fn new() -> Result<Directory> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("sockeye-bench-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).map_err(|error| format!("cannot make {}: {error}", path.display()))?;
        Ok(Directory(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A file that stays behind in the temporary directory is no reason to fail.
        let _ = fs::remove_dir_all(Path::new(&self.0));
    }
}
