//! Neighbour discovery: routers, prefixes, neighbours and shorter ways, on a link of IPv6.
//!
//! ```text
//!                            0        1        2        4           8           12          16
//!                           +--------+--------+--------+-----------+-----------+-----------+---- - -
//!   router solicitation     | 133    | 0      | sum    | 0         | options
//!   router advertisement    | 134    | 0      | sum    |lim.|fl.|life| reachable | retransmit | options
//!                           +--------+--------+--------+-----------+-----------+------- - -
//!   neighbor solicitation   | 135    | 0      | sum    | 0         | target (16) | options
//!   neighbor advertisement  | 136    | 0      | sum    |R|S|O| 0   | target (16) | options
//!   redirect                | 137    | 0      | sum    | 0         | target (16) | destination (16) | options
//!                           +--------+--------+--------+-----------+------------------- - -
//! ```
//!
//! These are bodies of [`icmpv6::Message`](crate::icmpv6::Message), which has type and checksum. A message is read as a
//! whole or refused: every option has a length that is none of a lie. Whether it may be believed is
//! [`Message::validate`]'s to say, which asks nothing but the message and how it came. What only a host can know (is the
//! sender of a redirect the router that we use?) is the host's.
//!
//! ```
//! use std::net::Ipv6Addr;
//! use sockeye_wire::ndisc::{Message, NdOption, Options};
//! use sockeye_wire::{MacAddr, icmpv6, ipv6};
//!
//! // Who has this address?
//! fn solicitation(src: Ipv6Addr, mac: MacAddr, target: Ipv6Addr, buffer: &mut [u8]) -> usize {
//!     let mut options = [0; 8];
//!     let options = Options::write(&[NdOption::SourceLinkLayer(mac)], &mut options);
//!     let message = icmpv6::Message::Discovery(Message::NeighborSolicitation { target, options });
//!     message.emit(src, ipv6::solicited_node(target), buffer)
//! }
//! # let address = Ipv6Addr::LOCALHOST;
//! # assert_eq!(solicitation(address, MacAddr::ZERO, address, &mut [0; 32]), 32);
//! ```
//!
//! # Standards
//!
//! RFC 4861 §4.1 to §4.5 (messages), §6.1, §7.1 and §8.1 (validation); RFC 4191 §2.2 (preference of a router); RFC 6980 §5 (no
//! fragments). Bits for mobility and proxies (RFC 6275, RFC 4389) are ignored, and not sent.

mod domains;
mod options;

use core::net::Ipv6Addr;

pub use domains::{Domain, Domains, encode_domain};
pub use options::{
    BadOption, DnsSearchList, NdOption, OptionIter, Options, PrefixInformation, RecursiveDns, RouteInformation,
    option_kind,
};

use crate::Malformed;
use crate::field::{array_at, put, split, u16_at, u32_at};
use crate::icmpv6::{Arrival, Invalid, message_type};
use crate::ipv6::is_solicited_node;

/// The hop limit that all these messages are sent with.
pub const HOP_LIMIT: u8 = 255;

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Which routers are there?
    RouterSolicitation {
        /// Who asks.
        options: Options<'a>,
    },
    /// The sender is a router, and the link is like this.
    RouterAdvertisement(RouterAdvertisement<'a>),
    /// Who has this address?
    NeighborSolicitation {
        /// The address.
        target: Ipv6Addr,
        /// Who asks.
        options: Options<'a>,
    },
    /// The sender has it.
    NeighborAdvertisement(NeighborAdvertisement<'a>),
    /// The sender's router knows a shorter way.
    Redirect {
        /// The next hop to take: another router, or the destination itself.
        target: Ipv6Addr,
        /// For packets to this address.
        destination: Ipv6Addr,
        /// The target's link-layer address, and the packet that gave rise to it.
        options: Options<'a>,
    },
}

/// What a router says of itself and of its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterAdvertisement<'a> {
    /// The hop limit to send with; 0 where it says nothing.
    pub hop_limit: u8,
    /// Addresses come by DHCPv6.
    pub managed: bool,
    /// Other configuration comes by DHCPv6.
    pub other: bool,
    /// Rather this router than others, or rather not.
    pub preference: Preference,
    /// For how many seconds it is a default router; 0 for not at all.
    pub lifetime: u16,
    /// For how many milliseconds a neighbour is reachable after it was; 0 where it says nothing.
    pub reachable_time: u32,
    /// Milliseconds between solicitations; 0 where it says nothing.
    pub retransmit_time: u32,
    /// Prefixes, routes, MTU, name servers, the router's own link-layer address.
    pub options: Options<'a>,
}

/// What a neighbour says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighborAdvertisement<'a> {
    /// It is a router.
    pub router: bool,
    /// It was asked, by us.
    pub solicited: bool,
    /// What is known of it until now is to be replaced.
    pub overrides: bool,
    /// The address that it is about.
    pub target: Ipv6Addr,
    /// Its link-layer address.
    pub options: Options<'a>,
}

/// How much a router or a route is preferred. The order is that of preference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Preference {
    /// When there is no other.
    Low,
    /// As any.
    #[default]
    Medium,
    /// Before all others.
    High,
}

impl Preference {
    /// The two bits at 0x18. None for the value that is reserved.
    fn from_bits(flags: u8) -> Option<Preference> {
        match flags >> 3 & 3 {
            0 => Some(Preference::Medium),
            1 => Some(Preference::High),
            3 => Some(Preference::Low),
            _ => None,
        }
    }

    fn to_bits(self) -> u8 {
        match self {
            Preference::Medium => 0,
            Preference::High => 1 << 3,
            Preference::Low => 3 << 3,
        }
    }
}

const MANAGED: u8 = 0x80;
const OTHER: u8 = 0x40;

const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

impl<'a> Message<'a> {
    /// Reads what follows the checksum in a message of a type from 133 to 137.
    pub(crate) fn parse(kind: u8, body: &'a [u8]) -> Result<Message<'a>, Malformed> {
        match kind {
            message_type::ROUTER_SOLICITATION => {
                let (_, options) = cut::<4>(body)?;
                Ok(Message::RouterSolicitation { options })
            }
            message_type::ROUTER_ADVERTISEMENT => {
                let (fixed, options) = cut::<12>(body)?;
                Ok(Message::RouterAdvertisement(RouterAdvertisement {
                    hop_limit: fixed[0],
                    managed: fixed[1] & MANAGED != 0,
                    other: fixed[1] & OTHER != 0,
                    preference: Preference::from_bits(fixed[1]).unwrap_or_default(),
                    lifetime: u16_at(fixed, 2),
                    reachable_time: u32_at(fixed, 4),
                    retransmit_time: u32_at(fixed, 8),
                    options,
                }))
            }
            message_type::NEIGHBOR_SOLICITATION => {
                let (fixed, options) = cut::<20>(body)?;
                Ok(Message::NeighborSolicitation { target: address_at(fixed, 4), options })
            }
            message_type::NEIGHBOR_ADVERTISEMENT => {
                let (fixed, options) = cut::<20>(body)?;
                Ok(Message::NeighborAdvertisement(NeighborAdvertisement {
                    router: fixed[0] & ROUTER != 0,
                    solicited: fixed[0] & SOLICITED != 0,
                    overrides: fixed[0] & OVERRIDE != 0,
                    target: address_at(fixed, 4),
                    options,
                }))
            }
            message_type::REDIRECT => {
                let (fixed, options) = cut::<36>(body)?;
                let (target, destination) = (address_at(fixed, 4), address_at(fixed, 20));
                Ok(Message::Redirect { target, destination, options })
            }
            _ => Err(Malformed::Value),
        }
    }

    /// The type of the message.
    pub fn kind(&self) -> u8 {
        match self {
            Message::RouterSolicitation { .. } => message_type::ROUTER_SOLICITATION,
            Message::RouterAdvertisement(_) => message_type::ROUTER_ADVERTISEMENT,
            Message::NeighborSolicitation { .. } => message_type::NEIGHBOR_SOLICITATION,
            Message::NeighborAdvertisement(_) => message_type::NEIGHBOR_ADVERTISEMENT,
            Message::Redirect { .. } => message_type::REDIRECT,
        }
    }

    /// Its options.
    pub fn options(&self) -> Options<'a> {
        match *self {
            Message::RouterSolicitation { options }
            | Message::RouterAdvertisement(RouterAdvertisement { options, .. })
            | Message::NeighborSolicitation { options, .. }
            | Message::NeighborAdvertisement(NeighborAdvertisement { options, .. })
            | Message::Redirect { options, .. } => options,
        }
    }

    /// True when the message may be believed, as far as it and its way here tell. What is refused is discarded silently
    /// (and counted).
    pub fn validate(&self, arrival: &Arrival) -> Result<(), Invalid> {
        let Arrival { src, dst, hop_limit, fragmented, router_alert: _ } = *arrival;
        let require = |holds: bool, reason| if holds { Ok(()) } else { Err(reason) };
        require(hop_limit == HOP_LIMIT, Invalid::HopLimit)?;
        require(!fragmented, Invalid::Fragmented)?;
        require(!src.is_multicast(), Invalid::Source)?;
        let no_source_link_layer = |options: &Options<'_>| {
            let given = options.iter().any(|option| matches!(option, Ok(NdOption::SourceLinkLayer(_))));
            require(!src.is_unspecified() || !given, Invalid::SourceLinkLayer)
        };
        match self {
            Message::RouterSolicitation { options } => no_source_link_layer(options),
            Message::RouterAdvertisement(_) => require(src.is_unicast_link_local(), Invalid::Source),
            Message::NeighborSolicitation { target, options } => {
                require(!target.is_multicast(), Invalid::Target)?;
                require(!src.is_unspecified() || is_solicited_node(dst), Invalid::Destination)?;
                no_source_link_layer(options)
            }
            Message::NeighborAdvertisement(NeighborAdvertisement { solicited, target, .. }) => {
                require(!target.is_multicast(), Invalid::Target)?;
                require(!dst.is_multicast() || !solicited, Invalid::Solicited)
            }
            Message::Redirect { target, destination, options: _ } => {
                require(src.is_unicast_link_local(), Invalid::Source)?;
                require(!destination.is_multicast(), Invalid::Destination)?;
                require(target.is_unicast_link_local() || target == destination, Invalid::Target)
            }
        }
    }

    /// Bytes after the checksum.
    pub(crate) fn body_len(&self) -> usize {
        let fixed = match self {
            Message::RouterSolicitation { .. } => 4,
            Message::RouterAdvertisement(_) => 12,
            Message::NeighborSolicitation { .. } | Message::NeighborAdvertisement(_) => 20,
            Message::Redirect { .. } => 36,
        };
        fixed + self.options().as_bytes().len()
    }

    /// Writes what follows the checksum, [`Message::body_len`] bytes.
    pub(crate) fn emit_body(&self, buffer: &mut [u8]) {
        let rest = match *self {
            Message::RouterSolicitation { options: _ } => {
                let (fixed, rest) = split::<4>(buffer);
                *fixed = [0; 4];
                rest
            }
            Message::RouterAdvertisement(RouterAdvertisement {
                hop_limit,
                managed,
                other,
                preference,
                lifetime,
                reachable_time,
                retransmit_time,
                options: _,
            }) => {
                let (fixed, rest) = split::<12>(buffer);
                let flags = u8::from(managed) << 7 | u8::from(other) << 6 | preference.to_bits();
                put(fixed, 0, [hop_limit, flags]);
                put(fixed, 2, lifetime.to_be_bytes());
                put(fixed, 4, reachable_time.to_be_bytes());
                put(fixed, 8, retransmit_time.to_be_bytes());
                rest
            }
            Message::NeighborSolicitation { target, options: _ } => {
                let (fixed, rest) = split::<20>(buffer);
                put(fixed, 0, [0; 4]);
                put(fixed, 4, target.octets());
                rest
            }
            Message::NeighborAdvertisement(NeighborAdvertisement {
                router,
                solicited,
                overrides,
                target,
                options: _,
            }) => {
                let (fixed, rest) = split::<20>(buffer);
                let flags = u8::from(router) << 7 | u8::from(solicited) << 6 | u8::from(overrides) << 5;
                put(fixed, 0, [flags, 0, 0, 0]);
                put(fixed, 4, target.octets());
                rest
            }
            Message::Redirect { target, destination, options: _ } => {
                let (fixed, rest) = split::<36>(buffer);
                put(fixed, 0, [0; 4]);
                put(fixed, 4, target.octets());
                put(fixed, 20, destination.octets());
                rest
            }
        };
        let options = self.options().as_bytes();
        rest[..options.len()].copy_from_slice(options);
    }
}

/// The fixed part of a body, and its options.
fn cut<const N: usize>(body: &[u8]) -> Result<(&[u8; N], Options<'_>), Malformed> {
    let (fixed, options) = body.split_first_chunk::<N>().ok_or(Malformed::Truncated)?;
    Ok((fixed, Options::parse(options)?))
}

fn address_at<const N: usize>(fixed: &[u8; N], at: usize) -> Ipv6Addr {
    Ipv6Addr::from(array_at::<16, N>(fixed, at))
}

#[cfg(test)]
mod tests;
