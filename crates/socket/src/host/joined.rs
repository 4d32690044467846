//! Connections within the host: both sockets are here, and their bytes go from program to program past it.
//!
//! Whoever drives the host joins two sockets if he can carry the bytes by a way of his own. To the rest of the world they
//! are connected as any others: with addresses, a state, and the settings that their programs made. An end without a peer is
//! told here ([`Host::fail`]), because no segment tells it.

use std::net::SocketAddr;

use sockeye_device::Instant;
use sockeye_stack::tcp::{JoinedId, Side, State as TcpState};

use super::{Body, Host, SocketId, State};
use crate::convert::bind_of;
use crate::errno::Errno;

impl Host {
    /// connect(2) within the host: true if it is done, and the connection waits in the queue of the listener at
    /// `remote`. Else nothing has happened, and [`Host::connect`] is to be asked.
    pub fn join(&mut self, now: Instant, id: SocketId, remote: SocketAddr) -> bool {
        // Whoever names a label is refused it there, or sends packets that bear it.
        if self.settings(id).is_none_or(|settings| settings.flow_label_of(Some(remote)) != 0) {
            return false;
        }
        let Ok(remote) = self.peer_meant(id, remote) else { return false };
        let Some(socket) = self.sockets.get_mut(id.0) else { return false };
        // A device is a way out of the host.
        // And what goes through a filter has to be looked at.
        if socket.device.is_some() || socket.filtering.program().is_some() {
            return false;
        }
        let (binding, own) = match (&socket.state, socket.address) {
            (State::Bound(binding), _) => (Some(*binding), None),
            (State::Fresh, None) => (None, None),
            (State::Fresh, Some(_)) => {
                let Ok(own) = self.stack.tcp_bind(&bind_of(socket, socket.portless())) else { return false };
                (Some(own), Some(own))
            }
            _ => return false,
        };
        let Some(joined) = self.stack.tcp_join(now, binding, remote) else {
            // Made for this attempt only.
            own.into_iter().for_each(|own| self.stack.tcp_unbind(own));
            return false;
        };
        socket.state = State::Joined { id: joined, side: Side::Connecting, announced: false };
        socket.error = None;
        true
    }

    /// A reset ends the connection. The reason is kept until the program asks (SO_ERROR).
    pub fn fail(&mut self, id: SocketId, error: Errno) {
        let Some(socket) = self.sockets.get_mut(id.0) else { return };
        socket.error = Some(error);
        if let State::Joined { id, side, .. } = socket.state {
            self.stack.tcp_joined_shutdown(id, side);
        }
    }

    /// A write to a peer that has let go. TCP takes the first, to which the peer's answer is a reset; there `EPIPE` begins. One of no bytes (`empty`)
    /// sends nothing.
    pub fn write_in_vain(&mut self, id: SocketId, empty: bool) -> Result<(), Errno> {
        let Some(Body::Joined(joined, side)) = self.body(id) else { return Err(Errno::EPIPE) };
        let state = self.stack.tcp_joined_info(joined, side).map(|info| info.state);
        if state != Some(TcpState::CloseWait) {
            return Err(Errno::EPIPE);
        }
        if !empty {
            self.fail(id, Errno::EPIPE);
        }
        Ok(())
    }

    /// The peer's address, until both directions have ended.
    pub(super) fn joined_peer(&self, id: JoinedId, side: Side) -> Result<SocketAddr, Errno> {
        let info = self.stack.tcp_joined_info(id, side).filter(|info| info.state != TcpState::Closed);
        info.and_then(|_| self.stack.tcp_joined_addresses(id, side)).map(|flow| flow.remote).ok_or(Errno::ENOTCONN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Body;
    use crate::names::*;
    use crate::settings::Privilege;
    use sockeye_stack::{Config, Stack};

    const NOW: Instant = Instant::ZERO;

    fn tcp(host: &mut Host) -> SocketId {
        host.socket(AF_INET.into(), SOCK_STREAM, 0).unwrap()
    }

    fn listening(host: &mut Host) -> (SocketId, SocketAddr) {
        let id = tcp(host);
        host.set_option(NOW, id, Privilege::User, IPPROTO_TCP, TCP_NODELAY, &1i32.to_ne_bytes()).unwrap();
        host.listen(id, 1).unwrap();
        let port = host.local_address(id).unwrap().port();
        (id, SocketAddr::from(([127, 0, 0, 1], port)))
    }

    fn int_option(host: &mut Host, id: SocketId, level: i32, name: i32) -> i32 {
        let value = host.option(NOW, id, level, name).unwrap();
        i32::from_ne_bytes(value[..4].try_into().unwrap())
    }

    #[test]
    fn both_sockets_are_as_any_others() {
        let mut host = Host::new(Stack::new(Config::default(), [7; 32]));
        let (listener, remote) = listening(&mut host);
        let client = tcp(&mut host);
        assert!(host.join(NOW, client, remote));
        assert!(!host.join(NOW, client, remote));
        let server = host.accept(listener).unwrap();
        assert_eq!(host.accept(listener), Err(Errno::EAGAIN));
        assert_eq!(host.peer_address(client), Ok(remote));
        assert_eq!(host.peer_address(server), host.local_address(client));
        assert_eq!(host.local_address(server), Ok(remote));
        assert!(matches!(host.body(server), Some(Body::Joined(_, Side::Accepting))));
        assert_eq!(int_option(&mut host, server, IPPROTO_TCP, TCP_NODELAY), 1);
        assert_eq!(host.option(NOW, client, IPPROTO_TCP, TCP_INFO).unwrap()[0], 1);
        assert!(int_option(&mut host, client, IPPROTO_TCP, TCP_MAXSEG) > 60_000);
        // As after a connect that did not wait: once 0, then EISCONN.
        assert!(host.connect(NOW, client, Some(remote)).is_ok());
        assert_eq!(host.connect(NOW, client, Some(remote)), Err(Errno::EISCONN));
        assert_eq!(host.bind(NOW, client, remote, Privilege::User), Err(Errno::EINVAL));
        assert_eq!(host.listen(client, 1), Err(Errno::EINVAL));
        host.shutdown(NOW, client).unwrap();
        host.fail(client, Errno::ECONNRESET);
        assert_eq!(int_option(&mut host, client, SOL_SOCKET, SO_ERROR), Errno::ECONNRESET.raw());
        assert_eq!(int_option(&mut host, client, SOL_SOCKET, SO_ERROR), 0);
        host.close(NOW, server);
        assert_eq!(host.peer_address(client), Err(Errno::ENOTCONN));
        host.close(NOW, client);
        host.close(NOW, listener);
        assert!(host.is_empty());
    }

    #[test]
    fn a_peer_that_is_gone_takes_one_write() {
        let mut host = Host::new(Stack::new(Config::default(), [7; 32]));
        let (listener, remote) = listening(&mut host);
        let client = tcp(&mut host);
        assert_eq!(host.write_in_vain(client, false), Err(Errno::EPIPE));
        assert!(host.join(NOW, client, remote));
        let server = host.accept(listener).unwrap();
        assert_eq!(host.write_in_vain(server, false), Err(Errno::EPIPE));
        host.close(NOW, client);
        assert!(host.peer_address(server).is_ok());
        assert_eq!(host.write_in_vain(server, true), Ok(()));
        assert_eq!(host.write_in_vain(server, false), Ok(()));
        assert_eq!(host.peer_address(server), Err(Errno::ENOTCONN));
        assert_eq!(int_option(&mut host, server, SOL_SOCKET, SO_ERROR), Errno::EPIPE.raw());
        assert_eq!(host.write_in_vain(server, false), Err(Errno::EPIPE));
    }

    #[test]
    fn a_socket_bound_without_a_port_is_as_it_was_when_nobody_listens() {
        let mut host = Host::new(Stack::new(Config::default(), [7; 32]));
        let (_listener, remote) = listening(&mut host);
        let client = tcp(&mut host);
        let on = 1i32.to_ne_bytes();
        host.set_option(NOW, client, Privilege::User, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on).unwrap();
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        host.bind(NOW, client, local, Privilege::User).unwrap();
        assert!(!host.join(NOW, client, SocketAddr::from(([127, 0, 0, 1], 9))));
        assert_eq!(host.local_address(client), Ok(local));
        assert!(host.join(NOW, client, remote));
        assert_eq!(host.local_address(client).unwrap().ip(), local.ip());
    }
}
