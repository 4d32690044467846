//! The bytes of a stream, and their ends.

use sockeye_device::Instant;

use super::{Host, SocketId, State, clear_back};
use crate::errno::Errno;

impl Host {
    /// send(2) on a stream: how many bytes were taken, or EAGAIN.
    pub fn send(&mut self, now: Instant, id: SocketId, bytes: &[u8]) -> Result<usize, Errno> {
        let connection = self.connection(id)?;
        let status = self.stack.tcp_status(connection);
        if let Some(error) = self.take_failure(id) {
            return Err(error);
        }
        if status.local_closed {
            return Err(Errno::EPIPE);
        }
        match self.stack.tcp_write(now, connection, bytes) {
            0 if !bytes.is_empty() => Err(Errno::EAGAIN),
            taken => Ok(taken),
        }
    }

    /// recv(2) on a stream: how many bytes came, 0 at the end, or EAGAIN.
    pub fn receive(&mut self, now: Instant, id: SocketId, bytes: &mut [u8]) -> Result<usize, Errno> {
        let connection = self.connection(id)?;
        let count = self.stack.tcp_read(now, connection, bytes);
        if count > 0 || bytes.is_empty() {
            return Ok(count);
        }
        let finished = self.stack.tcp_status(connection).peer_closed;
        match self.take_failure(id) {
            Some(error) => Err(error),
            None if finished => Ok(0),
            None => Err(Errno::EAGAIN),
        }
    }

    /// Whether shutdown(2) would be heard: ENOTCONN without a peer.
    pub fn may_shut_down(&self, id: SocketId) -> Result<(), Errno> {
        match self.sockets.get(id.0).ok_or(Errno::EBADF)?.state {
            State::Connection { established: true, .. } | State::Listening { .. } => Ok(()),
            State::Joined { id, side, .. } => self.joined_peer(id, side).map(drop),
            State::Datagram(Some(udp)) if self.stack.udp_remote(udp).is_some() => Ok(()),
            State::Raw(raw) if self.stack.raw_remote(raw).is_some() => Ok(()),
            State::Packet(_) => Err(Errno::EOPNOTSUPP),
            _ => Err(Errno::ENOTCONN),
        }
    }

    /// shutdown(2) for writing: a FIN follows what was sent. A listener listens no more.
    pub fn shutdown(&mut self, now: Instant, id: SocketId) -> Result<(), Errno> {
        self.may_shut_down(id)?;
        let socket = self.sockets.get(id.0).ok_or(Errno::EBADF)?;
        match socket.state {
            State::Connection { id, .. } => {
                self.stack.tcp_shutdown(now, id);
                Ok(())
            }
            State::Joined { id, side, .. } => {
                self.stack.tcp_joined_shutdown(id, side);
                Ok(())
            }
            State::Listening { id: listener, binding } => {
                self.stack.tcp_hold(binding);
                self.stack.tcp_unlisten(now, listener);
                clear_back(&mut self.listeners, listener.index());
                if let Some(socket) = self.sockets.get_mut(id.0) {
                    socket.state = State::Bound(binding);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
