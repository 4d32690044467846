//! Cutting super-frames into wire frames, and completing checksums, where no device does it for us.
//!
//! [`Segments`] turns one [`TxFrame`] into the frames that a NIC would make of it: each piece has a copy of the
//! headers, the next `size` bytes of payload, and lengths, identification, sequence number, flags and checksums of its
//! own. A frame without a [`Segmentation`] yields itself, complete. [`complete`] does the checksum alone, in place.
//! Both are pure and trust nothing: a description that contradicts the bytes is an error, never a panic.
//!
//! What changes from piece to piece, as in the kernel's and the NICs' own segmentation:
//!
//! - IPv4: total length, identification (one more each), header checksum. IPv6: payload length.
//! - TCP: sequence number; FIN and PSH only on the last piece, CWR only on the first (it answers one ECE; RFC 3168
//!   §6.1.2), the urgent pointer brought down by what earlier pieces carried, URG gone once it is passed. (Kernel and
//!   NICs copy the urgent pointer unchanged, so a super-frame for them should have none.)
//! - UDP: length. Each piece is a datagram.
//!
//! Extension headers of IPv6 are copied as they are. A checksum is about the destination in the end, which stands in a
//! routing header that has segments left. What a fragment or an authentication header begins cannot be cut.
//!
//! # Standards
//!
//! RFC 791 §3.1, RFC 8200 §3, §4 and §8.1, RFC 768, RFC 9293 §3.1, RFC 3168 §6.1.2, RFC 6864 §4 (the identification of
//! atomic datagrams may be anything; counting serves the others).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sockeye_wire::ipv6::extension::Routing;
use sockeye_wire::{EtherType, Malformed, Protocol, checksum, ethernet};

use crate::{Checksum, MAX_SUPER_FRAME, SegmentKind, Segmentation, TxFrame};

/// The pieces of a frame, one after the other, each ready for a wire.
#[derive(Debug)]
pub struct Segments<'a> {
    header: &'a [u8],
    payload: Payload<'a>,
    checksum: Checksum,
    cut: Option<Cut>,
    /// Payload bytes that pieces have carried so far.
    done: usize,
    total: usize,
    finished: bool,
}

/// Where the headers stand, and what to cut.
#[derive(Clone, Copy, Debug)]
struct Cut {
    layout: Layout,
    kind: SegmentKind,
    size: usize,
}

impl<'a> Segments<'a> {
    /// Checks that the frame is what its offload says.
    pub fn new(frame: &TxFrame<'a>) -> Result<Self, Malformed> {
        if frame.len() > MAX_SUPER_FRAME {
            return Err(Malformed::TotalLength);
        }
        let (header, rest, cut) = match frame.offload.segmentation {
            Some(segmentation) => {
                let split = frame.header.split_at_checked(usize::from(segmentation.header_len));
                let (header, rest) = split.ok_or(Malformed::HeaderLength)?;
                (header, rest, Some(Cut::new(header, segmentation)?))
            }
            None => (frame.header, &[][..], None),
        };
        let total = frame.len() - header.len();
        let payload = Payload { rest, slices: frame.payload };
        let checksum = frame.offload.checksum;
        Ok(Segments { header, payload, checksum, cut, done: 0, total, finished: false })
    }

    /// How many pieces the whole frame makes; never 0.
    pub fn count(&self) -> usize {
        self.cut.map_or(1, |cut| self.total.div_ceil(cut.size).max(1))
    }

    /// Replaces what is in `piece` by the next piece. False (and an empty `piece`) after the last.
    pub fn next_into(&mut self, piece: &mut Vec<u8>) -> Result<bool, Malformed> {
        piece.clear();
        if self.finished {
            return Ok(false);
        }
        let left = self.total - self.done;
        let take = self.cut.map_or(left, |cut| cut.size.min(left));
        self.finished = take == left;
        piece.extend_from_slice(self.header);
        self.payload.take_into(take, piece);
        match self.cut {
            Some(cut) => cut.adjust(piece, self.done, self.finished)?,
            None => complete(piece, self.checksum)?,
        }
        self.done += take;
        Ok(true)
    }
}

/// Completes a partial checksum in place. `Present` and `Verified` need nothing.
pub fn complete(frame: &mut [u8], checksum: Checksum) -> Result<(), Malformed> {
    if let Checksum::Partial { start, offset } = checksum {
        let covered = frame.get_mut(usize::from(start)..).ok_or(Malformed::HeaderLength)?;
        let sum = checksum::sum(covered).finish_nonzero();
        let offset = usize::from(offset);
        covered.get_mut(offset..offset + 2).ok_or(Malformed::HeaderLength)?.copy_from_slice(&sum.to_be_bytes());
    }
    Ok(())
}

/// Where the network and the transport header of a frame begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) network: usize,
    pub(crate) transport: usize,
    pub(crate) protocol: Protocol,
    pub(crate) v6: bool,
    /// Where a routing header leads the packet in the end, if it does.
    pub(crate) destination: Option<Ipv6Addr>,
}

impl Layout {
    /// Finds TCP or UDP behind the link header, its tags, IPv4 options and IPv6 extension headers.
    pub(crate) fn of(header: &[u8]) -> Result<Layout, Malformed> {
        let mut network = ethernet::HEADER_LEN;
        let mut ether_type = EtherType(u16_at(header, network - 2)?);
        for _ in 0..2 {
            if !ether_type.is_tag() {
                break;
            }
            network += ethernet::TAG_LEN;
            ether_type = EtherType(u16_at(header, network - 2)?);
        }
        let byte = |at: usize| header.get(at).copied().ok_or(Malformed::Truncated);
        match (ether_type, byte(network)? >> 4) {
            (EtherType::IPV4, 4) => {
                let len = usize::from(byte(network)? & 0x0f) * 4;
                if len < 20 {
                    return Err(Malformed::HeaderLength);
                }
                let protocol = Protocol(byte(network + 9)?);
                Ok(Layout { network, transport: network + len, protocol, v6: false, destination: None })
            }
            (EtherType::IPV6, 6) => {
                let mut protocol = Protocol(byte(network + 6)?);
                let mut transport = network + 40;
                let mut destination = None;
                // The offset grows by 8 or more each, so the walk ends.
                while let Protocol::HOP_BY_HOP | Protocol::ROUTING | Protocol::DESTINATION_OPTIONS = protocol {
                    let len = 8 + usize::from(byte(transport + 1)?) * 8;
                    let extension = header.get(transport..transport + len).ok_or(Malformed::Truncated)?;
                    if let (Protocol::ROUTING, &[_, _, kind, segments_left, ref data @ ..]) = (protocol, extension) {
                        destination = Routing { kind, segments_left, data }.final_destination().or(destination);
                    }
                    protocol = Protocol(extension[0]);
                    transport += len;
                }
                Ok(Layout { network, transport, protocol, v6: true, destination })
            }
            _ => Err(Malformed::Version),
        }
    }

    /// The kind of super-frame that this may be, and the length of all its headers.
    pub(crate) fn kind(&self, header: &[u8]) -> Result<(SegmentKind, usize), Malformed> {
        let (kind, len) = match self.protocol {
            Protocol::TCP => {
                let offset = header.get(self.transport + 12).ok_or(Malformed::Truncated)? >> 4;
                let kind = if self.v6 { SegmentKind::TcpV6 } else { SegmentKind::TcpV4 };
                (kind, usize::from(offset) * 4)
            }
            Protocol::UDP => (SegmentKind::Udp, 8),
            _ => return Err(Malformed::Version),
        };
        if self.protocol == Protocol::TCP && len < 20 {
            return Err(Malformed::HeaderLength);
        }
        if header.len() < self.transport + len {
            return Err(Malformed::Truncated);
        }
        Ok((kind, self.transport + len))
    }
}

impl Cut {
    fn new(header: &[u8], segmentation: Segmentation) -> Result<Cut, Malformed> {
        let layout = Layout::of(header)?;
        let (kind, header_len) = layout.kind(header)?;
        if kind != segmentation.kind {
            return Err(Malformed::Version);
        }
        if header_len != header.len() {
            return Err(Malformed::HeaderLength);
        }
        let size = usize::from(segmentation.size);
        if size == 0 || header_len - layout.network + size > usize::from(u16::MAX) {
            return Err(Malformed::TotalLength);
        }
        Ok(Cut { layout, kind, size })
    }

    /// Makes a piece, a copy of the headers and its own payload, a frame of its own. `done` bytes went before it.
    fn adjust(&self, piece: &mut [u8], done: usize, last: bool) -> Result<(), Malformed> {
        let Layout { network, transport, protocol, v6, destination } = self.layout;
        let index = done / self.size;
        let length = |from: usize| u16::try_from(piece.len() - from).map_err(|_| Malformed::TotalLength);
        let (network_len, transport_len) = (length(network)?, length(transport)?);

        let pseudo = if v6 {
            let payload_len = network_len - 40;
            put_u16(piece, network + 4, payload_len);
            let [src, next] = [8, 24].map(|at| array::<16>(piece, network + at));
            let dst = destination.unwrap_or(Ipv6Addr::from(next?));
            pseudo_header(Ipv6Addr::from(src?), dst, protocol, transport_len)
        } else {
            let identification = u16_at(piece, network + 4)?.wrapping_add(index as u16);
            put_u16(piece, network + 2, network_len);
            put_u16(piece, network + 4, identification);
            put_u16(piece, network + 10, 0);
            put_u16(piece, network + 10, checksum::sum(&piece[network..transport]).finish());
            let [src, dst] = [12, 16].map(|at| array::<4>(piece, network + at));
            pseudo_header(Ipv4Addr::from(src?), Ipv4Addr::from(dst?), protocol, transport_len)
        };

        let field = transport
            + match self.kind {
                SegmentKind::TcpV4 | SegmentKind::TcpV6 => {
                    adjust_tcp(&mut piece[transport..], done, last)?;
                    16
                }
                SegmentKind::Udp => {
                    put_u16(piece, transport + 4, transport_len);
                    6
                }
            };
        put_u16(piece, field, 0);
        let mut sum = pseudo;
        sum.add(&piece[transport..]);
        put_u16(piece, field, sum.finish_nonzero());
        Ok(())
    }
}

const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const URG: u8 = 0x20;
const CWR: u8 = 0x80;

fn adjust_tcp(segment: &mut [u8], done: usize, last: bool) -> Result<(), Malformed> {
    let sequence = u32::from_be_bytes(array::<4>(segment, 4)?).wrapping_add(done as u32);
    segment[4..8].copy_from_slice(&sequence.to_be_bytes());
    if !last {
        segment[13] &= !(FIN | PSH);
    }
    if done > 0 {
        segment[13] &= !CWR;
    }
    if segment[13] & URG != 0 {
        match usize::from(u16_at(segment, 18)?).checked_sub(done) {
            Some(urgent) => put_u16(segment, 18, urgent as u16),
            None => {
                segment[13] &= !URG;
                put_u16(segment, 18, 0);
            }
        }
    }
    Ok(())
}

fn pseudo_header(src: impl Into<IpAddr>, dst: impl Into<IpAddr>, protocol: Protocol, len: u16) -> checksum::Sum {
    checksum::pseudo_header(src.into(), dst.into(), protocol.0, u32::from(len))
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Malformed> {
    array::<2>(bytes, at).map(u16::from_be_bytes)
}

/// The caller knows that the field is there.
fn put_u16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Malformed> {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(Malformed::Truncated)
}

/// What of the payload is still to be carried.
#[derive(Debug)]
struct Payload<'a> {
    rest: &'a [u8],
    slices: &'a [&'a [u8]],
}

impl Payload<'_> {
    fn take_into(&mut self, mut count: usize, out: &mut Vec<u8>) {
        while count > 0 {
            let (now, later) = self.rest.split_at(count.min(self.rest.len()));
            out.extend_from_slice(now);
            count -= now.len();
            self.rest = later;
            if later.is_empty() {
                let Some((next, slices)) = self.slices.split_first() else { return };
                (self.rest, self.slices) = (next, slices);
            }
        }
    }
}

#[cfg(test)]
mod tests;
