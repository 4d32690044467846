//! Extension headers of IPv6, as they are said on a command line.
//!
//! A routing header is a list of addresses and a count of those that are still to be visited; the packet itself is addressed to
//! the next one. Routers and hosts on the way swap the two. Four types are of interest:
//!
//! | type | what for | what a host does today |
//! |---|---|---|
//! | 0 | any way at all (RFC 2460) | refuses it: RFC 5095 |
//! | 2 | to a mobile node: one address, its home (RFC 6275) | takes it, if the home is its own |
//! | 3 | within a network of low power (RFC 6554) | refuses it, unless it is such a node |
//! | 4 | segment routing: the way in reverse order (RFC 8754) | forwards, where it is allowed to |

use std::net::Ipv6Addr;
use std::str::FromStr;

use sockeye_wire::ipv6::extension::{HeaderOption, Repr, routing_type};

/// An extension header.
#[derive(Clone, Debug)]
pub enum Header {
    /// Options for every router: a router alert.
    HopByHop,
    /// Options for the destination: one that nobody knows, and everybody passes over.
    Destination,
    /// A way to go: the type, and what it leads through (of type 2: where it leads in the end).
    Routing(u8, Vec<Ipv6Addr>),
}

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Header, String> {
        let (name, way) = text.split_once(':').unwrap_or((text, ""));
        let kind = match name {
            "hop-by-hop" => return Ok(Header::HopByHop),
            "destination" => return Ok(Header::Destination),
            "routing0" => routing_type::SOURCE_ROUTE,
            "routing2" => routing_type::MOBILE,
            "routing3" => routing_type::RPL,
            "routing4" => routing_type::SEGMENTS,
            _ => return Err("hop-by-hop, destination, routing0:, routing2:, routing3: and routing4: are known".into()),
        };
        let way: Result<Vec<Ipv6Addr>, _> = way.split(',').map(str::parse).collect();
        let way = way.map_err(|_| "a routing header goes via addresses, parted by commas")?;
        if way.len() > 8 || (kind == routing_type::MOBILE && way.len() != 1) {
            return Err("type 2 has one address, the others at most 8".into());
        }
        Ok(Header::Routing(kind, way))
    }
}

impl Header {
    /// Whom a packet for `to` is addressed to, if this header says so.
    pub fn first_hop(&self, to: Ipv6Addr) -> Option<Ipv6Addr> {
        match self {
            Header::Routing(routing_type::MOBILE, _) => Some(to),
            Header::Routing(_, way) => way.first().copied(),
            Header::HopByHop | Header::Destination => None,
        }
    }

    /// Where a packet for `to` ends up, if this header says so.
    pub fn last_hop(&self, to: Ipv6Addr) -> Option<Ipv6Addr> {
        match self {
            Header::Routing(routing_type::MOBILE, way) => way.first().copied(),
            Header::Routing(..) => Some(to),
            Header::HopByHop | Header::Destination => None,
        }
    }

    /// What the header holds in a packet for `to`.
    pub fn contents(&self, to: Ipv6Addr) -> Contents {
        match self {
            Header::HopByHop => Contents::HopByHop([HeaderOption::RouterAlert(0)]),
            // The upper bits of 0x1e say: who does not know it passes it over.
            Header::Destination => Contents::Destination([HeaderOption::Unknown { kind: 0x1e, data: b"sockeye" }]),
            Header::Routing(kind, way) => {
                // All that are still to come after the first hop, the destination last.
                let ahead: Vec<Ipv6Addr> = match *kind {
                    routing_type::MOBILE => way.clone(),
                    routing_type::SEGMENTS => way.iter().copied().chain([to]).rev().collect(),
                    _ => way.iter().skip(1).copied().chain([to]).collect(),
                };
                let left = match *kind {
                    routing_type::SEGMENTS => ahead.len() - 1,
                    _ => ahead.len(),
                };
                // Segment routing lists the first hop, too, and says where the list ends; then flags and a tag. Type 3 says how much
                // of each address is left out: nothing.
                let head = if *kind == routing_type::SEGMENTS { [(ahead.len() - 1) as u8, 0, 0, 0] } else { [0; 4] };
                let data = head.into_iter().chain(ahead.iter().flat_map(Ipv6Addr::octets)).collect();
                Contents::Routing { kind: *kind, segments_left: left as u8, data }
            }
        }
    }
}

/// What a header holds, for a [`Repr`] to borrow.
#[derive(Clone, Debug)]
pub enum Contents {
    /// Options for every router.
    HopByHop([HeaderOption<'static>; 1]),
    /// Options for the destination.
    Destination([HeaderOption<'static>; 1]),
    /// A way to go.
    Routing {
        /// The type.
        kind: u8,
        /// How many addresses are still ahead.
        segments_left: u8,
        /// All behind the first four bytes.
        data: Vec<u8>,
    },
}

impl Contents {
    /// The header, to be written.
    pub fn repr(&self) -> Repr<'_> {
        match self {
            Contents::HopByHop(options) => Repr::HopByHop(options),
            Contents::Destination(options) => Repr::Destination(options),
            Contents::Routing { kind, segments_left, data } => {
                Repr::Routing { kind: *kind, segments_left: *segments_left, data }
            }
        }
    }
}
