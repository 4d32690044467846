//! A bad wire, in user space: a host with two interfaces and a thread that carries frames from one to the other, and loses
//! some, sends some twice, and lets some be overtaken.
//!
//! It is on purpose not the impairment that the node's own crates have: what judges them should not be built of them. Chance
//! is seeded, but what it hits depends on when frames come, so a run is not repeatable; the simulator is.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, bind, socket};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use sockeye_lab::{Host, Lab};

/// How bad the wire is, in each direction.
#[derive(Clone, Copy, Debug)]
pub struct Impairments {
    /// The share of frames that are lost, in percent.
    pub loss: u32,
    /// The share of frames that come twice, in percent.
    pub duplicate: u32,
    /// The share of frames that are overtaken by up to five others, in percent.
    pub reorder: u32,
}

/// A frame that waits to be overtaken goes when so many have, or when this time has passed.
const HELD: Duration = Duration::from_millis(3);
const OVERTAKERS: u64 = 5;
const BATCH: usize = 64;
const LARGEST: usize = 65_536 + 18;

/// A running wire; it ends when this is dropped.
#[derive(Debug)]
pub struct Wire {
    stop: Option<io::PipeWriter>,
    worker: Option<JoinHandle<()>>,
}

impl Wire {
    /// Joins `veth0` of two hosts by a bad wire.
    pub fn between(lab: &Lab, left: &Host, right: &Host, impairments: Impairments) -> Wire {
        let middle = lab.host("wire").expect("a host is made");
        // The host between has no business of its own on the wire.
        for setting in ["all", "default"] {
            let _ = middle.sysctl(&format!("ipv6/conf/{setting}/disable_ipv6"), "1");
        }
        lab.link(left, "veth0", &middle, "left").expect("a link is made");
        lab.link(right, "veth0", &middle, "right").expect("a link is made");
        let ends = middle.enter(|| (packet_socket("left"), packet_socket("right"))).expect("the host can be entered");
        let (watched, stop) = io::pipe().expect("a pipe is made");
        let worker = std::thread::spawn(move || {
            let mut lanes = [Lane::new(impairments, 1), Lane::new(impairments, 2)];
            let ends = [ends.0, ends.1];
            let mut buffer = vec![0; LARGEST];
            while carry(&ends, &mut lanes, &watched, &mut buffer) {}
            // The namespace lives until here.
            drop(middle);
        });
        Wire { stop: Some(stop), worker: Some(worker) }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

/// Waits for frames and moves what there is; false when the other end of `stop` is gone.
fn carry(ends: &[OwnedFd; 2], lanes: &mut [Lane; 2], stop: &io::PipeReader, buffer: &mut [u8]) -> bool {
    let due = lanes.iter().filter_map(Lane::due).min();
    let timeout = due.map(|due| due.saturating_duration_since(Instant::now()));
    let timeout = timeout.map(|timeout| Timespec::try_from(timeout).expect("a few milliseconds fit"));
    let mut polled =
        [PollFd::new(&ends[0], PollFlags::IN), PollFd::new(&ends[1], PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
    match poll(&mut polled, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => panic!("the wire cannot poll: {error}"),
    }
    if !polled[2].revents().is_empty() {
        return false;
    }
    for (from, lane) in lanes.iter_mut().enumerate() {
        let to = &ends[1 - from];
        for _ in 0..BATCH {
            match recv(&ends[from], &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((length, _)) => lane.carry(&buffer[..length], to),
                Err(_) => break,
            }
        }
        lane.release(to);
    }
    true
}

/// One direction.
#[derive(Debug)]
struct Lane {
    impairments: Impairments,
    chance: u64,
    passed: u64,
    /// Frames that wait, with the count of passed frames and the time at which they go. In order of time.
    held: VecDeque<(u64, Instant, Vec<u8>)>,
}

impl Lane {
    fn new(impairments: Impairments, seed: u64) -> Lane {
        Lane { impairments, chance: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, passed: 0, held: VecDeque::new() }
    }

    fn carry(&mut self, frame: &[u8], to: &OwnedFd) {
        let Impairments { loss, duplicate, reorder } = self.impairments;
        self.passed += 1;
        if self.happens(loss) {
            // Lost.
        } else if self.happens(reorder) {
            let overtakers = 1 + self.draw() % OVERTAKERS;
            self.held.push_back((self.passed + overtakers, Instant::now() + HELD, frame.to_vec()));
        } else {
            put(to, frame);
            if self.happens(duplicate) {
                put(to, frame);
            }
        }
        self.release(to);
    }

    fn release(&mut self, to: &OwnedFd) {
        if self.held.is_empty() {
            return;
        }
        let (passed, now) = (self.passed, Instant::now());
        self.held.retain(|(count, time, frame)| {
            let stays = *count > passed && *time > now;
            if !stays {
                put(to, frame);
            }
            stays
        });
    }

    fn due(&self) -> Option<Instant> {
        self.held.front().map(|(_, time, _)| *time)
    }

    fn happens(&mut self, percent: u32) -> bool {
        self.draw() % 100 < u64::from(percent)
    }

    fn draw(&mut self) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance >> 16
    }
}

fn put(to: &OwnedFd, frame: &[u8]) {
    // An interface that is down, or a full one: a wire loses frames without a word.
    let _ = send(to, frame, SendFlags::empty());
}

/// A socket that hears and says everything on an interface of the calling thread's namespace.
fn packet_socket(interface: &str) -> OwnedFd {
    let descriptor = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)
        .expect("a packet socket is opened");
    let address = getifaddrs()
        .expect("the interfaces can be listed")
        .filter(|address| address.interface_name == interface)
        .find_map(|address| address.address?.as_link_addr().copied())
        .expect("the interface has a link address");
    bind(descriptor.as_raw_fd(), &address).expect("a packet socket is bound");
    // Loss is ours to deal out; the socket's own buffer should not add to it.
    let _ = set_socket_recv_buffer_size_force(&descriptor, 16 << 20);
    descriptor
}
