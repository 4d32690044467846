//! Listeners.

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;

use super::TcpStream;
use super::socket::{Direction, Socket};

/// Accepts connections, as [`std::net::TcpListener`] does.
pub struct TcpListener {
    socket: Socket,
}

impl TcpListener {
    pub(super) fn new(socket: Socket) -> TcpListener {
        TcpListener { socket }
    }

    /// The oldest connection that waits to be accepted, and its peer; it blocks, whatever the listener is set to.
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.socket.call(Direction::Read, |sockets, _, id| sockets.accept(id)).and_then(|id| {
            let stream = TcpStream::new(self.socket.sibling(id));
            let peer = stream.peer_addr()?;
            Ok((stream, peer))
        })
    }

    /// Accepts for ever.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }
}

impl Deref for TcpListener {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.socket
    }
}

/// The connections of a listener, one after the other.
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn next(&mut self) -> Option<io::Result<TcpStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}
