//! Addresses that two stations claim, and addresses that a port chooses for itself.

use super::*;

const THIRD_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);

/// `mac` asks whether `target` is free.
fn probe(mac: MacAddr, target: Ipv4Addr) -> Vec<u8> {
    arp_request(Ipv4Addr::UNSPECIFIED, mac, target)
}

#[test]
fn an_address_that_was_given_serves_at_once_and_conflicts_are_remembered() {
    let mut stack = Stack::new(Config::default(), [1; 32]);
    let now = Instant::from_millis(1_000);
    let capabilities = Capabilities::default();
    let port = stack.add_port(PortConfig { name: "eth0".into(), mac: OUR_MAC, mtu: 1_500, capabilities });
    stack.add_address(now, port, prefix("10.0.0.1/24"));
    let mut host = Host { stack, port, now, room: None };
    assert_eq!(host.sent(), ["arp probe 10.0.0.1", "arp announce 10.0.0.1"]);
    host.arrive(&arp_reply(US, THIRD_MAC));
    host.arrive(&arp_reply(US, THIRD_MAC));
    host.arrive(&arp_reply(US, PEER_MAC));
    assert_eq!(host.sent(), ["arp announce 10.0.0.1"], "defended once");
    assert_eq!(host.dropped(Drop::ArpConflict), 3);
    let told: Vec<_> = std::iter::from_fn(|| host.stack.poll_conflict()).map(|told| told.station).collect();
    assert_eq!(told.len(), 2, "each station once");
    let [conflict] = host.stack.conflicts() else { panic!("one address") };
    assert_eq!((conflict.address, conflict.station, conflict.count), (US, PEER_MAC, 3));
    // It is served on; and who asks before he takes it is told.
    host.arrive(&probe(THIRD_MAC, US));
    assert_eq!(host.sent(), ["arp 10.0.0.1 is-at 02:00:00:00:00:01"]);
}

/// A host without an address, and the one that it asks for.
fn chooser() -> (Host, Ipv4Addr) {
    let mut stack = Stack::new(Config::default(), [1; 32]);
    let now = Instant::from_millis(1_000);
    let capabilities = Capabilities::default();
    let port = stack.add_port(PortConfig { name: "eth0".into(), mac: OUR_MAC, mtu: 1_500, capabilities });
    stack.choose_address(now, port);
    let mut host = Host { stack, port, now, room: None };
    let asked = first_probe(&mut host);
    (host, asked)
}

/// Waits for a probe, and says for which address.
fn first_probe(host: &mut Host) -> Ipv4Addr {
    for _ in 0..100_000 {
        host.pass(ms(10));
        if let Some(line) = host.sent().first() {
            return line.strip_prefix("arp probe ").unwrap().parse().unwrap();
        }
    }
    panic!("no probe");
}

fn addresses(host: &Host) -> Vec<String> {
    let port = host.stack.ports().find(|(id, _)| *id == host.port).unwrap().1;
    port.addresses().iter().map(ToString::to_string).collect()
}

#[test]
fn a_chosen_address_is_asked_for_three_times_and_then_announced_twice() {
    let (mut host, asked) = chooser();
    assert!(asked.is_link_local() && (1..=254).contains(&asked.octets()[2]), "{asked}");
    host.pass(ms(1_900));
    assert_eq!(addresses(&host), [""; 0]);
    host.pass(ms(10_000));
    let (probe, announcement) = (format!("arp probe {asked}"), format!("arp announce {asked}"));
    let again = host.sent();
    let expected = [&probe, &probe, &probe, &announcement, &announcement];
    assert_eq!(again.iter().collect::<Vec<_>>(), expected, "the last one with the announcement");
    assert_eq!(addresses(&host), [format!("{asked}/16")]);
    assert_eq!(host.stack.poll_timeout(), None);
    // The link goes and comes: it may be another link now.
    host.stack.set_link(host.now, host.port, false);
    assert_eq!(addresses(&host), [""; 0]);
    host.stack.set_link(host.now, host.port, true);
    assert_eq!(first_probe(&mut host), asked);
}

#[test]
fn an_address_that_somebody_has_or_wants_is_not_taken() {
    let (mut host, asked) = chooser();
    host.arrive(&arp_reply(asked, PEER_MAC));
    let second = first_probe(&mut host);
    assert_ne!(second, asked);
    host.arrive(&probe(PEER_MAC, second));
    let third = first_probe(&mut host);
    assert!(third != second && third != asked);
    // After ten conflicts, once a minute.
    let mut asked = third;
    for _ in 0..9 {
        host.arrive(&arp_reply(asked, PEER_MAC));
        host.pass(ms(1_100));
        asked = match host.sent().first() {
            Some(line) => line.strip_prefix("arp probe ").unwrap().parse().unwrap(),
            None => break,
        };
    }
    host.arrive(&arp_reply(asked, PEER_MAC));
    host.pass(ms(50_000));
    assert_eq!(host.sent(), [""; 0]);
    host.pass(ms(11_000));
    assert!(host.sent()[0].starts_with("arp probe 169.254."));
}

#[test]
fn a_chosen_address_is_defended_once_and_then_given_up() {
    let (mut host, asked) = chooser();
    host.pass(ms(20_000));
    host.sent();
    host.arrive(&arp_reply(asked, PEER_MAC));
    assert_eq!(host.sent(), [format!("arp announce {asked}")]);
    host.pass(ms(11_000));
    host.arrive(&arp_reply(asked, PEER_MAC));
    assert_eq!(host.sent(), [format!("arp announce {asked}")], "that is long ago");
    host.arrive(&arp_reply(asked, PEER_MAC));
    assert_eq!((host.sent(), addresses(&host)), (vec![], vec![]));
    assert_ne!(first_probe(&mut host), asked);
}
