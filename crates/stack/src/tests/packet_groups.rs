//! Groups of packet sockets.

use super::*;
use crate::packet::{ALL_PROTOCOLS, Choice, Fanout, JoinError, Options, RolloverStatistics, Send, SocketId};
use sockeye_filter::{Program, parse};
use std::sync::Arc;

const FLOWS: Fanout = Fanout {
    id: Some(7),
    kind: 0,
    choice: Choice::Flow,
    flags: 0,
    rollover: false,
    ignore_outgoing: false,
    most: None,
};

fn group(host: &mut Host, fanout: &Fanout, count: usize) -> Vec<SocketId> {
    let members: Vec<_> = (0..count).map(|_| host.stack.packet_open(false, ALL_PROTOCOLS)).collect();
    for &member in &members {
        host.stack.packet_join(member, fanout).unwrap();
    }
    members
}

/// How many frames each has.
fn got(host: &mut Host, members: &[SocketId]) -> Vec<usize> {
    let count = |member: &SocketId| std::iter::from_fn(|| host.stack.packet_recv(*member)).count();
    members.iter().map(count).collect()
}

/// A datagram to somebody else, of which nothing comes.
fn datagram(from: Ipv4Addr, to: Ipv4Addr, ports: (u16, u16)) -> Vec<u8> {
    let mut frame = ipv4_frame(ipv4::Repr { src: from, dst: to, ..FROM_PEER }, &udp_bytes(ports.0, ports.1, b"data"));
    frame[0] = 0x04;
    frame
}

#[test]
fn a_flow_stays_with_one_in_both_directions_and_in_fragments() {
    let mut host = Host::acquainted();
    let members = group(&mut host, &FLOWS, 4);
    let mut shares = [0; 4];
    for port in 0..40 {
        for frame in [datagram(US, PEER, (port, 9)), datagram(PEER, US, (9, port)), datagram(US, PEER, (port, 9))] {
            host.arrive(&frame);
        }
        let got = got(&mut host, &members);
        assert_eq!((got.iter().sum::<usize>(), got.iter().max()), (3, Some(&3)), "{got:?}");
        shares.iter_mut().zip(got).for_each(|(share, got)| *share += got / 3);
    }
    assert!(shares.iter().all(|&share| share > 0), "{shares:?}");
    // Of fragments only the first has ports.
    for flags in [0x2000_u16, 0x2010, 0x0020] {
        let mut fragment = datagram(US, PEER, (flags, 9));
        fragment[20..22].copy_from_slice(&flags.to_be_bytes());
        host.arrive(&fragment);
    }
    assert_eq!(got(&mut host, &members).iter().max(), Some(&3));
}

#[test]
fn turns_are_taken_and_one_who_has_gone_takes_none() {
    let mut host = Host::acquainted();
    let mut members = group(&mut host, &Fanout { kind: 1, choice: Choice::Turns, ..FLOWS }, 3);
    let frame = datagram(US, PEER, (1, 2));
    (0..9).for_each(|_| host.arrive(&frame));
    assert_eq!(got(&mut host, &members), [3, 3, 3]);
    host.stack.packet_close(members.remove(0));
    (0..8).for_each(|_| host.arrive(&frame));
    assert_eq!(got(&mut host, &members), [4, 4]);
    members.drain(..).for_each(|member| host.stack.packet_close(member));
    assert!(!host.stack.is_watched());
    group(&mut host, &FLOWS, 1);
}

#[test]
fn what_one_of_them_sends_is_shown_to_none_of_them() {
    let mut host = Host::acquainted();
    let members = group(&mut host, &FLOWS, 2);
    let other = host.stack.packet_open(false, ALL_PROTOCOLS);
    let frame = datagram(US, PEER, (1, 2));
    let send = Send { port: Some(host.port), payload: &frame, ..Send::default() };
    host.stack.packet_send(members[0], &send).unwrap();
    host.stack.packet_send(other, &send).unwrap();
    host.sent_frames();
    assert_eq!(got(&mut host, &members).iter().sum::<usize>(), 1);
    assert_eq!(got(&mut host, &[other]), [1]);
}

#[test]
fn who_is_full_hands_over() {
    let mut host = Host::acquainted();
    let fanout = Fanout { kind: 6, choice: Choice::Program, flags: 0x10, rollover: true, ..FLOWS };
    let members = group(&mut host, &fanout, 3);
    for &member in &members {
        host.stack.packet_set_options(member, Options { receive_buffer: 4_000, ..Options::default() });
    }
    // The second one.
    let program = Program::new(&parse("1\n6 0 0 4\n").unwrap()).unwrap();
    host.stack.packet_set_choice(members[0], Arc::new(program));
    for port in 0..12 {
        host.arrive(&datagram(US, PEER, (port, 9)));
    }
    let shares = got(&mut host, &members);
    assert_eq!(shares.iter().sum::<usize>(), 12);
    assert!(shares[1] > shares[0].max(shares[2]), "{shares:?}");
    let RolloverStatistics { all, huge, failed } = host.stack.packet_rollover(members[1]).unwrap();
    assert_eq!((all as usize, huge, failed), (shares[0] + shares[2], 0, 0));
    // When nobody has room, its own is where it is dropped.
    for port in 0..40 {
        host.arrive(&datagram(US, PEER, (port, 9)));
    }
    let failed = host.stack.packet_rollover(members[1]).unwrap().failed;
    let drops = u64::from(host.stack.packet_take_statistics(members[1]).drops);
    assert!(0 < drops && drops <= failed && drops == host.dropped(Drop::PacketReceiveBuffer), "{drops} {failed}");
    // One flow that is most of what comes goes elsewhere before there is no room at all.
    got(&mut host, &members);
    host.stack.packet_set_options(members[1], Options { receive_buffer: 100_000, ..Options::default() });
    for _ in 0..200 {
        host.arrive(&datagram(US, PEER, (1, 9)));
        got(&mut host, &[members[0], members[2]]);
    }
    assert!(host.stack.packet_rollover(members[1]).unwrap().huge > 0);
}

#[test]
fn a_group_is_of_one_kind() {
    let mut host = Host::acquainted();
    let first = group(&mut host, &Fanout { most: Some(2), ..FLOWS }, 1)[0];
    let other = host.stack.packet_open(false, ALL_PROTOCOLS);
    for wrong in [Fanout { kind: 1, ..FLOWS }, Fanout { flags: 0x10, ..FLOWS }, Fanout { most: Some(3), ..FLOWS }] {
        assert_eq!(host.stack.packet_join(other, &wrong), Err(JoinError::Different));
    }
    let bound = host.stack.packet_open(false, 0x0800);
    assert_eq!(host.stack.packet_join(bound, &FLOWS), Err(JoinError::Different));
    assert_eq!(host.stack.packet_join(first, &FLOWS), Err(JoinError::Member));
    assert_eq!(host.stack.packet_join(other, &FLOWS), Ok(()));
    let third = host.stack.packet_open(false, ALL_PROTOCOLS);
    assert_eq!(host.stack.packet_join(third, &FLOWS), Err(JoinError::Full));
    assert_eq!(host.stack.packet_join(third, &Fanout { id: None, ..FLOWS }), Ok(()));
    assert_eq!(host.stack.packet_group(third), Some((0, 0, 0)));
    assert_eq!(host.stack.packet_group(other), Some((7, 0, 0)));
}
