//! Receiving: the next packet, or that none came in time.

use std::io::{self, IoSliceMut, Read};
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::sys::socket::sockopt::Ipv6RecvPacketInfo;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvfrom, recvmsg, setsockopt};
use socket2::Socket;
use sockeye_wire::ipv4;

use crate::{Explain, Result};

/// The largest packet there is, and a link header.
pub const LARGEST: usize = 65_535 + 18;

/// Receives into `buffer`, which is as long as it is to be. None when nothing has come by `until`.
pub fn by<'a>(socket: &Socket, until: Instant, buffer: &'a mut [u8]) -> Result<Option<&'a [u8]>> {
    let len = waiting(socket, until, || (&mut &*socket).read(buffer))?;
    Ok(len.map(|len| &buffer[..len]))
}

/// The same from a raw socket of a family: who sent it, and what is behind the IP header. A raw socket of IPv4 gives the header,
/// one of IPv6 does not, and says beside the message who sent it.
pub fn from_by<'a>(
    socket: &Socket,
    is_ipv6: bool,
    until: Instant,
    buffer: &'a mut [u8],
) -> Result<Option<(IpAddr, &'a [u8])>> {
    if is_ipv6 {
        let got = waiting(socket, until, || Ok(recvfrom::<SockaddrIn6>(socket.as_raw_fd(), buffer)?))?;
        return Ok(got.map(|(len, from)| (from.map_or(Ipv6Addr::UNSPECIFIED, |from| from.ip()).into(), &buffer[..len])));
    }
    let Some(bytes) = by(socket, until, buffer)? else { return Ok(None) };
    let packet = ipv4::Packet::parse(bytes).explain("read the IP header that the system gave")?;
    Ok(Some((packet.src().into(), packet.payload())))
}

/// What a raw socket of IPv6 was given beside a message, where it has asked for it: see [`ask_beside`].
#[derive(Clone, Copy, Debug)]
pub struct Beside {
    /// Who sent it.
    pub src: Ipv6Addr,
    /// Whom it was for: a group, perhaps.
    pub dst: Ipv6Addr,
    /// The hop limit that it came with.
    pub hop_limit: u8,
}

/// Asks for what [`with_header_by`] gives.
pub fn ask_beside(socket: &Socket) -> Result<()> {
    socket.set_recv_hoplimit_v6(true).explain("set IPV6_RECVHOPLIMIT")?;
    setsockopt(socket, Ipv6RecvPacketInfo, &true).explain("set IPV6_RECVPKTINFO")
}

/// The same with what is otherwise lost with the IP header: it comes as ancillary data.
pub fn with_header_by<'a>(socket: &Socket, until: Instant, buffer: &'a mut [u8]) -> Result<Option<(Beside, &'a [u8])>> {
    let got = waiting(socket, until, || {
        let mut control = nix::cmsg_space!(libc::c_int, libc::in6_pktinfo);
        let mut parts = [IoSliceMut::new(buffer)];
        let got = recvmsg::<SockaddrIn6>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())?;
        let nobody = Ipv6Addr::UNSPECIFIED;
        let mut beside = Beside { src: got.address.map_or(nobody, |from| from.ip()), dst: nobody, hop_limit: 0 };
        for message in got.cmsgs()? {
            match message {
                ControlMessageOwned::Ipv6HopLimit(limit) => beside.hop_limit = limit as u8,
                ControlMessageOwned::Ipv6PacketInfo(info) => beside.dst = info.ipi6_addr.s6_addr.into(),
                _ => {}
            }
        }
        Ok((beside, got.bytes))
    })?;
    Ok(got.map(|(beside, len)| (beside, &buffer[..len])))
}

/// Receives as long as there is time.
fn waiting<T>(socket: &Socket, until: Instant, mut receive: impl FnMut() -> io::Result<T>) -> Result<Option<T>> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        // A timeout of zero would mean for ever, and a system counts in microseconds.
        if left < Duration::from_micros(1) {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left)).explain("set a timeout")?;
        return match receive() {
            Ok(got) => Ok(Some(got)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error).explain("receive"),
        };
    }
}
