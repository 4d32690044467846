//! Streams.

use std::cell::Cell;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::ops::Deref;

use sockeye_socket::names::{IP_TTL, IPPROTO_IP, IPPROTO_TCP, TCP_NODELAY};
use sockeye_socket::{Body, Errno, Host};

use super::socket::{Direction, Socket};

/// Pieces of the receive queue that are looked at in one go.
const SLICES: usize = 16;

/// A connection. Reads and writes as [`std::net::TcpStream`] does; what is common to all sockets it has from [`Socket`].
pub struct TcpStream {
    socket: Socket,
    /// The program has said that it reads no more.
    deaf: Cell<bool>,
}

impl TcpStream {
    pub(super) fn new(socket: Socket) -> TcpStream {
        TcpStream { socket, deaf: Cell::new(false) }
    }

    /// The peer's address. ENOTCONN while there is none.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.call_once(|sockets, _, id| sockets.peer_address(id))
    }

    /// Ends one direction, or both: a FIN follows what was written; reading finds the end once what has arrived is read.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.call_once(|sockets, now, id| match how {
            Shutdown::Read => sockets.may_shut_down(id),
            Shutdown::Write | Shutdown::Both => sockets.shutdown(now, id),
        })?;
        if how != Shutdown::Write {
            self.deaf.set(true);
        }
        Ok(())
    }

    /// Whether small segments leave at once (TCP_NODELAY), or wait while others are unacknowledged.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.set_option(IPPROTO_TCP, TCP_NODELAY, &i32::from(nodelay).to_ne_bytes())
    }

    /// What [`TcpStream::set_nodelay`] has set.
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(self.socket.int(IPPROTO_TCP, TCP_NODELAY)? != 0)
    }

    /// How many routers a packet may pass (IP_TTL).
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.set_option(IPPROTO_IP, IP_TTL, &ttl.to_ne_bytes())
    }

    /// Reads without a copy: `body` looks at what has arrived where it lies, in order, and says how many bytes of it are
    /// read. Waits as [`Read::read`] does; 0 at the end, without a call of `body`.
    ///
    /// # Panics
    ///
    /// When `body` calls the host.
    pub fn read_in_place(&self, body: impl FnOnce(&[IoSlice<'_>]) -> usize) -> io::Result<usize> {
        let mut body = Some(body);
        self.read_with(|sockets, now, id| {
            let Some(Body::Connection(connection)) = sockets.body(id) else {
                return sockets.receive(now, id, &mut [0]);
            };
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = sockets.stack().tcp_chunks(connection, &mut slices);
            if count == 0 {
                // Nothing is there: this says whether there will be.
                return sockets.receive(now, id, &mut [0]);
            }
            let taken = body.take().map_or(0, |body| body(&slices[..count]));
            sockets.stack_mut().tcp_consume(now, connection, taken);
            Ok(taken)
        })
    }

    /// Writes without a copy: `body` fills room for up to `most` bytes in the send queue, in two pieces, in order, and says
    /// how many it has written. Waits for room as [`Write::write`] does.
    ///
    /// # Panics
    ///
    /// When `body` calls the host.
    pub fn write_in_place(&self, most: usize, body: impl FnOnce([&mut [u8]; 2]) -> usize) -> io::Result<usize> {
        let mut body = Some(body);
        self.socket.call(Direction::Write, |sockets, now, id| {
            // What makes writing impossible is told as write tells it.
            sockets.send(now, id, &[]).map_err(|errno| reason(sockets, id, errno))?;
            let Some(Body::Connection(connection)) = sockets.body(id) else { return Err(Errno::ENOTCONN) };
            let stack = sockets.stack_mut();
            let room = stack.tcp_reserve(connection, most);
            if room[0].is_empty() && most > 0 {
                stack.tcp_commit(now, connection, 0);
                return Err(Errno::EAGAIN);
            }
            let length = room[0].len() + room[1].len();
            let written = body.take().map_or(0, |body| body(room)).min(length);
            stack.tcp_commit(now, connection, written);
            Ok(written)
        })
    }

    fn read_with(
        &self,
        mut call: impl FnMut(&mut Host, sockeye_device::Instant, super::SocketId) -> Result<usize, Errno>,
    ) -> io::Result<usize> {
        let deaf = self.deaf.get();
        self.socket.call(Direction::Read, |sockets, now, id| match call(sockets, now, id) {
            Err(Errno::EAGAIN) if deaf => Ok(0),
            result => result.map_err(|errno| reason(sockets, id, errno)),
        })
    }
}

/// A connection that never came about leaves a socket without a peer, and the reason why.
fn reason(sockets: &mut Host, id: super::SocketId, errno: Errno) -> Errno {
    match errno {
        Errno::ENOTCONN => sockets.take_error(id).unwrap_or(errno),
        errno => errno,
    }
}

impl Deref for TcpStream {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.socket
    }
}

impl Read for &TcpStream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.read_with(|sockets, now, id| sockets.receive(now, id, bytes))
    }
}

impl Write for &TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.call(Direction::Write, |sockets, now, id| {
            sockets.send(now, id, bytes).map_err(|errno| reason(sockets, id, errno))
        })
    }

    /// All that there is room for becomes one write: no segment leaves between the pieces.
    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.call(Direction::Write, |sockets, now, id| {
            let mut total = 0;
            for piece in pieces {
                match sockets.send(now, id, piece) {
                    Ok(count) => total += count,
                    Err(_) if total > 0 => break,
                    Err(errno) => return Err(reason(sockets, id, errno)),
                }
            }
            Ok(total)
        })
    }

    /// Nothing is kept back that could be flushed.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for TcpStream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        (&*self).read(bytes)
    }
}

impl Write for TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
