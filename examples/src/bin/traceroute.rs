//! The way to a host: packets that die one hop further each time, and the routers that say so.
//!
//! ```text
//! traceroute 192.0.2.1                       echo requests
//! traceroute 192.0.2.1 --payload udp         datagrams to ports where nobody listens
//! traceroute 2001:db8::1 --payload tcp --port 80      SYNs: what a firewall lets through
//! traceroute 192.0.2.1 --socket packet --interface eth0 --mac 02:00:00:00:00:01      frames of our own
//! ```
//!
//! Watch it with `tcpdump -v -n -i eth0 icmp or icmp6`. A router that would have to forward a packet with a time to live of 1 drops it and sends
//! "time exceeded", which quotes the packet: by the quote we know which of ours it was. The destination ends it, each payload its
//! own way: an echo reply, "port unreachable", a SYN-ACK or a reset.
//!
//! The packet is sent as the example `ipv4` sends it: on a raw socket the system makes the IP header, with the TTL that it was told; on the others
//! the header is ours. A raw socket hears ICMP, whichever of them has sent; for TCP another one hears segments, too: each gets a copy.
//!
//! # Standards
//!
//! RFC 792 and RFC 4443 (time exceeded, port unreachable), RFC 1812 §5.3.1 and RFC 8200 §3 (where packets die).

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::Socket;
use sockeye_examples::packet::Header;
use sockeye_examples::payload::{Kind, Payload, icmp};
use sockeye_examples::way::{self, Way, raw_socket};
use sockeye_examples::{Explain, Result, host, receive, start, unsent};
use sockeye_wire::icmpv4::{self, Message as Icmp};
use sockeye_wire::icmpv6::{self, Message as Icmp6};
use sockeye_wire::ipv6::extension::{Extensions, Limits};
use sockeye_wire::{Protocol, ipv4, ipv6, tcp, udp};

/// Prints the way to a host
#[derive(Parser)]
struct Cli {
    /// Where to
    #[arg(value_name = "HOST", value_parser = host::any)]
    to: IpAddr,
    /// How far at most
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u8).range(1..))]
    hops: u8,
    /// How long to wait for an answer, in milliseconds
    #[arg(long, default_value_t = 1000)]
    wait: u64,
    /// How often to ask a hop that keeps silent
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    tries: u16,
    /// The socket to send on
    #[arg(long, value_enum, default_value = "raw")]
    socket: way::Kind,
    #[command(flatten)]
    way: Way,
    #[command(flatten)]
    payload: Payload,
}

/// What came back for a packet of ours.
struct Answer {
    from: IpAddr,
    what: String,
    /// From the destination itself, or one who knows that it cannot be reached.
    last: bool,
}

fn main() -> ExitCode {
    start(run)
}

fn run(cli: &Cli) -> Result<()> {
    let raw = match cli.socket {
        way::Kind::Raw => Some(cli.way.open(cli.to, cli.payload.protocol(cli.to))?),
        _ => None,
    };
    let icmp = raw_socket(cli.to, icmp(cli.to))?;
    let tcp = match cli.payload.protocol(cli.to) {
        Protocol::TCP => Some(raw_socket(cli.to, Protocol::TCP)?),
        _ => None,
    };
    let src = cli.way.source_toward(cli.to)?;
    for hop in 1..=cli.hops {
        let mut found = None;
        for attempt in 0..cli.tries {
            // Each packet differs from the others in what routers quote of it.
            let id = cli.payload.id.wrapping_add(u16::from(hop - 1) * cli.tries + attempt);
            let payload = Payload { id, ..cli.payload.clone() };
            let began = Instant::now();
            send(cli, raw.as_ref(), &payload, src, hop)?;
            let until = began + Duration::from_millis(cli.wait);
            if let Some(answer) = wait(cli, &payload, src, &icmp, tcp.as_ref(), until)? {
                found = Some((answer, began.elapsed()));
                break;
            }
        }
        let Some((answer, elapsed)) = found else {
            println!("{hop:2}  *");
            continue;
        };
        println!("{hop:2}  {}  {:.3} ms  {}", answer.from, elapsed.as_secs_f64() * 1e3, answer.what);
        if answer.last {
            return Ok(());
        }
    }
    Err(format!("{} is further than {} hops, or keeps silent: say more --hops, or another --payload", cli.to, cli.hops))
}

/// Sends a packet that so many routers see, the last of which drops it.
fn send(cli: &Cli, raw: Option<&Socket>, payload: &Payload, src: IpAddr, hop: u8) -> Result<()> {
    let bytes = payload.bytes(src, cli.to)?;
    let Some(raw) = raw else {
        let header = Header::plain(src, cli.to, payload.id)?.with_hops(hop);
        return cli.way.send(cli.socket, cli.to, &[header.packet(payload.protocol(cli.to), &bytes)?]);
    };
    if cli.to.is_ipv4() {
        raw.set_ttl_v4(hop.into()).explain("set IP_TTL")?;
    } else {
        raw.set_unicast_hops_v6(hop.into()).explain("set IPV6_UNICAST_HOPS")?;
    }
    raw.send_to(&bytes, &SocketAddr::new(cli.to, 0).into()).map(drop).map_err(unsent(cli.to))
}

/// The first answer to this payload, from ICMP or, for a segment, from TCP.
fn wait(
    cli: &Cli,
    payload: &Payload,
    src: IpAddr,
    icmp: &Socket,
    tcp: Option<&Socket>,
    until: Instant,
) -> Result<Option<Answer>> {
    let mut buffer = vec![0; receive::LARGEST];
    let sockets: Vec<&Socket> = [icmp].into_iter().chain(tcp).collect();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        let mut polled: Vec<_> = sockets.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
        poll(&mut polled, timeout).explain("poll")?;
        let Some(ready) = polled.iter().position(|socket| socket.any().unwrap_or(false)) else { return Ok(None) };
        let got = receive::from_by(sockets[ready], cli.to.is_ipv6(), until, &mut buffer)?;
        let Some((from, bytes)) = got else { return Ok(None) };
        let answer = match ready {
            0 => by_icmp(payload, (src, cli.to), from, bytes),
            _ => by_tcp(payload, cli.to, from, bytes),
        };
        if answer.is_some() {
            return Ok(answer);
        }
    }
}

fn by_icmp(payload: &Payload, (src, to): (IpAddr, IpAddr), from: IpAddr, bytes: &[u8]) -> Option<Answer> {
    let answer = |what: String, last| Some(Answer { from, what, last });
    if let (IpAddr::V6(source), IpAddr::V6(sender)) = (src, from) {
        let message = icmpv6::Message::parse(bytes, sender, source).ok()?;
        match message {
            Icmp6::EchoReply { ident, .. } if payload.kind == Kind::Icmp && ident == payload.id => {
                return answer("echo reply".into(), true);
            }
            Icmp6::TimeExceeded { .. } | Icmp6::DestinationUnreachable { .. } => {}
            _ => return None,
        }
        let quoted = ipv6::Packet::parse_quoted(message.original()?).ok()?;
        let upper = Extensions::new(&quoted, Limits::DEFAULT).upper().ok()?;
        let ours = IpAddr::V6(quoted.dst()) == to && quotes(payload, upper.payload);
        let last = !matches!(message, Icmp6::TimeExceeded { .. });
        return if ours { answer(message.to_string(), last) } else { None };
    }
    let message = icmpv4::Message::parse(bytes).ok()?;
    match message {
        Icmp::EchoReply { ident, .. } if payload.kind == Kind::Icmp && ident == payload.id => {
            return answer("echo reply".into(), true);
        }
        Icmp::TimeExceeded { .. } | Icmp::DestinationUnreachable { .. } => {}
        _ => return None,
    }
    let quoted = ipv4::Packet::parse_quoted(message.original()?).ok()?;
    let ours = IpAddr::V4(quoted.dst()) == to && quotes(payload, quoted.payload());
    let last = !matches!(message, Icmp::TimeExceeded { .. });
    if ours { answer(message.to_string(), last) } else { None }
}

/// Whether the first eight bytes of a quoted payload are those of ours.
fn quotes(payload: &Payload, bytes: &[u8]) -> bool {
    match payload.kind {
        Kind::Icmp => bytes.get(4..6) == Some(&payload.id.to_be_bytes()[..]),
        Kind::Udp => udp::Quoted::parse(bytes).is_ok_and(|quoted| quoted.src_port == payload.id),
        Kind::Tcp | Kind::Http => tcp::Quoted::parse(bytes).is_ok_and(|quoted| quoted.src_port == payload.id),
    }
}

fn by_tcp(payload: &Payload, to: IpAddr, from: IpAddr, bytes: &[u8]) -> Option<Answer> {
    let segment = tcp::Segment::parse(bytes).ok()?;
    let ours = from == to && segment.dst_port() == payload.id && segment.src_port() == payload.port;
    ours.then(|| Answer { from, what: segment.flags().to_string(), last: true })
}
