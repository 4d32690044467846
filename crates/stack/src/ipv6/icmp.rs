//! ICMPv6: answering echoes, complaining, and hearing complaints.
//!
//! By the rules of its [counterpart](crate::icmp), whose limits of rate it shares. What differs: an error quotes as much as
//! fits the least MTU, a packet that is too large concerns the sender alone, and options may ask for a complaint about
//! a packet that was sent to many.
//!
//! # Standards
//!
//! RFC 4443 §2.2 (source address), §2.4 (processing), §3, §4; RFC 8201 §4 (packet too big).

use crate::Stack;
use crate::counters::Drop;
use crate::errors::Cause;
use crate::icmp::Complaint;
use crate::ip::{IcmpError, Ip, Outgoing};
use crate::ipv4::output::{Manner, SendError};
use crate::ipv6::input::Accepted;
use crate::port::PortId;
use crate::raw::View;
use crate::route::AddressKind;
use sockeye_device::Instant;
use sockeye_wire::icmpv6::{self, Message, ParameterCode, TimeExceededCode, UnreachableCode, message_type};
use sockeye_wire::ipv6::extension::{Extensions, Limits, Upper};
use sockeye_wire::ipv6::{HEADER_LEN, MIN_MTU, Packet};
use sockeye_wire::{Malformed, Protocol, ndisc};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

impl Ip {
    /// Tells the sender of `packet` (from its IP header on, possibly cut) what is wrong with it, if that is allowed.
    /// `unicast`: it was sent to us alone, on the link and by IP.
    pub(crate) fn complain_v6(&mut self, now: Instant, packet: &[u8], unicast: bool, complaint: Complaint) {
        let Ok(quoted) = Packet::parse_quoted(packet) else { return };
        // Unknown options may say that all are to be told (RFC 8200, 4.2).
        let told_of_many = matches!(complaint, Complaint::Parameter(ParameterCode::UNKNOWN_OPTION, _));
        let to = quoted.src();
        if !unicast && !told_of_many || to.is_unspecified() || is_error(&quoted) {
            return;
        }
        if !self.may_complain(now, to.into(), complaint) {
            return;
        }
        let original = &packet[..packet.len().min(MIN_MTU - HEADER_LEN - icmpv6::HEADER_LEN)];
        let message = match complaint {
            Complaint::Port => Message::DestinationUnreachable { code: UnreachableCode::PORT, original },
            Complaint::Reassembly => Message::TimeExceeded { code: TimeExceededCode::REASSEMBLY, original },
            Complaint::Parameter(code, pointer) => Message::ParameterProblem { code, pointer, original },
            // The words of IPv4.
            Complaint::Protocol | Complaint::Header(_) => return,
        };
        // RFC 4443, 2.2: from an address that is ours alone.
        let from = match self.addresses.classify_v6(quoted.dst()) {
            AddressKind::Multicast => None,
            AddressKind::Anycast => {
                self.addresses.anycast_port(quoted.dst().into()).and_then(|port| self.own_source(port, to))
            }
            _ => Some(quoted.dst()),
        };
        if self.send_icmpv6(now, from, to, 0, &message).is_ok() {
            self.counters.icmp_errors_sent += 1;
        }
    }

    /// Sends a message, from the address that the route has where none is given. What cannot be queued is counted: nobody
    /// waits for it.
    fn send_icmpv6(
        &mut self,
        now: Instant,
        source: Option<Ipv6Addr>,
        destination: Ipv6Addr,
        traffic_class: u8,
        message: &Message<'_>,
    ) -> Result<(), SendError> {
        let mut header = [0; icmpv6::HEADER_LEN];
        let sent = match self.route(destination.into(), source.map(IpAddr::V6)) {
            Ok(route) => {
                let IpAddr::V6(source) = route.source else { return Err(SendError::Family) };
                message.emit_header(source, destination, &mut header);
                let outgoing = Outgoing {
                    source: source.into(),
                    destination: destination.into(),
                    protocol: Protocol::ICMPV6,
                    ttl: route.hop_limit,
                    tos: traffic_class,
                    checksum_offset: None,
                    segment_size: None,
                };
                let (from, to) = (SocketAddr::new(source.into(), 0), SocketAddr::new(destination.into(), 0));
                let flow_label = self.flow_label(Protocol::ICMPV6, from, to);
                let manner = Manner { flow_label, ..Manner::default() };
                self.send_v6_by(now, &route, &outgoing, &manner, &header, &[message.data()])
            }
            Err(_) => Err(SendError::NoRoute),
        };
        match sent {
            Ok(()) => {
                self.counters.icmp_messages_sent += 1;
                self.counters.icmpv6.note_sent(&header);
            }
            Err(SendError::Full) => self.counters.drop(Drop::LinkQueueFull),
            Err(_) => self.counters.ipv6_no_route += 1,
        }
        sent
    }
}

impl Stack {
    /// An ICMPv6 message has arrived: what `view` carries.
    pub(crate) fn handle_icmpv6(&mut self, now: Instant, port: PortId, accepted: &Accepted, view: &View<'_>) {
        self.ip.counters.icmp_messages_received += 1;
        let message = match Message::parse(view.payload, accepted.source, accepted.destination) {
            Ok(message) => message,
            Err(Malformed::Checksum) => return self.ip.counters.drop(Drop::IcmpChecksum),
            Err(_) => return self.ip.counters.drop(Drop::IcmpMalformed),
        };
        self.ip.counters.icmpv6.note_received(view.payload);
        match message {
            Message::Discovery(ref discovery @ ndisc::Message::NeighborAdvertisement(_)) => {
                self.ip.handle_discovery(now, port, accepted, discovery);
            }
            _ if accepted.ours => self.ip.counters.drop(Drop::Ipv6Source),
            Message::Discovery(ref discovery) => self.ip.handle_discovery(now, port, accepted, discovery),
            _ if accepted.source.is_unspecified() => self.ip.counters.drop(Drop::Ipv6Source),
            // RFC 4443, 4.2, would have what is sent to many answered; as with IPv4, this host amplifies nothing.
            Message::EchoRequest { .. } if !accepted.unicast => self.ip.counters.drop(Drop::IcmpBroadcast),
            Message::EchoRequest { ident, seq, data } => {
                let reply = Message::EchoReply { ident, seq, data };
                let Accepted { source, destination, traffic_class, anycast, .. } = *accepted;
                let from = if anycast { self.ip.own_source(port, source) } else { Some(destination) };
                if self.ip.send_icmpv6(now, from, source, traffic_class, &reply).is_ok() {
                    self.ip.counters.icmp_echoes_answered += 1;
                }
            }
            Message::EchoReply { ident, .. } if self.raw.deliver_echo(now, &mut self.ip, ident, view) => {}
            // Who asks this has a raw socket, and has seen it.
            Message::EchoReply { .. } if self.raw.speaks(true, Protocol::ICMPV6) => {}
            Message::EchoReply { .. } => self.ip.counters.drop(Drop::IcmpNoSocket),
            Message::Listener(ref message) => self.ip.handle_mld(now, port, accepted, message),
            ref error => match (error.original().map(Packet::parse_quoted), meaning(error)) {
                (Some(Ok(quoted)), Some(meaning)) => self.handle_complaint_v6(now, meaning, view, &quoted),
                (Some(Err(_)), _) => self.ip.counters.drop(Drop::IcmpMalformed),
                _ => self.ip.counters.drop(Drop::IcmpUnknown),
            },
        }
    }

    /// Somebody says something about a packet that we are said to have sent.
    fn handle_complaint_v6(&mut self, now: Instant, error: IcmpError, view: &View<'_>, quoted: &Packet<'_>) {
        let (source, destination) = (IpAddr::V6(quoted.src()), IpAddr::V6(quoted.dst()));
        let Ok(Upper { protocol, at, fragment, .. }) = Extensions::new(quoted, Limits::DEFAULT).upper() else {
            return self.ip.counters.drop(Drop::IcmpMalformed);
        };
        if !self.ip.may_send_from(source) || fragment.is_some_and(|fragment| fragment.offset != 0) {
            return self.ip.counters.drop(Drop::IcmpNoSocket);
        }
        let error = match error {
            IcmpError::FragmentationNeeded { mtu, .. } => {
                let packet = HEADER_LEN.saturating_add(quoted.payload_len().into()).min(usize::from(u16::MAX)) as u16;
                IcmpError::FragmentationNeeded { mtu, packet }
            }
            error => error,
        };
        let (message, packet) = (view.payload, &view.payload[icmpv6::HEADER_LEN..]);
        let cause = Cause::Icmpv6 { kind: message[0], code: message[1] };
        let info = u32::from_be_bytes([message[4], message[5], message[6], message[7]]);
        let transport = packet.get(at..).unwrap_or_default();
        let report = view.report(cause, info, (source, destination, protocol), packet, transport);
        let concerned = self.raw.handle_report(now, &mut self.ip, Some(error), &report);
        match protocol {
            Protocol::TCP => self.tcp.handle_icmp(now, &mut self.ip, error, &report),
            Protocol::UDP | Protocol::UDP_LITE => self.udp.handle_icmp(now, &mut self.ip, error, &report),
            _ if concerned => {}
            _ => self.ip.counters.drop(Drop::IcmpNoSocket),
        }
    }
}

/// What an error message means to a transport protocol.
fn meaning(message: &Message<'_>) -> Option<IcmpError> {
    match *message {
        Message::DestinationUnreachable { code, .. } => Some(match code {
            UnreachableCode::NO_ROUTE | UnreachableCode::REJECT_ROUTE => IcmpError::NetworkUnreachable,
            UnreachableCode::PROHIBITED | UnreachableCode::SOURCE_POLICY => IcmpError::Prohibited,
            UnreachableCode::PORT => IcmpError::PortUnreachable,
            _ => IcmpError::HostUnreachable,
        }),
        // Every link carries that much (RFC 8201, 4): less is nothing to go by.
        Message::PacketTooBig { mtu, .. } if mtu < MIN_MTU as u32 => None,
        Message::PacketTooBig { mtu, .. } => {
            Some(IcmpError::FragmentationNeeded { mtu: mtu.min(u16::MAX.into()) as u16, packet: 0 })
        }
        Message::TimeExceeded { .. } => Some(IcmpError::TimeExceeded),
        Message::ParameterProblem { code: ParameterCode::UNKNOWN_NEXT_HEADER, .. } => {
            Some(IcmpError::ProtocolUnreachable)
        }
        Message::ParameterProblem { .. } => Some(IcmpError::ParameterProblem),
        Message::Unknown { kind: 0..128, .. } => Some(IcmpError::Unknown),
        _ => None,
    }
}

/// True for an ICMPv6 message about another packet, a redirect, and a part of a message that does not show which it is
/// (RFC 4443, 2.4 e). A packet that cannot be read up to there counts as none: its headers are what the complaint is about.
fn is_error(packet: &Packet<'_>) -> bool {
    match Extensions::new(packet, Limits::DEFAULT).upper() {
        Ok(Upper { protocol: Protocol::ICMPV6, payload, fragment, .. }) => {
            fragment.is_some_and(|fragment| fragment.offset != 0)
                || payload.first().is_none_or(|&kind| kind < 128 || kind == message_type::REDIRECT)
        }
        _ => false,
    }
}
