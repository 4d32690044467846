//! What a stream's options tell of what came, asked for by getsockopt: a stream has no messages to tell it with (`IP_PKTOPTIONS`, `IPV6_2292PKTOPTIONS`).
//!
//! Of IPv4 it is the packet that opened the connection. Of IPv6 it is the last packet, if it was worth keeping; then the answer is what a datagram
//! would have come with. Else it is what is remembered, and as on Linux the address is then the peer's, and what is 0 is told, too.
//!
//! # Standards
//!
//! RFC 2292 §4.1; Linux ip(7), ipv6(7).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sockeye_control::MAX_OPTION;
use sockeye_control::ancillary::{cut, put};
use sockeye_device::Instant;
use sockeye_socket::names::{
    IP_PKTINFO, IP_PKTOPTIONS, IP_TOS, IP_TTL, IPPROTO_IP, IPPROTO_IPV6, IPV6_2292HOPLIMIT, IPV6_2292PKTINFO,
    IPV6_2292PKTOPTIONS, IPV6_FLOWINFO, IPV6_HOPLIMIT, IPV6_PKTINFO, IPV6_TCLASS,
};
use sockeye_socket::settings::Switch;
use sockeye_socket::{Host, Settings, SocketId};
use sockeye_stack::PortId;
use sockeye_stack::tcp::{Heard, Kept};

use super::arrival::{Arrival, of_packet, packet_info_v4, packet_info_v6};

/// What stands in IPv4's fields of a socket that speaks IPv6, on Linux.
const NOT_IPV4: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 6);

/// getsockopt(2), if the option is one of these and the socket has it: a list for a buffer of `len` bytes.
pub(crate) fn option(host: &Host, id: SocketId, level: i32, name: i32, len: u32) -> Option<Vec<u8>> {
    let settings = host.settings(id).filter(|_| host.is_stream(id))?;
    let local = host.local_address(id).ok();
    let list = match (level, name) {
        (IPPROTO_IP, IP_PKTOPTIONS) => of_ipv4(settings, local, &host.heard(id, false)),
        (IPPROTO_IPV6, IPV6_2292PKTOPTIONS) if settings.ipv6.is_some() => match (host.kept_headers(id), local) {
            (Some(kept), Some(local)) => of_kept(settings, local, &kept),
            _ => {
                let peer = host.stream_flow(id).map(|flow| settings.outward(flow.remote).ip());
                of_ipv6(settings, peer, &host.heard(id, true))
            }
        },
        _ => return None,
    };
    Some(fitted(list, len))
}

/// The same of a stream that is no more.
pub(crate) fn option_of_gone(
    settings: &Settings,
    local: Option<SocketAddr>,
    level: i32,
    name: i32,
    len: u32,
) -> Option<Vec<u8>> {
    let nothing = Heard::default();
    let list = match (level, name) {
        (IPPROTO_IP, IP_PKTOPTIONS) => of_ipv4(settings, local, &nothing),
        (IPPROTO_IPV6, IPV6_2292PKTOPTIONS) if settings.ipv6.is_some() => of_ipv6(settings, None, &nothing),
        _ => return None,
    };
    Some(fitted(list, len))
}

fn fitted(mut list: Vec<u8>, len: u32) -> Vec<u8> {
    let (len, _) = cut(&mut list, (len as usize).min(MAX_OPTION));
    list.truncate(len);
    list
}

fn of_ipv4(settings: &Settings, local: Option<SocketAddr>, heard: &Heard) -> Vec<u8> {
    let mut list = Vec::new();
    if settings.ip.packet_info {
        let own = match local.map(|local| local.ip().to_canonical()) {
            Some(IpAddr::V4(own)) => own,
            Some(IpAddr::V6(own)) if !own.is_unspecified() => NOT_IPV4,
            _ => Ipv4Addr::UNSPECIFIED,
        };
        put(&mut list, IPPROTO_IP, IP_PKTINFO, &packet_info_v4(index_of(heard), own, own));
    }
    if settings.ip.receive_ttl {
        put(&mut list, IPPROTO_IP, IP_TTL, &i32::from(heard.hops).to_ne_bytes());
    }
    if settings.ip.receive_tos {
        put(&mut list, IPPROTO_IP, IP_TOS, &i32::from(heard.class()).to_ne_bytes());
    }
    list
}

fn of_kept(settings: &Settings, local: SocketAddr, kept: &Kept) -> Vec<u8> {
    let mut list = Vec::new();
    let Kept { ref headers, port, fragment_size } = *kept;
    let Some(&[first, second, _, _, _, _, _, ttl]) = headers.first_chunk() else { return list };
    let arrival = Arrival {
        at: Instant::ZERO,
        to: local,
        port: port.interface_index(),
        ttl,
        tos: first << 4 | second >> 4,
        fragment_size,
        lost: 0,
        segment: 0,
        error: false,
        headers,
    };
    of_packet(&mut list, settings, &arrival);
    list
}

fn of_ipv6(settings: &Settings, peer: Option<IpAddr>, heard: &Heard) -> Vec<u8> {
    let mut list = Vec::new();
    let Some(ipv6) = settings.ipv6 else { return list };
    let is_on = |switch| settings.advanced.is_on(switch);
    let info = match (heard.port(), peer) {
        (Some(port), Some(IpAddr::V6(peer))) => packet_info_v6(port.interface_index(), peer),
        _ => {
            let (address, index) = settings.advanced.packet_info.unwrap_or((Ipv6Addr::UNSPECIFIED, 0));
            packet_info_v6(index, address)
        }
    };
    let hops = i32::from(heard.hops).to_ne_bytes();
    let told: [(bool, i32, &[u8]); 6] = [
        (ipv6.packet_info, IPV6_PKTINFO, &info),
        (ipv6.receive_hops, IPV6_HOPLIMIT, &hops),
        (ipv6.receive_class, IPV6_TCLASS, &i32::from(heard.class()).to_ne_bytes()),
        (is_on(Switch::OLD_PACKET_INFO), IPV6_2292PKTINFO, &info),
        (is_on(Switch::OLD_HOP_LIMIT), IPV6_2292HOPLIMIT, &hops),
        (is_on(Switch::FLOW), IPV6_FLOWINFO, &heard.flow.to_be_bytes()),
    ];
    for (_, kind, data) in told.into_iter().filter(|(asked, ..)| *asked) {
        put(&mut list, IPPROTO_IPV6, kind, data);
    }
    list
}

fn index_of(heard: &Heard) -> u32 {
    heard.port().map_or(0, PortId::interface_index)
}
