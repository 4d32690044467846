//! A frame as packet sockets see it, and what is known of it.
//!
//! A frame that leaves is in pieces (headers here, payload in somebody's send queue), and one that arrived may have a VLAN tag, which
//! Linux takes out before anybody sees the frame, and tells beside it. Neither is copied to be looked at: a [`View`] is a list of pieces.
//!
//! # Standards
//!
//! packet(7); Linux `eth_type_trans`, `skb_vlan_untag`; IEEE 802.3 §3.2.6 (a length below 0x0600), IEEE 802.1Q §9.

use super::PacketType;
use crate::port::PortId;
use sockeye_device::{Instant, Offload};
use sockeye_filter::{Bytes, Device, Headers, Metadata, VlanTag};
use sockeye_wire::{EtherType, MacAddr, ethernet};

/// 802.3 with a raw payload of Novell's, and with one of IEEE 802.2: `ETH_P_802_3`, `ETH_P_802_2`.
const PROTOCOL_802_3: u16 = 1;
const PROTOCOL_802_2: u16 = 4;
/// `ARPHRD_ETHER`, `ARPHRD_LOOPBACK`.
const HARDWARE_ETHERNET: u16 = 1;
const HARDWARE_LOOPBACK: u16 = 772;

/// A frame in pieces, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    first: [&'a [u8]; 2],
    more: &'a [&'a [u8]],
    len: usize,
}

impl<'a> View<'a> {
    pub(crate) fn new(header: &'a [u8], payload: &'a [&'a [u8]]) -> Self {
        View::of([header, &[]], payload)
    }

    fn of(first: [&'a [u8]; 2], more: &'a [&'a [u8]]) -> Self {
        let len = first.iter().chain(more).map(|piece| piece.len()).sum();
        View { first, more, len }
    }

    /// The bytes from `from` on, at most `len` of them, piece by piece.
    pub(crate) fn pieces(&self, from: usize, len: usize) -> impl Iterator<Item = &'a [u8]> {
        let (mut skip, mut left) = (from, len);
        let View { first, more, .. } = *self;
        first.into_iter().chain(more.iter().copied()).filter_map(move |piece| {
            let Some(rest) = piece.get(skip..).filter(|rest| !rest.is_empty()) else {
                skip -= piece.len();
                return None;
            };
            skip = 0;
            let taken = &rest[..rest.len().min(left)];
            left -= taken.len();
            (!taken.is_empty()).then_some(taken)
        })
    }
}

impl Bytes for View<'_> {
    fn len(&self) -> usize {
        self.len
    }

    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        if let Some(bytes) = self.first[0].get(at..).and_then(|rest| rest.first_chunk()) {
            return Some(*bytes);
        }
        let (mut bytes, mut filled) = ([0; N], 0);
        for piece in self.pieces(at, N) {
            bytes[filled..filled + piece.len()].copy_from_slice(piece);
            filled += piece.len();
        }
        (filled == N).then_some(bytes)
    }
}

/// A frame, and all that a socket may want to know of it.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) view: View<'a>,
    pub(crate) port: PortId,
    pub(crate) kind: PacketType,
    /// Of what the link header's end says the payload is.
    pub(crate) protocol: u16,
    pub(crate) source: MacAddr,
    pub(crate) offload: Offload,
    /// A tag that was taken out.
    pub(crate) vlan: Option<VlanTag>,
    pub(crate) at: Instant,
}

impl<'a> Seen<'a> {
    /// A frame that has arrived on a port whose station is `mac`. `None` if it is no frame.
    pub(crate) fn arrived(at: Instant, port: PortId, mac: MacAddr, frame: &'a [u8], offload: Offload) -> Option<Self> {
        let (header, _) = frame.split_first_chunk::<{ ethernet::HEADER_LEN }>()?;
        let destination = MacAddr([header[0], header[1], header[2], header[3], header[4], header[5]]);
        let kind = if destination == mac {
            PacketType::Host
        } else if destination == MacAddr::BROADCAST {
            PacketType::Broadcast
        } else if destination.is_multicast() {
            PacketType::Multicast
        } else {
            PacketType::OtherHost
        };
        let outer = u16::from_be_bytes([header[12], header[13]]);
        let tagged = matches!(EtherType(outer), EtherType::VLAN | EtherType::QINQ);
        let (view, vlan, offload) = match frame.get(14..16) {
            Some(&[high, low]) if tagged && frame.len() >= 18 => {
                let tag = VlanTag { control: u16::from_be_bytes([high, low]), protocol: outer };
                (View::of([&frame[..12], &frame[16..]], &[]), Some(tag), without_tag(offload))
            }
            _ => (View::new(frame, &[]), None, offload),
        };
        Seen { view, port, kind, protocol: 0, source: source(header), offload, vlan, at }.with_protocol()
    }

    /// A frame that leaves by a port. `None` if it is no frame.
    pub(crate) fn leaving(at: Instant, port: PortId, view: View<'a>, offload: Offload) -> Option<Self> {
        let header: [u8; ethernet::HEADER_LEN] = view.read(0)?;
        let kind = PacketType::Outgoing;
        Seen { view, port, kind, protocol: 0, source: source(&header), offload, vlan: None, at }.with_protocol()
    }

    fn with_protocol(mut self) -> Option<Self> {
        let protocol = u16::from_be_bytes(self.view.read(12)?);
        self.protocol = match protocol {
            0x0600.. => protocol,
            _ if self.view.read(ethernet::HEADER_LEN) == Some([0xff, 0xff]) => PROTOCOL_802_3,
            _ => PROTOCOL_802_2,
        };
        Some(self)
    }

    /// The same as one who asked for its protocol sees it: after a tag that belongs to no VLAN of ours was forgotten.
    pub(crate) fn past_tag(&self) -> (PacketType, Option<VlanTag>) {
        match self.vlan {
            Some(tag) if tag.control & 0x0fff != 0 => (PacketType::OtherHost, None),
            _ => (self.kind, None),
        }
    }

    pub(crate) fn metadata(&self, kind: PacketType, vlan: Option<VlanTag>, random: u64) -> Metadata {
        Metadata {
            protocol: self.protocol,
            packet_type: kind as u8,
            device: Some(Device { index: self.port.interface_index(), hardware_type: hardware(self.port) }),
            vlan,
            random,
            ..Metadata::default()
        }
    }
}

/// Where the headers of a frame stand for a filter of a socket, with the link header or without.
pub(crate) fn headers(cooked: bool) -> Headers {
    let network = ethernet::HEADER_LEN;
    Headers { link: Some(0), network, data: if cooked { network } else { 0 } }
}

/// The kind of hardware that a port is.
pub fn hardware(port: PortId) -> u16 {
    if port.is_loopback() { HARDWARE_LOOPBACK } else { HARDWARE_ETHERNET }
}

fn source(header: &[u8; ethernet::HEADER_LEN]) -> MacAddr {
    MacAddr([header[6], header[7], header[8], header[9], header[10], header[11]])
}

/// What is to be done to a frame out of which a tag was taken.
fn without_tag(mut offload: Offload) -> Offload {
    let tag = ethernet::TAG_LEN as u16;
    if let sockeye_device::Checksum::Partial { start, .. } = &mut offload.checksum {
        *start = start.saturating_sub(tag);
    }
    if let Some(cut) = &mut offload.segmentation {
        cut.header_len = cut.header_len.saturating_sub(tag);
    }
    offload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_read_as_one() {
        let bytes: Vec<u8> = (0..40).collect();
        let more = [&bytes[20..21], &[], &bytes[21..40]];
        let view = View::of([&bytes[..7], &bytes[7..20]], &more);
        assert_eq!(view.len(), 40);
        for at in 0..45 {
            let wanted = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).copied();
            assert_eq!(view.read::<4>(at), wanted, "{at}");
            let joined: Vec<u8> = view.pieces(at, 9).flatten().copied().collect();
            assert_eq!(joined, bytes.get(at..).unwrap_or_default().iter().take(9).copied().collect::<Vec<_>>(), "{at}");
        }
    }

    #[test]
    fn a_tag_is_taken_out_and_told() {
        let mac = MacAddr([2, 0, 0, 0, 0, 1]);
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x81, 0, 0x20, 7, 8, 6];
        frame.extend([0xaa; 46]);
        let seen = Seen::arrived(Instant::ZERO, PortId(1), mac, &frame, Offload::default()).unwrap();
        assert_eq!((seen.protocol, seen.kind, seen.view.len()), (0x0806, PacketType::Host, 60));
        assert_eq!(seen.vlan, Some(VlanTag { control: 0x2007, protocol: 0x8100 }));
        assert_eq!(seen.past_tag(), (PacketType::OtherHost, None));
        assert_eq!(seen.view.read::<4>(12), Some([8, 6, 0xaa, 0xaa]));
    }

    #[test]
    fn types_and_protocols_are_as_linux_has_them() {
        let mac = MacAddr([2, 0, 0, 0, 0, 1]);
        let seen = |first: u8, protocol: [u8; 2], payload: [u8; 2]| {
            let frame = [first, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, protocol[0], protocol[1], payload[0], payload[1]];
            let seen = Seen::arrived(Instant::ZERO, PortId(1), mac, &frame, Offload::default()).unwrap();
            (seen.kind, seen.protocol)
        };
        assert_eq!(seen(2, [8, 0], [0; 2]), (PacketType::Host, 0x0800));
        assert_eq!(seen(4, [0, 2], [0xff, 0xff]), (PacketType::OtherHost, PROTOCOL_802_3));
        assert_eq!(seen(3, [0, 2], [0x42, 0x42]), (PacketType::Multicast, PROTOCOL_802_2));
        assert!(Seen::arrived(Instant::ZERO, PortId(1), mac, &[0; 13], Offload::default()).is_none());
    }
}
