//! Options in the headers for hop-by-hop and destination options.
//!
//! ```text
//!  +------+                         Pad1
//!  | 0    |
//!  +------+--------+--------- - -
//!  | kind | length | data           all others; length counts the data only
//!  +------+--------+--------- - -
//! ```
//!
//! The two upper bits of a kind say what to do with an option that one does not know ([`UnknownAction`]), the third that
//! routers may change its data. An option that belongs into the other header is one of those: it is read as unknown.
//!
//! [`OptionsHeader`] has been checked: every length holds, padding is zeros and not excessive, what we know is as long as
//! it has to be. So [`Options`] gives each option with its place, and no errors.
//!
//! # Standards
//!
//! RFC 8200 §4.2 (options, what to do with unknown ones, padding); RFC 8504 §5.3 (limits); RFC 4942 §2.1.9.5 (padding that
//! is none); RFC 2711 §2.1 (router alert); RFC 2675 §2 (jumbo payload); RFC 6275 §6.3 (home address).

use core::iter::FusedIterator;
use core::net::Ipv6Addr;

use super::{BadHeader, Limits, bad};
use crate::Malformed;

/// Kinds of options.
pub mod option_kind {
    /// One byte of padding, without a length.
    pub const PAD1: u8 = 0;
    /// Padding.
    pub const PADN: u8 = 1;
    /// Every router looks inside.
    pub const ROUTER_ALERT: u8 = 5;
    /// The length of a jumbogram.
    pub const JUMBO_PAYLOAD: u8 = 0xc2;
    /// Where a mobile node is at home.
    pub const HOME_ADDRESS: u8 = 0xc9;
}

/// An option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderOption<'a> {
    /// One byte of nothing.
    Pad1,
    /// Two bytes of nothing, and this many more.
    PadN(u8),
    /// Every router looks inside: 0 for MLD, 1 for RSVP. Hop-by-hop only.
    RouterAlert(u16),
    /// Length of all after the fixed header, in a packet that says 0 there: more than 65,535. Hop-by-hop only.
    JumboPayload(u32),
    /// Whom a mobile node's packet is from when it is not at home, in its checksums too (RFC 6275 §11.3.1). In destination
    /// options only. As it was sent: whether it may be believed is another protocol's question.
    HomeAddress(Ipv6Addr),
    /// Anything else.
    Unknown {
        /// Its kind.
        kind: u8,
        /// What follows its length, at most 255 bytes.
        data: &'a [u8],
    },
}

impl HeaderOption<'_> {
    /// The byte that the option begins with.
    pub fn kind(&self) -> u8 {
        match *self {
            HeaderOption::Pad1 => option_kind::PAD1,
            HeaderOption::PadN(_) => option_kind::PADN,
            HeaderOption::RouterAlert(_) => option_kind::ROUTER_ALERT,
            HeaderOption::JumboPayload(_) => option_kind::JUMBO_PAYLOAD,
            HeaderOption::HomeAddress(_) => option_kind::HOME_ADDRESS,
            HeaderOption::Unknown { kind, data: _ } => kind,
        }
    }

    /// True for both kinds of padding.
    pub fn is_padding(&self) -> bool {
        matches!(self, HeaderOption::Pad1 | HeaderOption::PadN(_))
    }

    /// What a node does that does not know the option.
    pub fn unknown_action(&self) -> UnknownAction {
        match self.kind() >> 6 {
            0 => UnknownAction::Skip,
            1 => UnknownAction::Discard,
            2 => UnknownAction::Report,
            _ => UnknownAction::ReportUnlessMulticast,
        }
    }

    /// True when routers may change the data, so that no check value covers it.
    pub fn may_change(&self) -> bool {
        self.kind() & 0x20 != 0
    }

    /// Bytes of the option, without padding around it.
    #[allow(clippy::len_without_is_empty, reason = "no option is empty")]
    pub fn len(&self) -> usize {
        match *self {
            HeaderOption::Pad1 => 1,
            HeaderOption::PadN(data) => 2 + usize::from(data),
            HeaderOption::RouterAlert(_) => 4,
            HeaderOption::JumboPayload(_) => 6,
            HeaderOption::HomeAddress(_) => 18,
            HeaderOption::Unknown { kind: _, data } => 2 + data.len(),
        }
    }

    /// Where the option may begin: at a multiple of the first number, plus the second, from the header's beginning. What we
    /// do not know may begin anywhere.
    pub fn alignment(&self) -> (usize, usize) {
        match self {
            HeaderOption::Pad1 | HeaderOption::PadN(_) | HeaderOption::Unknown { .. } => (1, 0),
            HeaderOption::RouterAlert(_) => (2, 0),
            HeaderOption::JumboPayload(_) => (4, 2),
            HeaderOption::HomeAddress(_) => (8, 6),
        }
    }
}

/// What a node does with a packet that has an option that it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownAction {
    /// Goes on.
    Skip,
    /// Discards the packet silently.
    Discard,
    /// Discards it and sends a parameter problem, to a group too.
    Report,
    /// Discards it and sends a parameter problem if the packet was for a single node.
    ReportUnlessMulticast,
}

impl UnknownAction {
    /// True when a packet to `dst` is answered by a parameter problem.
    pub fn reports(self, dst: Ipv6Addr) -> bool {
        match self {
            UnknownAction::Skip | UnknownAction::Discard => false,
            UnknownAction::Report => true,
            UnknownAction::ReportUnlessMulticast => !dst.is_multicast(),
        }
    }
}

/// A header of options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionsHeader<'a> {
    /// The whole header, its first two bytes too.
    header: &'a [u8],
    at: usize,
    hop_by_hop: bool,
}

impl<'a> OptionsHeader<'a> {
    /// Checks a header that stands at `at` in its packet.
    pub(super) fn parse(
        header: &'a [u8],
        at: usize,
        hop_by_hop: bool,
        limits: &Limits,
    ) -> Result<OptionsHeader<'a>, BadHeader> {
        if header.len() > limits.options_len {
            return Err(bad(at, Malformed::HeaderTooLong));
        }
        let (mut offset, mut options, mut padding) = (2, 0, 0);
        while offset < header.len() {
            let (option, len) =
                read(&header[offset..], hop_by_hop).map_err(|(within, reason)| bad(at + offset + within, reason))?;
            if option.is_padding() {
                padding += len;
                if padding > limits.padding {
                    return Err(bad(at + offset, Malformed::Padding));
                }
            } else {
                padding = 0;
                options += 1;
                if options > limits.options {
                    return Err(bad(at + offset, Malformed::TooManyOptions));
                }
            }
            offset += len;
        }
        Ok(OptionsHeader { header, at, hop_by_hop })
    }

    /// The options, padding included.
    pub fn options(&self) -> Options<'a> {
        Options { header: *self, offset: 2 }
    }

    /// The options in bytes, with padding.
    pub fn bytes(&self) -> &'a [u8] {
        &self.header[2..]
    }

    /// True for hop-by-hop options.
    pub fn is_hop_by_hop(&self) -> bool {
        self.hop_by_hop
    }
}

/// An option and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedOption<'a> {
    /// Where it begins, in bytes from the beginning of the IPv6 header: what a parameter problem about an unknown one
    /// points at.
    pub at: usize,
    /// What it is.
    pub option: HeaderOption<'a>,
}

/// Walks over the options of a header, padding included.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    header: OptionsHeader<'a>,
    offset: usize,
}

impl<'a> Iterator for Options<'a> {
    type Item = PlacedOption<'a>;

    fn next(&mut self) -> Option<PlacedOption<'a>> {
        let OptionsHeader { header, at, hop_by_hop } = self.header;
        let (option, len) = read(header.get(self.offset..)?, hop_by_hop).ok()?;
        let at = at + self.offset;
        self.offset += len;
        Some(PlacedOption { at, option })
    }
}

impl FusedIterator for Options<'_> {}

/// What the option of a jumbogram says, in a payload that begins with hop-by-hop options.
pub(in crate::ipv6) fn jumbo_payload_len(payload: &[u8]) -> Option<u32> {
    let len = 8 + usize::from(*payload.get(1)?) * 8;
    let mut options = payload.get(2..len)?;
    loop {
        let (option, len) = read(options, true).ok()?;
        if let HeaderOption::JumboPayload(len) = option {
            return Some(len);
        }
        options = &options[len..];
    }
}

/// What is wrong, and at which byte of the option.
type Fault = (usize, Malformed);

/// The first option in `bytes`, and its length.
fn read(bytes: &[u8], hop_by_hop: bool) -> Result<(HeaderOption<'_>, usize), Fault> {
    let (kind, len, data) = match *bytes {
        [] => return Err((0, Malformed::Truncated)),
        [option_kind::PAD1, ..] => return Ok((HeaderOption::Pad1, 1)),
        [_] => return Err((0, Malformed::OptionLength)),
        [kind, len, ref rest @ ..] => {
            let data = rest.get(..usize::from(len)).ok_or((1, Malformed::OptionLength))?;
            (kind, 2 + usize::from(len), data)
        }
    };
    let option = match (kind, hop_by_hop) {
        (option_kind::PADN, _) => {
            if let Some(at) = data.iter().position(|&byte| byte != 0) {
                return Err((2 + at, Malformed::Padding));
            }
            HeaderOption::PadN(data.len() as u8)
        }
        (option_kind::ROUTER_ALERT, true) => HeaderOption::RouterAlert(u16::from_be_bytes(exactly(data)?)),
        (option_kind::JUMBO_PAYLOAD, true) => HeaderOption::JumboPayload(u32::from_be_bytes(exactly(data)?)),
        (option_kind::HOME_ADDRESS, false) => HeaderOption::HomeAddress(Ipv6Addr::from(exactly::<16>(data)?)),
        _ => HeaderOption::Unknown { kind, data },
    };
    Ok((option, len))
}

fn exactly<const N: usize>(data: &[u8]) -> Result<[u8; N], Fault> {
    data.try_into().map_err(|_| (1, Malformed::OptionLength))
}
