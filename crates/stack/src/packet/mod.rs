//! Packet sockets: frames as they stand on a port's wire, in both directions, to whoever may look.
//!
//! **Taps.** A frame that has arrived is shown before anything else is done with it; one that leaves when its device has taken it (and
//! then it is [`PacketType::Outgoing`]). Each socket whose port and protocol match gets a copy of what its filter keeps. Sockets for
//! all protocols see both directions, the others what arrives. While there is no such socket, a frame costs one comparison.
//!
//! **What is shown.** What Linux's packet sockets show: a super-frame is one frame, whose offload says what a device is still to do;
//! a VLAN tag is told beside the frame, out of which it was taken.
//!
//! **Groups.** Sockets may share what they see ([`fanout`]): then one of them gets each frame.
//!
//! **Queue.** What nobody has read is bounded by the socket's receive buffer, with what keeping it costs; what comes beyond is dropped
//! and counted, for the socket (`PACKET_STATISTICS`) and for the host. All sockets together have a bound as well.
//!
//! **Sending.** A frame goes by the port's device as it stands, without being looked at by IP. It waits in a queue of this room
//! ([`outgoing`]) while the device is full; a socket that has as much waiting as its send buffer holds is told so.
//!
//! # Standards
//!
//! packet(7), Linux `net/packet/af_packet.c` as observed.

mod calls;
mod fanout;
mod flow;
mod outgoing;
mod reception;
pub mod ring;
mod send;
mod tap;
mod view;

use crate::Event;
use crate::hash::{Keyed, Keys};
use crate::port::PortId;
use crate::slab::handle;
use crate::sockets::Sockets;
use fanout::{Group, Rollover};
use outgoing::Outgoing;
use reception::Wishes;
use ring::{Ring, TransmitRing};
use sockeye_device::{Instant, Offload, vnet};
use sockeye_filter::{Program, VlanTag};
use sockeye_wire::MacAddr;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

pub use fanout::{Choice, Fanout, JoinError, RolloverStatistics};
pub use reception::{Reception, ReceptionCounts};
pub use send::{Progress, Send, SendError, offload};
pub use view::hardware;

/// `ETH_P_ALL`.
pub const ALL_PROTOCOLS: u16 = 3;
/// What keeping a frame costs a receive buffer besides its bytes.
const OVERHEAD: usize = 512;
/// Buffers of frames that were read, kept for the next.
const SPARE: usize = 256;
/// Larger ones are not kept.
const SPARE_SIZE: usize = 2_048;

/// To whom a frame was sent: `sll_pkttype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketType {
    /// To the port's own station.
    Host = 0,
    /// To all stations.
    Broadcast = 1,
    /// To a group.
    Multicast = 2,
    /// To another station.
    OtherHost = 3,
    /// By us.
    Outgoing = 4,
}

handle! {
    /// A socket. Goes stale when it is closed.
    SocketId
}

/// What a socket's owner may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// `SO_RCVBUF`: what may wait to be read, with what keeping it costs.
    pub receive_buffer: usize,
    /// `SO_SNDBUF`: what may wait to be sent.
    pub send_buffer: usize,
    /// `PACKET_IGNORE_OUTGOING`.
    pub ignore_outgoing: bool,
    /// `PACKET_QDISC_BYPASS`: what is sent is shown to nobody.
    pub unseen: bool,
    /// `PACKET_VNET_HDR`, `PACKET_VNET_HDR_SZ`: how long the header is that stands before each frame and says what is still to be done to it; 0: there is
    /// none.
    pub virtual_header: usize,
    /// `PACKET_RESERVE`: bytes before each frame in the ring that are the program's.
    pub reserve: usize,
    /// `PACKET_TX_HAS_OFF`: a slot of the ring says where in it the frame to send stands.
    pub placed: bool,
    /// `PACKET_LOSS`: what cannot be sent from the ring is passed over.
    pub loss: bool,
    /// `PACKET_COPY_THRESH`: what does not fit into a slot of the ring is put into the queue besides.
    pub copy: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            receive_buffer: 212_992,
            send_buffer: 212_992,
            ignore_outgoing: false,
            unseen: false,
            virtual_header: 0,
            reserve: 0,
            placed: false,
            loss: false,
            copy: false,
        }
    }
}

/// What is still to be done to a frame, in the words of virtio; with a count of buffers (which is 0) if the socket has so much room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualHeader {
    bytes: [u8; VirtualHeader::LONGEST],
    len: usize,
}

impl VirtualHeader {
    /// `struct virtio_net_hdr_mrg_rxbuf`.
    pub const LONGEST: usize = vnet::HEADER_LEN + 2;

    fn new(header: [u8; vnet::HEADER_LEN], len: usize) -> VirtualHeader {
        let mut bytes = [0; VirtualHeader::LONGEST];
        bytes[..vnet::HEADER_LEN].copy_from_slice(&header);
        VirtualHeader { bytes, len: len.min(VirtualHeader::LONGEST) }
    }

    /// As it stands before the frame.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// A frame that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Which way it came, or went.
    pub port: PortId,
    /// The kind of the port's hardware (`ARPHRD_*`).
    pub hardware: u16,
    /// To whom.
    pub kind: PacketType,
    /// What it carries.
    pub protocol: u16,
    /// Who sent it.
    pub source: MacAddr,
    /// What a device is still to do.
    pub offload: Offload,
    /// The tag that was taken out of it.
    pub vlan: Option<VlanTag>,
    /// Bytes of it, before the filter cut it.
    pub len: usize,
    /// Where the network header begins.
    pub network: usize,
    /// When it was seen.
    pub timestamp: Instant,
    /// What is still to be done to it, if the socket wants to know that before each frame.
    pub virtual_header: Option<VirtualHeader>,
    /// As much of it as the filter kept. Give the buffer back with [`packet_recycle`](crate::Stack::packet_recycle).
    pub data: Vec<u8>,
}

/// `PACKET_STATISTICS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Frames for the socket, those that were dropped counted in.
    pub packets: u32,
    /// Frames that found no room.
    pub drops: u32,
    /// Times that a ring of blocks was found full.
    pub freezes: u32,
}

/// A socket, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Which.
    pub id: SocketId,
    /// What it asked for.
    pub protocol: u16,
    /// Where it is bound.
    pub port: Option<PortId>,
    /// Charged to the receive buffer.
    pub receive_memory: usize,
    /// Size of the receive buffer.
    pub receive_buffer: usize,
}

#[derive(Debug)]
struct Socket {
    /// Without the link header (`SOCK_DGRAM`).
    cooked: bool,
    protocol: u16,
    port: Option<PortId>,
    options: Options,
    filter: Option<Arc<Program>>,
    queue: VecDeque<Received>,
    memory: usize,
    statistics: Statistics,
    ring: Option<Ring>,
    transmit: Option<TransmitRing>,
    /// Bytes of both in memory.
    ring_memory: usize,
    /// What waits for a device.
    sending: usize,
    /// What the program has not been told yet.
    error: Option<SendError>,
    /// The group that it is in, and what it remembers there.
    group: Option<u16>,
    rollover: Option<Box<Rollover>>,
}

/// All of a host's packet sockets.
#[derive(Debug)]
pub(crate) struct Packets {
    sockets: Sockets<SocketId, Socket>,
    /// Those that want to see something: bound to a protocol, and in no group.
    active: Vec<u32>,
    groups: Vec<Group>,
    /// From here on a number for a group is looked for.
    next_group: u16,
    /// Of the flows' numbers.
    key: Keyed,
    outgoing: Outgoing,
    spare: Vec<Vec<u8>>,
    /// What all queues together hold, and may; as much may wait to be sent.
    memory: usize,
    limit: usize,
    /// Drops that were not counted for the host yet.
    drops: u64,
    random: u64,
    reception: Wishes,
    /// What time it was, since 1970, when the stack's clock began.
    epoch: Duration,
}

impl Packets {
    pub(crate) fn new(limit: usize, keys: &Keys, random: u64) -> Self {
        Packets {
            sockets: Sockets::default(),
            active: Vec::new(),
            groups: Vec::new(),
            next_group: 0,
            key: keys.hasher(b"packet flows"),
            outgoing: Outgoing::default(),
            spare: Vec::new(),
            memory: 0,
            limit,
            drops: 0,
            random,
            reception: Wishes::default(),
            epoch: Duration::ZERO,
        }
    }

    /// Whether anybody wants to see frames.
    #[inline]
    pub(crate) fn is_watching(&self) -> bool {
        !self.active.is_empty() || !self.groups.is_empty()
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.sockets.poll_event().map(Event::Packet)
    }

    /// The time of day.
    fn time(&self, now: Instant) -> Duration {
        self.epoch + now.since(Instant::ZERO)
    }

    /// Makes the programs' what has waited in their rings.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let time = self.time(now);
        for &index in self.active.iter().chain(self.groups.iter().flat_map(|group| &group.members)) {
            let Some(socket) = self.sockets.at_mut(index) else { continue };
            let losing = socket.statistics.is_losing();
            if socket.ring.as_mut().is_some_and(|ring| ring.handle_timeout(now, time, losing)) {
                self.sockets.notify_at(index);
            }
        }
    }

    /// When something will have waited long enough.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let members = self.groups.iter().flat_map(|group| &group.members);
        let sockets = self.active.iter().chain(members).filter_map(|&index| self.sockets.at(index));
        sockets.filter_map(|socket| socket.ring.as_ref()?.poll_timeout()).min()
    }

    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        // Spread by a multiplication and two shifts: the next one shall not be guessed from the last by who only looks.
        let mixed = (self.random ^ self.random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ mixed >> 27
    }

    /// Drops since the last call.
    pub(crate) fn take_drops(&mut self) -> u64 {
        std::mem::take(&mut self.drops)
    }
}
