//! The part of the pump that raw and echo sockets have: packets, and addresses without ports.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use sockeye_control::Address;
use sockeye_control::datagram::Header;
use sockeye_socket::{Errno, SocketId};
use sockeye_stack::PortId;
use sockeye_stack::raw::{self, Kind};

use super::Message;
use super::ancillary::{self, Arrival, Attached};
use crate::boundary::Context;

/// Sends what a message holds.
pub(super) fn send(
    context: &mut Context<'_>,
    socket: SocketId,
    body: raw::SocketId,
    header: &Header,
    control: &[u8],
    payload: &[u8],
) -> Result<(), Errno> {
    let to = header.remote.map(|address| address.internet().ok_or(Errno::EAFNOSUPPORT)).transpose()?;
    let settings = context.host.settings(socket).ok_or(Errno::EBADF)?;
    // Over IPv6 the port, where there is one, is the protocol once more.
    if let (Some(SocketAddr::V6(to)), Some(Kind::Protocol(protocol))) = (to, settings.raw.map(|raw| raw.kind))
        && to.port() != 0
        && protocol != 255
        && to.port() != u16::from(protocol)
    {
        return Err(Errno::EINVAL);
    }
    let scope = match to {
        Some(SocketAddr::V6(to)) if to.ip().is_unicast_link_local() || to.ip().is_multicast() => to.scope_id(),
        _ => 0,
    };
    let Attached { from, port, ttl, tos, .. } = Attached::read(control, settings, settings.ipv6.is_none())?;
    let port = if port != 0 { port } else { scope };
    let port = match u16::try_from(port).map_err(|_| Errno::ENODEV)? {
        0 => None,
        index => Some(PortId::from_index(index)),
    };
    let to = to.map(|address| context.host.inward(socket, address)).transpose()?.map(|to| to.ip());
    let send = raw::Send { to, from, port, ttl, tos, payload };
    Ok(context.host.stack_mut().raw_send(context.now, body, &send)?)
}

/// The next packet of a socket; `control` is memory for its control messages.
pub(super) fn receive(
    context: &mut Context<'_>,
    socket: SocketId,
    body: raw::SocketId,
    mut control: Vec<u8>,
) -> Option<Message> {
    let received = context.host.stack_mut().raw_recv(body)?;
    let settings = context.host.settings(socket)?;
    let raw::Received { to, ttl, tos, timestamp: at, .. } = received;
    let arrival = Arrival { at, to: SocketAddr::new(to, 0), port: received.port.index() as u32, ttl, tos };
    ancillary::list(&mut control, settings, context.now, &arrival);
    let header = Header::data(Some(Address::Internet(from(&received))));
    Some(Message { header, control, data: received.data })
}

/// Whom a packet is from; of a link's address also on which link.
fn from(received: &raw::Received) -> SocketAddr {
    match received.from {
        IpAddr::V6(address) if address.is_unicast_link_local() => {
            SocketAddrV6::new(address, 0, 0, received.port.interface_index()).into()
        }
        address => SocketAddr::new(address, 0),
    }
}
