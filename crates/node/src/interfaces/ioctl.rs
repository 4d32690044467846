//! The ioctls of netdevice(7), and those of arp(7) and of routes.
//!
//! What a command reads and writes is a `struct ifreq` (40 bytes: a name in 16, then a union), an `arpreq` (68) or an `rtentry` (120, behind it the
//! name of the device that it points to). Asking is for everybody. What changes an interface is for root, as on
//! Linux; of that the node does what it can (up and down, promiscuous, an IPv4 address and its mask, routes) and refuses the
//! rest with EOPNOTSUPP, so that nobody believes to have changed what has not changed.
//!
//! # Standards
//!
//! netdevice(7), arp(7), `devinet_ioctl` and `dev_ifsioc` for the order in which errors come.

use std::net::{IpAddr, Ipv4Addr};

use sockeye_socket::{Errno, Privilege};
use sockeye_stack::Route;
use sockeye_stack::neighbor::NeighborState;
use sockeye_stack::packet::Reception;
use sockeye_wire::{IpPrefix, MacAddr};

use super::{Interface, QUEUE_LEN, ethtool, flags, interfaces};
use crate::node::Node;
use crate::requests::Refusal;

const AF_INET: i32 = 2;
const AF_PACKET: i32 = 17;

const NAME_LEN: usize = 16;
const IFREQ_LEN: usize = 40;
const ARPREQ_LEN: usize = 68;
const RTENTRY_LEN: usize = 120;

const SIOCADDRT: u32 = 0x890b;
const SIOCDELRT: u32 = 0x890c;
const SIOCGIFNAME: u32 = 0x8910;
const SIOCGIFFLAGS: u32 = 0x8913;
const SIOCSIFFLAGS: u32 = 0x8914;
const SIOCGIFADDR: u32 = 0x8915;
const SIOCSIFADDR: u32 = 0x8916;
const SIOCGIFDSTADDR: u32 = 0x8917;
const SIOCGIFBRDADDR: u32 = 0x8919;
const SIOCSIFBRDADDR: u32 = 0x891a;
const SIOCGIFNETMASK: u32 = 0x891b;
const SIOCSIFNETMASK: u32 = 0x891c;
const SIOCGIFMETRIC: u32 = 0x891d;
const SIOCGIFMTU: u32 = 0x8921;
const SIOCGIFHWADDR: u32 = 0x8927;
const SIOCGIFSLAVE: u32 = 0x8929;
const SIOCGIFINDEX: u32 = 0x8933;
const SIOCGIFPFLAGS: u32 = 0x8935;
const SIOCGIFTXQLEN: u32 = 0x8942;
const SIOCETHTOOL: u32 = 0x8946;
const SIOCGMIIPHY: u32 = 0x8947;
const SIOCGARP: u32 = 0x8954;
const SIOCSARP: u32 = 0x8955;
const SIOCGIFMAP: u32 = 0x8970;
const SIOCGHWTSTAMP: u32 = 0x89b1;
/// What changes something: `SIOCSIF*`, routes, ARP entries, bridges, bonds, and what is private to a driver.
const CHANGES: &[u32] = &[
    SIOCADDRT,
    SIOCDELRT,
    0x8911, // SIOCSIFLINK
    SIOCSIFFLAGS,
    SIOCSIFADDR,
    0x8918, // SIOCSIFDSTADDR
    SIOCSIFBRDADDR,
    SIOCSIFNETMASK,
    0x891e, // SIOCSIFMETRIC
    0x8920, // SIOCSIFMEM
    0x8922, // SIOCSIFMTU
    0x8923, // SIOCSIFNAME
    0x8924, // SIOCSIFHWADDR
    0x8926, // SIOCSIFENCAP
    0x8930, // SIOCSIFSLAVE
    0x8931, // SIOCADDMULTI
    0x8932, // SIOCDELMULTI
    0x8934, // SIOCSIFPFLAGS
    0x8936, // SIOCDIFADDR
    0x8937, // SIOCSIFHWBROADCAST
    0x8943, // SIOCSIFTXQLEN
    0x8953, // SIOCDARP
    SIOCSARP,
    0x8971, // SIOCSIFMAP
    0x8983, // SIOCSIFVLAN
    0x8990, // SIOCBONDENSLAVE
    0x8991, // SIOCBONDRELEASE
    0x8992, // SIOCBONDSETHWADDR
    0x8995, // SIOCBONDCHANGEACTIVE
    0x89a0, // SIOCBRADDBR
    0x89a1, // SIOCBRDELBR
    0x89a2, // SIOCBRADDIF
    0x89a3, // SIOCBRDELIF
    0x89b0, // SIOCSHWTSTAMP
];

type Outcome = Result<Vec<u8>, Refusal>;

fn refuse<T>(errno: Errno, reason: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { errno, reason: reason.into() })
}

/// Answers a command: what it writes, or why not.
pub(crate) fn perform(node: &mut Node, who: Privilege, family: i32, command: u32, argument: &[u8]) -> Outcome {
    if CHANGES.contains(&command) && who != Privilege::Administrator {
        return refuse(Errno::EPERM, "only root and the node's own user may change interfaces");
    }
    match command {
        SIOCADDRT | SIOCDELRT => change_route(node, family, command == SIOCADDRT, argument),
        SIOCGARP => ask_arp(node, family, argument),
        SIOCSARP => set_arp(node, family, argument),
        SIOCSIFFLAGS => set_flags(node, argument),
        SIOCSIFADDR | SIOCSIFNETMASK | SIOCSIFBRDADDR => set_address(node, family, command, argument),
        SIOCGIFNAME => {
            let mut request = ifreq(argument)?;
            let index = u32::from_ne_bytes(part(&request, NAME_LEN));
            let Some(found) = all(node).into_iter().find(|one| one.index == index) else {
                return refuse(Errno::ENODEV, format!("no interface has index {index}"));
            };
            request[..NAME_LEN].copy_from_slice(&padded(&found.name));
            Ok(request.to_vec())
        }
        _ if CHANGES.contains(&command) => refuse(Errno::EOPNOTSUPP, "the node's interfaces do not change so"),
        _ => ask(&all(node), who, family, command, argument),
    }
}

fn all(node: &Node) -> Vec<Interface> {
    interfaces(node.now, node.host.stack(), &node.ports)
}

/// What is asked about one interface, by its name.
fn ask(all: &[Interface], who: Privilege, family: i32, command: u32, argument: &[u8]) -> Outcome {
    let is_internet = matches!(family, AF_INET | AF_PACKET);
    let of_address = matches!(command, SIOCGIFADDR | SIOCGIFDSTADDR | SIOCGIFBRDADDR | SIOCGIFNETMASK);
    let known = of_address && is_internet
        || matches!(
            command,
            SIOCGIFFLAGS
                | SIOCGIFMETRIC
                | SIOCGIFMTU
                | SIOCGIFHWADDR
                | SIOCGIFSLAVE
                | SIOCGIFINDEX
                | SIOCGIFTXQLEN
                | SIOCGIFMAP
                | SIOCETHTOOL
                | SIOCGMIIPHY
                | SIOCGHWTSTAMP
        );
    if command == SIOCGIFPFLAGS && is_internet {
        return refuse(Errno::EINVAL, "interfaces have no private flags");
    }
    if !known {
        return refuse(Errno::ENOTTY, format!("no socket of this kind answers the ioctl {command:#x}"));
    }
    let (name, alias) = name_of(argument)?;
    let Some(found) = all.iter().find(|one| one.name == name) else {
        return refuse(Errno::ENODEV, format!("no interface is called {name}"));
    };
    if command == SIOCETHTOOL {
        return ethtool::perform(found, who, argument.get(NAME_LEN..).unwrap_or_default());
    }
    let mut request = ifreq(argument)?;
    let value = &mut request[NAME_LEN..];
    match command {
        SIOCGIFFLAGS => put(value, &(found.flags() as u16).to_ne_bytes()),
        SIOCGIFMETRIC => put(value, &0_u32.to_ne_bytes()),
        SIOCGIFMTU => put(value, &found.mtu.to_ne_bytes()),
        SIOCGIFINDEX => put(value, &found.index.to_ne_bytes()),
        SIOCGIFTXQLEN => put(value, &QUEUE_LEN.to_ne_bytes()),
        // No memory, port or interrupt of a card.
        SIOCGIFMAP => value.fill(0),
        SIOCGIFSLAVE => return refuse(Errno::EINVAL, format!("{name} has no slaves")),
        SIOCGIFHWADDR => {
            value[..16].fill(0);
            put(value, &found.hardware_type().to_ne_bytes());
            put(&mut value[2..], &found.mac.0);
        }
        SIOCGIFADDR | SIOCGIFDSTADDR | SIOCGIFBRDADDR | SIOCGIFNETMASK => {
            let meant = (u16::from_ne_bytes(part(value, 0)) == AF_INET as u16).then(|| Ipv4Addr::from(part(value, 4)));
            let Some((address, prefix)) = address_of(found, meant).filter(|_| !alias) else {
                return refuse(Errno::EADDRNOTAVAIL, format!("{name} has no address of IPv4"));
            };
            let answer = match command {
                SIOCGIFBRDADDR => broadcast(found, prefix),
                SIOCGIFNETMASK => mask(prefix),
                _ => address,
            };
            put(value, &sockaddr_in(answer));
        }
        _ => return refuse(Errno::EOPNOTSUPP, format!("{name} has nothing of that")),
    }
    Ok(request.to_vec())
}

/// The interface's first address, or the one that is meant, as `devinet_ioctl` looks for it.
fn address_of(interface: &Interface, meant: Option<Ipv4Addr>) -> Option<(Ipv4Addr, IpPrefix)> {
    let own = || {
        interface.addresses.iter().filter_map(|own| match own.prefix.addr() {
            IpAddr::V4(address) => Some((address, own.prefix)),
            IpAddr::V6(_) => None,
        })
    };
    own().find(|(address, _)| Some(*address) == meant).or_else(|| own().next())
}

fn mask(prefix: IpPrefix) -> Ipv4Addr {
    match prefix.netmask() {
        IpAddr::V4(mask) => mask,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

fn broadcast(interface: &Interface, prefix: IpPrefix) -> Ipv4Addr {
    let none = Ipv4Addr::UNSPECIFIED;
    if interface.is_loopback() { none } else { prefix.broadcast().unwrap_or(none) }
}

/// ARP's entry for an address (`arpreq`: address, hardware address, flags, mask, device).
fn ask_arp(node: &Node, family: i32, argument: &[u8]) -> Outcome {
    let (mut request, interface, address) = of_arp(node, family, argument)?;
    let mut neighbors = node.host.stack().neighbors();
    let Some(found) = neighbors.find(|one| one.port == interface.port && one.address == address) else {
        return refuse(Errno::ENXIO, format!("{address} is no neighbour on {}", interface.name));
    };
    request[16..32].fill(0);
    put(&mut request[16..], &interface.hardware_type().to_ne_bytes());
    put(&mut request[18..], &found.mac.map_or([0; 6], |mac| mac.0));
    let valid = !matches!(found.state, NeighborState::Incomplete | NeighborState::Failed);
    put(&mut request[32..], &(if valid { COMPLETE } else { 0 }).to_ne_bytes());
    Ok(request.to_vec())
}

/// Says who has an address, as servers of DHCP need it for hosts that have none yet.
fn set_arp(node: &mut Node, family: i32, argument: &[u8]) -> Outcome {
    let (request, interface, address) = of_arp(node, family, argument)?;
    let asked = u32::from_ne_bytes(part(&request, 32));
    if asked & (PERMANENT | PUBLISH) != 0 {
        return refuse(Errno::EOPNOTSUPP, "the node checks all its neighbours, and answers for none of them");
    }
    let of_link = u16::from_ne_bytes(part(&request, 16)) == interface.hardware_type() && !interface.is_loopback();
    if asked & COMPLETE == 0 || !of_link {
        return Err(Errno::EINVAL.into());
    }
    let mac = MacAddr(part(&request, 18));
    node.host.stack_mut().tell_neighbor(node.now, interface.port, address, mac);
    Ok(Vec::new())
}

/// ATF_COM, ATF_PERM, ATF_PUBL, ATF_NETMASK, ATF_DONTPUB.
const COMPLETE: u32 = 0x2;
const PERMANENT: u32 = 0x4;
const PUBLISH: u32 = 0x8;
const NETMASK: u32 = 0x20;
const DO_NOT_PUBLISH: u32 = 0x40;

/// A request about an entry of the ARP table: itself, and the interface and the address that it names.
fn of_arp(node: &Node, family: i32, argument: &[u8]) -> Result<([u8; ARPREQ_LEN], Interface, IpAddr), Refusal> {
    if !matches!(family, AF_INET | AF_PACKET) {
        return refuse(Errno::ENOTTY, "no socket of this kind knows of ARP");
    }
    let Some(&request) = argument.first_chunk::<ARPREQ_LEN>() else { return Err(Errno::EINVAL.into()) };
    if u16::from_ne_bytes(part(&request, 0)) != AF_INET as u16 {
        return refuse(Errno::EPFNOSUPPORT, "ARP is for addresses of IPv4");
    }
    let asked = u32::from_ne_bytes(part(&request, 32));
    if asked & PUBLISH == 0 && asked & (NETMASK | DO_NOT_PUBLISH) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let name = text(&request[52..]);
    let Some(interface) = all(node).into_iter().find(|one| one.name == name) else {
        return refuse(Errno::ENODEV, format!("no interface is called {name:?}"));
    };
    let address = IpAddr::from(part::<4>(&request, 4));
    Ok((request, interface, address))
}

/// Takes an interface up or down, and lets it receive more or not.
fn set_flags(node: &mut Node, argument: &[u8]) -> Outcome {
    use flags::{ALLMULTI, BROADCAST, LOOPBACK, LOWER_UP, MULTICAST, PROMISC, RUNNING, UP};
    let (interface, _) = named(node, argument)?;
    let wanted = u32::from(u16::from_ne_bytes(part(argument, NAME_LEN)));
    // What follows from the link is not the caller's to say; Linux ignores it, too.
    let ignored = RUNNING | LOWER_UP | LOOPBACK | BROADCAST;
    let settable = UP | PROMISC | ALLMULTI | if interface.is_loopback() { 0 } else { MULTICAST };
    if (wanted ^ interface.flags()) & !(ignored | settable) != 0 {
        return refuse(Errno::EOPNOTSUPP, format!("{} cannot have the flags {wanted:#x}", interface.name));
    }
    let now = node.now;
    let stack = node.host.stack_mut();
    let more = Reception { promiscuous: wanted & PROMISC != 0, all_multicast: wanted & ALLMULTI != 0 };
    stack.packet_switch_reception(interface.port, more);
    stack.set_enabled(now, interface.port, wanted & UP != 0);
    Ok(Vec::new())
}

/// Gives an interface another first address of IPv4, or another mask for it.
fn set_address(node: &mut Node, family: i32, command: u32, argument: &[u8]) -> Outcome {
    if !matches!(family, AF_INET | AF_PACKET) {
        return refuse(Errno::EOPNOTSUPP, "addresses of IPv6 are configured when the node starts");
    }
    let (interface, alias) = named(node, argument)?;
    if alias {
        return refuse(Errno::EOPNOTSUPP, "the node's addresses have no labels");
    }
    if u16::from_ne_bytes(part(argument, NAME_LEN)) != AF_INET as u16 {
        return Err(Errno::EINVAL.into());
    }
    let given = Ipv4Addr::from(part::<4>(argument, NAME_LEN + 4));
    let old = address_of(&interface, None);
    let prefix = match (command, old) {
        // Nobody's address: the interface shall have none.
        (SIOCSIFADDR, _) if given.is_unspecified() => {
            if let Some((_, old)) = old {
                node.host.stack_mut().remove_address(interface.port, old);
            }
            return Ok(Vec::new());
        }
        (SIOCSIFADDR, Some((address, _))) if address == given => return Ok(Vec::new()),
        (SIOCSIFADDR, _) => IpPrefix::new(given.into(), class_len(given)?).map_err(|_| Errno::EINVAL)?,
        (_, None) => return refuse(Errno::EADDRNOTAVAIL, format!("{} has no address of IPv4", interface.name)),
        (SIOCSIFNETMASK, Some((address, _))) => {
            let len = given.to_bits().leading_ones() as u8;
            if given.to_bits().count_ones() != u32::from(len) {
                return refuse(Errno::EINVAL, format!("{given} is no mask"));
            }
            IpPrefix::new(address.into(), len).map_err(|_| Errno::EINVAL)?
        }
        (_, Some((_, prefix))) if given == broadcast(&interface, prefix) => return Ok(Vec::new()),
        _ => return refuse(Errno::EOPNOTSUPP, "the broadcast address follows from the address and its mask"),
    };
    let now = node.now;
    let stack = node.host.stack_mut();
    if let Some((_, old)) = old {
        stack.remove_address(interface.port, old);
    }
    stack.add_address(now, interface.port, prefix);
    Ok(Vec::new())
}

/// How long an address's prefix is if nobody says (RFC 791's classes).
fn class_len(address: Ipv4Addr) -> Result<u8, Errno> {
    match address.octets()[0] {
        0 if !address.is_unspecified() => Err(Errno::EINVAL),
        0 => Ok(0),
        1..=127 => Ok(8),
        128..=191 => Ok(16),
        192..=223 => Ok(24),
        _ => Err(Errno::EINVAL),
    }
}

/// `rtentry`: destination at 8, gateway at 24, mask at 40, flags at 56, metric (and one more) at 80; behind it the device's name.
fn change_route(node: &mut Node, family: i32, add: bool, argument: &[u8]) -> Outcome {
    /// RTF_UP, RTF_GATEWAY, RTF_HOST, RTF_REJECT.
    const GATEWAY: u16 = 0x2;
    const HOST: u16 = 0x4;
    const REJECT: u16 = 0x200;
    if !matches!(family, AF_INET | AF_PACKET) {
        return refuse(Errno::EOPNOTSUPP, "routes of IPv6 are configured when the node starts");
    }
    if argument.len() < RTENTRY_LEN {
        return Err(Errno::EINVAL.into());
    }
    let address = |at: usize| (u16::from_ne_bytes(part(argument, at)), Ipv4Addr::from(part::<4>(argument, at + 4)));
    let (family, destination) = address(8);
    if family != AF_INET as u16 {
        return refuse(Errno::EAFNOSUPPORT, "the destination is no address of IPv4");
    }
    let flags = u16::from_ne_bytes(part(argument, 56));
    if flags & REJECT != 0 {
        return refuse(Errno::EOPNOTSUPP, "the node has no routes that refuse");
    }
    let mask = if flags & HOST != 0 { u32::MAX } else { address(40).1.to_bits() };
    let len = mask.leading_ones() as u8;
    if mask.count_ones() != u32::from(len) || destination.to_bits() & !mask != 0 {
        return refuse(Errno::EINVAL, "the mask is none, or does not hold the destination");
    }
    let destination = IpPrefix::new(destination.into(), len).map_err(|_| Errno::EINVAL)?;
    let metric = i16::from_ne_bytes(part(argument, 80));
    let name = text(argument.get(RTENTRY_LEN..).unwrap_or_default());
    let next_hop = (flags & GATEWAY != 0).then(|| IpAddr::V4(address(24).1));
    // The caller counts from 1; a route that says nothing has 0.
    let metric = u32::try_from(i32::from(metric) - 1).unwrap_or(0);
    let all = all(node);
    let named = all.iter().find(|one| one.name == name);
    if named.is_none() && !name.is_empty() {
        return refuse(Errno::ENODEV, format!("no interface is called {name:?}"));
    }
    let reaches = |one: &Interface, hop: IpAddr| one.addresses.iter().any(|own| own.prefix.contains(hop));
    let stack = node.host.stack_mut();
    if !add {
        // What is not said does not matter; of several it is the best.
        let meant = |route: &&Route| {
            route.destination.network() == destination.network()
                && named.is_none_or(|one| one.port == route.port)
                && (next_hop.is_none() || next_hop == route.next_hop)
                && (metric == 0 || metric == route.metric)
        };
        let Some(there) = stack.routes().filter(meant).min_by_key(|route| route.metric).copied() else {
            return refuse(Errno::ESRCH, format!("there is no route to {destination}"));
        };
        stack.remove_route(&there);
        return Ok(Vec::new());
    }
    let near = || all.iter().find(|one| next_hop.is_some_and(|hop| reaches(one, hop)));
    let Some(interface) = named.or_else(near) else {
        return refuse(Errno::ENETUNREACH, "the gateway is on no link of the node");
    };
    let route = Route { destination, next_hop, port: interface.port, source: None, metric };
    let same = |other: &Route| {
        (other.destination.network(), other.next_hop, other.port) == (destination.network(), next_hop, route.port)
    };
    if stack.routes().any(same) {
        return refuse(Errno::EEXIST, format!("there is a route to {destination} already"));
    }
    stack.add_route(route);
    Ok(Vec::new())
}

/// The interface that an `ifreq` names, and whether it names an alias of it (`eth0:1`).
fn named(node: &Node, argument: &[u8]) -> Result<(Interface, bool), Refusal> {
    ifreq(argument)?;
    let (name, alias) = name_of(argument)?;
    match all(node).into_iter().find(|one| one.name == name) {
        Some(found) => Ok((found, alias)),
        None => refuse(Errno::ENODEV, format!("no interface is called {name}")),
    }
}

fn name_of(argument: &[u8]) -> Result<(&str, bool), Refusal> {
    let name = text(argument.get(..NAME_LEN).ok_or(Errno::EINVAL)?);
    Ok(name.split_once(':').map_or((name, false), |(name, _)| (name, true)))
}

/// What stands before a zero byte; nothing if that is no text. The last byte of a name is a zero to the kernel.
fn text(bytes: &[u8]) -> &str {
    let bytes = bytes.get(..NAME_LEN - 1).unwrap_or(bytes);
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..end]).unwrap_or_default()
}

fn ifreq(argument: &[u8]) -> Result<[u8; IFREQ_LEN], Errno> {
    argument.first_chunk().copied().ok_or(Errno::EINVAL)
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

fn put(to: &mut [u8], bytes: &[u8]) {
    to[..bytes.len()].copy_from_slice(bytes);
}

/// A name as C has it.
pub(super) fn padded(name: &str) -> [u8; NAME_LEN] {
    let mut bytes = [0; NAME_LEN];
    let len = name.len().min(NAME_LEN - 1);
    bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
    bytes
}

fn sockaddr_in(address: Ipv4Addr) -> [u8; 16] {
    let mut bytes = [0; 16];
    put(&mut bytes, &(AF_INET as u16).to_ne_bytes());
    put(&mut bytes[4..], &address.octets());
    bytes
}
