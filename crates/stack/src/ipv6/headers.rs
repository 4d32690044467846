//! Extension headers to be sent: put in order once, for as many packets as they go with.
//!
//! What a program gives are whole headers, each with the number of what follows it, which only the order decides. [`Headers`] has them
//! in the order of RFC 8200 §4.1 with all these numbers right but one, that of what the packet carries. Those for routers
//! on the way stand before a fragment header, the last options behind it, in the first fragment.
//!
//! **Routing.** The program gives the stops and, with each packet, whom it is for. The packet goes to the first stop, and who it is for takes the
//! place of the last one (RFC 8200 §4.4); checksums are about who it is for. Types 2 (RFC 6275 §6.4) and 4 (RFC 8754) have that place at the same
//! spot. Others are not sent; type 0 nobody may send (RFC 5095).
//!
//! # Standards
//!
//! RFC 8200 §4.1, §4.4, §4.5; RFC 3542 §7 to §9; RFC 6275 §6.4; RFC 8754 §2.

use sockeye_wire::Protocol;
use sockeye_wire::ipv6::extension::{MAX_LEN, routing_type};
use std::net::Ipv6Addr;

/// Where the first address of a routing header stands.
const FIRST_ADDRESS: usize = 8;

/// Headers as a program gives them: each whole, with its length in its second byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Options for every router.
    pub hop_by_hop: Option<&'a [u8]>,
    /// Options for each stop; sent only with a routing header.
    pub stops: Option<&'a [u8]>,
    /// The stops.
    pub routing: Option<&'a [u8]>,
    /// Options for the destination.
    pub destination: Option<&'a [u8]>,
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongHeader;

/// Headers ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    bytes: Vec<u8>,
    /// What the fixed header says is next; none where there are only options for the destination.
    first: Protocol,
    /// Bytes that every fragment has.
    every: usize,
    /// Where the last header of these begins, whose next header a fragment header would be.
    last_of_every: Option<usize>,
    /// Where the last header of all begins.
    last: usize,
    /// The first stop, and where the packet's destination is put instead.
    route: Option<(Ipv6Addr, usize)>,
}

impl Headers {
    /// Puts headers in order; none if there are none.
    pub fn new(parts: &Parts<'_>) -> Result<Option<Headers>, WrongHeader> {
        let stops = parts.stops.filter(|_| parts.routing.is_some());
        let every = [
            (Protocol::HOP_BY_HOP, parts.hop_by_hop),
            (Protocol::DESTINATION_OPTIONS, stops),
            (Protocol::ROUTING, parts.routing),
        ];
        let mut headers = Headers {
            bytes: Vec::new(),
            first: Protocol::NO_NEXT_HEADER,
            every: 0,
            last_of_every: None,
            last: 0,
            route: None,
        };
        for (protocol, bytes) in every {
            let Some(bytes) = bytes else { continue };
            let at = headers.push(protocol, bytes)?;
            headers.last_of_every = Some(at);
            if protocol == Protocol::ROUTING {
                headers.route = Some((first_stop(bytes)?, at + FIRST_ADDRESS));
            }
        }
        headers.every = headers.bytes.len();
        if let Some(bytes) = parts.destination {
            headers.push(Protocol::DESTINATION_OPTIONS, bytes)?;
        }
        Ok((!headers.bytes.is_empty()).then_some(headers))
    }

    fn push(&mut self, protocol: Protocol, bytes: &[u8]) -> Result<usize, WrongHeader> {
        let len = usize::from(*bytes.get(1).ok_or(WrongHeader)?) * 8 + 8;
        let bytes = bytes.get(..len.min(MAX_LEN)).ok_or(WrongHeader)?;
        let at = self.bytes.len();
        match self.bytes.get_mut(self.last) {
            Some(next) => *next = protocol.0,
            None => self.first = protocol,
        }
        self.bytes.extend_from_slice(bytes);
        self.last = at;
        Ok(at)
    }

    /// Bytes of all of them.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of those that each fragment has.
    pub(crate) fn every_len(&self) -> usize {
        self.every
    }

    /// Whither a packet for `destination` goes first.
    pub(crate) fn next_stop(&self, destination: Ipv6Addr) -> Ipv6Addr {
        self.route.map_or(destination, |(stop, _)| stop)
    }

    /// Writes all, before `upper`. What the fixed header says is next.
    pub(crate) fn emit(&self, destination: Ipv6Addr, upper: Protocol, buffer: &mut [u8]) -> Protocol {
        buffer[..self.len()].copy_from_slice(&self.bytes);
        buffer[self.last] = upper.0;
        self.end_route(destination, buffer);
        self.first
    }

    /// Writes those that each fragment has, before a fragment header. What the fixed header says is next.
    pub(crate) fn emit_every(&self, destination: Ipv6Addr, buffer: &mut [u8]) -> Protocol {
        let Some(last) = self.last_of_every else { return Protocol::FRAGMENT };
        buffer[..self.every].copy_from_slice(&self.bytes[..self.every]);
        buffer[last] = Protocol::FRAGMENT.0;
        self.end_route(destination, buffer);
        self.first
    }

    /// What stands behind a fragment header, before `upper`: the last options. Also which header that is.
    pub(crate) fn rest(&self, upper: Protocol) -> (Protocol, Vec<u8>) {
        let mut rest = self.bytes[self.every..].to_vec();
        match rest.first_mut() {
            Some(next) => {
                *next = upper.0;
                (Protocol::DESTINATION_OPTIONS, rest)
            }
            None => (upper, rest),
        }
    }

    fn end_route(&self, destination: Ipv6Addr, buffer: &mut [u8]) {
        if let Some((_, at)) = self.route {
            buffer[at..at + 16].copy_from_slice(&destination.octets());
        }
    }
}

/// The first stop of a routing header that may be sent: one of type 2 has one address, one of type 4 as many as it says.
fn first_stop(header: &[u8]) -> Result<Ipv6Addr, WrongHeader> {
    let &[_, len, kind, left, last, ..] = header else { return Err(WrongHeader) };
    let index = match kind {
        routing_type::MOBILE if len == 2 && left == 1 => 0,
        // RFC 8754, 2.1: the list is written from its end, and what is left is the index of the next.
        routing_type::SEGMENTS if left <= last && (usize::from(last) + 1) * 2 <= usize::from(len) => usize::from(left),
        _ => return Err(WrongHeader),
    };
    let address: Option<&[u8; 16]> = header.get(FIRST_ADDRESS + 16 * index..).and_then(|rest| rest.first_chunk());
    address.map(|&octets| Ipv6Addr::from(octets)).ok_or(WrongHeader)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye_wire::ipv6::extension::{Extension, Extensions, Limits};
    use sockeye_wire::ipv6::{HEADER_LEN, Packet, Repr};

    const OPTIONS: [u8; 8] = [0xff, 0, 1, 4, 0, 0, 0, 0];

    fn address(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    fn segments(stops: &[&str]) -> Vec<u8> {
        let last = (stops.len() - 1) as u8;
        let mut bytes = vec![0xff, 2 * stops.len() as u8, 4, last, last, 0, 0, 0];
        stops.iter().for_each(|stop| bytes.extend(address(stop).octets()));
        bytes
    }

    #[test]
    fn headers_stand_in_order_and_name_each_other() {
        let routing = segments(&["::", "2001:db8::2", "2001:db8::1"]);
        let parts = Parts {
            hop_by_hop: Some(&OPTIONS),
            stops: Some(&OPTIONS),
            routing: Some(&routing),
            destination: Some(&OPTIONS),
        };
        let headers = Headers::new(&parts).unwrap().unwrap();
        let to = address("2001:db8::9");
        assert_eq!(headers.next_stop(to), address("2001:db8::1"));
        let mut packet = vec![0; HEADER_LEN + headers.len()];
        let next_header = headers.emit(to, Protocol::UDP, &mut packet[HEADER_LEN..]);
        let repr = Repr { src: to, dst: to, next_header, hop_limit: 1, traffic_class: 0, flow_label: 0 };
        repr.emit(headers.len(), &mut packet);
        let packet = Packet::parse(&packet).unwrap();
        let mut found = Extensions::new(&packet, Limits::DEFAULT);
        let kinds: Vec<_> = found.by_ref().map(|header| header.unwrap().extension).collect();
        assert!(matches!(
            kinds[..],
            [
                Extension::HopByHop(_),
                Extension::Destination(_),
                Extension::Routing(routing),
                Extension::Destination(_)
            ] if routing.final_destination() == Some(to)
        ));
        assert_eq!(found.end().unwrap().protocol, Protocol::UDP);
        // In fragments all but the last options are repeated.
        let mut every = vec![0; headers.every_len()];
        assert_eq!(headers.emit_every(to, &mut every), Protocol::HOP_BY_HOP);
        assert_eq!((every.len(), headers.rest(Protocol::UDP).0), (16 + routing.len(), Protocol::DESTINATION_OPTIONS));
        assert_eq!(every[16], Protocol::FRAGMENT.0);
    }

    #[test]
    fn what_stands_alone_needs_no_place_before_the_fragment_header() {
        let headers = Headers::new(&Parts { destination: Some(&OPTIONS), ..Parts::default() }).unwrap().unwrap();
        assert_eq!((headers.every_len(), headers.emit_every(Ipv6Addr::LOCALHOST, &mut [])), (0, Protocol::FRAGMENT));
        assert_eq!(Headers::new(&Parts { stops: Some(&OPTIONS), ..Parts::default() }), Ok(None));
    }

    #[test]
    fn wrong_headers_are_refused() {
        let source_route = [[0xff, 2, 0, 1, 0, 0, 0, 0].as_slice(), &[0; 16]].concat();
        let mut many_left = segments(&["::", "::1"]);
        many_left[3] = 2;
        let mut long = segments(&["::", "::1"]);
        long[4] = 9;
        for routing in [&source_route[..], &many_left, &long, &[], &[0xff], &[0xff, 255, 4, 0, 0, 0, 0, 0]] {
            assert_eq!(Headers::new(&Parts { routing: Some(routing), ..Parts::default() }), Err(WrongHeader));
        }
        for options in [&[][..], &[0], &[0, 1, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(Headers::new(&Parts { hop_by_hop: Some(options), ..Parts::default() }), Err(WrongHeader));
        }
    }
}
