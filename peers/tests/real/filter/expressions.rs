//! libpcap's compiler as judge of ours: what `tcpdump -ddd` makes of an expression must keep and drop the same frames.
//!
//! Without its optimizer libpcap looks at a frame in the order of the expression, as we do, so that frames that were cut
//! short count, too. With it the order may be another one, so only whole frames do, and only for expressions by hand: with
//! drawn ones it was seen to load by an X that it had overwritten.
//!
//! One thing is not compared: in `len - ip[8]` libpcap forgets that the frame must be IPv4, because the number that wants it
//! stands on the right of an operator; we do not.
//!
//! `SOCKEYE_EXPRESSION_RUNS` says how many expressions are tried besides those that are listed.

use std::process::Command;

use sockeye_filter::{Metadata, Packet, Program, compile, parse};

use super::generate::Random;
use super::runs;

const KEEP: u32 = 262_144;

/// By hand: each word of the language at least once.
const EXPRESSIONS: &[&str] = &[
    "",
    "ip",
    "ip6",
    "arp",
    "rarp",
    "tcp",
    "udp",
    "sctp",
    "icmp",
    "icmp6",
    "igmp",
    "igrp",
    "pim",
    "vrrp",
    "ah",
    "esp",
    "not ip",
    "not tcp",
    "ip or arp",
    "tcp || udp && !icmp",
    "ip and not tcp or udp",
    "not (ip or ip6)",
    "not not ip",
    "host 10.0.0.1",
    "src 10.0.0.1",
    "dst host 10.0.0.2",
    "src and dst host 10.0.0.1",
    "src or dst host 10.0.0.1",
    "dst or src 10.0.0.1",
    "ip host 10.0.0.1",
    "arp host 10.0.0.1",
    "rarp src host 10.0.0.1",
    "arp net 10.0.0.0/8",
    "host 10.0.0.1 or 10.0.0.2",
    "host 10.0.0.1 and not 10.0.0.2",
    "host (10.0.0.1 or 10.0.0.2) and tcp",
    "host not 10.0.0.1",
    "host 10.1",
    "host 10",
    "net 10",
    "net 10.1",
    "net 10.0.0",
    "net 10.0.0.0/8",
    "net 10.0.0.0/31",
    "net 10.0.0.0 mask 255.0.0.0",
    "src net 10.0.0.0/24 and dst net 192.168.0.0/16",
    "net 0.0.0.0/0",
    "ip6 host fd00::1",
    "host fd00::1",
    "src host fd00::1 or dst host fd00::2",
    "ip6 net fd00::/16",
    "net fd00::/33",
    "ip6 src net fd00::/127",
    "ether host 02:00:00:00:00:01",
    "ether src 2:0:0:0:0:1",
    "ether dst 2:0:0:0:0:2 or ff:ff:ff:ff:ff:ff",
    "ether broadcast",
    "broadcast",
    "ether multicast",
    "multicast",
    "ip multicast",
    "ip6 multicast",
    "ether proto 0x0806",
    "ether proto \\ip6",
    "proto 17",
    "proto \\tcp",
    "ip proto 6 or 17",
    "ip6 proto 58",
    "port 53",
    "tcp port 80",
    "udp src port 53",
    "sctp dst port 80",
    "tcp port 80 or 443",
    "port (80 or 443)",
    "tcp port 80 or (443 or not 22)",
    "src host 10.0.0.1 or (10.0.0.2 or 10.1.2.3) and tcp",
    "src and dst port 80",
    "udp src or dst port 53",
    "portrange 50-100",
    "tcp dst portrange 100-50",
    "portrange 80",
    "port 80 and not host 10.0.0.1",
    "vlan",
    "vlan 5",
    "vlan 5 and tcp",
    "vlan and host 10.0.0.1",
    "vlan and vlan 7",
    "vlan or ip",
    "not vlan and ip",
    "ip or vlan 5 and tcp port 80",
    "less 64",
    "greater 80",
    "len > 100",
    "len <= 60 or len = 74",
    "5 < len",
    "len - 14 >= 60",
    "ip[0] & 0xf != 5",
    "ip[2:2] > 100",
    "ip[16:4] = 0x0a000001",
    "ip6[6] = 44",
    "arp[6:2] = 1",
    "ether[0] & 1 = 1",
    "ether[12:2] = 0x0800",
    "tcp[tcpflags] & tcp-syn != 0",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and not src net 10.0.0.0/8",
    "tcp[tcpflags] == tcp-syn|tcp-ack",
    "tcp[13] & 2 = 2",
    "tcp[0:2] = tcp[2:2]",
    "tcp[len & 7] = 1",
    "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420",
    "udp[4:2] = len - 34",
    "udp[0:2] + udp[2:2] > 100",
    "icmp[icmptype] = icmp-echo or icmp[icmptype] = icmp-echoreply",
    "icmp[0] != 8 and icmp[0] != 0",
    "icmp6[icmp6type] = icmp6-neighborsolicit",
    "icmp6[0] >= 133",
    "sctp[0:2] = 80",
    "igmp[0] = 0x16",
    "ip[ip[0] & 0xf] = 64",
    "ip[8] < 5",
    "ip[8] * 2 > 100",
    "ip[8] / 3 = 21",
    "ip[2:2] / ip[8] = 1",
    "-ip[8] > 4294967200",
    "ip[8] << 2 = 256",
    "len >> 3 < 9",
    "1 = 1",
    "1 = 2 or tcp",
    "2 > 1 and tcp",
    "(len + 5) > 70",
    "((ip[8]) + 1) * 2 = 130",
    "(tcp or udp) and (port 80 or port 53)",
    "tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)",
    "ip[6:2] & 0x1fff = 0 and tcp",
    "(ip or ip6) and (tcp or udp) and not (port 22 or port 53)",
    "icmp or icmp6 or arp",
    "ether proto 0x88cc or ether proto 0x8100",
    "host 10.0.0.1 and port 80 and tcp and greater 60",
    "dst host 10.0.0.2 and (udp port 53 or tcp port 80) or arp",
    "vlan and (tcp port 80 or vlan and udp)",
];

/// What libpcap makes of an expression. An expression that can match nothing is an error there.
fn judged(expression: &str, optimized: bool) -> Program {
    let mut command = Command::new("tcpdump");
    command.args(["-ddd", "-y", "EN10MB", "-s", &KEEP.to_string()]);
    if !optimized {
        command.arg("-O");
    }
    let output = command.arg("--").arg(expression).output().expect("tcpdump, of the package tcpdump");
    let errors = String::from_utf8_lossy(&output.stderr);
    let numbers = if errors.contains("expression rejects all packets") {
        "1,6 0 0 0".into()
    } else {
        assert!(output.status.success(), "{expression}: {errors}");
        String::from_utf8_lossy(&output.stdout)
    };
    Program::new(&parse(&numbers).unwrap()).unwrap()
}

/// A frame of hosts and services that the expressions ask for, and whether it is whole.
fn frame(random: &mut Random) -> (Vec<u8>, bool) {
    const MACS: [[u8; 6]; 4] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], [0xff; 6], [0x33, 0x33, 0, 0, 0, 1]];
    let mut bytes = [random.of(&MACS), random.of(&MACS)].concat();
    for _ in 0..random.below(5).saturating_sub(2) {
        bytes.extend(random.of(&[0x8100_u16, 0x88a8, 0x9100]).to_be_bytes());
        bytes.extend(random.of(&[5_u16, 7, 0x2005, 100]).to_be_bytes());
    }
    let header_at = bytes.len() + 2;
    match random.below(16) {
        0..8 => {
            bytes.extend([8, 0]);
            let words = if random.one_in(4) { 6 } else { 5 };
            let fragment = if random.one_in(6) { random.of(&[0x2000_u16, 0x0005, 0x2005]) } else { 0 };
            let transport = transport(random);
            bytes.extend([0x40 | words, 0, 0, random.of(&[40, 60, 100, 200]), 0, 1]);
            bytes.extend(fragment.to_be_bytes());
            bytes.extend([random.of(&[1, 64, 128]), transport, 0, 0]);
            bytes.extend([ipv4_address(random), ipv4_address(random)].concat());
            bytes.resize(header_at + usize::from(words) * 4, 1);
            payload(random, transport, &mut bytes);
        }
        8..13 => {
            bytes.extend([0x86, 0xdd]);
            let transport = transport(random);
            let fragmented = random.one_in(5);
            bytes.extend([0x60, 0, 0, 0, 0, 40, if fragmented { 44 } else { transport }, 64]);
            for _ in 0..2 {
                let network = random.of(&[0xfd00_u16, 0xfd00, 0xfe80, 0xff02]);
                bytes.extend((u128::from(network) << 112 | random.of(&[1, 2, 3 << 64])).to_be_bytes());
            }
            if fragmented {
                bytes.extend([transport, 0, 0, random.of(&[0, 1, 8]), 0, 0, 0, 1]);
            }
            payload(random, transport, &mut bytes);
        }
        13..15 => {
            bytes.extend(random.of(&[[8, 6], [0x80, 0x35]]));
            bytes.extend([0, 1, 8, 0, 6, 4, 0, random.of(&[1, 2])]);
            bytes.extend(random.of(&MACS));
            bytes.extend(ipv4_address(random));
            bytes.extend(random.of(&MACS));
            bytes.extend(ipv4_address(random));
        }
        _ => bytes.extend(random.of(&[[0x88, 0xcc], [0x12, 0x34], [0, 40]])),
    }
    // No less than the shortest that Ethernet sends, so that each header is whole, and some payload besides.
    bytes.resize((bytes.len() + 20).max(100), 0);
    let whole = random.one_in(2);
    if !whole {
        bytes.truncate(random.below(bytes.len() + 1));
    }
    (bytes, whole)
}

fn transport(random: &mut Random) -> u8 {
    random.of(&[6, 6, 6, 17, 17, 132, 1, 58, 2, 9, 103, 112, 50, 51])
}

fn ipv4_address(random: &mut Random) -> [u8; 4] {
    random.of(&[[10, 0, 0, 1], [10, 0, 0, 2], [10, 1, 2, 3], [192, 168, 1, 1], [224, 0, 0, 1], [0, 0, 0, 10]])
}

fn payload(random: &mut Random, transport: u8, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    match transport {
        6 | 17 | 132 => {
            for _ in 0..2 {
                bytes.extend(random.of(&[80_u16, 53, 443, 22, 75, 40000]).to_be_bytes());
            }
            bytes.extend([0; 8]);
            bytes.extend([0x50, random.of(&[2, 0x12, 0x10, 0x11, 4])]);
            bytes.extend([0; 6]);
            bytes.extend(random.of(&[b"GET ", b"POST"]));
        }
        _ => bytes.extend([random.of(&[8, 0, 3, 133, 135, 0x16]), 0]),
    }
    bytes.resize((start + 20).max(bytes.len()), random.word() as u8);
}

/// Some of the expressions by hand, put together.
fn combined(random: &mut Random) -> String {
    let mut text = String::new();
    for index in 0..2 + random.below(4) {
        if index > 0 {
            text.push_str(random.of(&[" and ", " or ", " && ", " || "]));
        }
        if random.one_in(4) {
            text.push_str("not ");
        }
        // Without the empty one. Those that look for tags mean others than the rest of the expression does.
        let primitive = random.of(&EXPRESSIONS[1..]);
        text.push_str(&format!("({primitive})"));
    }
    text
}

/// A comparison of numbers computed from a frame. Its first number wants the protocol that all others want.
fn relation(random: &mut Random) -> String {
    let protocol = random.of(&["ether", "ip", "ip6", "arp", "tcp", "udp", "icmp", "icmp6"]);
    let (first, more, right) = (load(random, protocol), number(random, protocol, 2), number(random, protocol, 2));
    let (operator, comparison) = (random.of(&OPERATORS), random.of(&["=", "!=", "<", "<=", ">", ">="]));
    format!("({first} {operator} {more}) {comparison} {right}")
}

const OPERATORS: [&str; 5] = ["+", "-", "*", "&", "|"];

fn load(random: &mut Random, protocol: &str) -> String {
    // Not at 0: libpcap takes that for a divisor.
    format!("{protocol}[{}:{}]", 1 + random.below(15), random.of(&[1, 2, 4]))
}

fn number(random: &mut Random, protocol: &str, depth: usize) -> String {
    match if depth == 0 { random.below(4) } else { random.below(8) } {
        0 => "len".into(),
        1 => (1 + random.below(300)).to_string(),
        2 | 3 => load(random, protocol),
        4 => format!("({} {} {})", number(random, protocol, depth - 1), random.of(&["<<", ">>"]), random.below(32)),
        5 => format!("(- {})", number(random, protocol, depth - 1)),
        // By no constant but what is seen not to be 0.
        6 => format!("({} / {})", number(random, protocol, depth - 1), number(random, protocol, 0)),
        _ => {
            let (left, right) = (number(random, protocol, depth - 1), number(random, protocol, depth - 1));
            format!("({left} {} {right})", random.of(&OPERATORS))
        }
    }
}

#[test]
fn expressions_match_what_libpcaps_match() {
    let mut random = Random::new(1);
    let frames: Vec<_> = (0..2_000).map(|_| frame(&mut random)).collect();
    let drawn = |index| if index % 2 == 0 { combined(&mut random) } else { relation(&mut random) };
    let drawn: Vec<_> = (0..runs("SOCKEYE_EXPRESSION_RUNS", 200)).map(drawn).collect();

    let metadata = Metadata::default();
    let (mut kept, mut dropped) = (0, 0);
    let mut agree = |expression: &str, optimized: bool| {
        let ours = compile(expression, KEEP).unwrap_or_else(|error| panic!("{expression}: {error}"));
        let theirs = judged(expression, optimized);
        // Where a mask has no bits we do not look at what is under it.
        let only_whole = optimized || expression.contains("net fd00") || expression.contains("/0");
        for (frame, _) in frames.iter().filter(|(_, whole)| *whole || !only_whole) {
            let packet = Packet::new(&frame[..], &metadata);
            let answer = ours.run(&packet);
            assert_eq!(answer, theirs.run(&packet), "{expression} on {frame:02x?}\nours\n{ours}\ntheirs\n{theirs}");
            if answer == 0 { dropped += 1 } else { kept += 1 }
        }
        (ours.instructions().len(), theirs.instructions().len())
    };
    let (mut ours_len, mut theirs_len) = (0, 0);
    for expression in EXPRESSIONS {
        agree(expression, false);
        let (ours, theirs) = agree(expression, true);
        (ours_len, theirs_len) = (ours_len + ours, theirs_len + theirs);
    }
    drawn.iter().for_each(|expression| _ = agree(expression, false));
    println!("{kept} kept, {dropped} dropped; {ours_len} instructions, {theirs_len} of libpcap's");
    assert!(kept > dropped / 10 && dropped > kept / 10, "{kept} kept, {dropped} dropped");
    assert!(ours_len < theirs_len * 11 / 10, "{ours_len} instructions where libpcap has {theirs_len}");
}
