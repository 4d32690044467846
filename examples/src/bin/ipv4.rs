//! One packet of IPv4, made by hand: an echo request, a datagram or a segment, on any of four sockets.
//!
//! ```text
//! ipv4 --to 192.0.2.1                                   a ping; the system makes the IP header
//! ipv4 --to 192.0.2.1 --payload tcp --socket hdrincl    a SYN; the IP header is ours
//! ipv4 --to 192.0.2.1 --payload udp --size 3000 --fragment 1500 --socket packet --interface eth0 --mac 02:00:00:00:00:01
//! ```
//!
//! Watch it with `tcpdump -v -n -i eth0 host 192.0.2.1`. What comes back is the system's: an echo reply finds nobody who waits
//! for it, and a SYN-ACK is answered with a reset, since the system knows nothing of our SYN.
//!
//! Who writes which field:
//!
//! | | `raw` | `hdrincl` | `cooked`, `packet` |
//! |---|---|---|---|
//! | version, header length, addresses, protocol | system | we | we |
//! | TTL, type of service, options | system, as socket options say | we | we |
//! | source | system, or as the socket is bound | we; system where it is 0 | we |
//! | identification | system | we; system where it is 0 | we |
//! | total length, header checksum | system | system | we |
//! | checksum of ICMP, UDP, TCP | we | we | we |
//!
//! # Standards
//!
//! RFC 791 (header, options, fragments), RFC 792 (ICMP), RFC 768 (UDP), RFC 9293 and RFC 7323 (TCP and its options), RFC 2113 (router alert),
//! RFC 1108 (security); raw(7), packet(7).

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use sockeye_examples::packet::Header;
use sockeye_examples::payload::Payload;
use sockeye_examples::way::{Kind, Way};
use sockeye_examples::{Explain, Result, host, start, sticky, unsent};
use sockeye_wire::ipv4;
use sockeye_wire::ipv4::options::{IpOption, NoRoom, OptionBuffer};

/// Sends a packet of IPv4
#[derive(Parser)]
struct Cli {
    /// Where to
    #[arg(long, value_name = "HOST", value_parser = host::ipv4)]
    to: Ipv4Addr,
    /// Where from; the system's choice, where nothing is said
    #[arg(long, value_name = "ADDRESS")]
    from: Option<Ipv4Addr>,
    /// The socket to send on
    #[arg(long, value_enum, default_value = "raw")]
    socket: Kind,
    #[command(flatten)]
    way: Way,
    #[command(flatten)]
    payload: Payload,
    /// How many routers it may pass
    #[arg(long, default_value_t = 64)]
    ttl: u8,
    /// Six bits of differentiated services, two of congestion notification
    #[arg(long, default_value_t = 0)]
    tos: u8,
    /// An option in the header; may be said several times
    #[arg(long = "option", value_enum)]
    options: Vec<Choice>,
    /// Cut it into packets of at most this many bytes
    #[arg(long, value_name = "MTU")]
    fragment: Option<u16>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Choice {
    /// Three hops write their addresses
    RecordRoute,
    /// Two hops write their addresses and the time
    Timestamp,
    /// Every router looks inside
    RouterAlert,
    /// How secret it is (RFC 1108): a label that most routers drop packets for
    Security,
}

fn main() -> ExitCode {
    start(run)
}

fn run(cli: &Cli) -> Result<()> {
    let options = options(&cli.options).map_err(|NoRoom| "a header has 40 bytes for options, and no more")?;
    let from = match cli.from {
        Some(from) => IpAddr::V4(from),
        None => cli.way.source_toward(cli.to.into())?,
    };
    let IpAddr::V4(src) = from else { return Err(format!("{from} is no address of IPv4")) };
    let payload = cli.payload.bytes(from, cli.to.into())?;
    let protocol = cli.payload.protocol(cli.to.into());
    if cli.socket == Kind::Raw {
        return raw(cli, options.as_bytes(), &payload);
    }
    let header = Header::V4(ipv4::Repr {
        src,
        dst: cli.to,
        protocol,
        ttl: cli.ttl,
        tos: cli.tos,
        id: cli.payload.id,
        dont_fragment: cli.fragment.is_none(),
        more_fragments: false,
        fragment_offset: 0,
        options: options.as_bytes(),
    });
    cli.way.send(cli.socket, cli.to.into(), &header.packets(protocol, &payload, cli.fragment)?)
}

/// The protocol is the socket's; the header is told by its options. It also receives, but only ICMP is answered so.
fn raw(cli: &Cli, options: &[u8], payload: &[u8]) -> Result<()> {
    if cli.fragment.is_some() {
        return Err("with --socket raw the system cuts what is too large: --fragment takes --socket hdrincl".into());
    }
    let socket = cli.way.open(cli.to.into(), cli.payload.protocol(cli.to.into()))?;
    if let Some(from) = cli.from {
        socket.bind(&SocketAddrV4::new(from, 0).into()).map_err(unsent(format_args!("{} from {from}", cli.to)))?;
    }
    socket.set_ttl_v4(cli.ttl.into()).explain("set IP_TTL")?;
    socket.set_tos_v4(cli.tos.into()).explain("set IP_TOS")?;
    if !options.is_empty() {
        sticky::ip_options(&socket, options)?;
    }
    // The port says nothing here.
    let to = SocketAddrV4::new(cli.to, 0);
    socket.send_to(payload, &to.into()).map(drop).map_err(unsent(cli.to))
}

fn options(choices: &[Choice]) -> std::result::Result<OptionBuffer, NoRoom> {
    let mut options = OptionBuffer::new();
    for choice in choices {
        match choice {
            Choice::RecordRoute => options.push_record_route(3)?,
            Choice::Timestamp => options.push_timestamp(2, true)?,
            Choice::RouterAlert => options.push(&IpOption::RouterAlert(0))?,
            // Unclassified, by nobody's authority.
            Choice::Security => options.push(&IpOption::Unknown { kind: 130, data: &[0xab] })?,
        }
    }
    Ok(options)
}
