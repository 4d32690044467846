//! How an owner opens connections (RFC 9293, 3.9.1.1): reserves an address and port, listens and accepts, or connects.
//!
//! A SYN leaves with the next [`Stack::poll_transmit`]; whether there is an answer, the connection's state tells.

use super::connection::Connection;
use super::demux::{Endpoint, Flow};
use super::handshake::RECEIVE_SCALE;
use super::joined::Side;
use super::listener::{Listener, Waiting};
use super::options::Options;
use super::path::Path;
use super::{ConnectionId, ListenerId, State, Tcp};
use crate::Stack;
use crate::bind::{Bind, BindError, BindingId, Foreign};
use crate::family::Preferences;
use crate::ip::Ip;
use crate::route::{AddressKind, NoRoute};
use sockeye_device::Instant;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// Why a connection could not even be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// No route to the peer's network.
    NoRoute,
    /// The local address is the loopback's, and the peer another host.
    Loopback,
    /// The local address is not one of the host's.
    NotLocal,
    /// The same two addresses and ports are already connected, or were a moment ago.
    InUse,
    /// Every ephemeral port is taken.
    NoPorts,
    /// The peer's address is a broadcast, multicast or unspecified one (RFC 9293, MUST-46).
    NotUnicast,
    /// The peer's port is 0, on which nobody listens.
    NoPort,
    /// The peer's address is of another family than the local one.
    Family,
}

impl Stack {
    /// Reserves an address and port.
    pub fn tcp_bind(&mut self, wish: &Bind) -> Result<BindingId, BindError> {
        if !wish.address.is_unspecified() && wish.foreign == Foreign::Never && !self.ip.may_bind(wish.address) {
            return Err(BindError::NotLocal);
        }
        let offset = self.ip.rng.next_u32();
        self.tcp.bindings.bind(wish, offset)
    }

    /// What was reserved.
    pub fn tcp_binding_address(&self, binding: BindingId) -> Option<SocketAddr> {
        self.tcp.bindings.address(binding)
    }

    /// What was reserved, to be reserved again; the port is the one that was given.
    pub fn tcp_binding(&self, binding: BindingId) -> Option<Bind> {
        self.tcp.bindings.get(binding).copied()
    }

    /// Reserves it once more: it stays until each holder has given it up.
    pub fn tcp_hold(&mut self, binding: BindingId) {
        self.tcp.bindings.retain(binding);
    }

    /// Gives up what was reserved, and neither listens nor connects.
    pub fn tcp_unbind(&mut self, binding: BindingId) {
        self.tcp.bindings.release(binding);
    }

    /// `SO_BINDTODEVICE` on what is bound: connections come by this port only.
    pub fn tcp_set_device(&mut self, binding: BindingId, device: Option<crate::PortId>) {
        self.tcp.bindings.set_device(binding, device);
    }

    /// Listens at what `binding` reserved. The binding is the listener's from now on.
    pub fn tcp_listen(
        &mut self,
        binding: BindingId,
        backlog: usize,
        options: Options,
    ) -> Result<ListenerId, BindError> {
        let local = self.tcp.bindings.address(binding).ok_or(BindError::InUse)?;
        self.tcp.bindings.listen(binding)?;
        let options = self.tcp.share_options(options);
        let id: ListenerId = self.tcp.listeners.insert(Listener {
            local,
            binding,
            options,
            backlog,
            half_open: 0,
            accept: VecDeque::new(),
            deferred: Vec::new(),
            last_overflow: None,
            queued_event: false,
            overflows: 0,
            selection: None,
        });
        self.tcp.inherit_selection(id);
        for place in self.tcp.bindings.places(binding) {
            self.tcp.listening.entry(place).or_default().push(id.index() as u32);
        }
        Ok(id)
    }

    /// listen(2) again, with another backlog.
    pub fn tcp_set_backlog(&mut self, id: ListenerId, backlog: usize) {
        if let Some(listener) = self.tcp.listeners.get_mut(id) {
            listener.backlog = backlog;
        }
    }

    /// The options that accepted connections inherit.
    pub fn tcp_set_listener_options(&mut self, id: ListenerId, options: Options) {
        let options = self.tcp.share_options(options);
        if let Some(listener) = self.tcp.listeners.get_mut(id) {
            listener.options = options;
        }
    }

    /// How many connections wait to be accepted, how many may, and how often there was no room.
    pub fn tcp_accept_queue(&self, id: ListenerId) -> (usize, usize, u64) {
        self.tcp
            .listeners
            .get(id)
            .map_or((0, 0, 0), |listener| (listener.accept.len(), listener.backlog, listener.overflows))
    }

    /// Stops listening: what was not accepted is reset.
    pub fn tcp_unlisten(&mut self, now: Instant, id: ListenerId) {
        if self.tcp.listeners.get(id).is_none() {
            return;
        }
        let Some(listener) = self.tcp.listeners.remove(id.index()) else { return };
        for place in self.tcp.bindings.places(listener.binding) {
            let Some(found) = self.tcp.listening.get_mut(&place) else { continue };
            // As Linux: the last one takes the place, which a program knows by its number.
            if let Some(place) = found.iter().position(|&index| index as usize == id.index()) {
                found.swap_remove(place);
            }
            if found.is_empty() {
                self.tcp.listening.remove(&place);
            }
        }
        let deferred = listener.deferred.into_iter().map(Waiting::Whole);
        for waiting in listener.accept.into_iter().chain(deferred) {
            let index = match waiting {
                Waiting::Whole(index) => index,
                Waiting::Joined(joined) => {
                    self.tcp.part(joined, Side::Accepting);
                    continue;
                }
            };
            if let Some(connection) = self.tcp.connections.at_mut(index as usize) {
                connection.waiting_in = None;
            }
            self.tcp.abort(now, &mut self.ip, index);
        }
        self.tcp.bindings.unlisten(listener.binding);
        self.tcp.bindings.release(listener.binding);
    }

    /// The oldest connection that waits to be accepted; none while one within the host is older
    /// ([`Stack::tcp_accept_joined`]).
    pub fn tcp_accept(&mut self, id: ListenerId) -> Option<ConnectionId> {
        let accept = &mut self.tcp.listeners.get_mut(id)?.accept;
        let Waiting::Whole(index) = *accept.front()? else { return None };
        accept.pop_front();
        let connection = self.tcp.connections.at_mut(index as usize)?;
        connection.waiting_in = None;
        connection.notify = false;
        // Whatever has happened so far, the new owner is to look at it.
        connection.queued_event = true;
        let handle = self.tcp.connections.handle(index as usize);
        self.tcp.events.push_back(crate::Event::Connection(handle));
        Some(handle)
    }

    /// Begins to connect to `remote`, from what `binding` reserved or from an address and port of the stack's choice.
    pub fn tcp_connect(
        &mut self,
        now: Instant,
        binding: Option<BindingId>,
        remote: SocketAddr,
        options: Options,
    ) -> Result<ConnectionId, ConnectError> {
        let Stack { tcp, ip, .. } = self;
        let bound = binding.and_then(|binding| tcp.bindings.get(binding)).copied();
        let preferences = options.of(remote.is_ipv6()).preferences;
        let local = source_for(ip, bound.as_ref(), remote, preferences)?;
        let (flow, binding) = match bound {
            Some(bound) => {
                let flow = Flow { local: SocketAddr::new(local, bound.port), remote };
                if !tcp.may_connect(now, &flow) {
                    return Err(ConnectError::InUse);
                }
                (flow, binding)
            }
            None => {
                tcp.choose_port(now, ip.rng.next_u32(), local, remote).map(|(flow, binding)| (flow, Some(binding)))?
            }
        };
        let options = tcp.share_options(options);
        let path = Path::new(now, ip, &flow, &options);
        let mut connection = Connection::new(flow, State::SynSent, tcp.secrets.isn(now, &flow), options, path, now);
        connection.binding = binding;
        connection.timestamp_offset = tcp.secrets.timestamp_offset(&flow);
        connection.negotiated.receive_scale = RECEIVE_SCALE;
        connection.negotiated.sack = true;
        connection.negotiated.timestamps = true;
        connection.syn_pending = true;
        connection.wants_transmit = true;
        let id: ConnectionId = tcp.connections.insert(connection);
        tcp.demux.insert(flow, Endpoint::Connection(id.index() as u32));
        ip.counters.tcp_active_opens += 1;
        tcp.settle(now, ip, id.index() as u32);
        Ok(id)
    }
}

impl Tcp {
    /// No connection with these addresses stands in the way; one in TIME-WAIT may be made to go.
    pub(super) fn may_connect(&mut self, now: Instant, flow: &Flow) -> bool {
        match self.demux.find(flow) {
            None => true,
            Some(Endpoint::TimeWait(index)) => {
                let reusable = self.time_wait.at(index as usize).is_some_and(|waiting| waiting.may_be_reused(now));
                if reusable {
                    self.end_time_wait(index);
                }
                reusable
            }
            Some(_) => false,
        }
    }

    /// A port with which nothing is connected to `remote` yet, from a [place](super::ephemeral) on that a stranger cannot
    /// know: one port may serve connections to different peers. Only when there is none left does one in TIME-WAIT give
    /// way. `noise` is a random number.
    pub(super) fn choose_port(
        &mut self,
        now: Instant,
        noise: u32,
        local: IpAddr,
        remote: SocketAddr,
    ) -> Result<(Flow, BindingId), ConnectError> {
        let flow_at = |port| Flow { local: SocketAddr::new(local, port), remote };
        let wish = Bind::new(local, 0);
        let place = self.ephemeral.place(local, remote);
        let Tcp { bindings, demux, time_wait, .. } = self;
        let (binding, steps) = bindings
            .bind_connection(&wish, place.offset, |port| demux.find(&flow_at(port)).is_none())
            .or_else(|_| {
                bindings.bind_connection(&wish, place.offset, |port| match demux.find(&flow_at(port)) {
                    Some(Endpoint::TimeWait(index)) => {
                        time_wait.at(index as usize).is_some_and(|waiting| waiting.may_be_reused(now))
                    }
                    found => found.is_none(),
                })
            })
            .map_err(|_| ConnectError::NoPorts)?;
        self.ephemeral.advance(place, steps, noise);
        let port = self.bindings.get(binding).map_or(0, |bind| bind.port);
        let flow = flow_at(port);
        self.may_connect(now, &flow);
        Ok((flow, binding))
    }
}

/// The local address for a connection to `remote`.
pub(super) fn source_for(
    ip: &Ip,
    bound: Option<&Bind>,
    remote: SocketAddr,
    preferences: Preferences,
) -> Result<IpAddr, ConnectError> {
    let device = bound.and_then(|bound| bound.device);
    let foreign = bound.map_or(Foreign::Never, |bound| bound.foreign);
    let bound = match bound {
        // No way leads from an address of IPv6 to one of IPv4; Linux tells the two cases apart.
        Some(bound) => Some(bound.facing(remote.ip()).ok_or(match remote.ip() {
            IpAddr::V4(_) => ConnectError::NoRoute,
            IpAddr::V6(_) => ConnectError::Family,
        })?),
        None => None,
    };
    // MUST-46.
    let kind = ip.addresses.classify(remote.ip());
    if !matches!(kind, AddressKind::Local | AddressKind::Anycast | AddressKind::Unicast) {
        return Err(ConnectError::NotUnicast);
    }
    if remote.port() == 0 {
        return Err(ConnectError::NoPort);
    }
    let bound = bound.filter(|bound| !bound.is_unspecified());
    if foreign == Foreign::Bound && bound.is_some_and(|bound| !ip.is_local(bound)) {
        return Err(ConnectError::NotLocal);
    }
    match ip.route_preferring(remote.ip(), bound, device, preferences) {
        Ok(route) => Ok(bound.unwrap_or(route.source)),
        Err(NoRoute::Nowhere) => Err(ConnectError::NoRoute),
        Err(NoRoute::Source) => Err(ConnectError::Loopback),
    }
}
