//! Router discovery of IPv4 by hand: which routers are there? DHCP tells it today; this is how it was told before.
//!
//! ```text
//! irdp --interface eth0 solicit                                   which routers are there? (to all routers)
//! irdp --interface eth0 advertise --router 192.0.2.1:10           I am one, and how I compare with others (to all systems)
//! irdp --interface eth0 listen --count 10                         prints what others say
//! ```
//!
//! Watch it with `tcpdump -v -n -i eth0 'icmp[0] == 9 or icmp[0] == 10'`. These are messages of ICMP with a time to live of 1: they stay on this link. They
//! go to groups, for which no route is needed, only an interface. A receiver joins these groups, or else its system does not let them in.
//! Linux heeds none of them by itself.
//!
//! # Standards
//!
//! RFC 1256 (router discovery), RFC 1112 (groups, and their hardware addresses).

use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use socket2::InterfaceIndexOrAddress;
use sockeye_examples::interface::Interface;
use sockeye_examples::packet::Header;
use sockeye_examples::way::{Kind, Way};
use sockeye_examples::{Explain, Result, receive, start};
use sockeye_wire::icmpv4::Message;
use sockeye_wire::igmp::{ALL_ROUTERS, ALL_SYSTEMS};
use sockeye_wire::irdp::{self, Routers};
use sockeye_wire::{MacAddr, Protocol};

/// Asks, tells and hears which routers of IPv4 a link has
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// The interface
    #[arg(long, value_name = "NAME", global = true, default_value = "eth0")]
    interface: String,
    /// The address to say it from, where it is not the interface's
    #[arg(long, value_name = "ADDRESS", global = true)]
    from: Option<Ipv4Addr>,
    /// The socket to say it on
    #[arg(long, value_enum, global = true, default_value = "hdrincl")]
    socket: Kind,
    /// How long to listen, in seconds
    #[arg(long, value_name = "SECONDS", global = true, default_value_t = 10)]
    wait: u64,
}

#[derive(Subcommand)]
enum Verb {
    /// Asks for routers
    Solicit,
    /// Tells everybody which routers are here
    Advertise {
        /// A router, and its preference; may be said several times
        #[arg(long = "router", value_name = "ADDRESS[:PREFERENCE]", required = true)]
        routers: Vec<Router>,
        /// For how many seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
        lifetime: u16,
    },
    /// Prints what comes
    Listen {
        /// Ends after so many
        #[arg(long, default_value_t = 1)]
        count: usize,
    },
}

/// A router on a command line: `192.0.2.1`, or `192.0.2.1:10`.
#[derive(Clone, Copy)]
struct Router((Ipv4Addr, i32));

impl FromStr for Router {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Router, String> {
        let (address, preference) = text.split_once(':').unwrap_or((text, "0"));
        let address = address.parse().map_err(|_| format!("{address} is no address of IPv4"))?;
        let preference =
            preference.parse().map_err(|_| format!("{preference} is no preference: say a whole number"))?;
        Ok(Router((address, preference)))
    }
}

const SILENCE: &str = "nothing came in time: say a longer --wait";

fn main() -> ExitCode {
    start(run)
}

fn run(cli: &Cli) -> Result<()> {
    let interface = Interface::named(&cli.interface)?;
    match &cli.verb {
        Verb::Solicit => send(cli, &interface, ALL_ROUTERS, irdp::Message::Solicitation),
        Verb::Advertise { routers, lifetime } => {
            let routers: Vec<_> = routers.iter().map(|Router(router)| *router).collect();
            let mut buffer = [0; 255 * 8];
            let routers = Routers::write(&routers, &mut buffer).ok_or("one message has room for 255 routers")?;
            send(cli, &interface, ALL_SYSTEMS, irdp::Message::Advertisement { lifetime: *lifetime, routers })
        }
        Verb::Listen { count } => listen(cli, &interface, *count),
    }
}

/// Says something to a group of this link.
fn send(cli: &Cli, interface: &Interface, group: Ipv4Addr, message: irdp::Message<'_>) -> Result<()> {
    let src = cli.from.map_or_else(|| interface.ipv4(), Ok)?;
    let message = Message::Discovery(message);
    let mut bytes = vec![0; message.total_len()];
    message.emit(&mut bytes);
    let packet = Header::plain(src.into(), group.into(), 0)?.with_hops(1).packet(Protocol::ICMP, &bytes)?;
    let way = Way { interface: Some(interface.name.clone()), mac: group_mac(cli.socket, group.into()) };
    way.send(cli.socket, group.into(), &[packet])
}

/// The group's own hardware address, for a socket that wants one.
fn group_mac(socket: Kind, group: IpAddr) -> Option<MacAddr> {
    matches!(socket, Kind::Cooked | Kind::Packet).then(|| MacAddr::for_group(group))
}

/// Prints so many messages of router discovery.
fn listen(cli: &Cli, interface: &Interface, count: usize) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(cli.wait);
    let way = Way { interface: Some(interface.name.clone()), mac: None };
    let socket = way.open(ALL_SYSTEMS.into(), Protocol::ICMP)?;
    // All systems are everybody's group already.
    socket
        .join_multicast_v4_n(&ALL_ROUTERS, &InterfaceIndexOrAddress::Index(interface.index))
        .explain("join the group of all routers")?;
    eprintln!("listening on {}", interface.name);
    let mut buffer = vec![0; receive::LARGEST];
    let mut heard = 0;
    while heard < count {
        let (from, bytes) = receive::from_by(&socket, false, until, &mut buffer)?.ok_or(SILENCE)?;
        if let Ok(Message::Discovery(message)) = Message::parse(bytes) {
            println!("{from}: {message}");
            heard += 1;
        }
    }
    Ok(())
}
