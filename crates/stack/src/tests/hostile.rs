//! Bytes at random, and good packets cut and bent at every place: nothing panics, everything is counted, and the host
//! answers a ping afterwards.

use super::*;
use crate::Bind;
use proptest::prelude::*;
use sockeye_device::{Checksum, SegmentKind, Segmentation};
use sockeye_wire::icmpv4::UnreachableCode;

/// One of everything that a host understands.
pub(super) fn specimens() -> Vec<Vec<u8>> {
    let datagram = udp_bytes(1_000, 53, b"payload");
    let quoted = packet(ipv4::Repr { src: US, dst: PEER, ..FROM_PEER }, &datagram);
    let unreachable =
        |code| icmp_frame(&Message::DestinationUnreachable { code, next_hop_mtu: 600, original: &quoted });
    let options = [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 1, 68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut segment = vec![0; 20];
    segment[..4].copy_from_slice(&[0, 80, 0, 81]);
    segment[12] = 0x50;
    segment[13] = 2;
    vec![
        arp_request(PEER, PEER_MAC, US),
        arp_reply(PEER, PEER_MAC),
        echo_request(b"data"),
        ipv4_frame(FROM_PEER, &datagram),
        ipv4_frame(ipv4::Repr { options: &options, ..FROM_PEER }, &datagram),
        ipv4_frame(ipv4::Repr { more_fragments: true, ..FROM_PEER }, &[0; 16]),
        ipv4_frame(ipv4::Repr { fragment_offset: 16, ..FROM_PEER }, &[0; 16]),
        ipv4_frame(ipv4::Repr { protocol: Protocol::TCP, ..FROM_PEER }, &segment),
        unreachable(UnreachableCode::PORT),
        unreachable(UnreachableCode::FRAGMENTATION_NEEDED),
    ]
}

/// Mends the checksums of an IPv4 frame, so that what lies behind them is reached.
pub(super) fn mend(frame: &mut [u8]) {
    if frame.len() < 34 || frame[12..14] != [8, 0] {
        return;
    }
    let header = usize::from(frame[14] & 15) * 4;
    if header < 20 || frame.len() < 14 + header {
        return;
    }
    frame[24..26].fill(0);
    let sum = sockeye_wire::checksum::sum(&frame[14..14 + header]).finish();
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    if frame[23] == 1 && frame.len() >= 14 + header + 4 {
        let at = 14 + header;
        frame[at + 2..at + 4].fill(0);
        let sum = sockeye_wire::checksum::sum(&frame[at..]).finish();
        frame[at + 2..at + 4].copy_from_slice(&sum.to_be_bytes());
    }
}

fn host() -> Host {
    let mut host = Host::acquainted();
    let socket = host.stack.udp_open(&Bind::new(v4(Ipv4Addr::UNSPECIFIED), 1_000)).unwrap();
    host.stack.udp_connect(socket, Some((PEER, 53).into())).unwrap();
    host.stack.udp_open(&Bind::new(v4(Ipv4Addr::UNSPECIFIED), 53)).unwrap();
    host
}

#[test]
fn every_truncation_is_survived() {
    let mut host = host();
    for specimen in specimens() {
        for len in 0..=specimen.len() {
            host.arrive(&specimen[..len]);
            // The same with a total length that admits it.
            let mut honest = specimen[..len].to_vec();
            if len >= 34 && honest[12..14] == [8, 0] {
                honest[16..18].copy_from_slice(&((len - 14) as u16).to_be_bytes());
                mend(&mut honest);
                host.arrive(&honest);
            }
            host.sent();
        }
    }
    host.pass(ms(100_000));
    assert_alive(&mut host);
}

#[test]
fn every_byte_of_every_specimen_may_have_any_value() {
    let mut host = host();
    for specimen in specimens() {
        for at in 0..specimen.len() {
            for value in [0, 1, 4, 0x0f, 0x45, 0x7f, 0x80, 0xff] {
                let mut bent = specimen.clone();
                bent[at] = value;
                host.arrive(&bent);
                mend(&mut bent);
                host.arrive(&bent);
            }
            host.sent();
        }
    }
    host.pass(ms(100_000));
    assert_alive(&mut host);
}

/// Every drop is counted once: what arrives is either dropped, or answered, or delivered, or kept.
#[test]
fn nothing_vanishes_uncounted() {
    for specimen in specimens() {
        for at in 14..specimen.len() {
            let mut host = host();
            let mut bent = specimen.clone();
            bent[at] ^= 0xff;
            host.arrive(&bent);
            let counters = host.stack.counters();
            let drops: u64 = counters.drops().map(|(_, count)| count).sum();
            let taken = counters.icmp_echoes_answered
                + counters.icmp_errors_delivered
                + counters.udp_datagrams_received
                + u64::from(host.stack.reassembly_memory() > 0)
                + u64::from(specimen[12..14] == [8, 6]);
            assert!(drops + taken >= 1, "byte {at} of {}", describe(&specimen));
            assert!(drops <= 1, "byte {at} of {}: {:?}", describe(&specimen), host.drops());
        }
    }
}

proptest! {
    #[test]
    fn random_frames_are_survived(frames in proptest::collection::vec(frame_strategy(), 1..40)) {
        let mut host = host();
        for (bytes, offload) in &frames {
            host.arrive_with(bytes, *offload);
            host.sent();
        }
        host.pass(ms(40_000));
        host.sent();
        prop_assert_eq!(host.stack.reassembly_memory(), 0);
        assert_alive(&mut host);
    }
}

/// Half of them pure noise behind our address, half of them specimens with noise in them; offloads that lie.
fn frame_strategy() -> impl Strategy<Value = (Vec<u8>, Offload)> {
    let noise = (any::<bool>(), proptest::collection::vec(any::<u8>(), 0..200))
        .prop_map(|(arp, noise)| frame(PEER_MAC, OUR_MAC, if arp { EtherType::ARP } else { EtherType::IPV4 }, &noise));
    let count = specimens().len();
    let bent =
        (0..count, proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6), any::<bool>())
            .prop_map(|(which, bends, mended)| {
                let mut bytes = specimens().swap_remove(which);
                for (at, value) in bends {
                    let at = at.index(bytes.len());
                    bytes[at] = value;
                }
                // Our own hardware address, so that it gets past the first check.
                bytes[..6].copy_from_slice(&OUR_MAC.0);
                if mended {
                    mend(&mut bytes);
                }
                bytes
            });
    let checksum = prop_oneof![
        3 => Just(Checksum::Present),
        1 => Just(Checksum::Verified),
        1 => (any::<u16>(), any::<u16>()).prop_map(|(start, offset)| Checksum::Partial { start, offset }),
    ];
    let kind = prop_oneof![Just(SegmentKind::TcpV4), Just(SegmentKind::Udp)];
    let cut = proptest::option::weighted(0.2, (kind, any::<u16>(), any::<u16>()));
    let cut = cut.prop_map(|cut| cut.map(|(kind, size, header_len)| Segmentation { kind, size, header_len }));
    let offload = (checksum, cut).prop_map(|(checksum, segmentation)| Offload { checksum, segmentation });
    (prop_oneof![noise, bent], offload)
}
