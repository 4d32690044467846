//! The way to a host: packets that die one hop further each time, and the routers that say so.
//!
//! ```text
//! traceroute 192.0.2.1                       echo requests
//! traceroute 192.0.2.1 --payload udp         datagrams to ports where nobody listens
//! traceroute 2001:db8::1 --payload tcp --port 80      SYNs: what a firewall lets through
//! ```
//!
//! Watch it with `tcpdump -v -n -i eth0 icmp or icmp6`. A router that would have to forward a packet with a time to live of 1 drops it and sends
//! "time exceeded", which quotes the packet: by the quote we know which of ours it was. The destination ends it, each payload its
//! own way: an echo reply, "port unreachable", a SYN-ACK or a reset.
//!
//! One raw socket sends (the system makes the IP header, with the TTL that it was told), another hears ICMP. For TCP the sending
//! socket hears, too: a raw socket gets a copy of every segment.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Socket, Type};
use sockeye_examples::interface::source_toward;
use sockeye_examples::payload::{Kind, Payload};
use sockeye_examples::way::open;
use sockeye_examples::{Explain, Result, end, receive};
use sockeye_wire::icmpv4::{self, Message as Icmp};
use sockeye_wire::icmpv6::{self, Message as Icmp6};
use sockeye_wire::ipv6::extension::{Extensions, Limits};
use sockeye_wire::{Protocol, ipv4, ipv6, tcp, udp};

/// Prints the way to a host
#[derive(Parser)]
struct Cli {
    /// Where to
    to: IpAddr,
    /// How far at most
    #[arg(long, default_value_t = 30)]
    hops: u8,
    /// How long to wait for an answer, in milliseconds
    #[arg(long, default_value_t = 1000)]
    wait: u64,
    /// How often to ask a hop that keeps silent
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    tries: u16,
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
    end(run(&Cli::parse()))
}

fn run(cli: &Cli) -> Result<()> {
    let domain = Domain::for_address(SocketAddr::new(cli.to, 0));
    let protocol = cli.payload.protocol(cli.to);
    let icmp = if cli.to.is_ipv4() { Protocol::ICMP } else { Protocol::ICMPV6 };
    let sending = open(domain, Type::RAW, protocol.0.into())?;
    let hearing = open(domain, Type::RAW, icmp.0.into())?;
    let src = source_toward(cli.to)?;
    for hop in 1..=cli.hops {
        if cli.to.is_ipv4() {
            sending.set_ttl_v4(hop.into()).explain("set IP_TTL")?;
        } else {
            sending.set_unicast_hops_v6(hop.into()).explain("set IPV6_UNICAST_HOPS")?;
        }
        let mut found = None;
        for attempt in 0..cli.tries {
            // Each packet differs from the others in what routers quote of it.
            let id = cli.payload.id.wrapping_add(u16::from(hop) * cli.tries + attempt);
            let payload = Payload { id, ..cli.payload.clone() };
            let began = Instant::now();
            let to = SocketAddr::new(cli.to, 0);
            sending.send_to(&payload.bytes(src, cli.to), &to.into()).explain(format_args!("send to {}", cli.to))?;
            let until = began + Duration::from_millis(cli.wait);
            if let Some(answer) = wait(cli, &payload, src, [&hearing, &sending], until)? {
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
    Err(format!("{} is further than {} hops, or keeps silent", cli.to, cli.hops))
}

/// The first answer to this payload, from ICMP or, for a segment, from TCP.
fn wait(
    cli: &Cli,
    payload: &Payload,
    src: IpAddr,
    [icmp, tcp]: [&Socket; 2],
    until: Instant,
) -> Result<Option<Answer>> {
    let mut buffer = vec![0; receive::LARGEST];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        let mut polled = [PollFd::new(icmp.as_fd(), PollFlags::POLLIN), PollFd::new(tcp.as_fd(), PollFlags::POLLIN)];
        // Whoever sends ICMP hears it on the other socket as well, where nobody looks.
        let watched = if cli.payload.kind == Kind::Tcp { 2 } else { 1 };
        poll(&mut polled[..watched], timeout).explain("poll")?;
        let ready: Vec<bool> = polled.iter().map(|socket| socket.any().unwrap_or(false)).collect();
        let answer = if ready[0] {
            let Some((from, bytes)) = hear(cli, icmp, until, &mut buffer)? else { return Ok(None) };
            by_icmp(payload, (src, cli.to), from, bytes)
        } else if watched == 2 && ready[1] {
            let Some((from, bytes)) = hear(cli, tcp, until, &mut buffer)? else { return Ok(None) };
            by_tcp(payload, cli.to, from, bytes)
        } else {
            return Ok(None);
        };
        if answer.is_some() {
            return Ok(answer);
        }
    }
}

/// What a raw socket has: in IPv4 with the IP header before it, in IPv6 without.
fn hear<'a>(cli: &Cli, socket: &Socket, until: Instant, buffer: &'a mut [u8]) -> Result<Option<(IpAddr, &'a [u8])>> {
    if cli.to.is_ipv6() {
        return Ok(receive::from_by(socket, until, buffer)?.map(|(from, bytes)| (from.into(), bytes)));
    }
    let Some(bytes) = receive::by(socket, until, buffer)? else { return Ok(None) };
    let packet = ipv4::Packet::parse(bytes).explain("read the IP header that the system gave")?;
    Ok(Some((packet.src().into(), packet.payload())))
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
        Kind::Tcp => tcp::Quoted::parse(bytes).is_ok_and(|quoted| quoted.src_port == payload.id),
    }
}

fn by_tcp(payload: &Payload, to: IpAddr, from: IpAddr, bytes: &[u8]) -> Option<Answer> {
    let segment = tcp::Segment::parse(bytes).ok()?;
    let ours = from == to && segment.dst_port() == payload.id && segment.src_port() == payload.port;
    ours.then(|| Answer { from, what: segment.flags().to_string(), last: true })
}
