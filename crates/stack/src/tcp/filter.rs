//! A socket's filter (`SO_ATTACH_FILTER`) on segments.
//!
//! A connection's filter judges every segment that arrives for it, and one that it wants nothing of never came: the peer sends it
//! again, until a filter lets it through or the peer gives up. A listener's judges SYNs and third segments, and is inherited by the connection.
//! What a filter cuts off is missing at the end of the payload, so the segment is a shorter one, FIN included; the header is never cut.
//! The first byte is that of the TCP header; the IP header is reached by the offsets that count from there. TIME-WAIT has no filter.
//!
//! Connections without a filter pay nothing: one that has one is never [predicted](super::prediction), and the general way looks.
//!
//! # Standards
//!
//! Linux socket(7), `Documentation/networking/filter.rst`, and what its TCP does (`tcp_filter`).

use super::input::Arrival;
use super::{Options, Tcp};
use crate::counters::Drop;
use crate::ip::{Incoming, Ip};
use crate::socket_filter::{self, About};
use sockeye_device::RxFrame;
use sockeye_filter::Program;
use std::ops::Range;

/// Where a segment stands in its packet.
pub(crate) struct Place<'a> {
    pub(crate) incoming: &'a Incoming,
    /// In the frame's buffer.
    pub(crate) segment: Range<usize>,
}

impl Place<'_> {
    /// The packet as a program sees it, and where its segment begins.
    pub(super) fn packet<'b>(&self, frame: &'b RxFrame) -> (&'b [u8], usize) {
        let start = self.incoming.packet.start;
        (&frame.buffer[start..self.segment.end], self.segment.start - start)
    }

    /// What a program may ask besides.
    pub(super) fn about(&self, ip: &mut Ip) -> About {
        let Incoming { destination, unicast, port, .. } = *self.incoming;
        About { destination, unicast, port, random: ip.rng.next_u64() }
    }

    /// Runs a filter, which may cut the end off. False, and counted, if it wants nothing.
    #[cold]
    pub(super) fn passes(&self, ip: &mut Ip, filter: &Program, frame: &RxFrame, arrival: &mut Arrival) -> bool {
        let (packet, segment) = self.packet(frame);
        let Some(kept) = socket_filter::run(filter, self.about(ip), &[packet], segment) else {
            ip.counters.drop(Drop::TcpFilter);
            return false;
        };
        let header = arrival.payload.start - self.segment.start;
        let end = arrival.payload.start.saturating_add(kept.saturating_sub(header));
        arrival.payload.end = arrival.payload.end.min(end);
        true
    }
}

impl Tcp {
    /// Whether a listener lets a segment in: by its filter, and by where it comes from (IP_MINTTL).
    pub(super) fn lets_in(
        &self,
        ip: &mut Ip,
        listener: u32,
        place: &Place<'_>,
        frame: &RxFrame,
        arrival: &mut Arrival,
    ) -> bool {
        let filter = self.listeners.at(listener as usize).and_then(|listener| listener.options.filter.as_deref());
        let least = |options: &Options| options.of(place.incoming.source.is_ipv6()).min_ttl;
        if self.hears_near
            && self.listeners.at(listener as usize).is_some_and(|found| place.incoming.ttl < least(&found.options))
        {
            ip.counters.drop(Drop::TcpMinTtl);
            return false;
        }
        filter.is_none_or(|filter| place.passes(ip, filter, frame, arrival))
    }
}
