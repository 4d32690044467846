//! What the kernel knows of an interface, and when that changes.
//!
//! One request to rtnetlink tells index, address, MTU, state and the longest super-frame that the driver takes. A
//! [`LinkMonitor`] subscribes to the same messages, so that whoever runs devices learns when a link goes down and up
//! again without asking.
//!
//! # Standards
//!
//! RFC 3549 §2.2 and §3.1 (messages and attributes); rtnetlink(7).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};
use sockeye_wire::MacAddr;

/// Room for one message about an interface: some KiB with every attribute, far below this.
const BUFFER: usize = 32 * 1024;
const GROUP_LINK: u32 = 1;
const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const ERROR: u16 = 2;
const ADDRESS: u16 = 1;
const NAME: u16 = 3;
const MTU: u16 = 4;
const GSO_MAX_SIZE: u16 = 41;
const GSO_IPV4_MAX_SIZE: u16 = 63;

/// An interface as the kernel sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number, which does not change with its name.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// It carries Ethernet frames.
    pub ethernet: bool,
    /// Its address, if that is one of Ethernet's.
    pub mac: Option<MacAddr>,
    /// The largest packet in bytes.
    pub mtu: u32,
    /// Somebody has set it up (`IFF_UP`).
    pub up: bool,
    /// It has a carrier (`IFF_LOWER_UP`).
    pub carrier: bool,
    /// From this length on (link header included) the kernel cuts a super-frame itself instead of handing it to the driver.
    pub super_frame_limit: usize,
}

impl Link {
    /// True when frames can pass.
    pub fn is_running(&self) -> bool {
        self.up && self.carrier
    }

    /// Asks for the interface with this name, in the caller's network namespace. `NotFound` if there is none.
    pub fn by_name(name: &str) -> io::Result<Link> {
        LinkQuery::open()?.by_name(name)
    }
}

/// Asks the kernel for interfaces of the network namespace in which it was opened.
#[derive(Debug)]
pub struct LinkQuery {
    socket: OwnedFd,
}

impl LinkQuery {
    /// Opens a socket for questions. Needs no privilege.
    pub fn open() -> io::Result<LinkQuery> {
        Ok(LinkQuery { socket: open(0, SocketFlags::empty())? })
    }

    /// The interface with this name. `NotFound` if there is none.
    pub fn by_name(&self, name: &str) -> io::Result<Link> {
        let mut attribute = name.as_bytes().to_vec();
        attribute.push(0);
        query(&self.socket, 0, Some((NAME, &attribute)))
    }

    /// The interface with this number. `NotFound` if there is none.
    pub fn by_index(&self, index: u32) -> io::Result<Link> {
        query(&self.socket, index, None)
    }
}

/// What a [`LinkMonitor`] has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// An interface is new or has changed.
    Changed(Link),
    /// An interface is gone.
    Removed {
        /// Its number.
        index: u32,
    },
    /// The kernel had more to say than was read in time. Ask again for every interface that matters.
    Missed,
}

/// Hears of every change to an interface in this network namespace.
#[derive(Debug)]
pub struct LinkMonitor {
    socket: OwnedFd,
    buffer: Vec<u8>,
    range: std::ops::Range<usize>,
}

impl LinkMonitor {
    /// Subscribes. Needs no privilege.
    pub fn open() -> io::Result<LinkMonitor> {
        let socket = open(GROUP_LINK, SocketFlags::NONBLOCK)?;
        Ok(LinkMonitor { socket, buffer: vec![0; BUFFER], range: 0..0 })
    }

    /// The next event, or `None` when there is none now.
    pub fn poll_event(&mut self) -> io::Result<Option<LinkEvent>> {
        loop {
            while let Some((message, len)) = Message::first(&self.buffer[self.range.clone()]) {
                let event = match message.kind {
                    NEW_LINK => parse(message.body).map(LinkEvent::Changed),
                    DELETE_LINK => parse(message.body).map(|link| LinkEvent::Removed { index: link.index }),
                    _ => None,
                };
                self.range.start += len;
                if event.is_some() {
                    return Ok(event);
                }
            }
            match rustix::net::recv(&self.socket, &mut self.buffer[..], RecvFlags::DONTWAIT) {
                Ok((len, _)) => self.range = 0..len,
                Err(rustix::io::Errno::AGAIN) => return Ok(None),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::NOBUFS) => return Ok(Some(LinkEvent::Missed)),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for LinkMonitor {
    /// Readable when there may be an event.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn open(groups: u32, flags: SocketFlags) -> io::Result<OwnedFd> {
    let flags = flags | SocketFlags::CLOEXEC;
    // NETLINK_ROUTE is protocol 0, which is no protocol in particular.
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    rustix::net::bind(&socket, &netlink::SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

fn query(socket: &OwnedFd, index: u32, attribute: Option<(u16, &[u8])>) -> io::Result<Link> {
    let mut request = vec![0; 16];
    request.extend([0; 4]);
    request.extend(index.to_ne_bytes());
    request.extend([0; 8]);
    if let Some((kind, value)) = attribute {
        let len = u16::try_from(4 + value.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        request.extend(len.to_ne_bytes());
        request.extend(kind.to_ne_bytes());
        request.extend(value);
        request.resize(request.len().next_multiple_of(4), 0);
    }
    let len = request.len() as u32;
    request[..4].copy_from_slice(&len.to_ne_bytes());
    request[4..6].copy_from_slice(&GET_LINK.to_ne_bytes());
    request[6..8].copy_from_slice(&1u16.to_ne_bytes()); // NLM_F_REQUEST
    rustix::net::send(socket, &request, SendFlags::empty())?;

    let mut buffer = vec![0; BUFFER];
    let (len, _) = rustix::io::retry_on_intr(|| rustix::net::recv(socket, &mut buffer[..], RecvFlags::empty()))?;
    let unexpected = || io::Error::new(io::ErrorKind::InvalidData, "unexpected answer from rtnetlink");
    let (message, _) = Message::first(&buffer[..len]).ok_or_else(unexpected)?;
    match message.kind {
        NEW_LINK => parse(message.body).ok_or_else(unexpected),
        ERROR => {
            let number = u32_at(message.body, 0).ok_or_else(unexpected)?.cast_signed().wrapping_neg();
            Err(match number {
                libc::ENODEV => io::ErrorKind::NotFound.into(),
                number => io::Error::from_raw_os_error(number),
            })
        }
        _ => Err(unexpected()),
    }
}

struct Message<'a> {
    kind: u16,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The first message, and where the next begins.
    fn first(bytes: &'a [u8]) -> Option<(Message<'a>, usize)> {
        let len = u32_at(bytes, 0)? as usize;
        let body = bytes.get(16..len)?;
        Some((Message { kind: u16_at(bytes, 4)?, body }, len.next_multiple_of(4).min(bytes.len())))
    }
}

fn parse(body: &[u8]) -> Option<Link> {
    let flags = u32_at(body, 8)?;
    let mut link = Link {
        index: u32_at(body, 4)?,
        name: String::new(),
        ethernet: u16_at(body, 2)? == libc::ARPHRD_ETHER,
        mac: None,
        mtu: 0,
        up: flags & libc::IFF_UP as u32 != 0,
        carrier: flags & libc::IFF_LOWER_UP as u32 != 0,
        super_frame_limit: 65_536,
    };
    let mut rest = body.get(16..)?;
    while let Some(len) = u16_at(rest, 0).map(usize::from) {
        let (kind, Some(value)) = (u16_at(rest, 2)?, rest.get(4..len)) else { break };
        match kind {
            ADDRESS => link.mac = value.try_into().ok().map(MacAddr),
            NAME => {
                link.name =
                    String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned();
            }
            MTU => link.mtu = u32_at(value, 0)?,
            GSO_MAX_SIZE | GSO_IPV4_MAX_SIZE => {
                link.super_frame_limit = link.super_frame_limit.min(u32_at(value, 0)? as usize);
            }
            _ => {}
        }
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(link)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_loopback_is_known() {
        let links = LinkQuery::open().expect("needs nothing");
        let link = links.by_name("lo").expect("every namespace has it");
        assert_eq!((link.name.as_str(), link.ethernet), ("lo", false));
        assert_eq!(links.by_index(link.index).expect("as by name"), link);
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let links = LinkQuery::open().expect("needs nothing");
        assert_eq!(links.by_name("no-such-link").map_err(|error| error.kind()), Err(io::ErrorKind::NotFound));
        assert_eq!(links.by_index(u32::MAX >> 1).map_err(|error| error.kind()), Err(io::ErrorKind::NotFound));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_loop(bytes in prop::collection::vec(any::<u8>(), 0..200), len in 0..40u16) {
            let mut bytes = bytes;
            if let Some(place) = bytes.get_mut(16..18) { place.copy_from_slice(&len.to_ne_bytes()); }
            let _ = parse(&bytes);
            if let Some((_, next)) = Message::first(&bytes) { prop_assert!(next >= 16); }
        }
    }
}
