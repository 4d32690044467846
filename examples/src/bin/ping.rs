//! Is it there? Echo requests, and the replies to them.
//!
//! ```text
//! ping 192.0.2.1 --count 3
//! ping 2001:db8::1 --socket packet --interface eth0 --mac 02:00:00:00:00:01        frames of our own
//! ping 2002:c000:201::1 --from 2002:c000:202::1 --via 192.0.2.1                    through a tunnel of 6to4
//! ```
//!
//! Watch it with `tcpdump -v -n -i eth0 icmp or icmp6`. The request is a whole packet of ours, on any socket that takes one (the
//! examples `ipv4` and `ipv6` show the difference). The reply comes on a raw socket, which gets a copy of all packets of one protocol: of
//! ICMP; or where there is a tunnel, of the protocol whose number says that a packet follows (41 for IPv6), and then
//! the inner header is ours to read. Whose reply it is, the identifier says, and which one, the sequence number.
//!
//! # Standards
//!
//! RFC 792 (echo), RFC 4443 §4 (echo of ICMPv6), RFC 1122 §3.2.2.6 and RFC 8504 §5.8 (every host answers), RFC 3056 (6to4), RFC 2473 (tunnels in IPv6).

use std::net::IpAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use socket2::Socket;
use sockeye_examples::packet::{Header, carrying};
use sockeye_examples::payload::{data, echo_request, icmp};
use sockeye_examples::way::{Kind, Way, raw_socket};
use sockeye_examples::{Result, host, receive, start};
use sockeye_wire::{icmpv4, icmpv6, ipv4, ipv6};

/// Sends echo requests and prints the replies
#[derive(Parser)]
struct Cli {
    /// Where to
    #[arg(value_name = "HOST", value_parser = host::any)]
    to: IpAddr,
    /// Where from; the system's choice, where nothing is said
    #[arg(long, value_name = "ADDRESS")]
    from: Option<IpAddr>,
    /// The other end of a tunnel to go through
    #[arg(long, value_name = "HOST", requires = "from", value_parser = host::any)]
    via: Option<IpAddr>,
    /// How many requests
    #[arg(long, default_value_t = 1)]
    count: u16,
    /// How long to wait for each reply, in milliseconds
    #[arg(long, default_value_t = 1000)]
    wait: u64,
    /// Bytes of data, up to 65000
    #[arg(long, default_value_t = 56, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(..=65_000))]
    size: u16,
    /// The identifier that replies come back with
    #[arg(long, default_value_t = 4660, value_name = "NUMBER")]
    id: u16,
    /// The socket to send on
    #[arg(long, value_enum, default_value = "hdrincl")]
    socket: Kind,
    #[command(flatten)]
    way: Way,
}

fn main() -> ExitCode {
    start(run)
}

fn run(cli: &Cli) -> Result<()> {
    let from = cli.from.map_or_else(|| cli.way.source_toward(cli.to), Ok)?;
    let inner = Header::plain(from, cli.to, cli.id)?;
    let hearing = match cli.via {
        None => raw_socket(cli.to, icmp(cli.to))?,
        Some(via) => raw_socket(via, carrying(cli.to))?,
    };
    let mut replies = 0;
    for seq in 1..=cli.count {
        let request = echo_request(from, cli.to, cli.id, seq, &data(cli.size))?;
        let mut packet = inner.packet(icmp(cli.to), &request)?;
        if let Some(via) = cli.via {
            packet = Header::plain(cli.way.source_toward(via)?, via, cli.id)?.packet(carrying(cli.to), &packet)?;
        }
        let began = Instant::now();
        cli.way.send(cli.socket, cli.via.unwrap_or(cli.to), &[packet])?;
        match wait(cli, from, &hearing, seq, began + Duration::from_millis(cli.wait))? {
            None => println!("no reply to {seq}"),
            Some(len) => {
                replies += 1;
                println!("{len} bytes from {}, seq {seq}: {:.3} ms", cli.to, began.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    if replies == 0 { Err(format!("{} keeps silent: is it there, and does it answer?", cli.to)) } else { Ok(()) }
}

/// Waits for the reply to one request, and says how many bytes of data it has.
fn wait(cli: &Cli, from: IpAddr, socket: &Socket, seq: u16, until: Instant) -> Result<Option<usize>> {
    let mut buffer = vec![0; receive::LARGEST];
    let is_ipv6 = cli.via.unwrap_or(cli.to).is_ipv6();
    loop {
        let Some((sender, bytes)) = receive::from_by(socket, is_ipv6, until, &mut buffer)? else { return Ok(None) };
        let reply = match cli.via {
            None => (sender == cli.to).then_some(bytes),
            Some(_) => unwrap(cli.to, from, bytes),
        };
        if let Some(len) = reply.and_then(|bytes| echoed(cli, from, seq, bytes)) {
            return Ok(Some(len));
        }
    }
}

/// What an inner packet from there to here carries.
fn unwrap(there: IpAddr, here: IpAddr, bytes: &[u8]) -> Option<&[u8]> {
    let (src, dst, payload) = if there.is_ipv4() {
        let packet = ipv4::Packet::parse(bytes).ok()?;
        (packet.src().into(), packet.dst().into(), packet.payload())
    } else {
        let packet = ipv6::Packet::parse(bytes).ok()?;
        (packet.src().into(), packet.dst().into(), packet.payload())
    };
    ((there, here) == (src, dst)).then_some(payload)
}

/// The length of the data in the reply to this request, if it is one.
fn echoed(cli: &Cli, from: IpAddr, expected: u16, bytes: &[u8]) -> Option<usize> {
    let (ident, seq, data) = match (cli.to, from) {
        (IpAddr::V6(there), IpAddr::V6(here)) => match icmpv6::Message::parse(bytes, there, here).ok()? {
            icmpv6::Message::EchoReply { ident, seq, data } => (ident, seq, data),
            _ => return None,
        },
        _ => match icmpv4::Message::parse(bytes).ok()? {
            icmpv4::Message::EchoReply { ident, seq, data } => (ident, seq, data),
            _ => return None,
        },
    };
    ((ident, seq) == (cli.id, expected)).then_some(data.len())
}
