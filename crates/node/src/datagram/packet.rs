//! A packet socket's part of the pump: frames to and from ports, as they stand.

use sockeye_control::datagram::Header;
use sockeye_control::{Address, LinkAddress};
use sockeye_socket::{Errno, SocketId};
use sockeye_stack::packet;

use super::{Message, ancillary};
use crate::boundary::Context;

/// Sends a frame, or what a frame is to carry.
pub(super) fn send(context: &mut Context<'_>, socket: SocketId, header: &Header, payload: &[u8]) -> Result<(), Errno> {
    let to = header.remote.map(|address| address.link().ok_or(Errno::EINVAL)).transpose()?;
    let to = to.as_ref().map(|to| {
        // What is said to be longer than there is room for cannot be meant.
        let address = to.address.get(..usize::from(to.len).max(6)).unwrap_or_default();
        (to.protocol, to.port, address)
    });
    context.host.packet_send(context.now, socket, to, payload)
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
    Some(Message { header: Header::data(Some(Address::Link(from))), control, data: received.data })
}
