//! Two network namespaces with a veth pair between them, and what tests do in them. All is gone on drop.

#![allow(dead_code, reason = "each test file takes what it needs")]

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::thread::LinkNameSpaceType;
use sockeye_device::{Device, RxBatch, RxFrame, link::LinkQuery};
use sockeye_wire::MacAddr;

/// Longer than anything takes that does not hang.
const PATIENCE: Duration = Duration::from_secs(20);

/// A network namespace.
pub(crate) struct Namespace {
    pub(crate) name: String,
}

impl Namespace {
    pub(crate) fn new() -> Namespace {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test makes network namespaces and needs root: run it as root, or in `unshare --user --map-root-user --net --mount`"
        );
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("sky-dev-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        run(&format!("ip netns add {name}"));
        let namespace = Namespace { name };
        namespace.enter(|| {
            // No neighbour discovery, so that counters are exact.
            for which in ["all", "default"] {
                let path = format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6");
                if std::path::Path::new(&path).exists() {
                    std::fs::write(path, "1").expect("writes as root");
                }
            }
        });
        namespace
    }

    /// Does something in the namespace, on a thread of its own.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.name)).expect("the namespace is there");
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("moves as root");
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs a command in it.
    pub(crate) fn run(&self, command: &str) {
        run(&format!("ip netns exec {} {command}", self.name));
    }

    pub(crate) fn mac(&self, interface: &str) -> MacAddr {
        self.enter(|| LinkQuery::open().expect("opens").by_name(interface).expect("is there").mac.expect("is Ethernet"))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
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
        let (ours, kernel) = (&lab.ours.name, &lab.kernel.name);
        run(&format!("ip link add veth0 netns {ours} type veth peer name veth1 netns {kernel}"));
        if !offloads {
            lab.ours.run("ethtool -K veth0 tx off rx off tso off gso off gro off");
            lab.kernel.run("ethtool -K veth1 tx off rx off tso off gso off gro off");
        }
        lab.ours.run("ip link set veth0 up");
        lab.kernel.run("ip link set veth1 up");
        lab.kernel.run("ip addr add 10.9.0.1/24 dev veth1");
        lab
    }
}

pub(crate) fn run(command: &str) {
    let mut words = command.split_whitespace();
    let program = words.next().expect("a program");
    let output = Command::new(program).args(words).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
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
