//! A packet socket on a real interface, against another one and against the kernel's stack. Needs root.

mod common;
#[path = "common/tcp_by_hand.rs"]
mod tcp_by_hand;
#[path = "../src/test_frames.rs"]
#[allow(dead_code)]
mod test_frames;

use std::io;
use std::net::UdpSocket;

use common::{Lab, Namespace, receive, receive_until, wait};
use rustix::event::PollFlags;
use sockeye_device::link::{LinkEvent, LinkMonitor};
use sockeye_device::{
    Checksum, Device, MacChoice, Offload, OpenError, PacketSocket, RxBatch, RxFrame, SegmentKind, Segmentation, TxFrame,
};
use sockeye_wire::MacAddr;
use test_frames::{Tcp, assert_fit_for_a_wire, read, tcp_offload, udp, udp_offload};

/// The addresses that `test_frames` makes frames between.
const SENDER: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const RECEIVER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

fn open(namespace: &Namespace, interface: &str, mac: MacAddr) -> PacketSocket {
    namespace.enter(|| PacketSocket::open(interface, MacChoice::Fixed(mac)).expect("opens as root"))
}

fn two_sockets(lab: &Lab) -> (PacketSocket, PacketSocket) {
    (open(&lab.ours, "veth0", SENDER), open(&lab.kernel, "veth1", RECEIVER))
}

fn whole(header: &[u8], offload: Offload) -> TxFrame<'_> {
    TxFrame { header, payload: &[], offload }
}

fn plain(bytes: &[u8]) -> TxFrame<'_> {
    whole(bytes, Offload::default())
}

/// A frame that no protocol cares for, told apart by `number`.
fn numbered(number: u16, len: usize) -> Vec<u8> {
    let mut frame = [&RECEIVER.0[..], &SENDER.0, &[0x88, 0xb5]].concat();
    frame.extend(number.to_be_bytes());
    frame.resize(len, number as u8);
    frame
}

#[test]
fn small_and_large_frames_arrive_in_the_order_sent() {
    for offloads in [true, false] {
        let lab = Lab::new(offloads);
        let (mut a, mut b) = two_sockets(&lab);
        let sent: Vec<_> = (0..200).map(|n| numbered(n, if n % 7 == 0 { 1500 } else { 60 + usize::from(n) })).collect();
        for (n, frame) in sent.iter().enumerate() {
            let (header, payload) = frame.split_at(14 + n % 40);
            let payload = payload.split_at(payload.len() / 2);
            let frame = TxFrame { header, payload: &[payload.0, payload.1], offload: Offload::default() };
            a.transmit(&frame).expect("room");
        }
        a.flush().expect("flushes");
        assert!(!a.wants_writable());
        let mut received = Vec::new();
        while received.len() < sent.len() {
            received.extend(receive(&mut b).iter().map(|frame| frame.bytes().to_vec()));
        }
        assert_eq!(received, sent);
        assert_eq!((a.counters().tx_frames, b.counters().rx_frames, b.counters().rx_dropped), (200, 200, 0));
        assert_eq!(a.counters().tx_bytes, b.counters().rx_bytes);
    }
}

#[test]
fn a_tcp_super_frame_arrives_intact_with_offloads_or_without() {
    for (offloads, v6) in [(true, false), (true, true), (false, false), (false, true)] {
        let lab = Lab::new(offloads);
        let (mut a, mut b) = two_sockets(&lab);
        let bytes = Tcp { v6, sequence: 1000, flags: 0x98, payload: 60_000, ..Tcp::default() }.frame();
        let at = read(&bytes);
        let offload = tcp_offload(&bytes, 1400);
        // More slices than a call takes, and few.
        for parts in [3, 500] {
            let slices: Vec<_> = bytes[at.payload..].chunks(60_000usize.div_ceil(parts)).collect();
            let frame = TxFrame { header: &bytes[..at.payload], payload: &slices, offload };
            a.transmit(&frame).expect("room");
            a.flush().expect("flushes");
            let mut payload = Vec::new();
            let mut pieces = 0;
            let last = |frame: &RxFrame| frame.bytes()[at.transport + 13] & 0x08 != 0;
            for frame in receive_until(&mut b, last) {
                assert_eq!(frame.offload.segmentation.is_some(), offloads, "{offload:?}");
                match frame.offload.checksum {
                    Checksum::Partial { start, offset } => assert_eq!((usize::from(start), offset), (at.transport, 16)),
                    Checksum::Present | Checksum::Verified => assert_fit_for_a_wire(frame.bytes()),
                }
                payload.extend_from_slice(&frame.bytes()[at.payload..]);
                pieces += 1;
            }
            assert_eq!(payload, bytes[at.payload..]);
            assert_eq!(pieces, if offloads { 1 } else { 60_000usize.div_ceil(1400) });
        }
        assert_eq!((a.counters().tx_super_frames, a.counters().tx_errors), (2, 0));
    }
}

#[test]
fn a_super_frame_to_the_kernel_is_a_stream_and_a_stream_from_it_is_super_frames() {
    for offloads in [true, false] {
        let lab = Lab::new(offloads);
        let mut device = lab.ours.enter(|| PacketSocket::open("veth0", MacChoice::Auto)).expect("opens as root");
        assert!(device.mac().is_local() && device.mac().is_unicast());
        let seen = tcp_by_hand::exchange(&mut device, &lab.kernel, "veth1");
        assert_eq!(seen.super_frames > 0, offloads);
        assert_eq!(device.counters().tx_errors, 0);
    }
}

#[test]
fn datagrams_reach_the_kernel_and_come_from_it() {
    for offloads in [true, false] {
        let lab = Lab::new(offloads);
        let mut device = open(&lab.ours, "veth0", SENDER);
        lab.kernel.run("ip link set veth1 address 02:00:00:00:00:02");
        lab.kernel.run("ip addr del 10.9.0.1/24 dev veth1");
        lab.kernel.run("ip addr add 10.9.0.2/24 dev veth1");
        lab.kernel.run("ip neigh replace 10.9.0.1 lladdr 02:00:00:00:00:01 dev veth1");
        let socket = lab.kernel.enter(|| UdpSocket::bind("10.9.0.2:53").expect("binds"));
        socket.set_read_timeout(Some(std::time::Duration::from_secs(60))).expect("is not zero");

        // One with a partial checksum, then a super-frame of three.
        let one = udp(false, 700);
        let partial = Offload { segmentation: None, ..udp_offload(&one, 1) };
        device.transmit(&whole(&one, partial)).expect("room");
        let three = udp(false, 2500);
        device.transmit(&whole(&three, udp_offload(&three, 1000))).expect("room");
        device.flush().expect("flushes");
        let mut buffer = [0; 3000];
        for expected in [&one[42..], &three[42..1042], &three[1042..2042], &three[2042..]] {
            let (len, from) = socket.recv_from(&mut buffer).expect("a datagram in time");
            assert_eq!(from.to_string(), "10.9.0.1:12345");
            assert_eq!(&buffer[..len], expected);
        }

        socket.send_to(&buffer[..900], "10.9.0.1:7").expect("sends");
        let frames = receive_until(&mut device, |frame| frame.bytes()[12..14] == [0x08, 0x00]);
        let frame = frames.last().expect("is one");
        assert_eq!(frame.bytes()[42..], buffer[..900]);
        match frame.offload.checksum {
            Checksum::Partial { start, offset } => assert_eq!((start, offset, offloads), (34, 6, true)),
            Checksum::Present | Checksum::Verified => assert_fit_for_a_wire(frame.bytes()),
        }
    }
}

#[test]
fn what_is_for_others_costs_nothing() {
    let lab = Lab::new(true);
    let mut device = open(&lab.ours, "veth0", SENDER);
    lab.kernel.run("ip neigh replace 10.9.0.7 lladdr 02:00:00:00:00:07 dev veth1");
    // Differs in the last byte, and in the first.
    lab.kernel.run("ip neigh replace 10.9.0.8 lladdr 06:00:00:00:00:01 dev veth1");
    lab.kernel.run("ip neigh replace 10.9.0.9 lladdr 02:00:00:00:00:01 dev veth1");
    lab.kernel.enter(|| {
        let socket = UdpSocket::bind("10.9.0.1:0").expect("binds");
        socket.set_broadcast(true).expect("sets");
        for _ in 0..100 {
            socket.send_to(b"for others", "10.9.0.7:9").expect("sends");
            socket.send_to(b"for others", "10.9.0.8:9").expect("sends");
        }
        socket.send_to(b"for all", "10.9.0.255:9").expect("sends");
        socket.send_to(b"for a group", "224.0.0.251:9").expect("sends");
        socket.send_to(b"for us", "10.9.0.9:9").expect("sends");
    });
    let frames = receive_until(&mut device, |frame| frame.bytes().ends_with(b"for us"));
    let payloads: Vec<_> = frames.iter().map(|frame| &frame.bytes()[42..]).collect();
    assert_eq!(payloads, [&b"for all"[..], b"for a group", b"for us"]);
    assert_eq!((device.counters().rx_frames, device.counters().rx_dropped), (3, 0));
}

#[test]
fn a_tag_that_the_kernel_took_out_is_put_back() {
    for offloads in [true, false] {
        let lab = Lab::new(offloads);
        let (mut a, mut b) = two_sockets(&lab);
        let mut small = numbered(1, 100);
        small.splice(12..12, [0x81, 0x00, 0x60, 0x05]);
        a.transmit(&plain(&small)).expect("room");
        a.flush().expect("flushes");
        assert_eq!(receive(&mut b)[0].bytes(), small);

        let bytes = Tcp { tags: 1, flags: 0x18, payload: 20_000, ..Tcp::default() }.frame();
        let offload = tcp_offload(&bytes, 1400);
        a.transmit(&whole(&bytes, offload)).expect("room");
        let at = read(&bytes);
        let mut payload = Vec::new();
        for frame in receive_until(&mut b, |frame| frame.bytes()[at.transport + 13] & 0x08 != 0) {
            assert_eq!(frame.bytes()[12..16], [0x81, 0, 0, 5]);
            match frame.offload.checksum {
                Checksum::Partial { start, offset } => assert_eq!((usize::from(start), offset), (at.transport, 16)),
                Checksum::Present | Checksum::Verified => assert_fit_for_a_wire(frame.bytes()),
            }
            if let Some(segmentation) = frame.offload.segmentation {
                assert_eq!(usize::from(segmentation.header_len), at.payload);
            }
            payload.extend_from_slice(&frame.bytes()[at.payload..]);
        }
        assert_eq!(payload, bytes[at.payload..]);
    }
}

#[test]
fn a_link_goes_down_and_comes_back() {
    let lab = Lab::new(true);
    let (mut a, mut b) = two_sockets(&lab);
    let mut monitor = lab.ours.enter(|| LinkMonitor::open().expect("needs nothing"));
    let mut wait_for = |running: bool| loop {
        match monitor.poll_event().expect("reads") {
            Some(LinkEvent::Changed(link)) if link.name == "veth0" && link.is_running() == running => return,
            Some(_) => {}
            None => wait(&monitor, PollFlags::IN),
        }
    };
    let frame = numbered(1, 100);
    a.transmit(&plain(&frame)).expect("room");
    a.flush().expect("flushes");
    assert_eq!(receive(&mut b).len(), 1);
    assert!(a.link_up());

    lab.ours.run("ip link set veth0 down");
    wait_for(false);
    let mut batch = RxBatch::new(4);
    assert_eq!(a.receive(&mut batch).expect("is no error"), 0);
    assert!(!a.link_up());
    a.transmit(&plain(&frame)).expect("is lost, as on a wire");
    a.flush().expect("is no error");
    a.transmit(&plain(&numbered(1, 1514))).expect("is lost, as on a wire");
    a.flush().expect("is no error");
    assert!(!a.wants_writable());
    assert_eq!((a.counters().link_lost, a.counters().tx_dropped, a.counters().tx_frames), (1, 2, 1));

    lab.ours.run("ip link set veth0 up");
    wait_for(true);
    assert!(a.link_up());
    // The other side saw its carrier go.
    assert_eq!(b.receive(&mut batch).expect("is no error"), 0);
    let back = numbered(2, 100);
    a.transmit(&plain(&back)).expect("room");
    a.flush().expect("flushes");
    assert_eq!(receive(&mut b)[0].bytes(), back);
    let mut answer = numbered(3, 100);
    answer[..6].copy_from_slice(&SENDER.0);
    b.transmit(&plain(&answer)).expect("room");
    b.flush().expect("flushes");
    assert_eq!(receive(&mut a)[0].bytes(), answer);
}

#[test]
fn an_interface_that_is_removed_is_an_error() {
    let lab = Lab::new(true);
    let mut device = open(&lab.ours, "veth0", SENDER);
    lab.kernel.run("ip link del veth1");
    let mut batch = RxBatch::new(4);
    let error = loop {
        match device.receive(&mut batch) {
            Ok(_) => wait(&device.as_fd().expect("has one"), PollFlags::IN),
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::NotFound, "interface veth0 is gone"));
    device.transmit(&plain(&numbered(1, 100))).expect("is lost");
    device.flush().expect("is no error");
    assert_eq!(device.counters().tx_dropped, 1);
}

#[test]
fn a_full_queue_pushes_back_and_loses_nothing() {
    let lab = Lab::new(true);
    let (mut a, mut b) = two_sockets(&lab);
    // Slow enough that the socket's buffer fills; the queue itself is deeper than that.
    lab.ours.run("tc qdisc add dev veth0 root tbf rate 200mbit burst 200kb limit 100mb");
    let bytes = Tcp { payload: 60_000, ..Tcp::default() }.frame();
    let large = whole(&bytes, tcp_offload(&bytes, 1448));
    let mut sent = 0;
    while a.transmit(&large).is_ok() {
        sent += 1;
        assert!(sent < 1000, "nobody pushes back");
    }
    let filler = numbered(7, 1000);
    while a.transmit(&plain(&filler)).is_ok() {
        sent += 1;
        assert!(sent < 100_000, "nobody pushes back");
    }
    a.flush().expect("flushes");
    assert!(a.wants_writable());
    assert!(a.counters().tx_full >= 2);
    while a.wants_writable() {
        wait(&a.as_fd().expect("has one"), PollFlags::OUT);
        a.flush().expect("flushes");
    }
    a.transmit(&plain(&numbered(9, 100))).expect("room again");
    a.flush().expect("flushes");
    let frames = receive_until(&mut b, |frame| frame.bytes()[12..16] == [0x88, 0xb5, 0, 9]);
    assert_eq!(frames.len(), sent + 1);
    assert_eq!((a.counters().tx_dropped, b.counters().rx_dropped), (0, 0));
}

#[test]
fn frames_that_cannot_be_sent_are_counted() {
    let lab = Lab::new(true);
    let (mut a, mut b) = two_sockets(&lab);
    let small = Tcp { payload: 100, ..Tcp::default() }.frame();
    let beyond = Offload { checksum: Checksum::Partial { start: 60_000, offset: 16 }, segmentation: None };
    let absurd = Segmentation { kind: SegmentKind::TcpV4, size: 0, header_len: 60_000 };
    for frame in [
        plain(&numbered(1, 1600)),
        plain(&numbered(1, 3000)),
        plain(&[1, 2, 3]),
        plain(&vec![0; 70_000]),
        whole(&small, beyond),
        whole(&small, Offload { segmentation: Some(absurd), ..beyond }),
        whole(&small, Offload { checksum: Checksum::Present, ..tcp_offload(&small, 50) }),
    ] {
        a.transmit(&frame).expect("is taken and counted");
    }
    a.transmit(&plain(&numbered(2, 100))).expect("room");
    a.flush().expect("flushes");
    assert_eq!(receive(&mut b)[0].bytes(), numbered(2, 100));
    assert_eq!((a.counters().tx_errors, a.counters().tx_frames), (7, 1));
}

#[test]
fn what_cannot_be_opened_says_why() {
    let lab = Lab::new(true);
    lab.ours.enter(|| {
        let open = |name: &str, mac| PacketSocket::open(name, mac).expect_err("cannot be opened");
        assert!(matches!(open("veth7", MacChoice::Auto), OpenError::NoSuchInterface { .. }));
        assert!(matches!(open("lo", MacChoice::Auto), OpenError::NotEthernet { .. }));
        assert!(matches!(open("much-too-long-for-one", MacChoice::Auto), OpenError::BadName { .. }));
        assert!(matches!(open("veth0", MacChoice::Fixed(MacAddr::BROADCAST)), OpenError::BadMac { .. }));
        rustix::thread::set_capabilities(
            None,
            rustix::thread::CapabilitySets {
                effective: rustix::thread::CapabilitySet::empty(),
                permitted: rustix::thread::CapabilitySet::empty(),
                inheritable: rustix::thread::CapabilitySet::empty(),
            },
        )
        .expect("may always be dropped, by this thread");
        let error = open("veth0", MacChoice::Auto);
        assert!(matches!(error, OpenError::Permission { .. }), "{error}");
        assert!(error.to_string().contains("veth0") && error.to_string().contains("CAP_NET_RAW"), "{error}");
    });
    lab.ours.run("ip link set veth0 down");
    let error = lab.ours.enter(|| PacketSocket::open("veth0", MacChoice::Auto)).expect_err("is down");
    assert_eq!(error.to_string(), "interface veth0 is down: bring it up with `ip link set veth0 up`");
}

#[test]
fn an_own_address_is_the_same_each_time_and_the_interfaces_may_be_had() {
    let lab = Lab::new(true);
    let mac = |choice| lab.ours.enter(|| PacketSocket::open("veth0", choice).expect("opens as root").mac());
    assert_eq!(mac(MacChoice::Auto), mac(MacChoice::Auto));
    assert_ne!(mac(MacChoice::Auto), lab.ours.mac("veth0"));
    assert_eq!(mac(MacChoice::Inherit), lab.ours.mac("veth0"));
}
