//! Extension headers: writing.
//!
//! Options are laid out in their order, each where its alignment wants it: Pad1 or PadN before it as it takes, and after
//! the last up to the header's end. Padding that is asked for is written, too.
//!
//! # Standards
//!
//! RFC 8200 §4.2 and appendix A (how options are padded), §4.4, §4.5; RFC 4302 §2.

use super::{FRAGMENT_LEN, Fragment, HeaderOption, MAX_LEN};
use crate::field::{put, split};
use crate::{Protocol, ah};

/// The meaning of an extension header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repr<'a> {
    /// Options for every router, and the receiver.
    HopByHop(&'a [HeaderOption<'a>]),
    /// Options for the destination.
    Destination(&'a [HeaderOption<'a>]),
    /// Where the packet has to go.
    Routing {
        /// How to read the rest.
        kind: u8,
        /// How many nodes have still to be visited.
        segments_left: u8,
        /// What follows: 4 bytes and a multiple of 8.
        data: &'a [u8],
    },
    /// This is a piece of a packet.
    Fragment(Fragment),
    /// Who sent it, proved: 8 times n bytes in all, so 4 + 8n of them check value.
    Authentication(ah::Header<'a>),
}

impl Repr<'_> {
    /// The number that says that such a header follows.
    pub fn protocol(&self) -> Protocol {
        match self {
            Repr::HopByHop(_) => Protocol::HOP_BY_HOP,
            Repr::Destination(_) => Protocol::DESTINATION_OPTIONS,
            Repr::Routing { .. } => Protocol::ROUTING,
            Repr::Fragment(_) => Protocol::FRAGMENT,
            Repr::Authentication(_) => Protocol::AH,
        }
    }

    /// Bytes that [`Repr::emit`] writes, a multiple of 8.
    pub fn header_len(&self) -> usize {
        match self {
            Repr::HopByHop(options) | Repr::Destination(options) => lay_out(options, |_, _| ()),
            Repr::Routing { data, .. } => 4 + data.len(),
            Repr::Fragment(_) => FRAGMENT_LEN,
            Repr::Authentication(header) => header.header_len(),
        }
    }

    /// Writes the header, with `next_header` after it, and says how long it is.
    ///
    /// # Panics
    ///
    /// When the buffer is shorter than [`Repr::header_len`], the header longer than [`MAX_LEN`], an option longer than 257
    /// bytes, or a length not what the header can have.
    pub fn emit(&self, next_header: Protocol, buffer: &mut [u8]) -> usize {
        let header_len = self.header_len();
        assert!(header_len.is_multiple_of(8) && header_len <= MAX_LEN, "a length that a header can have");
        let header = &mut buffer[..header_len];
        match *self {
            Repr::HopByHop(options) | Repr::Destination(options) => {
                lay_out(options, |at, option| write(option, &mut header[at..]));
            }
            Repr::Routing { kind, segments_left, data } => {
                header[2..4].copy_from_slice(&[kind, segments_left]);
                header[4..].copy_from_slice(data);
            }
            Repr::Fragment(Fragment { offset, more, id }) => {
                debug_assert!(offset % 8 == 0, "a fragment begins at a multiple of 8 bytes");
                let (header, _) = split::<FRAGMENT_LEN>(header);
                put(header, 2, (offset & !7 | u16::from(more)).to_be_bytes());
                put(header, 4, id.to_be_bytes());
            }
            Repr::Authentication(authentication) => return authentication.emit(next_header, header),
        }
        header[0] = next_header.0;
        header[1] = if let Repr::Fragment(_) = self { 0 } else { (header_len / 8 - 1) as u8 };
        header_len
    }
}

/// Writes headers in a row, with `upper` after the last. Returns what the fixed header says is next, and how many bytes
/// were written.
///
/// # Panics
///
/// As [`Repr::emit`] does.
pub fn emit_chain(headers: &[Repr<'_>], upper: Protocol, buffer: &mut [u8]) -> (Protocol, usize) {
    let mut at = 0;
    for (index, header) in headers.iter().enumerate() {
        let next_header = headers.get(index + 1).map_or(upper, Repr::protocol);
        at += header.emit(next_header, &mut buffer[at..]);
    }
    (headers.first().map_or(upper, Repr::protocol), at)
}

/// Gives every option its place, with padding where it takes some, and returns the header's length.
fn lay_out(options: &[HeaderOption<'_>], mut place: impl FnMut(usize, &HeaderOption<'_>)) -> usize {
    let mut at = 2;
    for option in options {
        let (multiple, plus) = option.alignment();
        let begin = (at + multiple - plus).next_multiple_of(multiple) + plus - multiple;
        if let Some(padding) = padding(begin - at) {
            place(at, &padding);
        }
        place(begin, option);
        at = begin + option.len();
    }
    let end = at.next_multiple_of(8);
    if let Some(padding) = padding(end - at) {
        place(at, &padding);
    }
    end
}

/// `count` bytes of nothing, fewer than 8.
fn padding(count: usize) -> Option<HeaderOption<'static>> {
    match count {
        0 => None,
        1 => Some(HeaderOption::Pad1),
        _ => Some(HeaderOption::PadN((count - 2) as u8)),
    }
}

fn write(option: &HeaderOption<'_>, out: &mut [u8]) {
    let out = &mut out[..option.len()];
    out[0] = option.kind();
    let [_, len, data @ ..] = out else { return };
    *len = u8::try_from(data.len()).expect("an option that fits");
    match *option {
        HeaderOption::Pad1 => {}
        HeaderOption::PadN(_) => data.fill(0),
        HeaderOption::RouterAlert(value) => data.copy_from_slice(&value.to_be_bytes()),
        HeaderOption::JumboPayload(len) => data.copy_from_slice(&len.to_be_bytes()),
        HeaderOption::HomeAddress(address) => data.copy_from_slice(&address.octets()),
        HeaderOption::Unknown { kind: _, data: bytes } => data.copy_from_slice(bytes),
    }
}
