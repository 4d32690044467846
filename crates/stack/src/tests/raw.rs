//! Raw and echo sockets: who gets a copy, what is filled in on the way out, and what the network says.

use super::*;
use crate::errors::Cause;
use crate::raw::{Filter, Kind, Options, Send, SendError, SocketId};
use crate::rng::Rng;
use crate::{Bind, FamilyOptions, Fragmentation};
use sockeye_wire::icmpv4::{TimeExceededCode, Timestamp, UnreachableCode};
use std::net::Ipv6Addr;

const OTHER: Protocol = Protocol(200);

fn open(host: &mut Host, protocol: Protocol) -> SocketId {
    host.stack.raw_open(false, Kind::Protocol(protocol.0))
}

fn set(host: &mut Host, socket: SocketId, change: impl FnOnce(&mut Options)) {
    let mut options = *host.stack.raw_options(socket).unwrap();
    change(&mut options);
    host.stack.raw_set_options(socket, options);
}

fn send(host: &mut Host, socket: SocketId, to: Ipv4Addr, payload: &[u8]) -> Result<(), SendError> {
    host.stack.raw_send(host.now, socket, &Send { to: Some(to.into()), payload, ..Send::default() })
}

fn from_peer(payload: &[u8]) -> Vec<u8> {
    ipv4_frame(ipv4::Repr { protocol: OTHER, ..FROM_PEER }, payload)
}

/// How many packets wait; they are taken.
fn taken(host: &mut Host, socket: SocketId) -> usize {
    std::iter::from_fn(|| host.stack.raw_recv(socket)).count()
}

#[test]
fn each_socket_of_the_protocol_gets_the_packet_with_its_header() {
    let mut host = Host::acquainted();
    let sockets = [open(&mut host, OTHER), open(&mut host, OTHER)];
    let stranger = open(&mut host, Protocol::TCP);
    host.arrive(&from_peer(b"hello"));
    for socket in sockets {
        let received = host.stack.raw_recv(socket).unwrap();
        assert_eq!(received.data, packet(ipv4::Repr { protocol: OTHER, ..FROM_PEER }, b"hello"));
        assert_eq!((received.from, received.to, received.ttl), (v4(PEER), v4(US), 64));
    }
    assert_eq!(taken(&mut host, stranger), 0);
    // Nobody is told that the protocol is unknown, until the last one is gone.
    assert_eq!(host.sent_packets(), [""; 0]);
    sockets.into_iter().for_each(|socket| host.stack.raw_close(socket));
    host.arrive(&from_peer(b"hello"));
    assert_eq!(host.sent_packets(), ["10.0.0.1 > 10.0.0.2 protocol unreachable"]);
}

#[test]
fn addresses_and_devices_part_packets() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, OTHER);
    let hears = |host: &mut Host| {
        host.arrive(&from_peer(b"x"));
        taken(host, socket) == 1
    };
    assert!(hears(&mut host));
    host.stack.raw_bind(socket, v4(US), 0).unwrap();
    assert!(hears(&mut host));
    host.stack.raw_bind(socket, v4(Ipv4Addr::LOCALHOST), 0).unwrap();
    assert!(!hears(&mut host));
    assert!(host.stack.raw_bind(socket, v4(FAR), 0).is_err());
    host.stack.raw_bind(socket, v4(Ipv4Addr::UNSPECIFIED), 0).unwrap();
    host.stack.raw_connect(socket, Some((v4(PEER), 0))).unwrap();
    assert!(hears(&mut host));
    assert_eq!(host.stack.raw_local(socket), Some((v4(US), 200)));
    host.stack.raw_connect(socket, Some((v4(Ipv4Addr::new(10, 0, 0, 9)), 0))).unwrap();
    assert!(!hears(&mut host));
    host.stack.raw_connect(socket, None).unwrap();
    let port = host.port;
    set(&mut host, socket, |options| options.device = Some(port));
    assert!(hears(&mut host));
    set(&mut host, socket, |options| options.device = Some(PortId::LOOPBACK));
    assert!(!hears(&mut host));
}

#[test]
fn fragments_arrive_as_the_whole() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, OTHER);
    let header = ipv4::Repr { protocol: OTHER, ..FROM_PEER };
    host.arrive(&ipv4_frame(ipv4::Repr { more_fragments: true, ..header }, &[1; 16]));
    assert_eq!(taken(&mut host, socket), 0);
    host.arrive(&ipv4_frame(ipv4::Repr { fragment_offset: 16, ..header }, &[2; 3]));
    let received = host.stack.raw_recv(socket).unwrap();
    let whole = ipv4::Packet::parse(&received.data).unwrap();
    assert_eq!((whole.payload().len(), whole.is_fragment(), whole.verify_checksum()), (19, false, true));
}

/// raw(7): one bit a type; what Linux's 32 bits do not know comes through.
#[test]
fn filters_block_types() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, Protocol::ICMP);
    let mut filter = Filter::default();
    filter.0[0] = !(1 << 8);
    set(&mut host, socket, |options| options.filter = filter);
    host.arrive(&echo_request(b"x"));
    host.arrive(&icmp_frame(&Message::EchoReply { ident: 1, seq: 1, data: b"" }));
    assert_eq!(taken(&mut host, socket), 1);
    let unknown = [40, 0, 0xd7, 0xff, 0, 0, 0, 0];
    host.arrive(&ipv4_frame(ipv4::Repr { protocol: Protocol::ICMP, ..FROM_PEER }, &unknown));
    host.arrive(&ipv4_frame(ipv4::Repr { protocol: Protocol::ICMP, ..FROM_PEER }, &[]));
    assert_eq!(taken(&mut host, socket), 1, "the one of a type beyond 32, not the empty one");
}

/// RFC 1122, 3.2.2.8: what nobody in the host asked for, a program may have.
#[test]
fn the_answer_to_a_question_about_the_time_is_heard() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, Protocol::ICMP);
    let time = Timestamp { ident: 1, seq: 1, originate: 1, receive: 2, transmit: 3 };
    host.arrive(&icmp_frame(&Message::TimestampReply(time)));
    let heard = host.stack.raw_recv(socket).unwrap().data;
    assert_eq!(&heard[20..], icmp_bytes(&Message::TimestampReply(time)));
}

#[test]
fn queues_are_bounded_by_the_receive_buffer() {
    let mut host = Host::acquainted();
    let (small, large) = (open(&mut host, OTHER), open(&mut host, OTHER));
    set(&mut host, small, |options| options.receive_buffer = 3_000);
    for _ in 0..100 {
        host.arrive(&from_peer(&[0; 80]));
    }
    assert_eq!((taken(&mut host, small), taken(&mut host, large)), (4, 100));
    assert_eq!(host.dropped(Drop::RawReceiveBuffer), 96);
}

#[test]
fn sockets_see_what_tcp_and_udp_see() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, Protocol::UDP);
    let udp = host.stack.udp_open(&Bind::new(v4(US), 9)).unwrap();
    host.arrive(&ipv4_frame(FROM_PEER, &udp_bytes(1_000, 9, b"both")));
    assert_eq!(&host.stack.raw_recv(socket).unwrap().data[28..], b"both");
    assert_eq!(host.stack.udp_recv(udp).unwrap().data, b"both");
    // It is no socket on the port: the port is unreachable still.
    host.arrive(&ipv4_frame(FROM_PEER, &udp_bytes(1_000, 10, b"x")));
    assert_eq!((taken(&mut host, socket), host.sent_packets().len()), (1, 1));
}

#[test]
fn a_header_of_ours_is_cut_or_refused_as_the_program_wishes() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, OTHER);
    set(&mut host, socket, |options| (options.family.ttl, options.family.tos) = (Some(9), 4));
    send(&mut host, socket, PEER, b"hello").unwrap();
    let frames = host.sent_frames();
    let sent = ipv4::Packet::parse(&frames[0].0[14..]).unwrap();
    assert_eq!((sent.ttl(), sent.tos(), sent.protocol(), sent.payload()), (9, 4, OTHER, &b"hello"[..]));
    send(&mut host, socket, PEER, &[0; 2_000]).unwrap();
    assert_eq!(host.sent_packets().len(), 2);
    set(&mut host, socket, |options| options.family.fragmentation = Fragmentation::Never);
    assert_eq!(send(&mut host, socket, PEER, &[0; 2_000]), Err(SendError::MessageSize));
    assert_eq!(send(&mut host, socket, PEER, &[0; 65_536]), Err(SendError::MessageSize));
    assert_eq!(send(&mut host, socket, FAR, b"x"), Err(SendError::NoRoute));
    let everybody = Ipv4Addr::new(10, 0, 0, 255);
    assert_eq!(send(&mut host, socket, everybody, b"x"), Err(SendError::Broadcast));
    set(&mut host, socket, |options| options.broadcast = true);
    assert_eq!(send(&mut host, socket, everybody, b"x"), Ok(()));
    let nobody = Send { payload: b"x", ..Send::default() };
    assert_eq!(host.stack.raw_send(host.now, socket, &nobody), Err(SendError::NotConnected));
}

#[test]
fn what_is_missing_in_the_programs_header_is_filled_in() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, Protocol(255));
    let mut sent = |source: [u8; 4], id: u16, flags: u8| {
        let mut bytes = vec![0x45, 8, 1, 2, 0, 0, flags, 0, 33, 200, 9, 9, 0, 0, 0, 0, 192, 0, 2, 7, 1, 2, 3];
        bytes[12..16].copy_from_slice(&source);
        bytes[4..6].copy_from_slice(&id.to_be_bytes());
        send(&mut host, socket, PEER, &bytes).unwrap();
        let frame = host.sent_frames().remove(0).0;
        let packet = ipv4::Packet::parse(&frame[14..]).unwrap();
        assert!(packet.verify_checksum());
        assert_eq!((packet.total_len(), packet.payload()), (23, &[1, 2, 3][..]));
        // It goes where the call says; the header may say anything.
        assert_eq!((&frame[..6], packet.dst()), (&PEER_MAC.0[..], FAR));
        (packet.src(), packet.id(), packet.ttl(), packet.tos())
    };
    let (source, id, ttl, tos) = sent([0; 4], 0, 0);
    assert_eq!((source, ttl, tos), (US, 33, 8));
    assert_ne!(id, 0);
    assert_eq!(sent([1, 2, 3, 4], 77, 0), (Ipv4Addr::new(1, 2, 3, 4), 77, 33, 8));
    assert_eq!(sent([0; 4], 0, 0x40).1, 0, "what cannot be cut needs none");
}

#[test]
fn a_header_that_cannot_be_is_refused() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, Protocol(255));
    assert_eq!(send(&mut host, socket, PEER, &[]), Err(SendError::Payload));
    assert_eq!(send(&mut host, socket, PEER, &[0x45; 19]), Err(SendError::Payload));
    assert_eq!(send(&mut host, socket, PEER, &[0x4f; 59]), Err(SendError::Payload));
    assert_eq!(send(&mut host, socket, PEER, &[0x45; 1_501]), Err(SendError::MessageSize));
    assert_eq!(send(&mut host, socket, PEER, &[0x45; 1_500]), Ok(()));
    let v6 = host.stack.raw_open(true, Kind::Protocol(255));
    let to = Send { to: Some(Ipv6Addr::LOCALHOST.into()), payload: &[0x60; 39], ..Send::default() };
    host.stack.add_address(host.now, PortId::LOOPBACK, prefix("::1/128"));
    assert_eq!(host.stack.raw_send(host.now, v6, &to), Err(SendError::Payload));
}

/// Whatever a program writes into its headers, to others and to ourselves: nothing breaks, and what leaves is as long as what was written.
#[test]
fn hostile_headers_harm_nobody() {
    let mut host = Host::acquainted();
    let mut rng = Rng::new([7; 16]);
    let sockets = [open(&mut host, Protocol(255)), open(&mut host, Protocol::ICMP), open(&mut host, Protocol::TCP)];
    set(&mut host, sockets[1], |options| options.header_included = true);
    for round in 0..20_000 {
        let len = rng.below(120) as usize;
        let mut bytes: Vec<u8> = (0..len).map(|_| rng.next_u32() as u8).collect();
        // Half of them look like a packet to begin with.
        if let Some(header) = bytes.first_chunk_mut::<20>()
            && rng.below(2) == 0
        {
            header[0] = 0x45 + rng.below(3) as u8;
            header[9] = [1, 2, 6, 17, 41, 50][rng.below(6) as usize];
            header[12..16]
                .copy_from_slice(&[[0; 4], US.octets(), PEER.octets(), [127, 0, 0, 1]][rng.below(4) as usize]);
            header[16..20]
                .copy_from_slice(&[US.octets(), [127, 0, 0, 1], PEER.octets(), [224, 0, 0, 1]][rng.below(4) as usize]);
        }
        let to = [PEER, US, Ipv4Addr::LOCALHOST][rng.below(3) as usize];
        let sent = send(&mut host, sockets[round % 2], to, &bytes);
        let frames = host.sent_frames();
        if sent.is_ok() && to == PEER {
            assert!(frames.iter().any(|(frame, _)| frame.len() == 14 + len && frame[..6] == PEER_MAC.0), "{bytes:?}");
        }
        for socket in sockets {
            taken(&mut host, socket);
        }
        if round % 100 == 0 {
            host.pass(ms(1_000));
            host.arrive(&arp_reply(PEER, PEER_MAC));
        }
    }
    assert_alive(&mut host);
}

#[test]
fn echo_sockets_send_requests_and_get_their_replies() {
    let mut host = Host::acquainted();
    let [socket, other] = [(); 2].map(|()| host.stack.raw_open(false, Kind::Echo));
    host.stack.raw_bind(socket, v4(US), 77).unwrap();
    assert!(host.stack.raw_bind(socket, v4(US), 78).is_err(), "it has one");
    assert!(host.stack.raw_bind(other, v4(US), 77).is_err(), "it is taken");
    let request = [8, 0, 0xba, 0xad, 0xba, 0xad, 0, 5, b'x'];
    send(&mut host, socket, PEER, &request).unwrap();
    assert_eq!(host.sent_packets(), ["10.0.0.1 > 10.0.0.2 echo request 77/5 len 1"]);
    for wrong in [&[0, 0, 0, 0, 0, 0, 0, 5][..], &[8, 1, 0, 0, 0, 0, 0, 5], &[8, 0, 0, 0, 0, 0, 0], &[13; 20]] {
        assert_eq!(send(&mut host, socket, PEER, wrong), Err(SendError::Payload), "{wrong:?}");
    }
    host.arrive(&icmp_frame(&Message::EchoReply { ident: 78, seq: 5, data: b"x" }));
    assert_eq!(host.dropped(Drop::IcmpNoSocket), 1);
    host.arrive(&icmp_frame(&Message::EchoReply { ident: 77, seq: 5, data: b"x" }));
    let received = host.stack.raw_recv(socket).unwrap();
    assert_eq!(received.data, icmp_bytes(&Message::EchoReply { ident: 77, seq: 5, data: b"x" }));
    // Who has none gets one with the first request.
    send(&mut host, other, PEER, &request).unwrap();
    assert!(host.stack.raw_local(other).unwrap().1 >= 32_768);
    set(&mut host, socket, |options| options.reuse_address = true);
    let third = host.stack.raw_open(false, Kind::Echo);
    set(&mut host, third, |options| options.reuse_address = true);
    host.stack.raw_bind(third, v4(US), 77).unwrap();
    host.arrive(&icmp_frame(&Message::EchoReply { ident: 77, seq: 6, data: b"" }));
    assert_eq!((taken(&mut host, third), taken(&mut host, socket)), (1, 0), "the youngest");
}

/// What a router says of a packet of ours.
fn exceeded(original: &[u8]) -> Vec<u8> {
    icmp_frame(&Message::TimeExceeded { code: TimeExceededCode::TTL, original })
}

#[test]
fn errors_are_kept_for_who_asks_and_told_to_who_is_connected_if_final() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, OTHER);
    send(&mut host, socket, PEER, b"question").unwrap();
    let sent = host.sent_frames().remove(0).0[14..].to_vec();
    let refused = icmp_frame(&Message::DestinationUnreachable {
        code: UnreachableCode::PROTOCOL,
        next_hop_mtu: 0,
        original: &sent,
    });
    let told = |host: &mut Host, frame: &[u8]| {
        host.arrive(frame);
        host.stack.raw_take_error(socket)
    };
    assert_eq!(told(&mut host, &refused), None);
    host.stack.raw_connect(socket, Some((v4(PEER), 0))).unwrap();
    assert_eq!(told(&mut host, &refused), Some(Cause::Icmp { kind: 3, code: 2 }));
    assert_eq!(told(&mut host, &exceeded(&sent)), None, "not final");
    set(&mut host, socket, |options| options.family.receive_errors = true);
    assert_eq!(told(&mut host, &exceeded(&sent)), Some(Cause::Icmp { kind: 11, code: 0 }));
    let reported = host.stack.raw_take_report(socket).unwrap();
    assert_eq!((reported.offender, reported.destination.ip()), (Some(v4(PEER)), v4(PEER)));
    assert_eq!(reported.data, b"question");
    assert_eq!(host.stack.raw_take_report(socket), None);
    // Whose header it is sees all of it.
    set(&mut host, socket, |options| options.header_included = true);
    host.arrive(&exceeded(&sent));
    assert_eq!(host.stack.raw_take_report(socket).unwrap().data, sent);
}

#[test]
fn the_queue_of_errors_is_bounded_and_settles_the_pending_one() {
    let mut host = Host::acquainted();
    let socket = host.stack.udp_open(&Bind::new(v4(US), 1_000)).unwrap();
    let family = [FamilyOptions { receive_errors: true, ..FamilyOptions::default() }; 2];
    let options = crate::udp::Options { family, ..*host.stack.udp_options(socket).unwrap() };
    host.stack.udp_set_options(socket, options);
    let question = crate::udp::Send { to: Some((PEER, 53).into()), payload: &[b"question"], ..Default::default() };
    host.stack.udp_send(host.now, socket, &question).unwrap();
    let sent = host.sent_frames().remove(0).0[14..].to_vec();
    for _ in 0..70 {
        host.arrive(&exceeded(&sent));
    }
    assert_eq!(host.dropped(Drop::ErrorQueueFull), 6);
    let reported: Vec<_> = std::iter::from_fn(|| host.stack.udp_take_report(socket)).collect();
    assert_eq!((reported.len(), &reported[0].data[..], reported[0].destination.port()), (64, &b"question"[..], 53));
    assert_eq!(host.stack.udp_take_error(socket), None, "with the last one nothing is pending");
    // Ours, of what is too long: in the queue, not pending.
    let family = [FamilyOptions { fragmentation: Fragmentation::Never, ..family[0] }; 2];
    host.stack.udp_set_options(socket, crate::udp::Options { family, ..options });
    let long = crate::udp::Send { payload: &[&[0; 1_473]], ..question };
    assert_eq!(host.stack.udp_send(host.now, socket, &long), Err(crate::udp::SendError::MessageSize));
    let status = host.stack.udp_status(socket);
    assert_eq!((status.error, status.newest_report.is_some()), (None, true));
    let reported = host.stack.udp_take_report(socket).unwrap();
    assert_eq!((reported.cause, reported.info, reported.offender), (Cause::MessageSize, 1_500, None));
}

/// ipv6(7), RFC 3542 §3: no header on the way in, and the checksum where the program says.
#[test]
fn ipv6_has_no_header_and_checksums() {
    let mut host = Host::with(Config::default(), Capabilities::default(), OUR_MAC, "fd00::1/64");
    let us: Ipv6Addr = "fd00::1".parse().unwrap();
    let [asks, plain] = [(); 2].map(|()| host.stack.raw_open(true, Kind::Protocol(OTHER.0)));
    set(&mut host, asks, |options| options.checksum_offset = Some(2));
    let to_us = |payload: &'static [u8]| Send { to: Some(us.into()), payload, ..Send::default() };
    host.stack.raw_send(host.now, asks, &to_us(&[1, 2, 0xff, 0xff, 3])).unwrap();
    host.sent();
    let received = host.stack.raw_recv(asks).unwrap();
    assert_eq!((received.data.len(), received.from), (5, us.into()));
    let mut sum = sockeye_wire::checksum::pseudo_header(us.into(), us.into(), OTHER.0, 5);
    sum.add(&received.data);
    assert_eq!(sum.finish(), 0);
    assert_eq!(taken(&mut host, plain), 1);
    host.stack.raw_send(host.now, plain, &to_us(b"wrong")).unwrap();
    host.sent();
    assert_eq!((taken(&mut host, asks), taken(&mut host, plain)), (0, 1));
    assert_eq!(host.dropped(Drop::RawChecksum), 1);
    assert_eq!(host.stack.raw_send(host.now, asks, &to_us(&[1, 2, 3])), Err(SendError::Payload));
    let v4_destination = Send { to: Some(v4(PEER)), payload: b"x", ..Send::default() };
    assert_eq!(host.stack.raw_send(host.now, asks, &v4_destination), Err(SendError::NoRoute));
}

/// As on Linux, where a mapped address is one to be connected to, and leads nowhere.
#[test]
fn one_of_ipv6_that_is_connected_over_ipv4_is_mute() {
    let mut host = Host::new();
    let socket = host.stack.raw_open(true, Kind::Protocol(OTHER.0));
    host.stack.raw_connect(socket, Some((v4(PEER), 0))).unwrap();
    assert_eq!(host.stack.raw_local(socket), Some((v4(US), OTHER.0.into())));
    let to = |to| Send { to, payload: b"x", ..Send::default() };
    assert_eq!(host.stack.raw_send(host.now, socket, &to(None)), Err(SendError::NoRoute));
    let v6 = IpAddr::from(Ipv6Addr::LOCALHOST);
    assert_eq!(host.stack.raw_send(host.now, socket, &to(Some(v6))), Err(SendError::Family));
    assert_eq!(host.stack.raw_connect(socket, Some((v6, 0))), Err(SendError::Family));
    host.stack.raw_connect(socket, None).unwrap();
    host.stack.raw_connect(socket, Some((v6, 0))).unwrap();
    let echo = host.stack.raw_open(true, Kind::Echo);
    assert_eq!(host.stack.raw_connect(echo, Some((v4(PEER), 0))), Err(SendError::Family));
}
