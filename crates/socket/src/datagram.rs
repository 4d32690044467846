//! sendto and recvfrom, by copy.

use std::net::SocketAddr;

use sockeye_device::Instant;
use sockeye_stack::udp;

use crate::errno::Errno;
use crate::family::scoped;
use crate::host::{Host, SocketId, State};

impl Host {
    /// sendto(2) on a datagram socket; `None`: to its peer. All of it goes, or nothing.
    pub fn send_to(
        &mut self,
        now: Instant,
        id: SocketId,
        bytes: &[u8],
        to: Option<SocketAddr>,
    ) -> Result<usize, Errno> {
        let udp = self.opened(now, id)?;
        if let Some(error) = self.take_error(id) {
            return Err(error);
        }
        let device = to.map(|to| self.zone(id, to)).transpose()?.flatten();
        let to = to.map(|to| self.inward(id, to)).transpose()?;
        let send = udp::Send { to, device, payload: &[bytes], ..udp::Send::default() };
        self.stack.udp_send(now, udp, &send)?;
        Ok(bytes.len())
    }

    /// recvfrom(2) on a datagram socket: how many bytes came and from whom. What does not fit is cut off.
    pub fn receive_from(&mut self, id: SocketId, bytes: &mut [u8]) -> Result<(usize, SocketAddr), Errno> {
        if let Some(error) = self.take_error(id) {
            return Err(error);
        }
        let socket = self.sockets.get(id.0).ok_or(Errno::EBADF)?;
        let udp = match socket.state {
            State::Datagram(Some(udp)) => udp,
            State::Datagram(None) => return Err(Errno::EAGAIN),
            _ => return Err(Errno::EOPNOTSUPP),
        };
        let received = self.stack.udp_recv(udp).ok_or(Errno::EAGAIN)?;
        let count = received.data.len().min(bytes.len());
        bytes[..count].copy_from_slice(&received.data[..count]);
        let from = self.settings(id).map_or(received.from, |settings| settings.outward(received.from));
        let from = scoped(from, Some(received.port));
        self.stack.udp_recycle(received.data);
        Ok((count, from))
    }
}
