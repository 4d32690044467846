//! Datagrams.

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;

use sockeye_socket::names::{SO_BROADCAST, SOL_SOCKET};

use super::socket::{Direction, Socket};

/// Sends and receives datagrams, as [`std::net::UdpSocket`] does.
pub struct UdpSocket {
    socket: Socket,
}

impl UdpSocket {
    pub(super) fn new(socket: Socket) -> UdpSocket {
        UdpSocket { socket }
    }

    /// From now on there is one peer: others are not heard.
    pub fn connect(&self, peer: impl Into<SocketAddr>) -> io::Result<()> {
        let peer = peer.into();
        self.socket.call_once(|sockets, now, id| sockets.connect(now, id, Some(peer)).map(drop))
    }

    /// The peer, if connected; ENOTCONN otherwise.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.call_once(|sockets, _, id| sockets.peer_address(id))
    }

    /// Sends a datagram. Waits only while the device takes nothing.
    pub fn send_to(&self, bytes: &[u8], to: impl Into<SocketAddr>) -> io::Result<usize> {
        let to = to.into();
        self.socket.call(Direction::Write, |sockets, now, id| sockets.send_to(now, id, bytes, Some(to)))
    }

    /// Sends a datagram to the peer.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.call(Direction::Write, |sockets, now, id| sockets.send_to(now, id, bytes, None))
    }

    /// The oldest datagram that has arrived, and from whom. What does not fit is lost.
    pub fn recv_from(&self, bytes: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.call(Direction::Read, |sockets, _, id| sockets.receive_from(id, bytes))
    }

    /// The oldest datagram from the peer.
    pub fn recv(&self, bytes: &mut [u8]) -> io::Result<usize> {
        self.recv_from(bytes).map(|(count, _)| count)
    }

    /// Whether it may send to everybody on a link (SO_BROADCAST).
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.set_option(SOL_SOCKET, SO_BROADCAST, &i32::from(broadcast).to_ne_bytes())
    }
}

impl Deref for UdpSocket {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.socket
    }
}
