//! Which of our addresses to speak from, and in which order to try a peer's: RFC 6724.
//!
//! Both are matters of comparison. A source is compared with another by one rule after the other, until one prefers; so
//! are two destinations, each with the source that would be used for it. What is not decided stays in the order in which
//! it came: that of the addresses' making, or that of the name server's answer.
//!
//! The rules speak of *labels* (a source fits a destination of the same one) and *precedence* (of destinations). Both come
//! from a table of prefixes, which is the standard's own. IPv4 takes part as mapped addresses.
//!
//! Left out are the rules for home addresses (there is no mobility) and for tunnels (there are none), and rule 5.5: no
//! router is known to have advertised a prefix, as all routers of a link are taken to serve all its prefixes.
//!
//! # Standards
//!
//! RFC 6724 §2.1 (the table), §2.2 (common prefix), §3 (scopes), §5 (sources), §6 (destinations); RFC 5014 §5; RFC 4429 §3.1 (an
//! optimistic address is preferred no more than a deprecated one).

use crate::family::Preferences;
use sockeye_wire::ipv6::{Scope, scope};
use std::cmp::{Ordering, Reverse};
use std::net::{IpAddr, Ipv6Addr};

/// An address of ours that might be a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) address: Ipv6Addr,
    /// How much of it names the network.
    pub(crate) prefix_len: u8,
    /// It should not begin anything new.
    pub(crate) avoided: bool,
    pub(crate) temporary: bool,
}

/// The best source for a destination; of equals the first.
pub(crate) fn source(
    destination: Ipv6Addr,
    preferences: Preferences,
    candidates: impl Iterator<Item = Candidate>,
) -> Option<Candidate> {
    let compare = |best: &Candidate, other: &Candidate| compare_sources(destination, preferences, best, other);
    candidates.reduce(|best, other| if compare(&best, &other).is_lt() { other } else { best })
}

/// `Greater` where `a` is the better source.
fn compare_sources(destination: Ipv6Addr, preferences: Preferences, a: &Candidate, b: &Candidate) -> Ordering {
    let same = |candidate: &Candidate| candidate.address == destination;
    let fits = |candidate: &Candidate| label(candidate.address) == label(destination);
    // Rule 2: one that reaches as far, but no farther than it must; else the one that reaches farthest.
    let reach = |candidate: &Candidate| {
        let own = scope(candidate.address);
        if own >= scope(destination) { (true, Reverse(own.0)) } else { (false, Reverse(!own.0)) }
    };
    let common = |candidate: &Candidate| common_prefix(candidate.address, destination).min(candidate.prefix_len.into());
    same(a)
        .cmp(&same(b))
        .then_with(|| reach(a).cmp(&reach(b)))
        .then_with(|| b.avoided.cmp(&a.avoided))
        .then_with(|| fits(a).cmp(&fits(b)))
        // Rule 7, and what a program may say of it (RFC 5014, 5).
        .then_with(|| match preferences {
            Preferences::Host | Preferences::Temporary => a.temporary.cmp(&b.temporary),
            Preferences::Public => b.temporary.cmp(&a.temporary),
        })
        .then_with(|| common(a).cmp(&common(b)))
}

/// A destination, and the source that would be used for it; none if it cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) address: IpAddr,
    pub(crate) source: Option<Source>,
}

/// What is to be known of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) address: IpAddr,
    pub(crate) avoided: bool,
}

/// Puts destinations in the order in which to try them.
pub(crate) fn order(destinations: &mut [Destination]) {
    destinations.sort_by(compare_destinations);
}

/// `Less` where `a` is to be tried first. Of two that cannot be reached the rules count that ask for no source.
fn compare_destinations(a: &Destination, b: &Destination) -> Ordering {
    let (to_a, to_b) = (in_ipv6(a.address), in_ipv6(b.address));
    let same_scope = |to: Ipv6Addr, from: Source| scope(to) == scope(in_ipv6(from.address));
    let fits = |to: Ipv6Addr, from: Source| label(to) == label(in_ipv6(from.address));
    let common = |to: IpAddr, from: Source| match (to, from.address) {
        (IpAddr::V6(to), IpAddr::V6(from)) => Some(common_prefix(to, from).min(64)),
        _ => None,
    };
    let sources = a.source.zip(b.source);
    let by_source = sources.map_or(Ordering::Equal, |(from_a, from_b)| {
        same_scope(to_b, from_b)
            .cmp(&same_scope(to_a, from_a))
            .then_with(|| from_a.avoided.cmp(&from_b.avoided))
            .then_with(|| fits(to_b, from_b).cmp(&fits(to_a, from_a)))
    });
    let in_common = sources.map(|(from_a, from_b)| (common(a.address, from_a), common(b.address, from_b)));
    b.source
        .is_some()
        .cmp(&a.source.is_some())
        .then(by_source)
        .then_with(|| precedence(to_b).cmp(&precedence(to_a)))
        .then_with(|| scope(to_a).cmp(&scope(to_b)))
        .then_with(|| match in_common {
            Some((Some(a), Some(b))) => b.cmp(&a),
            // Of IPv4 the name server's order is kept, as others do: it balances loads.
            _ => Ordering::Equal,
        })
}

/// Bits that two addresses have in common from the left.
fn common_prefix(a: Ipv6Addr, b: Ipv6Addr) -> u32 {
    (a.to_bits() ^ b.to_bits()).leading_zeros()
}

fn in_ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// A line of the policy table.
struct Policy {
    prefix: Ipv6Addr,
    len: u32,
    precedence: u8,
    label: u8,
}

const fn policy(prefix: [u16; 8], len: u32, precedence: u8, label: u8) -> Policy {
    let [a, b, c, d, e, f, g, h] = prefix;
    Policy { prefix: Ipv6Addr::new(a, b, c, d, e, f, g, h), len, precedence, label }
}

/// RFC 6724 §2.1, the longest prefix first.
const POLICIES: [Policy; 9] = [
    policy([0, 0, 0, 0, 0, 0, 0, 1], 128, 50, 0),
    policy([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, 35, 4),
    policy([0; 8], 96, 1, 3),
    policy([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, 5, 5),
    policy([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, 30, 2),
    policy([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16, 1, 12),
    policy([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, 1, 11),
    policy([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, 3, 13),
    policy([0; 8], 0, 40, 1),
];

fn policy_of(address: Ipv6Addr) -> &'static Policy {
    let [.., all] = &POLICIES;
    POLICIES.iter().find(|policy| common_prefix(policy.prefix, address) >= policy.len).unwrap_or(all)
}

fn label(address: Ipv6Addr) -> u8 {
    policy_of(address).label
}

fn precedence(address: Ipv6Addr) -> u8 {
    policy_of(address).precedence
}

/// True for an address that means something on one link only.
pub(crate) fn is_of_a_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V6(address) => !address.is_loopback() && scope(address) == Scope::LINK_LOCAL,
        IpAddr::V4(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    /// A mark before an address: `-` for one that is avoided, `+` for a temporary one.
    fn candidate(text: &str) -> Candidate {
        let address = ip(text.trim_start_matches(['-', '+']));
        Candidate { address, prefix_len: 64, avoided: text.starts_with('-'), temporary: text.starts_with('+') }
    }

    /// RFC 6724 §10.1, and one line for each rule.
    #[test]
    fn sources() {
        for (destination, candidates, best) in [
            ("2001:db8:1::1", &["2001:db8:3::1", "fe80::1"][..], "2001:db8:3::1"),
            ("ff05::1", &["2001:db8:3::1", "fe80::1"], "2001:db8:3::1"),
            ("2001:db8:1::1", &["-2001:db8:1::1", "2001:db8:2::1"], "-2001:db8:1::1"),
            ("fe80::1", &["-fe80::2", "2001:db8:1::1"], "-fe80::2"),
            ("2001:db8:1::1", &["2001:db8:1::2", "2001:db8:3::2"], "2001:db8:1::2"),
            (
                "2001:db8:1::1",
                &["2001:db8:1::2", "+2001:db8:1::d5e3:7953:13eb:22e8"],
                "+2001:db8:1::d5e3:7953:13eb:22e8",
            ),
            (
                "2002:c633:6401::1",
                &["2001:db8:1::2", "2002:c633:6401::d5e3:7953:13eb:22e8"],
                "2002:c633:6401::d5e3:7953:13eb:22e8",
            ),
            ("2001:db8:1::1", &["-2001:db8:1::2", "2001:db8:3::2"], "2001:db8:3::2"),
            // What reaches farthest, where nothing reaches as far.
            ("2001:db8:1::1", &["fe80::1", "fec0::1"], "fec0::1"),
            ("ff02::1", &["2001:db8:3::1", "fe80::1"], "fe80::1"),
            // Beyond the network nothing is in common.
            ("2001:db8:1::1", &["2001:db8:1::f", "2001:db8:1::2"], "2001:db8:1::f"),
            ("fd00::1", &["2001:db8::1", "fd01::1"], "fd01::1"),
        ] {
            for reversed in [false, true] {
                let mut all: Vec<_> = candidates.iter().map(|text| candidate(text)).collect();
                // Of equals the first wins, so only those lines may be turned around that decide.
                if reversed && destination == "2001:db8:1::1" && candidates[0] == "2001:db8:1::f" {
                    continue;
                }
                if reversed {
                    all.reverse();
                }
                let best = Some(candidate(best));
                assert_eq!(source(ip(destination), Preferences::Host, all.into_iter()), best, "{destination}");
            }
        }
        assert_eq!(source(ip("::2"), Preferences::Host, [].into_iter()), None);
    }

    /// A program may want an address that lasts; other rules come first.
    #[test]
    fn preferences_decide_between_temporary_and_public() {
        for (destination, candidates, best) in [
            ("2001:db8:1::1", ["2001:db8:1::2", "+2001:db8:1::3"], ["+2001:db8:1::3", "2001:db8:1::2"]),
            ("2001:db8:1::1", ["-2001:db8:1::2", "+2001:db8:1::3"], ["+2001:db8:1::3", "+2001:db8:1::3"]),
        ] {
            for (preferences, best) in [Preferences::Temporary, Preferences::Public].into_iter().zip(best) {
                let all = candidates.iter().map(|text| candidate(text));
                assert_eq!(source(ip(destination), preferences, all), Some(candidate(best)), "{preferences:?}");
            }
        }
    }

    /// Destination `<` source; a source that is avoided has a `-`.
    fn destination(text: &str) -> Destination {
        let (address, source) =
            text.split_once(" < ").map_or((text, None), |(address, source)| (address, Some(source)));
        let source = source.map(|text| Source {
            address: text.trim_start_matches('-').parse().unwrap(),
            avoided: text.starts_with('-'),
        });
        Destination { address: address.parse().unwrap(), source }
    }

    /// RFC 6724 §10.2.
    #[test]
    fn destinations() {
        for ordered in [
            &["2001:db8:1::1 < 2001:db8:1::2", "198.51.100.121 < 169.254.13.78"][..],
            &["198.51.100.121 < 198.51.100.117", "2001:db8:1::1 < fe80::1"],
            &["2001:db8:1::1 < 2001:db8:1::2", "10.1.2.3 < 10.1.2.4"],
            &["fe80::1 < fe80::2", "2001:db8:1::1 < 2001:db8:1::2"],
            &["2002:c633:6401::1 < 2002:c633:6401::2", "2001:db8:1::1 < fe80::2"],
            &["2001:db8:1::1 < 2001:db8:1::2", "fe80::1 < -fe80::2"],
            &["2001:db8:1::1 < 2001:db8:1::2", "2001:db8:3ffe::1 < 2001:db8:3f44::2"],
            &["2002:c633:6401::1 < 2002:c633:6401::2", "2001:db8:1::1 < 2002:c633:6401::2"],
            &["2001:db8:1::1 < 2001:db8:1::2", "2002:c633:6401::1 < 2002:c633:6401::2"],
            // What cannot be reached is last, and local addresses of a site are behind IPv4.
            &["10.1.2.3 < 10.1.2.4", "2001:db8:1::1"],
            &["10.1.2.3 < 10.1.2.4", "fd00::1 < fd00::2"],
            &["::1 < ::1", "127.0.0.1 < 127.0.0.1"],
            // Of those that cannot be reached the likelier one, then the nearer one.
            &["2001:db8:1::1", "169.254.13.78", "10.1.2.3", "fd00::1"],
        ] {
            let expected: Vec<_> = ordered.iter().map(|text| destination(text)).collect();
            let mut turned: Vec<_> = expected.iter().rev().copied().collect();
            order(&mut turned);
            assert_eq!(turned, expected);
        }
        // IPv4's keep their order.
        let mut kept = ["10.1.2.9 < 10.1.2.4", "10.1.2.5 < 10.1.2.4"].map(destination);
        order(&mut kept);
        assert_eq!(kept[0], destination("10.1.2.9 < 10.1.2.4"));
    }
}
