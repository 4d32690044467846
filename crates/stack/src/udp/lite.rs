//! What UDP-Lite has of its own.
//!
//! The checksum is made and looked at here, never by a device: none knows what a part of a datagram is. It is over the pseudo header and so many
//! bytes as the header says, and never zero. Nobody cuts one into several on the way, either.
//!
//! As Linux has it, a socket that has not said how much it wants covered takes all that is right as far as it is covered, and one that has
//! said it still takes all that is covered in full.
//!
//! # Standards
//!
//! RFC 3828; Linux udplite(7).

use super::Udp;
use super::input::Outcome;
use crate::checksum;
use crate::counters::Drop;
use crate::ip::{Incoming, Ip, Outgoing};
use sockeye_device::{Checksum, Instant};
use sockeye_wire::Protocol;
use sockeye_wire::checksum::pseudo_header;
use sockeye_wire::udp_lite::{CHECKSUM_OFFSET, Datagram, HEADER_LEN, Repr};

/// True for UDP-Lite.
#[inline]
pub(super) fn is_lite(protocol: Protocol) -> bool {
    protocol == Protocol::UDP_LITE
}

impl Udp {
    /// A datagram of UDP-Lite has arrived: `bytes`, from its header on, behind `headers`.
    pub(crate) fn handle_lite(
        &mut self,
        now: Instant,
        ip: &mut Ip,
        incoming: &Incoming,
        (headers, bytes): (&[u8], &[u8]),
    ) -> Outcome {
        let Ok(datagram) = Datagram::parse(bytes) else { return Outcome::Dropped(Drop::UdpLiteMalformed) };
        if incoming.segmentation.is_some() {
            return Outcome::Dropped(Drop::UdpLiteMalformed);
        }
        // Who is on this machine may have left it to a device that this never reaches. What a device has found right is looked at again.
        let complete = !matches!(incoming.checksum, Checksum::Partial { .. });
        if complete && !datagram.verify_checksum(incoming.source, incoming.destination) {
            return Outcome::Dropped(Drop::UdpLiteChecksum);
        }
        let ports = (datagram.src_port(), datagram.dst_port());
        let flow = self.find_hearers(ip, incoming, Protocol::UDP_LITE, ports, (headers, bytes));
        if self.hearers.is_empty() {
            return Outcome::Dropped(Drop::UdpLiteNoSocket);
        }
        if datagram.covered_len() < bytes.len() {
            self.pass_over_the_demanding(ip, datagram.covered_len());
        }
        self.deliver_to_hearers(now, ip, flow, incoming, (headers, &bytes[..HEADER_LEN], datagram.payload()));
        Outcome::Taken
    }

    /// Only so much of a datagram is covered: whoever wants more does not get it.
    fn pass_over_the_demanding(&mut self, ip: &mut Ip, covered: usize) {
        let Udp { sockets, hearers, .. } = self;
        hearers.retain(|&index| {
            let Some(socket) = sockets.at_mut(index) else { return false };
            let enough = |demand: u16| demand != 0 && covered >= usize::from(demand);
            let takes = socket.options.receive_coverage.is_none_or(enough);
            if !takes {
                socket.dropped += 1;
                ip.counters.drop(Drop::UdpLiteCoverage);
            }
            takes
        });
    }
}

/// The header of a datagram with so much payload, its checksum included.
pub(super) fn header(
    outgoing: &Outgoing,
    (src_port, dst_port): (u16, u16),
    coverage: Option<u16>,
    (len, payload): (usize, &[&[u8]]),
) -> [u8; HEADER_LEN] {
    let total = HEADER_LEN + len;
    // As Linux: what covers all says how much that is, where a header can.
    let full = u16::try_from(total).unwrap_or(0);
    let coverage = coverage.filter(|&coverage| usize::from(coverage) < total).unwrap_or(full);
    let repr = Repr { src_port, dst_port, coverage };
    let mut header = [0; HEADER_LEN];
    repr.emit(&mut header);
    let mut sum = pseudo_header(outgoing.source, outgoing.destination, Protocol::UDP_LITE.0, total as u32);
    sum.add(&header);
    let mut rest = repr.covered_len(total).saturating_sub(HEADER_LEN);
    for slice in payload {
        let covered = &slice[..slice.len().min(rest)];
        sum.add(covered);
        rest -= covered.len();
    }
    checksum::put(&mut header, CHECKSUM_OFFSET, sum.finish_nonzero());
    header
}

/// Why a datagram is dropped, in the words of its protocol.
#[cold]
pub(super) fn reason(protocol: Protocol, reason: Drop) -> Drop {
    match reason {
        _ if !is_lite(protocol) => reason,
        Drop::UdpMinTtl => Drop::UdpLiteMinTtl,
        Drop::UdpFilter => Drop::UdpLiteFilter,
        Drop::UdpReceiveBuffer => Drop::UdpLiteReceiveBuffer,
        Drop::UdpMemory => Drop::UdpLiteMemory,
        other => other,
    }
}
