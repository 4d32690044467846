//! Two network namespaces with a veth pair between them, and what tests do in them. All is gone on drop.

#![allow(dead_code, reason = "each test file takes what it needs")]

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use sockeye_device::{Device, RxBatch, RxFrame, link::LinkQuery};
use sockeye_lab::Host;
use sockeye_wire::MacAddr;

/// Longer than anything takes that does not hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// A network namespace.
pub(crate) struct Namespace(Host);

impl Namespace {
    pub(crate) fn new() -> Namespace {
        let lab = sockeye_lab::Lab::new().unwrap_or_else(|error| {
            panic!("{error}; run this test as root, or in `unshare --user --map-root-user --net --mount`")
        });
        let host = lab.host("test").expect("a namespace is made");
        // No neighbour discovery, so that counters are exact.
        for which in ["all", "default"] {
            let disable = format!("ipv6/conf/{which}/disable_ipv6");
            if std::path::Path::new("/proc/sys/net").join(&disable).exists() {
                host.sysctl(&disable, "1").expect("writes as root");
            }
        }
        Namespace(host)
    }

    /// Does something in the namespace, on a thread of its own.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.0.enter(work).expect("can be entered")
    }

    /// Runs a command in it.
    pub(crate) fn run(&self, command: &str) {
        let mut words = command.split_whitespace();
        let program = words.next().expect("a program");
        let output = self.0.command(program).args(words).output().unwrap_or_else(|error| panic!("{program}: {error}"));
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn mac(&self, interface: &str) -> MacAddr {
        self.enter(|| LinkQuery::open().expect("opens").by_name(interface).expect("is there").mac.expect("is Ethernet"))
    }
}

/// Ours, with interface `veth0`; and the kernel's, with `veth1`, which has 10.9.0.1/24.
pub(crate) struct Lab {
    pub(crate) ours: Namespace,
    pub(crate) kernel: Namespace,
}

impl Lab {
    pub(crate) fn new(offloads: bool) -> Lab {
        let lab = Lab { ours: Namespace::new(), kernel: Namespace::new() };
        let links = sockeye_lab::Lab::new().expect("there is one already");
        links.link(&lab.ours.0, "veth0", &lab.kernel.0, "veth1").expect("a link is made");
        if !offloads {
            lab.ours.run("ethtool -K veth0 tx off rx off tso off gso off gro off");
            lab.kernel.run("ethtool -K veth1 tx off rx off tso off gso off gro off");
        }
        lab.kernel.run("ip addr add 10.9.0.1/24 dev veth1");
        lab
    }
}

/// Waits for an event on a descriptor; hangs are failures.
pub(crate) fn wait(fd: &impl AsFd, flags: PollFlags) {
    let timeout = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    let count = rustix::event::poll(&mut [PollFd::new(fd, flags)], Some(&timeout)).expect("polls");
    assert_ne!(count, 0, "nothing happened for {PATIENCE:?}");
}

/// What is there now, or the first that comes.
pub(crate) fn receive(device: &mut dyn Device) -> Vec<RxFrame> {
    let mut batch = RxBatch::new(40);
    loop {
        if device.receive(&mut batch).expect("receives") > 0 {
            return batch.frames_mut().iter_mut().map(std::mem::take).collect();
        }
        wait(&device.as_fd().expect("has a descriptor"), PollFlags::IN);
    }
}

/// Frames from now on until one that `wanted` accepts, which is the last.
pub(crate) fn receive_until(device: &mut dyn Device, mut wanted: impl FnMut(&RxFrame) -> bool) -> Vec<RxFrame> {
    let mut frames = Vec::new();
    loop {
        for frame in receive(device) {
            let last = wanted(&frame);
            frames.push(frame);
            if last {
                return frames;
            }
        }
    }
}
