//! Frames out, as their sender made them.
//!
//! The rules are Linux's: a whole link header at least, the port's MTU behind it at most (a VLAN tag comes on top), and of a port that is
//! not there or down the sender is told. What a device cannot do by itself (a checksum, a cut) is done here.
//!
//! A frame comes from a call, or from a slot of the socket's ring. In either case it is copied once, and the copy is judged: a ring is the
//! program's to change at any time. A call takes a bounded number of frames from a ring; whoever asked asks again.

use super::outgoing::Waiting;
use super::ring::{Claim, Rules};
use super::{Packets, SocketId};
use crate::Egress;
use crate::counters::Drop;
use crate::ip::Ip;
use crate::port::{OutFrame, PortId};
use sockeye_device::segment::Segments;
use sockeye_device::{Capabilities, Checksum, Instant, MAX_SUPER_FRAME, Offload, SegmentKind, TxFrame, vnet};
use sockeye_wire::{EtherType, MacAddr, ethernet};

/// A frame to send.
#[derive(Clone, Copy, Debug, Default)]
pub struct Send<'a> {
    /// By which port; none for the one that the socket is bound to.
    pub port: Option<PortId>,
    /// What it carries; 0 for what the socket is bound to. For a socket without link header.
    pub protocol: u16,
    /// To whom. For a socket without link header, which must say it, but on the loopback.
    pub to: Option<MacAddr>,
    /// What a device is still to do to it.
    pub offload: Offload,
    /// The frame, or what it carries. Nothing, where a ring is sent.
    pub payload: &'a [u8],
}

/// Why a frame was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The socket's send buffer is full, or the host's. An event comes when it is worth trying again.
    Full,
    /// There is no socket of that identity.
    Closed,
    /// There is no such port, or the socket is bound to none.
    NoPort,
    /// The port is down.
    Down,
    /// No whole link header, nobody it could be for, or what is to be done to it contradicts it.
    Malformed,
    /// Longer than the port carries.
    MessageSize,
}

/// How far a ring was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The next slot asks for nothing.
    Done,
    /// That was enough for one turn.
    More,
    /// There is no room for more. An event comes when it is worth trying again.
    Full,
}

/// The most frames from a ring in one turn.
const TURN: usize = 256;

/// The most pieces that a frame is cut into here: as many as the longest of TCP makes at the smallest segment size that a Linux host sends
/// (`TCP_MIN_SND_MSS`, 48 bytes).
const MAX_PIECES: usize = MAX_SUPER_FRAME / 48;

/// The way that frames take: settled before there is one.
#[derive(Clone, Copy, Debug)]
struct Way {
    port: PortId,
    mtu: usize,
    capabilities: Capabilities,
    unseen: bool,
    /// For a socket without link header: what is written before what it sends. `None` if it did not say for whom.
    link: Option<Option<ethernet::Repr>>,
}

impl Way {
    /// Bytes that are written before what the program sends.
    fn prefix(&self) -> usize {
        if self.link.is_some() { ethernet::HEADER_LEN } else { 0 }
    }

    /// Whether that could be sent by this way.
    fn judge(&self, payload: &[u8], offload: &Offload) -> Result<(), SendError> {
        let len = self.prefix() + payload.len();
        if len > MAX_SUPER_FRAME {
            return Err(SendError::MessageSize);
        }
        if len < ethernet::HEADER_LEN || self.link == Some(None) {
            return Err(SendError::Malformed);
        }
        let tagged = self.link.is_none() && payload.get(12..14) == Some(&EtherType::VLAN.0.to_be_bytes());
        let most = self.mtu + ethernet::HEADER_LEN + if tagged { ethernet::TAG_LEN } else { 0 };
        if offload.segmentation.is_none() && len > most { Err(SendError::MessageSize) } else { Ok(()) }
    }
}

/// What a program's `struct virtio_net_hdr` says is still to be done to a frame.
pub fn offload(header: &[u8; vnet::HEADER_LEN], frame: &[u8]) -> Result<Offload, SendError> {
    const KINDS: [u8; 4] = [0, 1, 4, 5];
    const ECN: u8 = 0x80;
    let headers = usize::from(u16::from_ne_bytes([header[2], header[3]]));
    if headers > frame.len() || !KINDS.contains(&(header[1] & !ECN)) {
        return Err(SendError::Malformed);
    }
    vnet::decode(header, frame, 0).map_err(|_| SendError::Malformed)
}

impl Packets {
    pub(super) fn send(&mut self, ip: &mut Ip, id: SocketId, send: &Send<'_>) -> Result<(), SendError> {
        let way = self.way(ip, id, send)?;
        way.judge(send.payload, &send.offload)?;
        if !self.has_room(id) {
            return Err(SendError::Full);
        }
        let (prefix, len) = (way.prefix(), way.prefix() + send.payload.len());
        let mut buffer = ip.buffers.take(len);
        buffer[prefix..len].copy_from_slice(send.payload);
        self.put_out(ip, id, &way, OutFrame { buffer, len, offload: send.offload })
    }

    /// Sends what the program has put into its ring. How many bytes, and how far; `None` if there is no ring.
    pub(super) fn send_ring(
        &mut self,
        ip: &mut Ip,
        id: SocketId,
        send: &Send<'_>,
    ) -> Option<Result<(usize, Progress), SendError>> {
        self.sockets.get(id)?.transmit.as_ref()?;
        Some(self.way(ip, id, send).and_then(|way| self.send_slots(ip, id, &way)))
    }

    fn send_slots(&mut self, ip: &mut Ip, id: SocketId, way: &Way) -> Result<(usize, Progress), SendError> {
        let mut bytes = 0;
        for _ in 0..TURN {
            let has_room = self.has_room(id);
            let socket = self.sockets.get_mut(id).ok_or(SendError::Closed)?;
            let (options, cooked) = (socket.options, socket.cooked);
            let Some(ring) = &mut socket.transmit else { return Ok((bytes, Progress::Done)) };
            let virtual_header = options.virtual_header;
            let most = way.mtu + ethernet::HEADER_LEN + ethernet::TAG_LEN - way.prefix();
            let rules =
                Rules { cooked, placed: options.placed, most: if virtual_header > 0 { MAX_SUPER_FRAME } else { most } };
            let Some(claim) = ring.next(&rules) else { return Ok((bytes, Progress::Done)) };
            if !has_room {
                self.sockets.block(id);
                return Ok((bytes, Progress::Full));
            }
            let memory = ring.memory();
            let sent = claim.and_then(|Claim { at, len }| {
                let len = len.checked_sub(virtual_header).ok_or(SendError::Malformed)?;
                let mut header = [0; vnet::HEADER_LEN];
                // What stands behind the fields is of no use to a frame that is sent.
                memory.read(at, &mut header[..virtual_header.min(vnet::HEADER_LEN)]);
                let (prefix, whole) = (way.prefix(), way.prefix() + len);
                if whole > MAX_SUPER_FRAME {
                    return Err(SendError::MessageSize);
                }
                let mut buffer = ip.buffers.take(whole);
                let copy = &mut buffer[prefix..whole];
                memory.read(at + virtual_header, copy);
                match offload(&header, copy).and_then(|offload| way.judge(copy, &offload).map(|()| offload)) {
                    Ok(offload) => Ok((OutFrame { buffer, len: whole, offload }, len)),
                    Err(error) => {
                        ip.buffers.give(buffer);
                        Err(error)
                    }
                }
            });
            let sent = sent.and_then(|(frame, len)| self.put_out(ip, id, way, frame).map(|()| len));
            let Some(ring) = self.sockets.get_mut(id).and_then(|socket| socket.transmit.as_mut()) else { break };
            match sent {
                Ok(len) => {
                    bytes += len;
                    ring.advance();
                }
                Err(_) if options.loss => {
                    ring.advance();
                    ip.counters.drop(Drop::PacketLoss);
                }
                Err(error) => {
                    ring.refuse();
                    return Err(error);
                }
            }
        }
        Ok((bytes, Progress::More))
    }

    fn way(&self, ip: &Ip, id: SocketId, send: &Send<'_>) -> Result<Way, SendError> {
        let socket = self.sockets.get(id).ok_or(SendError::Closed)?;
        let port = send.port.or(socket.port).ok_or(SendError::NoPort)?;
        let state = ip.find_port(port).ok_or(SendError::NoPort)?;
        if !state.is_up() {
            return Err(SendError::Down);
        }
        let protocol = if send.protocol == 0 { socket.protocol } else { send.protocol };
        let to = send.to.or(port.is_loopback().then_some(MacAddr([0; 6])));
        let link = || to.map(|dst| ethernet::Repr { dst, src: state.mac, vlan: None, ether_type: EtherType(protocol) });
        Ok(Way {
            port,
            mtu: usize::from(state.mtu),
            capabilities: state.capabilities,
            unseen: socket.options.unseen,
            link: socket.cooked.then(link),
        })
    }

    /// Whether the socket may send one more; if not, it is told when it is worth trying again.
    fn has_room(&mut self, id: SocketId) -> bool {
        // Room for one more is enough, as in the kernel: no frame is too long for a small buffer.
        let full = |packets: &Packets| {
            let socket = packets.sockets.get(id)?;
            Some(socket.sending >= socket.options.send_buffer || packets.outgoing.memory() >= packets.limit)
        };
        let full = full(self).unwrap_or(true);
        if full {
            self.sockets.block(id);
        }
        !full
    }

    /// Lets a frame wait for its device, cut and summed up as far as that does not do it by itself.
    fn put_out(&mut self, ip: &mut Ip, id: SocketId, way: &Way, mut frame: OutFrame) -> Result<(), SendError> {
        if let Some(Some(link)) = way.link {
            link.emit(&mut frame.buffer);
        }
        let whole = TxFrame { header: &frame.buffer[..frame.len], payload: &[], offload: frame.offload };
        if !is_true(&whole) {
            ip.buffers.give(frame.buffer);
            return Err(SendError::Malformed);
        }
        if can_take(way.capabilities, &frame.offload) {
            self.push(id, way, frame);
            return Ok(());
        }
        let pieces = cut(&whole);
        ip.buffers.give(frame.buffer);
        for buffer in pieces? {
            self.push(id, way, OutFrame { len: buffer.len(), buffer, offload: Offload::default() });
        }
        Ok(())
    }

    fn push(&mut self, from: SocketId, way: &Way, frame: OutFrame) {
        let waiting = Waiting { frame, from, unseen: way.unseen };
        if let Some(socket) = self.sockets.get_mut(from) {
            socket.sending += waiting.cost();
        }
        self.outgoing.push(way.port, waiting);
    }

    /// Hands what waits to the devices, as far as they take it, and shows it to those who look.
    pub(crate) fn transmit(&mut self, now: Instant, ip: &mut Ip, egress: &mut dyn Egress) {
        let mut left = false;
        for port in self.outgoing.ports() {
            while let Some(waiting) = self.outgoing.pop(port) {
                let frame = TxFrame { header: waiting.frame.bytes(), payload: &[], offload: waiting.frame.offload };
                if !ip.port(port).is_up() {
                    ip.counters.drop(Drop::LinkDown);
                    self.fail(waiting.from, SendError::Down);
                } else if egress.transmit(port, &frame).is_err() {
                    self.outgoing.give_back(port, waiting);
                    break;
                } else {
                    if !waiting.unseen && self.is_watching() {
                        self.see_leaving(now, port, &frame, Some(waiting.from));
                    }
                    ip.counters.link_frames_sent += 1;
                }
                if let Some(socket) = self.sockets.get_mut(waiting.from) {
                    socket.sending = socket.sending.saturating_sub(waiting.cost());
                }
                left = true;
                ip.buffers.give(waiting.frame.buffer);
            }
        }
        if left {
            self.sockets.handle_room();
        }
    }

    /// Something went wrong after its call had ended: the next one is told.
    pub(super) fn fail(&mut self, id: SocketId, error: SendError) {
        if let Some(socket) = self.sockets.get_mut(id) {
            socket.error = Some(error);
            self.sockets.notify(id);
        }
    }

    /// Whether anything waits for a device.
    pub(crate) fn is_sending(&self) -> bool {
        !self.outgoing.is_empty()
    }
}

/// The pieces of a frame, each ready for a wire.
fn cut(whole: &TxFrame<'_>) -> Result<Vec<Vec<u8>>, SendError> {
    if let Some(cut) = whole.offload.segmentation
        && whole.len().saturating_sub(usize::from(cut.header_len)) > usize::from(cut.size) * MAX_PIECES
    {
        return Err(SendError::Malformed);
    }
    let mut pieces = Segments::new(whole).map_err(|_| SendError::Malformed)?;
    let (mut cut, mut piece) = (Vec::new(), Vec::new());
    while pieces.next_into(&mut piece).map_err(|_| SendError::Malformed)? {
        cut.push(std::mem::take(&mut piece));
    }
    Ok(cut)
}

/// Whether what is to be done to a frame does not contradict it.
fn is_true(frame: &TxFrame<'_>) -> bool {
    let inside = match frame.offload.checksum {
        Checksum::Partial { start, offset } => usize::from(start) + usize::from(offset) + 2 <= frame.len(),
        Checksum::Present | Checksum::Verified => frame.offload.segmentation.is_none(),
    };
    inside && (frame.offload.segmentation.is_none() || Segments::new(frame).is_ok())
}

/// Whether a device does by itself all that is to be done to a frame.
fn can_take(capabilities: Capabilities, offload: &Offload) -> bool {
    match offload.segmentation.map(|cut| cut.kind) {
        None => capabilities.checksum || !matches!(offload.checksum, Checksum::Partial { .. }),
        Some(SegmentKind::TcpV4) => capabilities.tcp_v4,
        Some(SegmentKind::TcpV6) => capabilities.tcp_v6,
        Some(SegmentKind::Udp) => capabilities.udp,
    }
}
