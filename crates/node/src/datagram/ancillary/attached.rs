//! What a program attaches to a datagram that it sends.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sockeye_control::ancillary::{Message, messages};
use sockeye_socket::advanced::{checked_options, whole_header};
use sockeye_socket::names::{
    IP_PKTINFO, IP_RETOPTS, IP_TOS, IP_TTL, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP, IPV6_2292DSTOPTS, IPV6_2292HOPLIMIT,
    IPV6_2292HOPOPTS, IPV6_2292PKTINFO, IPV6_2292RTHDR, IPV6_DONTFRAG, IPV6_DSTOPTS, IPV6_FLOWINFO, IPV6_HOPLIMIT,
    IPV6_HOPOPTS, IPV6_PKTINFO, IPV6_RTHDR, IPV6_RTHDRDSTOPTS, IPV6_TCLASS, SOL_SOCKET, UDP_SEGMENT,
};
use sockeye_socket::{Errno, Privilege, Settings};
use sockeye_stack::family::FLOW_LABEL;
use sockeye_stack::ipv6::headers::Parts;
use sockeye_wire::ipv6::extension::routing_type;

use super::socket;

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
                SOL_SOCKET => socket(message, who)?,
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
            IPV6_2292DSTOPTS if self.headers.destination.is_some() => return Err(Errno::EINVAL),
            IPV6_DSTOPTS | IPV6_2292DSTOPTS => self.headers.destination = Some(options(data, who)?),
            IPV6_RTHDRDSTOPTS => self.headers.stops = Some(options(data, who)?),
            IPV6_RTHDR | IPV6_2292RTHDR => {
                // A list of segments can only be set for all that the socket sends.
                if self.headers.routing.is_some() || data.get(2) != Some(&routing_type::MOBILE) {
                    return Err(Errno::EINVAL);
                }
                self.headers.routing = Some(header(data)?);
                // In RFC 2292 what stands before the routing header is for each stop.
                if kind == IPV6_2292RTHDR
                    && let Some(stops) = self.headers.destination.take()
                {
                    self.headers.stops = Some(stops);
                }
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
