//! Sockets and their states.
//!
//! A socket begins fresh; bind gives it an address, listen makes it a listener, connect a connection in the making. A
//! datagram socket is opened in the stack when it first needs an address: at bind, at connect, or at the first send.
//! The table maps both ways: from a socket to what stands behind it in the stack, and from the stack's dense indices
//! back, so that an event of the stack finds its socket without a search.
//!
//! A connection that fails leaves its socket fresh again, with the reason in its error (SO_ERROR), as on Linux; the
//! program may connect once more.

mod calls;
mod joined;
mod raw;
mod readiness;
mod remains;
mod stream;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use sockeye_device::Instant;
use sockeye_stack::tcp::{ConnectionId, JoinedId, ListenerId, Side};
use sockeye_stack::{BindingId, PortId, Stack, packet, raw as stack_raw, udp};

use crate::convert::bind_of;
use crate::errno::Errno;
use crate::filter::Filtering;
use crate::flow_labels::Held;
use crate::multicast::Groups;
use crate::names::*;
use crate::packet::PacketSocket;
use crate::raw::RawSettings;
use crate::reports::Reports;
use crate::settings::{Ipv6Settings, Settings, UdpLiteSettings};
use crate::table::{Key, Table};
use crate::udp_lite::open_datagram;

pub use readiness::Readiness;
pub use remains::Remains;

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
    /// The anycast addresses that it has joined, the last first.
    pub(crate) anycast: Vec<(PortId, Ipv6Addr)>,
    /// The labels that it has leased.
    pub(crate) flow_labels: Held,
    /// Whose it is, among whom SO_REUSEPORT shares.
    pub(crate) owner: u32,
    /// The last failure, until somebody asks (SO_ERROR).
    pub(crate) error: Option<Errno>,
    /// Of a stream without a connection: where the one was that failed.
    pub(crate) was: Option<SocketAddr>,
    /// Of a stream: messages that ended connections in the making, until somebody asks (MSG_ERRQUEUE).
    pub(crate) reports: Reports,
    pub(crate) filtering: Filtering,
}

#[derive(Debug)]
pub(crate) enum State {
    Fresh,
    Bound(BindingId),
    /// `bound`: by the program, which keeps that for as long as it has the socket. `announced`: the program knows of the success (connect returned
    /// 0), so another connect is EISCONN.
    Connection {
        id: ConnectionId,
        bound: Option<BindingId>,
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
        if !(0..SOCK_MAX).contains(&kind) || !(0..IPPROTO_MAX).contains(&protocol) {
            return Err(Errno::EINVAL);
        }
        let state = match (kind, protocol) {
            (SOCK_STREAM, 0 | IPPROTO_TCP) => State::Fresh,
            (SOCK_DGRAM, 0 | IPPROTO_UDP | IPPROTO_UDPLITE) => State::Datagram(None),
            (SOCK_RAW | SOCK_DGRAM, _) => {
                let raw = RawSettings::new(ipv6.is_some(), kind, protocol)?;
                return Ok(self.raw_socket(ipv6, raw));
            }
            (SOCK_STREAM, _) => return Err(Errno::EPROTONOSUPPORT),
            _ => return Err(Errno::ESOCKTNOSUPPORT),
        };
        let udp_lite = ((kind, protocol) == (SOCK_DGRAM, IPPROTO_UDPLITE)).then(UdpLiteSettings::default);
        Ok(self.insert(state, Settings { ipv6, udp_lite, ..Settings::default() }))
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
                let bind = bind_of(socket, socket.portless());
                let udp = open_datagram(&mut self.stack, &socket.settings, &bind)?;
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
            anycast: Vec::new(),
            flow_labels: Held::default(),
            owner: 0,
            error: None,
            was: None,
            reports: Reports::default(),
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
        let Some(Socket { state, settings, groups, anycast, flow_labels, .. }) = self.sockets.remove(id.0) else {
            return;
        };
        self.leave_all_groups(&groups);
        self.leave_all_anycast(anycast);
        self.release_flow_labels(now, &flow_labels);
        match state {
            State::Fresh | State::Datagram(None) => {}
            State::Bound(binding) => self.stack.tcp_unbind(binding),
            State::Connection { id, bound, .. } => {
                clear_back(&mut self.connections, id.index());
                bound.into_iter().for_each(|binding| self.stack.tcp_unbind(binding));
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
