//! Extension headers: what stands between the fixed header and what a packet carries.
//!
//! ```text
//!  +------+------+------------- - -    hop-by-hop options, destination options: 8 + 8n bytes
//!  | next | n    | options
//!  +------+------+------+------+------ - -    routing: 8 + 8n bytes
//!  | next | n    | type | left | depends on type
//!  +------+------+------+------+-------------+     fragment: 8 bytes
//!  | next | 0    | offset    |M| identification
//!  +------+------+-------------+------ - -    authentication: 8 + 4n bytes
//!  | next | n    | 0           | see crate::ah
//!  +------+------+-------------+------ - -
//! ```
//!
//! [`Extensions`] walks from header to header. Each item is checked when it is given: its length against the bytes at
//! hand, its options one by one. So options are read without errors afterwards, and whoever is to blame is told once: a
//! [`BadHeader`] has the offending byte, counted from the beginning of the IPv6 header, and the code of the parameter
//! problem that reports it. The walk ends at the first number that is none of these headers (ESP and "no next header"
//! among them) and [`Extensions::upper`] says what stands there.
//!
//! Every header moves the walk by at least 8 bytes, so it ends; but who pays for a chain of 180 headers in one packet is
//! the receiver, and [`Limits`] say how much of it is too much. Hop-by-hop options are taken in the first place only. After
//! the header of a fragment that is not the first one nothing is a header any more; the first one must have them all.
//!
//! [`Repr`] writes a header, [`emit_chain`] several in a row. What a receiver does with options and routing headers is
//! its own business.
//!
//! ```
//! use sockeye_wire::Protocol;
//! use sockeye_wire::ipv6::extension::{BadHeader, Extension, Extensions, Limits};
//! use sockeye_wire::ipv6::{Packet, Repr};
//!
//! /// What a packet carries, and whether routers were to look inside.
//! fn carried(packet: &Packet<'_>) -> Result<(Protocol, bool), BadHeader> {
//!     let mut headers = Extensions::new(packet, Limits::DEFAULT);
//!     let mut options = false;
//!     for header in headers.by_ref() {
//!         options |= matches!(header?.extension, Extension::HopByHop(_));
//!     }
//!     Ok((headers.end()?.protocol, options))
//! }
//! # let (src, dst) = (std::net::Ipv6Addr::LOCALHOST, std::net::Ipv6Addr::LOCALHOST);
//! # let mut bytes = [0; 40];
//! # let next_header = Protocol::NO_NEXT_HEADER;
//! # Repr { src, dst, next_header, hop_limit: 1, traffic_class: 0, flow_label: 0 }.emit(0, &mut bytes);
//! # assert_eq!(carried(&Packet::parse(&bytes).unwrap()), Ok((next_header, false)));
//! ```
//!
//! # Standards
//!
//! RFC 8200 §4 (all but the authentication header: RFC 4302 §2), §4.1 (order); RFC 8504 §5.3 (limits); RFC 7112 §5 (first
//! fragments); RFC 2675 §3 (jumbograms and their errors); RFC 5095 §3, RFC 6275 §6.4, RFC 6554 §3, RFC 8754 §2 (types of
//! routing headers); RFC 8883 §2 (codes for limits).

mod emit;
mod options;
mod routing;

use core::iter::FusedIterator;

pub use emit::{Repr, emit_chain};
pub(super) use options::jumbo_payload_len;
pub use options::{HeaderOption, Options, OptionsHeader, PlacedOption, UnknownAction, option_kind};
pub use routing::{Routing, routing_type};

use super::{HEADER_LEN, NEXT_HEADER_OFFSET, PAYLOAD_LEN_OFFSET, Packet};
use crate::field::{u16_at, u32_at};
use crate::icmpv6::ParameterCode;
use crate::{Malformed, Protocol, ah, icmpv6, tcp, udp};

/// Length of a fragment header.
pub const FRAGMENT_LEN: usize = 8;
/// Length of the longest options or routing header.
pub const MAX_LEN: usize = 8 + 255 * 8;

/// How much of extension headers a host puts up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Extension headers in a packet.
    pub headers: usize,
    /// Bytes of all extension headers together.
    pub chain_len: usize,
    /// Bytes of a header of options.
    pub options_len: usize,
    /// Options in a header, padding not counted.
    pub options: usize,
    /// Bytes of padding in a row. 7 suffice to reach any boundary.
    pub padding: usize,
}

impl Limits {
    /// What Linux bears, and no more than 16 headers of 2 KiB together.
    pub const DEFAULT: Limits = Limits { headers: 16, chain_len: 2048, options_len: MAX_LEN, options: 8, padding: 7 };
    /// What a packet can hold.
    pub const NONE: Limits = Limits {
        headers: usize::MAX,
        chain_len: usize::MAX,
        options_len: usize::MAX,
        options: usize::MAX,
        padding: usize::MAX,
    };
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::DEFAULT
    }
}

/// An extension header that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Where it begins, in bytes from the beginning of the IPv6 header.
    pub at: usize,
    /// What it is.
    pub extension: Extension<'a>,
    /// What comes after it. The number stands at `at`.
    pub next_header: Protocol,
    /// All that comes after it.
    pub rest: &'a [u8],
}

/// What an extension header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension<'a> {
    /// Options for every router, and the receiver.
    HopByHop(OptionsHeader<'a>),
    /// Options for the destination (before a routing header: for each that it names).
    Destination(OptionsHeader<'a>),
    /// Where the packet has still to go.
    Routing(Routing<'a>),
    /// This is a piece of a packet.
    Fragment(Fragment),
    /// Who sent it, proved.
    Authentication(ah::Header<'a>),
}

/// What a fragment header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fragment {
    /// Where what follows stands in the whole packet's fragmentable part, in bytes, a multiple of 8.
    pub offset: u16,
    /// More of it comes in other fragments.
    pub more: bool,
    /// What the fragments of one packet have in common.
    pub id: u32,
}

impl Fragment {
    /// True for a fragment that is the whole packet, which concerns no other fragment.
    #[inline]
    pub fn is_atomic(&self) -> bool {
        self.offset == 0 && !self.more
    }
}

/// What a packet carries behind its extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upper<'a> {
    /// What it is.
    pub protocol: Protocol,
    /// Where that number stands: what a parameter problem about an unknown one points at.
    pub protocol_at: usize,
    /// Where it begins, in bytes from the beginning of the IPv6 header.
    pub at: usize,
    /// Its bytes. In a fragment as many as it has; in one that is not the first no header among them.
    pub payload: &'a [u8],
    /// The fragment header that it stands behind, if any.
    pub fragment: Option<Fragment>,
}

impl Upper<'_> {
    /// True when the transport's header is all there, as a first fragment must have it: as Linux asks it, without
    /// options, and one byte of what we do not know.
    pub fn has_whole_header(&self) -> bool {
        let header_len = match self.protocol {
            Protocol::TCP => tcp::HEADER_LEN,
            Protocol::UDP => udp::HEADER_LEN,
            Protocol::ICMPV6 => icmpv6::HEADER_LEN,
            Protocol::NO_NEXT_HEADER => 0,
            _ => 1,
        };
        self.payload.len() >= header_len
    }
}

/// A header that a packet must be refused for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadHeader {
    /// The offending byte, counted from the beginning of the IPv6 header: what a parameter problem's pointer says.
    pub pointer: u32,
    /// What is wrong with it.
    pub reason: Malformed,
}

impl BadHeader {
    /// The code of the parameter problem that reports it. None where a host keeps silent.
    pub fn parameter_code(&self) -> Option<ParameterCode> {
        match self.reason {
            Malformed::Padding => None,
            Malformed::HeaderOrder => Some(ParameterCode::UNKNOWN_NEXT_HEADER),
            Malformed::FirstFragment => Some(ParameterCode::FIRST_FRAGMENT),
            Malformed::HeaderTooLong => Some(ParameterCode::HEADER_TOO_LONG),
            Malformed::ChainTooLong => Some(ParameterCode::CHAIN_TOO_LONG),
            Malformed::TooManyHeaders => Some(ParameterCode::TOO_MANY_HEADERS),
            Malformed::TooManyOptions => Some(ParameterCode::TOO_MANY_OPTIONS),
            _ => Some(ParameterCode::ERRONEOUS_FIELD),
        }
    }
}

fn bad(pointer: usize, reason: Malformed) -> BadHeader {
    BadHeader { pointer: pointer as u32, reason }
}

/// Walks over extension headers. Ends where something else begins, and after an error.
#[derive(Clone, Debug)]
pub struct Extensions<'a> {
    upper: Upper<'a>,
    limits: Limits,
    /// Hop-by-hop options may stand here, in a packet with this payload length.
    first: Option<u16>,
    headers: usize,
    chain_len: usize,
    jumbo: bool,
    failed: Option<BadHeader>,
}

impl<'a> Extensions<'a> {
    /// The headers of a packet.
    #[inline]
    pub fn new(packet: &Packet<'a>, limits: Limits) -> Extensions<'a> {
        let upper = Upper {
            protocol: packet.next_header(),
            protocol_at: NEXT_HEADER_OFFSET,
            at: HEADER_LEN,
            payload: packet.payload(),
            fragment: None,
        };
        Extensions { first: Some(packet.payload_len()), ..Extensions::within(upper, limits) }
    }

    /// The headers from `upper` on, where what stands before it has been dealt with: in a packet put together from
    /// fragments, or inside another header.
    #[inline]
    pub fn within(upper: Upper<'a>, limits: Limits) -> Extensions<'a> {
        Extensions { upper, limits, first: None, headers: 0, chain_len: 0, jumbo: false, failed: None }
    }

    /// Walks to the end: what the packet carries.
    #[inline]
    pub fn upper(mut self) -> Result<Upper<'a>, BadHeader> {
        for header in self.by_ref() {
            header?;
        }
        self.end()
    }

    /// What stands where the walk is: after its end, what the packet carries.
    ///
    /// The first fragment of several must hold it up to its own header's end.
    #[inline]
    pub fn end(&self) -> Result<Upper<'a>, BadHeader> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        match self.upper.fragment {
            Some(Fragment { offset: 0, more: true, id: _ }) if !self.upper.has_whole_header() => {
                Err(bad(0, Malformed::FirstFragment))
            }
            _ => Ok(self.upper),
        }
    }

    /// True where a header stands that the walk knows.
    #[inline]
    fn is_at_header(&self) -> bool {
        let after_headers = self.upper.fragment.is_some_and(|fragment| fragment.offset != 0);
        !after_headers
            && matches!(
                self.upper.protocol,
                Protocol::HOP_BY_HOP
                    | Protocol::ROUTING
                    | Protocol::FRAGMENT
                    | Protocol::AH
                    | Protocol::DESTINATION_OPTIONS
            )
    }

    fn step(&mut self) -> Result<Header<'a>, BadHeader> {
        let Upper { protocol, protocol_at, at, payload: bytes, fragment } = self.upper;
        let first = self.first.take();
        if protocol == Protocol::HOP_BY_HOP && first.is_none() {
            return Err(bad(protocol_at, Malformed::HeaderOrder));
        }
        self.headers += 1;
        if self.headers > self.limits.headers {
            return Err(bad(at, Malformed::TooManyHeaders));
        }
        // Of a first fragment all headers must be there; of others whatever is missing is a length that lies.
        let missing = |pointer, reason| match fragment {
            Some(Fragment { more: true, .. }) => bad(0, Malformed::FirstFragment),
            _ => bad(pointer, reason),
        };
        if bytes.is_empty() && protocol == Protocol::HOP_BY_HOP {
            return Err(bad(PAYLOAD_LEN_OFFSET, Malformed::TotalLength));
        }
        let fixed: &[u8; 8] = bytes.first_chunk().ok_or(missing(at, Malformed::Truncated))?;
        let len = match protocol {
            Protocol::FRAGMENT => FRAGMENT_LEN,
            Protocol::AH => 8 + usize::from(fixed[1]) * 4,
            _ => 8 + usize::from(fixed[1]) * 8,
        };
        if protocol == Protocol::AH && (fixed[1] == 0 || len % 8 != 0) {
            return Err(bad(at + 1, Malformed::HeaderLength));
        }
        let (header, rest) = bytes.split_at_checked(len).ok_or(missing(at + 1, Malformed::HeaderLength))?;
        self.chain_len += len;
        if self.chain_len > self.limits.chain_len {
            return Err(bad(at, Malformed::ChainTooLong));
        }
        let extension = match protocol {
            Protocol::HOP_BY_HOP => {
                let options = OptionsHeader::parse(header, at, true, &self.limits)?;
                self.jumbo = check_jumbo(&options, first.unwrap_or(0))?;
                Extension::HopByHop(options)
            }
            Protocol::DESTINATION_OPTIONS => {
                Extension::Destination(OptionsHeader::parse(header, at, false, &self.limits)?)
            }
            Protocol::ROUTING => Extension::Routing(Routing::of(fixed, &header[4..])),
            Protocol::FRAGMENT => {
                if self.jumbo {
                    return Err(bad(at, Malformed::Value));
                }
                let word = u16_at(fixed, 2);
                let fragment = Fragment { offset: word & !7, more: word & 1 != 0, id: u32_at(fixed, 4) };
                self.upper.fragment = Some(fragment);
                Extension::Fragment(fragment)
            }
            _ => Extension::Authentication(ah::Header::of(header).ok_or(bad(at, Malformed::Truncated))?),
        };
        let next_header = Protocol(fixed[0]);
        self.upper = Upper { protocol: next_header, protocol_at: at, at: at + len, payload: rest, ..self.upper };
        Ok(Header { at, extension, next_header, rest })
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Result<Header<'a>, BadHeader>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed.is_some() || !self.is_at_header() {
            return None;
        }
        let header = self.step();
        self.failed = header.err();
        Some(header)
    }
}

impl FusedIterator for Extensions<'_> {}

/// A jumbogram has no other length, and needs the one it has. True when the packet is one.
fn check_jumbo(options: &OptionsHeader<'_>, payload_len: u16) -> Result<bool, BadHeader> {
    let jumbo = options.options().find_map(|PlacedOption { at, option }| match option {
        HeaderOption::JumboPayload(len) => Some((at, len)),
        _ => None,
    });
    match (jumbo, payload_len) {
        (None, 0) => Err(bad(PAYLOAD_LEN_OFFSET, Malformed::TotalLength)),
        (None, _) => Ok(false),
        (Some((at, _)), 1..) => Err(bad(at, Malformed::Value)),
        (Some((at, len)), 0) if len <= u32::from(u16::MAX) => Err(bad(at + 2, Malformed::TotalLength)),
        (Some(_), 0) => Ok(true),
    }
}

#[cfg(test)]
mod tests;
