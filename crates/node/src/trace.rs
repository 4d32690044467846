//! The node's own account of what happens: each control call of a program, and the frames that follow from it.
//!
//! Accepting and closing are no requests: they are told as the node sees them on the program's descriptor, which is when a
//! connection is handed over and when the last holder has let go.
//!
//! ```text
//!     0.412071s curl[4711] socket(AF_INET, SOCK_STREAM, 0) = #3
//!     0.412318s curl[4711] connect(#3, 10.0.0.1:80) = in progress
//!     0.412402s   > tcp 10.0.0.2:40112 > 10.0.0.1:80 SYN seq 0 win 65535 <mss 1460, ...>
//!     0.412551s   < tcp 10.0.0.1:80 > 10.0.0.2:40112 SYN|ACK seq 0 ack 1 win 65160 <...>
//! ```
//!
//! Sequence numbers count from each side's SYN, where it was seen. Frames are decoded where they pass between device and
//! stack, from their own bytes, so the trace shows what is on the wire and not what the stack thinks; a super-frame is
//! one line. Nobody pays who does not listen: without a subscriber there is one test a batch.

mod words;

pub(crate) use words::{describe, describe_outcome};

use std::collections::HashMap;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use sockeye_device::{Instant, TxFrame};
use sockeye_wire::ethernet::{EtherType, Frame};
use sockeye_wire::ipv6::extension::{Extensions, Limits};
use sockeye_wire::tcp::{Flags, Segment, SeqNumber};
use sockeye_wire::{Protocol, arp, icmpv4, icmpv6, ipv4, ipv6, udp};

use crate::ports::Observer;

/// Flows whose first sequence numbers are remembered.
const FLOWS_MAX: usize = 4_096;
/// More text than this waits for nobody.
const TEXT_MAX: usize = 1 << 20;
/// Names of programs that are remembered.
const PROGRAMS: usize = 1024;
/// Enough of a frame for its headers, and the start of an ICMP message's contents.
const HEADERS: usize = 256;

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    In,
    Out,
}

/// What a packet of either family carries.
#[derive(Debug)]
struct Upper<'a> {
    src: IpAddr,
    dst: IpAddr,
    protocol: Protocol,
    fragment_offset: u16,
    /// As much of it as is at hand.
    payload: &'a [u8],
    /// How much it is.
    len: usize,
}

/// Collects lines while somebody listens.
#[derive(Debug, Default)]
pub(crate) struct Tracer {
    listeners: usize,
    text: String,
    lost: u64,
    initial: HashMap<(SocketAddr, SocketAddr), SeqNumber>,
    /// Those that have called, for what is noticed when they are gone.
    programs: HashMap<i32, String>,
}

impl Tracer {
    /// Whether anybody listens.
    pub(crate) fn is_on(&self) -> bool {
        self.listeners > 0
    }

    pub(crate) fn add_listener(&mut self) {
        self.listeners += 1;
    }

    pub(crate) fn remove_listener(&mut self) {
        self.listeners -= 1;
        if self.listeners == 0 {
            *self = Tracer::default();
        }
    }

    /// What was said since the last time; empty for nothing.
    pub(crate) fn take(&mut self) -> String {
        if self.lost > 0 {
            let _ = writeln!(self.text, "({} lines lost: too much at once)", self.lost);
            self.lost = 0;
        }
        std::mem::take(&mut self.text)
    }

    /// A call: who, what, and what came of it.
    pub(crate) fn call(&mut self, now: Instant, pid: i32, call: &str, outcome: &str) {
        if self.is_on() {
            let found = program_name(pid).or_else(|| self.programs.remove(&pid));
            let program = found.unwrap_or_else(|| "?".to_owned());
            self.line(now, format_args!("{program}[{pid}] {call} = {outcome}"));
            if self.programs.len() >= PROGRAMS {
                self.programs.clear();
            }
            self.programs.insert(pid, program);
        }
    }

    fn line(&mut self, now: Instant, line: std::fmt::Arguments<'_>) {
        if self.text.len() > TEXT_MAX {
            self.lost += 1;
        } else {
            let _ = writeln!(self.text, "{:>14} {line}", now.to_string());
        }
    }

    fn frame(&mut self, now: Instant, direction: Direction, bytes: &[u8], len: usize) {
        let arrow = if direction == Direction::In { '<' } else { '>' };
        let Ok(frame) = Frame::parse(bytes) else { return };
        match frame.ether_type() {
            EtherType::ARP => {
                if let Ok(message) = arp::Repr::parse(frame.payload()) {
                    self.line(now, format_args!("  {arrow} arp {message}"));
                }
            }
            EtherType::IPV4 => self.ipv4(now, arrow, frame.payload(), len - frame.header_len()),
            EtherType::IPV6 => self.ipv6(now, arrow, frame.payload(), len - frame.header_len()),
            other => self.line(now, format_args!("  {arrow} {other} of {len} bytes")),
        }
    }

    fn ipv4(&mut self, now: Instant, arrow: char, bytes: &[u8], len: usize) {
        // Only the headers may be at hand: then the total length tells of more than there is.
        let Ok(packet) = ipv4::Packet::parse_quoted(bytes) else { return };
        let upper = Upper {
            src: packet.src().into(),
            dst: packet.dst().into(),
            protocol: packet.protocol(),
            fragment_offset: packet.fragment_offset(),
            payload: packet.payload(),
            len: len.min(packet.total_len()).saturating_sub(packet.header_len()),
        };
        self.upper(now, arrow, &upper, |payload| {
            icmpv4::Message::parse(payload).ok().map(|message| message.to_string())
        });
    }

    /// What stands behind extension headers; where these are not to be understood, the first of them.
    fn ipv6(&mut self, now: Instant, arrow: char, bytes: &[u8], len: usize) {
        let Ok(packet) = ipv6::Packet::parse_quoted(bytes) else { return };
        let (src, dst) = (packet.src(), packet.dst());
        let found = Extensions::new(&packet, Limits::NONE).upper().ok();
        let (protocol, at) = found.map_or((packet.next_header(), ipv6::HEADER_LEN), |found| (found.protocol, found.at));
        // A jumbogram's length is in an option.
        let whole = match packet.payload_len() {
            0 => len,
            payload_len => len.min(ipv6::HEADER_LEN + usize::from(payload_len)),
        };
        let upper = Upper {
            src: src.into(),
            dst: dst.into(),
            protocol,
            fragment_offset: found.and_then(|found| found.fragment).map_or(0, |fragment| fragment.offset),
            payload: found.map_or(&[], |found| found.payload),
            len: whole.saturating_sub(at),
        };
        self.upper(now, arrow, &upper, |payload| {
            icmpv6::Message::parse(payload, src, dst).ok().map(|message| message.to_string())
        });
    }

    /// `message` reads what the family's control messages say.
    fn upper(&mut self, now: Instant, arrow: char, upper: &Upper<'_>, message: impl Fn(&[u8]) -> Option<String>) {
        let Upper { src, dst, protocol, fragment_offset, payload, len } = *upper;
        if fragment_offset > 0 {
            self.line(
                now,
                format_args!("  {arrow} {protocol} {src} > {dst} fragment at {fragment_offset}, {len} bytes"),
            );
            return;
        }
        let said = match (protocol, src) {
            (Protocol::TCP, _) => Segment::parse(payload).ok().map(|segment| self.tcp(src, dst, &segment, len)),
            (Protocol::UDP, _) => payload.first_chunk::<{ udp::HEADER_LEN }>().map(|ports| {
                let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
                let (from, to) = (SocketAddr::new(src, port(0)), SocketAddr::new(dst, port(2)));
                format!("udp {from} > {to}, {} bytes", len.saturating_sub(udp::HEADER_LEN))
            }),
            (Protocol::ICMP, IpAddr::V4(_)) => message(payload).map(|said| format!("icmp {src} > {dst} {said}")),
            (Protocol::ICMPV6, IpAddr::V6(_)) => message(payload).map(|said| format!("icmp6 {src} > {dst} {said}")),
            _ => None,
        };
        match said {
            Some(said) => self.line(now, format_args!("  {arrow} {said}")),
            None => self.line(now, format_args!("  {arrow} {protocol} {src} > {dst}, {len} bytes")),
        }
    }

    fn tcp(&mut self, src: IpAddr, dst: IpAddr, segment: &Segment<'_>, payload_len: usize) -> String {
        let repr = segment.repr();
        let (from, to) = (SocketAddr::new(src, repr.src_port), SocketAddr::new(dst, repr.dst_port));
        if repr.flags.contains(Flags::SYN) {
            if self.initial.len() >= FLOWS_MAX {
                self.initial.clear();
            }
            self.initial.insert((from, to), repr.seq);
        }
        let relative = |initial: Option<&SeqNumber>, number: SeqNumber| {
            number.0.wrapping_sub(initial.map_or(0, |initial| initial.0))
        };
        let seq = relative(self.initial.get(&(from, to)), repr.seq);
        let ack = relative(self.initial.get(&(to, from)), repr.ack);
        let mut text = format!("tcp {from} > {to} {} seq {seq}", repr.flags);
        if repr.flags.contains(Flags::ACK) {
            let _ = write!(text, " ack {ack}");
        }
        let _ = write!(text, " win {}", repr.window);
        let data = payload_len.saturating_sub(segment.header_len());
        if data > 0 {
            let _ = write!(text, ", {data} bytes");
        }
        // Of the options only those that are news: timestamps are in every segment.
        if repr.flags.contains(Flags::SYN) || !repr.options.sack.is_empty() {
            let _ = write!(text, " <{}>", repr.options);
        }
        text
    }
}

impl Observer for Tracer {
    fn received(&mut self, now: Instant, frame: &[u8]) {
        if self.is_on() {
            self.frame(now, Direction::In, frame, frame.len());
        }
    }

    fn sent(&mut self, now: Instant, frame: &TxFrame<'_>) {
        if !self.is_on() {
            return;
        }
        let mut bytes = [0; HEADERS];
        let mut len = 0;
        for slice in [frame.header].iter().chain(frame.payload) {
            let count = slice.len().min(HEADERS - len);
            bytes[len..len + count].copy_from_slice(&slice[..count]);
            len += count;
        }
        self.frame(now, Direction::Out, &bytes[..len], frame.len());
    }
}

/// What the kernel calls a process.
pub(crate) fn program_name(pid: i32) -> Option<String> {
    let name = std::fs::read(format!("/proc/{pid}/comm")).ok()?;
    let name = String::from_utf8_lossy(&name);
    // The name is the program's own choice: nothing in it shall move a terminal's cursor.
    Some(name.trim_end().chars().map(|c| if c.is_control() { '?' } else { c }).collect())
}

#[cfg(test)]
mod tests;
