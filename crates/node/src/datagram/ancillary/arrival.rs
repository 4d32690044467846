//! What a program's options ask for with a datagram that came.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use sockeye_control::Address;
use sockeye_control::ancillary::put;
use sockeye_control::datagram::Header;
use sockeye_device::Instant;
use sockeye_socket::names::{
    IP_PKTINFO, IP_RECVFRAGSIZE, IP_RECVOPTS, IP_RECVORIGDSTADDR, IP_RETOPTS, IP_TOS, IP_TTL, IPPROTO_IP, IPPROTO_IPV6,
    IPPROTO_UDP, IPV6_2292DSTOPTS, IPV6_2292HOPLIMIT, IPV6_2292HOPOPTS, IPV6_2292PKTINFO, IPV6_2292RTHDR, IPV6_DSTOPTS,
    IPV6_FLOWINFO, IPV6_HOPLIMIT, IPV6_HOPOPTS, IPV6_PATHMTU, IPV6_PKTINFO, IPV6_RECVFRAGSIZE, IPV6_RECVORIGDSTADDR,
    IPV6_RTHDR, IPV6_TCLASS, SO_RXQ_OVFL, SO_TIMESTAMP, SO_TIMESTAMPING, SO_TIMESTAMPNS, SOF_TIMESTAMPING_RX_SOFTWARE,
    SOF_TIMESTAMPING_SOFTWARE, SOL_SOCKET, UDP_GRO,
};
use sockeye_socket::settings::{Switch, TimestampKind};
use sockeye_socket::{Settings, mtu_info};
use sockeye_wire::Protocol;
use sockeye_wire::ipv4::options::{OptionBuffer, Options, RECORD_ROUTE, TIMESTAMP, record};

/// What is known of a datagram that came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    /// When.
    pub(crate) at: Instant,
    /// To which address and port, as the stack has it.
    pub(crate) to: SocketAddr,
    /// By which interface, as the program knows it.
    pub(crate) port: u32,
    /// Time to live or hop limit.
    pub(crate) ttl: u8,
    /// Type of service or traffic class.
    pub(crate) tos: u8,
    /// Of what came in pieces: the length of the longest packet; else 0.
    pub(crate) fragment_size: u16,
    /// How many the socket had lost by then.
    pub(crate) lost: u32,
    /// Of several datagrams in one piece the length of each; 0 for one.
    pub(crate) segment: u16,
    /// It brought an error: which of our addresses would answer is not said.
    pub(crate) error: bool,
    /// The packet's header with options and extension headers, if the socket keeps them.
    pub(crate) headers: &'a [u8],
}

/// Appends what a socket's options ask for with a message, in Linux's order.
pub(crate) fn list(list: &mut Vec<u8>, settings: &Settings, now: Instant, arrival: &Arrival<'_>) {
    if let Some(kind) = settings.timestamp {
        time(list, kind, now, arrival.at);
    }
    if settings.timestamping == SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE {
        // The second and third are those of hardware.
        let mut times = [0; 48];
        times[..16].copy_from_slice(&timestamp(TimestampKind::Nanos, now, arrival.at));
        put(list, SOL_SOCKET, SO_TIMESTAMPING, &times);
    }
    if settings.tells_lost && arrival.lost > 0 {
        put(list, SOL_SOCKET, SO_RXQ_OVFL, &arrival.lost.to_ne_bytes());
    }
    if arrival.segment > 0 {
        put(list, IPPROTO_UDP, UDP_GRO, &i32::from(arrival.segment).to_ne_bytes());
    }
    of_packet(list, settings, arrival);
}

/// Appends what the options of IP ask for.
pub(super) fn of_packet(list: &mut Vec<u8>, settings: &Settings, arrival: &Arrival<'_>) {
    if let Some(ipv6) = &settings.ipv6 {
        if ipv6.packet_info {
            put(list, IPPROTO_IPV6, IPV6_PKTINFO, &packet_info(settings, arrival));
        }
        if arrival.to.is_ipv6() {
            return list_v6(list, settings, arrival);
        }
    }
    let Arrival { to, port, ttl, tos, .. } = *arrival;
    if let IpAddr::V4(destination) = to.ip() {
        if settings.ip.packet_info {
            let own = if arrival.error { Ipv4Addr::UNSPECIFIED } else { destination };
            put(list, IPPROTO_IP, IP_PKTINFO, &packet_info_v4(port, own, destination));
        }
        if settings.ip.receive_ttl {
            put(list, IPPROTO_IP, IP_TTL, &i32::from(ttl).to_ne_bytes());
        }
        if settings.ip.receive_tos {
            put(list, IPPROTO_IP, IP_TOS, &[tos]);
        }
        let is_on = |switch| settings.advanced.is_on(switch);
        if is_on(Switch::OPTIONS)
            && let Some(options) = arrival.headers.get(20..).filter(|options| !options.is_empty())
        {
            let mut options = options.to_vec();
            // What is malformed was refused when it came.
            let _ = record(&mut options, destination, milliseconds_of_the_day());
            put(list, IPPROTO_IP, IP_RECVOPTS, &options);
        }
        if is_on(Switch::RETURN_OPTIONS)
            && let Some(options) = arrival.headers.get(20..).filter(|options| !options.is_empty())
        {
            put(list, IPPROTO_IP, IP_RETOPTS, returned(options, destination).as_bytes());
        }
        if is_on(Switch::ORIGINAL_DESTINATION) && !arrival.error {
            let mut address = [0; 16];
            address[..2].copy_from_slice(&2u16.to_ne_bytes());
            address[2..4].copy_from_slice(&to.port().to_be_bytes());
            address[4..8].copy_from_slice(&destination.octets());
            put(list, IPPROTO_IP, IP_RECVORIGDSTADDR, &address);
        }
        if is_on(Switch::FRAGMENT_SIZE) && arrival.fragment_size > 0 {
            put(list, IPPROTO_IP, IP_RECVFRAGSIZE, &i32::from(arrival.fragment_size).to_ne_bytes());
        }
    }
}

/// A message without data that says how long packets to an address may be (RFC 3542, 11.3).
pub(crate) fn path_mtu(to: SocketAddr, mtu: u16, mut control: Vec<u8>) -> crate::datagram::Message {
    put(&mut control, IPPROTO_IPV6, IPV6_PATHMTU, &mtu_info(to, mtu));
    crate::datagram::Message { header: Header::data(Some(Address::Internet(to))), control, data: Vec::new(), at: None }
}

/// What of options goes back with an answer: the recorded way and the times, as they are by now. Source routes do not come this far.
fn returned(options: &[u8], us: Ipv4Addr) -> OptionBuffer {
    let mut options = options.to_vec();
    let _ = record(&mut options, us, milliseconds_of_the_day());
    let mut returned = OptionBuffer::new();
    for option in Options::new(&options).flatten() {
        if matches!(option.kind(), RECORD_ROUTE | TIMESTAMP) {
            // They came in one header, so they fit one.
            let _ = returned.push(&option);
        }
    }
    returned
}

/// The same of a datagram that came over IPv6.
fn list_v6(list: &mut Vec<u8>, settings: &Settings, arrival: &Arrival<'_>) {
    let Arrival { to, port, ttl, tos, headers, .. } = *arrival;
    let is_on = |switch| settings.advanced.is_on(switch);
    let wants = settings.ipv6.unwrap_or_default();
    if wants.receive_hops {
        put(list, IPPROTO_IPV6, IPV6_HOPLIMIT, &i32::from(ttl).to_ne_bytes());
    }
    if wants.receive_class {
        put(list, IPPROTO_IPV6, IPV6_TCLASS, &i32::from(tos).to_ne_bytes());
    }
    if is_on(Switch::FLOW)
        && let Some(&[version, rest @ ..]) = headers.first_chunk::<4>()
    {
        let [a, b, c] = rest;
        let info = [version & 0xf, a, b, c];
        if info != [0; 4] {
            put(list, IPPROTO_IPV6, IPV6_FLOWINFO, &info);
        }
    }
    let extensions = |found: &mut dyn FnMut(Protocol, &[u8])| each_extension(headers, found);
    if settings.advanced.wants_headers() {
        extensions(&mut |protocol, bytes| {
            if protocol == Protocol::HOP_BY_HOP && is_on(Switch::HOP_BY_HOP) {
                put(list, IPPROTO_IPV6, IPV6_HOPOPTS, bytes);
            }
        });
        extensions(&mut |protocol, bytes| match protocol {
            Protocol::DESTINATION_OPTIONS if is_on(Switch::DESTINATION) => {
                put(list, IPPROTO_IPV6, IPV6_DSTOPTS, bytes);
            }
            Protocol::ROUTING if is_on(Switch::ROUTING) => put(list, IPPROTO_IPV6, IPV6_RTHDR, bytes),
            _ => {}
        });
    }
    if is_on(Switch::OLD_PACKET_INFO) {
        put(list, IPPROTO_IPV6, IPV6_2292PKTINFO, &packet_info(settings, arrival));
    }
    if is_on(Switch::OLD_HOP_LIMIT) {
        put(list, IPPROTO_IPV6, IPV6_2292HOPLIMIT, &i32::from(ttl).to_ne_bytes());
    }
    if settings.advanced.wants_headers() {
        extensions(&mut |protocol, bytes| match protocol {
            Protocol::HOP_BY_HOP if is_on(Switch::OLD_HOP_BY_HOP) => {
                put(list, IPPROTO_IPV6, IPV6_2292HOPOPTS, bytes);
            }
            Protocol::DESTINATION_OPTIONS if is_on(Switch::OLD_DESTINATION) => {
                put(list, IPPROTO_IPV6, IPV6_2292DSTOPTS, bytes);
            }
            Protocol::ROUTING if is_on(Switch::OLD_ROUTING) => put(list, IPPROTO_IPV6, IPV6_2292RTHDR, bytes),
            _ => {}
        });
    }
    if is_on(Switch::ORIGINAL_DESTINATION_V6)
        && !arrival.error
        && let IpAddr::V6(destination) = to.ip()
    {
        let mut address = [0; 28];
        address[..2].copy_from_slice(&10u16.to_ne_bytes());
        address[2..4].copy_from_slice(&to.port().to_be_bytes());
        address[8..24].copy_from_slice(&destination.octets());
        if destination.is_unicast_link_local() {
            address[24..].copy_from_slice(&port.to_ne_bytes());
        }
        put(list, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, &address);
    }
    if is_on(Switch::FRAGMENT_SIZE_V6) && arrival.fragment_size > 0 {
        put(list, IPPROTO_IPV6, IPV6_RECVFRAGSIZE, &i32::from(arrival.fragment_size).to_ne_bytes());
    }
}

/// `struct in_pktinfo`.
pub(super) fn packet_info_v4(port: u32, own: Ipv4Addr, destination: Ipv4Addr) -> [u8; 12] {
    let mut info = [0; 12];
    info[..4].copy_from_slice(&port.to_ne_bytes());
    info[4..8].copy_from_slice(&own.octets());
    info[8..].copy_from_slice(&destination.octets());
    info
}

/// `struct in6_pktinfo` of a datagram of either family.
fn packet_info(settings: &Settings, arrival: &Arrival<'_>) -> [u8; 20] {
    match settings.outward(arrival.to).ip() {
        IpAddr::V6(destination) => packet_info_v6(arrival.port, destination),
        IpAddr::V4(_) => [0; 20],
    }
}

/// `struct in6_pktinfo`.
pub(super) fn packet_info_v6(port: u32, address: Ipv6Addr) -> [u8; 20] {
    let mut info = [0; 20];
    info[..16].copy_from_slice(&address.octets());
    info[16..].copy_from_slice(&port.to_ne_bytes());
    info
}

/// The headers between the fixed one and what a packet carries, in their order.
fn each_extension(headers: &[u8], found: &mut dyn FnMut(Protocol, &[u8])) {
    let Some((fixed, rest)) = headers.split_first_chunk::<40>() else { return };
    let mut protocol = Protocol(fixed[6]);
    let mut rest = rest;
    // They were looked at when the packet came; here only their lengths matter.
    while let (
        Protocol::HOP_BY_HOP | Protocol::ROUTING | Protocol::DESTINATION_OPTIONS | Protocol::FRAGMENT | Protocol::AH,
        Some(&[next, len]),
    ) = (protocol, rest.first_chunk())
    {
        let len = match protocol {
            Protocol::FRAGMENT => 8,
            Protocol::AH => usize::from(len) * 4 + 8,
            _ => usize::from(len) * 8 + 8,
        };
        let Some((header, more)) = rest.split_at_checked(len) else { return };
        found(protocol, header);
        (protocol, rest) = (Protocol(next), more);
    }
}

fn milliseconds_of_the_day() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now.as_millis() % 86_400_000) as u32
}

/// When a message arrived: the stack's clock has no date, so what has passed since is subtracted from now.
pub(crate) fn time(list: &mut Vec<u8>, kind: TimestampKind, now: Instant, arrived: Instant) {
    let name = match kind {
        TimestampKind::Micros => SO_TIMESTAMP,
        TimestampKind::Nanos => SO_TIMESTAMPNS,
    };
    put(list, SOL_SOCKET, name, &timestamp(kind, now, arrived));
}

/// A `timeval` or a `timespec`.
pub(crate) fn timestamp(kind: TimestampKind, now: Instant, arrived: Instant) -> [u8; 16] {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(now.since(arrived));
    let fraction = match kind {
        TimestampKind::Micros => at.subsec_micros(),
        TimestampKind::Nanos => at.subsec_nanos(),
    };
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&at.as_secs().to_ne_bytes());
    bytes[8..].copy_from_slice(&u64::from(fraction).to_ne_bytes());
    bytes
}
