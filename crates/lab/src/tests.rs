//! A lab in earnest: these need the privileges to make namespaces, and say so when they have not.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use super::*;

/// `left` and `right`, one /24 between them.
fn pair() -> (Host, Host) {
    let lab = Lab::new().expect("the tests of the lab run as root, or in a user namespace");
    let (left, right) = (lab.host("left").unwrap(), lab.host("right").unwrap());
    lab.link(&left, "veth0", &right, "veth0").unwrap();
    left.address("veth0", "10.9.0.1/24").unwrap();
    right.address("veth0", "10.9.0.2/24").unwrap();
    (left, right)
}

fn exchange(server: &Host, client: &Host, address: SocketAddr) {
    let listener = server.enter(|| TcpListener::bind(address)).unwrap().unwrap();
    let address = listener.local_addr().unwrap();
    let mut near = client.enter(|| TcpStream::connect_timeout(&address, Duration::from_secs(10))).unwrap().unwrap();
    let (mut far, _) = listener.accept().unwrap();
    near.write_all(b"hello").unwrap();
    let mut heard = [0; 5];
    far.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
}

#[test]
fn linked_hosts_hear_each_other() {
    let (left, right) = pair();
    exchange(&left, &right, (Ipv4Addr::new(10, 9, 0, 1), 0).into());
    exchange(&right, &left, (Ipv4Addr::new(10, 9, 0, 2), 0).into());
}

#[test]
fn loopback_is_up() {
    let host = Lab::new().unwrap().host("alone").unwrap();
    exchange(&host, &host, (Ipv4Addr::LOCALHOST, 0).into());
}

#[test]
fn labs_do_not_collide_and_programs_are_born_inside() {
    let (first, _second) = (pair(), pair());
    let output = first.0.command("cat").arg("/proc/self/net/dev").output().unwrap();
    let devices = String::from_utf8(output.stdout).unwrap();
    assert!(devices.contains("veth0:"), "{devices}");
    let outside = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    assert!(!outside.contains("veth0:"), "the test's own thread was moved: {outside}");
}

#[test]
fn routes_reach_beyond_the_link() {
    let (left, right) = pair();
    right.address("lo", "192.0.2.1/32").unwrap();
    left.route("192.0.2.0/24", IpAddr::from([10, 9, 0, 2])).unwrap();
    exchange(&right, &left, (Ipv4Addr::new(192, 0, 2, 1), 0).into());
}

#[test]
fn an_interface_down_carries_nothing() {
    let (left, right) = pair();
    right.down("veth0").unwrap();
    let sent = left.enter(|| UdpSocket::bind("10.9.0.1:0").unwrap().send_to(b"x", "10.9.0.2:9")).unwrap();
    let listener = right.enter(|| TcpListener::bind("10.9.0.2:0")).unwrap().unwrap();
    let address = listener.local_addr().unwrap();
    let connect = left.enter(|| TcpStream::connect_timeout(&address, Duration::from_millis(50))).unwrap();
    assert!(connect.is_err(), "{sent:?} {connect:?}");
    right.up("veth0").unwrap();
    exchange(&right, &left, (Ipv4Addr::new(10, 9, 0, 2), 0).into());
}

#[test]
fn mtu_and_offloads_and_mac_are_set() {
    let (left, _right) = pair();
    left.mtu("veth0", 9000).unwrap();
    assert_eq!(left.mac("veth0").unwrap()[0] & 1, 0, "a MAC of one's own is unicast");
    for (offloads, expected) in [(Offloads::None, "off"), (Offloads::Checksums, "off"), (Offloads::All, "on")] {
        left.offloads("veth0", offloads).unwrap();
        let Ok(output) = left.command("ethtool").args(["-k", "veth0"]).output() else {
            panic!("missing program: install the package ethtool");
        };
        let features = String::from_utf8(output.stdout).unwrap();
        assert!(features.contains(&format!("\ttx-tcp-segmentation: {expected}")), "{offloads:?}: {features}");
    }
}

#[test]
fn settings_are_the_hosts_own() {
    let (left, right) = pair();
    left.sysctl("ipv4/ip_default_ttl", "33").unwrap();
    let read = |host: &Host| host.command("cat").arg("/proc/sys/net/ipv4/ip_default_ttl").output().unwrap().stdout;
    assert_eq!(read(&left), b"33\n");
    assert_eq!(read(&right), b"64\n");
}

#[test]
fn errors_name_the_deed_and_the_host() {
    let host = Lab::new().unwrap().host("alone").unwrap();
    let error = host.up("veth7").unwrap_err().to_string();
    assert!(error.starts_with("cannot set veth7 up on alone: "), "{error}");
    let error = host.address("lo", "10.9.0.1/33").unwrap_err().to_string();
    assert!(error.starts_with("10.9.0.1/33 is no address"), "{error}");
}

#[test]
fn a_panic_inside_reaches_the_caller() {
    let host = Lab::new().unwrap().host("alone").unwrap();
    let caught = std::panic::catch_unwind(|| host.enter(|| panic!("inside")));
    assert!(caught.is_err());
}
