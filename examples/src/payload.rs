//! What packets carry: an echo request, a datagram, a segment.
//!
//! The checksums of UDP, TCP and ICMPv6 are about the addresses, too (a "pseudo-header" of them is summed before the bytes), so
//! whoever makes a payload must know between whom it goes. With a routing header "to whom" is the last of the way.

use std::net::IpAddr;

use clap::{Args, ValueEnum};
use sockeye_wire::checksum::pseudo_header;
use sockeye_wire::tcp::{self, Flags, SackBlocks, Timestamps};
use sockeye_wire::{Protocol, SeqNumber, icmpv4, icmpv6, udp};

/// What to carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// An echo request
    Icmp,
    /// A datagram
    Udp,
    /// A segment: a SYN, or where there is data, the data
    Tcp,
}

/// What to carry, on the command line.
#[derive(Args, Clone, Debug)]
pub struct Payload {
    /// What the packet carries
    #[arg(long = "payload", value_enum, default_value = "icmp")]
    pub kind: Kind,
    /// What to know it by: the echo's identifier, the source port, the identification of fragments
    #[arg(long, default_value_t = 4660, value_name = "NUMBER")]
    pub id: u16,
    /// The port that UDP and TCP send to
    #[arg(long, default_value_t = 33_434)]
    pub port: u16,
    /// Bytes of data
    #[arg(long, default_value_t = 0, value_name = "BYTES")]
    pub size: u16,
    /// Give a SYN options: maximum segment size, SACK permitted, timestamps, window scale
    #[arg(long)]
    pub tcp_options: bool,
}

impl Payload {
    /// The number that the header before it has for it.
    pub fn protocol(&self, dst: IpAddr) -> Protocol {
        match self.kind {
            Kind::Icmp if dst.is_ipv4() => Protocol::ICMP,
            Kind::Icmp => Protocol::ICMPV6,
            Kind::Udp => Protocol::UDP,
            Kind::Tcp => Protocol::TCP,
        }
    }

    /// The bytes of it, for a packet between these two.
    pub fn bytes(&self, src: IpAddr, dst: IpAddr) -> Vec<u8> {
        let data: Vec<u8> = (b'a'..=b'z').cycle().take(self.size.into()).collect();
        match (self.kind, src, dst) {
            (Kind::Icmp, IpAddr::V6(src), IpAddr::V6(dst)) => {
                let message = icmpv6::Message::EchoRequest { ident: self.id, seq: 1, data: &data };
                let mut bytes = vec![0; message.total_len()];
                message.emit(src, dst, &mut bytes);
                bytes
            }
            (Kind::Icmp, ..) => {
                let message = icmpv4::Message::EchoRequest { ident: self.id, seq: 1, data: &data };
                let mut bytes = vec![0; message.total_len()];
                message.emit(&mut bytes);
                bytes
            }
            (Kind::Udp, ..) => {
                let header = udp::Repr { src_port: self.id, dst_port: self.port };
                let mut bytes = vec![0; udp::HEADER_LEN];
                header.emit(data.len(), &mut bytes);
                bytes.extend(data);
                fill_in(Protocol::UDP, src, dst, &mut bytes);
                bytes
            }
            (Kind::Tcp, ..) => segment(src, dst, &self.header(), &data),
        }
    }

    fn header(&self) -> tcp::Repr {
        let options = tcp::Options {
            mss: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamps: Some(Timestamps { value: 1, echo: 0 }),
            sack: SackBlocks::default(),
        };
        tcp::Repr {
            src_port: self.id,
            dst_port: self.port,
            seq: SeqNumber(1000),
            ack: SeqNumber(0),
            flags: if self.size == 0 { Flags::SYN } else { Flags::PSH | Flags::ACK },
            window: 64_240,
            urgent: 0,
            options: if self.tcp_options { options } else { tcp::Options::default() },
        }
    }
}

/// A segment: header, data, and the checksum over both and the addresses.
pub fn segment(src: IpAddr, dst: IpAddr, header: &tcp::Repr, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; header.header_len()];
    header.emit(&mut bytes);
    bytes.extend(data);
    fill_in(Protocol::TCP, src, dst, &mut bytes);
    bytes
}

/// Writes the checksum of UDP or TCP, whose field is zero until now.
fn fill_in(protocol: Protocol, src: IpAddr, dst: IpAddr, bytes: &mut [u8]) {
    let mut sum = pseudo_header(src, dst, protocol.0, bytes.len() as u32);
    sum.add(bytes);
    // In UDP a zero says "no checksum", so one that comes out as zero is written as all ones.
    let (at, checksum) = match protocol {
        Protocol::UDP => (udp::CHECKSUM_OFFSET, sum.finish_nonzero()),
        _ => (tcp::CHECKSUM_OFFSET, sum.finish()),
    };
    bytes[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
}
