//! A TAP, with the kernel as the other host. Needs root.

mod common;
#[path = "common/tcp_by_hand.rs"]
mod tcp_by_hand;
#[path = "../src/test_frames.rs"]
#[allow(dead_code)]
mod test_frames;

use std::net::UdpSocket;
use std::time::Duration;

use common::{Namespace, receive_until, wait};
use rustix::event::PollFlags;
use sockeye_device::link::{Link, LinkEvent, LinkMonitor};
use sockeye_device::{
    Checksum, Device, MacChoice, Offload, OpenError, RxBatch, SegmentKind, Segmentation, Tap, TxFrame,
};
use sockeye_wire::{EtherType, MacAddr, arp, ethernet};
use test_frames::{Tcp, tcp_offload, udp, udp_offload};

/// A namespace whose only interface is a TAP with 10.9.0.1/24.
fn tap() -> (Namespace, Tap) {
    let namespace = Namespace::new();
    let tap = namespace.enter(|| Tap::open("tap0", MacChoice::Auto)).expect("opens as root");
    namespace.run("ip addr add 10.9.0.1/24 dev tap0");
    (namespace, tap)
}

fn plain(bytes: &[u8]) -> TxFrame<'_> {
    TxFrame { header: bytes, payload: &[], offload: Offload::default() }
}

#[test]
fn the_kernel_resolves_us_and_talks_to_us() {
    let (namespace, mut tap) = tap();
    assert!(tap.link_up());
    let socket = namespace.enter(|| UdpSocket::bind("10.9.0.1:53").expect("binds"));
    let message: Vec<u8> = (0..1000).map(|n| n as u8).collect();
    socket.send_to(&message, "10.9.0.2:12345").expect("sends");

    let frames = receive_until(&mut tap, |frame| frame.bytes()[12..14] == [0x08, 0x06]);
    let question = ethernet::Frame::parse(frames.last().expect("is one").bytes()).expect("a frame");
    let question = arp::Repr::parse(question.payload()).expect("a question");
    assert_eq!((question.operation, question.target_ip.octets()), (arp::Operation::REQUEST, [10, 9, 0, 2]));
    let answer = arp::Repr {
        operation: arp::Operation::REPLY,
        sender_mac: tap.mac(),
        sender_ip: question.target_ip,
        target_mac: question.sender_mac,
        target_ip: question.sender_ip,
    };
    let link = ethernet::Repr { dst: question.sender_mac, src: tap.mac(), vlan: None, ether_type: EtherType::ARP };
    let mut frame = [0; ethernet::HEADER_LEN + arp::LEN];
    let at = link.emit(&mut frame);
    answer.emit(&mut frame[at..]);
    tap.transmit(&plain(&frame)).expect("room");

    let frames = receive_until(&mut tap, |frame| frame.bytes()[12..14] == [0x08, 0x00]);
    let frame = frames.last().expect("is one");
    assert_eq!(frame.bytes()[..6], tap.mac().0);
    assert_eq!(frame.bytes()[42..], message);
    assert_eq!(frame.offload.checksum, Checksum::Partial { start: 34, offset: 6 });
}

#[test]
fn super_frames_pass_both_ways() {
    let (namespace, mut tap) = tap();
    let seen = tcp_by_hand::exchange(&mut tap, &namespace, "tap0");
    assert!(seen.super_frames > 0);
    assert!(tap.counters().tx_super_frames > 0 && tap.counters().rx_super_frames > 0);
    assert_eq!((tap.counters().tx_errors, tap.counters().rx_errors), (0, 0));
}

#[test]
fn a_super_frame_of_datagrams_is_datagrams() {
    let (namespace, mut tap) = tap();
    if !tap.capabilities().udp {
        panic!("this kernel has no UDP segmentation on a TAP (it came with 6.2)");
    }
    namespace.run("ip link set tap0 address 02:00:00:00:00:02");
    namespace.run("ip addr del 10.9.0.1/24 dev tap0");
    namespace.run("ip addr add 10.9.0.2/24 dev tap0");
    let socket = namespace.enter(|| UdpSocket::bind("10.9.0.2:53").expect("binds"));
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("is not zero");
    let bytes = udp(false, 2500);
    let frame = TxFrame { offload: udp_offload(&bytes, 1000), ..plain(&bytes) };
    tap.transmit(&frame).expect("room");
    let mut buffer = [0; 3000];
    for expected in [&bytes[42..1042], &bytes[1042..2042], &bytes[2042..]] {
        let len = socket.recv(&mut buffer).expect("a datagram in time");
        assert_eq!(&buffer[..len], expected);
    }
}

#[test]
fn the_interface_goes_down_and_comes_back() {
    let (namespace, mut tap) = tap();
    let bytes = Tcp { payload: 5000, ..Tcp::default() }.frame();
    let large = TxFrame { offload: tcp_offload(&bytes, 1000), ..plain(&bytes) };
    tap.transmit(&large).expect("room");
    namespace.run("ip link set tap0 down");
    tap.transmit(&large).expect("is lost, as on a wire");
    assert!(!tap.link_up());
    assert_eq!((tap.counters().tx_dropped, tap.counters().link_lost, tap.counters().tx_frames), (1, 1, 1));
    tap.receive(&mut RxBatch::new(4)).expect("is no error");
    namespace.run("ip link set tap0 up");
    assert!(tap.link_up());
    tap.transmit(&large).expect("room");
    assert_eq!(tap.counters().tx_frames, 2);
}

#[test]
fn frames_that_cannot_be_sent_are_counted() {
    let (_namespace, mut tap) = tap();
    let bytes = Tcp { payload: 100, ..Tcp::default() }.frame();
    let beyond = Offload { checksum: Checksum::Partial { start: 60_000, offset: 16 }, segmentation: None };
    let absurd = Segmentation { kind: SegmentKind::TcpV4, size: 0, header_len: 60_000 };
    for frame in [
        plain(&[0; 1600]),
        plain(&[0; 10]),
        plain(&vec![0; 70_000]),
        TxFrame { offload: beyond, ..plain(&bytes) },
        TxFrame { offload: Offload { segmentation: Some(absurd), ..beyond }, ..plain(&bytes) },
        TxFrame { offload: Offload { checksum: Checksum::Present, ..tcp_offload(&bytes, 50) }, ..plain(&bytes) },
    ] {
        tap.transmit(&frame).expect("is taken and counted");
    }
    assert_eq!((tap.counters().tx_errors, tap.counters().tx_frames), (6, 0));
}

#[test]
fn it_is_gone_when_closed_and_an_existing_one_stays() {
    let (namespace, tap) = tap();
    let link = || namespace.enter(|| Link::by_name("tap0"));
    let index = link().expect("is there").index;
    let mut monitor = namespace.enter(|| LinkMonitor::open().expect("needs nothing"));
    drop(tap);
    // Not at once: another test's child process may still hold a copy of the descriptor, until it runs its program.
    loop {
        match monitor.poll_event().expect("reads") {
            Some(LinkEvent::Removed { index: removed }) if removed == index => break,
            Some(_) => {}
            None => wait(&monitor, PollFlags::IN),
        }
    }
    assert!(link().is_err());
    namespace.run("ip tuntap add tap0 mode tap");
    let tap = namespace.enter(|| Tap::open("tap0", MacChoice::Auto)).expect("attaches");
    assert!(tap.link_up());
    drop(tap);
    assert!(link().is_ok());
}

#[test]
fn one_that_is_removed_is_an_error() {
    let (namespace, mut tap) = tap();
    namespace.run("ip link del tap0");
    let mut batch = RxBatch::new(4);
    let error = loop {
        if let Err(error) = tap.receive(&mut batch) {
            break error;
        }
    };
    assert_eq!(error.to_string(), "interface tap0 is gone");
    tap.transmit(&plain(&[0; 60])).expect("is lost");
    assert_eq!(tap.counters().tx_dropped, 1);
}

#[test]
fn what_cannot_be_opened_says_why() {
    let (namespace, _tap) = tap();
    namespace.run("ip link add dummy0 type veth peer name dummy1");
    namespace.enter(|| {
        let open = |name: &str, mac| Tap::open(name, mac).expect_err("cannot be opened");
        assert!(matches!(open("tap0", MacChoice::Auto), OpenError::Busy { .. }));
        assert!(matches!(open("dummy0", MacChoice::Auto), OpenError::NotTap { .. }));
        assert!(matches!(open("tap1", MacChoice::Inherit), OpenError::NothingToInherit { .. }));
        assert!(matches!(open("a/b", MacChoice::Auto), OpenError::BadName { .. }));
        assert!(matches!(open("tap1", MacChoice::Fixed(MacAddr::ZERO)), OpenError::BadMac { .. }));
        rustix::thread::set_capabilities(
            None,
            rustix::thread::CapabilitySets {
                effective: rustix::thread::CapabilitySet::empty(),
                permitted: rustix::thread::CapabilitySet::empty(),
                inheritable: rustix::thread::CapabilitySet::empty(),
            },
        )
        .expect("may always be dropped, by this thread");
        let error = open("tap1", MacChoice::Auto);
        assert!(matches!(error, OpenError::Permission { .. }), "{error}");
    });
}
