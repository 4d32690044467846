//! What RFC 3542 and Linux add to the options of IP: extension headers and header options to be sent with every packet, and everything that a
//! packet which came can be asked for.
//!
//! Most are switches (`switches.rs`). Extension headers are kept as the program gave them, and once more in the order in which they are sent. A
//! header's options and routing may be set by whoever may open raw sockets, a routing header by everybody, as on Linux; type 0 by nobody.
//!
//! Refused, as on Linux: IPV6_NEXTHOP and IPV6_USE_MIN_MTU.
//!
//! # Standards
//!
//! RFC 3542 §4 to §11; RFC 6935; Linux ipv6(7), ip(7), udp(7).

use std::net::Ipv6Addr;
use std::sync::Arc;

use sockeye_stack::ipv6::Headers;
use sockeye_stack::ipv6::headers::Parts;
use sockeye_stack::tcp::Extras;
use sockeye_wire::ipv4::options::{IpOption, Options};

use crate::errno::Errno;
use crate::names::*;
use crate::settings::{Privilege, int, read_int, within};
use crate::switches::{Asker, Switches};

pub use crate::switches::Switch;

/// The extension headers that go with every packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sticky {
    /// IPV6_HOPOPTS.
    pub hop_by_hop: Option<Vec<u8>>,
    /// IPV6_RTHDRDSTOPTS.
    pub stops: Option<Vec<u8>>,
    /// IPV6_RTHDR.
    pub routing: Option<Vec<u8>>,
    /// IPV6_DSTOPTS.
    pub destination: Option<Vec<u8>>,
}

impl Sticky {
    /// All of them, to be put in order.
    pub fn parts(&self) -> Parts<'_> {
        Parts {
            hop_by_hop: self.hop_by_hop.as_deref(),
            stops: self.stops.as_deref(),
            routing: self.routing.as_deref(),
            destination: self.destination.as_deref(),
        }
    }
}

/// What was set of all this.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advanced {
    switches: Switches,
    /// IPV6_PKTINFO: where datagrams come from, and by which interface they go.
    pub packet_info: Option<(Ipv6Addr, u32)>,
    /// The extension headers as they were given.
    pub sticky: Sticky,
    /// The same as they are sent.
    pub headers: Option<Arc<Headers>>,
    /// IP_OPTIONS, padded.
    pub options: Vec<u8>,
    /// IP_LOCAL_PORT_RANGE: ports that are chosen for the socket, from and to; 0: no bound.
    pub port_range: (u16, u16),
    /// IPV6_FLOWINFO_SEND: the label that the peer's address bore, when it was connected to.
    pub flow_label: u32,
    /// UDP_SEGMENT: what is sent is cut into datagrams of so many bytes; 0: it is not.
    pub segment: u16,
}

impl Advanced {
    /// Whether a switch is on.
    pub fn is_on(&self, switch: Switch) -> bool {
        self.switches.is_on(switch)
    }

    /// Whether headers must be kept with what comes.
    pub fn wants_headers(&self) -> bool {
        self.switches.wants_headers()
    }

    /// setsockopt, where the option is one of these.
    pub(crate) fn set(
        &mut self,
        asker: Asker,
        who: Privilege,
        (level, name): (i32, i32),
        bytes: &[u8],
    ) -> Option<Result<(), Errno>> {
        if let Some(set) = self.switches.set(asker, who, level, name, bytes) {
            return Some(set);
        }
        if !knows(asker, level, name) {
            return None;
        }
        Some(match (level, name) {
            (IPPROTO_IP, IP_OPTIONS) => self.set_options(who, bytes),
            (IPPROTO_IP, IP_LOCAL_PORT_RANGE) => self.set_port_range(bytes),
            (IPPROTO_IPV6, IPV6_PKTINFO) => self.set_packet_info(bytes),
            (IPPROTO_UDP, UDP_SEGMENT) => {
                read_int(bytes).and_then(|size| within(size, 0, 65_535)).map(|size| self.segment = size as u16)
            }
            _ => self.set_sticky(who, name, bytes),
        })
    }

    /// getsockopt, where the option is one of these.
    pub(crate) fn value(&self, asker: Asker, level: i32, name: i32) -> Option<Vec<u8>> {
        if let Some(value) = self.switches.value(asker, level, name) {
            return Some(int(value));
        }
        if !knows(asker, level, name) {
            return None;
        }
        Some(match (level, name) {
            (IPPROTO_IP, IP_OPTIONS) => self.options.clone(),
            (IPPROTO_IP, IP_LOCAL_PORT_RANGE) => {
                let (low, high) = self.port_range;
                (u32::from(low) | u32::from(high) << 16).to_ne_bytes().to_vec()
            }
            (IPPROTO_UDP, UDP_SEGMENT) => int(self.segment.into()),
            (_, IPV6_HOPOPTS) => self.sticky.hop_by_hop.clone().unwrap_or_default(),
            (_, IPV6_RTHDRDSTOPTS) => self.sticky.stops.clone().unwrap_or_default(),
            (_, IPV6_RTHDR) => self.sticky.routing.clone().unwrap_or_default(),
            (_, IPV6_DSTOPTS) => self.sticky.destination.clone().unwrap_or_default(),
            // Linux can be told, but not asked.
            _ => return None,
        })
    }

    /// What packets of a connection have besides their fixed headers.
    pub(crate) fn extras(&self) -> Option<Arc<Extras>> {
        (!self.options.is_empty() || self.headers.is_some())
            .then(|| Arc::new(Extras { options: self.options.clone(), headers: self.headers.clone() }))
    }

    /// IP_LOCAL_PORT_RANGE: the lowest port in the lower half, the highest in the upper; 0 is no bound.
    fn set_port_range(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let both = u32::from_ne_bytes(bytes.try_into().map_err(|_| Errno::EINVAL)?);
        let (low, high) = (both as u16, (both >> 16) as u16);
        if low != 0 && high != 0 && low > high {
            return Err(Errno::EINVAL);
        }
        self.port_range = (low, high);
        Ok(())
    }

    fn set_options(&mut self, who: Privilege, bytes: &[u8]) -> Result<(), Errno> {
        self.options = checked_options(who, bytes)?;
        Ok(())
    }

    fn set_packet_info(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let (address, port) = bytes.split_first_chunk::<16>().ok_or(Errno::EINVAL)?;
        let port = u32::from_ne_bytes(*port.first_chunk().ok_or(Errno::EINVAL)?);
        let address = Ipv6Addr::from(*address);
        self.packet_info = (!address.is_unspecified() || port != 0).then_some((address, port));
        Ok(())
    }

    fn set_sticky(&mut self, who: Privilege, name: i32, bytes: &[u8]) -> Result<(), Errno> {
        if name != IPV6_RTHDR && who != Privilege::Administrator {
            return Err(Errno::EPERM);
        }
        let header = if bytes.is_empty() { None } else { Some(whole_header(bytes)?.to_vec()) };
        let mut sticky = self.sticky.clone();
        match name {
            IPV6_HOPOPTS => sticky.hop_by_hop = header,
            IPV6_RTHDRDSTOPTS => sticky.stops = header,
            IPV6_RTHDR => sticky.routing = header,
            _ => sticky.destination = header,
        }
        self.replace_sticky(sticky)
    }

    /// All of them at once.
    pub(crate) fn replace_sticky(&mut self, sticky: Sticky) -> Result<(), Errno> {
        self.headers = Headers::new(&sticky.parts()).map_err(|_| Errno::EINVAL)?.map(Arc::new);
        self.sticky = sticky;
        Ok(())
    }
}

/// Whether a socket of that family and kind has the option.
fn knows(Asker { ipv6, stream, .. }: Asker, level: i32, name: i32) -> bool {
    match level {
        IPPROTO_IP => matches!(name, IP_OPTIONS | IP_LOCAL_PORT_RANGE),
        IPPROTO_IPV6 => {
            ipv6 && matches!(name, IPV6_PKTINFO | IPV6_HOPOPTS | IPV6_RTHDRDSTOPTS | IPV6_RTHDR | IPV6_DSTOPTS)
        }
        IPPROTO_UDP => !stream && name == UDP_SEGMENT,
        _ => false,
    }
}

/// An extension header that says of itself how long it is, as Linux asks it.
pub fn whole_header(bytes: &[u8]) -> Result<&[u8], Errno> {
    let len = usize::from(*bytes.get(1).ok_or(Errno::EINVAL)?) * 8 + 8;
    if !bytes.len().is_multiple_of(8) || bytes.len() > 8 * 255 {
        return Err(Errno::EINVAL);
    }
    bytes.get(..len).ok_or(Errno::EINVAL)
}

/// What stands behind the end of options is nothing.
fn end_with_zeros(options: &mut [u8]) {
    let mut at = 0;
    while let Some(&kind) = options.get(at) {
        at += match kind {
            0 => return options[at..].fill(0),
            1 => 1,
            _ => usize::from(options.get(at + 1).copied().unwrap_or(0)).max(1),
        };
    }
}

/// Options of an IPv4 header that may be sent, padded to whole words. Source routes and timestamps are not sent here.
pub fn checked_options(who: Privilege, bytes: &[u8]) -> Result<Vec<u8>, Errno> {
    if bytes.len() > 40 {
        return Err(Errno::EINVAL);
    }
    let mut options = bytes.to_vec();
    options.resize(options.len().next_multiple_of(4), 0);
    end_with_zeros(&mut options);
    for option in Options::new(&options) {
        let option = option.map_err(|_| Errno::EINVAL)?;
        // The time of the day is not known where packets are made; and what nobody knows is for who may send anything.
        let is_unknown = matches!(option, IpOption::Unknown { .. }) && who == Privilege::User;
        if option.is_source_route() || matches!(option, IpOption::Timestamp(_)) || is_unknown {
            return Err(Errno::EINVAL);
        }
    }
    Ok(options)
}
