//! A packet socket's part of the pump: frames to and from ports, as they stand.

use sockeye_control::ancillary::put;
use sockeye_control::datagram::{Header, Kind};
use sockeye_control::{Address, LinkAddress};
use sockeye_device::{Checksum, SegmentKind, SharedBytes};
use sockeye_socket::names::{PACKET_AUXDATA, SOL_PACKET};
use sockeye_socket::{Body, Errno, SocketId};
use sockeye_stack::packet::ring::{CONTROL_ARMED, CONTROL_LAST, CONTROL_LEN, Memory};
use sockeye_stack::packet::{self, PacketType, Progress, Received};

use super::{Delivery, Message, ancillary, deliver};
use crate::boundary::Context;
use crate::end::{End, Fate};

/// A ring's memory, as the stack has it.
#[derive(Debug)]
pub(crate) struct RingMemory(pub(crate) SharedBytes);

impl Memory for RingMemory {
    fn load(&self, at: usize) -> u32 {
        self.0.load(at)
    }
    fn store(&self, at: usize, value: u32) {
        self.0.store(at, value);
    }
    fn write(&self, at: usize, bytes: &[u8]) {
        self.0.write(at, bytes);
    }
    fn read(&self, at: usize, bytes: &mut [u8]) {
        self.0.read(at, bytes);
    }
}

// The shim finds in the page behind the rings what the stack writes there.
const _: () = assert!(
    sockeye_control::ring::LEN == CONTROL_LEN
        && sockeye_control::ring::LAST == CONTROL_LAST
        && sockeye_control::ring::ARMED == CONTROL_ARMED
);

/// Lets the program's descriptor poll readable, if its ring has something and it wants to know.
pub(super) fn signal(end: &mut End, context: &mut Context<'_>, body: packet::SocketId) -> Fate {
    if !context.host.stack_mut().packet_take_signal(body) {
        return Fate::Keep;
    }
    let ready = Header { kind: Kind::Ready, ..Header::data(None) };
    match deliver(end, context, ready, &mut [], &[]) {
        Delivery::Done => Fate::Keep,
        Delivery::NoRoom => {
            // It polls readable anyhow.
            context.host.stack_mut().packet_keep_signal(body);
            Fate::Keep
        }
        Delivery::Gone => Fate::Close,
    }
}

/// Sends a frame, or what a frame is to carry. Where there is a ring, that is what is sent, whatever comes along.
pub(super) fn send(context: &mut Context<'_>, socket: SocketId, header: &Header, payload: &[u8]) -> Result<(), Errno> {
    loop {
        match send_ring(context, socket, header.remote)? {
            // Its send buffer is a bound.
            Some((_, Progress::More)) => {}
            Some((_, Progress::Done)) => return Ok(()),
            Some((_, Progress::Full)) => return Err(Errno::EAGAIN),
            None => {
                let to = header.remote.map(link).transpose()?;
                return context.host.packet_send(socket, to.as_ref().map(destination), payload);
            }
        }
    }
}

/// Sends what stands in a socket's ring: how many bytes of frames, and how far. None if it has no such ring.
pub(crate) fn send_ring(
    context: &mut Context<'_>,
    socket: SocketId,
    to: Option<Address>,
) -> Result<Option<(usize, Progress)>, Errno> {
    let to = to.map(link).transpose()?;
    context.host.packet_send_ring(socket, to.as_ref().map(destination))
}

/// Whether a socket waits for room to send in.
pub(super) fn is_blocked(context: &Context<'_>, socket: SocketId) -> bool {
    let Some(Body::Packet(body)) = context.host.body(socket) else { return false };
    context.host.stack().packet_is_blocked(body)
}

fn link(address: Address) -> Result<LinkAddress, Errno> {
    address.link().ok_or(Errno::EINVAL)
}

fn destination(to: &LinkAddress) -> (u16, u32, &[u8]) {
    // What is said to be longer than there is room for cannot be meant.
    let address = to.address.get(..usize::from(to.len).max(6)).unwrap_or_default();
    (to.protocol, to.port, address)
}

/// The next frame that a socket saw; `control` is memory for its control messages.
pub(super) fn receive(
    context: &mut Context<'_>,
    socket: SocketId,
    body: packet::SocketId,
    mut control: Vec<u8>,
) -> Option<Message> {
    let received = context.host.stack_mut().packet_recv(body)?;
    let settings = context.host.settings(socket)?;
    if let Some(kind) = settings.timestamp {
        ancillary::time(&mut control, kind, context.now, received.timestamp);
    }
    if context.host.wants_auxiliary(socket) {
        put(&mut control, SOL_PACKET, PACKET_AUXDATA, &auxiliary(&received));
    }
    let mut data = received.data;
    if let Some(header) = received.virtual_header {
        data.splice(..0, header.as_bytes().iter().copied());
    }
    let mut address = [0; 8];
    address[..6].copy_from_slice(&received.source.0);
    let from = LinkAddress {
        protocol: received.protocol,
        port: received.port.interface_index(),
        hardware: received.hardware,
        packet: received.kind as u8,
        len: 6,
        address,
    };
    let header = Header::data(Some(Address::Link(from)));
    Some(Message { header, control, data, at: Some(received.timestamp) })
}

/// `struct tpacket_auxdata`.
fn auxiliary(received: &Received) -> [u8; 20] {
    const USER: u32 = 1;
    const CHECKSUM_NOT_READY: u32 = 1 << 3;
    const VLAN_VALID: u32 = 1 << 4 | 1 << 6;
    const CHECKSUM_VALID: u32 = 1 << 7;
    const GSO_TCP: u32 = 1 << 8;
    let mut status = USER;
    match received.offload.checksum {
        Checksum::Partial { .. } => status |= CHECKSUM_NOT_READY,
        Checksum::Verified if received.kind != PacketType::Outgoing => status |= CHECKSUM_VALID,
        Checksum::Present | Checksum::Verified => {}
    }
    if matches!(received.offload.segmentation, Some(cut) if cut.kind != SegmentKind::Udp) {
        status |= GSO_TCP;
    }
    let (control, protocol) = received.vlan.map_or((0, 0), |tag| (tag.control, tag.protocol));
    if received.vlan.is_some() {
        status |= VLAN_VALID;
    }
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&status.to_ne_bytes());
    bytes[4..8].copy_from_slice(&(received.len as u32).to_ne_bytes());
    bytes[8..12].copy_from_slice(&(received.data.len() as u32).to_ne_bytes());
    bytes[14..16].copy_from_slice(&(received.network as u16).to_ne_bytes());
    bytes[16..18].copy_from_slice(&control.to_ne_bytes());
    bytes[18..20].copy_from_slice(&protocol.to_ne_bytes());
    bytes
}
