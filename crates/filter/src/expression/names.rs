//! The names that the language has for protocols and numbers.

use sockeye_wire::{EtherType, Protocol};

use super::condition::Condition;
use super::primitive::Frame;

pub(super) fn is_protocol(word: &str) -> bool {
    matches!(word, "ether" | "link") || protocol(Frame::untagged(), word).is_some()
}

/// What it means that a frame carries a protocol. `None` for what is no protocol, and for the link, which all carry.
pub(super) fn protocol(frame: Frame, word: &str) -> Option<Condition> {
    Some(match word {
        "ip" => frame.ether_type(EtherType::IPV4),
        "ip6" => frame.ether_type(EtherType::IPV6),
        "arp" => frame.ether_type(EtherType::ARP),
        "rarp" => frame.ether_type(EtherType(0x8035)),
        "tcp" => frame.protocol(Protocol::TCP),
        "udp" => frame.protocol(Protocol::UDP),
        "sctp" => frame.protocol(Protocol(132)),
        "ah" => frame.protocol(Protocol(51)),
        "esp" => frame.protocol(Protocol(50)),
        "pim" => frame.protocol(Protocol(103)),
        "icmp" => frame.ipv4_protocol(Protocol::ICMP),
        "igmp" => frame.ipv4_protocol(Protocol::IGMP),
        "igrp" => frame.ipv4_protocol(Protocol(9)),
        "vrrp" | "carp" => frame.ipv4_protocol(Protocol(112)),
        "icmp6" => frame.ipv6_protocol(Protocol::ICMPV6),
        _ => return None,
    })
}

/// The names that may stand behind `ether proto \`.
pub(super) fn ether_type(name: &str) -> Option<u32> {
    Some(match name {
        "ip" => 0x0800,
        "arp" => 0x0806,
        "rarp" => 0x8035,
        "ip6" => 0x86dd,
        _ => return None,
    })
}

/// The names that may stand behind `proto \`.
pub(super) fn ip_protocol(name: &str) -> Option<u32> {
    Some(match name {
        "icmp" => 1,
        "igmp" => 2,
        "tcp" => 6,
        "udp" => 17,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        "pim" => 103,
        "vrrp" => 112,
        "sctp" => 132,
        _ => return None,
    })
}

/// Numbers that have a name: offsets of fields, and values of them.
pub(super) fn constant(word: &str) -> Option<u32> {
    Some(match word {
        "icmptype" | "icmp6type" => 0,
        "icmpcode" | "icmp6code" => 1,
        "tcpflags" => 13,
        "tcp-fin" => 0x01,
        "tcp-syn" => 0x02,
        "tcp-rst" => 0x04,
        "tcp-push" => 0x08,
        "tcp-ack" => 0x10,
        "tcp-urg" => 0x20,
        "tcp-ece" => 0x40,
        "tcp-cwr" => 0x80,
        "icmp-echoreply" => 0,
        "icmp-unreach" => 3,
        "icmp-sourcequench" => 4,
        "icmp-redirect" => 5,
        "icmp-echo" => 8,
        "icmp-routeradvert" => 9,
        "icmp-routersolicit" => 10,
        "icmp-timxceed" => 11,
        "icmp-paramprob" => 12,
        "icmp-tstamp" => 13,
        "icmp-tstampreply" => 14,
        "icmp-ireq" => 15,
        "icmp-ireqreply" => 16,
        "icmp-maskreq" => 17,
        "icmp-maskreply" => 18,
        "icmp6-destinationunreach" => 1,
        "icmp6-packettoobig" => 2,
        "icmp6-timeexceeded" => 3,
        "icmp6-parameterproblem" => 4,
        "icmp6-echo" => 128,
        "icmp6-echoreply" => 129,
        "icmp6-multicastlistenerquery" => 130,
        "icmp6-multicastlistenerreportv1" => 131,
        "icmp6-multicastlistenerdone" => 132,
        "icmp6-routersolicit" => 133,
        "icmp6-routeradvert" => 134,
        "icmp6-neighborsolicit" => 135,
        "icmp6-neighboradvert" => 136,
        "icmp6-redirect" => 137,
        "icmp6-multicastlistenerreportv2" => 143,
        _ => return None,
    })
}
