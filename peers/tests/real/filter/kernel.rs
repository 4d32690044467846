//! Kernel sockets that show what a program did to a packet.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType};
use nix::sys::socket::{bind, recv, recvfrom, send, setsockopt, socket, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
use socket2::{SockFilter, SockRef};
use sockeye_filter::{Device, Headers, Instruction, Metadata, VlanTag};
use sockeye_lab::{Host, Lab};
use sockeye_peers::Family;

/// What the kernel said to a program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Attached {
    Yes,
    /// EINVAL: the verifier refused it.
    Refused,
    /// ENOMEM: it was verified, but exceeds the memory that a socket may have for such things.
    NoRoom,
}

fn attach(socket: impl AsFd, program: &[Instruction]) -> Attached {
    let filter: Vec<_> = program.iter().map(|i| SockFilter::new(i.code, i.jt, i.jf, i.k)).collect();
    match SockRef::from(&socket.as_fd()).attach_filter(&filter) {
        Ok(()) => Attached::Yes,
        Err(error) if error.raw_os_error() == Some(nix::libc::EINVAL) => Attached::Refused,
        Err(error) if error.raw_os_error() == Some(nix::libc::ENOMEM) => Attached::NoRoom,
        Err(error) => panic!("SO_ATTACH_FILTER: {error}"),
    }
}

/// Keeps this thread on the processor where it is, and tells which. What it sends is handled there.
fn stay() -> u32 {
    let cpu = sched_getcpu();
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    sched_setaffinity(None, &cpus).unwrap();
    cpu as u32
}

/// A pair of Unix sockets: bytes without headers, and without any facts besides.
pub(super) struct Datagrams {
    sender: UnixDatagram,
    receiver: UnixDatagram,
    pub(super) metadata: Metadata,
    buffer: Vec<u8>,
}

impl Datagrams {
    pub(super) fn new() -> Datagrams {
        let (sender, receiver) = UnixDatagram::pair().unwrap();
        receiver.set_nonblocking(true).unwrap();
        let metadata = Metadata { cpu: stay(), ..Metadata::default() };
        Datagrams { sender, receiver, metadata, buffer: vec![0; 65536] }
    }

    pub(super) fn attach(&self, program: &[Instruction]) -> Attached {
        attach(&self.receiver, program)
    }

    /// How much of the bytes the program lets through; `None` is nothing at all.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Option<usize> {
        assert_eq!(self.sender.send(bytes).unwrap(), bytes.len());
        match self.receiver.recv(&mut self.buffer) {
            Ok(len) => {
                assert_eq!(self.buffer[..len], bytes[..len]);
                Some(len)
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                None
            }
        }
    }
}

/// Two packet sockets at one end of a veth pair, and one at the other that sends. One of the two has no program: what it
/// gets is what the program of the other sees, and when it has it, the other's fate is decided, because the kernel
/// serves the younger first.
pub(super) struct Frames {
    sender: OwnedFd,
    witness: OwnedFd,
    judge: OwnedFd,
    cooked: bool,
    cpu: u32,
    buffer: Vec<u8>,
    _host: Host,
}

/// What the witness got.
pub(super) struct Seen {
    pub(super) frame: Vec<u8>,
    pub(super) metadata: Metadata,
    pub(super) headers: Headers,
}

/// A mark that all frames bear.
const MARK: u32 = 0xdead_beef;

impl Frames {
    /// With a program that counts from the link header, or (cooked) from the network header.
    pub(super) fn new(cooked: bool) -> Frames {
        let lab = Lab::new().unwrap();
        let host = lab.host("filter").unwrap();
        // Nothing else may be on the wire.
        if Path::new("/proc/sys/net/ipv6").exists() {
            host.sysctl("ipv6/conf/default/disable_ipv6", "1").unwrap();
        }
        lab.link(&host, "veth0", &host, "veth1").unwrap();
        let kind = if cooked { SockType::Datagram } else { SockType::Raw };
        let open =
            || ["veth0", "veth1", "veth1"].into_iter().zip([SockType::Raw, SockType::Raw, kind]).map(packet_socket);
        let sockets: Vec<OwnedFd> = host.enter(|| open().collect()).unwrap();
        let [sender, witness, judge] = sockets.try_into().unwrap();
        setsockopt(&sender, sockopt::Mark, &MARK).unwrap();
        setsockopt(&witness, sockopt::ReceiveTimeout, &TimeVal::seconds(60)).unwrap();
        Frames { sender, witness, judge, cooked, cpu: stay(), buffer: vec![0; 65536], _host: host }
    }

    pub(super) fn attach(&self, program: &[Instruction]) -> Attached {
        attach(&self.judge, program)
    }

    /// Sends a frame. Returns what came, and how much of it the program lets through.
    pub(super) fn pass(&mut self, frame: &[u8]) -> (Seen, Option<usize>) {
        assert_eq!(send(self.sender.as_raw_fd(), frame, MsgFlags::empty()).unwrap(), frame.len());
        let (len, from) = recvfrom::<LinkAddr>(self.witness.as_raw_fd(), &mut self.buffer).unwrap();
        let (seen, from) = (self.buffer[..len].to_vec(), from.unwrap());
        let kept = match recv(self.judge.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(len) => Some(len),
            Err(error) => {
                assert_eq!(error, Errno::EAGAIN);
                None
            }
        };
        // The kernel takes a frame's first tag out.
        let word = |at| u16::from_be_bytes([frame[at], frame[at + 1]]);
        let vlan = match word(12) {
            protocol @ (0x8100 | 0x88a8) => Some(VlanTag { control: word(14), protocol }),
            _ => None,
        };
        let metadata = Metadata {
            protocol: from.protocol().to_be(),
            packet_type: from.pkttype(),
            device: Some(Device { index: from.ifindex() as u32, hardware_type: from.hatype() }),
            mark: MARK,
            queue: 0,
            hash: 0,
            cpu: self.cpu,
            vlan,
            random: 0,
        };
        let headers = Headers { link: Some(0), network: 14, data: if self.cooked { 14 } else { 0 } };
        (Seen { frame: seen, metadata, headers }, kept)
    }
}

/// A UDP socket on the loopback, whose programs count from the UDP header, with the headers of link and network before it;
/// and a packet socket beside it that shows those.
pub(super) struct Loopback {
    sender: UdpSocket,
    receiver: UdpSocket,
    witness: OwnedFd,
    metadata: Metadata,
    headers: Headers,
    buffer: Vec<u8>,
    _host: Host,
}

impl Loopback {
    pub(super) fn new(family: Family) -> Loopback {
        let (own, protocol, data): (IpAddr, _, _) = match family {
            Family::V4 => (Ipv4Addr::LOCALHOST.into(), 0x0800, 34),
            Family::V6 => (Ipv6Addr::LOCALHOST.into(), 0x86dd, 54),
        };
        let host = Lab::new().unwrap().host("filter").unwrap();
        // Of what has a label the kernel knows a hash, which nobody else does.
        host.sysctl("ipv6/auto_flowlabels", "0").unwrap();
        let open = || {
            let [sender, receiver] = [0; 2].map(|port| UdpSocket::bind((own, port)).unwrap());
            (sender, receiver, packet_socket(("lo", SockType::Raw)))
        };
        let (sender, receiver, witness) = host.enter(open).unwrap();
        receiver.set_nonblocking(true).unwrap();
        setsockopt(&witness, sockopt::ReceiveTimeout, &TimeVal::seconds(60)).unwrap();
        let device = Some(Device { index: 1, hardware_type: nix::libc::ARPHRD_LOOPBACK });
        let metadata = Metadata { protocol, device, cpu: stay(), ..Metadata::default() };
        let headers = Headers { link: Some(0), network: 14, data };
        Loopback { sender, receiver, witness, metadata, headers, buffer: vec![0; 65536], _host: host }
    }

    pub(super) fn attach(&self, program: &[Instruction]) -> Attached {
        attach(&self.receiver, program)
    }

    /// Sends a datagram. Returns what came, and how much of its payload the program lets through; the header is always kept.
    pub(super) fn pass(&mut self, payload: &[u8]) -> (Seen, Option<usize>) {
        self.sender.send_to(payload, self.receiver.local_addr().unwrap()).unwrap();
        let arrived = self.receiver.recv(&mut self.buffer);
        let kept = match arrived {
            Ok(len) => Some(len),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                None
            }
        };
        // On its way out, and again on its way in.
        recv(self.witness.as_raw_fd(), &mut self.buffer, MsgFlags::empty()).unwrap();
        let len = recv(self.witness.as_raw_fd(), &mut self.buffer, MsgFlags::empty()).unwrap();
        (Seen { frame: self.buffer[..len].to_vec(), metadata: self.metadata, headers: self.headers }, kept)
    }
}

/// A packet socket for all protocols of one interface.
fn packet_socket((interface, kind): (&str, SockType)) -> OwnedFd {
    let socket = socket(AddressFamily::Packet, kind, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll).unwrap();
    let mut interfaces = getifaddrs().unwrap().filter(|found| found.interface_name == interface);
    let address = interfaces.find_map(|found| found.address?.as_link_addr().copied()).unwrap();
    bind(socket.as_raw_fd(), &address).unwrap();
    socket
}
