//! What goes and what comes, byte by byte.

use sockeye_control::ancillary::{messages, put};
use sockeye_device::Instant;
use sockeye_socket::names::{
    IP_PKTINFO, IP_TOS, IP_TTL, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP, IPV6_DSTOPTS, IPV6_HOPLIMIT, IPV6_HOPOPTS,
    SCM_RIGHTS, SO_TIMESTAMP, SOL_SOCKET, UDP_SEGMENT,
};
use sockeye_socket::settings::{Ipv6Settings, TimestampKind};
use sockeye_socket::{Errno, Privilege, Settings};

use super::*;

fn v6() -> Settings {
    let ipv6 = Ipv6Settings { packet_info: true, receive_hops: true, receive_class: true, ..Default::default() };
    Settings { ipv6: Some(ipv6), ..Settings::default() }
}

fn arrival(to: &str) -> Arrival<'static> {
    Arrival {
        at: Instant::ZERO,
        to: to.parse().unwrap(),
        port: 3,
        ttl: 7,
        tos: 0x28,
        fragment_size: 0,
        lost: 0,
        segment: 0,
        error: false,
        headers: &[],
    }
}

#[test]
fn what_is_received_can_be_sent() {
    let mut settings = Settings::default();
    settings.ip.packet_info = true;
    settings.ip.receive_ttl = true;
    settings.ip.receive_tos = true;
    let expected = |from: &str| Attached {
        from: Some(from.parse().unwrap()),
        port: 3,
        ttl: Some(7),
        tos: Some(0x28),
        ..Attached::default()
    };
    let mut bytes = Vec::new();
    list(&mut bytes, &settings, Instant::ZERO, &arrival("10.0.0.9:53"));
    assert_eq!(Attached::read(&bytes, &settings, Privilege::User, true), Ok(expected("10.0.0.9")));
    bytes.clear();
    list(&mut bytes, &v6(), Instant::ZERO, &arrival("[2001:db8::9]:53"));
    assert_eq!(Attached::read(&bytes, &v6(), Privilege::User, false), Ok(expected("2001:db8::9")));
    // Of IPv4 an IPv6 socket is told the destination only, mapped.
    bytes.clear();
    list(&mut bytes, &v6(), Instant::ZERO, &arrival("10.0.0.9:53"));
    let mapped = Attached { from: Some("10.0.0.9".parse().unwrap()), port: 3, ..Attached::default() };
    assert_eq!(Attached::read(&bytes, &v6(), Privilege::User, true), Ok(mapped));
    assert_eq!(Attached::read(&bytes, &v6(), Privilege::User, false), Err(Errno::EINVAL));
    // The time is for receiving only.
    settings.timestamp = Some(TimestampKind::Nanos);
    bytes.clear();
    list(&mut bytes, &settings, Instant::ZERO, &arrival("10.0.0.9:53"));
    assert_eq!(Attached::read(&bytes, &settings, Privilege::User, true), Err(Errno::EINVAL));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let one = |level, kind, data: &[u8]| {
        let mut list = Vec::new();
        put(&mut list, level, kind, data);
        list
    };
    let v4 = Settings::default();
    let refused: [(i32, i32, &[u8]); 9] = [
        (IPPROTO_IP, IP_TTL, &256i32.to_ne_bytes()),
        (IPPROTO_IP, IP_TTL, &0i32.to_ne_bytes()),
        (IPPROTO_IP, IP_TTL, &(-1i32).to_ne_bytes()),
        (IPPROTO_IP, IP_TTL, &[1]),
        (IPPROTO_IP, IP_TOS, &[1, 2]),
        (IPPROTO_IP, IP_PKTINFO, &[0; 20]),
        (IPPROTO_IP, 99, &[0; 4]),
        (IPPROTO_UDP, UDP_SEGMENT, &[0; 4]),
        (SOL_SOCKET, SO_TIMESTAMP, &[0; 16]),
    ];
    for (level, kind, data) in refused {
        let read = Attached::read(&one(level, kind, data), &v4, Privilege::User, true).map(drop);
        assert_eq!(read, Err(Errno::EINVAL), "{level} {kind} {data:?}");
    }
    // For others: level IPv6 of an IPv4 socket, a level that nobody knows, a descriptor.
    for (level, kind) in [(IPPROTO_IPV6, IPV6_HOPLIMIT), (77, 99), (SOL_SOCKET, SCM_RIGHTS)] {
        let list = one(level, kind, &[0; 4]);
        assert_eq!(Attached::read(&list, &v4, Privilege::User, true), Ok(Attached::default()));
    }
    let own = one(IPPROTO_IPV6, IPV6_HOPLIMIT, &(-1i32).to_ne_bytes());
    assert_eq!(Attached::read(&own, &v6(), Privilege::User, false), Ok(Attached::default()));
    assert_eq!(Attached::read(&[0xff; 40], &v4, Privilege::User, true), Err(Errno::EINVAL));
}

#[test]
fn extension_headers_come_and_go_whole() {
    let options = [0xff, 0, 1, 4, 0, 0, 0, 0];
    let mut sent = Vec::new();
    put(&mut sent, IPPROTO_IPV6, IPV6_DSTOPTS, &options);
    put(&mut sent, IPPROTO_IPV6, IPV6_HOPOPTS, &options);
    assert_eq!(Attached::read(&sent, &v6(), Privilege::User, false), Err(Errno::EPERM));
    let read = Attached::read(&sent, &v6(), Privilege::Administrator, false).unwrap();
    assert_eq!((read.headers.hop_by_hop, read.headers.destination), (Some(&options[..]), Some(&options[..])));
    put(&mut sent, IPPROTO_IPV6, IPV6_HOPOPTS, &options);
    assert_eq!(Attached::read(&sent, &v6(), Privilege::Administrator, false), Err(Errno::EINVAL));

    let mut settings = v6();
    for name in [sockeye_socket::names::IPV6_RECVHOPOPTS, sockeye_socket::names::IPV6_RECVDSTOPTS] {
        settings.set(false, Privilege::User, IPPROTO_IPV6, name, &1i32.to_ne_bytes()).unwrap();
    }
    let mut headers = vec![0; 40];
    headers[6] = 0;
    headers.extend([60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 5, 2, 0, 0, 1, 0]);
    let mut bytes = Vec::new();
    list(&mut bytes, &settings, Instant::ZERO, &Arrival { headers: &headers, ..arrival("[2001:db8::9]:53") });
    let found: Vec<_> = messages(&bytes).flatten().skip(3).map(|message| (message.kind, message.data)).collect();
    assert_eq!(found, [(IPV6_HOPOPTS, &headers[40..48]), (IPV6_DSTOPTS, &headers[48..])]);
    for len in 0..headers.len() {
        // Whatever is cut off, nothing breaks.
        let arrival = Arrival { headers: &headers[..len], ..arrival("[2001:db8::9]:53") };
        list(&mut Vec::new(), &settings, Instant::ZERO, &arrival);
    }
}
