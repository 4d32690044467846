//! What the protocols for group membership of both families have in common: lists of addresses, records, and
//! durations in one byte or two.
//!
//! ```text
//!   0      1      2             4             4 + n
//!  +------+------+-------------+-------------+--------------+------------ - -
//!  | kind | aux. | sources     | group (n)   | sources      | auxiliary data
//!  +------+------+-------------+-------------+--------------+------------ - -
//! ```
//!
//! A duration that does not fit is a floating-point number without a sign: below half of its range a code is the value
//! itself, above it has an exponent of three bits and a mantissa whose first bit is left out.
//!
//! # Standards
//!
//! RFC 3376 §4.1.1, §4.1.7 and §4.2 (IGMPv3); RFC 3810 §5.1.3, §5.1.9 and §5.2 (MLDv2): the same, with other addresses.

use core::fmt::Debug;
use core::iter::FusedIterator;
use core::net::{Ipv4Addr, Ipv6Addr};

use crate::Malformed;

/// An address of one family.
pub trait Address: Copy + Debug + Eq + sealed::Octets {}

impl Address for Ipv4Addr {}
impl Address for Ipv6Addr {}

mod sealed {
    use core::fmt::Debug;
    use core::net::{Ipv4Addr, Ipv6Addr};

    /// How an address stands in bytes.
    pub trait Octets: Sized {
        type Octets: AsRef<[u8]> + Copy + Debug + Eq + 'static;
        fn of(octets: Self::Octets) -> Self;
        fn to(self) -> Self::Octets;
        /// Whole addresses, and bytes that are none.
        fn split(bytes: &[u8]) -> (&[Self::Octets], &[u8]);
        const LEN: usize = size_of::<Self::Octets>();
    }

    macro_rules! octets {
        ($address:ty, $len:literal) => {
            impl Octets for $address {
                type Octets = [u8; $len];
                fn of(octets: [u8; $len]) -> Self {
                    Self::from(octets)
                }
                fn to(self) -> [u8; $len] {
                    self.octets()
                }
                fn split(bytes: &[u8]) -> (&[[u8; $len]], &[u8]) {
                    bytes.as_chunks()
                }
            }
        };
    }

    octets!(Ipv4Addr, 4);
    octets!(Ipv6Addr, 16);
}

/// Addresses as they stand in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses<'a, A: Address> {
    octets: &'a [A::Octets],
}

impl<'a, A: Address> Addresses<'a, A> {
    /// The addresses that are all of `bytes`; none where bytes are left over.
    pub fn new(bytes: &'a [u8]) -> Option<Addresses<'a, A>> {
        let (octets, rest) = A::split(bytes);
        rest.is_empty().then_some(Addresses { octets })
    }

    /// Addresses to be sent, each in bytes: `[address.octets(), ...]`.
    pub fn of(octets: &'a [A::Octets]) -> Addresses<'a, A> {
        Addresses { octets }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.octets.len()
    }

    /// True for none.
    pub fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// The addresses one by one.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = A> + ExactSizeIterator + Clone + use<'a, A> {
        self.octets.iter().map(|&octets| A::of(octets))
    }

    /// The addresses in bytes.
    pub fn octets(&self) -> &'a [A::Octets] {
        self.octets
    }

    /// Writes them, and says how many bytes they are.
    pub(crate) fn emit(&self, buffer: &mut [u8]) -> usize {
        for (out, octets) in buffer[..self.octets.len() * A::LEN].chunks_exact_mut(A::LEN).zip(self.octets) {
            out.copy_from_slice(octets.as_ref());
        }
        self.octets.len() * A::LEN
    }
}

impl<A: Address> Default for Addresses<'_, A> {
    fn default() -> Self {
        Addresses { octets: &[] }
    }
}

/// What a query says since the versions that know sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryDetails<'a, A: Address> {
    /// Routers are not to restart their timers.
    pub suppress: bool,
    /// How often things are said; 0 where the querier does not say.
    pub robustness: u8,
    /// The code of the querier's interval in seconds: see [`decode_u8`].
    pub interval: u8,
    /// The sources that are asked for; none in a query for all of a group.
    pub sources: Addresses<'a, A>,
}

const SUPPRESS: u8 = 0x08;

impl<'a, A: Address> QueryDetails<'a, A> {
    /// Reads the 4 bytes behind the group, and the sources. What follows them is ignored.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<QueryDetails<'a, A>, Malformed> {
        let (&[flags, interval, high, low], rest) = bytes.split_first_chunk::<4>().ok_or(Malformed::Truncated)?;
        let len = usize::from(u16::from_be_bytes([high, low])) * A::LEN;
        let sources = rest.get(..len).and_then(Addresses::new).ok_or(Malformed::TotalLength)?;
        Ok(QueryDetails { suppress: flags & SUPPRESS != 0, robustness: flags & 7, interval, sources })
    }

    pub(crate) fn len(&self) -> usize {
        4 + self.sources.len() * A::LEN
    }

    pub(crate) fn emit(&self, buffer: &mut [u8]) {
        let QueryDetails { suppress, robustness, interval, sources } = self;
        let count = u16::try_from(sources.len()).expect("sources that fit a message").to_be_bytes();
        let flags = if *suppress { SUPPRESS } else { 0 } | robustness & 7;
        buffer[..4].copy_from_slice(&[flags, *interval, count[0], count[1]]);
        sources.emit(&mut buffer[4..]);
    }
}

/// What a record says about its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordKind(pub u8);

impl RecordKind {
    /// Only these sources are listened to: an answer.
    pub const MODE_IS_INCLUDE: RecordKind = RecordKind(1);
    /// All but these sources are listened to: an answer.
    pub const MODE_IS_EXCLUDE: RecordKind = RecordKind(2);
    /// From now on only these.
    pub const CHANGE_TO_INCLUDE: RecordKind = RecordKind(3);
    /// From now on all but these.
    pub const CHANGE_TO_EXCLUDE: RecordKind = RecordKind(4);
    /// These as well.
    pub const ALLOW_NEW_SOURCES: RecordKind = RecordKind(5);
    /// These no more.
    pub const BLOCK_OLD_SOURCES: RecordKind = RecordKind(6);
}

/// What a host listens to in one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a, A: Address> {
    /// Kinds that are not known are ignored.
    pub kind: RecordKind,
    /// The group.
    pub group: A,
    /// The sources that are or are not listened to.
    pub sources: Addresses<'a, A>,
    /// Anything else, ignored: a multiple of 4 bytes, at most 1,020.
    pub auxiliary: &'a [u8],
}

impl<'a, A: Address> Record<'a, A> {
    fn parse(bytes: &'a [u8]) -> Option<(Record<'a, A>, &'a [u8])> {
        let (&[kind, auxiliary, high, low], rest) = bytes.split_first_chunk::<4>()?;
        let (group, rest) = rest.split_at_checked(A::LEN)?;
        let (sources, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])) * A::LEN)?;
        let (auxiliary, rest) = rest.split_at_checked(usize::from(auxiliary) * 4)?;
        let group = Addresses::new(group)?.iter().next()?;
        Some((Record { kind: RecordKind(kind), group, sources: Addresses::new(sources)?, auxiliary }, rest))
    }

    /// Bytes that [`Record::emit`] writes.
    #[allow(clippy::len_without_is_empty, reason = "no record is empty")]
    pub fn len(&self) -> usize {
        4 + A::LEN * (1 + self.sources.len()) + self.auxiliary.len()
    }

    /// Writes the record and says how long it is.
    ///
    /// # Panics
    ///
    /// When the buffer is shorter than [`Record::len`], there are more than 65,535 sources, or the auxiliary data is not as
    /// [`Record::auxiliary`] wants it.
    pub fn emit(&self, buffer: &mut [u8]) -> usize {
        let Record { kind, group, sources, auxiliary } = self;
        let count = u16::try_from(sources.len()).expect("sources that fit a record").to_be_bytes();
        assert!(auxiliary.len().is_multiple_of(4), "auxiliary data in words");
        let words = u8::try_from(auxiliary.len() / 4).expect("auxiliary data that fits a record");
        let out = &mut buffer[..self.len()];
        out[..4].copy_from_slice(&[kind.0, words, count[0], count[1]]);
        out[4..][..A::LEN].copy_from_slice(group.to().as_ref());
        let at = 4 + A::LEN + sources.emit(&mut out[4 + A::LEN..]);
        out[at..].copy_from_slice(auxiliary);
        self.len()
    }
}

/// Records in bytes, each of a length that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Records<'a, A: Address> {
    bytes: &'a [u8],
    count: u16,
    address: core::marker::PhantomData<A>,
}

impl<'a, A: Address> Records<'a, A> {
    /// Checks `count` records at the beginning of `bytes`. What follows them is ignored.
    pub(crate) fn parse(bytes: &'a [u8], count: u16) -> Result<Records<'a, A>, Malformed> {
        let mut rest = bytes;
        for _ in 0..count {
            (_, rest) = Record::<A>::parse(rest).ok_or(Malformed::TotalLength)?;
        }
        let bytes = &bytes[..bytes.len() - rest.len()];
        Ok(Records { bytes, count, address: core::marker::PhantomData })
    }

    /// Writes records, to be sent with a message.
    ///
    /// # Panics
    ///
    /// When the buffer is shorter than all of them, or one cannot be: see [`Record::emit`].
    pub fn write(records: &[Record<'_, A>], buffer: &'a mut [u8]) -> Records<'a, A> {
        let count = u16::try_from(records.len()).expect("records that fit a message");
        let mut len = 0;
        for record in records {
            len += record.emit(&mut buffer[len..]);
        }
        Records { bytes: &buffer[..len], count, address: core::marker::PhantomData }
    }

    /// How many there are.
    pub fn len(&self) -> u16 {
        self.count
    }

    /// True for none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The records one by one.
    pub fn iter(&self) -> impl FusedIterator<Item = Record<'a, A>> + Clone + use<'a, A> {
        let mut rest = self.bytes;
        core::iter::from_fn(move || {
            let (record, after) = Record::parse(rest)?;
            rest = after;
            Some(record)
        })
        .fuse()
    }

    /// All of them in bytes.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// The value of a code of one byte.
pub const fn decode_u8(code: u8) -> u32 {
    if code < 0x80 { code as u32 } else { (code as u32 & 0x0f | 0x10) << ((code >> 4 & 7) + 3) }
}

/// The code of one byte for a value, or for the largest below it that has one. The largest of all is 31,744.
pub const fn encode_u8(value: u32) -> u8 {
    match value {
        0..0x80 => value as u8,
        0x7c00.. => 0xff,
        _ => {
            let exponent = value.ilog2() - 7;
            0x80 | (exponent as u8) << 4 | (value >> (exponent + 3)) as u8 & 0x0f
        }
    }
}

/// The value of a code of two bytes.
pub const fn decode_u16(code: u16) -> u32 {
    if code < 0x8000 { code as u32 } else { (code as u32 & 0x0fff | 0x1000) << ((code >> 12 & 7) + 3) }
}

/// The code of two bytes for a value, or for the largest below it that has one. The largest of all is 8,387,584.
pub const fn encode_u16(value: u32) -> u16 {
    match value {
        0..0x8000 => value as u16,
        0x7f_fc00.. => 0xffff,
        _ => {
            let exponent = value.ilog2() - 15;
            0x8000 | (exponent as u16) << 12 | (value >> (exponent + 3)) as u16 & 0x0fff
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_one_byte() {
        let mut last = None;
        for code in 0..=255 {
            let value = decode_u8(code);
            assert_eq!(encode_u8(value), code);
            assert!(Some(value) > last, "codes grow with values");
            if let Some(last @ 1..) = last {
                assert_eq!(encode_u8(value - 1), if value - 1 == last { code - 1 } else { encode_u8(last) });
            }
            last = Some(value);
        }
        assert_eq!((last, encode_u8(u32::MAX)), (Some(31_744), 0xff));
    }

    #[test]
    fn every_code_of_two_bytes() {
        let mut last = None;
        for code in 0..=u16::MAX {
            let value = decode_u16(code);
            assert_eq!(encode_u16(value), code);
            assert!(Some(value) > last, "codes grow with values");
            last = Some(value);
        }
        assert_eq!((last, encode_u16(u32::MAX)), (Some(8_387_584), u16::MAX));
        assert_eq!(encode_u16(8_387_583), u16::MAX - 1);
    }
}
