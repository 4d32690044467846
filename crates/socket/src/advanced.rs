//! What RFC 3542 and Linux add to the options of IP: extension headers and header options to be sent with every packet, and everything that a
//! packet which came can be asked for.
//!
//! Most are switches, and one table says which there are and how a value is read. Extension headers are kept as the program gave
//! them, and once more in the order in which they are sent. A header's options and routing may be set by whoever may open raw sockets, a routing
//! header by everybody, as on Linux; type 0 by nobody.
//!
//! Not done, and so refused: IPV6_NEXTHOP and IPV6_USE_MIN_MTU (as Linux), IPV6_FLOWLABEL_MGR, IPV6_PATHMTU's messages, IP_RETOPTS of
//! what came.
//!
//! # Standards
//!
//! RFC 3542 §4 to §11; RFC 6935; Linux ipv6(7), ip(7), udp(7).

use std::net::Ipv6Addr;
use std::sync::Arc;

use sockeye_stack::ipv6::Headers;
use sockeye_stack::ipv6::headers::Parts;
use sockeye_wire::ipv4::options::{IpOption, Options};

use crate::errno::Errno;
use crate::names::*;
use crate::settings::{Privilege, int, read_int, within};

/// How the value of a switch is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// An int.
    Int,
    /// An int or a byte; nothing at all is 0.
    Loose,
    /// An int; less than one is 0.
    Lenient,
}

/// A switch. The place in `SWITCHES` is its bit.
#[derive(Clone, Copy, Debug)]
pub struct Switch(u32);

macro_rules! switches {
    ($($(#[$doc:meta])* $constant:ident = $bit:literal: $level:ident $name:ident $reading:ident;)*) => {
        impl Switch {
            $($(#[$doc])* pub const $constant: Switch = Switch(1 << $bit);)*
        }
        const SWITCHES: &[(i32, i32, Reading, Switch)] = &[$(($level, $name, Reading::$reading, Switch::$constant)),*];
    };
}

switches! {
    /// IP_RECVOPTS.
    OPTIONS = 0: IPPROTO_IP IP_RECVOPTS Loose;
    /// IP_RECVORIGDSTADDR.
    ORIGINAL_DESTINATION = 2: IPPROTO_IP IP_RECVORIGDSTADDR Loose;
    /// IPV6_2292PKTINFO.
    OLD_PACKET_INFO = 3: IPPROTO_IPV6 IPV6_2292PKTINFO Int;
    /// IPV6_2292HOPOPTS.
    OLD_HOP_BY_HOP = 4: IPPROTO_IPV6 IPV6_2292HOPOPTS Int;
    /// IPV6_2292DSTOPTS.
    OLD_DESTINATION = 5: IPPROTO_IPV6 IPV6_2292DSTOPTS Int;
    /// IPV6_2292RTHDR.
    OLD_ROUTING = 6: IPPROTO_IPV6 IPV6_2292RTHDR Int;
    /// IPV6_2292HOPLIMIT.
    OLD_HOP_LIMIT = 7: IPPROTO_IPV6 IPV6_2292HOPLIMIT Int;
    /// IPV6_FLOWINFO.
    FLOW = 8: IPPROTO_IPV6 IPV6_FLOWINFO Int;
    /// IPV6_FLOWINFO_SEND.
    SENDS_FLOW = 9: IPPROTO_IPV6 IPV6_FLOWINFO_SEND Int;
    /// IPV6_RECVHOPOPTS.
    HOP_BY_HOP = 10: IPPROTO_IPV6 IPV6_RECVHOPOPTS Int;
    /// IPV6_RECVRTHDR.
    ROUTING = 11: IPPROTO_IPV6 IPV6_RECVRTHDR Int;
    /// IPV6_RECVDSTOPTS.
    DESTINATION = 12: IPPROTO_IPV6 IPV6_RECVDSTOPTS Int;
    /// IPV6_DONTFRAG.
    DONT_FRAGMENT = 13: IPPROTO_IPV6 IPV6_DONTFRAG Lenient;
    /// IPV6_RECVORIGDSTADDR.
    ORIGINAL_DESTINATION_V6 = 14: IPPROTO_IPV6 IPV6_RECVORIGDSTADDR Int;
    /// UDP_NO_CHECK6_TX.
    NO_CHECKSUM_V6 = 15: IPPROTO_UDP UDP_NO_CHECK6_TX Int;
    /// UDP_NO_CHECK6_RX.
    TAKES_UNCHECKED_V6 = 16: IPPROTO_UDP UDP_NO_CHECK6_RX Int;
    /// SO_NO_CHECK.
    NO_CHECKSUM = 17: SOL_SOCKET SO_NO_CHECK Int;
}

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
    switches: u32,
    /// IPV6_PKTINFO: where datagrams come from, and by which interface they go.
    pub packet_info: Option<(Ipv6Addr, u32)>,
    /// The extension headers as they were given.
    pub sticky: Sticky,
    /// The same as they are sent.
    pub headers: Option<Arc<Headers>>,
    /// IP_OPTIONS, padded.
    pub options: Vec<u8>,
    /// UDP_SEGMENT: what is sent is cut into datagrams of so many bytes; 0: it is not.
    pub segment: u16,
}

impl Advanced {
    /// Whether a switch is on.
    pub fn is_on(&self, switch: Switch) -> bool {
        self.switches & switch.0 != 0
    }

    /// Whether headers must be kept with what comes.
    pub fn wants_headers(&self) -> bool {
        const HEADERS: u32 = Switch::OPTIONS.0
            | Switch::OLD_HOP_BY_HOP.0
            | Switch::OLD_DESTINATION.0
            | Switch::OLD_ROUTING.0
            | Switch::FLOW.0
            | Switch::HOP_BY_HOP.0
            | Switch::ROUTING.0
            | Switch::DESTINATION.0;
        self.switches & HEADERS != 0
    }

    /// setsockopt, where the option is one of these.
    pub(crate) fn set(
        &mut self,
        (ipv6, stream): (bool, bool),
        who: Privilege,
        (level, name): (i32, i32),
        bytes: &[u8],
    ) -> Option<Result<(), Errno>> {
        if !knows(ipv6, stream, level, name) {
            return None;
        }
        if let Some(&(_, _, reading, switch)) = SWITCHES.iter().find(|known| (known.0, known.1) == (level, name)) {
            let value = match reading {
                Reading::Int => read_int(bytes),
                Reading::Loose => Ok(read_int(bytes).unwrap_or_else(|_| bytes.first().map_or(0, |&byte| byte.into()))),
                Reading::Lenient => Ok(read_int(bytes).unwrap_or(0)),
            };
            return Some(value.map(|value| {
                self.switches = if value == 0 { self.switches & !switch.0 } else { self.switches | switch.0 };
            }));
        }
        Some(match (level, name) {
            (IPPROTO_IP, IP_OPTIONS) => self.set_options(who, bytes),
            (IPPROTO_IPV6, IPV6_PKTINFO) => self.set_packet_info(bytes),
            (IPPROTO_UDP, UDP_SEGMENT) => {
                read_int(bytes).and_then(|size| within(size, 0, 65_535)).map(|size| self.segment = size as u16)
            }
            _ => self.set_sticky(who, name, bytes),
        })
    }

    /// getsockopt, where the option is one of these.
    pub(crate) fn value(&self, (ipv6, stream): (bool, bool), level: i32, name: i32) -> Option<Vec<u8>> {
        if !knows(ipv6, stream, level, name) {
            return None;
        }
        if let Some(known) = SWITCHES.iter().find(|known| (known.0, known.1) == (level, name)) {
            return Some(int(self.is_on(known.3).into()));
        }
        Some(match (level, name) {
            (IPPROTO_IP, IP_OPTIONS) => self.options.clone(),
            (IPPROTO_UDP, UDP_SEGMENT) => int(self.segment.into()),
            (_, IPV6_HOPOPTS) => self.sticky.hop_by_hop.clone().unwrap_or_default(),
            (_, IPV6_RTHDRDSTOPTS) => self.sticky.stops.clone().unwrap_or_default(),
            (_, IPV6_RTHDR) => self.sticky.routing.clone().unwrap_or_default(),
            (_, IPV6_DSTOPTS) => self.sticky.destination.clone().unwrap_or_default(),
            // Linux can be told, but not asked.
            _ => return None,
        })
    }

    fn set_options(&mut self, who: Privilege, bytes: &[u8]) -> Result<(), Errno> {
        self.options = checked_options(who, bytes)?;
        Ok(())
    }

    fn set_packet_info(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        if bytes.is_empty() {
            self.packet_info = None;
            return Ok(());
        }
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
        self.headers = Headers::new(&sticky.parts()).map_err(|_| Errno::EINVAL)?.map(Arc::new);
        self.sticky = sticky;
        Ok(())
    }
}

/// Whether a socket of that family and kind has the option.
fn knows(ipv6: bool, stream: bool, level: i32, name: i32) -> bool {
    let is_switch = SWITCHES.iter().any(|known| (known.0, known.1) == (level, name));
    match level {
        SOL_SOCKET => is_switch && !stream,
        IPPROTO_IP => (is_switch || name == IP_OPTIONS) && !stream,
        IPPROTO_IPV6 => {
            let sticky = matches!(name, IPV6_PKTINFO | IPV6_HOPOPTS | IPV6_RTHDRDSTOPTS | IPV6_RTHDR | IPV6_DSTOPTS);
            ipv6 && !stream && (is_switch || sticky)
        }
        IPPROTO_UDP => !stream && (is_switch || name == UDP_SEGMENT),
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

/// Options of an IPv4 header that may be sent, padded to whole words. Source routes and timestamps are not sent here.
pub fn checked_options(who: Privilege, bytes: &[u8]) -> Result<Vec<u8>, Errno> {
    if bytes.len() > 40 {
        return Err(Errno::EINVAL);
    }
    let mut options = bytes.to_vec();
    options.resize(options.len().next_multiple_of(4), 0);
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
