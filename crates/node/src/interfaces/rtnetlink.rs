//! Links and addresses in the messages of rtnetlink.
//!
//! The kernel answers a dump with one message after another: a header, a fixed part by the message's type, and
//! attributes, each aligned to four bytes. That form is every C library's own for interfaces, so it is also what the
//! shim is given. All links come first, then the addresses of IPv4, then those of IPv6, as glibc asks for them.
//!
//! # Standards
//!
//! netlink(7), rtnetlink(7); RFC 3549.

use std::net::IpAddr;

use super::{Address, Interface, QUEUE_LEN, Statistics};

const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const NLM_F_MULTI: u16 = 2;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

const IFLA_ADDRESS: u16 = 1;
const IFLA_BROADCAST: u16 = 2;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_STATS: u16 = 7;
const IFLA_TXQLEN: u16 = 13;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_STATS64: u16 = 23;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_BROADCAST: u16 = 4;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;

/// Messages, one after another.
struct Messages(Vec<u8>);

impl Messages {
    /// A message: its type, its fixed part, and what `fill` adds.
    fn message(&mut self, kind: u16, fixed: &[u8], fill: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.0.extend([0; 4]);
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(NLM_F_MULTI.to_ne_bytes());
        // No sequence, and nobody's port: it is a file.
        self.0.extend([0; 8]);
        self.0.extend(fixed);
        fill(self);
        let len = (self.0.len() - start) as u32;
        self.0[start..start + 4].copy_from_slice(&len.to_ne_bytes());
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.0.extend((value.len() as u16 + 4).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn text(&mut self, kind: u16, text: &str) {
        self.attribute(kind, &[text.as_bytes(), &[0]].concat());
    }

    fn number(&mut self, kind: u16, number: u32) {
        self.attribute(kind, &number.to_ne_bytes());
    }
}

/// All interfaces and their addresses.
pub(super) fn dump(all: &[Interface]) -> Vec<u8> {
    let mut messages = Messages(Vec::new());
    for interface in all {
        link(&mut messages, interface);
    }
    for v4 in [true, false] {
        for interface in all {
            for own in interface.addresses.iter().filter(|own| own.prefix.addr().is_ipv4() == v4) {
                address(&mut messages, interface, own);
            }
        }
    }
    messages.0
}

/// `struct ifinfomsg`: family, type, index, flags, changed flags.
fn link(messages: &mut Messages, interface: &Interface) {
    let mut fixed = [0; 16];
    fixed[2..4].copy_from_slice(&interface.hardware_type().to_ne_bytes());
    fixed[4..8].copy_from_slice(&interface.index.to_ne_bytes());
    fixed[8..12].copy_from_slice(&interface.flags().to_ne_bytes());
    messages.message(RTM_NEWLINK, &fixed, |messages| {
        messages.text(IFLA_IFNAME, &interface.name);
        messages.number(IFLA_TXQLEN, QUEUE_LEN);
        messages.attribute(IFLA_OPERSTATE, &[interface.operational_state().0]);
        messages.number(IFLA_MTU, interface.mtu);
        messages.attribute(IFLA_ADDRESS, &interface.mac.0);
        messages.attribute(IFLA_BROADCAST, &interface.hardware_broadcast().0);
        let counts = counts(&interface.statistics);
        messages.attribute(IFLA_STATS64, &counts.map(u64::to_ne_bytes).concat());
        messages.attribute(
            IFLA_STATS,
            &counts[..24].iter().flat_map(|&count| (count as u32).to_ne_bytes()).collect::<Vec<_>>(),
        );
    });
}

/// `struct rtnl_link_stats64`.
fn counts(statistics: &Statistics) -> [u64; 25] {
    let s = statistics;
    let mut counts = [0; 25];
    let seen =
        [s.rx_packets, s.tx_packets, s.rx_bytes, s.tx_bytes, s.rx_errors, s.tx_errors, s.rx_dropped, s.tx_dropped];
    counts[..8].copy_from_slice(&seen);
    counts
}

/// `struct ifaddrmsg`: family, length, flags, scope, index.
fn address(messages: &mut Messages, interface: &Interface, own: &Address) {
    let Address { prefix, flags, preferred, valid } = *own;
    let ip = prefix.addr();
    let family = if ip.is_ipv4() { AF_INET } else { AF_INET6 };
    let mut fixed = [family, prefix.len(), flags, scope(ip), 0, 0, 0, 0];
    fixed[4..8].copy_from_slice(&interface.index.to_ne_bytes());
    // u32::MAX is for ever. When it was made, and when it was changed, nobody asks.
    let times = [preferred.unwrap_or(u32::MAX), valid.unwrap_or(u32::MAX), 0, 0].map(u32::to_ne_bytes).concat();
    messages.message(RTM_NEWADDR, &fixed, |messages| match ip {
        IpAddr::V4(v4) => {
            messages.attribute(IFA_ADDRESS, &v4.octets());
            messages.attribute(IFA_LOCAL, &v4.octets());
            if let Some(broadcast) = prefix.broadcast().filter(|_| !interface.is_loopback()) {
                messages.attribute(IFA_BROADCAST, &broadcast.octets());
            }
            messages.text(IFA_LABEL, &interface.name);
            messages.number(IFA_FLAGS, flags.into());
            messages.attribute(IFA_CACHEINFO, &times);
        }
        IpAddr::V6(v6) => {
            messages.attribute(IFA_ADDRESS, &v6.octets());
            messages.attribute(IFA_CACHEINFO, &times);
            messages.number(IFA_FLAGS, flags.into());
        }
    });
}

/// RT_SCOPE_*: how far an address means anything.
fn scope(address: IpAddr) -> u8 {
    match address {
        _ if address.is_loopback() => 254,
        IpAddr::V4(address) if address.is_link_local() => 253,
        IpAddr::V6(address) if address.is_unicast_link_local() => 253,
        _ => 0,
    }
}
