//! Receiving: the next packet, or that none came in time.

use std::io::{self, Read};
use std::net::Ipv6Addr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::sys::socket::{SockaddrIn6, recvfrom};
use socket2::Socket;

use crate::{Explain, Result};

/// The largest packet there is, and a link header.
pub const LARGEST: usize = 65_535 + 18;

/// Receives into `buffer`, which is as long as it is to be. None when nothing has come by `until`.
pub fn by<'a>(socket: &Socket, until: Instant, buffer: &'a mut [u8]) -> Result<Option<&'a [u8]>> {
    let len = waiting(socket, until, || (&mut &*socket).read(buffer))?;
    Ok(len.map(|len| &buffer[..len]))
}

/// The same for IPv6, whose raw sockets give no IP header: who sent it comes beside it.
pub fn from_by<'a>(socket: &Socket, until: Instant, buffer: &'a mut [u8]) -> Result<Option<(Ipv6Addr, &'a [u8])>> {
    let got = waiting(socket, until, || Ok(recvfrom::<SockaddrIn6>(socket.as_raw_fd(), buffer)?))?;
    Ok(got.map(|(len, from)| (from.map_or(Ipv6Addr::UNSPECIFIED, |from| from.ip()), &buffer[..len])))
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
