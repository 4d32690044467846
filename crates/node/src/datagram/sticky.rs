//! IPV6_2292PKTOPTIONS: the extension headers of all packets of a socket, as one list of control messages.
//!
//! The list replaces all that was set before, by whichever option; an empty one takes all away. What else it may hold of a packet is judged, and not
//! kept, as on Linux.
//!
//! # Standards
//!
//! RFC 2292 §4, §6 to §8 (of which RFC 3542 made options); Linux ipv6(7).

use sockeye_device::Instant;
use sockeye_socket::advanced::Sticky;
use sockeye_socket::{Errno, Host, Privilege, SocketId};
use sockeye_stack::ipv6::headers::Parts;

use super::ancillary::Attached;
use super::wishes::port_of;

/// setsockopt(2).
pub(crate) fn set(host: &mut Host, now: Instant, socket: SocketId, who: Privilege, list: &[u8]) -> Result<(), Errno> {
    let settings = host.settings(socket).ok_or(Errno::EBADF)?;
    let Attached { from, port, headers, .. } = Attached::read(list, settings, who, false)?;
    port_of(host, port)?;
    if from.is_some_and(|from| host.stack().port_of(from).is_none() && !from.is_loopback()) {
        return Err(Errno::EINVAL);
    }
    let Parts { hop_by_hop, stops, routing, destination } = headers;
    let [hop_by_hop, stops, routing, destination] =
        [hop_by_hop, stops, routing, destination].map(|header| header.map(<[u8]>::to_vec));
    host.set_sticky(now, socket, Sticky { hop_by_hop, stops, routing, destination })
}
