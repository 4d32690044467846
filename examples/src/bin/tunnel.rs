//! A packet inside a packet: IPv6 over a network that only knows IPv4, and every other pair of the two.
//!
//! ```text
//! tunnel --from 2001:db8::2 --to 2001:db8::1 --via 192.0.2.1              6in4: what a tunnel broker takes
//! tunnel --from 2002:c000:202::1 --to 2002:c000:201::1 --via 192.0.2.1    6to4: the IPv4 address stands in the IPv6 one
//! tunnel --from 198.51.100.2 --to 198.51.100.1 --via 2001:db8::1          4in6: what DS-Lite takes
//! ```
//!
//! Watch it with `tcpdump -v -n -i eth0 'proto 41 or proto 4'`. There is no tunnel header: the outer header's protocol number says that
//! the inner one follows. So the raw socket's `hdrincl` may write both headers, and the system routes by the outer one. Whoever takes
//! it out of the tunnel looks at both: an inner 6to4 address that does not agree with the outer source is dropped.
//!
//! What is too large is cut inside: a tunnel of IPv6 is a link with an MTU, and only the packet's own sender may make fragments.
//!
//! # Standards
//!
//! RFC 4213 (6in4), RFC 3056 (6to4), RFC 2473 (in IPv6), RFC 2003 (4in4).

use std::net::IpAddr;
use std::process::ExitCode;

use clap::Parser;
use sockeye_examples::packet::{Header, carrying};
use sockeye_examples::payload::Payload;
use sockeye_examples::way::{Kind, Way};
use sockeye_examples::{Result, host, start};

/// Sends a packet inside a packet
#[derive(Parser)]
struct Cli {
    /// Where the inner packet goes to
    #[arg(long, value_name = "HOST", value_parser = host::any)]
    to: IpAddr,
    /// Where the inner packet comes from
    #[arg(long, value_name = "ADDRESS")]
    from: IpAddr,
    /// The other end of the tunnel
    #[arg(long, value_name = "HOST", value_parser = host::any)]
    via: IpAddr,
    /// Cut the inner packet into packets of at most this many bytes
    #[arg(long, value_name = "MTU")]
    fragment: Option<u16>,
    /// The socket to send on
    #[arg(long, value_enum, default_value = "hdrincl")]
    socket: Kind,
    #[command(flatten)]
    way: Way,
    #[command(flatten)]
    payload: Payload,
}

fn main() -> ExitCode {
    start(run)
}

fn run(cli: &Cli) -> Result<()> {
    let payload = cli.payload.bytes(cli.from, cli.to)?;
    let inner = Header::plain(cli.from, cli.to, cli.payload.id)?;
    let outer = Header::plain(cli.way.source_toward(cli.via)?, cli.via, cli.payload.id)?;
    let inner = inner.packets(cli.payload.protocol(cli.to), &payload, cli.fragment)?;
    let around = inner.iter().map(|packet| outer.packet(carrying(cli.to), packet));
    cli.way.send(cli.socket, cli.via, &around.collect::<Result<Vec<_>>>()?)
}
