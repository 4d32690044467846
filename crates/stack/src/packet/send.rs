//! Frames out, as their sender made them.
//!
//! The rules are Linux's: a whole link header at least, the port's MTU behind it at most (a VLAN tag comes on top), and of a port that is
//! not there or down the sender is told. What a device cannot do by itself (a checksum, a cut) is done here.

use super::{Outgoing, Packets, SocketId};
use crate::Egress;
use crate::ip::Ip;
use crate::port::{OutFrame, PortId};
use sockeye_device::segment::Segments;
use sockeye_device::{Capabilities, Checksum, Instant, MAX_SUPER_FRAME, Offload, SegmentKind, TxFrame};
use sockeye_wire::{EtherType, MacAddr, ethernet};

/// A frame to send.
#[derive(Clone, Copy, Debug, Default)]
pub struct Send<'a> {
    /// By which port; none for the one that the socket is bound to.
    pub port: Option<PortId>,
    /// What it carries; 0 for what the socket is bound to. For a socket without link header.
    pub protocol: u16,
    /// To whom. For a socket without link header.
    pub to: MacAddr,
    /// What a device is still to do to it.
    pub offload: Offload,
    /// The frame, or what it carries.
    pub payload: &'a [u8],
}

/// Why a frame was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The socket's send buffer is full. An event comes when it is worth trying again.
    Full,
    /// There is no socket of that identity.
    Closed,
    /// There is no such port, or the socket is bound to none.
    NoPort,
    /// The port is down.
    Down,
    /// No whole link header, or what is to be done to it contradicts it.
    Malformed,
    /// Longer than the port carries.
    MessageSize,
}

impl Packets {
    pub(super) fn send(&mut self, ip: &mut Ip, id: SocketId, send: &Send<'_>) -> Result<(), SendError> {
        let socket = self.sockets.get_mut(id).ok_or(SendError::Closed)?;
        let port = send.port.or(socket.port).ok_or(SendError::NoPort)?;
        let state = ip.find_port(port).ok_or(SendError::NoPort)?;
        if !state.is_up() {
            return Err(SendError::Down);
        }
        let (mtu, capabilities, mac) = (usize::from(state.mtu), state.capabilities, state.mac);
        let protocol = if send.protocol == 0 { socket.protocol } else { send.protocol };
        let prefix = if socket.cooked { ethernet::HEADER_LEN } else { 0 };
        let len = prefix + send.payload.len();
        if len > MAX_SUPER_FRAME {
            return Err(SendError::MessageSize);
        }
        if len < ethernet::HEADER_LEN {
            return Err(SendError::Malformed);
        }
        if send.offload.segmentation.is_none() {
            let tagged = !socket.cooked && send.payload[12..14] == EtherType::VLAN.0.to_be_bytes();
            let most = mtu + ethernet::HEADER_LEN + if tagged { ethernet::TAG_LEN } else { 0 };
            if len > most {
                return Err(SendError::MessageSize);
            }
        }
        // Room for one more is enough, as in the kernel: no frame is too long for a small buffer.
        if socket.sending >= socket.options.send_buffer {
            self.sockets.block(id);
            return Err(SendError::Full);
        }
        let unseen = socket.options.unseen;
        let mut buffer = ip.buffers.take(len);
        if socket.cooked {
            let header = ethernet::Repr { dst: send.to, src: mac, vlan: None, ether_type: EtherType(protocol) };
            header.emit(&mut buffer);
        }
        buffer[prefix..len].copy_from_slice(send.payload);
        let mut charged = 0;
        let whole = TxFrame { header: &buffer[..len], payload: &[], offload: send.offload };
        if !is_true(&whole) {
            ip.buffers.give(buffer);
            return Err(SendError::Malformed);
        }
        if can_take(capabilities, &send.offload) {
            charged += buffer.len();
            let frame = OutFrame { buffer, len, offload: send.offload };
            self.outgoing.push_back(Outgoing { port, frame, from: id, unseen });
        } else {
            let mut pieces = Segments::new(&whole).map_err(|_| SendError::Malformed)?;
            let mut cut = Vec::new();
            let mut piece = Vec::new();
            while pieces.next_into(&mut piece).map_err(|_| SendError::Malformed)? {
                charged += piece.len();
                cut.push(std::mem::take(&mut piece));
            }
            for buffer in cut {
                let frame = OutFrame { len: buffer.len(), buffer, offload: Offload::default() };
                self.outgoing.push_back(Outgoing { port, frame, from: id, unseen });
            }
            ip.buffers.give(buffer);
        }
        if let Some(socket) = self.sockets.get_mut(id) {
            socket.sending += charged;
        }
        Ok(())
    }

    /// Hands what waits to the devices, as far as they take it, and shows it to those who look.
    pub(crate) fn transmit(&mut self, now: Instant, ip: &mut Ip, egress: &mut dyn Egress) -> usize {
        let mut full: Vec<PortId> = Vec::new();
        let mut sent = 0;
        for _ in 0..self.outgoing.len() {
            let Some(out) = self.outgoing.pop_front() else { break };
            let frame = TxFrame { header: out.frame.bytes(), payload: &[], offload: out.frame.offload };
            let down = !ip.port(out.port).is_up();
            if !down && (full.contains(&out.port) || egress.transmit(out.port, &frame).is_err()) {
                // The order of each port's is kept.
                full.push(out.port);
                self.outgoing.push_back(out);
                continue;
            }
            if !down && !out.unseen && self.is_watching() {
                self.see_leaving(now, out.port, &frame, Some(out.from));
            }
            sent += 1;
            let Outgoing { frame, from, .. } = out;
            if let Some(socket) = self.sockets.get_mut(from) {
                socket.sending = socket.sending.saturating_sub(frame.buffer.len());
            }
            ip.buffers.give(frame.buffer);
        }
        if sent > 0 {
            self.sockets.handle_room();
        }
        ip.counters.link_frames_sent += sent as u64;
        sent
    }

    /// Whether anything waits for a device.
    pub(crate) fn is_sending(&self) -> bool {
        !self.outgoing.is_empty()
    }
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
