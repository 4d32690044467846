//! Requests about a socket whose end is with the node.

use std::os::fd::OwnedFd;

use sockeye_control::{Address, Kind, LinkAddress, Request};
use sockeye_socket::names::*;
use sockeye_socket::settings::{TimestampKind, cut_value};
use sockeye_socket::table::Key;
use sockeye_socket::{Body, Errno, Privilege, Progress};
use sockeye_stack::tcp::State;

use super::{
    Answer, Call, Outcome, SIOCGSTAMP, SIOCGSTAMPNS, SIOCOUTQ, directions, flow_label, holder, outstanding, refuse,
};
use crate::boundary::Context;
use crate::datagram;
use crate::datagram::ancillary::stream;
use crate::end::Pump;

impl Call<'_, '_> {
    /// Does what is asked of a socket that lives.
    pub(crate) fn living(&mut self, key: Key, request: &Request<'_>, descriptor: &OwnedFd) -> Outcome {
        let Some(end) = self.boundary.ends.get(key) else { return Err(Errno::EBADF.into()) };
        let socket = end.socket;
        // Who made a raw socket without being root has shown CAP_NET_RAW.
        let shown = end.kind == Kind::Raw && end.owner.uid != 0 && end.owner.uid != self.context.uid;
        let privilege = if shown { Privilege::Administrator } else { self.privilege };
        // What is half a datagram over IPv6 cannot become one over IPv4.
        if let Request::SetOption { level: IPPROTO_IPV6, name: IPV6_ADDRFORM, value, .. } = *request
            && value.first_chunk() == Some(&i32::from(AF_INET).to_ne_bytes())
            && let Pump::Datagram(pump) = &end.pump
            && pump.makes_ipv6(self.context.host.peer_address(socket).ok())
        {
            return Err(Errno::EBUSY.into());
        }
        if let Request::Connect { address: Some(Address::Internet(address)), .. } = *request
            && let Some(answer) = self.connect_local(key, address, descriptor)
        {
            return Ok((answer, None));
        }
        let Context { host, now, .. } = &mut *self.context;
        let answer = match *request {
            Request::Bind { address: Address::Link(address), .. } => {
                host.packet_bind(socket, address.protocol, address.port)?;
                self.boundary.mark(key);
                Answer::Done
            }
            Request::LocalAddress { .. } if matches!(host.body(socket), Some(Body::Packet(_))) => {
                let name = host.packet_name(socket)?;
                let mut address = LinkAddress {
                    protocol: name.protocol,
                    port: name.index,
                    hardware: name.hardware,
                    ..LinkAddress::default()
                };
                if let Some(own) = name.address {
                    address.len = 6;
                    address.address[..6].copy_from_slice(&own);
                }
                Answer::Address(address.into())
            }
            Request::Connect { address: Some(Address::Link(_) | Address::Netlink(_)), .. } => {
                return Err(Errno::EOPNOTSUPP.into());
            }
            Request::Bind { address: Address::Internet(address), .. } => {
                match host.bind(*now, socket, address, self.privilege) {
                    Err(Errno::EACCES) => {
                        return refuse(Errno::EACCES, format!("port {} is below 1024: for root only", address.port()));
                    }
                    Err(Errno::EADDRNOTAVAIL) => {
                        return refuse(
                            Errno::EADDRNOTAVAIL,
                            format!("{} is not an address of this node", address.ip()),
                        );
                    }
                    Err(errno) => return Err(errno.into()),
                    Ok(()) => Answer::Done,
                }
            }
            Request::Listen { backlog, .. } => {
                host.listen(socket, backlog)?;
                self.boundary.listen(self.context, key, descriptor, backlog);
                Answer::Done
            }
            Request::Connect { address: None, .. }
                if matches!(host.body(socket), Some(Body::Connection(_) | Body::Listener(_))) =>
            {
                self.give_up(key, None)
            }
            Request::Connect { address, .. } => {
                match host.connect(*now, socket, address.and_then(Address::internet))? {
                    Progress::Done => {
                        self.boundary.mark(key);
                        Answer::Done
                    }
                    Progress::Started => {
                        if let Err(errno) = self.boundary.connect(key, descriptor) {
                            self.boundary.close(self.context, key, true);
                            return Err(errno.into());
                        }
                        Answer::InProgress
                    }
                }
            }
            Request::LocalAddress { .. } => Answer::Address(host.local_address(socket)?.into()),
            Request::PeerAddress { .. } => Answer::Address(host.peer_address(socket)?.into()),
            Request::SetOption { level: SOL_PACKET, name: name @ (PACKET_RX_RING | PACKET_TX_RING), value, .. } => {
                return self.set_ring(key, name, value);
            }
            Request::Memory { .. } => return self.ring_memory(key),
            Request::Transmit { address, .. } => return self.transmit(key, address, descriptor),
            Request::Option { level: SOL_SOCKET, name: SO_ATTACH_FILTER, len, .. } => {
                const MOST: usize = 120;
                Answer::Value(host.filter_part(socket, len as usize, MOST))
            }
            Request::SetOption { level: IPPROTO_IPV6, name: IPV6_FLOWLABEL_MGR, value, .. } => {
                flow_label(host.manage_flow_label(*now, socket, holder(self.privilege, self.who), value)?)
            }
            Request::SetOption { level: IPPROTO_IPV6, name: IPV6_2292PKTOPTIONS, value, .. }
                if host.settings(socket).is_some_and(|settings| settings.ipv6.is_some()) =>
            {
                datagram::sticky::set(host, *now, socket, privilege, value)?;
                Answer::Done
            }
            Request::SetOption { level, name, value, .. } | Request::TellOption { level, name, value, .. } => {
                host.set_option(*now, socket, privilege, level, name, value)?;
                if (level, name) == (SOL_SOCKET, SO_OOBINLINE) {
                    // The pair's own urgent byte follows; the descriptor is the program's.
                    let inline = host.settings(socket).is_some_and(|settings| settings.oob_inline);
                    let _ = rustix::net::sockopt::set_socket_oobinline(descriptor, inline);
                }
                self.uncork(key, request);
                Answer::Done
            }
            Request::Flush { .. } => match self.boundary.flush(self.context, key) {
                Some(errno) => return Err(errno.into()),
                None => Answer::Done,
            },
            Request::AskOption { level, name, value, .. } => {
                Answer::Value(host.asked_option(*now, socket, level, name, value)?)
            }
            Request::Option { level, name, len, .. }
                if let Some(told) = stream::option(host, socket, level, name, len) =>
            {
                Answer::Value(told)
            }
            Request::Option { level, name, len, .. } => {
                if (level, name) == (SOL_SOCKET, SO_ERROR)
                    && let Some(errno) = self.boundary.take_untold(key)
                {
                    return Ok((Answer::Value(errno.raw().to_ne_bytes().to_vec()), None));
                }
                let is_v6 = host.settings(socket).is_some_and(|settings| settings.ipv6.is_some());
                // The one value that is given whole or not at all.
                if (level, name) == (IPPROTO_IPV6, IPV6_PATHMTU) && is_v6 && len < 32 {
                    return Err(Errno::EINVAL.into());
                }
                let value = host.option(*now, socket, level, name)?;
                if (level, name) == (SOL_SOCKET, SO_ERROR) {
                    self.boundary.asked_for_error(key, value.iter().any(|&byte| byte != 0));
                }
                let value = cut_value(level, name, value, len as usize)?;
                Answer::Value(value)
            }
            Request::WriteInVain { .. } => return Err(Errno::EPIPE.into()),
            Request::TakeError { .. } => {
                let reported = host.take_report(socket).ok_or(Errno::EAGAIN);
                let settings = host.settings(socket).ok_or(Errno::EBADF)?;
                let message = reported.map(|reported| datagram::errors::message(settings, *now, &reported));
                self.boundary.asked_for_error(key, message.is_ok());
                Answer::Message(message?)
            }
            Request::Shutdown { how, .. } => {
                let (read, _) = directions(how)?;
                match host.body(socket) {
                    // As on Linux, a thread that waits for it among others is told so.
                    Some(Body::Connection(id)) if host.stack().tcp_status(id).state == State::SynSent => {
                        return Ok((self.give_up(key, Some(Errno::ECONNRESET)), None));
                    }
                    // It has nothing to write.
                    Some(Body::Listener(_)) if read => return Ok((self.give_up(key, None), None)),
                    // What was written before stands in the pair; its end there is what ends the stream.
                    _ => host.may_shut_down(socket)?,
                }
                if let Some(end) = self.boundary.ends.get_mut(key)
                    && let Pump::Stream(pump) = &mut end.pump
                {
                    pump.discard |= read;
                }
                Answer::Done
            }
            Request::Ioctl { command: SIOCOUTQ, .. } if !host.is_stream(socket) => {
                let waits = match self.boundary.ends.get(key).map(|end| &end.pump) {
                    Some(Pump::Datagram(pump)) => pump.unsent(),
                    _ => 0,
                };
                Answer::Value((waits as u32).to_ne_bytes().to_vec())
            }
            Request::Ioctl { command: command @ (SIOCGSTAMP | SIOCGSTAMPNS), .. } => {
                let kind = if command == SIOCGSTAMP { TimestampKind::Micros } else { TimestampKind::Nanos };
                let time = match self.boundary.ends.get(key).map(|end| &end.pump) {
                    Some(Pump::Datagram(pump)) => pump.time_of_newest(kind, *now),
                    // As Linux: of a stream nobody knows.
                    _ => None,
                };
                Answer::Value(time.ok_or(Errno::ENOENT)?)
            }
            Request::Ioctl { command, .. } => {
                let info = match host.body(socket) {
                    Some(Body::Connection(connection)) => host.stack().tcp_info(*now, connection),
                    Some(Body::Listener(_)) => return Err(Errno::EINVAL.into()),
                    _ => None,
                };
                let (unacknowledged, not_sent) = info.map_or((0, 0), |info| (info.unacknowledged, info.not_sent));
                outstanding(command, unacknowledged, not_sent)?
            }
            _ => return Err(Errno::EOPNOTSUPP.into()),
        };
        Ok((answer, None))
    }

    /// A connection, one in the making or a listener ends at once, and who waits to be accepted is reset. The program keeps its descriptor, and may begin anew.
    fn give_up(&mut self, key: Key, error: Option<Errno>) -> Answer {
        self.boundary.bury(self.context, key, error);
        self.boundary.close(self.context, key, true);
        Answer::Done
    }
}
