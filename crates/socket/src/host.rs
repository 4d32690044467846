//! Sockets and their states.
//!
//! A socket begins fresh; bind gives it an address, listen makes it a listener, connect a connection in the making. A
//! datagram socket is opened in the stack when it first needs an address: at bind, at connect, or at the first send.
//! The table maps both ways: from a socket to what stands behind it in the stack, and from the stack's dense indices
//! back, so that an event of the stack finds its socket without a search.
//!
//! A connection that fails leaves its socket fresh again, with the reason in its error (SO_ERROR), as on Linux; the
//! program may connect once more.

mod joined;
mod raw;
mod readiness;

use std::net::{IpAddr, SocketAddr};

use sockeye_device::Instant;
use sockeye_stack::tcp::{ConnectionId, JoinedId, ListenerId, Side};
use sockeye_stack::{Bind, BindingId, PortId, Stack, packet, raw as stack_raw, udp};

use crate::convert::bind_of;
use crate::errno::Errno;
use crate::filter::Filtering;
use crate::multicast::Groups;
use crate::names::*;
use crate::options::tcp_options;
use crate::packet::PacketSocket;
use crate::raw::RawSettings;
use crate::settings::{Ipv6Settings, Privilege, Settings};
use crate::table::{Key, Table};

pub use readiness::Readiness;

/// Names a socket of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SocketId(pub(crate) Key);

impl SocketId {
    /// The socket's place in the table, dense from 0.
    pub fn index(self) -> usize {
        self.0.index as usize
    }
}

/// What stands behind a socket in the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// A stream socket that has neither peer nor listener.
    Idle,
    /// A connection, established or in the making.
    Connection(ConnectionId),
    /// One end of a connection within the host ([`Host::join`]).
    Joined(JoinedId, Side),
    /// A listener.
    Listener(ListenerId),
    /// A datagram socket that has an address.
    Datagram(udp::SocketId),
    /// A datagram socket that has none yet.
    Unbound,
    /// A raw or an echo socket.
    Raw(stack_raw::SocketId),
    /// A packet socket.
    Packet(packet::SocketId),
}

/// How far a connect came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is nothing to wait for.
    Done,
    /// A handshake is under way: EINPROGRESS.
    Started,
}

/// What `show` tells of a socket.
#[derive(Clone, Copy, Debug)]
pub struct SocketView {
    /// The socket.
    pub id: SocketId,
    /// What stands behind it.
    pub body: Body,
    /// True for TCP.
    pub stream: bool,
    /// Where it is bound, or the local end of its connection.
    pub local: Option<SocketAddr>,
    /// The peer.
    pub remote: Option<SocketAddr>,
}

#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) state: State,
    pub(crate) settings: Settings,
    /// Bound to an address, and to a port only when it needs one (IP_BIND_ADDRESS_NO_PORT).
    pub(crate) address: Option<IpAddr>,
    /// SO_BINDTODEVICE.
    pub(crate) device: Option<PortId>,
    /// What it has to do with groups.
    pub(crate) groups: Groups,
    /// Whose it is, among whom SO_REUSEPORT shares.
    pub(crate) owner: u32,
    /// The last failure, until somebody asks (SO_ERROR).
    pub(crate) error: Option<Errno>,
    pub(crate) filtering: Filtering,
}

#[derive(Debug)]
pub(crate) enum State {
    Fresh,
    Bound(BindingId),
    /// `announced`: the program knows of the success (connect returned 0), so another connect is EISCONN.
    Connection {
        id: ConnectionId,
        established: bool,
        announced: bool,
    },
    /// An end of a connection within the host. `announced` as above.
    Joined {
        id: JoinedId,
        side: Side,
        announced: bool,
    },
    Listening {
        id: ListenerId,
        binding: BindingId,
    },
    Datagram(Option<udp::SocketId>),
    Raw(stack_raw::SocketId),
    Packet(PacketSocket),
}

/// A stack and the sockets on it.
pub struct Host {
    pub(crate) stack: Stack,
    pub(crate) sockets: Table<Socket>,
    connections: Vec<Option<SocketId>>,
    listeners: Vec<Option<SocketId>>,
    datagrams: Vec<Option<SocketId>>,
    raws: Vec<Option<SocketId>>,
    pub(crate) packets: Vec<Option<SocketId>>,
}

impl Host {
    /// No sockets yet.
    pub fn new(stack: Stack) -> Self {
        Host {
            stack,
            sockets: Table::new(),
            connections: Vec::new(),
            listeners: Vec::new(),
            datagrams: Vec::new(),
            raws: Vec::new(),
            packets: Vec::new(),
        }
    }

    /// The stack below.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The stack below: frames, time, and the queues of connections.
    pub fn stack_mut(&mut self) -> &mut Stack {
        &mut self.stack
    }

    /// How many sockets there are.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// True where there is no socket.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// socket(2): `family`, `kind` (without flags) and `protocol` as the program gave them.
    pub fn socket(&mut self, family: i32, kind: i32, protocol: i32) -> Result<SocketId, Errno> {
        let ipv6 = match u16::try_from(family) {
            Ok(AF_INET) => None,
            Ok(AF_INET6) => Some(Ipv6Settings::default()),
            _ => return Err(Errno::EAFNOSUPPORT),
        };
        let state = match (kind, protocol) {
            (SOCK_STREAM, 0 | IPPROTO_TCP) => State::Fresh,
            (SOCK_DGRAM, 0 | IPPROTO_UDP) => State::Datagram(None),
            (SOCK_RAW | SOCK_DGRAM, _) => {
                let raw = RawSettings::new(ipv6.is_some(), kind, protocol)?;
                return Ok(self.raw_socket(ipv6, raw));
            }
            (SOCK_STREAM, _) => return Err(Errno::EPROTONOSUPPORT),
            _ => return Err(Errno::ESOCKTNOSUPPORT),
        };
        Ok(self.insert(state, Settings { ipv6, ..Settings::default() }))
    }

    /// A fresh socket with the settings of one that failed, to connect once more.
    pub fn socket_like(&mut self, stream: bool, settings: Settings) -> SocketId {
        self.insert(if stream { State::Fresh } else { State::Datagram(None) }, settings)
    }

    /// bind(2).
    pub fn bind(&mut self, now: Instant, id: SocketId, address: SocketAddr, who: Privilege) -> Result<(), Errno> {
        let socket = self.sockets.get_mut(id.0).ok_or(Errno::EBADF)?;
        let zone = socket.bound_zone(&self.stack, address, Errno::ENODEV)?;
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
                    let trial = self.stack.udp_open(&bind)?;
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
                let udp = self.stack.udp_open(&bind)?;
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
        let backlog = backlog.cast_unsigned().min(4_096) as usize;
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
        let state = State::Connection { id: connection, established: true, announced: true };
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
        let zone = match remote {
            Some(remote) => socket.bound_zone(&self.stack, remote, Errno::ENETUNREACH)?,
            None => socket.device,
        };
        let narrowed = zone != socket.device;
        let (said, remote) = (remote, meant);
        if let State::Packet(_) = socket.state {
            return Err(Errno::EOPNOTSUPP);
        }
        if let State::Datagram(_) = socket.state {
            socket.settings.advanced.flow_label = socket.settings.flow_label_of(said);
            let udp = self.opened(now, id)?;
            if narrowed {
                self.narrow(now, id, zone);
            }
            self.stack.udp_connect(udp, remote)?;
            return Ok(Progress::Done);
        }
        if let State::Raw(raw) = socket.state {
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
        let remote = remote.ok_or(Errno::EAFNOSUPPORT)?;
        socket.settings.advanced.flow_label = socket.settings.flow_label_of(said);
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
        socket.state = State::Connection { id: connection, established: false, announced: false };
        socket.device = zone;
        socket.error = None;
        set_back(&mut self.connections, connection.index(), id);
        Ok(Progress::Started)
    }

    /// getsockname(2).
    pub fn local_address(&self, id: SocketId) -> Result<SocketAddr, Errno> {
        let socket = self.sockets.get(id.0).ok_or(Errno::EBADF)?;
        let any = socket.portless();
        let address = match socket.state {
            State::Fresh | State::Datagram(None) => any,
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
            State::Datagram(Some(udp)) => self.stack.udp_remote(udp).ok_or(Errno::ENOTCONN),
            State::Raw(raw) => self.raw_peer(raw),
            State::Packet(_) => Err(Errno::EOPNOTSUPP),
            _ => Err(Errno::ENOTCONN),
        };
        address.map(|address| self.with_scope(socket, address, local))
    }

    /// send(2) on a stream: how many bytes were taken, or EAGAIN.
    pub fn send(&mut self, now: Instant, id: SocketId, bytes: &[u8]) -> Result<usize, Errno> {
        let connection = self.connection(id)?;
        let status = self.stack.tcp_status(connection);
        if let Some(error) = self.take_error(id) {
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
        match self.take_error(id) {
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
                let _ = binding;
                self.stack.tcp_unlisten(now, listener);
                clear_back(&mut self.listeners, listener.index());
                if let Some(socket) = self.sockets.get_mut(id.0) {
                    socket.state = State::Fresh;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// close(2): what was sent still goes out, in order. With SO_LINGER of zero seconds the connection is reset.
    pub fn close(&mut self, now: Instant, id: SocketId) {
        self.end(now, id, false);
    }

    /// Closes with a reset, whatever SO_LINGER says.
    pub fn abort(&mut self, now: Instant, id: SocketId) {
        self.end(now, id, true);
    }

    /// What stands behind a socket.
    pub fn body(&self, id: SocketId) -> Option<Body> {
        self.sockets.get(id.0).map(|socket| match socket.state {
            State::Fresh | State::Bound(_) => Body::Idle,
            State::Connection { id, .. } => Body::Connection(id),
            State::Joined { id, side, .. } => Body::Joined(id, side),
            State::Listening { id, .. } => Body::Listener(id),
            State::Datagram(Some(id)) => Body::Datagram(id),
            State::Datagram(None) => Body::Unbound,
            State::Raw(id) => Body::Raw(id),
            State::Packet(ref packet) => Body::Packet(packet.id),
        })
    }

    /// A datagram socket's body, opened on an ephemeral port if it has none.
    pub fn opened(&mut self, now: Instant, id: SocketId) -> Result<udp::SocketId, Errno> {
        let socket = self.sockets.get_mut(id.0).ok_or(Errno::EBADF)?;
        match socket.state {
            State::Datagram(Some(udp)) => Ok(udp),
            State::Datagram(None) => {
                let udp = self.stack.udp_open(&bind_of(socket, socket.portless()))?;
                socket.state = State::Datagram(Some(udp));
                set_back(&mut self.datagrams, udp.index(), id);
                self.join_selection(id);
                self.apply(now, id);
                Ok(udp)
            }
            _ => Err(Errno::EOPNOTSUPP),
        }
    }

    /// True for TCP.
    pub fn is_stream(&self, id: SocketId) -> bool {
        self.sockets
            .get(id.0)
            .is_some_and(|socket| !matches!(socket.state, State::Datagram(_) | State::Raw(_) | State::Packet(_)))
    }

    /// What kind of socket it is: SOCK_STREAM, SOCK_DGRAM or SOCK_RAW.
    pub fn kind(&self, id: SocketId) -> i32 {
        if let Some(cooked) = self.is_cooked(id) {
            return if cooked { SOCK_DGRAM } else { SOCK_RAW };
        }
        match self.settings(id).and_then(|settings| settings.raw) {
            Some(raw) if raw.is_raw() => SOCK_RAW,
            Some(_) => SOCK_DGRAM,
            None if self.is_stream(id) => SOCK_STREAM,
            None => SOCK_DGRAM,
        }
    }

    /// What the program has set.
    pub fn settings(&self, id: SocketId) -> Option<&Settings> {
        self.sockets.get(id.0).map(|socket| &socket.settings)
    }

    /// Among whose sockets SO_REUSEPORT shares.
    pub fn set_owner(&mut self, id: SocketId, user: u32) {
        if let Some(socket) = self.sockets.get_mut(id.0) {
            socket.owner = user;
        }
    }

    /// The socket before a connection.
    pub fn socket_of(&self, connection: ConnectionId) -> Option<SocketId> {
        self.connections.get(connection.index()).copied().flatten()
    }

    /// All sockets, for `show`.
    pub fn iter(&self) -> impl Iterator<Item = SocketView> {
        self.sockets.iter().filter_map(|(key, _)| {
            let id = SocketId(key);
            Some(SocketView {
                id,
                body: self.body(id)?,
                stream: self.is_stream(id),
                local: self.local_address(id).ok(),
                remote: match self.sockets.get(key)? {
                    Socket { state: State::Connection { id, .. }, settings, .. } => {
                        self.stack.tcp_addresses(*id).map(|flow| settings.outward(flow.remote))
                    }
                    _ => self.peer_address(id).ok(),
                },
            })
        })
    }

    pub(crate) fn insert(&mut self, state: State, settings: Settings) -> SocketId {
        let groups = Groups::new(settings.ipv6.is_some());
        SocketId(self.sockets.insert_with(|_| Socket {
            state,
            settings,
            address: None,
            device: None,
            groups,
            owner: 0,
            error: None,
            filtering: Filtering::default(),
        }))
    }

    fn connection(&self, id: SocketId) -> Result<ConnectionId, Errno> {
        match self.sockets.get(id.0).ok_or(Errno::EBADF)?.state {
            State::Connection { id, established: true, .. } => Ok(id),
            State::Connection { established: false, .. } => Err(Errno::EAGAIN),
            // Its bytes are not ours.
            State::Joined { .. } | State::Datagram(_) | State::Raw(_) | State::Packet(_) => Err(Errno::EOPNOTSUPP),
            _ => Err(Errno::ENOTCONN),
        }
    }

    fn end(&mut self, now: Instant, id: SocketId, abort: bool) {
        let Some(Socket { state, settings, groups, .. }) = self.sockets.remove(id.0) else { return };
        self.leave_all_groups(&groups);
        match state {
            State::Fresh | State::Datagram(None) => {}
            State::Bound(binding) => self.stack.tcp_unbind(binding),
            State::Connection { id, .. } => {
                clear_back(&mut self.connections, id.index());
                if abort || settings.linger == Some(0) {
                    self.stack.tcp_abort(now, id);
                }
                self.stack.tcp_close(now, id);
            }
            State::Joined { id, side, .. } => self.stack.tcp_joined_close(id, side),
            State::Listening { id, .. } => {
                clear_back(&mut self.listeners, id.index());
                self.stack.tcp_unlisten(now, id);
            }
            State::Datagram(Some(udp)) => {
                clear_back(&mut self.datagrams, udp.index());
                self.stack.udp_close(udp);
            }
            State::Raw(raw) => {
                clear_back(&mut self.raws, raw.index());
                self.stack.raw_close(raw);
            }
            State::Packet(mut packet) => {
                packet.leave_all(&mut self.stack);
                clear_back(&mut self.packets, packet.id.index());
                self.stack.packet_close(packet.id);
            }
        }
    }
}

pub(crate) fn set_back(table: &mut Vec<Option<SocketId>>, index: usize, id: SocketId) {
    if table.len() <= index {
        table.resize(index + 1, None);
    }
    table[index] = Some(id);
}

fn clear_back(table: &mut [Option<SocketId>], index: usize) {
    if let Some(place) = table.get_mut(index) {
        *place = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    use sockeye_stack::Config;

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
}
