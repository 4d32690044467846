//! `/proc/net/snmp`, `snmp6`, `netstat` and `sockstat`: the counters of the MIBs, from the stack's own.
//!
//! What the stack does not count apart is 0, as in a kernel that has not met it. Names stand in the kernel's order, because
//! net-tools read them by name and others by place.
//!
//! # Standards
//!
//! RFC 4293 (IP), RFC 4022 (TCP), RFC 4113 (UDP); proc_net(5), `snmp_seq_show` and `snmp6_seq_show` of Linux.

use sockeye_socket::Body;
use sockeye_stack::counters::Drop;
use sockeye_stack::tcp::State;

use super::proc_net::line;
use crate::node::Node;

/// A group: its name, and its counters.
fn group(text: &mut String, name: &str, counters: &[(&str, i64)]) {
    let names: Vec<&str> = counters.iter().map(|(name, _)| *name).collect();
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
    group(
        &mut text,
        "Icmp",
        &[
            ("InMsgs", count(counters.icmp_messages_received)),
            ("InErrors", drops(&[Drop::IcmpMalformed])),
            ("InCsumErrors", drops(&[Drop::IcmpChecksum])),
            ("InDestUnreachs", 0),
            ("InTimeExcds", 0),
            ("InParmProbs", 0),
            ("InSrcQuenchs", 0),
            ("InRedirects", 0),
            ("InEchos", count(counters.icmp_echoes_answered)),
            ("InEchoReps", 0),
            ("InTimestamps", 0),
            ("InTimestampReps", 0),
            ("InAddrMasks", 0),
            ("InAddrMaskReps", 0),
            ("OutMsgs", count(counters.icmp_messages_sent)),
            ("OutErrors", 0),
            ("OutRateLimitGlobal", drops(&[Drop::IcmpRateLimit])),
            ("OutRateLimitHost", 0),
            ("OutDestUnreachs", 0),
            ("OutTimeExcds", 0),
            ("OutParmProbs", 0),
            ("OutSrcQuenchs", 0),
            ("OutRedirects", 0),
            ("OutEchos", 0),
            ("OutEchoReps", count(counters.icmp_echoes_answered)),
            ("OutTimestamps", 0),
            ("OutTimestampReps", 0),
            ("OutAddrMasks", 0),
            ("OutAddrMaskReps", 0),
        ],
    );
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
        ("InDatagrams", count(counters.udp_datagrams_received)),
        ("NoPorts", drops(&[Drop::UdpNoSocket])),
        (
            "InErrors",
            drops(&[Drop::UdpMalformed, Drop::UdpChecksum, Drop::UdpFilter, Drop::UdpReceiveBuffer, Drop::UdpMemory]),
        ),
        ("OutDatagrams", count(counters.udp_datagrams_sent)),
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
    let rows: [(&str, u64); 15] = [
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
        ("Icmp6InNeighborSolicits", counters.nd_solicitations_received),
        ("Icmp6InNeighborAdvertisements", counters.nd_advertisements_received),
        ("Icmp6OutNeighborSolicits", counters.nd_solicitations_sent),
    ];
    let mut text = String::new();
    for (name, value) in rows {
        // "%-32s\t%llu\n"
        line!(text, "{name:<32}\t{value}");
    }
    text
}

/// `/proc/net/sockstat` or `sockstat6`.
pub(super) fn sockstat(node: &Node, v6: bool) -> String {
    let (mut tcp, mut udp, mut lite) = (0, 0, 0);
    for view in node.host.iter().filter(|view| view.local.is_some_and(|local| local.is_ipv6() == v6)) {
        match view.body {
            Body::Datagram(_) | Body::Unbound if node.host.is_udp_lite(view.id) => lite += 1,
            Body::Datagram(_) | Body::Unbound => udp += 1,
            _ => tcp += 1,
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
            "TCP6: inuse {tcp}\nUDP6: inuse {udp}\nUDPLITE6: inuse {lite}\nRAW6: inuse 0\nFRAG6: inuse 0 memory {memory}"
        );
    } else {
        let used = node.host.len();
        line!(text, "sockets: used {used}\nTCP: inuse {tcp} orphan {orphans} tw {waiting} alloc {tcp} mem 0");
        line!(text, "UDP: inuse {udp} mem 0\nUDPLITE: inuse {lite}\nRAW: inuse 0\nFRAG: inuse 0 memory {memory}");
    }
    text
}
