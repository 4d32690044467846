//! `ioctl`, as far as sockets need it.
//!
//! How much is there to read, and whether reading has reached the urgent mark, a stream's pair knows itself. How much is still to be sent only the
//! node knows. Questions about interfaces go to the node on whatever socket they are asked: they are about the interfaces that the program sees.

use crate::exchange::{self, Along, NONSENSE};
use crate::names::{self, Mark, identity};
use crate::sys::{self, Errno, answer};
use crate::{datagram, interfaces, interpose, memory, real};
use libc::{c_int, c_ulong, c_void};
use sockeye_control::{Family, Kind, Reply, Request, SocketName};

/// `TIOCINQ`, `SIOCINQ`.
const FIONREAD: c_ulong = 0x541b;
/// `TIOCOUTQ`.
const SIOCOUTQ: c_ulong = 0x5411;
const SIOCATMARK: c_ulong = 0x8905;
/// When the last packet came: two times, in the program's form.
const SIOCGSTAMP: c_ulong = 0x8906;
const SIOCGSTAMPNS: c_ulong = 0x8907;
/// The first and the last of those about routes and interfaces, and the wireless ones.
const SIOCADDRT: c_ulong = 0x890b;
const SIOCGIFCONF: c_ulong = 0x8912;
const SIOCETHTOOL: c_ulong = 0x8946;
const SIOCOUTQNSD: c_ulong = 0x894b;
const LAST: c_ulong = 0x89ff;
const WIRELESS_FIRST: c_ulong = 0x8b00;
const WIRELESS_LAST: c_ulong = 0x8bff;
/// From here on they are a protocol's or a driver's own.
const SIOCGSKNS: c_ulong = 0x894c;
const SIOCPROTOPRIVATE: c_ulong = 0x89e0;

interpose! {
    /// `ioctl(2)`. In C it takes a variable list of arguments, of which the kernel takes one.
    fn ioctl(fd: c_int, command: c_ulong, argument: *mut c_void) -> c_int {
        // Compared as the kernel does, in 32 bits: programs pass negative numbers.
        let number = command & 0xffff_ffff;
        match number {
            FIONREAD | SIOCOUTQ | SIOCGSTAMP | SIOCGSTAMPNS | SIOCOUTQNSD => match identity(fd) {
                Some(socket) if number == FIONREAD && socket.kind == Kind::Stream => match names::unconnected(fd) {
                    Some(Mark::Listener) => return answer(Err(Errno(libc::EINVAL))),
                    // The node's own byte does not count.
                    Some(_) => return answer(memory::write(argument, &[0; 4]).map(|()| 0)),
                    None => {}
                },
                Some(socket) => return answer(ask(fd, socket, number, argument).map(|()| 0)),
                None => {}
            },
            SIOCADDRT..=LAST | WIRELESS_FIRST..=WIRELESS_LAST => {
                if let Some(family) = family(fd, number) {
                    return answer(ask_about_interface(family, number, argument).map(|()| 0));
                }
            }
            _ => {}
        }
        // SAFETY: the program's own arguments, as they came.
        unsafe { real::ioctl(fd, command, argument) }
    }
}

/// The family of a socket that is asked about an interface. Any socket will do, also one of the kernel's (libpcap takes a Unix one): whoever asks means the
/// interfaces that he sees. `None` if the kernel is to answer.
fn family(fd: c_int, number: c_ulong) -> Option<c_int> {
    match identity(fd) {
        Some(socket) => Some(match names::family(fd, socket) {
            Family::V4 => libc::AF_INET,
            Family::V6 => libc::AF_INET6,
            Family::Packet => libc::AF_PACKET,
            Family::Netlink => libc::AF_NETLINK,
        }),
        None if number == SIOCGSKNS || (SIOCPROTOPRIVATE..=LAST).contains(&number) => None,
        None => sys::domain(fd).ok(),
    }
}

fn ask(fd: c_int, socket: SocketName, command: c_ulong, argument: *mut c_void) -> Result<(), Errno> {
    const _: () = assert!(SIOCATMARK < SIOCGSTAMP, "the pair answers it");
    if command == FIONREAD {
        let len = datagram::next_len(fd)?;
        return memory::write(argument, &(len as c_int).to_ne_bytes());
    }
    let request = Request::Ioctl { id: socket.id, command: command as u32, argument: &[] };
    finish(&request, Along::socket(fd), argument)
}

/// Asks, and writes what the answer says to where the command writes.
fn finish(request: &Request<'_>, along: Along, to: *mut c_void) -> Result<(), Errno> {
    match exchange::ask(request, along, &mut exchange::buffer())?.reply {
        Reply::Value(result) => memory::write(to, result),
        Reply::Done => Ok(()),
        _ => Err(NONSENSE),
    }
}

/// `struct ifreq`: a name in 16 bytes, and something in 24, which may be a pointer.
const IFREQ: usize = 40;
const NAME: usize = 16;
/// `struct rtentry`, and where in it the pointer to the device's name is.
const RTENTRY: usize = 120;
const RT_DEV: usize = 88;
/// `struct arpreq`.
const ARPREQ: usize = 68;
/// IPv6's `struct in6_ifreq` and `struct in6_rtmsg`.
const IN6_IFREQ: usize = 24;
const IN6_RTMSG: usize = 80;

/// The longest structure that a command of ethtool's reads here.
const ETHTOOL: usize = 48;

fn ask_about_interface(family: c_int, command: c_ulong, argument: *mut c_void) -> Result<(), Errno> {
    if command == SIOCGIFCONF {
        return interfaces::configuration(argument);
    }
    let mut bytes = [0; RTENTRY + NAME];
    let len = match (command, family) {
        (SIOCADDRT | 0x890c, libc::AF_INET6) => IN6_RTMSG,
        (SIOCADDRT | 0x890c, _) => RTENTRY,
        (0x8953..=0x8955, _) => ARPREQ,
        // SIOCSIFADDR, SIOCSIFDSTADDR, SIOCDIFADDR.
        (0x8916 | 0x8918 | 0x8936, libc::AF_INET6) => IN6_IFREQ,
        _ => IFREQ,
    };
    memory::read(argument, &mut bytes[..len])?;
    let (mut to, mut end) = (argument, len);
    if len == RTENTRY {
        let name = pointer(&bytes, RT_DEV);
        end = RTENTRY + if name.is_null() { 0 } else { read_name(name, &mut bytes[RTENTRY..])? };
    } else if command == SIOCETHTOOL {
        to = pointer(&bytes, NAME);
        let size = ethtool_len(memory::read_value(to.cast_const().cast::<u32>())?);
        memory::read(to, &mut bytes[NAME..NAME + size])?;
        end = NAME + size;
    }
    let request = Request::InterfaceIoctl { family, command: command as u32, argument: &bytes[..end] };
    finish(&request, Along::nothing(), to)
}

/// A pointer within a structure of the program's.
fn pointer(bytes: &[u8], at: usize) -> *mut c_void {
    let pointer = bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |&word| usize::from_ne_bytes(word));
    std::ptr::with_exposed_provenance_mut(pointer)
}

/// How much of its structure a command of ethtool's reads.
fn ethtool_len(command: u32) -> usize {
    match command {
        // GPERMADDR reads how much room there is, GLINKSETTINGS how many words.
        0x20 => 8,
        0x4c => ETHTOOL,
        _ => 4,
    }
}

/// Reads a name up to its zero byte; how long it is.
fn read_name(from: *mut c_void, name: &mut [u8]) -> Result<usize, Errno> {
    let limit = name.len() - 1;
    for (at, to) in name[..limit].iter_mut().enumerate() {
        let byte = memory::read_value(from.cast_const().cast::<u8>().wrapping_add(at))?;
        if byte == 0 {
            return Ok(at);
        }
        *to = byte;
    }
    Ok(limit)
}
