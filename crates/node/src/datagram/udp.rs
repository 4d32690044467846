//! UDP's part of the pump: datagrams to and from ports.

use sockeye_control::Address;
use sockeye_control::datagram::Header;
use sockeye_socket::{Errno, SocketId, scoped};
use sockeye_stack::udp;

use super::Message;
use super::ancillary::{self, Arrival, Attached};
use crate::boundary::Context;

/// Sends what a message holds: one datagram, or several where the program asked for segmentation.
pub(super) fn send(
    context: &mut Context<'_>,
    socket: SocketId,
    header: &Header,
    control: &[u8],
    payload: &[u8],
) -> Result<(), Errno> {
    let body = context.host.opened(context.now, socket)?;
    let to = header.remote.map(|address| address.internet().ok_or(Errno::EAFNOSUPPORT)).transpose()?;
    if to.is_some_and(|to| to.port() == 0) {
        return Err(Errno::EINVAL);
    }
    let device = to.map(|to| context.host.zone(socket, to)).transpose()?.flatten();
    let to = to.map(|address| context.host.inward(socket, address)).transpose()?;
    let attached = if control.is_empty() {
        Attached::default()
    } else {
        let settings = context.host.settings(socket).ok_or(Errno::EBADF)?;
        let v4 = to.or_else(|| context.host.stack().udp_remote(body)).is_some_and(|to| to.is_ipv4());
        Attached::read(control, settings, v4)?
    };
    let Attached { from, ttl, tos, segment, .. } = attached;
    let size = if segment == 0 { payload.len().max(1) } else { usize::from(segment) };
    let mut pieces = payload.chunks(size);
    let mut next = Some(pieces.next().unwrap_or(&[]));
    while let Some(piece) = next {
        let send = udp::Send { to, from, device, ttl, tos, payload: &[piece] };
        context.host.stack_mut().udp_send(context.now, body, &send)?;
        next = pieces.next();
    }
    Ok(())
}

/// The next datagram of a port; `control` is memory for its control messages.
pub(super) fn receive(
    context: &mut Context<'_>,
    socket: SocketId,
    body: udp::SocketId,
    mut control: Vec<u8>,
) -> Option<Message> {
    let received = context.host.stack_mut().udp_recv(body)?;
    let settings = context.host.settings(socket)?;
    let udp::Received { to, ttl, tos, timestamp: at, .. } = received;
    let arrival = Arrival { at, to, port: received.port.index() as u32, ttl, tos };
    ancillary::list(&mut control, settings, context.now, &arrival);
    let header = Header::data(Some(Address::Internet(scoped(settings.outward(received.from), Some(received.port)))));
    Some(Message { header, control, data: received.data })
}
