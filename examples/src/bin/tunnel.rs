//! A packet inside a packet: IPv6 over a network that only knows IPv4, and every other pair of the two.
//!
//! ```text
//! tunnel --to 2001:db8::1 --via 192.0.2.1            6in4: what a tunnel broker takes (RFC 4213)
//! tunnel --to 2002:c000:201::1 --via 192.0.2.1       6to4: the IPv4 address stands in the IPv6 one (RFC 3056)
//! tunnel --to 198.51.100.1 --via 2001:db8::1         4in6: what DS-Lite takes (RFC 2473)
//! ```
//!
//! Watch it with `tcpdump -v -n -i eth0 'proto 41 or proto 4'`. There is no tunnel header: the outer header's protocol number says that
//! the inner one follows. So the raw socket's `hdrincl` may write both headers, and the system routes by the outer one. Whoever takes
//! it out of the tunnel looks at both: an inner 6to4 address that does not agree with the outer source is dropped.

use std::net::IpAddr;
use std::process::ExitCode;

use clap::Parser;
use sockeye_examples::interface::source_toward;
use sockeye_examples::payload::Payload;
use sockeye_examples::way::{Kind, Way};
use sockeye_examples::{Result, end, packet};
use sockeye_wire::Protocol;

/// Sends a packet inside a packet
#[derive(Parser)]
struct Cli {
    /// Where the inner packet goes to
    #[arg(long, value_name = "ADDRESS")]
    to: IpAddr,
    /// Where the inner packet comes from
    #[arg(long, value_name = "ADDRESS")]
    from: IpAddr,
    /// The other end of the tunnel
    #[arg(long, value_name = "ADDRESS")]
    via: IpAddr,
    /// The socket to send on
    #[arg(long, value_enum, default_value = "hdrincl")]
    socket: Kind,
    #[command(flatten)]
    way: Way,
    #[command(flatten)]
    payload: Payload,
}

fn main() -> ExitCode {
    end(run(&Cli::parse()))
}

fn run(cli: &Cli) -> Result<()> {
    let payload = cli.payload.bytes(cli.from, cli.to);
    let inner = packet::ip(cli.from, cli.to, cli.payload.id, cli.payload.protocol(cli.to), &payload)?;
    let carried = if cli.to.is_ipv4() { Protocol::IPV4 } else { Protocol::IPV6 };
    let outer = packet::ip(source_toward(cli.via)?, cli.via, cli.payload.id, carried, &inner)?;
    cli.way.send(cli.socket, cli.via, &[outer])
}
