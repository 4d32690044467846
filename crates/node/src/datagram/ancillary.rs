//! Control messages: what a program attaches to a datagram, and what its options ask for with one that came.
//!
//! Level, kind and data are Linux's, and so is who understands which: a datagram over IPv4 is asked about at level IP, one over IPv6 at level IPv6,
//! whatever the socket's own family is; only its destination (`IPV6_PKTINFO`) an IPv6 socket is told and may choose for both. What a level does
//! not know is refused (`EINVAL`), what belongs to other levels ignored.
//!
//! # Standards
//!
//! RFC 3542 §6; Linux ip(7), ipv6(7), udp(7), cmsg(3).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use sockeye_control::Address;
use sockeye_control::ancillary::{Message, messages, put};
use sockeye_control::datagram::Header;
use sockeye_device::Instant;
use sockeye_socket::advanced::{checked_options, whole_header};
use sockeye_socket::names::{
    IP_PKTINFO, IP_RECVFRAGSIZE, IP_RECVOPTS, IP_RECVORIGDSTADDR, IP_RETOPTS, IP_TOS, IP_TTL, IPPROTO_IP, IPPROTO_IPV6,
    IPPROTO_UDP, IPV6_2292DSTOPTS, IPV6_2292HOPLIMIT, IPV6_2292HOPOPTS, IPV6_2292PKTINFO, IPV6_2292RTHDR,
    IPV6_DONTFRAG, IPV6_DSTOPTS, IPV6_FLOWINFO, IPV6_HOPLIMIT, IPV6_HOPOPTS, IPV6_PATHMTU, IPV6_PKTINFO,
    IPV6_RECVFRAGSIZE, IPV6_RECVORIGDSTADDR, IPV6_RTHDR, IPV6_RTHDRDSTOPTS, IPV6_TCLASS, SCM_CREDENTIALS, SCM_RIGHTS,
    SO_RXQ_OVFL, SO_TIMESTAMP, SO_TIMESTAMPING, SO_TIMESTAMPNS, SOF_TIMESTAMPING_RX_SOFTWARE,
    SOF_TIMESTAMPING_SOFTWARE, SOL_SOCKET, UDP_GRO, UDP_SEGMENT,
};
use sockeye_socket::settings::{Switch, TimestampKind};
use sockeye_socket::{Errno, Privilege, Settings, mtu_info};
use sockeye_stack::family::FLOW_LABEL;
use sockeye_stack::ipv6::headers::Parts;
use sockeye_wire::Protocol;
use sockeye_wire::ipv4::options::{OptionBuffer, Options, RECORD_ROUTE, TIMESTAMP, record};
use sockeye_wire::ipv6::extension::routing_type;

/// What a program attached to a datagram; what it said nothing of is the socket's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attached<'a> {
    /// Where it shall come from.
    pub(crate) from: Option<IpAddr>,
    /// By which interface, as the program knows it.
    pub(crate) port: u32,
    /// Time to live or hop limit.
    pub(crate) ttl: Option<u8>,
    /// Type of service or traffic class.
    pub(crate) tos: Option<u8>,
    /// Cut into datagrams of so many bytes.
    pub(crate) segment: Option<u16>,
    /// It may not be cut.
    pub(crate) dont_fragment: Option<bool>,
    /// The flow's label.
    pub(crate) flow_label: Option<u32>,
    /// Options of the header.
    pub(crate) options: Option<Vec<u8>>,
    /// Extension headers; if there are any, none of the socket's go along.
    pub(crate) headers: Parts<'a>,
}

impl<'a> Attached<'a> {
    /// Reads a list of somebody's. `v4` says over which protocol the datagram will go.
    pub(crate) fn read(list: &'a [u8], settings: &Settings, who: Privilege, v4: bool) -> Result<Attached<'a>, Errno> {
        let mut attached = Attached::default();
        for message in messages(list) {
            let message = message.map_err(|_| Errno::EINVAL)?;
            match message.level {
                SOL_SOCKET => socket(message)?,
                IPPROTO_UDP => attached.udp(message)?,
                IPPROTO_IP if v4 => attached.ip(message, who)?,
                IPPROTO_IPV6 if v4 && settings.ipv6.is_some() && message.kind == IPV6_PKTINFO => {
                    attached.packet_info(message.data, true)?;
                }
                IPPROTO_IPV6 if !v4 => attached.ipv6(message, who)?,
                _ => {}
            }
        }
        Ok(attached)
    }

    fn udp(&mut self, Message { kind, data, .. }: Message<'_>) -> Result<(), Errno> {
        match (kind, data.try_into()) {
            (UDP_SEGMENT, Ok(size)) => self.segment = Some(u16::from_ne_bytes(size)),
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    fn ip(&mut self, Message { kind, data, .. }: Message<'_>, who: Privilege) -> Result<(), Errno> {
        match kind {
            IP_PKTINFO => {
                // Interface, source, destination (of what was received; unused here).
                let &[a, b, c, d, e, f, g, h, _, _, _, _] = data else { return Err(Errno::EINVAL) };
                self.port = u32::from_ne_bytes([a, b, c, d]);
                self.from = specified(Ipv4Addr::new(e, f, g, h).into());
            }
            IP_TTL => self.ttl = Some(byte(data)?.filter(|&ttl| ttl != 0).ok_or(Errno::EINVAL)?),
            IP_TOS => {
                self.tos = Some(match data {
                    [tos] => *tos,
                    data => byte(data)?.ok_or(Errno::EINVAL)?,
                });
            }
            IP_RETOPTS => self.options = Some(checked_options(who, &data[..data.len().min(40)])?),
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    fn ipv6(&mut self, Message { kind, data, .. }: Message<'a>, who: Privilege) -> Result<(), Errno> {
        match kind {
            IPV6_PKTINFO | IPV6_2292PKTINFO => self.packet_info(data, false)?,
            IPV6_HOPLIMIT | IPV6_2292HOPLIMIT => self.ttl = byte(data)?,
            IPV6_TCLASS => self.tos = byte(data)?,
            IPV6_DONTFRAG => {
                self.dont_fragment = Some(match byte(data)? {
                    Some(value @ (0 | 1)) => value == 1,
                    _ => return Err(Errno::EINVAL),
                });
            }
            IPV6_FLOWINFO => {
                let info = data.first_chunk().ok_or(Errno::EINVAL)?;
                self.flow_label = Some(u32::from_be_bytes(*info) & FLOW_LABEL);
            }
            IPV6_HOPOPTS | IPV6_2292HOPOPTS if self.headers.hop_by_hop.is_some() => return Err(Errno::EINVAL),
            IPV6_HOPOPTS | IPV6_2292HOPOPTS => self.headers.hop_by_hop = Some(options(data, who)?),
            IPV6_DSTOPTS | IPV6_2292DSTOPTS => self.headers.destination = Some(options(data, who)?),
            IPV6_RTHDRDSTOPTS => self.headers.stops = Some(options(data, who)?),
            IPV6_RTHDR | IPV6_2292RTHDR => {
                // A list of segments can only be set for all that the socket sends.
                if self.headers.routing.is_some() || data.get(2) != Some(&routing_type::MOBILE) {
                    return Err(Errno::EINVAL);
                }
                self.headers.routing = Some(header(data)?);
            }
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    fn packet_info(&mut self, data: &[u8], v4: bool) -> Result<(), Errno> {
        let (source, rest) = data.split_first_chunk::<16>().ok_or(Errno::EINVAL)?;
        let port = rest.first_chunk().ok_or(Errno::EINVAL)?;
        let source = Ipv6Addr::from(*source);
        self.port = u32::from_ne_bytes(*port);
        self.from = match source.to_ipv4_mapped() {
            Some(mapped) if v4 => specified(mapped.into()),
            None if !v4 => specified(source.into()),
            _ => return Err(Errno::EINVAL),
        };
        Ok(())
    }
}

/// A header of options, which only who may open raw sockets may send.
fn options(data: &[u8], who: Privilege) -> Result<&[u8], Errno> {
    let header = header(data)?;
    if who == Privilege::Administrator { Ok(header) } else { Err(Errno::EPERM) }
}

/// A header, without what may stand behind it.
fn header(data: &[u8]) -> Result<&[u8], Errno> {
    let len = usize::from(*data.get(1).ok_or(Errno::EINVAL)?) * 8 + 8;
    whole_header(data.get(..len).ok_or(Errno::EINVAL)?)
}

/// What a program attached to a frame: only what concerns every kind of socket means something there.
pub(super) fn check(list: &[u8]) -> Result<(), Errno> {
    for message in messages(list) {
        let message = message.map_err(|_| Errno::EINVAL)?;
        if message.level == SOL_SOCKET {
            socket(message)?;
        }
    }
    Ok(())
}

/// Descriptors and credentials mean nothing to a datagram of the internet; Linux ignores them.
fn socket(message: Message<'_>) -> Result<(), Errno> {
    match message.kind {
        SCM_RIGHTS | SCM_CREDENTIALS => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

fn specified(address: IpAddr) -> Option<IpAddr> {
    (!address.is_unspecified()).then_some(address)
}

/// An int that fits into a byte; -1 is the socket's own.
fn byte(data: &[u8]) -> Result<Option<u8>, Errno> {
    match data.try_into().map(i32::from_ne_bytes) {
        Ok(-1) => Ok(None),
        Ok(value) => u8::try_from(value).map(Some).map_err(|_| Errno::EINVAL),
        Err(_) => Err(Errno::EINVAL),
    }
}

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
    /// The packet's header with options and extension headers, if the socket keeps them.
    pub(crate) headers: &'a [u8],
}

/// Appends what a socket's options ask for, in Linux's order.
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
            let mut info = [0; 12];
            info[..4].copy_from_slice(&port.to_ne_bytes());
            info[4..8].copy_from_slice(&destination.octets());
            info[8..].copy_from_slice(&destination.octets());
            put(list, IPPROTO_IP, IP_PKTINFO, &info);
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
        if is_on(Switch::ORIGINAL_DESTINATION) {
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
pub(super) fn path_mtu(to: SocketAddr, mtu: u16, mut control: Vec<u8>) -> super::Message {
    put(&mut control, IPPROTO_IPV6, IPV6_PATHMTU, &mtu_info(to, mtu));
    super::Message { header: Header::data(Some(Address::Internet(to))), control, data: Vec::new() }
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

/// `struct in6_pktinfo` of a datagram of either family.
fn packet_info(settings: &Settings, arrival: &Arrival<'_>) -> [u8; 20] {
    let mut info = [0; 20];
    if let IpAddr::V6(destination) = settings.outward(arrival.to).ip() {
        info[..16].copy_from_slice(&destination.octets());
    }
    info[16..].copy_from_slice(&arrival.port.to_ne_bytes());
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
pub(super) fn time(list: &mut Vec<u8>, kind: TimestampKind, now: Instant, arrived: Instant) {
    let name = match kind {
        TimestampKind::Micros => SO_TIMESTAMP,
        TimestampKind::Nanos => SO_TIMESTAMPNS,
    };
    put(list, SOL_SOCKET, name, &timestamp(kind, now, arrived));
}

/// A `timeval` or a `timespec`.
fn timestamp(kind: TimestampKind, now: Instant, arrived: Instant) -> [u8; 16] {
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

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye_socket::settings::Ipv6Settings;

    fn v6() -> Settings {
        let ipv6 = Ipv6Settings { packet_info: true, receive_hops: true, receive_class: true, ..Default::default() };
        Settings { ipv6: Some(ipv6), ..Settings::default() }
    }

    fn arrival(to: &str) -> Arrival<'static> {
        Arrival {
            at: Instant::ZERO,
            to: to.parse().unwrap(),
            port: 3,
            ttl: 7,
            tos: 0x28,
            fragment_size: 0,
            lost: 0,
            segment: 0,
            headers: &[],
        }
    }

    #[test]
    fn what_is_received_can_be_sent() {
        let mut settings = Settings::default();
        settings.ip.packet_info = true;
        settings.ip.receive_ttl = true;
        settings.ip.receive_tos = true;
        let expected = |from: &str| Attached {
            from: Some(from.parse().unwrap()),
            port: 3,
            ttl: Some(7),
            tos: Some(0x28),
            ..Attached::default()
        };
        let mut bytes = Vec::new();
        list(&mut bytes, &settings, Instant::ZERO, &arrival("10.0.0.9:53"));
        assert_eq!(Attached::read(&bytes, &settings, Privilege::User, true), Ok(expected("10.0.0.9")));
        bytes.clear();
        list(&mut bytes, &v6(), Instant::ZERO, &arrival("[2001:db8::9]:53"));
        assert_eq!(Attached::read(&bytes, &v6(), Privilege::User, false), Ok(expected("2001:db8::9")));
        // Of IPv4 an IPv6 socket is told the destination only, mapped.
        bytes.clear();
        list(&mut bytes, &v6(), Instant::ZERO, &arrival("10.0.0.9:53"));
        let mapped = Attached { from: Some("10.0.0.9".parse().unwrap()), port: 3, ..Attached::default() };
        assert_eq!(Attached::read(&bytes, &v6(), Privilege::User, true), Ok(mapped));
        assert_eq!(Attached::read(&bytes, &v6(), Privilege::User, false), Err(Errno::EINVAL));
        // The time is for receiving only.
        settings.timestamp = Some(TimestampKind::Nanos);
        bytes.clear();
        list(&mut bytes, &settings, Instant::ZERO, &arrival("10.0.0.9:53"));
        assert_eq!(Attached::read(&bytes, &settings, Privilege::User, true), Err(Errno::EINVAL));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let one = |level, kind, data: &[u8]| {
            let mut list = Vec::new();
            put(&mut list, level, kind, data);
            list
        };
        let v4 = Settings::default();
        let refused: [(i32, i32, &[u8]); 9] = [
            (IPPROTO_IP, IP_TTL, &256i32.to_ne_bytes()),
            (IPPROTO_IP, IP_TTL, &0i32.to_ne_bytes()),
            (IPPROTO_IP, IP_TTL, &(-1i32).to_ne_bytes()),
            (IPPROTO_IP, IP_TTL, &[1]),
            (IPPROTO_IP, IP_TOS, &[1, 2]),
            (IPPROTO_IP, IP_PKTINFO, &[0; 20]),
            (IPPROTO_IP, 99, &[0; 4]),
            (IPPROTO_UDP, UDP_SEGMENT, &[0; 4]),
            (SOL_SOCKET, SO_TIMESTAMP, &[0; 16]),
        ];
        for (level, kind, data) in refused {
            let read = Attached::read(&one(level, kind, data), &v4, Privilege::User, true).map(drop);
            assert_eq!(read, Err(Errno::EINVAL), "{level} {kind} {data:?}");
        }
        // For others: level IPv6 of an IPv4 socket, a level that nobody knows, a descriptor.
        for (level, kind) in [(IPPROTO_IPV6, IPV6_HOPLIMIT), (77, 99), (SOL_SOCKET, SCM_RIGHTS)] {
            let list = one(level, kind, &[0; 4]);
            assert_eq!(Attached::read(&list, &v4, Privilege::User, true), Ok(Attached::default()));
        }
        let own = one(IPPROTO_IPV6, IPV6_HOPLIMIT, &(-1i32).to_ne_bytes());
        assert_eq!(Attached::read(&own, &v6(), Privilege::User, false), Ok(Attached::default()));
        assert_eq!(Attached::read(&[0xff; 40], &v4, Privilege::User, true), Err(Errno::EINVAL));
    }

    #[test]
    fn extension_headers_come_and_go_whole() {
        let options = [0xff, 0, 1, 4, 0, 0, 0, 0];
        let mut sent = Vec::new();
        put(&mut sent, IPPROTO_IPV6, IPV6_DSTOPTS, &options);
        put(&mut sent, IPPROTO_IPV6, IPV6_HOPOPTS, &options);
        assert_eq!(Attached::read(&sent, &v6(), Privilege::User, false), Err(Errno::EPERM));
        let read = Attached::read(&sent, &v6(), Privilege::Administrator, false).unwrap();
        assert_eq!((read.headers.hop_by_hop, read.headers.destination), (Some(&options[..]), Some(&options[..])));
        put(&mut sent, IPPROTO_IPV6, IPV6_HOPOPTS, &options);
        assert_eq!(Attached::read(&sent, &v6(), Privilege::Administrator, false), Err(Errno::EINVAL));

        let mut settings = v6();
        for name in [sockeye_socket::names::IPV6_RECVHOPOPTS, sockeye_socket::names::IPV6_RECVDSTOPTS] {
            settings.set(false, Privilege::User, IPPROTO_IPV6, name, &1i32.to_ne_bytes()).unwrap();
        }
        let mut headers = vec![0; 40];
        headers[6] = 0;
        headers.extend([60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 5, 2, 0, 0, 1, 0]);
        let mut bytes = Vec::new();
        list(&mut bytes, &settings, Instant::ZERO, &Arrival { headers: &headers, ..arrival("[2001:db8::9]:53") });
        let found: Vec<_> = messages(&bytes).flatten().skip(3).map(|message| (message.kind, message.data)).collect();
        assert_eq!(found, [(IPV6_HOPOPTS, &headers[40..48]), (IPV6_DSTOPTS, &headers[48..])]);
        for len in 0..headers.len() {
            // Whatever is cut off, nothing breaks.
            let arrival = Arrival { headers: &headers[..len], ..arrival("[2001:db8::9]:53") };
            list(&mut Vec::new(), &settings, Instant::ZERO, &arrival);
        }
    }
}
