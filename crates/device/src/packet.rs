//! A packet socket: our own frames on an interface, beside the kernel's stack.
//!
//! # Opening
//!
//! A packet socket of protocol 0 receives nothing. So everything is laid before the bind that names a protocol: the
//! virtio-net header, the filter, the buffers. There is no moment at which a foreign frame is queued. A classic BPF
//! program then passes only frames to our address, to groups and to all; other hosts' frames are dropped in the kernel
//! before a copy is made, and the kernel's own outgoing frames are not even offered (`PACKET_IGNORE_OUTGOING`). With an
//! address other than the interface's, a promiscuous membership (which ends with the socket) makes the hardware deliver it; with that
//! one, a membership for all groups.
//!
//! # Receiving
//!
//! `recvmmsg` fills up to 32 buffers a call, each with room for the largest super-frame; the virtio-net header goes to an array
//! of its own. A VLAN tag that the kernel took out of the frame comes as a control message, and is put back: a frame
//! is what stood on the wire. The buffers leave room for that in front, and place the IP header at a multiple of 16.
//!
//! # Sending
//!
//! A frame of up to [`SMALL`] bytes is copied into an arena behind its virtio-net header, and `sendmmsg` sends all of
//! them at a flush. A longer one leaves at once (after those before it) by a `sendmsg` that gathers its slices. The socket's
//! buffer is what pushes back: it is smaller than an interface's usual queue (1,000 frames), and the kernel gives room
//! back when a frame has left. A frame that the queue drops all the same (`ENOBUFS`) is counted and gone, as congestion
//! is on any host; to try it again would spin, as there is nothing to wait for.
//!
//! `PACKET_QDISC_BYPASS` stays off. It gained nothing measurable over veth with frames of 64 KiB (see
//! `examples/throughput.rs`), while it takes away what pushes back, and hides our frames from tcpdump and from tc.
//!
//! # When the link goes
//!
//! The kernel reports `ENETDOWN` once when the interface goes down, and delivers again by itself when it comes back: so
//! that is counted, and is not an error. Frames sent meanwhile are counted as dropped. Only when the interface is
//! removed does [`Device::receive`] fail, for good.
//!
//! # Standards
//!
//! packet(7), socket(7); IEEE 802.1Q §9.6 (tag control information).

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use libc::{SOL_PACKET, SOL_SOCKET, c_int};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendAncillaryBuffer, SendFlags, SocketFlags, SocketType};
use sockeye_wire::{MacAddr, ethernet};

use crate::device::{PushBack, fits};
use crate::error::check_name;
use crate::link::{Link, LinkQuery};
use crate::mac::Claim;
use crate::sys::{self, BURST, Received};
use crate::{
    BUFFER_LEN, Capabilities, Device, DeviceCounters, Full, MAX_SUPER_FRAME, MacChoice, Offload, OpenError, RxBatch,
    RxFrame, TxFrame, vnet,
};

/// Frames up to this length are copied and sent together.
const SMALL: usize = 2048;
/// Room for one of them and its virtio-net header.
const SLOT: usize = SMALL + 16;
/// Frames that wait for a flush at most.
const SLOTS: usize = 2 * BURST;
/// Slices of a frame that leave without being gathered first.
const VECTORS: usize = 64;
/// Where a received frame begins in its buffer: room for a tag in front, and the IP header aligned behind.
const HEADROOM: usize = 18;
const _: () = assert!(BUFFER_LEN >= HEADROOM + MAX_SUPER_FRAME);
/// Asked of the kernel, which doubles it to allow for its own overhead.
const SEND_BUFFER: c_int = 1 << 20;
/// As above: full TCP windows of several flows.
const RECEIVE_BUFFER: c_int = 16 << 20;
/// The first kernel whose virtio-net header knows UDP segmentation.
const UDP_SEGMENTATION: (u32, u32) = (6, 2);

/// A packet socket bound to an interface.
#[derive(Debug)]
pub struct PacketSocket {
    socket: OwnedFd,
    /// In the socket's own namespace, whatever that of the caller.
    links: LinkQuery,
    link: Link,
    mac: MacAddr,
    _claim: Option<Claim>,
    capabilities: Capabilities,
    batch: Box<Batch>,
    /// A long frame of too many slices is gathered here.
    scratch: Vec<u8>,
    push_back: PushBack,
    /// Frames for other stations, and for any group, are let through.
    reception: (bool, bool),
    running: Cell<bool>,
    counters: DeviceCounters,
    /// What the kernel dropped, which it tells once.
    dropped: Cell<u64>,
}

/// Small frames on their way out, each behind its virtio-net header. `head..tail` of the slots are in use.
#[derive(Debug)]
struct Batch {
    slots: [[u8; SLOT]; SLOTS],
    lens: [u16; SLOTS],
    head: usize,
    tail: usize,
}

impl PacketSocket {
    /// Opens a packet socket on `interface`. Needs CAP_NET_RAW.
    pub fn open(interface: &str, mac: MacChoice) -> Result<Self, OpenError> {
        check_name(interface)?;
        let system = |action| OpenError::from_system(interface, "CAP_NET_RAW", action);
        let name = || interface.to_owned();
        let links = LinkQuery::open().map_err(system("look up"))?;
        let link = links.by_name(interface).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => OpenError::NoSuchInterface { interface: name() },
            _ => system("look up")(error),
        })?;
        if !link.ethernet {
            return Err(OpenError::NotEthernet { interface: name() });
        }
        let (mac, claim) = mac.resolve(interface, link.mac)?;

        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)
            .map_err(|error| system("open a packet socket on")(error.into()))?;
        if !link.up {
            return Err(OpenError::Down { interface: name() });
        }
        let fd = socket.as_fd();
        let set = |option, value| sys::set_option::<c_int>(fd, SOL_PACKET, option, value);
        set(libc::PACKET_VNET_HDR, 1).map_err(system("set the virtio-net header on"))?;
        set(libc::PACKET_AUXDATA, 1).map_err(system("ask for VLAN tags on"))?;
        set(libc::PACKET_IGNORE_OUTGOING, 1).map_err(system("ignore the kernel's own frames on"))?;
        sys::attach_filter(fd, &mut filter(mac)).map_err(system("attach a filter to"))?;
        for (force, plain, size) in [
            (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, SEND_BUFFER),
            (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, RECEIVE_BUFFER),
        ] {
            // Past the system's limit only with CAP_NET_ADMIN in the first user namespace.
            sys::set_option(fd, SOL_SOCKET, force, size)
                .or_else(|_| sys::set_option(fd, SOL_SOCKET, plain, size))
                .map_err(system("set the buffers of"))?;
        }
        sys::bind_packet(fd, libc::ETH_P_ALL as u16, link.index).map_err(system("bind to"))?;
        // Also with the interface's own address: groups are the stack's to choose from.
        let kind = if link.mac == Some(mac) { libc::PACKET_MR_ALLMULTI } else { libc::PACKET_MR_PROMISC };
        sys::set_option(fd, SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, membership(&link, kind))
            .map_err(system("listen to addresses of our own on"))?;
        let capabilities = Capabilities { udp: kernel_release() >= UDP_SEGMENTATION, ..Capabilities::ALL };
        let running = Cell::new(link.is_running());
        Ok(PacketSocket {
            socket,
            links,
            link,
            mac,
            _claim: claim,
            capabilities,
            batch: Batch::new(),
            scratch: Vec::new(),
            push_back: PushBack::default(),
            reception: (false, false),
            running,
            counters: DeviceCounters::default(),
            dropped: Cell::new(0),
        })
    }

    /// The interface as it was when the socket was opened.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Sends the small frames that wait, in order, as far as the kernel takes them.
    fn drain(&mut self) -> io::Result<()> {
        let mut pending = true;
        while !self.batch.is_empty() {
            match sys::send_many(self.socket.as_fd(), self.batch.waiting()) {
                Ok(count) => {
                    for _ in 0..count {
                        let len = self.batch.pop();
                        self.counters.count_sent(len, false);
                    }
                    self.running.set(true);
                    pending = true;
                }
                // It may be the socket's own, left by the link or by a frame received; then it belongs to no frame.
                Err(error) if error.kind() != io::ErrorKind::WouldBlock && std::mem::take(&mut pending) => {}
                Err(error) => match self.sort(Errno::from_io_error(&error)) {
                    Refusal::Full => return Ok(()),
                    Refusal::Again => {}
                    Refusal::Lost | Refusal::Bad => {
                        self.batch.pop();
                    }
                    Refusal::Gone => return Err(error),
                },
            }
        }
        Ok(())
    }

    /// What to do after the kernel refused a frame. Counts it if it is lost.
    fn sort(&mut self, error: Option<Errno>) -> Refusal {
        match error {
            Some(Errno::AGAIN) => Refusal::Full,
            Some(Errno::INTR) => Refusal::Again,
            Some(Errno::NOBUFS | Errno::NOMEM) => {
                self.counters.tx_dropped += 1;
                Refusal::Lost
            }
            Some(Errno::NETDOWN | Errno::NXIO | Errno::NODEV) => {
                self.counters.tx_dropped += 1;
                self.lose_link();
                Refusal::Lost
            }
            Some(Errno::MSGSIZE | Errno::INVAL) => {
                self.counters.tx_errors += 1;
                Refusal::Bad
            }
            _ => Refusal::Gone,
        }
    }

    fn lose_link(&mut self) {
        if self.running.replace(false) {
            self.counters.link_lost += 1;
        }
    }

    /// Sends a long frame from where it lies.
    fn send(&mut self, frame: &TxFrame<'_>, header: &[u8]) -> rustix::io::Result<()> {
        let mut vectors = [IoSlice::new(&[]); VECTORS];
        vectors[0] = IoSlice::new(header);
        vectors[1] = IoSlice::new(frame.header);
        let count = 2 + frame.payload.len();
        if let Some(places) = vectors.get_mut(2..count) {
            for (place, slice) in places.iter_mut().zip(frame.payload) {
                *place = IoSlice::new(slice);
            }
            return send_vectors(&self.socket, &vectors[..count]);
        }
        self.scratch.clear();
        frame.gather(&mut self.scratch);
        vectors[1] = IoSlice::new(&self.scratch);
        send_vectors(&self.socket, &vectors[..2])
    }

    /// Makes frames of what arrived in the first slots. One that contradicts itself goes to the end and is not counted in.
    fn accept(&mut self, slots: &mut [RxFrame], received: &[Received]) -> usize {
        let mut good = 0;
        for (index, received) in received.iter().enumerate() {
            let Some(frame) = describe(&mut slots[index], received) else {
                self.counters.rx_errors += 1;
                continue;
            };
            slots[index].range = frame.0;
            slots[index].offload = frame.1;
            self.counters.count_received(slots[index].range.len(), frame.1.segmentation.is_some());
            slots.swap(good, index);
            good += 1;
        }
        good
    }
}

impl Device for PacketSocket {
    fn name(&self) -> &str {
        &self.link.name
    }

    fn mac(&self) -> MacAddr {
        self.mac
    }

    fn mtu(&self) -> u16 {
        u16::try_from(self.link.mtu).unwrap_or(u16::MAX)
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn max_super_frame(&self) -> usize {
        MAX_SUPER_FRAME.min(self.link.super_frame_limit.saturating_sub(1))
    }

    /// While the link is believed to be down this asks the kernel.
    fn link_up(&self) -> bool {
        if !self.running.get() {
            self.running.set(self.links.by_index(self.link.index).is_ok_and(|link| link.is_running()));
        }
        self.running.get()
    }

    fn receive(&mut self, batch: &mut RxBatch) -> io::Result<usize> {
        let slots = batch.slots(BUFFER_LEN);
        let mut filled = 0;
        let mut received = [Received::default(); BURST];
        while filled < slots.len() {
            let free = &mut slots[filled..];
            let wanted = free.len().min(BURST);
            let buffers = free.iter_mut().map(|slot| &mut slot.buffer[HEADROOM..]);
            match sys::receive_many(self.socket.as_fd(), buffers, &mut received) {
                Ok(arrived) => {
                    filled += self.accept(free, &received[..arrived]);
                    self.running.set(true);
                    if arrived < wanted {
                        break;
                    }
                }
                Err(error) => match Errno::from_io_error(&error) {
                    Some(Errno::AGAIN) => break,
                    Some(Errno::INTR) => {}
                    // A super-frame of a kind that the virtio-net header has no word for. The kernel has dropped it.
                    Some(Errno::INVAL) => self.counters.rx_errors += 1,
                    Some(Errno::NETDOWN) => {
                        self.lose_link();
                        if let Err(error) = self.links.by_index(self.link.index) {
                            let gone = format!("interface {} is gone", self.link.name);
                            return Err(match error.kind() {
                                io::ErrorKind::NotFound => io::Error::new(io::ErrorKind::NotFound, gone),
                                _ => error,
                            });
                        }
                    }
                    _ => return Err(error),
                },
            }
        }
        batch.set_filled(filled);
        Ok(filled)
    }

    fn transmit(&mut self, frame: &TxFrame<'_>) -> Result<(), Full> {
        let len = frame.len();
        let header = vnet::encode(&frame.offload, frame.header);
        let super_frame = frame.offload.segmentation.is_some();
        if len > MAX_SUPER_FRAME || !fits(frame, self.capabilities) {
            self.counters.tx_errors += 1;
            return Ok(());
        }
        if len <= SMALL && !super_frame {
            if self.batch.is_full() {
                // An error that is final shows at the next flush or receive.
                let _ = self.drain();
            }
            if self.batch.is_full() {
                return Err(self.refuse());
            }
            self.batch.push(&header, frame);
            self.push_back.take();
            return Ok(());
        }
        if !self.batch.is_empty() {
            let _ = self.drain();
            if !self.batch.is_empty() {
                return Err(self.refuse());
            }
        }
        let mut pending = true;
        loop {
            return match self.send(frame, &header) {
                Ok(()) => {
                    self.counters.count_sent(len, super_frame);
                    self.push_back.take();
                    self.running.set(true);
                    Ok(())
                }
                // As in `drain`.
                Err(error) if error != Errno::AGAIN && std::mem::take(&mut pending) => continue,
                Err(error) => match self.sort(Some(error)) {
                    Refusal::Again => continue,
                    Refusal::Full => Err(self.refuse()),
                    Refusal::Lost | Refusal::Bad => Ok(()),
                    Refusal::Gone => {
                        self.counters.tx_errors += 1;
                        Ok(())
                    }
                },
            };
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.push_back.flush();
        self.drain()
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    fn wants_writable(&self) -> bool {
        self.push_back.is_waiting() || !self.batch.is_empty()
    }

    fn set_reception(&mut self, promiscuous: bool, all_multicast: bool) -> io::Result<()> {
        let fd = self.socket.as_fd();
        for (on, before, kind) in [
            (promiscuous, self.reception.0, libc::PACKET_MR_PROMISC),
            (all_multicast, self.reception.1, libc::PACKET_MR_ALLMULTI),
        ] {
            if on != before {
                let what = if on { libc::PACKET_ADD_MEMBERSHIP } else { libc::PACKET_DROP_MEMBERSHIP };
                sys::set_option(fd, SOL_PACKET, what, membership(&self.link, kind))?;
            }
        }
        if promiscuous != self.reception.0 {
            let mut all = [libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: u32::MAX }];
            let mut ours = filter(self.mac);
            sys::attach_filter(fd, if promiscuous { &mut all } else { &mut ours })?;
        }
        self.reception = (promiscuous, all_multicast);
        Ok(())
    }

    fn counters(&self) -> DeviceCounters {
        if let Ok(statistics) =
            sys::option::<libc::tpacket_stats>(self.socket.as_fd(), SOL_PACKET, libc::PACKET_STATISTICS)
        {
            self.dropped.set(self.dropped.get() + u64::from(statistics.tp_drops));
        }
        DeviceCounters { rx_dropped: self.dropped.get(), ..self.counters }
    }
}

impl PacketSocket {
    fn refuse(&mut self) -> Full {
        self.push_back.refuse();
        self.counters.tx_full += 1;
        Full
    }
}

/// Why the kernel did not take a frame.
enum Refusal {
    /// No room: wait.
    Full,
    /// Try again at once.
    Again,
    /// The frame is lost, and counted.
    Lost,
    /// The frame cannot be sent, and is counted.
    Bad,
    /// The socket is of no use any more.
    Gone,
}

impl Batch {
    fn new() -> Box<Batch> {
        Box::new(Batch { slots: [[0; SLOT]; SLOTS], lens: [0; SLOTS], head: 0, tail: 0 })
    }

    fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    fn is_full(&self) -> bool {
        self.tail == SLOTS
    }

    fn waiting(&self) -> impl Iterator<Item = &[u8]> {
        (self.head..self.tail).map(|index| &self.slots[index][..usize::from(self.lens[index])])
    }

    /// The caller knows that the frame is small and that there is a slot.
    fn push(&mut self, header: &[u8; vnet::HEADER_LEN], frame: &TxFrame<'_>) {
        let slot = &mut self.slots[self.tail];
        let mut len = 0;
        for part in [&header[..], frame.header].iter().chain(frame.payload) {
            slot[len..len + part.len()].copy_from_slice(part);
            len += part.len();
        }
        self.lens[self.tail] = len as u16;
        self.tail += 1;
    }

    /// Takes away the first; returns the frame's length.
    fn pop(&mut self) -> usize {
        let len = usize::from(self.lens[self.head]) - vnet::HEADER_LEN;
        self.head += 1;
        if self.is_empty() {
            (self.head, self.tail) = (0, 0);
        }
        len
    }
}

fn send_vectors(socket: &OwnedFd, vectors: &[IoSlice<'_>]) -> rustix::io::Result<()> {
    rustix::net::sendmsg(socket, vectors, &mut SendAncillaryBuffer::default(), SendFlags::DONTWAIT).map(drop)
}

/// Where the frame stands in its slot, with its tag put back, and what remains to be done to it.
fn describe(slot: &mut RxFrame, received: &Received) -> Option<(std::ops::Range<usize>, Offload)> {
    let mut range = HEADROOM..HEADROOM + received.len;
    if received.truncated || received.len < ethernet::HEADER_LEN {
        return None;
    }
    let mut moved = 0;
    if let Some((protocol, control)) = received.tag {
        range.start -= ethernet::TAG_LEN;
        slot.buffer.copy_within(HEADROOM..HEADROOM + 12, range.start);
        slot.buffer[range.start + 12..range.start + 14].copy_from_slice(&protocol.to_be_bytes());
        slot.buffer[range.start + 14..range.start + 16].copy_from_slice(&control.to_be_bytes());
        moved = ethernet::TAG_LEN as u16;
    }
    let offload = vnet::decode(&received.header, &slot.buffer[range.clone()], moved).ok()?;
    Some((range, offload))
}

/// What the interface is to receive besides.
fn membership(link: &Link, kind: c_int) -> libc::packet_mreq {
    libc::packet_mreq { mr_ifindex: link.index as c_int, mr_type: kind as u16, mr_alen: 0, mr_address: [0; 8] }
}

/// Passes frames to `mac`, and those whose destination has the group bit (broadcast is such a one).
fn filter(mac: MacAddr) -> [libc::sock_filter; 8] {
    let [a, b, c, d, e, f] = mac.0;
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let load = |size: u32, at| step(libc::BPF_LD | size | libc::BPF_ABS, 0, 0, at);
    let jump = |test: u32, k, jt, jf| step(libc::BPF_JMP | test | libc::BPF_K, jt, jf, k);
    let ret = |k| step(libc::BPF_RET | libc::BPF_K, 0, 0, k);
    [
        load(libc::BPF_W, 0),
        jump(libc::BPF_JEQ, u32::from_be_bytes([a, b, c, d]), 0, 2),
        load(libc::BPF_H, 4),
        jump(libc::BPF_JEQ, u32::from(u16::from_be_bytes([e, f])), 3, 0),
        load(libc::BPF_B, 0),
        jump(libc::BPF_JSET, 1, 1, 0),
        ret(0),
        ret(u32::MAX),
    ]
}

/// The kernel's version; 0.0 if it will not say.
pub(crate) fn kernel_release() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}
