//! The part of the pump that raw and echo sockets have: packets, and addresses without ports.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use sockeye_control::Address;
use sockeye_control::datagram::Header;
use sockeye_socket::{Errno, Privilege, SocketId};
use sockeye_stack::raw::{self, Kind};

use super::Message;
use super::ancillary::{self, Arrival};
use super::wishes::Wishes;
use crate::boundary::Context;

/// Sends what a message holds.
pub(super) fn send(
    context: &mut Context<'_>,
    socket: SocketId,
    body: raw::SocketId,
    header: &Header,
    who: Privilege,
    (control, payload): (&[u8], &[u8]),
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
    let wishes = Wishes::of(context.host, socket, (to, settings.ipv6.is_none()), who, control)?;
    let to = to.map(|address| context.host.inward(socket, address)).transpose()?.map(|to| to.ip());
    let send = raw::Send {
        to,
        from: wishes.from,
        port: wishes.device,
        ttl: wishes.ttl,
        tos: wishes.tos,
        fragmentation: wishes.fragmentation,
        options: &wishes.options,
        headers: wishes.headers.as_deref(),
        flow_label: wishes.flow_label,
        to_neighbor: header.to_neighbor,
        payload,
    };
    Ok(context.host.stack_mut().raw_send(context.now, body, &send)?)
}

/// The next packet of a socket; `control` is memory for its control messages.
pub(super) fn receive(
    context: &mut Context<'_>,
    socket: SocketId,
    body: raw::SocketId,
    mut control: Vec<u8>,
) -> Option<Message> {
    if let Some((to, mtu)) = context.host.stack_mut().raw_take_path_mtu(body) {
        return Some(ancillary::path_mtu(to, mtu, control));
    }
    let received = context.host.stack_mut().raw_recv(body)?;
    let settings = context.host.settings(socket)?;
    let raw::Received { to, ttl, tos, timestamp: at, lost, fragment_size, ref headers, .. } = received;
    let port = received.port.interface_index();
    let to = SocketAddr::new(to, 0);
    let arrival = Arrival { at, to, port, ttl, tos, lost, segment: 0, fragment_size, error: false, headers };
    ancillary::list(&mut control, settings, context.now, &arrival);
    let header = Header::data(Some(Address::Internet(from(&received))));
    Some(Message { header, control, data: received.data, at: Some(at) })
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
