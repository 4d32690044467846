//! `/proc/net/snmp`, `snmp6`, `netstat` and `sockstat`: the counters of the MIBs, from the stack's own.
//!
//! What the stack does not count apart is 0, as in a kernel that has not met it; what it drops of
//! ICMP's and UDP's is told with IPv4's. Names stand in the kernel's order, because net-tools read them by name and others by place.
//!
//! # Standards
//!
//! RFC 4293 (IP), RFC 4022 (TCP), RFC 4113 (UDP); proc_net(5), `snmp_seq_show` and `snmp6_seq_show` of Linux.

use sockeye_socket::Body;
use sockeye_stack::counters::{Drop, Messages};
use sockeye_stack::tcp::State;

use super::proc_net::line;
use crate::node::Node;

/// Types of ICMP that have names.
const ICMP: [(&str, u8); 11] = [
    ("DestUnreachs", 3),
    ("TimeExcds", 11),
    ("ParmProbs", 12),
    ("SrcQuenchs", 4),
    ("Redirects", 5),
    ("Echos", 8),
    ("EchoReps", 0),
    ("Timestamps", 13),
    ("TimestampReps", 14),
    ("AddrMasks", 17),
    ("AddrMaskReps", 18),
];

const ICMPV6: [(&str, u8); 15] = [
    ("DestUnreachs", 1),
    ("PktTooBigs", 2),
    ("TimeExcds", 3),
    ("ParmProblems", 4),
    ("Echos", 128),
    ("EchoReplies", 129),
    ("GroupMembQueries", 130),
    ("GroupMembResponses", 131),
    ("GroupMembReductions", 132),
    ("RouterSolicits", 133),
    ("RouterAdvertisements", 134),
    ("NeighborSolicits", 135),
    ("NeighborAdvertisements", 136),
    ("Redirects", 137),
    ("MLDv2Reports", 143),
];

/// Each type that there was, by its number.
fn types(messages: &Messages) -> impl Iterator<Item = (String, u64)> + '_ {
    [("In", messages.received()), ("Out", messages.sent())].into_iter().flat_map(|(way, of)| {
        let seen = of.iter().enumerate().filter(|(_, count)| **count > 0);
        seen.map(move |(kind, count)| (format!("{way}Type{kind}"), *count))
    })
}

/// A group: its name, and its counters.
fn group<Name: AsRef<str>>(text: &mut String, name: &str, counters: &[(Name, i64)]) {
    let names: Vec<&str> = counters.iter().map(|(name, _)| name.as_ref()).collect();
    let values: Vec<String> = counters.iter().map(|(_, value)| value.to_string()).collect();
    line!(text, "{name}: {}\n{name}: {}", names.join(" "), values.join(" "));
}

/// `/proc/net/snmp`.
pub(super) fn snmp(node: &Node) -> String {
    let counters = node.host.stack().counters();
    let count = |value: u64| value as i64;
    let drops = |reasons: &[Drop]| count(reasons.iter().map(|&reason| counters.dropped(reason)).sum());
    let established = node.host.stack().tcp_summaries(node.now);
    let established =
        established.iter().filter(|one| matches!(one.state, State::Established | State::CloseWait)).count();
    let mut text = String::new();
    group(
        &mut text,
        "Ip",
        &[
            ("Forwarding", 2),
            ("DefaultTTL", 64),
            ("InReceives", count(counters.ipv4_packets_received)),
            ("InHdrErrors", drops(&[Drop::Ipv4Malformed, Drop::Ipv4Checksum, Drop::Ipv4Options])),
            ("InAddrErrors", drops(&[Drop::Ipv4Destination, Drop::Ipv4NotForUs])),
            ("ForwDatagrams", 0),
            ("InUnknownProtos", drops(&[Drop::Ipv4Protocol])),
            ("InDiscards", 0),
            ("InDelivers", count(counters.ipv4_packets_delivered)),
            ("OutRequests", count(counters.ipv4_packets_sent)),
            ("OutDiscards", 0),
            ("OutNoRoutes", count(counters.ipv4_no_route)),
            ("ReasmTimeout", drops(&[Drop::FragmentTimeout])),
            ("ReasmReqds", count(counters.ipv4_fragments_received)),
            ("ReasmOKs", count(counters.ipv4_reassembled)),
            ("ReasmFails", drops(&[Drop::FragmentTimeout, Drop::FragmentMemory, Drop::FragmentOverlap])),
            ("FragOKs", count(counters.ipv4_fragmented)),
            ("FragFails", count(counters.ipv4_too_large)),
            ("FragCreates", count(counters.ipv4_fragments_sent)),
            ("OutTransmits", count(counters.ipv4_packets_sent)),
        ],
    );
    let icmp = &counters.icmp;
    let named = |way: &'static str, of: &[u64; 256]| {
        ICMP.map(|(name, kind)| (format!("{way}{name}"), count(of[usize::from(kind)])))
    };
    let plain = |(name, value): (&str, i64)| (name.to_owned(), value);
    let errors = drops(&[Drop::IcmpMalformed, Drop::IcmpChecksum]);
    let first = [
        ("InMsgs", count(icmp.received().iter().sum()) + errors),
        ("InErrors", errors),
        ("InCsumErrors", drops(&[Drop::IcmpChecksum])),
    ];
    let between = [
        ("OutMsgs", count(icmp.sent().iter().sum())),
        ("OutErrors", 0),
        ("OutRateLimitGlobal", drops(&[Drop::IcmpRateLimit])),
        ("OutRateLimitHost", 0),
    ];
    let rows = first.map(plain).into_iter().chain(named("In", icmp.received()));
    let rows: Vec<_> = rows.chain(between.map(plain)).chain(named("Out", icmp.sent())).collect();
    group(&mut text, "Icmp", &rows);
    let types: Vec<_> = types(icmp).map(|(name, value)| (name, count(value))).collect();
    if !types.is_empty() {
        group(&mut text, "IcmpMsg", &types);
    }
    group(
        &mut text,
        "Tcp",
        &[
            ("RtoAlgorithm", 1),
            ("RtoMin", 200),
            ("RtoMax", 120_000),
            ("MaxConn", -1),
            ("ActiveOpens", count(counters.tcp_active_opens)),
            ("PassiveOpens", count(counters.tcp_passive_opens)),
            ("AttemptFails", count(counters.tcp_half_open_expired)),
            ("EstabResets", count(counters.tcp_resets_received)),
            ("CurrEstab", established as i64),
            ("InSegs", count(counters.tcp_segments_received)),
            ("OutSegs", count(counters.tcp_segments_sent)),
            ("RetransSegs", count(counters.tcp_timeouts + counters.tcp_fast_recoveries)),
            ("InErrs", drops(&[Drop::TcpMalformed, Drop::TcpChecksum])),
            ("OutRsts", count(counters.tcp_resets_sent)),
            ("InCsumErrors", drops(&[Drop::TcpChecksum])),
        ],
    );
    let udp = [
        ("InDatagrams", count(counters.udp_datagrams_received - counters.udp_v6_datagrams_received)),
        ("NoPorts", drops(&[Drop::UdpNoSocket])),
        (
            "InErrors",
            drops(&[Drop::UdpMalformed, Drop::UdpChecksum, Drop::UdpFilter, Drop::UdpReceiveBuffer, Drop::UdpMemory]),
        ),
        ("OutDatagrams", count(counters.udp_datagrams_sent - counters.udp_v6_datagrams_sent)),
        ("RcvbufErrors", drops(&[Drop::UdpReceiveBuffer])),
        ("SndbufErrors", 0),
        ("InCsumErrors", drops(&[Drop::UdpChecksum])),
        ("IgnoredMulti", 0),
        ("MemErrors", drops(&[Drop::UdpMemory])),
    ];
    group(&mut text, "Udp", &udp);
    let lite = [
        ("InDatagrams", count(counters.udp_lite_datagrams_received)),
        ("NoPorts", drops(&[Drop::UdpLiteNoSocket])),
        (
            "InErrors",
            drops(&[
                Drop::UdpLiteMalformed,
                Drop::UdpLiteChecksum,
                Drop::UdpLiteCoverage,
                Drop::UdpLiteFilter,
                Drop::UdpLiteReceiveBuffer,
                Drop::UdpLiteMemory,
            ]),
        ),
        ("OutDatagrams", count(counters.udp_lite_datagrams_sent)),
        ("RcvbufErrors", drops(&[Drop::UdpLiteReceiveBuffer])),
        ("SndbufErrors", 0),
        ("InCsumErrors", drops(&[Drop::UdpLiteChecksum])),
        ("IgnoredMulti", 0),
        ("MemErrors", drops(&[Drop::UdpLiteMemory])),
    ];
    group(&mut text, "UdpLite", &lite);
    text
}

/// `/proc/net/netstat`: the part of it that the stack counts.
pub(super) fn netstat(node: &Node) -> String {
    let counters = node.host.stack().counters();
    let count = |value: u64| value as i64;
    let drops = |reasons: &[Drop]| count(reasons.iter().map(|&reason| counters.dropped(reason)).sum());
    let mut text = String::new();
    group(
        &mut text,
        "TcpExt",
        &[
            ("SyncookiesSent", count(counters.tcp_cookies_sent)),
            ("SyncookiesRecv", count(counters.tcp_cookies_received)),
            ("SyncookiesFailed", count(counters.tcp_cookies_failed)),
            ("PAWSEstab", drops(&[Drop::TcpPaws])),
            ("DelayedACKs", count(counters.tcp_delayed_acks)),
            ("ListenOverflows", drops(&[Drop::TcpAcceptQueueFull])),
            ("ListenDrops", drops(&[Drop::TcpAcceptQueueFull])),
            ("TCPTimeouts", count(counters.tcp_timeouts)),
            ("TCPAbortOnTimeout", count(counters.tcp_given_up)),
            ("TCPTimeWaitOverflow", count(counters.tcp_time_wait_overflows)),
            ("TCPOFOQueue", count(counters.tcp_out_of_order)),
            ("TCPChallengeACK", count(counters.tcp_challenges_sent)),
            ("TCPWinProbe", count(counters.tcp_window_probes)),
            ("TCPKeepAlive", count(counters.tcp_keepalives)),
        ],
    );
    group(&mut text, "IpExt", &[("InNoRoutes", 0), ("InCsumErrors", drops(&[Drop::Ipv4Checksum]))]);
    text
}

/// `/proc/net/snmp6`: the part of it that the stack counts.
pub(super) fn snmp6(node: &Node) -> String {
    let counters = node.host.stack().counters();
    let drops = |reasons: &[Drop]| reasons.iter().map(|&reason| counters.dropped(reason)).sum();
    let rows: [(&str, u64); 14] = [
        ("Ip6InReceives", counters.ipv6_packets_received),
        ("Ip6InHdrErrors", drops(&[Drop::Ipv6Malformed, Drop::Ipv6Extension, Drop::Ipv6Option])),
        ("Ip6InTooBigErrors", counters.ipv6_too_large),
        ("Ip6InNoRoutes", counters.ipv6_no_route),
        ("Ip6InAddrErrors", drops(&[Drop::Ipv6Destination, Drop::Ipv6NotForUs])),
        ("Ip6InUnknownProtos", drops(&[Drop::Ipv6Protocol])),
        ("Ip6InDelivers", counters.ipv6_packets_delivered),
        ("Ip6OutRequests", counters.ipv6_packets_sent),
        ("Ip6ReasmReqds", counters.ipv6_fragments_received),
        ("Ip6ReasmOKs", counters.ipv6_reassembled),
        ("Ip6FragOKs", counters.ipv6_fragmented),
        ("Ip6FragCreates", counters.ipv6_fragments_sent),
        ("Icmp6InMsgs", counters.icmpv6.received().iter().sum()),
        ("Icmp6OutMsgs", counters.icmpv6.sent().iter().sum()),
    ];
    let mut rows: Vec<(String, u64)> = rows.map(|(name, value)| (name.to_owned(), value)).into();
    let messages = &counters.icmpv6;
    for (way, of) in [("In", messages.received()), ("Out", messages.sent())] {
        rows.extend(ICMPV6.map(|(name, kind)| (format!("Icmp6{way}{name}"), of[usize::from(kind)])));
    }
    rows.extend(types(messages).map(|(name, value)| (format!("Icmp6{name}"), value)));
    rows.push(("Udp6InDatagrams".to_owned(), counters.udp_v6_datagrams_received));
    rows.push(("Udp6OutDatagrams".to_owned(), counters.udp_v6_datagrams_sent));
    let mut text = String::new();
    for (name, value) in rows {
        // "%-32s\t%llu\n"
        line!(text, "{name:<32}\t{value}");
    }
    text
}

/// `/proc/net/sockstat` or `sockstat6`.
pub(super) fn sockstat(node: &Node, v6: bool) -> String {
    let (mut tcp, mut all_tcp, mut udp, mut lite, mut raw) = (0, 0, 0, 0, 0);
    let is_raw = |id| node.host.settings(id).and_then(|settings| settings.raw).is_some_and(|raw| raw.is_raw());
    for view in node.host.iter() {
        let one = i32::from(view.local.is_some_and(|local| local.is_ipv6() == v6));
        match view.body {
            Body::Datagram(_) if node.host.is_udp_lite(view.id) => lite += one,
            Body::Datagram(_) => udp += one,
            Body::Raw(_) => raw += i32::from(is_raw(view.id)) * one,
            Body::Connection(_) | Body::Joined(..) | Body::Listener(_) => (tcp, all_tcp) = (tcp + one, all_tcp + 1),
            Body::Idle => all_tcp += 1,
            Body::Unbound | Body::Packet(_) => {}
        }
    }
    let stack = node.host.stack();
    let connections = stack.tcp_summaries(node.now);
    let waiting = connections.iter().filter(|one| one.state == State::TimeWait).count();
    let orphans = connections.iter().filter(|one| one.orphan && one.state != State::TimeWait).count();
    let memory = stack.reassembly_memory();
    let mut text = String::new();
    if v6 {
        line!(
            text,
            "TCP6: inuse {tcp}\nUDP6: inuse {udp}\nUDPLITE6: inuse {lite}\nRAW6: inuse {raw}\nFRAG6: inuse 0 memory {memory}"
        );
    } else {
        let used = node.host.len();
        line!(text, "sockets: used {used}\nTCP: inuse {tcp} orphan {orphans} tw {waiting} alloc {all_tcp} mem 0");
        line!(text, "UDP: inuse {udp} mem 0\nUDPLITE: inuse {lite}\nRAW: inuse {raw}\nFRAG: inuse 0 memory {memory}");
    }
    text
}
