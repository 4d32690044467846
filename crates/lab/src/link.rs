//! Interfaces, their addresses and routes: rtnetlink requests.
//!
//! Numbers here are those of `linux/if_link.h`, `linux/if_addr.h` and `linux/rtnetlink.h`, by their names there.

use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use rustix::net::{AddressFamily, SocketType, netdevice::name_to_index, socket};

use crate::netlink::{CREATE, Request, Socket, attribute};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFF_UP: u32 = 1;
const IF_OPER_UP: u8 = 6;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_F_NODAD: u8 = 2;

const RTA_DST: u16 = 1;
const RTA_GATEWAY: u16 = 5;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RTN_UNICAST: u8 = 1;
const RTF_LOCAL: u32 = 0x8000_0000;

/// How long the kernel may take for what it does a moment after it has said yes. It takes microseconds, where nobody else wants the
/// processor.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes a veth pair: `near` here, `far` in another namespace.
pub(crate) fn add_veth(socket: &mut Socket, near: &str, other: &impl AsFd, far: &str) -> io::Result<()> {
    let other = other.as_fd().as_raw_fd();
    let request = Request::new(RTM_NEWLINK, CREATE, &interface_header(0, 0, 0)).text(IFLA_IFNAME, near).nest(
        IFLA_LINKINFO,
        &[],
        |info| {
            info.text(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, &[], |data| {
                data.nest(VETH_INFO_PEER, &interface_header(0, 0, 0), |peer| {
                    peer.text(IFLA_IFNAME, far).attribute(IFLA_NET_NS_FD, &other.to_ne_bytes())
                })
            })
        },
    );
    socket.change(request)
}

/// Removes an interface.
pub(crate) fn remove(socket: &mut Socket, interface: &str) -> io::Result<()> {
    socket.change(Request::new(RTM_DELLINK, 0, &interface_header(index(interface)?, 0, 0)))
}

/// Sets an interface up or down.
pub(crate) fn set_up(socket: &mut Socket, interface: &str, up: bool) -> io::Result<()> {
    let flags = if up { IFF_UP } else { 0 };
    socket.change(Request::new(RTM_NEWLINK, 0, &interface_header(index(interface)?, flags, IFF_UP)))
}

/// Waits until an interface carries frames. The kernel sees a moment after both ends of a link are up that there is one, and until then
/// loses what is sent.
pub(crate) fn await_carrier(socket: &mut Socket, interface: &str) -> io::Result<()> {
    soon("the kernel sees no carrier", || {
        Ok(about(socket, interface, IFLA_OPERSTATE)?.is_some_and(|state| state == [IF_OPER_UP]))
    })
}

/// Sets the MTU.
pub(crate) fn set_mtu(socket: &mut Socket, interface: &str, bytes: u32) -> io::Result<()> {
    let header = interface_header(index(interface)?, 0, 0);
    socket.change(Request::new(RTM_NEWLINK, 0, &header).attribute(IFLA_MTU, &bytes.to_ne_bytes()))
}

/// Asks for the hardware address.
pub(crate) fn mac(socket: &mut Socket, interface: &str) -> io::Result<[u8; 6]> {
    about(socket, interface, IFLA_ADDRESS)?
        .and_then(|address| address.try_into().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the interface has no MAC"))
}

/// What the kernel says of an interface.
fn about(socket: &mut Socket, interface: &str, what: u16) -> io::Result<Option<Vec<u8>>> {
    let header = interface_header(index(interface)?, 0, 0);
    let reply = socket.ask(Request::new(RTM_GETLINK, 0, &header))?;
    Ok(reply.get(header.len()..).and_then(|attributes| attribute(attributes, what)).map(<[u8]>::to_vec))
}

/// Adds an address. Duplicate address detection is off: a lab is not worth its second.
pub(crate) fn add_address(socket: &mut Socket, interface: &str, ip: IpAddr, length: u8) -> io::Result<()> {
    let mut header = vec![family(ip), length, if ip.is_ipv6() { IFA_F_NODAD } else { 0 }, RT_SCOPE_UNIVERSE];
    header.extend_from_slice(&index(interface)?.to_ne_bytes());
    let mut request = Request::new(RTM_NEWADDR, CREATE, &header).attribute(IFA_ADDRESS, &octets(ip));
    if let IpAddr::V4(v4) = ip {
        let hosts = u32::MAX.checked_shr(length.into()).unwrap_or(0);
        request = request.attribute(IFA_LOCAL, &octets(ip));
        if hosts > 1 {
            request = request.attribute(IFA_BROADCAST, &(v4.to_bits() | hosts).to_be_bytes());
        }
    }
    socket.change(request)?;
    match ip {
        IpAddr::V4(_) => Ok(()),
        IpAddr::V6(ip) => await_local_route(ip),
    }
}

/// Waits until the kernel takes what comes for an address of this thread's namespace: of IPv6 it makes the route for that some time
/// after it has confirmed the address.
fn await_local_route(ip: Ipv6Addr) -> io::Result<()> {
    let host = format!("{:032x} 80 ", ip.to_bits());
    let local = |route: &str| {
        let flags = route.split_whitespace().nth(8).and_then(|flags| u32::from_str_radix(flags, 16).ok());
        route.starts_with(&host) && flags.is_some_and(|flags| flags & RTF_LOCAL != 0)
    };
    soon("the kernel makes no local route for it", || {
        Ok(fs::read_to_string("/proc/thread-self/net/ipv6_route")?.lines().any(local))
    })
}

/// Asks until it is so. For what the kernel reports to nobody, or to too many.
fn soon(complaint: &'static str, mut is_so: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    while !is_so()? {
        if Instant::now() > end {
            return Err(io::Error::new(io::ErrorKind::TimedOut, complaint));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Adds a route by way of a gateway.
pub(crate) fn add_route(socket: &mut Socket, ip: IpAddr, length: u8, gateway: IpAddr) -> io::Result<()> {
    let header = [family(ip), length, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_UNIVERSE, RTN_UNICAST, 0, 0, 0, 0];
    let request = Request::new(RTM_NEWROUTE, CREATE, &header).attribute(RTA_GATEWAY, &octets(gateway));
    socket.change(if length == 0 { request } else { request.attribute(RTA_DST, &octets(ip)) })
}

/// `struct ifinfomsg`: family, padding, type, index, flags, mask of flags to change.
fn interface_header(index: u32, flags: u32, mask: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..].copy_from_slice(&mask.to_ne_bytes());
    header
}

fn index(interface: &str) -> io::Result<u32> {
    let any = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    Ok(name_to_index(any, interface)?)
}

fn family(ip: IpAddr) -> u8 {
    let family = if ip.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    family.as_raw().to_ne_bytes()[usize::from(cfg!(target_endian = "big"))]
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}
