//! UDP's part of the pump, and UDP-Lite's: datagrams to and from ports.

use sockeye_control::Address;
use sockeye_control::datagram::Header;
use sockeye_socket::{Errno, Privilege, SocketId, scoped};
use sockeye_stack::udp;

use super::Message;
use super::ancillary::{self, Arrival};
use super::wishes::Wishes;
use crate::boundary::Context;

/// Sends what a message holds: one datagram, or several where the program asked for segmentation.
pub(super) fn send(
    context: &mut Context<'_>,
    socket: SocketId,
    header: &Header,
    who: Privilege,
    (control, payload): (&[u8], &[u8]),
    pieces_sent: &mut usize,
) -> Result<(), Errno> {
    let body = context.host.opened(context.now, socket)?;
    let remote = header.remote.map(|address| address.internet().ok_or(Errno::EAFNOSUPPORT)).transpose()?;
    if remote.is_some_and(|to| to.port() == 0) {
        return Err(Errno::EINVAL);
    }
    let to = remote.map(|address| context.host.inward(socket, address)).transpose()?;
    let v4 = to.or_else(|| context.host.stack().udp_remote(body)).is_some_and(|to| to.is_ipv4());
    let wishes = Wishes::of(context.host, socket, (remote, v4), who, control)?;
    // Nobody cuts what is covered in part.
    if wishes.segment != 0 && context.host.is_udp_lite(socket) {
        return Err(Errno::EIO);
    }
    // What no datagram can hold is refused whole, and not sent in segments.
    let size =
        if wishes.segment == 0 || payload.len() > MOST { payload.len().max(1) } else { usize::from(wishes.segment) };
    if payload.len().div_ceil(size) > MAX_SEGMENTS {
        return Err(Errno::EINVAL);
    }
    // An empty datagram is a piece, too.
    let pieces = payload.chunks(size).chain(payload.is_empty().then_some(payload));
    for piece in pieces.skip(*pieces_sent) {
        let send = udp::Send {
            to,
            from: wishes.from,
            ttl: wishes.ttl,
            tos: wishes.tos,
            device: wishes.device,
            fragmentation: wishes.fragmentation,
            options: &wishes.options,
            headers: wishes.headers.as_deref(),
            flow_label: wishes.flow_label,
            to_neighbor: header.to_neighbor,
            payload: &[piece],
        };
        match context.host.stack_mut().udp_send(context.now, body, &send) {
            Ok(()) => *pieces_sent += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The longest payload of a datagram.
const MOST: usize = 65_527;

/// Linux's `UDP_MAX_SEGMENTS`.
const MAX_SEGMENTS: usize = 128;

/// The next datagram of a port; `control` is memory for its control messages.
pub(super) fn receive(
    context: &mut Context<'_>,
    socket: SocketId,
    body: udp::SocketId,
    mut control: Vec<u8>,
) -> Option<Message> {
    if let Some((to, mtu)) = context.host.stack_mut().udp_take_path_mtu(body) {
        return Some(ancillary::path_mtu(to, mtu, control));
    }
    let received = context.host.stack_mut().udp_recv(body)?;
    let settings = context.host.settings(socket)?;
    let udp::Received { to, ttl, tos, timestamp: at, lost, segment, fragment_size, ref headers, .. } = received;
    let port = received.port.interface_index();
    ancillary::list(
        &mut control,
        settings,
        context.now,
        &Arrival { at, to, port, ttl, tos, lost, segment, fragment_size, error: false, headers },
    );
    let header = Header::data(Some(Address::Internet(scoped(settings.outward(received.from), Some(received.port)))));
    Some(Message { header, control, data: received.data, at: Some(at) })
}
