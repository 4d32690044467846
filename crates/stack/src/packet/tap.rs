//! A frame is shown to the sockets that want to see it.

use super::ring::{Frame, Put};
use super::view::{Seen, View, hardware, headers};
use super::{ALL_PROTOCOLS, OVERHEAD, PacketType, Packets, Received, SocketId, VirtualHeader, flow};
use crate::port::PortId;
use sockeye_device::vnet;
use sockeye_device::{Checksum, Instant, RxFrame, TxFrame};
use sockeye_filter::{Bytes, Packet};
use sockeye_wire::{MacAddr, ethernet};

impl Packets {
    /// A frame has arrived on a port whose station is `mac`.
    #[cold]
    pub(crate) fn see_arrived(&mut self, now: Instant, port: PortId, mac: MacAddr, frame: &RxFrame) {
        let Some(bytes) = frame.buffer.get(frame.range.clone()) else { return };
        if let Some(seen) = Seen::arrived(now, port, mac, bytes, frame.offload) {
            self.show(&seen, None);
        }
    }

    /// A frame leaves by a port; `from` whom, if it is a packet socket's.
    #[cold]
    pub(crate) fn see_leaving(&mut self, now: Instant, port: PortId, frame: &TxFrame<'_>, from: Option<SocketId>) {
        let view = View::new(frame.header, frame.payload);
        if let Some(seen) = Seen::leaving(now, port, view, frame.offload) {
            self.show(&seen, from);
        }
    }

    fn show(&mut self, seen: &Seen<'_>, from: Option<SocketId>) {
        for at in 0..self.active.len() {
            let index = self.active[at];
            if from.is_none_or(|from| from.index() != index as usize) {
                self.show_to(index, seen);
            }
        }
        if !self.groups.is_empty() {
            self.show_to_groups(seen, from);
        }
    }

    fn show_to(&mut self, index: u32, seen: &Seen<'_>) {
        let Some(socket) = self.sockets.at(index) else { return };
        let outgoing = seen.kind == PacketType::Outgoing;
        let wanted = if socket.protocol == ALL_PROTOCOLS {
            !(outgoing && socket.options.ignore_outgoing)
        } else {
            !outgoing && socket.protocol == seen.protocol
        };
        if wanted && socket.port.is_none_or(|port| port == seen.port) {
            self.give(index, seen);
        }
    }

    /// Gives a socket a frame that it wants to see, if its filter lets it through.
    pub(super) fn give(&mut self, index: u32, seen: &Seen<'_>) {
        let random = self.draw();
        let Some(socket) = self.sockets.at_mut(index) else { return };
        let all = socket.protocol == ALL_PROTOCOLS;
        let (kind, vlan) = if all { (seen.kind, seen.vlan) } else { seen.past_tag() };
        let headers = headers(socket.cooked);
        let len = seen.view.len().saturating_sub(headers.data);
        let mut kept = len;
        if let Some(filter) = &socket.filter {
            let metadata = seen.metadata(kind, vlan, random);
            let verdict = filter.run(&Packet::with_headers(&seen.view, headers, &metadata));
            if verdict == 0 {
                return;
            }
            kept = kept.min(verdict as usize);
        }
        let room = socket.options.virtual_header;
        let virtual_header = (room > 0).then(|| VirtualHeader::new(virtual_header(seen), room));
        let cost = kept + OVERHEAD;
        let has_room = socket.memory < socket.options.receive_buffer && self.memory + cost <= self.limit;
        if let Some(ring) = &mut socket.ring {
            let copied = socket.options.copy && has_room;
            let flow = if ring.wants_flows() { flow::hash(&self.key, seen) } else { 0 };
            let frame = Frame {
                seen,
                flow,
                kind,
                vlan,
                cooked: socket.cooked,
                from: headers.data,
                len,
                kept,
                copied,
                reserve: socket.options.reserve,
                virtual_header,
                time: self.epoch + seen.at.since(Instant::ZERO),
                losing: socket.statistics.is_losing(),
                now: seen.at,
            };
            match ring.put(&frame) {
                // It goes into the queue as well.
                Put::Done { cut: true, .. } if copied => {}
                Put::Done { ready, .. } => {
                    socket.statistics.packets = socket.statistics.packets.wrapping_add(1);
                    if ready {
                        self.sockets.notify_at(index);
                    }
                    return;
                }
                Put::Full => {
                    socket.statistics.drops = socket.statistics.drops.wrapping_add(1);
                    self.drops += 1;
                    return self.sockets.notify_at(index);
                }
            }
        }
        // As Linux: one more is taken while there is any room at all.
        if !has_room {
            socket.statistics.drops = socket.statistics.drops.wrapping_add(1);
            self.drops += 1;
            return;
        }
        let mut data = self.spare.pop().unwrap_or_default();
        data.clear();
        data.reserve(kept);
        seen.view.pieces(headers.data, kept).for_each(|piece| data.extend_from_slice(piece));
        socket.statistics.packets = socket.statistics.packets.wrapping_add(1);
        socket.memory += cost;
        self.memory += cost;
        socket.queue.push_back(Received {
            port: seen.port,
            hardware: hardware(seen.port),
            kind,
            protocol: seen.protocol,
            source: seen.source,
            offload: seen.offload,
            vlan,
            len,
            network: ethernet::HEADER_LEN - headers.data,
            timestamp: seen.at,
            virtual_header,
            data,
        });
        self.sockets.notify_at(index);
    }
}

/// What is still to be done to a frame, in the words of virtio.
fn virtual_header(seen: &Seen<'_>) -> [u8; vnet::HEADER_LEN] {
    // As far as TCP's flags, which a super-frame's are looked at.
    let mut head = [0; 128];
    let mut len = 0;
    for piece in seen.view.pieces(0, head.len()) {
        head[len..len + piece.len()].copy_from_slice(piece);
        len += piece.len();
    }
    let mut header = vnet::encode(&seen.offload, &head[..len]);
    if seen.offload.checksum == Checksum::Verified && seen.kind != PacketType::Outgoing {
        header[0] |= vnet::CHECKSUM_VALID;
    }
    header
}
