//! Options of neighbour discovery.
//!
//! ```text
//!  kind  length     in units of 8 bytes, the first two bytes included
//!   1     1         source link-layer address (6)
//!   2     1         target link-layer address (6)
//!   3     4         prefix length, L|A|R, valid (4), preferred (4), 0 (4), prefix (16)
//!   4     1 + n     0 (6), redirected packet
//!   5     1         0 (2), MTU (4)
//!  14     1 + n     nonce
//!  24     1 to 3    prefix length, preference, lifetime (4), prefix (0, 8 or 16)
//!  25     1 + 2n    0 (2), lifetime (4), addresses of name servers
//!  31     2 + n     0 (2), lifetime (4), domain names, zeros
//! ```
//!
//! [`Options::parse`] makes sure of the lengths: none is zero, none reaches beyond the message. More is not asked of a
//! message. What a known option says is read by [`OptionIter`], which names what is wrong with it; such an option is
//! ignored as if it were not there, and so is one that is unknown.
//!
//! # Standards
//!
//! RFC 4861 §4.6 (kinds 1 to 5), §6.1 and §9 (unknown ones); RFC 6275 §7.2 (the router's own address in a prefix); RFC 3971 §5.3.2
//! (nonce); RFC 4191 §2.3 (routes); RFC 8106 §5 (name servers and search list). Link-layer addresses are Ethernet's
//! (RFC 2464 §6).

use core::iter::FusedIterator;
use core::net::Ipv6Addr;

use super::domains::Domains;
use super::{Preference, address_at};
use crate::field::{array_at, u32_at};
use crate::group::Addresses;
use crate::{IpPrefix, MacAddr, Malformed};

/// Kinds of options.
pub mod option_kind {
    /// The sender's link-layer address.
    pub const SOURCE_LINK_LAYER: u8 = 1;
    /// The target's link-layer address.
    pub const TARGET_LINK_LAYER: u8 = 2;
    /// A prefix of the link.
    pub const PREFIX_INFORMATION: u8 = 3;
    /// The packet that a redirect is about.
    pub const REDIRECTED_HEADER: u8 = 4;
    /// The link's MTU.
    pub const MTU: u8 = 5;
    /// A number that only the asker knows.
    pub const NONCE: u8 = 14;
    /// A route through the sender.
    pub const ROUTE_INFORMATION: u8 = 24;
    /// Name servers.
    pub const RECURSIVE_DNS: u8 = 25;
    /// Where to look for names that have no dot.
    pub const DNS_SEARCH_LIST: u8 = 31;
}

/// The unit of an option's length.
const UNIT: usize = 8;

/// An option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NdOption<'a> {
    /// The sender's link-layer address.
    SourceLinkLayer(MacAddr),
    /// The target's link-layer address.
    TargetLinkLayer(MacAddr),
    /// A prefix of the link.
    Prefix(PrefixInformation),
    /// The beginning of the packet that a redirect is about; sent with zeros to a multiple of 8 bytes.
    RedirectedHeader(&'a [u8]),
    /// The MTU that all nodes of the link are to use.
    Mtu(u32),
    /// A number that only the asker knows, 6 bytes or 8n more.
    Nonce(&'a [u8]),
    /// A route through the sender.
    Route(RouteInformation),
    /// Name servers.
    RecursiveDns(RecursiveDns<'a>),
    /// Where to look for names that have no dot.
    DnsSearchList(DnsSearchList<'a>),
    /// Anything else.
    Unknown {
        /// Its kind.
        kind: u8,
        /// What follows its length: 6 bytes or 8n more.
        data: &'a [u8],
    },
}

/// A prefix, and what may be done with it. Lifetimes are in seconds; all ones mean for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixInformation {
    /// The prefix; with [`router_address`](Self::router_address) a whole address.
    pub prefix: Ipv6Addr,
    /// How much of it counts, 0 to 128.
    pub prefix_len: u8,
    /// What has it is on the link.
    pub on_link: bool,
    /// Addresses may be made from it.
    pub autonomous: bool,
    /// It is an address of the router, host bits included.
    pub router_address: bool,
    /// How long it is valid.
    pub valid_lifetime: u32,
    /// How long addresses made from it are preferred.
    pub preferred_lifetime: u32,
}

impl PrefixInformation {
    /// The prefix without host bits.
    pub fn network(&self) -> IpPrefix {
        network(self.prefix, self.prefix_len)
    }
}

/// A route through the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteInformation {
    /// The destination, without host bits.
    pub prefix: Ipv6Addr,
    /// How much of it counts, 0 to 128.
    pub prefix_len: u8,
    /// Rather this route than others, or rather not.
    pub preference: Preference,
    /// For how many seconds; 0 for no more, all ones for ever.
    pub lifetime: u32,
}

impl RouteInformation {
    /// The destination without host bits.
    pub fn network(&self) -> IpPrefix {
        network(self.prefix, self.prefix_len)
    }

    fn prefix_bytes(&self) -> usize {
        match self.prefix_len {
            0 => 0,
            1..=64 => 8,
            65.. => 16,
        }
    }
}

/// Name servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecursiveDns<'a> {
    /// For how many seconds; 0 for no more, all ones for ever.
    pub lifetime: u32,
    /// Their addresses, one at least.
    pub servers: Addresses<'a, Ipv6Addr>,
}

/// Where to look for names that have no dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DnsSearchList<'a> {
    /// For how many seconds; 0 for no more, all ones for ever.
    pub lifetime: u32,
    /// The domains, one at least.
    pub domains: Domains<'a>,
}

impl NdOption<'_> {
    /// The byte that the option begins with.
    pub fn kind(&self) -> u8 {
        match *self {
            NdOption::SourceLinkLayer(_) => option_kind::SOURCE_LINK_LAYER,
            NdOption::TargetLinkLayer(_) => option_kind::TARGET_LINK_LAYER,
            NdOption::Prefix(_) => option_kind::PREFIX_INFORMATION,
            NdOption::RedirectedHeader(_) => option_kind::REDIRECTED_HEADER,
            NdOption::Mtu(_) => option_kind::MTU,
            NdOption::Nonce(_) => option_kind::NONCE,
            NdOption::Route(_) => option_kind::ROUTE_INFORMATION,
            NdOption::RecursiveDns(_) => option_kind::RECURSIVE_DNS,
            NdOption::DnsSearchList(_) => option_kind::DNS_SEARCH_LIST,
            NdOption::Unknown { kind, data: _ } => kind,
        }
    }

    /// Bytes that [`NdOption::emit`] writes, a multiple of 8.
    #[allow(clippy::len_without_is_empty, reason = "no option is empty")]
    pub fn len(&self) -> usize {
        let len = match self {
            NdOption::SourceLinkLayer(_) | NdOption::TargetLinkLayer(_) | NdOption::Mtu(_) => 8,
            NdOption::Prefix(_) => 32,
            NdOption::RedirectedHeader(packet) => 8 + packet.len(),
            NdOption::Nonce(data) | NdOption::Unknown { kind: _, data } => 2 + data.len(),
            NdOption::Route(route) => 8 + route.prefix_bytes(),
            NdOption::RecursiveDns(dns) => 8 + 16 * dns.servers.len(),
            NdOption::DnsSearchList(list) => 8 + list.domains.as_bytes().len(),
        };
        len.next_multiple_of(UNIT)
    }

    /// Writes the option and says how long it is. What is short of a multiple of 8 bytes is filled with zeros.
    ///
    /// # Panics
    ///
    /// When the buffer is shorter than [`NdOption::len`], or the option longer than 2,040 bytes.
    pub fn emit(&self, buffer: &mut [u8]) -> usize {
        let option = &mut buffer[..self.len()];
        option.fill(0);
        option[0] = self.kind();
        option[1] = u8::try_from(option.len() / UNIT).expect("an option that fits");
        match *self {
            NdOption::SourceLinkLayer(mac) | NdOption::TargetLinkLayer(mac) => option[2..].copy_from_slice(&mac.0),
            NdOption::Prefix(PrefixInformation {
                prefix,
                prefix_len,
                on_link,
                autonomous,
                router_address,
                valid_lifetime,
                preferred_lifetime,
            }) => {
                let flags = u8::from(on_link) << 7 | u8::from(autonomous) << 6 | u8::from(router_address) << 5;
                option[2..4].copy_from_slice(&[prefix_len, flags]);
                option[4..8].copy_from_slice(&valid_lifetime.to_be_bytes());
                option[8..12].copy_from_slice(&preferred_lifetime.to_be_bytes());
                option[16..].copy_from_slice(&prefix.octets());
            }
            NdOption::RedirectedHeader(packet) => option[8..][..packet.len()].copy_from_slice(packet),
            NdOption::Mtu(mtu) => option[4..].copy_from_slice(&mtu.to_be_bytes()),
            NdOption::Nonce(data) | NdOption::Unknown { kind: _, data } => {
                option[2..][..data.len()].copy_from_slice(data);
            }
            NdOption::Route(route) => {
                let RouteInformation { prefix, prefix_len, preference, lifetime } = route;
                option[2..4].copy_from_slice(&[prefix_len, preference.to_bits()]);
                option[4..8].copy_from_slice(&lifetime.to_be_bytes());
                option[8..].copy_from_slice(&prefix.octets()[..route.prefix_bytes()]);
            }
            NdOption::RecursiveDns(RecursiveDns { lifetime, servers }) => {
                option[4..8].copy_from_slice(&lifetime.to_be_bytes());
                for (out, server) in option[8..].chunks_exact_mut(16).zip(servers.octets()) {
                    out.copy_from_slice(server);
                }
            }
            NdOption::DnsSearchList(DnsSearchList { lifetime, domains }) => {
                option[4..8].copy_from_slice(&lifetime.to_be_bytes());
                option[8..][..domains.as_bytes().len()].copy_from_slice(domains.as_bytes());
            }
        }
        option.len()
    }
}

/// Options in bytes, each of a length that holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options<'a> {
    bytes: &'a [u8],
}

impl<'a> Options<'a> {
    /// No options.
    pub const NONE: Options<'static> = Options { bytes: &[] };

    /// Checks the lengths of the options that are all of `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<Options<'a>, Malformed> {
        let mut rest = bytes;
        while !rest.is_empty() {
            (_, rest) = cut(rest).ok_or(Malformed::OptionLength)?;
        }
        Ok(Options { bytes })
    }

    /// Writes options, to be sent with a message.
    ///
    /// # Panics
    ///
    /// When the buffer is shorter than all of them, or one is too long: see [`NdOption::emit`].
    pub fn write(options: &[NdOption<'_>], buffer: &'a mut [u8]) -> Options<'a> {
        let mut len = 0;
        for option in options {
            len += option.emit(&mut buffer[len..]);
        }
        Options { bytes: &buffer[..len] }
    }

    /// The options one by one.
    pub fn iter(&self) -> OptionIter<'a> {
        OptionIter { rest: self.bytes }
    }

    /// The first link-layer address of the sender.
    pub fn source_link_layer(&self) -> Option<MacAddr> {
        self.iter().find_map(|option| match option {
            Ok(NdOption::SourceLinkLayer(mac)) => Some(mac),
            _ => None,
        })
    }

    /// The first link-layer address of the target.
    pub fn target_link_layer(&self) -> Option<MacAddr> {
        self.iter().find_map(|option| match option {
            Ok(NdOption::TargetLinkLayer(mac)) => Some(mac),
            _ => None,
        })
    }

    /// The first nonce.
    pub fn nonce(&self) -> Option<&'a [u8]> {
        self.iter().find_map(|option| match option {
            Ok(NdOption::Nonce(nonce)) => Some(nonce),
            _ => None,
        })
    }

    /// All of them in bytes, a multiple of 8.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// An option that is to be ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadOption {
    /// Its kind.
    pub kind: u8,
    /// What is wrong with it.
    pub reason: Malformed,
}

/// Walks over options.
#[derive(Clone, Debug)]
pub struct OptionIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for OptionIter<'a> {
    type Item = Result<NdOption<'a>, BadOption>;

    fn next(&mut self) -> Option<Self::Item> {
        let (option, rest) = cut(self.rest)?;
        self.rest = rest;
        Some(read(option).map_err(|reason| BadOption { kind: option[0], reason }))
    }
}

impl FusedIterator for OptionIter<'_> {}

/// The first option, of a whole number of units, and what follows it. None at the end, and where a length lies.
fn cut(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = usize::from(*bytes.get(1)?) * UNIT;
    bytes.split_at_checked(len).filter(|(option, _)| !option.is_empty())
}

fn read(option: &[u8]) -> Result<NdOption<'_>, Malformed> {
    let (head, rest) = option.split_first_chunk::<UNIT>().ok_or(Malformed::OptionLength)?;
    let data = &option[2..];
    Ok(match head[0] {
        option_kind::SOURCE_LINK_LAYER => NdOption::SourceLinkLayer(mac(head, rest)?),
        option_kind::TARGET_LINK_LAYER => NdOption::TargetLinkLayer(mac(head, rest)?),
        option_kind::PREFIX_INFORMATION => NdOption::Prefix(read_prefix(exactly(option)?)?),
        option_kind::REDIRECTED_HEADER => NdOption::RedirectedHeader(rest),
        option_kind::MTU => {
            let option: &[u8; 8] = exactly(option)?;
            NdOption::Mtu(u32_at(option, 4))
        }
        option_kind::NONCE => NdOption::Nonce(data),
        option_kind::ROUTE_INFORMATION => NdOption::Route(read_route(head, rest)?),
        option_kind::RECURSIVE_DNS => {
            let servers = Addresses::new(rest).filter(|servers| !servers.is_empty());
            let servers = servers.ok_or(Malformed::OptionLength)?;
            NdOption::RecursiveDns(RecursiveDns { lifetime: u32_at(head, 4), servers })
        }
        option_kind::DNS_SEARCH_LIST => {
            NdOption::DnsSearchList(DnsSearchList { lifetime: u32_at(head, 4), domains: Domains::parse(rest)? })
        }
        kind => NdOption::Unknown { kind, data },
    })
}

fn mac(head: &[u8; UNIT], rest: &[u8]) -> Result<MacAddr, Malformed> {
    if rest.is_empty() { Ok(MacAddr(array_at(head, 2))) } else { Err(Malformed::OptionLength) }
}

fn read_prefix(option: &[u8; 32]) -> Result<PrefixInformation, Malformed> {
    let prefix_len = option[2];
    if prefix_len > 128 {
        return Err(Malformed::OptionValue);
    }
    Ok(PrefixInformation {
        prefix: address_at(option, 16),
        prefix_len,
        on_link: option[3] & 0x80 != 0,
        autonomous: option[3] & 0x40 != 0,
        router_address: option[3] & 0x20 != 0,
        valid_lifetime: u32_at(option, 4),
        preferred_lifetime: u32_at(option, 8),
    })
}

/// The prefix may be longer than its length takes, and is cut; it may not be shorter.
fn read_route(head: &[u8; UNIT], rest: &[u8]) -> Result<RouteInformation, Malformed> {
    let prefix_len = head[2];
    if rest.len() > 16 || usize::from(prefix_len) > (rest.len() * 8) {
        return Err(if prefix_len > 128 { Malformed::OptionValue } else { Malformed::OptionLength });
    }
    let preference = Preference::from_bits(head[3]).ok_or(Malformed::OptionValue)?;
    let mut octets = [0; 16];
    octets[..rest.len()].copy_from_slice(rest);
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix_len)).unwrap_or(0);
    let prefix = Ipv6Addr::from_bits(u128::from_be_bytes(octets) & mask);
    Ok(RouteInformation { prefix, prefix_len, preference, lifetime: u32_at(head, 4) })
}

/// A length above 128 is one that nobody has read; it is taken for a host's.
fn network(prefix: Ipv6Addr, len: u8) -> IpPrefix {
    IpPrefix::new(prefix.into(), len).unwrap_or(IpPrefix::host(prefix.into())).network()
}

fn exactly<const N: usize>(option: &[u8]) -> Result<&[u8; N], Malformed> {
    option.try_into().map_err(|_| Malformed::OptionLength)
}
