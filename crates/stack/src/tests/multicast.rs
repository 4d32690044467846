//! What routers are told of groups, when, and in which version; and who gets what is sent to one.

use super::*;
use crate::multicast::{FilterMode, SourceFilter, Version};
use sockeye_wire::group::{Addresses, QueryDetails, Record, RecordKind};
use sockeye_wire::igmp::{self, Query};
use sockeye_wire::ipv6::extension::{Extensions, Limits};
use sockeye_wire::{icmpv6, ipv6, mld};
use std::net::Ipv6Addr;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const OTHER: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 4);
const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 0x77);
/// Another host on the link.
const NEAR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 7);
const ALERT: &[u8] = &[0x94, 4, 0, 0];
const ROUTER: Ipv4Addr = GATEWAY;
const ROUTER6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x99);

/// True for a frame to all routers that hear reports.
pub(super) fn is_report(frame: &[u8]) -> bool {
    frame[..6] == [1, 0, 0x5e, 0, 0, 0x16] || frame[..6] == [0x33, 0x33, 0, 0, 0, 0x16]
}

fn everybody() -> SourceFilter {
    SourceFilter::everybody()
}

fn only(sources: &[Ipv4Addr]) -> SourceFilter {
    SourceFilter { mode: FilterMode::Include, sources: sources.iter().copied().map(IpAddr::V4).collect() }
}

impl Host {
    fn change(&mut self, group: impl Into<IpAddr>, from: &SourceFilter, to: &SourceFilter) {
        self.stack.ip.multicast.change(self.port, group.into(), from, to);
        self.stack.handle_timeout(self.now);
    }

    pub(super) fn join(&mut self, group: impl Into<IpAddr>) {
        self.change(group, &SourceFilter::default(), &everybody());
    }

    fn leave(&mut self, group: impl Into<IpAddr>) {
        self.change(group, &everybody(), &SourceFilter::default());
    }

    /// What was said about groups since this was last asked, a line a message.
    fn said(&mut self) -> Vec<String> {
        self.sent_frames().iter().filter_map(|(frame, _)| message(frame)).collect()
    }

    /// All that is said in a while, with the milliseconds after which it is.
    fn said_within(&mut self, time: Duration) -> Vec<(u64, String)> {
        let (begin, end) = (self.now, self.now + time);
        let mut log = Vec::new();
        while let Some(next) = self.stack.poll_timeout().filter(|&next| next <= end) {
            self.now = self.now.max(next);
            self.stack.handle_timeout(self.now);
            let after = self.now.since(begin).as_millis() as u64;
            log.extend(self.said().into_iter().map(|line| (after, line)));
        }
        self.now = end;
        log
    }

    fn asked(&mut self, query: Query<'_>) {
        let options = if query.version() > 1 { ALERT } else { &[] };
        self.asked_by(query, ipv4::Repr { src: ROUTER, ttl: 1, options, ..FROM_PEER });
    }

    fn asked_by(&mut self, query: Query<'_>, header: ipv4::Repr<'_>) {
        let message = igmp::Message::Query(query);
        let dst = if query.group.is_unspecified() { igmp::ALL_SYSTEMS } else { query.group };
        self.arrive(&igmp_frame(&message, ipv4::Repr { dst, ..header }));
        self.stack.handle_timeout(self.now);
    }

    fn asked6(&mut self, query: mld::Query<'_>) {
        let dst = if query.group.is_unspecified() { ipv6::ALL_NODES } else { query.group };
        self.arrive(&mld_frame(&mld::Message::Query(query), ROUTER6, dst, 1, true));
        self.stack.handle_timeout(self.now);
    }
}

fn igmp_frame(message: &igmp::Message<'_>, header: ipv4::Repr<'_>) -> Vec<u8> {
    let mut bytes = vec![0; message.total_len()];
    message.emit(&mut bytes);
    let header = ipv4::Repr { protocol: Protocol::IGMP, ..header };
    frame(PEER_MAC, MacAddr::for_group(header.dst.into()), EtherType::IPV4, &packet(header, &bytes))
}

fn mld_frame(message: &mld::Message<'_>, src: Ipv6Addr, dst: Ipv6Addr, hop_limit: u8, alert: bool) -> Vec<u8> {
    let message = icmpv6::Message::Listener(*message);
    let mut payload = if alert { vec![58, 0, 5, 2, 0, 0, 1, 0] } else { Vec::new() };
    let at = payload.len();
    payload.resize(at + message.total_len(), 0);
    message.emit(src, dst, &mut payload[at..]);
    let next_header = if alert { Protocol::HOP_BY_HOP } else { Protocol::ICMPV6 };
    let header = ipv6::Repr { src, dst, next_header, hop_limit, traffic_class: 0, flow_label: 0 };
    let mut bytes = vec![0; ipv6::HEADER_LEN];
    header.emit(payload.len(), &mut bytes);
    bytes.extend(payload);
    frame(PEER_MAC, MacAddr::for_group(dst.into()), EtherType::IPV6, &bytes)
}

/// A line for a message about groups. Checks what all of them have.
fn message(bytes: &[u8]) -> Option<String> {
    let frame = ethernet::Frame::parse(bytes).unwrap();
    match frame.ether_type() {
        EtherType::IPV4 => {
            let packet = ipv4::Packet::parse(frame.payload()).unwrap();
            if packet.protocol() != Protocol::IGMP {
                return None;
            }
            assert_eq!((packet.ttl(), packet.tos(), packet.options()), (1, 0xc0, ALERT));
            assert_eq!(frame.dst(), MacAddr::for_group(packet.dst().into()));
            let to = packet.dst();
            Some(match igmp::Message::parse(packet.payload()).unwrap() {
                igmp::Message::ReportV1 { group } if group == to => format!("v1 {group}"),
                igmp::Message::ReportV2 { group } if group == to => format!("v2 {group}"),
                igmp::Message::Leave { group } if to == igmp::ALL_ROUTERS => format!("leave {group}"),
                igmp::Message::ReportV3(records) if to == igmp::ALL_IGMPV3_ROUTERS => {
                    records.iter().map(|record| line(&record)).collect::<Vec<_>>().join(" ")
                }
                other => format!("{other:?} to {to}"),
            })
        }
        EtherType::IPV6 => {
            let packet = ipv6::Packet::parse(frame.payload()).unwrap();
            let upper = Extensions::new(&packet, Limits::DEFAULT).upper().unwrap();
            let message = match upper.protocol {
                Protocol::ICMPV6 => icmpv6::Message::parse(upper.payload, packet.src(), packet.dst()).unwrap(),
                _ => return None,
            };
            let icmpv6::Message::Listener(message) = message else { return None };
            assert_eq!((packet.hop_limit(), packet.next_header()), (1, Protocol::HOP_BY_HOP));
            assert!(packet.src().is_unspecified() || packet.src().is_unicast_link_local(), "{}", packet.src());
            assert_eq!(frame.payload()[40..48], [58, 0, 5, 2, 0, 0, 1, 0]);
            let to = packet.dst();
            Some(match message {
                mld::Message::ReportV1 { group } if group == to => format!("v1 {group}"),
                mld::Message::Done { group } if to == ipv6::ALL_ROUTERS => format!("done {group}"),
                mld::Message::ReportV2(records) if to == ipv6::ALL_MLDV2_ROUTERS => {
                    records.iter().map(|record| line(&record)).collect::<Vec<_>>().join(" ")
                }
                other => format!("{other:?} to {to}"),
            })
        }
        _ => None,
    }
}

fn line<A: sockeye_wire::group::Address + std::fmt::Display>(record: &Record<'_, A>) -> String {
    let kind = match record.kind {
        RecordKind::MODE_IS_INCLUDE => "is-in",
        RecordKind::MODE_IS_EXCLUDE => "is-ex",
        RecordKind::CHANGE_TO_INCLUDE => "to-in",
        RecordKind::CHANGE_TO_EXCLUDE => "to-ex",
        RecordKind::ALLOW_NEW_SOURCES => "allow",
        RecordKind::BLOCK_OLD_SOURCES => "block",
        _ => "?",
    };
    let sources: Vec<_> = record.sources.iter().map(|source| source.to_string()).collect();
    format!("{kind} {} {{{}}}", record.group, sources.join(","))
}

const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

fn details<'a>(sources: &'a [[u8; 4]]) -> QueryDetails<'a, Ipv4Addr> {
    QueryDetails { suppress: false, robustness: 2, interval: 125, sources: Addresses::of(sources) }
}

fn version_3<'a>(group: Ipv4Addr, max_response: u8, sources: &'a [[u8; 4]]) -> Query<'a> {
    Query { max_response, group, details: Some(details(sources)) }
}

fn older(group: Ipv4Addr, max_response: u8) -> Query<'static> {
    Query { max_response, group, details: None }
}

fn lines(log: &[(u64, String)]) -> Vec<&str> {
    log.iter().map(|(_, line)| line.as_str()).collect()
}

#[test]
fn joining_and_leaving_are_said_at_once_and_once_more_within_a_second() {
    let mut host = Host::new();
    host.join(GROUP);
    assert_eq!(host.said(), ["to-ex 239.1.2.3 {}"]);
    host.join(GROUP);
    assert_eq!(host.said(), [""; 0], "a second listener changes nothing");
    let again = host.said_within(ms(20_000));
    assert_eq!(lines(&again), ["to-ex 239.1.2.3 {}"]);
    assert!(again[0].0 <= 1_002, "{again:?}");
    host.leave(GROUP);
    assert_eq!(host.said(), [""; 0]);
    host.leave(GROUP);
    assert_eq!(host.said(), ["to-in 239.1.2.3 {}"]);
    assert_eq!(lines(&host.said_within(ms(20_000))), ["to-in 239.1.2.3 {}"]);
    assert_eq!(host.stack.ip.multicast.summaries().count(), 4, "all nodes, of two families on two ports");
    assert_eq!(host.stack.poll_timeout(), None);
}

#[test]
fn what_happens_together_is_said_together() {
    let mut host = Host::new();
    host.stack.ip.join_group(host.port, OTHER.into());
    host.change(GROUP, &SourceFilter::default(), &only(&[PEER]));
    assert_eq!(host.said(), ["allow 239.1.2.3 {10.0.0.2} to-ex 239.1.2.4 {}"]);
    host.change(GROUP, &only(&[PEER]), &only(&[FAR]));
    assert_eq!(host.said(), ["allow 239.1.2.3 {192.0.2.7} block 239.1.2.3 {10.0.0.2} to-ex 239.1.2.4 {}"]);
    assert_eq!(
        lines(&host.said_within(ms(2_000))),
        ["allow 239.1.2.3 {192.0.2.7} block 239.1.2.3 {10.0.0.2}"],
        "each as often as it takes"
    );
}

#[test]
fn a_question_to_all_is_answered_once_within_its_time() {
    let mut host = Host::new();
    host.join(GROUP);
    host.join(OTHER);
    host.said_within(ms(5_000));
    // Two in a row: one answer, of everything.
    host.asked(version_3(ANY, 100, &[]));
    host.asked(version_3(ANY, 20, &[]));
    let answers = host.said_within(ms(20_000));
    assert_eq!(lines(&answers), ["is-ex 239.1.2.3 {} is-ex 239.1.2.4 {}"]);
    assert!(answers[0].0 <= 2_002, "{answers:?}");
}

#[test]
fn a_question_about_sources_is_answered_for_those_that_are_heard() {
    let mut host = Host::new();
    host.change(GROUP, &SourceFilter::default(), &only(&[PEER, FAR]));
    host.said_within(ms(5_000));
    let sources = [[10, 0, 0, 2], [10, 0, 0, 9]];
    host.asked(version_3(GROUP, 10, &sources));
    assert_eq!(lines(&host.said_within(ms(5_000))), ["is-in 239.1.2.3 {10.0.0.2}"]);
    host.asked(version_3(GROUP, 10, &sources[1..]));
    assert_eq!(host.said_within(ms(5_000)), []);
    // The group as a whole includes its sources.
    host.asked(version_3(GROUP, 10, &sources));
    host.asked(version_3(GROUP, 10, &[]));
    assert_eq!(lines(&host.said_within(ms(5_000))), ["is-in 239.1.2.3 {10.0.0.2,192.0.2.7}"]);
    host.asked(version_3(OTHER, 10, &[]));
    assert_eq!(host.said_within(ms(5_000)), [], "a group that we are not in");
}

#[test]
fn a_flood_of_questions_makes_a_trickle_of_answers() {
    let mut host = Host::new();
    host.join(GROUP);
    host.said_within(ms(5_000));
    let sources: Vec<[u8; 4]> = (0..300u16).map(|number| [10, 1, (number >> 8) as u8, number as u8]).collect();
    let mut answers = Vec::new();
    for _ in 0..1_000 {
        host.asked(version_3(ANY, 0, &[]));
        host.asked(version_3(GROUP, 0, &sources));
        answers.extend(host.said());
        answers.extend(lines(&host.said_within(ms(1))).into_iter().map(str::to_owned));
    }
    assert!((10..=24).contains(&answers.len()), "{} answers in a second", answers.len());
    assert!(answers.iter().all(|answer| answer == "is-ex 239.1.2.3 {}"));
    assert_eq!(host.stack.counters().igmp_queries_received, 2_000);
    let sources: Vec<[u8; 4]> = (0..10_000u16).map(|number| [10, 1, (number >> 8) as u8, number as u8]).collect();
    host.said_within(ms(1_000));
    let long = igmp::Message::Query(version_3(GROUP, 1, &sources));
    host.arrive(&igmp_frame(&long, ipv4::Repr { src: ROUTER, ttl: 1, options: ALERT, dst: GROUP, ..FROM_PEER }));
    assert_eq!(lines(&host.said_within(ms(5_000))), ["is-ex 239.1.2.3 {}"], "10,000 sources are the whole group");
}

#[test]
fn forged_questions_are_not_believed() {
    let mut host = Host::new();
    host.join(GROUP);
    host.said_within(ms(5_000));
    let good = ipv4::Repr { src: ROUTER, ttl: 1, options: ALERT, ..FROM_PEER };
    for (query, header) in [
        (version_3(ANY, 1, &[]), ipv4::Repr { ttl: 2, ..good }),
        (version_3(ANY, 1, &[]), ipv4::Repr { options: &[], ..good }),
        (older(ANY, 1), ipv4::Repr { options: &[], ..good }),
        (older(ANY, 0), ipv4::Repr { ttl: 64, ..good }),
    ] {
        host.asked_by(query, header);
    }
    assert_eq!((host.said_within(ms(12_000)), host.drops()), (vec![], vec![("igmp_invalid", 4)]));
    // A switch that has no address of its own is believed.
    host.asked_by(version_3(ANY, 1, &[]), ipv4::Repr { src: ANY, ..good });
    assert_eq!(lines(&host.said_within(ms(5_000))), ["is-ex 239.1.2.3 {}"]);
}

#[test]
fn an_older_router_is_told_of_each_group_until_it_is_not_heard_any_more() {
    let mut host = Host::new();
    host.join(GROUP);
    host.said_within(ms(5_000));
    host.asked(older(ANY, 20));
    let answers = host.said_within(ms(3_000));
    assert_eq!(lines(&answers), ["v2 239.1.2.3"]);
    assert!(answers[0].0 <= 2_002);
    host.join(OTHER);
    assert_eq!(host.said(), ["v2 239.1.2.4"]);
    assert_eq!(lines(&host.said_within(ms(11_000))), ["v2 239.1.2.4"]);
    // A newer question is answered in the older words (RFC 3376, 7.2.1), about the whole group.
    host.asked(version_3(OTHER, 10, &[[10, 0, 0, 2]]));
    assert_eq!(lines(&host.said_within(ms(3_000))), ["v2 239.1.2.4"]);
    host.leave(OTHER);
    assert_eq!(host.said(), ["leave 239.1.2.4"]);
    // Somebody else has reported: he will say it.
    let report = igmp::Message::ReportV2 { group: GROUP };
    host.asked(older(GROUP, 10));
    host.arrive(&igmp_frame(&report, ipv4::Repr { ttl: 1, options: ALERT, dst: GROUP, ..FROM_PEER }));
    assert_eq!(host.said_within(ms(3_000)), []);
    host.leave(GROUP);
    assert_eq!(host.said(), [""; 0]);
    // 2 times 125 s, and the 1 s that the last question left.
    host.pass(ms(252_000));
    host.join(GROUP);
    assert_eq!(host.said(), ["to-ex 239.1.2.3 {}"]);
}

#[test]
fn the_oldest_router_is_never_told_that_a_group_is_left() {
    let mut host = Host::new();
    host.asked(older(ANY, 0));
    host.join(GROUP);
    assert_eq!(host.said(), ["v1 239.1.2.3"]);
    assert_eq!(lines(&host.said_within(ms(11_000))), ["v1 239.1.2.3"]);
    host.asked(older(ANY, 20));
    assert_eq!(lines(&host.said_within(ms(11_000))), ["v1 239.1.2.3"], "version 1 is still there");
    host.leave(GROUP);
    assert_eq!(host.said_within(ms(11_000)), []);
    let version = host.stack.ip.multicast.summaries().find(|group| group.port == host.port).map(|group| group.version);
    assert_eq!(version, Some(Version::One));
}

#[test]
fn a_querier_says_how_often_things_are_said() {
    let mut host = Host::new();
    let often = QueryDetails { robustness: 4, ..details(&[]) };
    host.asked(Query { max_response: 10, group: ANY, details: Some(often) });
    host.said_within(ms(2_000));
    host.join(GROUP);
    host.said();
    assert_eq!(host.said_within(ms(10_000)).len(), 3);
}

#[test]
fn a_link_that_comes_up_again_is_told_everything() {
    let mut host = Host::new();
    host.join(GROUP);
    host.said_within(ms(5_000));
    host.stack.set_link(host.now, host.port, false);
    host.join(OTHER);
    assert_eq!(host.said_within(ms(5_000)), []);
    host.stack.set_link(host.now, host.port, true);
    host.stack.handle_timeout(host.now);
    assert_eq!(host.said(), ["to-ex 239.1.2.3 {} to-ex 239.1.2.4 {}"]);
}

#[test]
fn more_than_fits_goes_into_several_reports() {
    let mut host = Host::new();
    for last in 0..=255 {
        host.stack.ip.join_group(host.port, IpAddr::from([239, 9, 9, last]));
    }
    host.stack.handle_timeout(host.now);
    let frames = host.sent_frames();
    assert!(frames.len() == 2 && frames.iter().all(|(frame, _)| frame.len() <= 1_514));
    let records: usize = frames.iter().map(|(frame, _)| message(frame).unwrap().matches("to-ex").count()).sum();
    assert_eq!(records, 256);
}

/// A host with addresses of IPv6, and nothing left to say.
fn host_6() -> Host {
    let mut host = Host::new();
    host.stack.add_address(host.now, host.port, prefix("fd00::1/64"));
    host.stack.handle_timeout(host.now);
    assert!(host.said().iter().any(|line| line == "to-ex ff02::1:ff00:1 {}"), "from nobody, while there is no address");
    host.stack.add_address(host.now, host.port, prefix("fe80::1/64"));
    host.stack.handle_timeout(host.now);
    assert!(host.said().iter().any(|line| line == "to-ex ff02::1:ff00:1 {}"), "and once more from one");
    host.said_within(ms(60_000));
    host
}

fn version_2<'a>(group: Ipv6Addr, max_response: u16, sources: &'a [[u8; 16]]) -> mld::Query<'a> {
    let details = QueryDetails { suppress: false, robustness: 2, interval: 125, sources: Addresses::of(sources) };
    mld::Query { max_response, group, details: Some(details) }
}

#[test]
fn listeners_of_ipv6_say_the_same_things_in_icmp() {
    let mut host = host_6();
    let source = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 9);
    let include = SourceFilter { mode: FilterMode::Include, sources: [source.into()].into() };
    host.change(GROUP6, &SourceFilter::default(), &include);
    assert_eq!(host.said(), ["allow ff15::77 {fd00::9}"]);
    host.said_within(ms(5_000));
    // The router is none of the sources, and heard all the same.
    host.asked6(version_2(GROUP6, 1_000, &[source.octets()]));
    assert_eq!(lines(&host.said_within(ms(5_000))), ["is-in ff15::77 {fd00::9}"]);
    host.change(GROUP6, &include, &everybody());
    assert_eq!(host.said(), ["to-ex ff15::77 {}"]);
    host.said_within(ms(5_000));
    host.asked6(version_2(Ipv6Addr::UNSPECIFIED, 1_000, &[]));
    let answers = host.said_within(ms(5_000));
    assert_eq!(lines(&answers), ["is-ex ff02::1:ff00:1 {} is-ex ff15::77 {}"]);
    host.asked6(version_2(GROUP6, 1_000, &[source.octets()]));
    assert_eq!(lines(&host.said_within(ms(5_000))), ["is-in ff15::77 {fd00::9}"]);
    // The older version.
    host.asked6(mld::Query { max_response: 1_000, group: GROUP6, details: None });
    assert_eq!(lines(&host.said_within(ms(5_000))), ["v1 ff15::77"]);
    host.leave(GROUP6);
    assert_eq!(host.said(), ["done ff15::77"]);
    assert_eq!(host.stack.counters().mld_queries_received, 4);
}

#[test]
fn forged_questions_about_ipv6_are_not_believed() {
    let mut host = host_6();
    let query = mld::Message::Query(version_2(Ipv6Addr::UNSPECIFIED, 0, &[]));
    let global = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
    let before = host.dropped(Drop::MldInvalid);
    for (src, hop_limit, alert) in [(global, 1, true), (ROUTER6, 2, true), (ROUTER6, 1, false)] {
        host.arrive(&mld_frame(&query, src, ipv6::ALL_NODES, hop_limit, alert));
    }
    assert_eq!(host.said_within(ms(5_000)), []);
    assert_eq!(host.dropped(Drop::MldInvalid) - before, 3);
}

#[test]
fn what_does_not_leave_the_host_is_told_to_nobody() {
    let mut host = host_6();
    host.join(Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0, 5));
    host.stack.ip.join_group(PortId::LOOPBACK, GROUP.into());
    assert_eq!(host.said_within(ms(5_000)), []);
}

#[test]
fn frames_of_groups_that_nobody_is_in_are_left_on_the_link() {
    let mut host = Host::new();
    let datagram = |dst: Ipv4Addr, station: MacAddr| {
        frame(PEER_MAC, station, EtherType::IPV4, &packet(ipv4::Repr { dst, ..FROM_PEER }, &udp_bytes(5, 6, b"x")))
    };
    let station = MacAddr::for_group(GROUP.into());
    host.arrive(&datagram(GROUP, station));
    assert_eq!(host.drops(), [("link_not_member", 1)]);
    host.join(GROUP);
    host.arrive(&datagram(GROUP, station));
    assert_eq!(host.drops(), [("link_not_member", 1), ("udp_no_socket", 1)]);
    // 239.129.2.3 has the same station.
    host.arrive(&datagram(Ipv4Addr::new(239, 129, 2, 3), station));
    assert_eq!(host.dropped(Drop::Ipv4NotMember), 1);
    host.change(GROUP, &everybody(), &only(&[FAR]));
    host.arrive(&datagram(GROUP, station));
    assert_eq!(host.dropped(Drop::Ipv4NotMember), 2, "the wrong source");
}

/// A socket at a port of all addresses, that others may share, with these settings of its groups.
fn socket(host: &mut Host, address: impl Into<IpAddr>, groups: crate::udp::GroupOptions) -> crate::udp::SocketId {
    let bind = crate::Bind { reuse_address: true, ..crate::Bind::new(address.into(), 5_353) };
    let id = host.stack.udp_open(&bind).unwrap();
    let member = Some(host.stack.member_open());
    host.stack.udp_set_options(id, crate::udp::Options { groups: [groups; 2], member, ..Default::default() });
    id
}

fn member(host: &Host, id: crate::udp::SocketId) -> crate::multicast::MemberId {
    host.stack.udp_options(id).and_then(|options| options.member).unwrap()
}

/// How many datagrams each has received.
fn received(host: &mut Host, sockets: &[crate::udp::SocketId]) -> Vec<usize> {
    sockets.iter().map(|&id| std::iter::from_fn(|| host.stack.udp_recv(id)).count()).collect()
}

fn to_group(group: Ipv4Addr, source: Ipv4Addr) -> Vec<u8> {
    let header = ipv4::Repr { dst: group, src: source, ttl: 1, ..FROM_PEER };
    frame(
        PEER_MAC,
        MacAddr::for_group(group.into()),
        EtherType::IPV4,
        &packet(header, &udp_bytes(5_353, 5_353, b"hello")),
    )
}

#[test]
fn a_datagram_to_a_group_goes_to_each_socket_that_hears_its_source_there() {
    let mut host = Host::new();
    let port = host.port;
    let own = crate::udp::GroupOptions { all: false, ..Default::default() };
    let any = IpAddr::V4(ANY);
    let everywhere = socket(&mut host, any, own);
    let at_group = socket(&mut host, GROUP, Default::default());
    let choosy = socket(&mut host, any, own);
    let aloof = socket(&mut host, any, own);
    let hears_all = socket(&mut host, any, Default::default());
    let all = [everywhere, at_group, choosy, aloof, hears_all];
    let id = member(&host, everywhere);
    host.stack.member_join(id, port, GROUP.into(), FilterMode::Exclude).unwrap();
    let id = member(&host, choosy);
    host.stack.member_join(id, port, GROUP.into(), FilterMode::Include).unwrap();
    let there = (port, IpAddr::V4(GROUP));
    host.stack.member_change_source(id, there, FilterMode::Include, NEAR.into(), true).unwrap();
    host.arrive(&to_group(GROUP, PEER));
    assert_eq!(received(&mut host, &all), [1, 1, 0, 0, 1]);
    host.arrive(&to_group(GROUP, NEAR));
    assert_eq!(received(&mut host, &all), [1, 1, 1, 0, 1]);
    // Connected to a peer, a socket that is bound to the group hears him alone, and there.
    host.stack.udp_connect(at_group, Some((NEAR, 5_353).into())).unwrap();
    assert_eq!(host.stack.udp_local(at_group), Some((GROUP, 5_353).into()));
    host.arrive(&to_group(GROUP, PEER));
    host.arrive(&to_group(GROUP, NEAR));
    assert_eq!(received(&mut host, &all), [2, 1, 1, 0, 2]);
    // Nobody but the choosy one is left: others' sources are not taken from the link any more.
    let id = member(&host, everywhere);
    host.stack.member_leave(id, port, GROUP.into()).unwrap();
    host.arrive(&to_group(GROUP, PEER));
    assert_eq!((received(&mut host, &all), host.dropped(Drop::Ipv4NotMember)), (vec![0; 5], 1));
    let id = member(&host, choosy);
    host.stack.member_close(id);
    host.stack.handle_timeout(host.now);
    assert!(!host.stack.ip.multicast.is_member(port, GROUP.into()));
}

#[test]
fn what_is_sent_to_a_group_comes_back_to_those_who_listen_here() {
    let mut host = Host::new();
    let port = host.port;
    let listener = socket(&mut host, ANY, Default::default());
    let id = member(&host, listener);
    let send = |host: &mut Host, from, group: Ipv4Addr| {
        let to = Some((group, 5_353).into());
        let payload: &[&[u8]] = &[&[7; 4_000]];
        host.stack.udp_send(host.now, from, &crate::udp::Send { to, payload, ..Default::default() })
    };
    let sender = socket(&mut host, ANY, crate::udp::GroupOptions { all: false, ..Default::default() });
    send(&mut host, sender, GROUP).unwrap();
    assert_eq!(host.sent().len(), 3, "fragments");
    assert_eq!(received(&mut host, &[listener, sender]), [0, 0], "nobody is in the group");
    host.stack.member_join(id, port, GROUP.into(), FilterMode::Exclude).unwrap();
    send(&mut host, sender, GROUP).unwrap();
    assert_eq!(host.sent().len(), 3);
    let copy = host.stack.udp_recv(listener).unwrap();
    assert_eq!((copy.from, copy.port, copy.ttl, copy.data.len()), ((US, 5_353).into(), port, 1, 4_000));
    let quiet = crate::udp::GroupOptions { loops: false, ..Default::default() };
    let quiet = socket(&mut host, ANY, quiet);
    send(&mut host, quiet, GROUP).unwrap();
    assert_eq!((host.sent().len(), received(&mut host, &[listener])), (3, vec![0]));
    // With a time to live of zero it goes no further.
    let near = socket(&mut host, ANY, crate::udp::GroupOptions { hops: 0, ..Default::default() });
    send(&mut host, near, GROUP).unwrap();
    assert_eq!((host.sent().len(), received(&mut host, &[listener])), (0, vec![1]));
    // The queue of copies is bounded, and pushes back.
    let until_full = (0..1_000).find(|_| send(&mut host, near, GROUP).is_err());
    assert_eq!(until_full, Some(256));
    host.sent();
    assert!(send(&mut host, near, GROUP).is_ok());
}

/// Sources count, for a member and for all together.
#[test]
fn what_memberships_hold_is_bounded() {
    use crate::multicast::MembershipError::TooMany;
    let mut host = Host::new();
    let port = host.port;
    let group = |number: u16| IpAddr::from(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 7, number));
    let source = |number: u16| IpAddr::from(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 8, number));
    let filter = SourceFilter { mode: FilterMode::Exclude, sources: (0..63).map(source).collect() };
    // As many groups with as many sources as there is room for.
    let fill = |host: &mut Host| {
        let id = host.stack.member_open();
        for number in 0.. {
            if let Err(refused) = host.stack.member_join(id, port, group(number), FilterMode::Exclude) {
                assert_eq!(refused, TooMany);
                return (id, 64 * usize::from(number));
            }
            host.stack.member_set_filter(id, port, group(number), filter.clone()).unwrap();
        }
        unreachable!("there is a bound");
    };
    let (first, held) = fill(&mut host);
    assert_eq!(held, 1_024);
    let all = held + (1..300).map(|_| fill(&mut host).1).sum::<usize>();
    assert_eq!(all, 262_144);
    // One that goes makes room for another.
    host.stack.member_close(first);
    assert_eq!(fill(&mut host).1, 1_024);
}

#[test]
fn members_have_bounds() {
    use crate::multicast::MembershipError::{AlreadyMember, NoChange, NotMember, OtherMode, TooMany};
    let mut host = Host::new();
    let (port, id) = (host.port, host.stack.member_open());
    let group = |last| IpAddr::from([239, 0, 0, last]);
    for last in 0..20 {
        host.stack.member_join(id, port, group(last), FilterMode::Exclude).unwrap();
    }
    assert_eq!(host.stack.member_join(id, port, group(0), FilterMode::Exclude), Err(AlreadyMember));
    assert_eq!(host.stack.member_join(id, port, group(20), FilterMode::Exclude), Err(TooMany));
    assert_eq!(host.stack.member_leave(id, port, group(20)), Err(NotMember));
    let mut block = |source: u8, mode, listed| {
        host.stack.member_change_source(id, (port, group(0)), mode, IpAddr::from([10, 0, 0, source]), listed)
    };
    for source in 0..10 {
        block(source, FilterMode::Exclude, true).unwrap();
    }
    assert_eq!(block(0, FilterMode::Exclude, true), Err(NoChange));
    assert_eq!(block(10, FilterMode::Exclude, true), Err(TooMany));
    assert_eq!(block(10, FilterMode::Exclude, false), Err(NoChange));
    assert_eq!(block(10, FilterMode::Include, true), Err(OtherMode));
    assert_eq!(host.stack.memberships(id).len(), 20);
    host.stack.member_close(id);
    assert_eq!(host.stack.member_join(id, port, group(0), FilterMode::Exclude), Err(NotMember), "stale");
    let mine = host.stack.groups().filter(|found| found.port == port && found.group.is_ipv4()).count();
    assert_eq!(mine, 1, "all systems");
}
