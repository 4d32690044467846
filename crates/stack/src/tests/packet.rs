//! Packet sockets: what they see, and what they send.

use super::*;
use crate::Event;
use crate::packet::{ALL_PROTOCOLS, Options, PacketType, Send, SendError, SocketId, Statistics};
use sockeye_device::{Checksum, SegmentKind, Segmentation};
use sockeye_filter::{Program, parse};
use std::sync::Arc;

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;

fn open(host: &mut Host, protocol: u16) -> SocketId {
    host.stack.packet_open(false, protocol)
}

/// Type, protocol and length of all that a socket has.
fn got(host: &mut Host, socket: SocketId) -> Vec<(PacketType, u16, usize)> {
    std::iter::from_fn(|| host.stack.packet_recv(socket))
        .map(|seen| (seen.kind, seen.protocol, seen.data.len()))
        .collect()
}

fn ping() -> Vec<u8> {
    echo_request(&[7; 22])
}

#[test]
fn what_arrives_and_what_leaves_is_seen_by_those_who_asked_for_it() {
    let mut host = Host::acquainted();
    let (all, arp, ip, none) =
        (open(&mut host, ALL_PROTOCOLS), open(&mut host, ARP), open(&mut host, IPV4), open(&mut host, 0));
    let cooked = host.stack.packet_open(true, IPV4);
    let frame = ping();
    host.arrive(&frame);
    assert_eq!(host.sent().len(), 1);
    let len = frame.len();
    assert_eq!(got(&mut host, all), [(PacketType::Host, IPV4, len), (PacketType::Outgoing, IPV4, len)]);
    assert_eq!(got(&mut host, ip), [(PacketType::Host, IPV4, len)]);
    let seen = host.stack.packet_recv(cooked).unwrap();
    assert_eq!((&seen.data[..], seen.network, seen.len), (&frame[14..], 0, len - 14));
    assert_eq!((seen.source, seen.port, seen.timestamp, seen.hardware), (PEER_MAC, host.port, host.now, 1));
    assert_eq!((got(&mut host, arp), got(&mut host, none)), (vec![], vec![]));
    assert_eq!(host.stack.poll_event(), Some(Event::Packet(all)));
}

#[test]
fn a_socket_sees_its_port_and_what_is_sent_to_ourselves_twice() {
    let mut host = Host::acquainted();
    let (lo, eth) = (open(&mut host, 0), open(&mut host, 0));
    host.stack.packet_bind(lo, ALL_PROTOCOLS, Some(PortId::LOOPBACK));
    host.stack.packet_bind(eth, ALL_PROTOCOLS, Some(host.port));
    let udp = host.stack.udp_open(&crate::Bind::new(v4(Ipv4Addr::LOCALHOST), 0)).unwrap();
    let to = host.stack.udp_local(udp);
    host.stack.udp_send(host.now, udp, &crate::udp::Send { to, payload: &[b"me"], ..Default::default() }).unwrap();
    host.sent();
    assert_eq!(got(&mut host, lo), [(PacketType::Outgoing, IPV4, 44), (PacketType::Host, IPV4, 44)]);
    assert_eq!(got(&mut host, eth), []);
    host.arrive(&ping());
    assert_eq!((got(&mut host, lo).len(), got(&mut host, eth).len()), (0, 1));
}

#[test]
fn frames_for_others_are_seen_though_the_host_drops_them() {
    let mut host = Host::acquainted();
    let (all, ip) = (open(&mut host, ALL_PROTOCOLS), open(&mut host, IPV4));
    let mut frame = ping();
    for (first, kind) in [(0x04, PacketType::OtherHost), (0x03, PacketType::Multicast), (0xff, PacketType::Multicast)] {
        frame[0] = first;
        host.arrive(&frame);
        assert_eq!(got(&mut host, all), [(kind, IPV4, frame.len())]);
    }
    frame[..6].fill(0xff);
    host.arrive(&frame);
    assert_eq!(got(&mut host, all), [(PacketType::Broadcast, IPV4, frame.len())]);
    assert_eq!(got(&mut host, ip).len(), 4);
    host.stack.set_link(host.now, host.port, false);
    host.arrive(&frame);
    assert_eq!(got(&mut host, all), []);
}

#[test]
fn a_filter_decides_what_is_kept() {
    let mut host = Host::acquainted();
    let (raw, cooked) = (open(&mut host, ALL_PROTOCOLS), host.stack.packet_open(true, ALL_PROTOCOLS));
    // 40 bytes, if the byte at 9 is ICMP's number: that of a packet without its link header.
    let program = Program::new(&parse("4\n48 0 0 9\n21 0 1 1\n6 0 0 40\n6 0 0 0\n").unwrap()).unwrap();
    for socket in [raw, cooked] {
        host.stack.packet_set_filter(socket, Some(Arc::new(program.clone())));
    }
    let frame = ping();
    host.arrive(&frame);
    assert_eq!(got(&mut host, raw), []);
    let seen = host.stack.packet_recv(cooked).unwrap();
    assert_eq!((&seen.data[..], seen.len), (&frame[14..54], frame.len() - 14));
    let nothing = Statistics { packets: 0, drops: 0, freezes: 0 };
    assert_eq!(host.stack.packet_take_statistics(raw), nothing);
    assert_eq!(host.stack.packet_take_statistics(cooked), Statistics { packets: 1, drops: 0, freezes: 0 });
    host.stack.packet_set_filter(raw, None);
    host.arrive(&frame);
    assert_eq!(got(&mut host, raw).len(), 1);
}

#[test]
fn a_full_queue_drops_and_counts_and_reading_makes_room() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, ALL_PROTOCOLS);
    host.stack.packet_set_options(socket, Options { receive_buffer: 1_500, ..Options::default() });
    for _ in 0..10 {
        host.arrive(&ping());
    }
    assert_eq!(got(&mut host, socket).len(), 3);
    assert_eq!(host.stack.packet_take_statistics(socket), Statistics { packets: 10, drops: 7, freezes: 0 });
    assert_eq!(host.stack.packet_take_statistics(socket), Statistics::default());
    assert_eq!(host.dropped(Drop::PacketReceiveBuffer), 7);
    host.arrive(&ping());
    assert_eq!(got(&mut host, socket).len(), 1);
}

#[test]
fn all_queues_together_are_bounded() {
    let config = Config { packet_memory: 2_000, ..Config::default() };
    let mut host = Host::with(config, Capabilities::default(), OUR_MAC, "10.0.0.1/24");
    let sockets: Vec<_> = (0..10).map(|_| open(&mut host, IPV4)).collect();
    host.arrive(&ping());
    assert_eq!(sockets.iter().map(|&socket| got(&mut host, socket).len()).sum::<usize>(), 3);
    host.arrive(&ping());
    sockets.iter().for_each(|&socket| host.stack.packet_close(socket));
    assert_eq!(host.stack.packet_sockets().count(), 0);
    let again = open(&mut host, IPV4);
    host.arrive(&ping());
    assert_eq!(got(&mut host, again).len(), 1, "what was never read takes nothing any more");
}

#[test]
fn a_frame_leaves_as_it_is_and_its_sender_does_not_see_it() {
    let mut host = Host::acquainted();
    let (sender, other) = (open(&mut host, ALL_PROTOCOLS), open(&mut host, ALL_PROTOCOLS));
    let frame = ping();
    let send = Send { port: Some(host.port), payload: &frame, ..Send::default() };
    host.stack.packet_send(sender, &send).unwrap();
    assert_eq!(host.sent_frames(), [(frame.clone(), Offload::default())]);
    assert_eq!(
        (got(&mut host, sender).len(), got(&mut host, other)),
        (0, vec![(PacketType::Outgoing, IPV4, frame.len())])
    );
    host.stack.packet_set_options(sender, Options { unseen: true, ..Options::default() });
    host.stack.packet_set_options(other, Options { ignore_outgoing: true, ..Options::default() });
    host.stack.packet_send(sender, &send).unwrap();
    host.stack.packet_send(other, &send).unwrap();
    assert_eq!(host.sent_frames().len(), 2);
    assert_eq!((got(&mut host, sender).len(), got(&mut host, other).len()), (1, 0));
}

#[test]
fn a_header_is_made_for_who_has_none() {
    let mut host = Host::acquainted();
    let socket = host.stack.packet_open(true, 0x88b5);
    let send = Send { port: Some(host.port), to: Some(PEER_MAC), payload: b"hello", ..Send::default() };
    host.stack.packet_send(socket, &send).unwrap();
    let header = [&PEER_MAC.0[..], &OUR_MAC.0, &[0x88, 0xb5]].concat();
    assert_eq!(host.sent_frames()[0].0, [&header[..], b"hello"].concat());
}

#[test]
fn what_cannot_be_sent_is_refused_as_linux_refuses_it() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, 0);
    let bytes = [0; 70_000];
    let mut send =
        |port, len: usize| host.stack.packet_send(socket, &Send { port, payload: &bytes[..len], ..Send::default() });
    assert_eq!(send(None, 60), Err(SendError::NoPort));
    assert_eq!(send(Some(PortId::from_index(9)), 60), Err(SendError::NoPort));
    let port = Some(PortId::from_index(1));
    for (len, answer) in
        [(0, Err(SendError::Malformed)), (13, Err(SendError::Malformed)), (14, Ok(())), (1_514, Ok(()))]
    {
        assert_eq!(send(port, len), answer, "{len}");
    }
    for len in [1_515, 66_000, 70_000] {
        assert_eq!(send(port, len), Err(SendError::MessageSize), "{len}");
    }
    let mut tagged = [0; 1_519];
    tagged[12] = 0x81;
    let mut send =
        |len: usize| host.stack.packet_send(socket, &Send { port, payload: &tagged[..len], ..Send::default() });
    assert_eq!((send(1_518), send(1_519)), (Ok(()), Err(SendError::MessageSize)));
    host.stack.set_link(host.now, host.port, false);
    let send = Send { port, payload: &bytes[..60], ..Send::default() };
    assert_eq!(host.stack.packet_send(socket, &send), Err(SendError::Down));
}

#[test]
fn a_full_device_pushes_back_and_room_is_told() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, 0);
    host.stack.packet_set_options(socket, Options { send_buffer: 4_096, ..Options::default() });
    let frame = ping();
    let send = Send { port: Some(host.port), payload: &frame, ..Send::default() };
    host.room = Some(0);
    let sent = std::iter::from_fn(|| host.stack.packet_send(socket, &send).ok()).count();
    assert_eq!((sent, host.sent_frames().len(), host.stack.poll_event()), (2, 0, None));
    host.room = Some(1);
    assert_eq!((host.sent_frames().len(), host.stack.poll_event()), (1, Some(Event::Packet(socket))));
    assert_eq!(host.stack.packet_send(socket, &send), Ok(()));
    host.stack.packet_close(socket);
    host.room = None;
    assert_eq!(host.sent_frames().len(), 2, "what was sent goes, though the socket is closed");
}

#[test]
fn what_a_device_cannot_do_is_done_before() {
    let datagram = udp_bytes(1, 2, &[9; 3_000]);
    let frame = ipv4_frame(ipv4::Repr { src: US, dst: PEER, ..FROM_PEER }, &datagram);
    let offload = Offload {
        checksum: Checksum::Partial { start: 34, offset: 6 },
        segmentation: Some(Segmentation { kind: SegmentKind::Udp, size: 1_000, header_len: 42 }),
    };
    for (capabilities, frames) in [(Capabilities::ALL, 1), (Capabilities::NONE, 3)] {
        let mut host = Host::with(Config::default(), capabilities, OUR_MAC, "10.0.0.1/24");
        let socket = open(&mut host, 0);
        let send = Send { port: Some(host.port), payload: &frame, offload, ..Send::default() };
        host.stack.packet_send(socket, &send).unwrap();
        let sent = host.sent_frames();
        assert_eq!(sent.len(), frames);
        assert_eq!(sent[0].1.segmentation.is_some(), frames == 1);
        let lie = Offload {
            segmentation: Some(Segmentation { kind: SegmentKind::TcpV4, size: 0, header_len: 9_000 }),
            ..offload
        };
        let lying = host.stack.packet_send(socket, &Send { offload: lie, ..send });
        assert_eq!(lying, Err(SendError::Malformed));
    }
}

#[test]
fn what_a_port_that_went_down_does_not_send_is_dropped_and_its_sender_told() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, 0);
    let frame = ping();
    host.room = Some(0);
    host.stack.packet_send(socket, &Send { port: Some(host.port), payload: &frame, ..Send::default() }).unwrap();
    assert_eq!(host.sent_frames(), []);
    let sent = host.stack.counters().link_frames_sent;
    host.stack.set_link(host.now, host.port, false);
    host.room = None;
    assert_eq!(host.sent_frames(), []);
    assert_eq!((host.dropped(Drop::LinkDown), host.stack.counters().link_frames_sent), (1, sent));
    assert_eq!(host.stack.poll_event(), Some(Event::Packet(socket)));
    assert_eq!(
        (host.stack.packet_take_error(socket), host.stack.packet_take_error(socket)),
        (Some(SendError::Down), None)
    );
}

#[test]
fn what_all_sockets_send_is_bounded_together_also_after_they_are_closed() {
    let config = Config { packet_memory: 8_192, ..Config::default() };
    let mut host = Host::with(config, Capabilities::default(), OUR_MAC, "10.0.0.1/24");
    let frame = ping();
    host.room = Some(0);
    let port = Some(host.port);
    let mut sent = 0;
    for _ in 0..10 {
        let socket = open(&mut host, 0);
        let send = Send { port, payload: &frame, ..Send::default() };
        sent += usize::from(host.stack.packet_send(socket, &send).is_ok());
        host.stack.packet_close(socket);
    }
    assert_eq!(sent, 4);
    let socket = open(&mut host, 0);
    let send = Send { port, payload: &frame, ..Send::default() };
    assert_eq!(host.stack.packet_send(socket, &send), Err(SendError::Full));
    host.room = Some(1);
    assert_eq!((host.sent_frames().len(), host.stack.poll_event()), (1, Some(Event::Packet(socket))));
    assert_eq!(host.stack.packet_send(socket, &send), Ok(()));
}

#[test]
fn a_frame_is_not_cut_into_more_pieces_than_any_of_tcp() {
    let datagram = udp_bytes(1, 2, &[9; 1_400]);
    let frame = ipv4_frame(ipv4::Repr { src: US, dst: PEER, ..FROM_PEER }, &datagram);
    let mut host = Host::with(Config::default(), Capabilities::NONE, OUR_MAC, "10.0.0.1/24");
    let socket = open(&mut host, 0);
    for (size, sent) in [(1, Err(SendError::Malformed)), (2, Ok(()))] {
        let offload = Offload {
            checksum: Checksum::Partial { start: 34, offset: 6 },
            segmentation: Some(Segmentation { kind: SegmentKind::Udp, size, header_len: 42 }),
        };
        let send = Send { port: Some(host.port), payload: &frame, offload, ..Send::default() };
        assert_eq!(host.stack.packet_send(socket, &send), sent, "{size}");
    }
    assert_eq!(host.sent_frames().len(), 700);
}
