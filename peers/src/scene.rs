//! Two hosts on one link: the peer, which is the kernel's, and the subject, which is under test.
//!
//! ```text
//!   peer 10.9.0.1                      subject 10.9.0.2
//!   kernel ── veth0 ═══(wire)═══ veth0 ── kernel, or a node with its programs
//! ```
//!
//! What lies between them is one of several [media](Medium). A node's programs run in a namespace of their own in which there is no network at all, only the way to the node's control
//! socket: nothing they do can reach the peer by the kernel's stack unnoticed.

mod programs;
mod setup;
mod show;

use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sockeye_lab::{Host, Lab, Offloads};

use crate::process::{Finished, Process, wait_for};
use crate::wire::Wire;

pub use programs::python;
pub use setup::{Family, Medium, PEER, SUBJECT, Setup, Side, Subject, subject};
pub use show::Socket;

/// The two hosts and what belongs to them.
#[derive(Debug)]
pub struct Scene {
    kind: Subject,
    family: Family,
    ipv6: bool,
    medium: Medium,
    node: Option<Process>,
    _wire: Option<Wire>,
    _routers: Vec<Host>,
    peer: Host,
    subject: Host,
    programs: Host,
    directory: Directory,
}

impl Scene {
    /// Both hosts on a veth pair with all offloads, and the node ready if there is one.
    pub fn new() -> Scene {
        Scene::with(Setup::default())
    }

    /// The same for a test about this family.
    pub fn of(family: Family) -> Scene {
        Scene::with(Setup { family, ..Setup::default() })
    }

    /// The same on a TAP device.
    pub fn tap(family: Family) -> Scene {
        Scene::with(Setup { medium: Medium::Tap, family, ..Setup::default() })
    }

    /// A scene to order.
    pub fn with(setup: Setup) -> Scene {
        let kind = setup.subject.unwrap_or_else(subject);
        let medium = match (setup.medium, kind) {
            (Medium::Tap, Subject::Kernel) => Medium::Veth,
            (medium, _) => medium,
        };
        let lab = Lab::new().unwrap_or_else(|error| panic!("{error}; `cargo xtask test` does that for you"));
        let Setup { subject: _, medium: _, offloads, mtu, family, ipv6 } = setup;
        let ipv6 = ipv6 || family == Family::V6;
        let mut scene = Scene::assemble(&lab, kind, medium, ipv6).expect("a lab is made");
        (scene.family, scene.ipv6) = (family, ipv6);
        if !matches!(medium, Medium::Tap) {
            scene.settle(offloads, mtu).expect("the interfaces are set");
        }
        if kind == Subject::Sockeye {
            scene.node = Some(scene.start_node());
        }
        if let Medium::Tap = medium {
            // The device is there since the node is.
            scene.peer.address("tap0", "10.9.0.1/24").expect("the TAP takes an address");
            scene.peer.up("tap0").expect("the TAP goes up");
        }
        if scene.ipv6 {
            scene.settle_ipv6().expect("the interfaces take addresses of IPv6");
        }
        scene
    }

    /// The hosts and what lies between them. Where IPv6 is spoken, the kernel's addresses can be used at once, those of the link among
    /// them, which an interface has from its beginning: nobody else is there to have them.
    fn assemble(lab: &Lab, kind: Subject, medium: Medium, ipv6: bool) -> sockeye_lab::Result<Scene> {
        let peer = lab.host("peer")?;
        let subject = if let Medium::Tap = medium { peer.clone() } else { lab.host("subject")? };
        if ipv6 {
            for host in [&peer, &subject] {
                host.sysctl("ipv6/conf/default/accept_dad", "0")?;
            }
        }
        let programs = if kind == Subject::Kernel { subject.clone() } else { lab.host("programs")? };
        let (mut wire, mut routers) = (None, Vec::new());
        match medium {
            Medium::Veth => lab.link(&peer, "veth0", &subject, "veth0")?,
            Medium::Tap => {}
            Medium::Bad(impairments) => {
                wire = Some(Wire::between(lab, &peer, &subject, impairments));
                peer.offloads("veth0", Offloads::None)?;
                subject.offloads("veth0", Offloads::None)?;
            }
            Medium::Narrow(mtu) => {
                let (near_peer, near_subject) = (lab.host("router")?, lab.host("router")?);
                // A router asks for its neighbours by its link-local address, if that is known to be its own.
                for router in [&near_peer, &near_subject] {
                    router.sysctl("ipv6/conf/default/accept_dad", "0")?;
                }
                lab.link(&peer, "veth0", &near_peer, "host")?;
                lab.link(&subject, "veth0", &near_subject, "host")?;
                lab.link(&near_peer, "hop", &near_subject, "hop")?;
                for (router, near, hop, beyond) in [
                    (
                        &near_peer,
                        ["10.9.0.0/31", "fd09::/127"],
                        ["10.9.9.1/24", "fd09:9::1/64"],
                        ["10.9.9.2", "fd09:9::2"],
                    ),
                    (
                        &near_subject,
                        ["10.9.0.3/31", "fd09::3/127"],
                        ["10.9.9.2/24", "fd09:9::2/64"],
                        ["10.9.9.1", "fd09:9::1"],
                    ),
                ] {
                    router.sysctl("ipv4/ip_forward", "1")?;
                    router.sysctl("ipv6/conf/all/forwarding", "1")?;
                    router.mtu("hop", mtu)?;
                    for family in 0..2 {
                        router.address("host", near[family])?;
                        router.address("hop", hop[family])?;
                        router.route("default", address(beyond[family]))?;
                    }
                }
                routers = vec![near_peer, near_subject];
            }
        }
        let directory = Directory::new();
        Ok(Scene {
            kind,
            family: Family::V4,
            ipv6: false,
            medium,
            node: None,
            _wire: wire,
            _routers: routers,
            peer,
            subject,
            programs,
            directory,
        })
    }

    /// Addresses and routes of the hosts, and what their interfaces are to be like.
    fn settle(&self, offloads: Option<Offloads>, mtu: Option<u32>) -> sockeye_lab::Result<()> {
        for host in [&self.peer, &self.subject] {
            if let Some(offloads) = offloads {
                host.offloads("veth0", offloads)?;
            }
            if let Some(mtu) = mtu {
                host.mtu("veth0", mtu)?;
            }
        }
        self.settle_addresses(Family::V4, "veth0")
    }

    /// The kernel's addresses of IPv6. As with IPv4, they outlast a link that goes down.
    fn settle_ipv6(&self) -> sockeye_lab::Result<()> {
        let interface = self.interface();
        for host in self.kernels().into_iter().map(|(host, _)| host) {
            host.sysctl(&format!("ipv6/conf/{interface}/keep_addr_on_down"), "1")?;
        }
        self.settle_addresses(Family::V6, interface)
    }

    fn settle_addresses(&self, family: Family, interface: &str) -> sockeye_lab::Result<()> {
        let (length, gateways) = self.routing(family);
        for (host, side) in self.kernels() {
            host.address(interface, &format!("{}/{length}", side.address_in(family)))?;
            if let Some(gateways) = gateways {
                host.route("default", address(gateways[usize::from(side == Side::Subject)]))?;
            }
        }
        Ok(())
    }

    /// The hosts of the two whose stack is the kernel's.
    fn kernels(&self) -> Vec<(&Host, Side)> {
        let subject = (self.kind == Subject::Kernel).then_some((&self.subject, Side::Subject));
        [(&self.peer, Side::Peer)].into_iter().chain(subject).collect()
    }

    /// The length of the hosts' prefixes, and the gateways of the peer and of the subject.
    fn routing(&self, family: Family) -> (u8, Option<[&'static str; 2]>) {
        match (self.medium, family) {
            (Medium::Narrow(_), Family::V4) => (31, Some(["10.9.0.0", "10.9.0.3"])),
            (Medium::Narrow(_), Family::V6) => (127, Some(["fd09::", "fd09::3"])),
            (_, Family::V4) => (24, None),
            (_, Family::V6) => (64, None),
        }
    }

    /// The family that the test is about.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The family as programs write it: 4 or 6.
    pub fn version(&self) -> &'static str {
        match self.family {
            Family::V4 => "4",
            Family::V6 => "6",
        }
    }

    /// A side's address, of the scene's family.
    pub fn address(&self, side: Side) -> &'static str {
        side.address_in(self.family)
    }

    /// The same as it stands before a port, in a URL or for socat.
    pub fn host(&self, side: Side) -> String {
        match self.family {
            Family::V4 => self.address(side).to_owned(),
            Family::V6 => format!("[{}]", self.address(side)),
        }
    }

    /// The peer's host in the lab.
    pub fn peer(&self) -> &Host {
        &self.peer
    }

    /// The interface that the peer has towards the subject.
    pub fn interface(&self) -> &'static str {
        if let Medium::Tap = self.medium { "tap0" } else { "veth0" }
    }

    /// The subject's hardware address, once the peer has spoken with it.
    pub fn mac_of_subject(&self) -> String {
        let mut ip = self.peer.command("ip");
        let known = Process::start(ip.args(["neigh", "show", self.address(Side::Subject)])).success().text();
        let mut words = known.split_whitespace().skip_while(|&word| word != "lladdr");
        words.nth(1).unwrap_or_else(|| panic!("no hardware address in {known:?}")).to_owned()
    }

    /// The subject's end of the link in the lab.
    pub fn subject_host(&self) -> &Host {
        &self.subject
    }

    /// The node; the tests that need one ask [`subject`] first.
    pub fn node(&self) -> &Process {
        self.node.as_ref().expect("the subject is a node")
    }

    /// The node, to do away with it.
    pub fn take_node(&mut self) -> Process {
        self.node.take().expect("the subject is a node")
    }

    /// Tells the node to end, and waits until it has.
    pub fn stop_node(&mut self) {
        let node = self.take_node();
        self.sockeye(&["down"]).success();
        node.success();
    }

    /// The path of the node's control socket.
    pub fn control(&self) -> PathBuf {
        self.directory.path().join("control")
    }

    /// A path for a file; it goes with the scene.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes a directory of the scene's.
    pub fn make_directory(&self, name: &str) -> PathBuf {
        let path = self.file(name);
        fs::create_dir_all(&path).expect("a directory is made");
        path
    }

    /// The `sockeye` command itself, for this node's control socket: `sockeye VERB... --control PATH`.
    pub fn sockeye(&self, arguments: &[&str]) -> Finished {
        let mut command = self.programs.command(&sockeye_path());
        command.args(arguments).arg("--control").arg(self.control());
        Process::start(&mut command).finish()
    }

    /// Waits until the subject is sure of its addresses: a node uses them while it still asks for them.
    pub fn settles(&self) {
        if self.kind == Subject::Kernel {
            return;
        }
        wait_for("addresses that are nobody else's", || {
            let shown = self.show("addresses");
            let settled = shown.as_array().is_some_and(|rows| rows.iter().all(|row| row["state"] == "preferred"));
            settled.then_some(())
        });
    }

    /// Asserts that the subject is well: it answers a ping of the peer's, serves the peer and is served by it.
    pub fn serves_on(&self) {
        // It may have been busy with what was done to it, and its peer's kernel remembers for a while that it did not answer.
        wait_for("an answer to a ping", || {
            let mut ping = self.command(Side::Peer, "ping");
            let ping = ping.args(["-c1", "-W1", self.address(Side::Subject)]).output().expect("ping runs");
            ping.status.success().then_some(())
        });
        for server in [Side::Peer, Side::Subject] {
            let port = 8901;
            let mut listen = self.command(server, "nc");
            let (serving, mut input) =
                Process::start_with_input(listen.args(["-l", "-N", self.address(server), &port.to_string()]));
            self.listens(server, port);
            std::io::Write::write_all(&mut input, b"HTTP/1.0 200 OK\r\n\r\nwell").expect("nc takes its input");
            drop(input);
            let url = format!("http://{}:{port}/", self.host(server));
            let mut fetch = self.command(server.other(), "curl");
            let fetched = Process::start(fetch.args(["-sS", "--max-time", "40", &url])).success();
            assert_eq!(fetched.text(), "well");
            serving.success();
        }
    }

    /// A node on the scene's interface, ready.
    pub fn start_node(&self) -> Process {
        self.start_node_with(&[])
    }

    /// The scene's node gives way to another one, which has more options; without a node nothing happens.
    pub fn replace_node(&mut self, more: &[&str]) {
        if self.node.is_some() {
            self.stop_node();
            self.node = Some(self.start_node_with(more));
        }
    }

    fn start_node_with(&self, more: &[&str]) -> Process {
        let mut up = self.subject.command(&sockeye_path());
        up.args(["up", "-i", self.interface(), "--dns", self.address(Side::Peer)]);
        up.args(more).arg("--control").arg(self.control());
        for family in [Family::V4, Family::V6].into_iter().take(1 + usize::from(self.ipv6)) {
            let (length, gateways) = self.routing(family);
            up.args(["-a", &format!("{}/{length}", Side::Subject.address_in(family))]);
            if let Some([_, gateway]) = gateways {
                up.args(["-g", gateway]);
            }
        }
        if let Medium::Tap = self.medium {
            up.args(["--driver", "tap"]);
        }
        let mut node = Process::start(&mut up);
        node.line_with("ready");
        node
    }
}

impl Default for Scene {
    fn default() -> Scene {
        Scene::new()
    }
}

/// The command under test: `$SOCKEYE`, or the release build beside this test's own.
pub fn sockeye_path() -> String {
    let path = std::env::var("SOCKEYE").map(PathBuf::from).unwrap_or_else(|_| {
        let test = std::env::current_exe().expect("a test knows its own path");
        // TARGET/PROFILE/deps/TEST, or TARGET/PROFILE/PROGRAM.
        let places = test.ancestors().skip(1).map(|place| place.join("release/sockeye"));
        places.take(3).find(|path| path.is_file()).unwrap_or_else(|| "target/release/sockeye".into())
    });
    assert!(path.is_file(), "{} is missing: build it with `cargo build --release -p sockeye`", path.display());
    path.into_os_string().into_string().expect("the path is text")
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[derive(Debug)]
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let path = loop {
            let name = format!("sockeye-peers-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            match fs::create_dir(&path) {
                // Of a test that was killed, and had the same number.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                made => break made.map(|()| path).expect("a directory is made"),
            }
        };
        fs::write(path.join("common.py"), include_str!("scene/common.py")).expect("a file is written");
        Directory(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
