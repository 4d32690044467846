//! What gives a socket its addresses: bind, listen, accept and connect; and what these are.

use std::net::SocketAddr;

use sockeye_device::Instant;
use sockeye_stack::Bind;
use sockeye_stack::tcp::Side;

use super::{Host, Progress, SocketId, State, set_back};
use crate::convert::bind_of;
use crate::errno::Errno;
use crate::options::tcp_options;
use crate::settings::{BACKLOG_MAX, Privilege};
use crate::udp_lite::open_datagram;

impl Host {
    /// bind(2).
    pub fn bind(&mut self, now: Instant, id: SocketId, address: SocketAddr, who: Privilege) -> Result<(), Errno> {
        let socket = self.sockets.get_mut(id.0).ok_or(Errno::EBADF)?;
        let is_echo = socket.settings.raw.is_some_and(|raw| !raw.is_raw());
        if address.is_ipv6() && address.ip().is_multicast() && (matches!(socket.state, State::Fresh) || is_echo) {
            return Err(Errno::EINVAL);
        }
        let zone = socket.own_zone(&self.stack, address)?;
        let address = socket.settings.inward(address, Errno::EINVAL)?;
        if let State::Raw(raw) = socket.state {
            self.raw_bind(raw, address)?;
            if let Some(socket) = self.sockets.get_mut(id.0) {
                socket.device = zone;
            }
            self.apply(now, id);
            return Ok(());
        }
        if (1..1024).contains(&address.port()) && who == Privilege::User {
            return Err(Errno::EACCES);
        }
        let bind = Bind { device: zone, ..bind_of(socket, address) };
        if address.port() == 0 && socket.settings.ip.bind_address_no_port {
            match socket.state {
                // Whether the address is one of ours is known now.
                State::Fresh => {
                    let trial = self.stack.tcp_bind(&bind)?;
                    self.stack.tcp_unbind(trial);
                }
                State::Datagram(None) => {
                    let trial = open_datagram(&mut self.stack, &socket.settings, &bind)?;
                    self.stack.udp_close(trial);
                }
                _ => return Err(Errno::EINVAL),
            }
            socket.address = Some(address.ip());
            socket.device = zone;
            return Ok(());
        }
        match &mut socket.state {
            state @ State::Fresh => {
                *state = State::Bound(self.stack.tcp_bind(&bind)?);
                socket.device = zone;
            }
            State::Datagram(open @ None) => {
                let udp = open_datagram(&mut self.stack, &socket.settings, &bind)?;
                *open = Some(udp);
                socket.device = zone;
                set_back(&mut self.datagrams, udp.index(), id);
                self.join_selection(id);
                self.apply(now, id);
            }
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    /// listen(2). `backlog` as the program gave it.
    pub fn listen(&mut self, id: SocketId, backlog: i32) -> Result<(), Errno> {
        let socket = self.sockets.get_mut(id.0).ok_or(Errno::EBADF)?;
        // Linux reads it as unsigned, and bounds it by net.core.somaxconn.
        let backlog = backlog.cast_unsigned().min(BACKLOG_MAX.cast_unsigned()) as usize;
        let binding = match socket.state {
            State::Fresh => {
                let binding = self.stack.tcp_bind(&bind_of(socket, socket.portless()))?;
                socket.state = State::Bound(binding);
                binding
            }
            State::Bound(binding) => binding,
            State::Listening { id, .. } => {
                self.stack.tcp_set_backlog(id, backlog);
                return Ok(());
            }
            State::Connection { .. } | State::Joined { .. } => return Err(Errno::EINVAL),
            State::Datagram(_) | State::Raw(_) | State::Packet(_) => return Err(Errno::EOPNOTSUPP),
        };
        let listener = self.stack.tcp_listen(binding, backlog, tcp_options(socket))?;
        socket.state = State::Listening { id: listener, binding };
        set_back(&mut self.listeners, listener.index(), id);
        self.join_selection(id);
        Ok(())
    }

    /// accept(2): a connected socket with the listener's settings, or EAGAIN.
    pub fn accept(&mut self, id: SocketId) -> Result<SocketId, Errno> {
        let socket = self.sockets.get(id.0).ok_or(Errno::EBADF)?;
        let listener = match socket.state {
            State::Listening { id, .. } => id,
            State::Datagram(_) | State::Raw(_) | State::Packet(_) => return Err(Errno::EOPNOTSUPP),
            _ => return Err(Errno::EINVAL),
        };
        let settings = socket.settings.clone();
        if let Some(id) = self.stack.tcp_accept_joined(listener) {
            return Ok(self.insert(State::Joined { id, side: Side::Accepting, announced: true }, settings));
        }
        let connection = self.stack.tcp_accept(listener).ok_or(Errno::EAGAIN)?;
        let state = State::Connection { id: connection, bound: None, established: true, announced: true };
        let accepted = self.insert(state, settings);
        set_back(&mut self.connections, connection.index(), accepted);
        let filter = self.stack.tcp_options(connection).and_then(|options| options.filter.clone());
        self.inherit_filter(accepted, id, filter);
        Ok(accepted)
    }

    /// connect(2); `None` (AF_UNSPEC) dissolves a datagram socket's association.
    pub fn connect(&mut self, now: Instant, id: SocketId, remote: Option<SocketAddr>) -> Result<Progress, Errno> {
        let meant = remote.map(|remote| self.peer_meant(id, remote)).transpose()?;
        let socket = self.sockets.get_mut(id.0).ok_or(Errno::EBADF)?;
        let messages = matches!(socket.state, State::Datagram(_) | State::Raw(_));
        let zone = match remote {
            // No stream leads to a group, wherever it is.
            Some(remote) if remote.ip().is_multicast() && !messages => socket.device,
            Some(remote) => socket.peer_zone(&self.stack, remote)?,
            None => socket.device,
        };
        let narrowed = zone != socket.device;
        let (said, remote) = (remote, meant);
        if let State::Packet(_) = socket.state {
            return Err(Errno::EOPNOTSUPP);
        }
        if let (State::Datagram(_) | State::Raw(_), Some(remote)) = (&socket.state, remote) {
            socket.may_reach(&self.stack, remote)?;
        }
        if let State::Datagram(_) = socket.state {
            self.name_flow(id, said)?;
            let udp = self.opened(now, id)?;
            if narrowed {
                self.narrow(now, id, zone);
            }
            self.stack.udp_connect(udp, remote)?;
            return Ok(Progress::Done);
        }
        if let State::Raw(raw) = socket.state {
            self.name_flow(id, said)?;
            if narrowed {
                self.narrow(now, id, zone);
            }
            return self.raw_connect(raw, remote).map(|()| Progress::Done);
        }
        // A device, an address and a range of ports are parts of a binding.
        let (zone, address) = socket.source_for_connection(&self.stack, remote, zone)?;
        let ranged = socket.settings.advanced.port_range != (0, 0);
        let wish = (zone.is_some() || socket.address.is_some() || !address.ip().is_unspecified() || ranged)
            .then(|| Bind { device: zone, ..bind_of(socket, address) });
        match socket.state {
            State::Fresh | State::Bound(_) => {}
            State::Connection { established: false, .. } => return Err(Errno::EALREADY),
            State::Connection { announced: true, .. } | State::Joined { announced: true, .. } => {
                return Err(Errno::EISCONN);
            }
            State::Connection { ref mut announced, .. } | State::Joined { ref mut announced, .. } => {
                *announced = true;
                return Ok(Progress::Done);
            }
            State::Listening { .. } | State::Datagram(_) | State::Raw(_) | State::Packet(_) => {
                return Err(Errno::EISCONN);
            }
        }
        // There is nobody to let go of.
        let Some(remote) = remote else { return Ok(Progress::Done) };
        self.name_flow(id, said)?;
        let socket = self.sockets.get_mut(id.0).ok_or(Errno::EBADF)?;
        let options = tcp_options(socket);
        let (binding, own) = match (&socket.state, wish) {
            (State::Bound(binding), _) => (Some(*binding), None),
            (_, Some(wish)) => {
                let own = self.stack.tcp_bind(&wish)?;
                (Some(own), Some(own))
            }
            (_, None) => (None, None),
        };
        let connection = match self.stack.tcp_connect(now, binding, remote, options) {
            Ok(connection) => connection,
            Err(error) => {
                // Made for this attempt only.
                own.into_iter().for_each(|own| self.stack.tcp_unbind(own));
                return Err(error.into());
            }
        };
        let bound = if let State::Bound(binding) = socket.state { Some(binding) } else { None };
        bound.into_iter().for_each(|binding| self.stack.tcp_hold(binding));
        socket.state = State::Connection { id: connection, bound, established: false, announced: false };
        socket.device = zone;
        socket.error = None;
        set_back(&mut self.connections, connection.index(), id);
        Ok(Progress::Started)
    }

    /// What is sent to the peer bears the label of its address from now on, if the socket may send that.
    fn name_flow(&mut self, id: SocketId, peer: Option<SocketAddr>) -> Result<(), Errno> {
        let label = self.settings(id).map_or(0, |settings| settings.flow_label_of(peer));
        if !self.may_send_label(id, label) {
            return Err(Errno::EINVAL);
        }
        if let Some(socket) = self.sockets.get_mut(id.0) {
            socket.settings.advanced.flow_label = label;
        }
        Ok(())
    }

    /// getsockname(2).
    pub fn local_address(&self, id: SocketId) -> Result<SocketAddr, Errno> {
        let socket = self.sockets.get(id.0).ok_or(Errno::EBADF)?;
        let any = socket.portless();
        let address = match socket.state {
            State::Fresh => socket.was.unwrap_or(any),
            State::Datagram(None) => any,
            State::Bound(binding) | State::Listening { binding, .. } => {
                self.stack.tcp_binding_address(binding).unwrap_or(any)
            }
            State::Connection { id, .. } => self.stack.tcp_addresses(id).ok_or(Errno::EINVAL)?.local,
            State::Joined { id, side, .. } => self.stack.tcp_joined_addresses(id, side).ok_or(Errno::EINVAL)?.local,
            State::Datagram(Some(udp)) => self.stack.udp_local(udp).unwrap_or(any),
            State::Raw(raw) => self.stack.raw_local(raw).map_or(any, SocketAddr::from),
            State::Packet(_) => return Err(Errno::EOPNOTSUPP),
        };
        Ok(self.with_scope(socket, address, None))
    }

    /// getpeername(2).
    pub fn peer_address(&self, id: SocketId) -> Result<SocketAddr, Errno> {
        let socket = self.sockets.get(id.0).ok_or(Errno::EBADF)?;
        let local = |id| self.stack.tcp_addresses(id).map(|flow| flow.local.ip());
        let local = if let State::Connection { id, .. } = socket.state { local(id) } else { None };
        let address = match socket.state {
            State::Connection { id, established: true, .. } => {
                self.stack.tcp_addresses(id).map(|flow| flow.remote).ok_or(Errno::ENOTCONN)
            }
            State::Joined { id, side, .. } => self.joined_peer(id, side),
            // As on Linux, where the port says whether there is a peer.
            State::Datagram(Some(udp)) => {
                self.stack.udp_remote(udp).filter(|remote| remote.port() != 0).ok_or(Errno::ENOTCONN)
            }
            State::Raw(raw) => self.raw_peer(raw),
            State::Packet(_) => Err(Errno::EOPNOTSUPP),
            _ => Err(Errno::ENOTCONN),
        };
        address.map(|address| self.with_scope(socket, address, local))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use sockeye_stack::{Config, Stack};

    use super::*;
    use crate::names::*;

    const NOW: Instant = Instant::ZERO;

    fn local(port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
    }

    #[test]
    fn a_socket_bound_without_a_port_takes_one_when_it_needs_it() {
        let mut host = Host::new(Stack::new(Config::default(), [7; 32]));
        let id = host.socket(AF_INET.into(), SOCK_STREAM, 0).unwrap();
        host.set_option(NOW, id, Privilege::User, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &1i32.to_ne_bytes()).unwrap();
        let foreign = SocketAddr::from(([192, 0, 2, 1], 0));
        assert_eq!(host.bind(NOW, id, foreign, Privilege::User), Err(Errno::EADDRNOTAVAIL));
        host.bind(NOW, id, local(0), Privilege::User).unwrap();
        assert_eq!(host.local_address(id), Ok(local(0)));
        host.listen(id, 1).unwrap();
        let bound = host.local_address(id).unwrap();
        assert_eq!((bound.ip(), bound.port() > 0), (local(0).ip(), true));
        // The trial at bind has reserved nothing: the port that was chosen is the only one taken.
        let other = host.socket(AF_INET.into(), SOCK_STREAM, 0).unwrap();
        assert_eq!(host.bind(NOW, other, bound, Privilege::User), Err(Errno::EADDRINUSE));
    }

    #[test]
    fn an_address_of_a_link_needs_its_link() {
        use sockeye_stack::{PortConfig, autoconf};
        let mut stack = Stack::new(Config::default(), [7; 32]);
        let mac = sockeye_wire::MacAddr([2, 0, 0, 0, 0, 1]);
        let capabilities = sockeye_device::Capabilities::default();
        let port = stack.add_port(PortConfig { name: "eth0".into(), mac, mtu: 1_500, capabilities });
        stack.configure_ipv6(NOW, port, autoconf::Settings::default());
        let own = stack.addresses_of(port)[0].prefix.addr();
        let mut host = Host::new(stack);
        let at = |ip: IpAddr, scope| match (ip, 80) {
            (IpAddr::V6(ip), port) => SocketAddr::from(std::net::SocketAddrV6::new(ip, port, 0, scope)),
            (ip, port) => SocketAddr::new(ip, port),
        };
        let peer: IpAddr = "fe80::9".parse().unwrap();
        for kind in [SOCK_STREAM, SOCK_DGRAM] {
            let socket = |host: &mut Host| host.socket(AF_INET6.into(), kind, 0).unwrap();
            for (scope, refusal) in [(0, Errno::EINVAL), (77, Errno::ENETUNREACH)] {
                let id = socket(&mut host);
                assert_eq!(host.connect(NOW, id, Some(at(peer, scope))), Err(refusal));
            }
            let root = Privilege::Administrator;
            for (address, refusal) in
                [(at(own, 0), Errno::EINVAL), (at(own, 77), Errno::ENODEV), (at(peer, 2), Errno::EADDRNOTAVAIL)]
            {
                let id = socket(&mut host);
                assert_eq!(host.bind(NOW, id, address, root), Err(refusal));
            }
            let id = socket(&mut host);
            host.connect(NOW, id, Some(at(peer, 2))).unwrap();
            let SocketAddr::V6(local) = host.local_address(id).unwrap() else { panic!("of another family") };
            assert_eq!((IpAddr::V6(*local.ip()), local.scope_id()), (own, 2));
            if kind == SOCK_DGRAM {
                assert_eq!(host.peer_address(id), Ok(at(peer, 2)));
            }
            assert_eq!(host.option(NOW, id, SOL_SOCKET, SO_BINDTODEVICE).unwrap(), b"eth0\0");
            let bound = socket(&mut host);
            host.bind(NOW, bound, at(own, 2), root).unwrap();
            assert_eq!(host.local_address(bound), Ok(at(own, 2)));
        }
    }

    #[test]
    fn a_connect_that_is_refused_at_once_leaves_the_socket_as_it_was() {
        let mut host = Host::new(Stack::new(Config::default(), [7; 32]));
        let id = host.socket(AF_INET.into(), SOCK_STREAM, 0).unwrap();
        host.set_option(NOW, id, Privilege::User, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &1i32.to_ne_bytes()).unwrap();
        host.bind(NOW, id, local(0), Privilege::User).unwrap();
        let nowhere = SocketAddr::from(([192, 0, 2, 1], 80));
        for _ in 0..100_000 {
            // A port that stayed reserved would soon be the last one.
            assert_eq!(host.connect(NOW, id, Some(nowhere)), Err(Errno::ENETUNREACH));
        }
        assert_eq!(host.local_address(id), Ok(local(0)));
    }

    #[test]
    fn nobody_listens_on_port_zero() {
        let mut host = Host::new(Stack::new(Config::default(), [7; 32]));
        let id = host.socket(AF_INET.into(), SOCK_STREAM, 0).unwrap();
        assert_eq!(host.connect(NOW, id, Some(local(0))), Err(Errno::ECONNREFUSED));
    }
}
