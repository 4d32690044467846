//! The messages about groups, in and out: IGMP, and the part of ICMPv6 that is MLD.
//!
//! What comes in is believed when it comes from the link: with the time to live of one that all these messages have, and (but
//! for IGMPv1, which is older than that) with the option by which routers are made to look. Nothing else is asked of a
//! querier in IPv4: switches that ask on behalf of a router have no address, and say so. In IPv6 it has a link-local address.
//!
//! # Standards
//!
//! RFC 3376 §4, §9.1 (who is believed), RFC 2236 §2, RFC 4541 §2.1.1 (queriers without an address); RFC 3810 §5, §6.2, RFC 2710 §3,
//! RFC 3590 (reports without a source).

use super::group::Statement;
use super::querier::Version;
use super::reporting::{Family, Question};
use crate::counters::Drop;
use crate::ip::{Incoming, Ip, Outgoing};
use crate::ipv4::output::{Fragmentation, Manner, SendError};
use crate::ipv6::input::Accepted;
use crate::port::PortId;
use crate::route::{AddressKind, RouteEntry};
use sockeye_device::Instant;
use sockeye_wire::group::{Addresses, Record, RecordKind, Records, decode_u8};
use sockeye_wire::ipv4::options::{IpOption, Options};
use sockeye_wire::ipv6::extension::{self, HeaderOption};
use sockeye_wire::{Malformed, Protocol, icmpv6, igmp, ipv4, ipv6, mld};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// RFC 2113: every router shall look.
const ROUTER_ALERT: [u8; 4] = [0x94, 4, 0, 0];
/// The same in IPv6, in a header of its own.
const HOP_BY_HOP_LEN: usize = 8;
/// Internetwork control, as Linux marks what is said about groups.
const CONTROL: u8 = 0xc0;

/// Bytes of a report's packet before its first record.
pub(super) fn report_overhead(family: Family) -> usize {
    match family {
        Family::V4 => ipv4::HEADER_LEN + ROUTER_ALERT.len() + igmp::HEADER_LEN,
        Family::V6 => ipv6::HEADER_LEN + HOP_BY_HOP_LEN + icmpv6::HEADER_LEN,
    }
}

impl Ip {
    /// An IGMP message has arrived.
    pub(crate) fn handle_igmp(&mut self, now: Instant, incoming: &Incoming, options: &[u8], bytes: &[u8]) {
        if let Err(reason) = self.take_igmp(now, incoming, options, bytes) {
            self.counters.drop(reason);
        }
    }

    fn take_igmp(&mut self, now: Instant, incoming: &Incoming, options: &[u8], bytes: &[u8]) -> Result<(), Drop> {
        let message = match igmp::Message::parse(bytes) {
            Ok(message) => message,
            Err(Malformed::Checksum) => return Err(Drop::IgmpChecksum),
            Err(_) => return Err(Drop::IgmpMalformed),
        };
        if incoming.ttl != igmp::TTL {
            return Err(Drop::IgmpInvalid);
        }
        match message {
            igmp::Message::Query(query) => {
                let alert = Options::new(options).flatten().any(|option| matches!(option, IpOption::RouterAlert(_)));
                if query.version() > 1 && !alert || !query.group.is_unspecified() && !query.group.is_multicast() {
                    return Err(Drop::IgmpInvalid);
                }
                self.counters.igmp_queries_received += 1;
                let sources: Vec<IpAddr> =
                    query.details.iter().flat_map(|details| details.sources.iter()).map(IpAddr::V4).collect();
                let question = Question {
                    version: match query.version() {
                        1 => Version::One,
                        2 => Version::Two,
                        _ => Version::Three,
                    },
                    response: Duration::from_millis(query.max_response_millis().into()),
                    group: (!query.group.is_unspecified()).then_some(query.group.into()),
                    sources: &sources,
                    said: query.details.map(|details| (details.robustness, decode_u8(details.interval))),
                };
                self.handle_question(now, incoming.port, Family::V4, &question);
                Ok(())
            }
            igmp::Message::ReportV1 { group } | igmp::Message::ReportV2 { group } => {
                self.counters.igmp_reports_received += 1;
                self.hear_report(incoming.port, group.into());
                Ok(())
            }
            // What is said to routers.
            igmp::Message::Leave { .. } | igmp::Message::ReportV3(_) | igmp::Message::Unknown { .. } => {
                Err(Drop::IgmpUnknown)
            }
        }
    }

    /// A message of MLD has arrived.
    pub(crate) fn handle_mld(&mut self, now: Instant, port: PortId, accepted: &Accepted, message: &mld::Message<'_>) {
        if let Err(reason) = self.take_mld(now, port, accepted, message) {
            self.counters.drop(reason);
        }
    }

    fn take_mld(
        &mut self,
        now: Instant,
        port: PortId,
        accepted: &Accepted,
        message: &mld::Message<'_>,
    ) -> Result<(), Drop> {
        let arrival = icmpv6::Arrival {
            src: accepted.source,
            dst: accepted.destination,
            hop_limit: accepted.hop_limit,
            fragmented: accepted.fragmented,
            router_alert: accepted.router_alert,
        };
        message.validate(&arrival).map_err(|_| Drop::MldInvalid)?;
        match message {
            mld::Message::Query(query) => {
                self.counters.mld_queries_received += 1;
                let sources: Vec<IpAddr> =
                    query.details.iter().flat_map(|details| details.sources.iter()).map(IpAddr::V6).collect();
                let question = Question {
                    version: if query.details.is_some() { Version::Three } else { Version::Two },
                    response: Duration::from_millis(query.max_response_millis().into()),
                    group: (!query.group.is_unspecified()).then_some(query.group.into()),
                    sources: &sources,
                    said: query.details.map(|details| (details.robustness, decode_u8(details.interval))),
                };
                self.handle_question(now, port, Family::V6, &question);
                Ok(())
            }
            mld::Message::ReportV1 { group } => {
                self.counters.mld_reports_received += 1;
                self.hear_report(port, (*group).into());
                Ok(())
            }
            mld::Message::Done { .. } | mld::Message::ReportV2(_) => Err(Drop::MldUnknown),
        }
    }

    /// One report that fits.
    pub(super) fn send_report(&mut self, now: Instant, port: PortId, family: Family, statements: &[Statement]) {
        let mut bytes = vec![0; usize::from(self.port(port).mtu)];
        match family {
            Family::V4 => {
                let records = records_v4(statements);
                let records: Vec<_> = records.iter().map(|(head, sources)| record_v4(*head, sources)).collect();
                let message = igmp::Message::ReportV3(Records::write(&records, &mut bytes));
                self.send_igmp(now, port, igmp::ALL_IGMPV3_ROUTERS, &message);
            }
            Family::V6 => {
                let records = records_v6(statements);
                let records: Vec<_> = records.iter().map(|(head, sources)| record_v6(*head, sources)).collect();
                let message = mld::Message::ReportV2(Records::write(&records, &mut bytes));
                self.send_mld(now, port, ipv6::ALL_MLDV2_ROUTERS, &message);
            }
        }
    }

    /// Reports one group to a router of an older version.
    pub(super) fn send_older_report(&mut self, now: Instant, port: PortId, group: IpAddr, version: Version) {
        match group {
            IpAddr::V4(group) if version == Version::One => {
                self.send_igmp(now, port, group, &igmp::Message::ReportV1 { group });
            }
            IpAddr::V4(group) => self.send_igmp(now, port, group, &igmp::Message::ReportV2 { group }),
            IpAddr::V6(group) => self.send_mld(now, port, group, &mld::Message::ReportV1 { group }),
        }
    }

    /// Tells a router of an older version that nobody here listens any more.
    pub(super) fn send_leave(&mut self, now: Instant, port: PortId, group: IpAddr) {
        match group {
            IpAddr::V4(group) => self.send_igmp(now, port, igmp::ALL_ROUTERS, &igmp::Message::Leave { group }),
            IpAddr::V6(group) => self.send_mld(now, port, ipv6::ALL_ROUTERS, &mld::Message::Done { group }),
        }
    }

    fn send_igmp(&mut self, now: Instant, port: PortId, to: Ipv4Addr, message: &igmp::Message<'_>) {
        let mut addresses = self.port(port).addresses().iter().map(|prefix| prefix.addr());
        let source = addresses.find(IpAddr::is_ipv4).unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let mut bytes = vec![0; message.total_len()];
        let len = message.emit(&mut bytes);
        let outgoing = outgoing(source, to.into(), Protocol::IGMP, igmp::TTL, CONTROL);
        let manner = Manner { fragmentation: Fragmentation::Never, options: &ROUTER_ALERT, ..Manner::default() };
        let route = self.route_to_group(port, &outgoing);
        let sent = self.send_by(now, &route, &outgoing, &manner, &bytes[..len], &[]);
        if self.count(sent) {
            self.counters.igmp_messages_sent += 1;
        }
    }

    fn send_mld(&mut self, now: Instant, port: PortId, to: Ipv6Addr, message: &mld::Message<'_>) {
        let own = self.port(port).addresses().iter().find_map(|prefix| match prefix.addr() {
            IpAddr::V6(address) if address.is_unicast_link_local() => Some(address),
            _ => None,
        });
        let source = own.unwrap_or(Ipv6Addr::UNSPECIFIED);
        let message = icmpv6::Message::Listener(*message);
        let mut bytes = vec![0; HOP_BY_HOP_LEN + message.total_len()];
        let alert = [HeaderOption::RouterAlert(0)];
        let at = extension::Repr::HopByHop(&alert).emit(Protocol::ICMPV6, &mut bytes);
        let len = at + message.emit(source, to, &mut bytes[at..]);
        let outgoing = outgoing(source.into(), to.into(), Protocol::HOP_BY_HOP, mld::HOP_LIMIT, 0);
        let route = self.route_to_group(port, &outgoing);
        let manner = Manner { fragmentation: Fragmentation::Never, ..Manner::default() };
        let sent = self.send_v6_by(now, &route, &outgoing, &manner, &bytes[..len], &[]);
        if self.count(sent) {
            self.counters.mld_messages_sent += 1;
            self.counters.icmpv6.note_sent(&bytes[at..]);
        }
    }

    fn route_to_group(&self, port: PortId, outgoing: &Outgoing) -> RouteEntry {
        let Outgoing { source, destination, .. } = *outgoing;
        let mtu = self.port(port).mtu;
        RouteEntry { port, source, next_hop: destination, mtu, kind: AddressKind::Multicast, hop_limit: outgoing.ttl }
    }

    /// Nobody waits for what is said about groups: it is counted when it is lost.
    fn count(&mut self, sent: Result<(), SendError>) -> bool {
        match sent {
            Ok(()) => true,
            Err(SendError::LinkDown) => false,
            Err(_) => {
                self.counters.drop(Drop::LinkQueueFull);
                false
            }
        }
    }
}

fn outgoing(source: IpAddr, destination: IpAddr, protocol: Protocol, ttl: u8, tos: u8) -> Outgoing {
    Outgoing { source, destination, protocol, ttl, tos, checksum_offset: None, segment_size: None }
}

/// Statements of one family as the wire has them.
macro_rules! records {
    ($name:ident, $record:ident, $family:path, $address:ty, $len:literal) => {
        fn $name(statements: &[Statement]) -> Vec<((RecordKind, $address), Vec<[u8; $len]>)> {
            let octets = |source: &IpAddr| match source {
                $family(source) => Some(source.octets()),
                _ => None,
            };
            let head = |said: &Statement| match said.group {
                $family(group) => Some(((said.kind, group), said.sources.iter().filter_map(octets).collect())),
                _ => None,
            };
            statements.iter().filter_map(head).collect()
        }

        fn $record((kind, group): (RecordKind, $address), sources: &[[u8; $len]]) -> Record<'_, $address> {
            Record { kind, group, sources: Addresses::of(sources), auxiliary: &[] }
        }
    };
}

records!(records_v4, record_v4, IpAddr::V4, Ipv4Addr, 4);
records!(records_v6, record_v6, IpAddr::V6, Ipv6Addr, 16);
