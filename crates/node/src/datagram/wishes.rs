//! How a message shall go: what the program attached to it, and where it said nothing, what its socket has for all.
//!
//! Extension headers that are attached replace all of the socket's. The interface is the attached one, else that of the destination's scope, else
//! the socket's (`IPV6_PKTINFO`).
//!
//! RFC 3542 §6.7, §7 to §9; Linux ipv6(7), ip(7).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use sockeye_socket::settings::Switch;
use sockeye_socket::{Errno, Host, Privilege, SocketId};
use sockeye_stack::family::FLOW_LABEL;
use sockeye_stack::ipv6::Headers;
use sockeye_stack::{Fragmentation, PortId};

use super::ancillary::Attached;

/// How a message shall go.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes {
    pub(super) from: Option<IpAddr>,
    pub(super) device: Option<PortId>,
    pub(super) ttl: Option<u8>,
    pub(super) tos: Option<u8>,
    pub(super) fragmentation: Option<Fragmentation>,
    pub(super) options: Vec<u8>,
    pub(super) headers: Option<Arc<Headers>>,
    pub(super) flow_label: Option<u32>,
    /// Bytes of each of several datagrams; 0: it is one.
    pub(super) segment: u16,
}

impl Wishes {
    /// Those of a message to `remote` (of the program's own words; none: the socket's peer), over IPv4 or not, from a socket that `who` made.
    pub(super) fn of(
        host: &Host,
        socket: SocketId,
        (remote, v4): (Option<SocketAddr>, bool),
        who: Privilege,
        control: &[u8],
    ) -> Result<Wishes, Errno> {
        let settings = host.settings(socket).ok_or(Errno::EBADF)?;
        let advanced = &settings.advanced;
        let attached =
            if control.is_empty() { Attached::default() } else { Attached::read(control, settings, who, v4)? };
        let sticky = advanced.packet_info.filter(|_| !v4);
        let flow = match remote {
            Some(SocketAddr::V6(to)) => to.flowinfo() & FLOW_LABEL,
            Some(SocketAddr::V4(_)) => 0,
            None => advanced.flow_label,
        };
        let zone = remote.map(|remote| host.zone(socket, remote)).transpose()?.flatten();
        let device = match (attached.port, zone, sticky) {
            (0, None, Some((_, port))) => port_of(host, port)?,
            (0, zone, _) => zone,
            (port, ..) => port_of(host, port)?,
        };
        let named = if advanced.is_on(Switch::SENDS_FLOW) { flow } else { 0 };
        // None that is said is one of the stack's making.
        let flow_label = Some(attached.flow_label.unwrap_or(named)).filter(|&label| label != 0);
        // What the socket was connected with was looked at then.
        let is_said = remote.is_some() || !control.is_empty();
        if flow_label.is_some_and(|label| is_said && !v4 && !host.may_send_label(socket, label)) {
            return Err(Errno::EINVAL);
        }
        let own = Headers::new(&attached.headers).map_err(|_| Errno::EINVAL)?.map(Arc::new);
        let is_whole = attached.dont_fragment.unwrap_or(!v4 && advanced.is_on(Switch::DONT_FRAGMENT));
        let mut options = attached.options.unwrap_or_default();
        if options.is_empty() && v4 && !advanced.options.is_empty() {
            options.clone_from(&advanced.options);
        }
        Ok(Wishes {
            from: attached.from.or_else(|| sticky.map(|(from, _)| from.into())).filter(|from| !from.is_unspecified()),
            device,
            ttl: attached.ttl,
            tos: attached.tos,
            fragmentation: is_whole.then_some(Fragmentation::Never),
            options,
            headers: if v4 { None } else { own.or_else(|| advanced.headers.clone()) },
            flow_label,
            segment: attached.segment.unwrap_or(advanced.segment),
        })
    }
}

/// The port that programs know by that number; none for 0.
pub(super) fn port_of(host: &Host, index: u32) -> Result<Option<PortId>, Errno> {
    if index == 0 {
        return Ok(None);
    }
    let port = PortId::from_interface_index(index);
    port.filter(|&port| host.stack().ports().any(|(known, _)| known == port)).map(Some).ok_or(Errno::ENODEV)
}
