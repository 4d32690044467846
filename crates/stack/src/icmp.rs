//! ICMP: answering echoes, complaining, and hearing complaints.
//!
//! **Complaints of ours** ([`Ip::complain`]) follow RFC 1122 §3.2.2: never about an ICMP error, a broadcast or multicast
//! (by IP or on the link), a fragment but the first, or a source that is not one host. They quote as much of the packet as
//! fits 576 bytes, and their rate is limited ([`error_rates`](crate::error_rates)).
//!
//! **Complaints of others** go to the socket whose packet they quote, if there is one: the transport protocol checks what
//! it can (that the quoted ports, or sequence number, are in use) before it believes any of it (RFC 5927).
//!
//! **Questions.** Echo requests to one of our addresses are answered with what they carried, fragments and all; recorded
//! routes and timestamps are reflected. Echo requests to many are not answered (smurf), timestamps and address masks
//! neither. Source quench is history (RFC 6633). [Redirects](crate::redirect) are believed from the router in use.
//!
//! # Standards
//!
//! RFC 792, RFC 1122 §3.2.2, RFC 1812 §4.3.2.3 (length of the quote), RFC 5927, RFC 6633, RFC 6918.

use crate::Stack;
use crate::counters::Drop;
use crate::errors::Cause;
use crate::ip::{IcmpError, Incoming, Ip, Outgoing};
use crate::ipv4::output::{Fragmentation, Manner, SendError};
use crate::raw::View;
use sockeye_device::Instant;
use sockeye_wire::icmpv4::{Message, TimeExceededCode, UnreachableCode};
use sockeye_wire::icmpv6::ParameterCode;
use sockeye_wire::ipv4::Packet;
use sockeye_wire::ipv4::options::{MAX_LEN, OptionBuffer, Options, record};
use sockeye_wire::{Malformed, Protocol, icmpv4, ipv4};
use std::net::{IpAddr, Ipv4Addr};

/// RFC 1812 §4.3.2.3: an error is at most this long, its IP header included.
const MAX_ERROR: usize = 576;

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Complaint {
    /// Nobody has the port.
    Port,
    /// Nobody speaks the protocol.
    Protocol,
    /// Not all fragments came in time.
    Reassembly,
    /// The byte of an IPv4 header at this offset.
    Header(u8),
    /// The byte of an IPv6 packet at this offset.
    Parameter(ParameterCode, u32),
}

impl Ip {
    /// Tells the sender of `packet` (from its IP header on, possibly cut) what is wrong with it, if that is allowed.
    /// `unicast`: it was sent to us alone, on the link and by IP.
    pub(crate) fn complain(&mut self, now: Instant, packet: &[u8], unicast: bool, complaint: Complaint) {
        if packet.first().is_some_and(|first| first >> 4 == 6) {
            return self.complain_v6(now, packet, unicast, complaint);
        }
        let Ok(quoted) = Packet::parse_quoted(packet) else { return };
        if !unicast || quoted.fragment_offset() != 0 || is_error(&quoted) {
            return;
        }
        let (to, from) = (quoted.src(), quoted.dst());
        if !self.may_complain(now, to.into(), complaint) {
            return;
        }
        let quote = &packet[..packet.len().min(MAX_ERROR - ipv4::HEADER_LEN - icmpv4::HEADER_LEN)];
        let message = match complaint {
            Complaint::Port | Complaint::Protocol => {
                let port = complaint == Complaint::Port;
                let code = if port { UnreachableCode::PORT } else { UnreachableCode::PROTOCOL };
                Message::DestinationUnreachable { code, next_hop_mtu: 0, original: quote }
            }
            Complaint::Reassembly => Message::TimeExceeded { code: TimeExceededCode::REASSEMBLY, original: quote },
            Complaint::Header(pointer) => Message::ParameterProblem { code: 0, pointer, original: quote },
            // The words of IPv6.
            Complaint::Parameter(..) => return,
        };
        if self.send_icmp(now, from, to, 0, &message, &[]).is_ok() {
            self.counters.icmp_errors_sent += 1;
        }
    }

    /// Sends a message. What cannot be queued is counted: nobody waits for it.
    fn send_icmp(
        &mut self,
        now: Instant,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        tos: u8,
        message: &Message<'_>,
        options: &[u8],
    ) -> Result<(), SendError> {
        let mut header = [0; icmpv4::TIMESTAMP_LEN];
        let header_len = message.emit_header(&mut header);
        let outgoing = Outgoing {
            source: source.into(),
            destination: destination.into(),
            protocol: Protocol::ICMP,
            ttl: self.ttl,
            tos,
            checksum_offset: None,
            segment_size: None,
        };
        let manner = Manner { fragmentation: Fragmentation::Anywhere, options, ..Manner::default() };
        let sent = match self.route(outgoing.destination, Some(outgoing.source)) {
            Ok(route) => self.send_by(now, &route, &outgoing, &manner, &header[..header_len], &[message.data()]),
            Err(_) => Err(SendError::NoRoute),
        };
        match sent {
            Ok(()) => {
                self.counters.icmp_messages_sent += 1;
                self.counters.icmp.note_sent(&header);
            }
            Err(SendError::Full) => self.counters.drop(Drop::LinkQueueFull),
            Err(_) => self.counters.ipv4_no_route += 1,
        }
        sent
    }

    /// RFC 1122 §3.2.2.6.
    fn answer_echo(&mut self, now: Instant, incoming: &Incoming, options: &[u8], reply: &Message<'_>) {
        let (IpAddr::V4(us), IpAddr::V4(them)) = (incoming.destination, incoming.source) else { return };
        let mut reflected = OptionBuffer::new();
        for option in Options::new(options).flatten() {
            if matches!(option.kind(), ipv4::options::RECORD_ROUTE | ipv4::options::TIMESTAMP) {
                // They came in one header, so they fit one.
                let _fits = reflected.push(&option);
            }
        }
        let mut bytes = [0; MAX_LEN];
        let used = reflected.as_bytes().len();
        bytes[..used].copy_from_slice(reflected.as_bytes());
        // The highest bit: not in milliseconds since midnight, which this host does not know (RFC 791 §3.1).
        let time = now.as_millis() as u32 | 1 << 31;
        if record(&mut bytes[..used], us, time).is_err() {
            return;
        }
        if self.send_icmp(now, us, them, incoming.tos, reply, &bytes[..used]).is_ok() {
            self.counters.icmp_echoes_answered += 1;
        }
    }
}

impl Stack {
    /// An ICMP message has arrived, in a packet with these options.
    pub(crate) fn handle_icmp(&mut self, now: Instant, incoming: &Incoming, options: &[u8], view: &View<'_>) {
        self.ip.counters.icmp_messages_received += 1;
        let message = match Message::parse(view.payload) {
            Ok(message) => message,
            Err(Malformed::Checksum) => return self.ip.counters.drop(Drop::IcmpChecksum),
            Err(_) => return self.ip.counters.drop(Drop::IcmpMalformed),
        };
        self.ip.counters.icmp.note_received(view.payload);
        match message {
            Message::EchoRequest { .. } if !incoming.unicast => self.ip.counters.drop(Drop::IcmpBroadcast),
            Message::EchoRequest { ident, seq, data } => {
                self.ip.answer_echo(now, incoming, options, &Message::EchoReply { ident, seq, data });
            }
            Message::EchoReply { ident, .. } if self.raw.deliver_echo(now, &mut self.ip, ident, view) => {}
            // Who asks this has a raw socket, and has seen it.
            Message::EchoReply { .. } | Message::TimestampReply(_) if self.raw.speaks(false, Protocol::ICMP) => {}
            Message::EchoReply { .. } | Message::TimestampReply(_) => self.ip.counters.drop(Drop::IcmpNoSocket),
            Message::Redirect { gateway, original, .. } => {
                self.handle_redirect(now, incoming, gateway, original);
            }
            Message::SourceQuench { .. }
            | Message::TimestampRequest(_)
            | Message::Discovery(_)
            | Message::Unknown { .. } => {
                self.ip.counters.drop(Drop::IcmpUnknown);
            }
            Message::DestinationUnreachable { original, .. }
            | Message::TimeExceeded { original, .. }
            | Message::ParameterProblem { original, .. } => match (Packet::parse_quoted(original), meaning(&message)) {
                (Ok(quoted), Some(error)) => self.handle_complaint(now, error, view, info(&message), &quoted),
                _ => self.ip.counters.drop(Drop::IcmpMalformed),
            },
        }
    }

    /// RFC 1122 §3.2.2.2. Whatever the code says, it is about one host.
    fn handle_redirect(&mut self, now: Instant, incoming: &Incoming, gateway: Ipv4Addr, original: &[u8]) {
        let Ok(quoted) = Packet::parse_quoted(original) else { return self.ip.counters.drop(Drop::IcmpMalformed) };
        if !self.ip.is_local(quoted.src().into()) {
            return self.ip.counters.drop(Drop::RedirectInvalid);
        }
        let (router, destination) = (incoming.source, quoted.dst().into());
        if let Err(reason) = self.ip.take_redirect(now, incoming.port, router, destination, gateway.into()) {
            self.ip.counters.drop(reason);
        }
    }

    /// Somebody says something about a packet that we are said to have sent.
    fn handle_complaint(&mut self, now: Instant, error: IcmpError, view: &View<'_>, info: u32, quoted: &Packet<'_>) {
        let (source, destination) = (IpAddr::V4(quoted.src()), IpAddr::V4(quoted.dst()));
        if !self.ip.is_local(source) || quoted.fragment_offset() != 0 {
            return self.ip.counters.drop(Drop::IcmpNoSocket);
        }
        let error = match error {
            IcmpError::FragmentationNeeded { mtu, .. } => {
                let packet = quoted.total_len().min(usize::from(u16::MAX)) as u16;
                IcmpError::FragmentationNeeded { mtu, packet }
            }
            error => error,
        };
        let (message, packet) = (view.payload, &view.payload[icmpv4::HEADER_LEN..]);
        let cause = Cause::Icmp { kind: message[0], code: message[1] };
        let transport = packet.get(quoted.header_len()..).unwrap_or_default();
        let report = view.report(cause, info, (source, destination, quoted.protocol()), packet, transport);
        let concerned = self.raw.handle_report(now, &mut self.ip, Some(error), &report);
        match quoted.protocol() {
            Protocol::TCP => {
                self.tcp.handle_icmp(now, &mut self.ip, error, &report);
            }
            Protocol::UDP | Protocol::UDP_LITE => self.udp.handle_icmp(now, &mut self.ip, error, &report),
            _ if concerned => {}
            _ => self.ip.counters.drop(Drop::IcmpNoSocket),
        }
    }
}

/// What an error message says besides type and code: an MTU, or a place in the header.
fn info(message: &Message<'_>) -> u32 {
    match *message {
        Message::DestinationUnreachable { code: UnreachableCode::FRAGMENTATION_NEEDED, next_hop_mtu, .. } => {
            next_hop_mtu.into()
        }
        Message::ParameterProblem { pointer, .. } => pointer.into(),
        _ => 0,
    }
}

/// What an error message means to a transport protocol.
fn meaning(message: &Message<'_>) -> Option<IcmpError> {
    match *message {
        Message::DestinationUnreachable { code, next_hop_mtu, .. } => match code {
            UnreachableCode::NETWORK | UnreachableCode::NETWORK_UNKNOWN | UnreachableCode::NETWORK_TOS => {
                Some(IcmpError::NetworkUnreachable)
            }
            UnreachableCode::PROTOCOL => Some(IcmpError::ProtocolUnreachable),
            UnreachableCode::PORT => Some(IcmpError::PortUnreachable),
            UnreachableCode::FRAGMENTATION_NEEDED => {
                Some(IcmpError::FragmentationNeeded { mtu: next_hop_mtu, packet: 0 })
            }
            UnreachableCode::NETWORK_PROHIBITED | UnreachableCode::HOST_PROHIBITED | UnreachableCode::PROHIBITED => {
                Some(IcmpError::Prohibited)
            }
            UnreachableCode(..=15) => Some(IcmpError::HostUnreachable),
            UnreachableCode(_) => None,
        },
        Message::TimeExceeded { .. } => Some(IcmpError::TimeExceeded),
        Message::ParameterProblem { .. } => Some(IcmpError::ParameterProblem),
        _ => None,
    }
}

/// True for an ICMP message about another packet, and for one that is not known not to be.
fn is_error(packet: &Packet<'_>) -> bool {
    const QUESTIONS_AND_ANSWERS: [u8; 6] = [0, 8, 13, 14, 17, 18];
    packet.protocol() == Protocol::ICMP
        && !packet.payload().first().is_some_and(|kind| QUESTIONS_AND_ANSWERS.contains(kind))
}
