//! UDP's part of the pump: datagrams to and from ports.

use std::net::SocketAddr;

use sockeye_control::Address;
use sockeye_control::datagram::Header;
use sockeye_socket::{Errno, SocketId};
use sockeye_stack::udp;

use super::{Message, wanted};
use crate::boundary::Context;

/// Sends what a message holds: one datagram, or several where the program asked for segmentation.
pub(super) fn send(context: &mut Context<'_>, socket: SocketId, header: &Header, payload: &[u8]) -> Result<(), Errno> {
    let body = context.host.opened(context.now, socket)?;
    let to = header.remote.map(|address| address.internet().ok_or(Errno::EAFNOSUPPORT)).transpose()?;
    if to.is_some_and(|to| to.port() == 0) {
        return Err(Errno::EINVAL);
    }
    let inward = |address: Option<SocketAddr>| address.map(|address| context.host.inward(socket, address)).transpose();
    let (to, from) = (inward(to)?, inward(header.local)?.map(|local| local.ip()));
    let size = if header.segment == 0 { payload.len().max(1) } else { usize::from(header.segment) };
    let mut pieces = payload.chunks(size);
    let mut next = Some(pieces.next().unwrap_or(&[]));
    while let Some(piece) = next {
        let send = udp::Send { to, from, ttl: header.ttl, tos: header.tos, payload: &[piece] };
        context.host.stack_mut().udp_send(context.now, body, &send)?;
        next = pieces.next();
    }
    Ok(())
}

/// The next datagram of a port.
pub(super) fn receive(context: &mut Context<'_>, socket: SocketId, body: udp::SocketId) -> Option<Message> {
    let received = context.host.stack_mut().udp_recv(body)?;
    let settings = context.host.settings(socket)?;
    let (wanted, timestamp) = wanted(settings, context.now, received.timestamp);
    let header = Header {
        wanted,
        local: Some(settings.outward(received.to)),
        port: received.port.index() as u32,
        ttl: Some(received.ttl),
        tos: Some(received.tos),
        timestamp,
        ..Header::data(Some(Address::Internet(settings.outward(received.from))))
    };
    Some(Message { header, data: received.data })
}
