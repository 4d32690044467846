//! Ethernet II frames, with 802.1Q tags.
//!
//! ```text
//!   0                 6                12              14
//!  +-----------------+-----------------+---------------+------------------ - -
//!  | destination     | source          | EtherType     | payload
//!  +-----------------+-----------------+---------------+------------------ - -
//!
//!  a tag stands where the EtherType would, and moves it by 4 bytes:
//!
//!   12              14                                16
//!  +---------------+-----+---+-----------------------+---------------+---- - -
//!  | 8100 or 88a8  | PCP |DEI| VLAN identifier       | EtherType     | payload
//!  +---------------+-----+---+-----------------------+---------------+---- - -
//! ```
//!
//! Up to two tags are recognised (a service tag around a customer tag). A third is left where it is: the frame's
//! EtherType then is that of a tag, which no host speaks, so that a tower of tags costs no more than any other unknown
//! protocol. A value below 0x0600 in the place of the EtherType is the length of an 802.3 frame: the payload is cut to
//! it, and a length that lies is refused. Padding after an EtherType's payload is the payload's own business, as only
//! it knows its length. The frame check sequence never comes this far.
//!
//! # Standards
//!
//! IEEE 802.3 §3.2 (frame format, length/type), IEEE 802.1Q §9.5 and §9.6 (tag protocol identifiers, tag control
//! information), RFC 894 (IPv4 on Ethernet).

mod mac;

use core::fmt;

pub use mac::{MacAddr, MacAddrError};

use crate::Malformed;
use crate::field::{array_at, put, split, u16_at};

/// Length of an untagged header.
pub const HEADER_LEN: usize = 14;
/// What each tag adds.
pub const TAG_LEN: usize = 4;
/// The shortest frame on a wire, without its check sequence: a device pads to it, with zeros.
pub const MIN_FRAME_LEN: usize = 60;

/// A frame in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    addresses: &'a [u8; 12],
    tags: [Option<VlanTag>; 2],
    ether_type: EtherType,
    payload: &'a [u8],
    header_len: usize,
}

impl<'a> Frame<'a> {
    /// Reads a frame from its destination address on, with up to two tags.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Frame<'a>, Malformed> {
        let (addresses, rest) = bytes.split_first_chunk::<12>().ok_or(Malformed::Truncated)?;
        let (ether_type, payload) = rest.split_first_chunk::<2>().ok_or(Malformed::Truncated)?;
        let ether_type = EtherType(u16_at(ether_type, 0));
        let mut frame = Frame { addresses, tags: [None; 2], ether_type, payload, header_len: HEADER_LEN };
        if frame.ether_type.is_tag() {
            frame.take_tags()?;
        }
        if frame.ether_type.is_length() {
            frame.trim()?;
        }
        Ok(frame)
    }

    /// Who the frame is for.
    #[inline]
    pub fn dst(&self) -> MacAddr {
        MacAddr(array_at(self.addresses, 0))
    }

    /// Who sent it.
    #[inline]
    pub fn src(&self) -> MacAddr {
        MacAddr(array_at(self.addresses, 6))
    }

    /// The tag, or the outer one of two.
    #[inline]
    pub fn vlan(&self) -> Option<VlanTag> {
        self.tags[0]
    }

    /// The inner one of two tags. A frame that has it belongs to no VLAN of an ordinary host.
    #[inline]
    pub fn inner_vlan(&self) -> Option<VlanTag> {
        self.tags[1]
    }

    /// What the payload is, after all tags.
    #[inline]
    pub fn ether_type(&self) -> EtherType {
        self.ether_type
    }

    /// Bytes before the payload, tags included.
    #[inline]
    pub fn header_len(&self) -> usize {
        self.header_len
    }

    /// What follows the header; of an 802.3 frame as much as its length says.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The meaning of the header. None for a frame with two tags: see [`VlanTag::emit`].
    #[inline]
    pub fn repr(&self) -> Option<Repr> {
        let [vlan, None] = self.tags else { return None };
        Some(Repr { dst: self.dst(), src: self.src(), vlan, ether_type: self.ether_type })
    }

    #[inline(never)]
    fn take_tags(&mut self) -> Result<(), Malformed> {
        for tag in &mut self.tags {
            if !self.ether_type.is_tag() {
                break;
            }
            let (bytes, payload) = self.payload.split_first_chunk::<TAG_LEN>().ok_or(Malformed::Truncated)?;
            *tag = Some(VlanTag::from_control(u16_at(bytes, 0)));
            self.ether_type = EtherType(u16_at(bytes, 2));
            self.payload = payload;
            self.header_len += TAG_LEN;
        }
        Ok(())
    }

    #[cold]
    fn trim(&mut self) -> Result<(), Malformed> {
        let len = usize::from(self.ether_type.0);
        if len > MAX_LENGTH {
            return Err(Malformed::TotalLength);
        }
        self.payload = self.payload.get(..len).ok_or(Malformed::TotalLength)?;
        Ok(())
    }
}

/// The meaning of a header with no tag or one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Who the frame is for.
    pub dst: MacAddr,
    /// Who sends it.
    pub src: MacAddr,
    /// The 802.1Q tag, if any.
    pub vlan: Option<VlanTag>,
    /// What the payload is.
    pub ether_type: EtherType,
}

impl Repr {
    /// Bytes that [`Repr::emit`] writes.
    #[inline]
    pub fn header_len(&self) -> usize {
        if self.vlan.is_some() { HEADER_LEN + TAG_LEN } else { HEADER_LEN }
    }

    /// Writes the header and says how long it is.
    ///
    /// # Panics
    ///
    /// When the buffer is shorter than [`Repr::header_len`].
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) -> usize {
        let (header, rest) = split::<HEADER_LEN>(buffer);
        put(header, 0, self.dst.0);
        put(header, 6, self.src.0);
        match self.vlan {
            None => {
                put(header, 12, self.ether_type.0.to_be_bytes());
                HEADER_LEN
            }
            Some(tag) => {
                put(header, 12, EtherType::VLAN.0.to_be_bytes());
                HEADER_LEN + tag.emit(self.ether_type, rest)
            }
        }
    }
}

/// The content of an 802.1Q tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VlanTag {
    /// Priority code point, 0 to 7.
    pub priority: u8,
    /// Drop eligible indicator.
    pub drop_eligible: bool,
    /// VLAN identifier, 0 to 4095. 0 means that only the priority is meant; 4095 is reserved.
    pub id: u16,
}

impl VlanTag {
    /// Writes what follows the tag's EtherType: its content, then `next`, the EtherType of what it is around. Returns 4.
    ///
    /// Tags stack: a header emitted with [`EtherType::QINQ`], then an outer tag with [`EtherType::VLAN`] as `next`, then
    /// an inner one.
    ///
    /// # Panics
    ///
    /// When the buffer is shorter than [`TAG_LEN`].
    #[inline]
    pub fn emit(&self, next: EtherType, buffer: &mut [u8]) -> usize {
        let (tag, _) = split::<TAG_LEN>(buffer);
        let control = u16::from(self.priority & 7) << 13 | u16::from(self.drop_eligible) << 12 | (self.id & 0x0fff);
        put(tag, 0, control.to_be_bytes());
        put(tag, 2, next.0.to_be_bytes());
        TAG_LEN
    }

    fn from_control(control: u16) -> VlanTag {
        VlanTag { priority: (control >> 13) as u8, drop_eligible: control & 0x1000 != 0, id: control & 0x0fff }
    }
}

/// What a frame carries, or below 0x0600 how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4.
    pub const IPV4: EtherType = EtherType(0x0800);
    /// Address resolution for IPv4.
    pub const ARP: EtherType = EtherType(0x0806);
    /// A customer tag (802.1Q).
    pub const VLAN: EtherType = EtherType(0x8100);
    /// IPv6.
    pub const IPV6: EtherType = EtherType(0x86dd);
    /// A service tag (802.1ad).
    pub const QINQ: EtherType = EtherType(0x88a8);

    /// True for the two that announce a tag.
    #[inline]
    pub const fn is_tag(self) -> bool {
        matches!(self, EtherType::VLAN | EtherType::QINQ)
    }

    /// True for a value that is no type but the length of an 802.3 frame (or neither).
    #[inline]
    pub const fn is_length(self) -> bool {
        self.0 < 0x0600
    }
}

impl fmt::Display for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            EtherType::IPV4 => f.write_str("IPv4"),
            EtherType::ARP => f.write_str("ARP"),
            EtherType::VLAN => f.write_str("802.1Q"),
            EtherType::IPV6 => f.write_str("IPv6"),
            EtherType::QINQ => f.write_str("802.1ad"),
            EtherType(value) => write!(f, "{value:#06x}"),
        }
    }
}

/// The largest value that is a length. Between it and 0x0600 lies nothing that is defined.
const MAX_LENGTH: usize = 1500;

#[cfg(test)]
mod tests {
    use super::*;

    const A: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
    const B: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

    /// A header with `tags` tags of VLAN 1, 2, ...
    fn tagged(tags: u8) -> Vec<u8> {
        let mut bytes = [B.0, A.0].concat();
        for id in 1..=tags {
            bytes.extend_from_slice(&[0x81, 0x00, 0xa0, id]);
        }
        bytes.extend_from_slice(&[0x08, 0x00, 0x45]);
        bytes
    }

    #[test]
    fn fields() {
        let bytes = tagged(1);
        let frame = Frame::parse(&bytes).unwrap();
        assert_eq!((frame.dst(), frame.src(), frame.ether_type()), (B, A, EtherType::IPV4));
        assert_eq!(frame.vlan(), Some(VlanTag { priority: 5, drop_eligible: false, id: 1 }));
        assert_eq!((frame.header_len(), frame.payload()), (18, &[0x45][..]));
    }

    #[test]
    fn truncated_headers_are_refused() {
        for tags in 0..=2 {
            let bytes = tagged(tags);
            let header_len = HEADER_LEN + TAG_LEN * usize::from(tags);
            for len in 0..header_len {
                assert_eq!(Frame::parse(&bytes[..len]).unwrap_err(), Malformed::Truncated, "{tags} tags, {len} bytes");
            }
            assert_eq!(Frame::parse(&bytes[..header_len]).unwrap().payload(), &[]);
        }
    }

    /// Bad input E11.
    #[test]
    fn a_tower_of_tags_is_an_unknown_protocol() {
        for tags in 0..=8 {
            let bytes = tagged(tags);
            let frame = Frame::parse(&bytes).unwrap();
            assert_eq!(frame.vlan().map(|tag| tag.id), (tags >= 1).then_some(1));
            assert_eq!(frame.inner_vlan().map(|tag| tag.id), (tags >= 2).then_some(2));
            let expected = if tags <= 2 { EtherType::IPV4 } else { EtherType::VLAN };
            assert_eq!(frame.ether_type(), expected, "{tags} tags");
            assert_eq!(frame.repr().is_some(), tags < 2);
        }
    }

    /// Bad input E11.
    #[test]
    fn a_length_in_place_of_the_type_is_kept_to() {
        let mut bytes = [&B.0[..], &A.0, &[0, 0], &[7; 46]].concat();
        for claimed in 0..0x0600u16 {
            bytes[12..14].copy_from_slice(&claimed.to_be_bytes());
            match Frame::parse(&bytes) {
                Ok(frame) => {
                    assert!(claimed <= 46 && frame.ether_type().is_length());
                    assert_eq!(frame.payload().len(), usize::from(claimed));
                }
                Err(reason) => assert!(claimed > 46 && reason == Malformed::TotalLength),
            }
        }
        // Between the largest length and the smallest type lies nothing, however long the frame.
        bytes.resize(3000, 0);
        for claimed in 1501..0x0600u16 {
            bytes[12..14].copy_from_slice(&claimed.to_be_bytes());
            assert_eq!(Frame::parse(&bytes).unwrap_err(), Malformed::TotalLength);
        }
    }

    #[test]
    fn fields_of_a_tag_do_not_run_into_each_other() {
        let mut bytes = [0; TAG_LEN];
        VlanTag { priority: 0xff, drop_eligible: false, id: 0xffff }.emit(EtherType::ARP, &mut bytes);
        assert_eq!(bytes, [0xef, 0xff, 0x08, 0x06]);
    }
}
