//! What the network says of packets that we sent: why, in which words, and the queue of a socket that wants to hear all of it.
//!
//! A socket hears of an error in one of two ways. By default as one number, of the last error that is final, and where it has no peer not at all: it
//! could not tell whom it is about. One whose program asked for it (`IP_RECVERR`) hears of each error, with the message's own type and
//! code, who sent it, and the packet that it quotes: these wait in an [`ErrorQueue`], and the number is that of the first of them.
//! What cannot be sent for its length is told there, too, with the length that would do.
//!
//! The queue is bounded, in number and, with what the socket has not read, by its receive buffer: what a stranger can say costs little, and nothing where
//! nobody asked.
//!
//! # Standards
//!
//! RFC 792, RFC 4443 §3, RFC 4884 §4, §7, §8, RFC 1122 §4.1.3.3; Linux ip(7), ipv6(7) (`IP_RECVERR`, `IPV6_RECVERR`), and which errors it takes for final.

use crate::port::PortId;
use sockeye_device::Instant;
use sockeye_wire::Protocol;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// Errors that one socket keeps.
const MOST: usize = 64;
/// What keeping one costs besides its bytes.
const OVERHEAD: usize = 512;
/// As much as is kept of a quoted packet: what an error of IPv6 can hold.
const QUOTE: usize = 1_280;

/// Why a packet did not arrive, in the words of who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A message of ICMP.
    Icmp {
        /// Its type.
        kind: u8,
        /// Its code.
        code: u8,
    },
    /// A message of ICMPv6.
    Icmpv6 {
        /// Its type.
        kind: u8,
        /// Its code.
        code: u8,
    },
    /// This host: longer than what can go in one piece.
    MessageSize,
}

impl Cause {
    /// True for what will not mend itself, so that a connected socket is told without having asked.
    pub(crate) fn is_final(self) -> bool {
        match self {
            // A wrong header; no such protocol, port, network or host; forbidden.
            Cause::Icmp { kind: 12, .. } => true,
            Cause::Icmp { kind: 3, code } => matches!(code, 2 | 3 | 6..=10 | 13..=15),
            // The same, as far as it has words for it; an unknown code is taken for the worst.
            Cause::Icmpv6 { kind: 4, .. } => true,
            Cause::Icmpv6 { kind: 1, code } => !matches!(code, 0 | 2 | 3),
            Cause::Icmp { .. } | Cause::Icmpv6 { .. } | Cause::MessageSize => false,
        }
    }

    fn is_told_by_others(self) -> bool {
        self != Cause::MessageSize
    }
}

/// An error, for a program that asked for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// Why.
    pub cause: Cause,
    /// The MTU that would do, the place of what is wrong in the header, or 0.
    pub info: u32,
    /// Where the packet was going.
    pub destination: SocketAddr,
    /// Its class and its label, over IPv6.
    pub flow: u32,
    /// Who says so; none if it is this host.
    pub offender: Option<IpAddr>,
    /// To which of our addresses it was said.
    pub to: IpAddr,
    /// By which port it came.
    pub port: PortId,
    /// Of the packet that brought it.
    pub ttl: u8,
    /// Of the packet that brought it.
    pub tos: u8,
    /// Of the packet that brought it, over IPv6.
    pub flow_label: u32,
    /// When it came.
    pub timestamp: Instant,
    /// What the packet carried, as far as it is known.
    pub data: Vec<u8>,
    /// What else the message had to say, behind that.
    pub extension: Option<Extension>,
}

/// Objects behind the quoted packet (RFC 4884): labels of the way, the interface that it came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Where they begin, in the data.
    pub at: u16,
    /// Their checksum and lengths are right.
    pub valid: bool,
}

/// A message about a packet of ours, read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report<'a> {
    pub(crate) cause: Cause,
    pub(crate) info: u32,
    /// How much of the message quotes the packet, where it says so; else 0.
    pub(crate) quoted: u16,
    pub(crate) offender: IpAddr,
    pub(crate) to: IpAddr,
    pub(crate) port: PortId,
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
    pub(crate) flow_label: u32,
    /// Of the packet.
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: Protocol,
    /// The packet from its IP header on, with all that follows in the message.
    pub(crate) packet: &'a [u8],
    /// The same from its transport header on.
    pub(crate) transport: &'a [u8],
}

impl Report<'_> {
    /// The packet's class and label; over IPv4 there are none.
    fn flow(&self) -> u32 {
        let first = self.packet.first_chunk().filter(|_| self.destination.is_ipv6());
        first.map_or(0, |&word| u32::from_be_bytes(word) & 0x0fff_ffff)
    }

    /// For a socket: `port` is what it calls the packet's destination there, `data` what it knows of the packet.
    pub(crate) fn keep(&self, now: Instant, port: u16, data: &[u8]) -> Reported {
        Reported {
            cause: self.cause,
            info: self.info,
            destination: SocketAddr::new(self.destination, port),
            flow: self.flow(),
            offender: Some(self.offender),
            to: self.to,
            port: self.port,
            ttl: self.ttl,
            tos: self.tos,
            flow_label: self.flow_label,
            timestamp: now,
            data: data[..data.len().min(QUOTE)].to_vec(),
            extension: self.extension(&data[..data.len().min(QUOTE)], self.packet.len().saturating_sub(data.len())),
        }
    }

    /// The objects in `data`, before which `before` bytes of the packet stand. As Linux has it, a packet is quoted with 128 bytes at least (RFC 4884, 5.5).
    fn extension(&self, data: &[u8], before: usize) -> Option<Extension> {
        let at = usize::from(self.quoted).checked_sub(before).filter(|_| self.quoted >= 128)?;
        let objects = data.get(at..).filter(|objects| objects.len() >= 4)?;
        Some(Extension { at: at as u16, valid: are_right(objects) })
    }
}

/// Whether objects are what they say: RFC 4884, 7 and 8. Of another version nothing is known.
fn are_right(bytes: &[u8]) -> bool {
    let &[version, _, high, low, ref objects @ ..] = bytes else { return false };
    if version >> 4 != 2 {
        return true;
    }
    if (high, low) != (0, 0) && sockeye_wire::checksum::sum(bytes).finish() != 0 {
        return false;
    }
    let mut objects = objects;
    while let &[high, low, ..] = objects {
        let len = usize::from(u16::from_be_bytes([high, low]));
        match objects.get(len..) {
            Some(rest) if len >= 4 => objects = rest,
            _ => return false,
        }
    }
    objects.is_empty()
}

/// Errors that a program has not asked for yet.
#[derive(Debug, Default)]
pub(crate) struct ErrorQueue {
    queue: VecDeque<Reported>,
    memory: usize,
    pushed: u64,
}

impl ErrorQueue {
    /// Keeps one, beside what else the socket holds of its `limit`; false if there is no room.
    pub(crate) fn push(&mut self, reported: Reported, held: usize, limit: usize) -> bool {
        let cost = cost(&reported);
        let fits = self.queue.len() < MOST && held + self.memory + cost <= limit;
        if fits {
            self.memory += cost;
            self.queue.push_back(reported);
            self.pushed += 1;
        }
        fits
    }

    /// A packet of ours could not be sent for its length; `mtu` would do.
    pub(crate) fn push_too_long(
        &mut self,
        now: Instant,
        from: IpAddr,
        to: SocketAddr,
        mtu: u16,
        (held, limit): (usize, usize),
    ) -> bool {
        let reported = Reported {
            cause: Cause::MessageSize,
            info: mtu.into(),
            destination: to,
            flow: 0,
            offender: None,
            to: from,
            port: PortId::LOOPBACK,
            ttl: 0,
            tos: 0,
            flow_label: 0,
            timestamp: now,
            data: Vec::new(),
            extension: None,
        };
        self.push(reported, held, limit)
    }

    /// The oldest, and what the socket's pending error becomes by taking it: that of the next one that others have told. None: it stays.
    pub(crate) fn pop(&mut self) -> Option<(Reported, Option<Option<Cause>>)> {
        let reported = self.queue.pop_front()?;
        self.memory -= cost(&reported);
        let next = self.queue.front().map(|next| next.cause).filter(|cause| cause.is_told_by_others());
        let pending = (next.is_some() || reported.cause.is_told_by_others()).then_some(next);
        Some((reported, pending))
    }

    /// The number of the youngest that waits, from 1; none if none waits.
    pub(crate) fn newest(&self) -> Option<u64> {
        (!self.queue.is_empty()).then_some(self.pushed)
    }

    /// What keeping them costs.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.memory = 0;
    }
}

/// What keeping one costs the socket's receive buffer.
fn cost(reported: &Reported) -> usize {
    reported.data.len() + OVERHEAD
}
