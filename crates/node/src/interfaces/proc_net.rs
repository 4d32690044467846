//! The files of `/proc/net` about interfaces, routes, neighbours and groups, column for column as the kernel writes them.
//!
//! Programs read these files by their columns, some by their widths. So each line is made by a copy of the kernel's format
//! string, which stands beside it. What has no meaning here is what the kernel writes where it has none.
//!
//! # Standards
//!
//! proc_net(5); `dev_seq_show`, `fib_route_seq_show`, `rt6_info_route`, `if6_seq_show`, `arp_seq_show`, `igmp_mc_seq_show`,
//! `igmp6_mc_seq_show`, `ac6_seq_show` and `dev_mc_seq_show` of Linux.

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sockeye_stack::ipv6::anycast::Anycast;
use sockeye_stack::neighbor::{Neighbor, NeighborState};
use sockeye_stack::{PortId, Route};
use sockeye_wire::{IpPrefix, ipv6};

use super::{Address, Interface};
use sockeye_stack::multicast::Version;

const RTF_UP: u32 = 0x1;
const RTF_GATEWAY: u32 = 0x2;
const RTF_HOST: u32 = 0x4;
const RTF_REJECT: u32 = 0x200;
const RTF_ANYCAST: u32 = 0x0010_0000;
const RTF_NONEXTHOP: u32 = 0x0020_0000;
const RTF_LOCAL: u32 = 0x8000_0000;

/// Adds to the text. It cannot fail.
macro_rules! line {
    ($text:expr, $($argument:tt)*) => {{ use std::fmt::Write as _; let _ = writeln!($text, $($argument)*); }};
}
pub(super) use line;

/// `/proc/net/dev`.
pub(super) fn dev(all: &[Interface]) -> String {
    let mut text = String::from(
        "Inter-|   Receive                                                |  Transmit\n \
         face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n",
    );
    for one in all {
        let s = &one.statistics;
        // "%6s: %7llu %7llu %4llu %4llu %4llu %5llu %10llu %9llu %8llu %7llu %4llu %4llu %4llu %5llu %7llu %10llu\n"
        line!(
            text,
            "{:>6}: {:>7} {:>7} {:>4} {:>4} {:>4} {:>5} {:>10} {:>9} {:>8} {:>7} {:>4} {:>4} {:>4} {:>5} {:>7} {:>10}",
            one.name,
            s.rx_bytes,
            s.rx_packets,
            s.rx_errors,
            s.rx_dropped,
            0,
            0,
            0,
            0,
            s.tx_bytes,
            s.tx_packets,
            s.tx_errors,
            s.tx_dropped,
            0,
            0,
            0,
            0
        );
    }
    text
}

/// `/proc/net/route`: IPv4's, by destination.
pub(super) fn route(all: &[Interface], routes: &[Route]) -> String {
    let header = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";
    let mut text = format!("{header:<127}\n");
    let mut rows: Vec<(Ipv4Addr, u8, &Route, &Interface)> = routes
        .iter()
        .filter_map(|route| {
            let IpAddr::V4(network) = route.destination.network().addr() else { return None };
            let interface = enabled(all, route.port).filter(|one| !one.is_loopback())?;
            Some((network, route.destination.len(), route, interface))
        })
        .collect();
    rows.sort_by_key(|(network, len, route, _)| (*network, u8::MAX - len, route.metric));
    for (network, len, route, interface) in rows {
        let gateway = match route.next_hop {
            Some(IpAddr::V4(gateway)) => Some(gateway),
            _ => None,
        };
        let host = if len == 32 { RTF_HOST } else { 0 };
        let flags = RTF_UP | host | gateway.map_or(0, |_| RTF_GATEWAY);
        let mask = if len == 0 { 0 } else { u32::MAX << (32 - len) };
        // "%s\t%08X\t%08X\t%04X\t%d\t%u\t%d\t%08X\t%d\t%u\t%u", to a width of 127
        let row = format!(
            "{}\t{}\t{}\t{flags:04X}\t0\t0\t{}\t{}\t0\t0\t0",
            interface.name,
            backwards(network),
            backwards(gateway.unwrap_or(Ipv4Addr::UNSPECIFIED)),
            route.metric,
            backwards(Ipv4Addr::from_bits(mask)),
        );
        line!(text, "{row:<127}");
    }
    text
}

/// An address as a word of the machine, read as a number, in hex: the kernel's way of printing one.
pub(super) fn backwards(address: Ipv4Addr) -> String {
    format!("{:08X}", u32::from_ne_bytes(address.octets()))
}

/// A route of IPv6's file: destination, gateway, metric, flags.
struct Row<'a>(IpPrefix, Ipv6Addr, u32, u32, &'a str);

/// `/proc/net/ipv6_route`: the routes, and then what is local, which Linux has as routes, too.
pub(super) fn ipv6_route(all: &[Interface], routes: &[Route]) -> String {
    let none = Ipv6Addr::UNSPECIFIED;
    let mut main: Vec<Row<'_>> = routes
        .iter()
        .filter(|route| route.destination.addr().is_ipv6())
        .filter_map(|route| {
            let interface = enabled(all, route.port).filter(|one| !one.is_loopback())?;
            let destination = route.destination.network();
            // A route that the kernel makes has metric 256, one that somebody asks for 1024 unless he says more.
            Some(match route.next_hop {
                Some(IpAddr::V6(gateway)) => {
                    Row(destination, gateway, 1024 + route.metric, RTF_UP | RTF_GATEWAY, &interface.name)
                }
                _ => Row(destination, none, 256 + route.metric, RTF_UP, &interface.name),
            })
        })
        .collect();
    let mut local: Vec<Row<'_>> = Vec::new();
    for one in all.iter().filter(|one| one.enabled) {
        let own = one.addresses.iter().map(|own| own.prefix).filter(|prefix| prefix.addr().is_ipv6());
        local.extend(
            own.map(|prefix| {
                Row(IpPrefix::host(prefix.addr()), none, 0, RTF_LOCAL | RTF_NONEXTHOP | RTF_UP, &one.name)
            }),
        );
        let shared = one.anycast.iter().map(|held| IpPrefix::host(held.address.into()));
        local.extend(shared.map(|prefix| Row(prefix, none, 0, RTF_ANYCAST | RTF_NONEXTHOP | RTF_UP, &one.name)));
        let groups = IpPrefix::new(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0).into(), 8);
        local
            .extend(groups.ok().filter(|_| !one.is_loopback()).map(|groups| Row(groups, none, 256, RTF_UP, &one.name)));
    }
    let mut text = String::new();
    let everything = IpPrefix::new(none.into(), 0).ok();
    for table in [&mut main, &mut local] {
        table.sort_by(|a, b| by_walk(a.0, b.0).then(a.2.cmp(&b.2)));
        // Where a table ends that knows no way for the rest.
        if let Some(everything) = everything
            && table.last().is_none_or(|last| last.0.len() > 0)
        {
            table.push(Row(everything, none, u32::MAX, RTF_NONEXTHOP | RTF_REJECT, "lo"));
        }
        for Row(destination, gateway, metric, flags, name) in table {
            // "%pi6 %02x ", "%pi6 %02x ", "%pi6", " %08x %08x %08x %08x %8s\n"
            let (to, len) = (plain(destination.addr()), destination.len());
            let from = plain(none.into());
            let gateway = plain((*gateway).into());
            line!(text, "{to} {len:02x} {from} 00 {gateway} {metric:08x} 00000001 00000000 {flags:08x} {name:>8}");
        }
    }
    text
}

/// The kernel walks its tree from the leaves to the root: what is within a prefix comes before it.
fn by_walk(a: IpPrefix, b: IpPrefix) -> Ordering {
    match (a.covers(&b), b.covers(&a)) {
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        _ => a.addr().cmp(&b.addr()),
    }
}

/// `%pi6`: all digits, without colons.
fn plain(address: IpAddr) -> String {
    match address {
        IpAddr::V6(address) => format!("{:032x}", address.to_bits()),
        IpAddr::V4(address) => format!("{:032x}", address.to_ipv6_mapped().to_bits()),
    }
}

/// `/proc/net/if_inet6`.
pub(super) fn if_inet6(all: &[Interface]) -> String {
    let mut text = String::new();
    for one in all {
        for Address { prefix, flags, .. } in &one.addresses {
            let IpAddr::V6(address) = prefix.addr() else { continue };
            let scope = match address {
                _ if address.is_loopback() => 0x10,
                _ if address.is_unicast_link_local() => 0x20,
                _ => 0,
            };
            // "%pi6 %02x %02x %02x %02x %8s\n"
            let (plain, len) = (plain(address.into()), prefix.len());
            line!(text, "{plain} {:02x} {len:02x} {scope:02x} {flags:02x} {:>8}", one.index, one.name);
        }
    }
    text
}

/// `/proc/net/arp`, by address.
pub(super) fn arp(all: &[Interface], neighbors: impl Iterator<Item = Neighbor>) -> String {
    /// ATF_COM.
    const COMPLETE: u32 = 0x2;
    let mut text = String::from("IP address       HW type     Flags       HW address            Mask     Device\n");
    let mut rows: Vec<(Ipv4Addr, Neighbor)> = neighbors
        .filter_map(|neighbor| match neighbor.address {
            IpAddr::V4(address) => Some((address, neighbor)),
            IpAddr::V6(_) => None,
        })
        .collect();
    rows.sort_by_key(|(address, neighbor)| (*address, neighbor.port));
    for (address, neighbor) in rows {
        let Some(one) = all.iter().find(|one| one.port == neighbor.port) else { continue };
        let valid = !matches!(neighbor.state, NeighborState::Incomplete | NeighborState::Failed);
        let flags = if valid { COMPLETE } else { 0 };
        let mac = neighbor.mac.map_or_else(|| "00:00:00:00:00:00".to_owned(), |mac| mac.to_string());
        // "%-16s 0x%-10x0x%-10x%-17s     *        %s\n"
        let address = address.to_string();
        line!(text, "{address:<16} 0x{:<10x}0x{flags:<10x}{mac:<17}     *        {}", one.hardware_type(), one.name);
    }
    text
}

/// `/proc/net/igmp`.
pub(super) fn igmp(all: &[Interface]) -> String {
    let mut text = String::from("Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n");
    for one in all.iter().filter(|one| one.enabled) {
        let v4: Vec<(Ipv4Addr, u32)> = v4_groups(one).collect();
        let version = match one.version {
            Version::One => "V1",
            Version::Two => "V2",
            Version::Three => "V3",
        };
        // "%d\t%-10s: %5d %7s\n"
        line!(text, "{}\t{:<10}: {:>5} {:>7}", one.index, one.name, v4.len(), version);
        for (group, users) in v4 {
            // "\t\t\t\t%08X %5d %d:%08lX\t\t%d\n"
            line!(text, "\t\t\t\t{} {users:>5} {}:{:08X}\t\t{}", backwards(group), 0, 0, 0);
        }
    }
    text
}

/// `/proc/net/igmp6`.
pub(super) fn igmp6(all: &[Interface]) -> String {
    /// MAF_LOADED, MAF_NOREPORT: the filter was set at the card; nobody is told.
    const LOADED: u32 = 0x4;
    const NO_REPORT: u32 = 0x8;
    let mut text = String::new();
    for one in all.iter().filter(|one| one.enabled) {
        // All nodes of the interface itself, which nothing is sent to that anybody could hear (RFC 4291, 2.8).
        let own = (!v6_groups(one).any(|(group, _)| group == INTERFACE_ALL_NODES)).then_some((INTERFACE_ALL_NODES, 0));
        for (group, mut users) in v6_groups(one).chain(own) {
            let flags = match group {
                group if is_of_interface(group) => NO_REPORT,
                ipv6::ALL_NODES => LOADED | NO_REPORT,
                _ => LOADED,
            };
            users += u32::from(group == INTERFACE_ALL_NODES);
            // "%-4d %-15s %pi6 %5d %08X %ld\n"
            line!(text, "{:<4} {:<15} {} {users:>5} {flags:08X} 0", one.index, one.name, plain(group.into()));
        }
    }
    text
}

/// `/proc/net/anycast6`.
pub(super) fn anycast6(all: &[Interface]) -> String {
    let mut text = String::new();
    for one in all {
        for &Anycast { address, users } in &one.anycast {
            // "%-4d %-15s %pi6 %5d\n"
            line!(text, "{:<4} {:<15} {} {users:>5}", one.index, one.name, plain(address.into()));
        }
    }
    text
}

/// `/proc/net/dev_mcast`.
pub(super) fn dev_mcast(all: &[Interface]) -> String {
    let mut text = String::new();
    for one in all.iter().filter(|one| one.enabled && !one.is_loopback()) {
        let of_v4 = v4_groups(one).map(|(group, _)| {
            let [_, b, c, d] = group.octets();
            [0x01, 0x00, 0x5e, b & 0x7f, c, d]
        });
        let of_v6 = v6_groups(one).filter(|(group, _)| !is_of_interface(*group)).map(|(group, _)| {
            let [.., a, b, c, d] = group.octets();
            [0x33, 0x33, a, b, c, d]
        });
        for mac in of_v6.chain(of_v4) {
            // "%-4d %-15s %-5d %-5d %*phN\n"
            let mac: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
            line!(text, "{:<4} {:<15} {:<5} {:<5} {mac}", one.index, one.name, 1, 0);
        }
    }
    text
}

/// `/proc/net/mcfilter` or `mcfilter6`: the sources that listeners name, with how many want and how many exclude each.
pub(super) fn mcfilter(all: &[Interface], v6: bool) -> String {
    let mut text = String::from(if v6 {
        "Idx Device                Multicast Address                   Source Address    INC    EXC\n"
    } else {
        "Idx Device        MCA        SRC    INC    EXC\n"
    });
    for one in all.iter().filter(|one| one.enabled) {
        for told in one.groups.iter().filter(|told| told.group.is_ipv6() == v6) {
            for &(source, include, exclude) in &told.named {
                // "%3d %6.6s 0x%08x 0x%08x %6lu %6lu\n", and "%3d %6.6s %pi6 %pi6 %6lu %6lu\n"
                let [group, source] = [told.group, source].map(|address| match address {
                    IpAddr::V4(address) => format!("0x{:08x}", u32::from(address)),
                    IpAddr::V6(_) => plain(address),
                });
                line!(text, "{:>3} {:>6.6} {group} {source} {include:>6} {exclude:>6}", one.index, one.name);
            }
        }
    }
    text
}

/// Groups, with how many listen to each.
fn v4_groups(one: &Interface) -> impl Iterator<Item = (Ipv4Addr, u32)> + '_ {
    one.groups
        .iter()
        .filter_map(|told| if let IpAddr::V4(group) = told.group { Some((group, told.listeners)) } else { None })
}

const INTERFACE_ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0, 1);

/// True for a group that no card has to listen to.
fn is_of_interface(group: Ipv6Addr) -> bool {
    ipv6::scope(group).0 <= ipv6::Scope::INTERFACE_LOCAL.0
}

fn v6_groups(one: &Interface) -> impl Iterator<Item = (Ipv6Addr, u32)> + '_ {
    one.groups
        .iter()
        .filter_map(|told| if let IpAddr::V6(group) = told.group { Some((group, told.listeners)) } else { None })
}

fn enabled(all: &[Interface], port: PortId) -> Option<&Interface> {
    all.iter().find(|one| one.port == port && one.enabled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interfaces::{interfaces, tests::host};
    use crate::ports::Ports;
    use sockeye_device::Instant;

    #[test]
    fn routes_of_ipv4_are_in_order_and_as_wide_as_the_kernels() {
        let mut stack = host();
        let port = PortId::from_index(1);
        for (destination, next_hop) in [("0.0.0.0/0", Some("10.9.0.1")), ("10.9.0.7/32", Some("10.9.0.3"))] {
            let next_hop = next_hop.map(|hop| hop.parse().expect("an address"));
            let destination = destination.parse().expect("a prefix");
            stack.add_route(Route { destination, next_hop, port, source: None, metric: 3 });
        }
        let all = interfaces(Instant::ZERO, &stack, &Ports::default());
        let text = route(&all, &stack.routes().copied().collect::<Vec<_>>());
        assert!(text.lines().all(|line| line.len() == 127));
        let rows: Vec<_> = text.lines().skip(1).map(str::trim_end).collect();
        assert_eq!(
            rows,
            [
                "eth0\t00000000\t0100090A\t0003\t0\t0\t3\t00000000\t0\t0\t0",
                "eth0\t0000090A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0",
                "eth0\t0700090A\t0300090A\t0007\t0\t0\t3\tFFFFFFFF\t0\t0\t0",
            ]
        );
    }

    #[test]
    fn routes_of_ipv6_go_from_the_leaves_to_the_root() {
        let mut stack = host();
        let port = PortId::from_index(1);
        let destination = "::/0".parse().expect("a prefix");
        let next_hop = Some("fd09::1".parse().expect("an address"));
        stack.add_route(Route { destination, next_hop, port, source: None, metric: 0 });
        let all = interfaces(Instant::ZERO, &stack, &Ports::default());
        let text = ipv6_route(&all, &stack.routes().copied().collect::<Vec<_>>());
        let rows: Vec<_> = text
            .lines()
            .map(|line| {
                let words: Vec<&str> = line.split_ascii_whitespace().collect();
                (words[0].get(..8).unwrap_or_default(), words[1], words[5], words[8], words[9])
            })
            .collect();
        assert_eq!(
            rows,
            [
                ("fd090000", "40", "00000100", "00000001", "eth0"),
                ("00000000", "00", "00000400", "00000003", "eth0"),
                ("00000000", "80", "00000000", "80200001", "lo"),
                ("fd090000", "80", "00000000", "80200001", "eth0"),
                ("ff000000", "08", "00000100", "00000001", "eth0"),
                ("00000000", "00", "ffffffff", "00200200", "lo"),
            ]
        );
    }
}
