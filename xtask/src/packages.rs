//! The programs that the tests and the measurements need, and the Debian packages that have them: the one list of them.

use std::path::Path;
use std::process::Command;

/// Program, package.
type Program = (&'static str, &'static str);

/// What the tests run.
pub(crate) const TEST: &[Program] = &[
    ("arp-scan", "arp-scan"),
    ("arping", "iputils-arping"),
    ("busybox", "busybox"),
    ("cc", "gcc"),
    ("curl", "curl"),
    ("dhclient", "isc-dhcp-client"),
    ("dnsmasq", "dnsmasq-base"),
    ("ethtool", "ethtool"),
    ("fping", "fping"),
    ("hping3", "hping3"),
    ("ifconfig", "net-tools"),
    ("iperf3", "iperf3"),
    ("mtr", "mtr-tiny"),
    ("nc", "netcat-openbsd"),
    ("ndisc6", "ndisc6"),
    ("netsniff-ng", "netsniff-ng"),
    ("nginx", "nginx"),
    ("nmap", "nmap"),
    ("ping", "iputils-ping"),
    ("python3", "python3"),
    ("radvd", "radvd"),
    ("rdisc6", "ndisc6"),
    ("rdnssd", "rdnssd"),
    ("redis-benchmark", "redis-tools"),
    ("redis-server", "redis-server"),
    ("rsync", "rsync"),
    ("socat", "socat"),
    ("setpriv", "util-linux"),
    ("ss", "iproute2"),
    ("ssh", "openssh-client"),
    ("sshd", "openssh-server"),
    ("tcpdump", "tcpdump"),
    ("tracepath", "iputils-tracepath"),
    ("traceroute", "traceroute"),
    ("trafgen", "netsniff-ng"),
    ("tshark", "tshark"),
    ("wget", "wget"),
    ("xargs", "findutils"),
    ("/usr/lib/python3.11/test/test_socket.py", "libpython3.11-testsuite"),
    ("/usr/lib/python3/dist-packages/cryptography/__init__.py", "python3-cryptography"),
    ("/usr/lib/python3/dist-packages/psutil/__init__.py", "python3-psutil"),
    ("/usr/lib/python3/dist-packages/scapy/__init__.py", "python3-scapy"),
];

/// What the measurements run, and what drivers are built from, by a file of it.
pub(crate) const BENCH: &[Program] = &[
    ("cc", "gcc"),
    ("go", "golang-go"),
    ("iperf3", "iperf3"),
    ("nginx", "nginx"),
    ("pasta", "passt"),
    ("redis-benchmark", "redis-tools"),
    ("redis-server", "redis-server"),
    ("slirp4netns", "slirp4netns"),
    ("taskset", "util-linux"),
    ("wrk", "wrk"),
    ("/usr/include/lwip/lwip/init.h", "liblwip-dev"),
    ("/usr/share/gocode/src/gvisor.dev/gvisor/pkg/tcpip/tcpip.go", "golang-gvisor-gvisor-dev"),
];

/// Sees to it that all programs are there. Says what is missing, and what to do, if they are not.
pub(crate) fn ensure(programs: &[Program]) -> Result<(), String> {
    let missing = missing(programs);
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !rustix::process::geteuid().is_root() {
        return Err(format!("missing packages: run `sudo apt-get install {list}`"));
    }
    println!("installing {list}");
    apt(&["update"])?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(&missing);
    apt(&arguments)?;
    match self::missing(programs) {
        still if still.is_empty() => Ok(()),
        still => Err(format!("still missing after their installation: {}", still.join(" "))),
    }
}

fn missing(programs: &[Program]) -> Vec<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<_> = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).collect();
    let is_there = |program: &str| directories.iter().any(|directory| Path::new(directory).join(program).is_file());
    programs.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect()
}

fn apt(arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new("apt-get");
    // Debian's packages start the servers they bring, and ask questions, unless told not to.
    command.args(["-qq", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=5"]).args(arguments);
    command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("apt-get {}: {status}", arguments.join(" "))),
        Err(error) => Err(format!("cannot run apt-get ({error}); install by hand: {}", arguments.join(" "))),
    }
}
