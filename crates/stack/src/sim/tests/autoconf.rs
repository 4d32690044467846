//! Hosts that look after their addresses of IPv6 themselves, and meet on a wire.

use super::*;
use crate::PortId;
use crate::autoconf::{AddressState, Settings};
use std::net::Ipv6Addr;

const PORT: PortId = PortId::from_index(1);

fn two_hosts_by_themselves(settings: &Settings) -> (Network, HostId, HostId) {
    let mut net = Network::new(3);
    let (a, b) = (net.host("fd00::1/64"), net.host("fd00::2/64"));
    net.wire(a, b, &Conditions::default());
    for host in [a, b] {
        let now = net.now();
        net.stack(host).configure_ipv6(now, PORT, settings.clone());
    }
    net.run_for(Duration::from_secs(5));
    (net, a, b)
}

fn state(net: &mut Network, host: HostId, address: &str) -> Option<AddressState> {
    let own = net.stack(host).addresses_of(PORT).into_iter();
    let mut own = own.filter(|own| own.prefix.addr().to_string() == address);
    own.next().map(|own| own.state)
}

#[test]
fn of_two_hosts_with_one_address_the_first_keeps_it() {
    for optimistic in [false, true] {
        let (mut net, a, b) = two_hosts_by_themselves(&Settings { optimistic, ..Settings::default() });
        assert_eq!(state(&mut net, a, "fd00::1"), Some(AddressState::Preferred));
        let server = net.listen(a, 80);
        let client = net.connect(b, "[fd00::1]:80");
        let accepted =
            net.run_until(Duration::from_secs(5), |net| net.stack(a).tcp_accept(server)).expect("a connection");
        let now = net.now();
        net.stack(b).add_address(now, PORT, "fd00::1/64".parse().unwrap());
        net.run_for(Duration::from_secs(5));
        assert_eq!(state(&mut net, b, "fd00::1"), Some(AddressState::Duplicated), "{optimistic}");
        assert_eq!(state(&mut net, a, "fd00::1"), Some(AddressState::Preferred));
        // What was begun goes on.
        let now = net.now();
        assert_eq!(net.stack(b).tcp_write(now, client, b"still there?"), 12);
        let arrived = net
            .run_until(Duration::from_secs(30), |net| (net.stack(a).tcp_status(accepted).readable == 12).then_some(()));
        assert!(arrived.is_some(), "{optimistic}");
    }
}

#[test]
fn two_hosts_that_want_an_address_at_once_both_leave_it() {
    for optimistic in [false, true] {
        let (mut net, a, b) = two_hosts_by_themselves(&Settings { optimistic, ..Settings::default() });
        let now = net.now();
        for host in [a, b] {
            net.stack(host).add_address(now, PORT, "fd00::9/64".parse().unwrap());
        }
        net.run_for(Duration::from_secs(5));
        let states = [a, b].map(|host| state(&mut net, host, "fd00::9"));
        // Who asks first may have it, if he asks much earlier.
        assert!(states.contains(&Some(AddressState::Duplicated)), "{optimistic}: {states:?}");
        assert_eq!(state(&mut net, a, "fd00::1"), Some(AddressState::Preferred));
    }
}

#[test]
fn hosts_meet_at_addresses_of_the_link() {
    let (mut net, a, b) = two_hosts_by_themselves(&Settings::default());
    let own = net.stack(b).addresses_of(PORT).into_iter().find_map(|own| match own.prefix.addr() {
        IpAddr::V6(address) if address.is_unicast_link_local() => Some(address),
        _ => None,
    });
    let own: Ipv6Addr = own.expect("an address of the link");
    let server = net.listen(b, 80);
    net.connect(a, &format!("[{own}]:80"));
    let accepted = net.run_until(Duration::from_secs(5), |net| net.stack(b).tcp_accept(server)).expect("a connection");
    let flow = net.stack(b).tcp_addresses(accepted).expect("addresses");
    assert_eq!(flow.local.ip(), IpAddr::V6(own));
    assert!(matches!(flow.remote.ip(), IpAddr::V6(peer) if peer.is_unicast_link_local()), "{flow:?}");
}
