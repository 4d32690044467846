//! One packet of IPv6, made by hand: an echo request, a datagram or a segment, behind extension headers, on any of four sockets.
//!
//! ```text
//! ipv6 --to 2001:db8::1                                          a ping; the system makes the IP header
//! ipv6 --to 2001:db8::1 --header hop-by-hop --header destination --payload udp --socket hdrincl
//! ipv6 --to 2001:db8::1 --header routing4:2001:db8::7 --size 3000 --fragment 1280 --socket cooked ...
//! ```
//!
//! Watch it with `tcpdump -v -n -i eth0 ip6`. The extension headers come in the order in which they are said; RFC 8200 §4.1 says
//! which one they should have. Fragments are ours to make: in IPv6 no router cuts a packet.
//!
//! Who writes which field:
//!
//! | | `raw` | `hdrincl`, `cooked`, `packet` |
//! |---|---|---|
//! | version, payload length, next header, addresses | system | we |
//! | hop limit, traffic class, source, interface | system, as ancillary data say | we |
//! | flow label | system | we |
//! | extension headers | system, as socket options say (RFC 3542) | we |
//! | checksum of ICMPv6 | system, always | we |
//! | checksum of UDP and TCP | we (system with `IPV6_CHECKSUM`) | we |
//!
//! # Standards
//!
//! RFC 8200 (header, extension headers, fragments), RFC 4443 (ICMPv6), RFC 3542 (ancillary data, sticky options), RFC 2711 (router alert),
//! RFC 5095, RFC 6275, RFC 6554 and RFC 8754 (routing headers); raw(7), packet(7), ipv6(7).

use std::io::IoSlice;
use std::net::{IpAddr, Ipv6Addr, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::process::ExitCode;

use clap::Parser;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn6, sendmsg};
use sockeye_examples::extensions::Header;
use sockeye_examples::packet::Header as Before;
use sockeye_examples::payload::Payload;
use sockeye_examples::way::{Kind, Way, raw_socket};
use sockeye_examples::{Result, host, start, sticky, unsent};
use sockeye_wire::ipv6::extension;
use sockeye_wire::{Protocol, ipv6};

/// Sends a packet of IPv6
#[derive(Parser)]
struct Cli {
    /// Where to; a routing header leads elsewhere first
    #[arg(long, value_name = "HOST", value_parser = host::ipv6)]
    to: Ipv6Addr,
    /// Where from; the system's choice, where nothing is said
    #[arg(long, value_name = "ADDRESS")]
    from: Option<Ipv6Addr>,
    /// The socket to send on
    #[arg(long, value_enum, default_value = "raw")]
    socket: Kind,
    #[command(flatten)]
    way: Way,
    #[command(flatten)]
    payload: Payload,
    /// How many routers it may pass
    #[arg(long, default_value_t = 64)]
    hop_limit: u8,
    /// Six bits of differentiated services, two of congestion notification
    #[arg(long, default_value_t = 0)]
    traffic_class: u8,
    /// What the packets of one flow have in common
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=0xf_ffff))]
    flow_label: u32,
    /// An extension header: hop-by-hop, destination, routing0:, routing3: or routing4:VIA,..., routing2:HOME;
    /// in this order
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<Header>,
    /// Cut it into packets of at most this many bytes
    #[arg(long, value_name = "MTU")]
    fragment: Option<u16>,
}

fn main() -> ExitCode {
    start(run)
}

fn run(cli: &Cli) -> Result<()> {
    let src = match cli.from {
        Some(from) => from,
        None => match cli.way.source_toward(cli.to.into())? {
            IpAddr::V6(from) => from,
            IpAddr::V4(from) => return Err(format!("{from} is no address of IPv6")),
        },
    };
    // With a routing header the packet is addressed to the first node of the way; checksums are about the last.
    let first = cli.headers.iter().find_map(|header| header.first_hop(cli.to)).unwrap_or(cli.to);
    let last = cli.headers.iter().find_map(|header| header.last_hop(cli.to)).unwrap_or(cli.to);
    let payload = cli.payload.bytes(src.into(), last.into())?;
    let protocol = cli.payload.protocol(last.into());
    let headers: Vec<_> = cli.headers.iter().map(|header| header.contents(cli.to)).collect();
    let headers: Vec<_> = headers.iter().map(|header| header.repr()).collect();
    if cli.socket == Kind::Raw {
        return raw(cli, src, protocol, &headers, &payload);
    }
    let header = ipv6::Repr {
        src,
        dst: first,
        next_header: protocol,
        hop_limit: cli.hop_limit,
        traffic_class: cli.traffic_class,
        flow_label: cli.flow_label,
    };
    let before = Before::V6 { header, extensions: &headers, id: cli.payload.id.into() };
    cli.way.send(cli.socket, first.into(), &before.packets(protocol, &payload, cli.fragment)?)
}

/// What the system is to write goes along with the packet, as ancillary data; or before it, as options of the socket.
fn raw(cli: &Cli, src: Ipv6Addr, protocol: Protocol, headers: &[extension::Repr<'_>], payload: &[u8]) -> Result<()> {
    if cli.fragment.is_some() || cli.flow_label != 0 {
        return Err("fragments and flow label are the system's with --socket raw: take --socket hdrincl".into());
    }
    let interface = cli.way.routed()?.map_or(0, |interface| interface.index);
    let socket = raw_socket(cli.to.into(), protocol)?;
    for header in headers {
        // What the header's first byte says is the system's to write.
        let mut bytes = vec![0; header.header_len()];
        header.emit(Protocol(0), &mut bytes);
        match header {
            extension::Repr::HopByHop(_) => sticky::hop_by_hop(&socket, &bytes)?,
            extension::Repr::Routing { .. } => sticky::routing(&socket, &bytes)?,
            _ => sticky::destination(&socket, &bytes)?,
        }
    }
    let source =
        libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: src.octets() }, ipi6_ifindex: interface as _ };
    let (hop_limit, traffic_class) = (cli.hop_limit.into(), cli.traffic_class.into());
    let beside = [
        ControlMessage::Ipv6HopLimit(&hop_limit),
        ControlMessage::Ipv6TClass(&traffic_class),
        ControlMessage::Ipv6PacketInfo(&source),
    ];
    let to = SockaddrIn6::from(SocketAddrV6::new(cli.to, 0, 0, 0));
    let flags = MsgFlags::empty();
    let sent = sendmsg(socket.as_raw_fd(), &[IoSlice::new(payload)], &beside, flags, Some(&to));
    sent.map(drop).map_err(|error| unsent(cli.to)(error.into()))
}
