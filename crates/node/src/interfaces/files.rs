//! Which path is which file, and the descriptor that stands for it.
//!
//! A program that opens `/proc/net/route` is given a file in memory, sealed and open for reading only. The text is that of
//! the moment of opening: who wants to know more opens it again, as all do.
//!
//! What the node does not serve is the kernel's where it says nothing about a network (`unix`, `netlink`, `rpc`), and
//! otherwise not there: the kernel's connections and routes are not those of this world.
//!
//! Of `/sys` a real directory is kept. Programs look at it often, and walk through it: so its files are written anew at most every [`FRESH`], and not at
//! all for who only looks. A file that is opened by its whole path is made when it is opened, as all others.
//!
//! A descriptor of a directory leads to whatever lies above it. So it is given only to programs that have the node's own
//! root directory: who was locked into another is not let out.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, SealFlags};
use sockeye_device::Instant;
use sockeye_socket::Errno;

use super::{Interface, flow_labels, interfaces, proc_net, rtnetlink, settings, snmp, sockets, sysfs};
use crate::node::Node;
use crate::requests::Refusal;

/// How old the files of the tree may be.
const FRESH: Duration = Duration::from_millis(100);

/// The node's tree of interfaces, from when somebody asks for it.
#[derive(Debug)]
pub(crate) struct Files {
    root: PathBuf,
    tree: Option<sysfs::Tree>,
    /// When its files were last written.
    written: Instant,
}

impl Files {
    /// Beside the control socket.
    pub(crate) fn new(control: &Path) -> Files {
        let mut root = control.as_os_str().to_owned();
        root.push(".sys");
        Files { root: root.into(), tree: None, written: Instant::ZERO }
    }

    /// The tree; only to be looked at, it may be as old as it is.
    fn tree(
        &mut self,
        now: Instant,
        look: bool,
        all: impl FnOnce() -> Vec<Interface>,
    ) -> std::io::Result<&sysfs::Tree> {
        let (mut tree, is_new) = match self.tree.take() {
            Some(tree) => (tree, false),
            None => (sysfs::Tree::new(&self.root)?, true),
        };
        if is_new || (!look && now.since(self.written) >= FRESH) {
            tree.refresh(&all())?;
            self.written = now;
        }
        Ok(self.tree.insert(tree))
    }
}

/// What a path means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning<'a> {
    /// In `/proc/net`.
    Net(&'a str),
    /// In `/proc/sys/net`.
    Setting(&'a str),
    /// In `/sys`, from there on.
    Sys(&'a str),
}

/// `/proc/net`, `/proc/self/net` and `/proc/PID/net` are one (the shim says whose PID is its own); so are both ways to an interface in `/sys`.
fn meaning(path: &str) -> Option<Meaning<'_>> {
    let clean = |path: &str| !path.split('/').any(|part| matches!(part, "" | "." | ".."));
    if let Some(path) = path.strip_prefix("/sys/") {
        let known =
            |within: &str| path.strip_prefix(within).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        return (clean(path) && (known("class/net") || known("devices/virtual/net"))).then_some(Meaning::Sys(path));
    }
    let path = path.strip_prefix("/proc/")?;
    if let Some(name) = path.strip_prefix("sys/net/") {
        return Some(Meaning::Setting(name));
    }
    let whose = path.split('/').next()?;
    let own = matches!(whose, "self" | "thread-self") || whose.bytes().all(|byte| byte.is_ascii_digit());
    let path = if own { path.strip_prefix(whose)?.strip_prefix('/')? } else { path };
    let name = path.strip_prefix("net/")?;
    clean(name).then_some(Meaning::Net(name))
}

/// Opens what stands for the node at a path.
pub(crate) fn open(node: &mut Node, pid: i32, path: &str, look: bool, link: bool) -> Result<OwnedFd, Refusal> {
    let Node { now, host, ports, files, .. } = node;
    let all = || interfaces(*now, host.stack(), ports);
    match meaning(path) {
        Some(Meaning::Net(name)) => {
            let all = all();
            in_memory(name, net(node, &all, name)?.as_bytes()).map_err(failed(path))
        }
        Some(Meaning::Setting(name)) => {
            let text = settings::setting(node.host.stack(), name).ok_or(Errno::EOPNOTSUPP)?;
            in_memory(name, text.as_bytes()).map_err(failed(path))
        }
        Some(Meaning::Sys(path)) => match if look { None } else { sysfs::attribute(&all(), path) } {
            Some(text) => in_memory(path, text?.as_bytes()).map_err(failed(path)),
            None => {
                let tree = files.tree(*now, look, all).map_err(failed(path))?;
                open_in(tree, pid, path, look, link)
            }
        },
        None => Err(Errno::EOPNOTSUPP.into()),
    }
}

/// The node's interfaces and their addresses, as rtnetlink tells them.
pub(crate) fn dump(node: &Node) -> Result<OwnedFd, Refusal> {
    let messages = rtnetlink::file(&interfaces(node.now, node.host.stack(), &node.ports));
    in_memory("interfaces", &messages).map_err(failed("interfaces"))
}

/// A file of `/proc/net`.
fn net(node: &Node, all: &[Interface], name: &str) -> Result<String, Errno> {
    let stack = node.host.stack();
    let routes = || stack.routes().copied().collect::<Vec<_>>();
    Ok(match name {
        "dev" => proc_net::dev(all),
        "route" => proc_net::route(all, &routes()),
        "ipv6_route" => proc_net::ipv6_route(all, &routes()),
        "if_inet6" => proc_net::if_inet6(all),
        "arp" => proc_net::arp(all, stack.neighbors()),
        "igmp" => proc_net::igmp(all),
        "igmp6" => proc_net::igmp6(all),
        "mcfilter" => proc_net::mcfilter(all, false),
        "mcfilter6" => proc_net::mcfilter(all, true),
        "anycast6" => proc_net::anycast6(all),
        "ip6_flowlabel" => flow_labels::ip6_flowlabel(node.now, &stack.flow_leases()),
        "dev_mcast" => proc_net::dev_mcast(all),
        "tcp" => sockets::tcp(node, false),
        "tcp6" => sockets::tcp(node, true),
        "udp" => sockets::udp(node, false, false),
        "udp6" => sockets::udp(node, true, false),
        "raw" => sockets::raw(node, false, false),
        "raw6" => sockets::raw(node, true, false),
        "icmp" => sockets::raw(node, false, true),
        "icmp6" => sockets::raw(node, true, true),
        "udplite" => sockets::udp(node, false, true),
        "udplite6" => sockets::udp(node, true, true),
        "packet" => sockets::packet(node),
        "snmp" => snmp::snmp(node),
        "snmp6" => snmp::snmp6(node),
        "netstat" => snmp::netstat(node),
        "sockstat" => snmp::sockstat(node, false),
        "sockstat6" => snmp::sockstat(node, true),
        // Nothing of a network's.
        "unix" | "netlink" | "psched" | "protocols" | "ptype" | "softnet_stat" | "wireless" => {
            return Err(Errno::EOPNOTSUPP);
        }
        _ if name.starts_with("rpc/") => return Err(Errno::EOPNOTSUPP),
        _ => return Err(Errno::ENOENT),
    })
}

/// A file that nobody can change.
fn in_memory(name: &str, contents: &[u8]) -> std::io::Result<OwnedFd> {
    let file = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = std::fs::File::from(file);
    file.write_all(contents)?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(0o444))?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    // Opened once more: for reading only, at the start, and shared with nobody.
    let path = format!("/proc/thread-self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    Ok(rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Opens a file or a directory of the tree.
fn open_in(tree: &sysfs::Tree, pid: i32, path: &str, look: bool, link: bool) -> Result<OwnedFd, Refusal> {
    let how = if look { OFlags::PATH } else { OFlags::RDONLY };
    let end = if link { OFlags::NOFOLLOW } else { OFlags::empty() };
    let opened = rustix::fs::openat(CWD, tree.path(path), how | end | OFlags::CLOEXEC, Mode::empty());
    let opened = opened.map_err(|errno| failed(path)(errno.into()))?;
    let kind = rustix::fs::fstat(&opened).map(|status| rustix::fs::FileType::from_raw_mode(status.st_mode));
    if kind != Ok(rustix::fs::FileType::Directory) || has_our_root(pid) {
        return Ok(opened);
    }
    let reason = format!("/sys/{path} is not for a program that has another root directory");
    Err(Refusal { errno: Errno::EACCES, reason })
}

/// Whether a process sees the file system from where the node does.
fn has_our_root(pid: i32) -> bool {
    let root = |path: &str| rustix::fs::stat(path).map(|status| (status.st_dev, status.st_ino)).ok();
    root(&format!("/proc/{pid}/root/.")).is_some_and(|theirs| Some(theirs) == root("/"))
}

fn failed(path: &str) -> impl Fn(std::io::Error) -> Refusal {
    move |error| {
        let errno = error.raw_os_error().and_then(Errno::from_raw).unwrap_or(Errno::EIO);
        Refusal { errno, reason: format!("{path}: {error}") }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_path_means_one_thing_whatever_way_it_takes() {
        for path in ["/proc/net/dev", "/proc/self/net/dev", "/proc/thread-self/net/dev", "/proc/4711/net/dev"] {
            assert_eq!(meaning(path), Some(Meaning::Net("dev")), "{path}");
        }
        assert_eq!(meaning("/sys/class/net"), Some(Meaning::Sys("class/net")));
        assert_eq!(meaning("/proc/sys/net/core/somaxconn"), Some(Meaning::Setting("core/somaxconn")));
        let path = "/sys/devices/virtual/net/lo/mtu";
        assert_eq!(meaning(path), Some(Meaning::Sys("devices/virtual/net/lo/mtu")));
        for other in [
            "/proc/net",
            "/proc/net/",
            "/proc/self/status",
            "/proc/x1/net/dev",
            "/proc/net/../kcore",
            "/sys/class/netx",
            "/sys/class/net/../../kernel",
            "/sys/class/net/lo//mtu",
            "proc/net/dev",
            "",
        ] {
            assert_eq!(meaning(other), None, "{other}");
        }
    }

    #[test]
    fn a_file_in_memory_is_for_reading_only_and_from_its_start() {
        let mut file = std::fs::File::from(in_memory("dev", b"a line\n").expect("made"));
        let mut text = String::new();
        file.read_to_string(&mut text).expect("read");
        assert_eq!(text, "a line\n");
        assert_eq!(file.write_all(b"x").expect_err("read-only").raw_os_error(), Some(9));
        assert!(file.set_len(0).is_err());
    }

    #[test]
    fn the_tree_is_written_once_in_a_while_and_not_for_who_only_looks() {
        let host = super::super::tests::host();
        let control = std::env::temp_dir().join(format!("sockeye-files-{}", std::process::id()));
        let mut files = Files::new(&control);
        let rx_bytes = |files: &mut Files, milliseconds, look, bytes| {
            let all = || {
                let mut all = interfaces(Instant::ZERO, &host, &crate::ports::Ports::default());
                all[1].statistics.rx_bytes = bytes;
                all
            };
            let tree = files.tree(Instant::from_millis(milliseconds), look, all).expect("a tree");
            let path = tree.path("class/net/eth0/statistics/rx_bytes");
            std::fs::read_to_string(path).expect("a file").trim().parse::<u64>().expect("a number")
        };
        // What is looked at must be there.
        assert_eq!(rx_bytes(&mut files, 1_000, true, 1), 1);
        assert_eq!(rx_bytes(&mut files, 1_099, false, 2), 1);
        assert_eq!(rx_bytes(&mut files, 1_100, false, 3), 3);
        assert_eq!(rx_bytes(&mut files, 9_000, true, 4), 3);
        assert_eq!(rx_bytes(&mut files, 9_000, false, 5), 5);
    }

    #[test]
    fn our_own_root_is_ours() {
        assert!(has_our_root(rustix::process::getpid().as_raw_nonzero().get()));
        assert!(!has_our_root(i32::MAX));
    }
}
