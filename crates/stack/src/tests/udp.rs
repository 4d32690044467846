//! UDP sockets (rows E1, E3).

use super::*;
use crate::udp::{Error, Options, Send, SendError, SocketId};
use crate::{Bind, BindError, Event, FamilyOptions, Fragmentation};
use sockeye_device::{Checksum, SegmentKind, Segmentation};
use std::net::SocketAddr;
use std::sync::Arc;

const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

fn open(host: &mut Host, address: Ipv4Addr, port: u16) -> SocketId {
    host.stack.udp_open(&Bind::new(v4(address), port)).unwrap()
}

fn from_peer(src_port: u16, dst_port: u16, payload: &[u8]) -> Vec<u8> {
    ipv4_frame(FROM_PEER, &udp_bytes(src_port, dst_port, payload))
}

fn send(host: &mut Host, socket: SocketId, to: impl Into<SocketAddr>, payload: &[u8]) -> Result<(), SendError> {
    host.stack.udp_send(host.now, socket, &Send { to: Some(to.into()), payload: &[payload], ..Send::default() })
}

/// Nothing is cut.
fn never() -> Options {
    let family = FamilyOptions { fragmentation: Fragmentation::Never, ..FamilyOptions::default() };
    Options { family: [family; 2], ..Options::default() }
}

/// Which of `sockets` got something.
fn got(host: &mut Host, sockets: &[SocketId]) -> Vec<usize> {
    (0..sockets.len()).filter(|&index| host.stack.udp_recv(sockets[index]).is_some()).collect()
}

#[test]
fn a_datagram_tells_where_it_came_from_and_where_to() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, ANY, 53);
    host.arrive(&ipv4_frame(ipv4::Repr { tos: 0xb8, ttl: 9, ..FROM_PEER }, &udp_bytes(1_000, 53, b"hello")));
    assert_eq!(host.stack.poll_event(), Some(Event::Udp(socket)));
    assert_eq!(host.stack.poll_event(), None);
    let status = host.stack.udp_status(socket);
    assert_eq!((status.readable, status.queued, status.writable), (Some(5), 1, true));
    assert_eq!(host.stack.udp_peek(socket).unwrap().data, b"hello");
    let got = host.stack.udp_recv(socket).unwrap();
    assert_eq!((got.from, got.to), ((PEER, 1_000).into(), (US, 53).into()));
    assert_eq!((got.ttl, got.tos, got.port, got.timestamp), (9, 0xb8, host.port, host.now));
    assert_eq!(host.stack.udp_recv(socket), None);
    host.stack.udp_recycle(got.data);
}

#[test]
fn an_event_is_named_once_until_it_is_looked_at() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, ANY, 53);
    for _ in 0..3 {
        host.arrive(&from_peer(1, 53, b"x"));
    }
    assert_eq!((host.stack.poll_event(), host.stack.poll_event()), (Some(Event::Udp(socket)), None));
    host.arrive(&from_peer(1, 53, b"x"));
    assert_eq!(host.stack.poll_event(), Some(Event::Udp(socket)));
    host.arrive(&from_peer(1, 53, b"x"));
    host.stack.udp_close(socket);
    assert_eq!(host.stack.poll_event(), None, "nobody is named who is gone");
}

#[test]
fn the_best_match_gets_it() {
    let mut host = Host::acquainted();
    let reuse = |address, device| Bind { reuse_address: true, device, ..Bind::new(v4(address), 53) };
    let all = host.stack.udp_open(&reuse(ANY, None)).unwrap();
    let ours = host.stack.udp_open(&reuse(US, None)).unwrap();
    let connected = host.stack.udp_open(&reuse(ANY, None)).unwrap();
    host.stack.udp_connect(connected, Some((PEER, 1_000).into())).unwrap();
    let sockets = [all, ours, connected];

    host.arrive(&from_peer(1_000, 53, b"x"));
    assert_eq!(got(&mut host, &sockets), [2], "connected to this peer");
    host.arrive(&from_peer(1_001, 53, b"x"));
    assert_eq!(got(&mut host, &sockets), [1], "bound to this address");
    host.stack.udp_close(ours);
    host.arrive(&from_peer(1_001, 53, b"x"));
    assert_eq!(got(&mut host, &sockets), [0]);

    let on_device = host.stack.udp_open(&reuse(ANY, Some(host.port))).unwrap();
    let elsewhere = host.stack.udp_open(&reuse(ANY, Some(PortId::LOOPBACK))).unwrap();
    let youngest = host.stack.udp_open(&reuse(ANY, None)).unwrap();
    let sockets = [all, on_device, elsewhere, youngest];
    host.arrive(&from_peer(1_001, 53, b"x"));
    assert_eq!(got(&mut host, &sockets), [1], "bound to the device");
    host.stack.udp_close(on_device);
    host.arrive(&from_peer(1_001, 53, b"x"));
    assert_eq!(got(&mut host, &sockets), [3], "the youngest");

    // Disconnected, it is one of many again.
    host.stack.udp_connect(connected, None).unwrap();
    assert_eq!(host.stack.udp_local(connected), Some((ANY, 53).into()));
    host.arrive(&from_peer(1_000, 53, b"x"));
    assert_eq!(got(&mut host, &[connected]), [0]);
}

#[test]
fn those_who_share_a_port_share_its_peers() {
    let mut host = Host::acquainted();
    let bind = Bind { reuse_port: true, ..Bind::new(v4(ANY), 53) };
    let sockets: Vec<_> = (0..4).map(|_| host.stack.udp_open(&bind).unwrap()).collect();
    let mut counts = [0; 4];
    for port in 1..=200 {
        host.arrive(&from_peer(port, 53, b"x"));
        host.arrive(&from_peer(port, 53, b"y"));
        let index = sockets.iter().position(|&socket| host.stack.udp_status(socket).queued == 2);
        counts[index.expect("both to the same")] += 1;
        assert_eq!(got(&mut host, &sockets).len(), 1);
        got(&mut host, &sockets);
    }
    assert!(counts.iter().all(|count| *count > 20), "{counts:?}");
}

#[test]
fn a_broadcast_goes_to_all_who_match() {
    let mut host = Host::acquainted();
    let reuse = |address| Bind { reuse_address: true, ..Bind::new(v4(address), 67) };
    let sockets: Vec<_> = [ANY, ANY, Ipv4Addr::new(10, 0, 0, 255), US, Ipv4Addr::BROADCAST]
        .map(|address| host.stack.udp_open(&reuse(address)).unwrap())
        .to_vec();
    let mut shout = |dst: Ipv4Addr| {
        let bytes = packet(ipv4::Repr { dst, ..FROM_PEER }, &udp_bytes(68, 67, b"x"));
        host.arrive(&frame(PEER_MAC, MacAddr::BROADCAST, EtherType::IPV4, &bytes));
        got(&mut host, &sockets)
    };
    assert_eq!(shout(Ipv4Addr::new(10, 0, 0, 255)), [0, 1, 2]);
    assert_eq!(shout(Ipv4Addr::BROADCAST), [0, 1, 4]);
}

#[test]
fn ports_and_addresses_are_held_as_bind_says() {
    let mut host = Host::new();
    let first = open(&mut host, ANY, 53);
    assert_eq!(host.stack.udp_open(&Bind::new(v4(US), 53)), Err(BindError::InUse));
    assert_eq!(host.stack.udp_open(&Bind::new(v4(FAR), 54)), Err(BindError::NotLocal));
    host.stack.udp_close(first);
    host.stack.udp_close(first);
    let second = open(&mut host, US, 53);
    assert_eq!((host.stack.udp_local(first), host.stack.udp_local(second)), (None, Some((US, 53).into())));
    let ephemeral: Vec<_> = (0..50)
        .map(|_| {
            let socket = open(&mut host, ANY, 0);
            host.stack.udp_local(socket).unwrap().port()
        })
        .collect();
    assert!(ephemeral.iter().all(|port| crate::bind::EPHEMERAL.contains(port)));
    // Row C25: not one after the other.
    assert!(ephemeral.windows(2).filter(|pair| pair[1] == pair[0].wrapping_add(1)).count() < 5, "{ephemeral:?}");
}

/// Row E1.
#[test]
fn lengths_that_lie_are_refused_and_what_lies_behind_is_not_delivered() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, ANY, 53);
    for len in 0..=40u16 {
        let mut bytes = udp_bytes(1_000, 53, &[7; 22]);
        bytes[4..6].copy_from_slice(&len.to_be_bytes());
        host.arrive(&ipv4_frame(FROM_PEER, &bytes));
        let got = host.stack.udp_recv(socket).map(|got| got.data.len());
        assert_eq!(got, (8..=30).contains(&len).then(|| usize::from(len) - 8), "{len}");
    }
    assert_eq!(host.drops(), [("udp_malformed", 18)]);
}

#[test]
fn checksums_are_verified_unless_the_device_has_or_there_is_none() {
    let mut good = udp_bytes(1_000, 53, b"hello");
    let mut sum = sockeye_wire::checksum::pseudo_header(v4(PEER), v4(US), 17, good.len() as u32);
    sum.add(&good);
    good[6..8].copy_from_slice(&sum.finish_nonzero().to_be_bytes());
    let mut bad = good.clone();
    bad[9] ^= 1;
    let with = |checksum| Offload { checksum, segmentation: None };
    for (bytes, checksum, taken) in [
        (&good, Checksum::Present, true),
        (&bad, Checksum::Present, false),
        (&bad, Checksum::Verified, true),
        (&bad, Checksum::Partial { start: 34, offset: 6 }, true),
    ] {
        let mut host = Host::acquainted();
        let socket = open(&mut host, ANY, 53);
        host.arrive_with(&ipv4_frame(FROM_PEER, bytes), with(checksum));
        assert_eq!(host.stack.udp_recv(socket).is_some(), taken);
        assert_eq!(host.dropped(Drop::UdpChecksum), u64::from(!taken));
    }
}

#[test]
fn what_is_sent_carries_a_checksum_or_asks_the_device_for_it() {
    for capable in [false, true] {
        let capabilities = Capabilities { checksum: capable, ..Capabilities::default() };
        let mut host = Host::with(Config::default(), capabilities, OUR_MAC, "10.0.0.1/24");
        host.stack.ip.link(host.now, host.port, v4(PEER));
        host.arrive(&arp_reply(PEER, PEER_MAC));
        host.sent();
        let socket = open(&mut host, ANY, 1_000);
        send(&mut host, socket, (PEER, 53), b"odd").unwrap();
        let (mut frame, offload) = host.sent_frames().remove(0);
        if capable {
            assert_eq!(offload.checksum, Checksum::Partial { start: 34, offset: 6 });
            let sum = sockeye_wire::checksum::sum(&frame[34..]).finish_nonzero();
            frame[40..42].copy_from_slice(&sum.to_be_bytes());
        } else {
            assert_eq!(offload.checksum, Checksum::Present);
        }
        let packet = ipv4::Packet::parse(&frame[14..]).unwrap();
        let datagram = Datagram::parse(packet.payload()).unwrap();
        assert!(datagram.checksum() != 0 && datagram.verify_checksum(v4(US), v4(PEER)));
        assert!(packet.dont_fragment() && packet.id() == 0);
    }
}

#[test]
fn a_super_datagram_is_the_datagrams_that_it_was_made_of() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, ANY, 53);
    let cut = Segmentation { kind: SegmentKind::Udp, size: 1_000, header_len: 42 };
    let offload = Offload { checksum: Checksum::Partial { start: 34, offset: 6 }, segmentation: Some(cut) };
    host.arrive_with(&from_peer(1, 53, &[7; 2_500]), offload);
    let lengths: Vec<_> = std::iter::from_fn(|| host.stack.udp_recv(socket)).map(|got| got.data.len()).collect();
    assert_eq!(lengths, [1_000, 1_000, 500]);
}

#[test]
fn the_receive_buffer_is_a_bound_and_what_exceeds_it_is_counted() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, ANY, 53);
    let options = Options { receive_buffer: 10_000, ..Options::default() };
    host.stack.udp_set_options(socket, options);
    for _ in 0..1_000 {
        host.arrive(&from_peer(1, 53, &[0; 500]));
    }
    let queued = host.stack.udp_status(socket).queued;
    assert_eq!(queued, 9);
    assert_eq!(host.dropped(Drop::UdpReceiveBuffer), 1_000 - 9);
    assert_eq!(host.stack.udp_sockets().next().unwrap().dropped, 1_000 - 9);
    assert_eq!(std::iter::from_fn(|| host.stack.udp_recv(socket)).count(), 9);
    assert_eq!(host.stack.udp_sockets().next().unwrap().receive_memory, 0);
    // A datagram larger than the buffer is taken when it is the only one.
    host.stack.udp_set_options(socket, Options { receive_buffer: 100, ..options });
    host.arrive(&from_peer(1, 53, &[0; 500]));
    assert!(host.stack.udp_recv(socket).is_some());
}

#[test]
fn a_broadcast_needs_leave() {
    let mut host = Host::new();
    let socket = open(&mut host, ANY, 1_000);
    for to in [Ipv4Addr::BROADCAST, Ipv4Addr::new(10, 0, 0, 255)] {
        host.stack.udp_set_options(socket, Options::default());
        assert_eq!(send(&mut host, socket, (to, 67), b"x"), Err(SendError::Broadcast));
        host.stack.udp_set_options(socket, Options { broadcast: true, ..Options::default() });
        send(&mut host, socket, (to, 67), b"x").unwrap();
        let (frame, _) = host.sent_frames().remove(0);
        assert!(ethernet::Frame::parse(&frame).unwrap().dst().is_broadcast());
        assert_eq!(describe(&frame), format!("10.0.0.1:1000 > {to}:67 udp len 1"));
    }
}

#[test]
fn what_cannot_be_sent_says_why() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, ANY, 1_000);
    let none = Send { payload: &[b"x"], ..Send::default() };
    assert_eq!(host.stack.udp_send(host.now, socket, &none), Err(SendError::NotConnected));
    assert_eq!(send(&mut host, socket, (PEER, 0), b"x"), Err(SendError::Destination));
    assert_eq!(send(&mut host, socket, (FAR, 53), b"x"), Err(SendError::NoRoute));
    assert_eq!(send(&mut host, socket, (std::net::Ipv6Addr::LOCALHOST, 53), b"x"), Err(SendError::Family));
    for (from, reason) in [(FAR, SendError::NoRoute), (Ipv4Addr::new(224, 0, 0, 1), SendError::NotLocal)] {
        let stolen = Send { to: Some((PEER, 53).into()), from: Some(v4(from)), payload: &[b"x"], ..Send::default() };
        assert_eq!(host.stack.udp_send(host.now, socket, &stolen), Err(reason));
    }
    host.stack.udp_set_options(socket, never());
    assert_eq!(send(&mut host, socket, (PEER, 53), &[0; 1_473]), Err(SendError::MessageSize));
    assert_eq!(send(&mut host, socket, (PEER, 53), &[0; 1_472]), Ok(()));
    host.stack.udp_close(socket);
    assert_eq!(send(&mut host, socket, (PEER, 53), b"x"), Err(SendError::Closed));
}

#[test]
fn one_that_forbids_cutting_learns_that_it_was_too_large() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, ANY, 1_000);
    host.stack.udp_set_options(socket, never());
    host.stack.udp_connect(socket, Some((PEER, 53).into())).unwrap();
    send(&mut host, socket, (PEER, 53), &[0; 1_472]).unwrap();
    let sent = host.sent_frames().remove(0).0;
    let code = sockeye_wire::icmpv4::UnreachableCode::FRAGMENTATION_NEEDED;
    host.arrive(&icmp_frame(&Message::DestinationUnreachable { code, next_hop_mtu: 1_400, original: &sent[14..42] }));
    assert_eq!(host.stack.udp_take_error(socket), Some(Error::MessageSize));
    assert_eq!(send(&mut host, socket, (PEER, 53), &[0; 1_373]), Err(SendError::MessageSize));
    assert_eq!(send(&mut host, socket, (PEER, 53), &[0; 1_372]), Ok(()));
}

#[test]
fn settings_of_the_socket_and_of_one_datagram() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, ANY, 1_000);
    let family = [FamilyOptions { ttl: Some(7), tos: 0x20, ..FamilyOptions::default() }; 2];
    host.stack.udp_set_options(socket, Options { family, checksum: false, ..Options::default() });
    send(&mut host, socket, (PEER, 53), b"x").unwrap();
    let one = Send { to: Some((PEER, 53).into()), ttl: Some(3), tos: Some(0x40), payload: &[b"x"], ..Send::default() };
    host.stack.udp_send(host.now, socket, &one).unwrap();
    let seen: Vec<_> = host
        .sent_frames()
        .iter()
        .map(|(frame, _)| {
            let packet = ipv4::Packet::parse(&frame[14..]).unwrap();
            (packet.ttl(), packet.tos(), Datagram::parse(packet.payload()).unwrap().checksum())
        })
        .collect();
    assert_eq!(seen, [(7, 0x20, 0), (3, 0x40, 0)]);
}

/// Between stack and device a full queue pushes back.
#[test]
fn a_full_device_pushes_back_and_nothing_is_lost() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, ANY, 1_000);
    host.room = Some(10);
    let mut accepted = 0;
    while send(&mut host, socket, (PEER, 53), b"x").is_ok() {
        accepted += 1;
    }
    assert_eq!(send(&mut host, socket, (PEER, 53), b"x"), Err(SendError::Full));
    assert!(!host.stack.udp_status(socket).writable);
    assert_eq!(host.stack.poll_event(), None);
    let mut left = host.sent().len();
    assert_eq!(left, 10);
    assert_eq!(host.stack.poll_event(), Some(Event::Udp(socket)), "there is room again");
    assert!(host.stack.udp_status(socket).writable);
    loop {
        match host.sent().len() {
            0 => break,
            count => left += count,
        }
    }
    assert_eq!(left, accepted);
    assert_eq!(host.drops(), []);
}

/// Row E3.
#[test]
fn source_port_zero_is_delivered() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, ANY, 53);
    host.arrive(&from_peer(0, 53, b"x"));
    let got = host.stack.udp_recv(socket).unwrap();
    assert_eq!(send(&mut host, socket, got.from, b"reply"), Err(SendError::Destination));
}

#[test]
fn all_sockets_together_have_a_bound() {
    let config = Config { udp_memory: 20_000, ..Config::default() };
    let mut host = Host::with(config, Capabilities::default(), OUR_MAC, "10.0.0.1/24");
    let sockets: Vec<_> = (1..=10).map(|port| open(&mut host, ANY, port)).collect();
    for turn in 0..100u16 {
        host.arrive(&from_peer(1, 1 + turn % 10, &[0; 488]));
    }
    let queued = |host: &Host| sockets.iter().map(|&socket| host.stack.udp_status(socket).queued).sum::<usize>();
    assert_eq!((queued(&host), host.dropped(Drop::UdpMemory)), (20, 80));
    // One is closed, one is read: there is room for what they held.
    host.stack.udp_close(sockets[0]);
    host.stack.udp_recv(sockets[1]).unwrap();
    for _ in 0..10 {
        host.arrive(&from_peer(1, 3, &[0; 488]));
    }
    assert_eq!(queued(&host), 20);
}

#[test]
fn a_program_chooses_among_those_who_share() {
    use sockeye_filter::{Instruction, Program};
    let mut host = Host::acquainted();
    let bind = Bind { reuse_port: true, ..Bind::new(v4(ANY), 53) };
    let mut sockets: Vec<_> = (0..3).map(|_| host.stack.udp_open(&bind).unwrap()).collect();
    // The first byte of the payload.
    let program = Program::new(&[Instruction::statement(0x30, 0), Instruction::statement(0x16, 0)]).unwrap();
    assert!(host.stack.udp_set_selection(sockets[2], Some(Arc::new(program))));
    let who = |host: &mut Host, sockets: &[SocketId], byte: u8| {
        host.arrive(&from_peer(1, 53, &[byte]));
        got(host, sockets)
    };
    for byte in [0, 2, 1] {
        assert_eq!(who(&mut host, &sockets, byte), [usize::from(byte)]);
    }
    let by_hash = who(&mut host, &sockets, 99);
    assert_eq!((by_hash.len(), &who(&mut host, &sockets, 77)), (1, &by_hash), "nobody's number");
    host.arrive(&from_peer(1, 53, &[]));
    assert_eq!(got(&mut host, &sockets), [0], "a load beyond the end is 0");
    sockets.push(host.stack.udp_open(&bind).unwrap());
    assert_eq!(who(&mut host, &sockets, 3), [3], "who joins has it, too");
    host.stack.udp_close(sockets[0]);
    assert_eq!(who(&mut host, &sockets, 0), [3], "the last takes the number");
    let alone = open(&mut host, ANY, 54);
    assert!(!host.stack.udp_set_selection(alone, None));
}

#[test]
fn how_far_packets_go_is_the_hosts_the_sockets_or_the_datagrams() {
    let mut host = Host::acquainted_with(Config { ttl: 77, ..Config::default() });
    let socket = open(&mut host, ANY, 1_000);
    let mut ttl = |ttl, one| {
        let family = [FamilyOptions { ttl, ..FamilyOptions::default() }; 2];
        host.stack.udp_set_options(socket, Options { family, ..Options::default() });
        let send = Send { to: Some((PEER, 53).into()), ttl: one, payload: &[b"x"], ..Send::default() };
        host.stack.udp_send(host.now, socket, &send).unwrap();
        ipv4::Packet::parse(&host.sent_frames()[0].0[14..]).unwrap().ttl()
    };
    assert_eq!([ttl(None, None), ttl(Some(9), None), ttl(Some(9), Some(3))], [77, 9, 3]);
}

#[test]
fn what_comes_from_too_far_is_not_taken() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, ANY, 53);
    let family = [FamilyOptions { min_ttl: 255, ..FamilyOptions::default() }; 2];
    host.stack.udp_set_options(socket, Options { family, ..Options::default() });
    for (ttl, taken) in [(254, false), (255, true)] {
        host.arrive(&ipv4_frame(ipv4::Repr { ttl, ..FROM_PEER }, &udp_bytes(1_000, 53, b"hello")));
        assert_eq!(host.stack.udp_recv(socket).is_some(), taken);
    }
    assert_eq!(host.stack.counters().dropped(Drop::UdpMinTtl), 1);
}
