//! setsockopt and getsockopt on a socket: what can be set is kept in its [`Settings`] and handed down to the stack; what
//! asks about the socket itself is answered here.

use std::net::SocketAddr;
use std::time::Duration;

use sockeye_device::Instant;
use sockeye_stack::{PortId, Stack, tcp, udp};

use crate::errno::Errno;
use crate::flow_labels::Holder;
use crate::host::{Body, Host, Socket, SocketId, State};
use crate::info;
use crate::names::*;
use crate::settings::{Privilege, Settings, Switch, int, read_int};

impl Host {
    /// setsockopt(2).
    pub fn set_option(
        &mut self,
        now: Instant,
        id: SocketId,
        who: Privilege,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Result<(), Errno> {
        if let Some(done) = self.set_filter_option(now, id, level, name, value) {
            return done;
        }
        if let Some(done) = self.set_packet_option(id, level, name, value) {
            return done;
        }
        if level == IPPROTO_IP && self.knows_only_ipv6(id) {
            return Err(Errno::ENOPROTOOPT);
        }
        if let Some(done) = self.set_group_option(now, id, level, name, value) {
            return done;
        }
        if matches!(self.body(id), Some(Body::Packet(_)))
            && matches!((level, name), (SOL_SOCKET, SO_RXQ_OVFL | SO_TIMESTAMPING))
        {
            return Err(Errno::ENOPROTOOPT);
        }
        if let Some(done) = self.set_live_option(now, id, level, name, value) {
            return done;
        }
        if level == IPPROTO_IPV6 && matches!(name, IPV6_JOIN_ANYCAST | IPV6_LEAVE_ANYCAST) {
            return self.set_anycast(id, who, name == IPV6_JOIN_ANYCAST, value);
        }
        if (level, name) == (IPPROTO_IPV6, IPV6_FLOWLABEL_MGR) {
            // Who wants to be told which label it is, asks for it by its own call.
            let user = self.sockets.get(id.0).map_or(0, |socket| socket.owner);
            let who = Holder { privilege: who, process: 0, user };
            return self.manage_flow_label(now, id, who, value).map(|_| ());
        }
        let stream = self.is_stream(id);
        if level == SOL_SOCKET && matches!(name, SO_BINDTODEVICE | SO_BINDTOIFINDEX) {
            let device = if name == SO_BINDTODEVICE { self.device(value)? } else { self.device_by_index(value)? };
            let socket = self.sockets.get_mut(id.0).ok_or(Errno::EBADF)?;
            socket.device = device;
            if let State::Bound(binding)
            | State::Listening { binding, .. }
            | State::Connection { bound: Some(binding), .. } = socket.state
            {
                self.stack.tcp_set_device(binding, device);
            }
            self.apply(now, id);
            return Ok(());
        }
        let socket = self.sockets.get_mut(id.0).ok_or(Errno::EBADF)?;
        let unbound = matches!(socket.state, State::Fresh | State::Datagram(None)) && socket.address.is_none();
        if (level, name) == (IPPROTO_IPV6, IPV6_V6ONLY) && socket.settings.ipv6.is_some() && !unbound {
            return Err(Errno::EINVAL);
        }
        if level == IPPROTO_TCP {
            let (closed, listens) = (
                matches!(socket.state, State::Fresh | State::Bound(_)),
                matches!(socket.state, State::Listening { .. }),
            );
            match name {
                // A window may be without a bound, and a listener begin to take data early, only before there is a connection.
                TCP_WINDOW_CLAMP if stream && !closed && read_int(value) == Ok(0) => return Err(Errno::EINVAL),
                TCP_FASTOPEN if stream && !closed && !listens => return Err(Errno::EINVAL),
                _ => {}
            }
        }
        socket.settings.set(stream, who, level, name, value)?;
        socket.reports.heed(&socket.settings, level, name);
        self.apply(now, id);
        Ok(())
    }

    /// getsockopt(2): the whole value; the caller cuts it to the program's buffer.
    pub fn option(&mut self, now: Instant, id: SocketId, level: i32, name: i32) -> Result<Vec<u8>, Errno> {
        if let Some(value) = self.filter_option(id, level, name) {
            return Ok(value);
        }
        if let Some(value) = self.packet_option(id, level, name) {
            return value;
        }
        let stream = self.is_stream(id);
        let body = self.body(id).ok_or(Errno::EBADF)?;
        if level == IPPROTO_IP && self.knows_only_ipv6(id) {
            return Err(Errno::ENOPROTOOPT);
        }
        if let Some(value) = self.group_option(id, level, name) {
            return value;
        }
        if let Some(value) = self.live_option(id, level, name) {
            return value;
        }
        match (level, name) {
            (SOL_SOCKET, SO_ERROR) => Ok(int(self.take_error(id).map_or(0, Errno::raw))),
            (SOL_SOCKET, SO_TYPE) => Ok(int(self.kind(id))),
            (SOL_SOCKET, SO_DOMAIN) => Ok(int(self.settings(id).map_or(AF_INET, Settings::family).into())),
            (SOL_SOCKET, SO_PROTOCOL) => Ok(int(match self.settings(id) {
                Some(Settings { raw: Some(raw), ipv6, .. }) => raw.protocol(ipv6.is_some()),
                Some(Settings { udp_lite: Some(_), .. }) => IPPROTO_UDPLITE,
                _ if stream => IPPROTO_TCP,
                _ => IPPROTO_UDP,
            })),
            (SOL_SOCKET, SO_ACCEPTCONN) => Ok(int(matches!(body, Body::Listener(_)).into())),
            (SOL_SOCKET, SO_PEERNAME) => self.peer_address(id).map(sockaddr).map_err(|_| Errno::ENOTCONN),
            (SOL_SOCKET, SO_COOKIE) => Ok((id.index() as u64 + 1).to_ne_bytes().to_vec()),
            (SOL_SOCKET, SO_BINDTODEVICE) => {
                let device = self.sockets.get(id.0).and_then(|socket| socket.device);
                let name = device.and_then(|device| self.stack().ports().find(|(id, _)| *id == device));
                let name = name.map(|(_, port)| port.name.clone());
                let mut name = name.unwrap_or_default().into_bytes();
                if !name.is_empty() {
                    name.push(0);
                }
                Ok(name)
            }
            (SOL_SOCKET, SO_BINDTOIFINDEX) => {
                let device = self.sockets.get(id.0).and_then(|socket| socket.device);
                Ok(int(device.map_or(0, |device| device.interface_index().cast_signed())))
            }
            (IPPROTO_TCP, TCP_INFO) if stream => Ok(match body {
                Body::Connection(connection) => match self.stack().tcp_info(now, connection) {
                    Some(info) => info::encode(&info),
                    None => info::of_state(tcp::State::Closed),
                },
                Body::Joined(joined, side) => match self.stack().tcp_joined_info(joined, side) {
                    Some(info) => info::encode(&info),
                    None => info::of_state(tcp::State::Closed),
                },
                Body::Listener(_) => info::of_state(tcp::State::Listen),
                _ => info::of_state(tcp::State::Closed),
            }),
            (IPPROTO_TCP, TCP_TIMESTAMP) if stream => Ok(int(match body {
                Body::Connection(connection) => self.stack().tcp_timestamp(now, connection).unwrap_or(0).cast_signed(),
                // The clock itself.
                _ => now.as_millis() as i32,
            })),
            (IPPROTO_TCP, TCP_MAXSEG) if let Body::Connection(connection) = body => {
                let info = self.stack().tcp_info(now, connection).ok_or(Errno::ENOTCONN)?;
                Ok(int(info.send_mss.cast_signed()))
            }
            (IPPROTO_TCP, TCP_MAXSEG) if let Body::Joined(joined, side) = body => {
                let info = self.stack().tcp_joined_info(joined, side).ok_or(Errno::ENOTCONN)?;
                Ok(int(info.send_mss.cast_signed()))
            }
            (IPPROTO_IPV6, _) if self.settings(id).is_some_and(|settings| settings.ipv6.is_none()) => {
                Err(Errno::EOPNOTSUPP)
            }
            (IPPROTO_IP, IP_MTU) | (IPPROTO_IPV6, IPV6_MTU) => match body {
                Body::Joined(joined, side) => {
                    let info = self.stack().tcp_joined_info(joined, side).ok_or(Errno::ENOTCONN)?;
                    Ok(int(info.path_mtu.cast_signed()))
                }
                Body::Connection(connection) => {
                    let info = self.stack().tcp_info(now, connection).ok_or(Errno::ENOTCONN)?;
                    Ok(int(info.path_mtu.cast_signed()))
                }
                Body::Datagram(udp) => self.stack().udp_path_mtu(udp).map(|mtu| int(mtu.into())).ok_or(Errno::ENOTCONN),
                Body::Raw(raw) => self.stack().raw_path_mtu(raw).map(|mtu| int(mtu.into())).ok_or(Errno::ENOTCONN),
                _ => Err(Errno::ENOTCONN),
            },
            _ => self.settings(id).ok_or(Errno::EBADF)?.value(stream, level, name),
        }
    }

    /// A raw socket of IPv6 has no options of IPv4, as on Linux.
    pub(crate) fn knows_only_ipv6(&self, id: SocketId) -> bool {
        self.settings(id)
            .is_some_and(|settings| settings.ipv6.is_some() && settings.raw.is_some_and(|raw| raw.is_raw()))
    }

    /// SO_BINDTODEVICE's value: a name, which ends at a zero byte; empty for none.
    fn device(&self, value: &[u8]) -> Result<Option<PortId>, Errno> {
        let name = value.split(|&byte| byte == 0).next().unwrap_or_default();
        if name.is_empty() {
            return Ok(None);
        }
        let found = self.stack().ports().find(|(_, port)| port.name.as_bytes() == name).map(|(id, _)| id);
        found.map(Some).ok_or(Errno::ENODEV)
    }

    /// SO_BINDTOIFINDEX's value: a number; 0 for none.
    fn device_by_index(&self, value: &[u8]) -> Result<Option<PortId>, Errno> {
        let index = u32::try_from(read_int(value)?).map_err(|_| Errno::EINVAL)?;
        if index == 0 {
            return Ok(None);
        }
        let port = PortId::from_interface_index(index).ok_or(Errno::ENODEV)?;
        if self.stack().ports().any(|(known, _)| known == port) { Ok(Some(port)) } else { Err(Errno::ENODEV) }
    }

    /// Hands the settings down to the stack, where something stands behind the socket.
    pub(crate) fn apply(&mut self, now: Instant, id: SocketId) {
        self.apply_filter(id);
        let Host { stack, sockets, .. } = self;
        let Some(socket) = sockets.get(id.0) else { return };
        let Socket { state, settings, .. } = socket;
        match state {
            State::Fresh | State::Bound(_) | State::Joined { .. } | State::Datagram(None) => {}
            State::Connection { id, .. } => stack.tcp_set_options(now, *id, tcp_options(socket)),
            State::Listening { id, .. } => stack.tcp_set_listener_options(*id, tcp_options(socket)),
            State::Datagram(Some(udp)) => apply_udp(stack, *udp, socket),
            State::Raw(raw) => crate::raw::apply(stack, *raw, socket),
            State::Packet(packet) => packet.apply(stack, settings),
        }
    }
}

/// `struct sockaddr_in` or `sockaddr_in6`.
fn sockaddr(address: SocketAddr) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(28);
    match address {
        SocketAddr::V4(address) => {
            bytes.extend(AF_INET.to_ne_bytes());
            bytes.extend(address.port().to_be_bytes());
            bytes.extend(address.ip().octets());
            bytes.extend([0; 8]);
        }
        SocketAddr::V6(address) => {
            bytes.extend(AF_INET6.to_ne_bytes());
            bytes.extend(address.port().to_be_bytes());
            bytes.extend(address.flowinfo().to_be_bytes());
            bytes.extend(address.ip().octets());
            bytes.extend(address.scope_id().to_ne_bytes());
        }
    }
    bytes
}

/// TCP_INFO of a connection that is no more.
pub fn closed_info() -> Vec<u8> {
    info::of_state(tcp::State::Closed)
}

/// The settings as TCP has them.
pub(crate) fn tcp_options(socket: &Socket) -> tcp::Options {
    let settings = &socket.settings;
    let Settings { tcp, send_buffer, receive_buffer, .. } = settings;
    let own = tcp::Options::default();
    // What a program asked for was doubled for the kernel's bookkeeping, of which there is none here; the whole is room.
    let bytes = |size: &Option<i32>| size.and_then(|size| usize::try_from(size).ok());
    tcp::Options {
        nodelay: tcp.no_delay,
        cork: tcp.cork,
        quick_ack: tcp.quick_ack.unwrap_or(own.quick_ack),
        keepalive: tcp.keepalive,
        keep_idle: tcp.keep_idle,
        keep_interval: tcp.keep_interval,
        keep_count: tcp.keep_count,
        user_timeout: (!tcp.user_timeout.is_zero()).then_some(tcp.user_timeout),
        syn_retries: tcp.syn_count.or(own.syn_retries),
        fin_timeout: tcp.linger2.unwrap_or(own.fin_timeout),
        max_segment: max_segment(settings),
        defer_accept: (tcp.defer_accept > 0).then(|| Duration::from_secs(u64::from(tcp.defer_accept.cast_unsigned()))),
        send_buffer: bytes(send_buffer).unwrap_or(own.send_buffer),
        receive_buffer: bytes(receive_buffer).unwrap_or(own.receive_buffer),
        receive_grows: receive_buffer.is_none(),
        not_sent_low_water: tcp.not_sent_low_water.map_or(own.not_sent_low_water, |bytes| bytes as usize),
        window_clamp: tcp.window_clamp,
        family: settings.family_options(),
        flow_label: settings.advanced.flow_label,
        extras: settings.advanced.extras(),
        filter: socket.filtering.program().cloned(),
        interest: settings.interest(),
    }
}

/// TCP_MAXSEG, and what IPV6_MTU leaves for a segment behind the fixed headers.
fn max_segment(settings: &Settings) -> Option<u16> {
    const HEADERS: u16 = 40 + 20;
    let longest = settings.ipv6.map(|ipv6| ipv6.mtu).filter(|&mtu| mtu > 0).map(|mtu| mtu - HEADERS);
    settings.tcp.max_segment.into_iter().chain(longest).min()
}

fn apply_udp(stack: &mut Stack, id: udp::SocketId, socket: &Socket) {
    let settings = &socket.settings;
    let Settings { receive_buffer, broadcast, reuse_address, reuse_port, .. } = settings;
    let own = udp::Options::default();
    let options = udp::Options {
        receive_buffer: receive_buffer.and_then(|size| usize::try_from(size).ok()).unwrap_or(own.receive_buffer),
        family: socket.family_options(stack),
        broadcast: *broadcast,
        tells_path_mtu: settings.advanced.is_on(Switch::PATH_MTU),
        foreign: settings.advanced.is_on(Switch::FOREIGN),
        device: socket.device,
        groups: socket.groups.options,
        member: socket.groups.member,
        checksum: !settings.advanced.is_on(Switch::NO_CHECKSUM),
        checksum_v6: !settings.advanced.is_on(Switch::NO_CHECKSUM_V6),
        takes_unchecked: settings.advanced.is_on(Switch::TAKES_UNCHECKED_V6),
        send_coverage: settings.udp_lite.and_then(|lite| lite.send_coverage),
        receive_coverage: settings.udp_lite.and_then(|lite| lite.receive_coverage),
        keeps_headers: settings.advanced.wants_headers(),
        coalesces: settings.advanced.is_on(Switch::COALESCES),
        to_neighbors: settings.dont_route,
    };
    stack.udp_set_options(id, options);
    stack.udp_set_reuse(id, *reuse_address, *reuse_port);
}
