//! Router discovery of IPv4, in messages of ICMP: hosts ask for routers, and routers tell that they are there.
//!
//! ```text
//!   0      1      2             4        5        6             8
//!  +------+------+-------------+--------+--------+-------------+----------------+----------------+- -
//!  | type | 0    | checksum    | count  | size   | lifetime    | router         | preference     | the next router
//!  +------+------+-------------+--------+--------+-------------+----------------+----------------+- -
//! ```
//!
//! A solicitation (type 10) ends after 8 bytes, of which the last four are reserved. Of an advertisement (type 9) `count` is the number of
//! routers, and `size` how many words of four bytes each of them takes: two, and what a later standard adds.
//!
//! Hosts ask [`ALL_ROUTERS`](crate::igmp::ALL_ROUTERS), and routers tell [`ALL_SYSTEMS`](crate::igmp::ALL_SYSTEMS).
//! [`icmpv4::Message`](crate::icmpv4::Message) reads and writes these. DHCP has taken their place on most links, so a host need not heed them.
//!
//! # Standards
//!
//! RFC 1256 §3 (formats), §5.1 and §6.1.2 (what is valid).

use core::net::Ipv4Addr;

use crate::field::{array_at, u32_at};

/// A preference that no host takes for its default route.
pub const NOT_A_DEFAULT: i32 = i32::MIN;

/// What is asked or told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Which routers are there?
    Solicitation,
    /// These are.
    Advertisement {
        /// For how many seconds they are; 0 when they are about to go.
        lifetime: u16,
        /// Each, and how it compares with others.
        routers: Routers<'a>,
    },
}

/// The routers of an advertisement, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routers<'a> {
    /// Words of four bytes that each takes.
    pub(crate) words: u8,
    /// As they stand there: at least one, at most 255, each whole.
    pub(crate) bytes: &'a [u8],
}

impl<'a> Routers<'a> {
    /// Writes routers with their preferences into a buffer, which the message then borrows. None when there is no router,
    /// or when there are more than 255, or more than find room.
    pub fn write(routers: &[(Ipv4Addr, i32)], buffer: &'a mut [u8]) -> Option<Routers<'a>> {
        let bytes = buffer.get_mut(..routers.len() * ENTRY_LEN)?;
        for (entry, (address, preference)) in bytes.chunks_exact_mut(ENTRY_LEN).zip(routers) {
            entry[..4].copy_from_slice(&address.octets());
            entry[4..].copy_from_slice(&preference.to_be_bytes());
        }
        (1..=255).contains(&routers.len()).then_some(Routers { words: WORDS, bytes })
    }

    /// Reads them from what follows the first 8 bytes of a message.
    pub(crate) fn parse(count: u8, words: u8, data: &'a [u8]) -> Option<Routers<'a>> {
        let bytes = data.get(..usize::from(count) * usize::from(words) * 4)?;
        (count > 0 && words >= WORDS).then_some(Routers { words, bytes })
    }

    /// Each router's address on this link, and its preference: the higher, the better.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Ipv4Addr, i32)> + use<'a> {
        let entries = self.bytes.chunks_exact(usize::from(self.words) * 4);
        entries.map(|entry| {
            let (entry, _) = entry.split_first_chunk::<ENTRY_LEN>().expect("an entry of two words or more");
            (Ipv4Addr::from(array_at(entry, 0)), u32_at(entry, 4) as i32)
        })
    }
}

const WORDS: u8 = 2;
const ENTRY_LEN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Malformed;
    use crate::checksum::sum;
    use crate::icmpv4;

    fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
        let checksum = sum(&bytes).finish();
        bytes[2..4].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    #[test]
    fn an_advertisement_goes_there_and_back() {
        let told = [(Ipv4Addr::new(192, 0, 2, 1), 7), (Ipv4Addr::new(192, 0, 2, 2), NOT_A_DEFAULT)];
        let mut buffer = [0; 16];
        let routers = Routers::write(&told, &mut buffer).unwrap();
        let message = icmpv4::Message::Discovery(Message::Advertisement { lifetime: 1800, routers });
        let mut bytes = [0xaa; 24];
        assert_eq!(message.emit(&mut bytes), 24);
        assert_eq!(bytes[..2], [9, 0]);
        assert_eq!(bytes[4..16], [2, 2, 0x07, 0x08, 192, 0, 2, 1, 0, 0, 0, 7]);
        let parsed = icmpv4::Message::parse(&bytes).unwrap();
        assert_eq!(parsed, message);
        assert_eq!(parsed.to_string(), "routers for 1800 s: 192.0.2.1 (7), 192.0.2.2 (never a default)");
        assert!(routers.iter().eq(told));
    }

    #[test]
    fn a_solicitation_goes_there_and_back() {
        let mut bytes = [0xaa; 8];
        icmpv4::Message::Discovery(Message::Solicitation).emit(&mut bytes);
        assert_eq!(bytes, [10, 0, 0xf5, 0xff, 0, 0, 0, 0]);
        assert_eq!(icmpv4::Message::parse(&bytes), Ok(icmpv4::Message::Discovery(Message::Solicitation)));
    }

    /// RFC 1256 section 6.1.2: what a later standard adds to each router is passed over.
    #[test]
    fn longer_entries_are_read() {
        let entries = [[192, 0, 2, 1, 0, 0, 0, 1, 9, 9, 9, 9], [192, 0, 2, 2, 0, 0, 0, 2, 9, 9, 9, 9]].concat();
        let bytes = with_checksum([vec![9, 0, 0, 0, 2, 3, 0, 60], entries].concat());
        let Ok(icmpv4::Message::Discovery(Message::Advertisement { lifetime: 60, routers })) =
            icmpv4::Message::parse(&bytes)
        else {
            panic!("{bytes:?}")
        };
        assert!(routers.iter().eq([(Ipv4Addr::new(192, 0, 2, 1), 1), (Ipv4Addr::new(192, 0, 2, 2), 2)]));
    }

    /// No router, entries too short, more entries than bytes: nothing that a host has a use for.
    #[test]
    fn what_is_not_valid_is_unknown() {
        for (count, words, len) in
            [(0, 2, 16), (1, 1, 16), (1, 0, 16), (3, 2, 16), (255, 255, 16), (1, 2, 7), (1, 2, 0)]
        {
            let bytes = with_checksum([vec![9, 0, 0, 0, count, words, 0, 60], vec![0; len]].concat());
            let message = icmpv4::Message::parse(&bytes).unwrap();
            assert!(matches!(message, icmpv4::Message::Unknown { kind: 9, .. }), "{count} of {words} words in {len}");
        }
        for len in 0..8 {
            assert_eq!(icmpv4::Message::parse(&[10, 0, 0, 0, 0, 0, 0, 0][..len]), Err(Malformed::Truncated));
        }
    }

    #[test]
    fn as_many_as_there_is_room_for() {
        let router = (Ipv4Addr::LOCALHOST, 0);
        let mut buffer = [0; 256 * ENTRY_LEN];
        assert_eq!(Routers::write(&[], &mut buffer), None);
        assert_eq!(Routers::write(&[router; 256], &mut buffer), None);
        assert_eq!(Routers::write(&[router; 2], &mut buffer[..15]), None);
        assert_eq!(Routers::write(&[router; 255], &mut buffer).unwrap().iter().len(), 255);
    }
}
