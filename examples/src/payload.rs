//! What packets carry: an echo request, a datagram, a segment.
//!
//! The checksums of UDP, TCP and ICMPv6 are about the addresses, too (a "pseudo-header" of them is summed before the bytes), so
//! whoever makes a payload must know between whom it goes. With a routing header "to whom" is the last of the way.

use std::net::IpAddr;

use clap::{Args, ValueEnum};
use sockeye_wire::checksum::pseudo_header;
use sockeye_wire::tcp::{self, Flags, SackBlocks, Timestamps};
use sockeye_wire::{Protocol, SeqNumber, icmpv4, icmpv6, udp};

use crate::Result;
use crate::complain::two_families;

/// What to carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// An echo request
    Icmp,
    /// A datagram
    Udp,
    /// A segment: a SYN, or where there is data, the data
    Tcp,
    /// A segment that asks for a page; nobody has opened a connection for it, as the example `http_get` does
    Http,
}

/// An option of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TcpOption {
    /// Maximum segment size: 1460 bytes
    Mss,
    /// Window scale: windows are told in units of 128 bytes
    WindowScale,
    /// Selective acknowledgements are welcome
    Sack,
    /// The clock of whoever sends it
    Timestamps,
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
    /// Bytes of data, up to 65000
    #[arg(long, default_value_t = 0, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(..=65_000))]
    pub size: u16,
    /// An option of TCP; may be said several times
    #[arg(long = "tcp-option", value_enum, value_name = "OPTION")]
    pub tcp_options: Vec<TcpOption>,
}

impl Payload {
    /// The number that the header before it has for it.
    pub fn protocol(&self, dst: IpAddr) -> Protocol {
        match self.kind {
            Kind::Icmp => icmp(dst),
            Kind::Udp => Protocol::UDP,
            Kind::Tcp | Kind::Http => Protocol::TCP,
        }
    }

    /// The bytes of it, for a packet between these two.
    pub fn bytes(&self, src: IpAddr, dst: IpAddr) -> Result<Vec<u8>> {
        if !self.tcp_options.is_empty() && self.protocol(dst) != Protocol::TCP {
            return Err("--tcp-option is for --payload tcp or http".into());
        }
        if self.size != 0 && self.kind == Kind::Http {
            return Err("--payload http has data of its own, without --size".into());
        }
        let data = || data(self.size);
        Ok(match self.kind {
            Kind::Icmp => echo_request(src, dst, self.id, 1, &data())?,
            Kind::Udp => {
                let header = udp::Repr { src_port: self.id, dst_port: self.port };
                let mut bytes = vec![0; udp::HEADER_LEN];
                header.emit(self.size.into(), &mut bytes);
                bytes.extend(data());
                fill_in(Protocol::UDP, src, dst, &mut bytes);
                bytes
            }
            Kind::Tcp if self.size == 0 => segment(src, dst, &self.header(Flags::SYN), &[]),
            Kind::Tcp => segment(src, dst, &self.header(Flags::PSH | Flags::ACK), &data()),
            Kind::Http => {
                let request = format!("GET / HTTP/1.0\r\nHost: {dst}\r\n\r\n");
                segment(src, dst, &self.header(Flags::PSH | Flags::ACK), request.as_bytes())
            }
        })
    }

    fn header(&self, flags: Flags) -> tcp::Repr {
        let has = |option| self.tcp_options.contains(&option);
        tcp::Repr {
            src_port: self.id,
            dst_port: self.port,
            seq: SeqNumber(1000),
            ack: SeqNumber(0),
            flags,
            window: 64_240,
            urgent: 0,
            options: tcp::Options {
                mss: has(TcpOption::Mss).then_some(1460),
                window_scale: has(TcpOption::WindowScale).then_some(7),
                sack_permitted: has(TcpOption::Sack),
                timestamps: has(TcpOption::Timestamps).then_some(Timestamps { value: 1, echo: 0 }),
                sack: SackBlocks::default(),
            },
        }
    }
}

/// So many bytes to be carried.
pub fn data(size: u16) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(size.into()).collect()
}

/// ICMP of an address's family.
pub fn icmp(address: IpAddr) -> Protocol {
    if address.is_ipv4() { Protocol::ICMP } else { Protocol::ICMPV6 }
}

/// An echo request. That of IPv4 knows nothing of addresses.
pub fn echo_request(src: IpAddr, dst: IpAddr, ident: u16, seq: u16, data: &[u8]) -> Result<Vec<u8>> {
    Ok(match (src, dst) {
        (IpAddr::V4(_), IpAddr::V4(_)) => {
            let message = icmpv4::Message::EchoRequest { ident, seq, data };
            let mut bytes = vec![0; message.total_len()];
            message.emit(&mut bytes);
            bytes
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let message = icmpv6::Message::EchoRequest { ident, seq, data };
            let mut bytes = vec![0; message.total_len()];
            message.emit(src, dst, &mut bytes);
            bytes
        }
        _ => return Err(two_families(src, dst)),
    })
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
