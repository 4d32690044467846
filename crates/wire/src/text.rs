//! Each meaning as one line, for a trace or a log.

mod ipv6;

use core::fmt::{Display, Formatter, Result};

use crate::icmpv4::{Message, RedirectCode, TimeExceededCode, Timestamp};
use crate::tcp::Flags;
use crate::{arp, ethernet, ipv4, irdp, tcp, udp};

impl Display for ethernet::VlanTag {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let ethernet::VlanTag { priority, drop_eligible, id } = self;
        write!(f, "vlan {id} priority {priority}{}", if *drop_eligible { " drop eligible" } else { "" })
    }
}

impl Display for ethernet::Repr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let ethernet::Repr { dst, src, vlan, ether_type } = self;
        write!(f, "{src} > {dst} ")?;
        if let Some(tag) = vlan {
            write!(f, "{tag} ")?;
        }
        write!(f, "{ether_type}")
    }
}

impl Display for arp::Repr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let arp::Repr { operation, sender_mac, sender_ip, target_mac, target_ip } = self;
        match *operation {
            arp::Operation::REQUEST => write!(f, "who has {target_ip}? tell {sender_ip} at {sender_mac}"),
            arp::Operation::REPLY => write!(f, "{sender_ip} is at {sender_mac}"),
            other => write!(f, "{other} from {sender_ip} at {sender_mac} to {target_ip} at {target_mac}"),
        }
    }
}

impl Display for ipv4::Repr<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let ipv4::Repr { src, dst, protocol, ttl, tos, id, dont_fragment, more_fragments, fragment_offset, options } =
            self;
        write!(f, "{src} > {dst} {protocol} ttl {ttl}")?;
        if *tos != 0 {
            write!(f, " tos {tos:#04x}")?;
        }
        if *dont_fragment {
            f.write_str(" DF")?;
        }
        if *more_fragments || *fragment_offset != 0 {
            let more = if *more_fragments { " and more" } else { "" };
            write!(f, " fragment of {id} at {fragment_offset}{more}")?;
        }
        if !options.is_empty() {
            write!(f, " with {} bytes of options", options.len())?;
        }
        Ok(())
    }
}

impl Display for Message<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match *self {
            Message::EchoRequest { ident, seq, data } => {
                write!(f, "echo request id {ident} seq {seq} of {} bytes", data.len())
            }
            Message::EchoReply { ident, seq, data } => {
                write!(f, "echo reply id {ident} seq {seq} of {} bytes", data.len())
            }
            Message::DestinationUnreachable { code, next_hop_mtu: 0, original: _ } => write!(f, "{code}"),
            Message::DestinationUnreachable { code, next_hop_mtu, original: _ } => {
                write!(f, "{code}, mtu {next_hop_mtu}")
            }
            Message::SourceQuench { original: _ } => f.write_str("source quench"),
            Message::Redirect { code, gateway, original: _ } => {
                let what = match code {
                    RedirectCode::NETWORK | RedirectCode::NETWORK_TOS => "network",
                    _ => "host",
                };
                write!(f, "redirect for {what} to {gateway}")
            }
            Message::TimeExceeded { code: TimeExceededCode::TTL, original: _ } => f.write_str("time to live exceeded"),
            Message::TimeExceeded { code: TimeExceededCode::REASSEMBLY, original: _ } => {
                f.write_str("reassembly time exceeded")
            }
            Message::TimeExceeded { code, original: _ } => write!(f, "time exceeded, code {}", code.0),
            Message::ParameterProblem { code: 0, pointer, original: _ } => {
                write!(f, "parameter problem at byte {pointer}")
            }
            Message::ParameterProblem { code, pointer: _, original: _ } => write!(f, "parameter problem, code {code}"),
            Message::TimestampRequest(Timestamp { ident, seq, .. }) => {
                write!(f, "timestamp request id {ident} seq {seq}")
            }
            Message::TimestampReply(Timestamp { ident, seq, .. }) => write!(f, "timestamp reply id {ident} seq {seq}"),
            Message::Discovery(message) => write!(f, "{message}"),
            Message::Unknown { kind, code, rest: _, data: _ } => write!(f, "type {kind}, code {code}"),
        }
    }
}

impl Display for irdp::Message<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let irdp::Message::Advertisement { lifetime, routers } = self else {
            return f.write_str("which routers are there?");
        };
        write!(f, "routers for {lifetime} s:")?;
        for (index, (address, preference)) in routers.iter().enumerate() {
            write!(f, "{} {address} ", if index > 0 { "," } else { "" })?;
            match preference {
                irdp::NOT_A_DEFAULT => f.write_str("(never a default)")?,
                preference => write!(f, "({preference})")?,
            }
        }
        Ok(())
    }
}

impl Display for udp::Repr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let udp::Repr { src_port, dst_port } = self;
        write!(f, "{src_port} > {dst_port}")
    }
}

impl Display for tcp::Repr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let tcp::Repr { src_port, dst_port, seq, ack, flags, window, urgent, options } = self;
        write!(f, "{src_port} > {dst_port} {flags} seq {seq}")?;
        if flags.contains(Flags::ACK) {
            write!(f, " ack {ack}")?;
        }
        write!(f, " win {window}")?;
        if flags.contains(Flags::URG) {
            write!(f, " urg {urgent}")?;
        }
        if !options.is_empty() {
            write!(f, " <{options}>")?;
        }
        Ok(())
    }
}

impl Display for tcp::Options {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let tcp::Options { mss, window_scale, sack_permitted, timestamps, sack } = self;
        let mut separator = "";
        let mut next = || core::mem::replace(&mut separator, ", ");
        if let Some(size) = mss {
            write!(f, "{}mss {size}", next())?;
        }
        if let Some(shift) = window_scale {
            write!(f, "{}scale {shift}", next())?;
        }
        if *sack_permitted {
            write!(f, "{}sack permitted", next())?;
        }
        if let Some(tcp::Timestamps { value, echo }) = timestamps {
            write!(f, "{}time {value} echo {echo}", next())?;
        }
        for (left, right) in sack.as_slice() {
            write!(f, "{}sack {left}..{right}", next())?;
        }
        Ok(())
    }
}
