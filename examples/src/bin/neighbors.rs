//! Neighbour and router discovery by hand: what ARP and much of DHCP is to IPv4.
//!
//! ```text
//! neighbors --interface eth0 solicit fe80::1        who has this address? (to its solicited-node group)
//! neighbors --interface eth0 ask fe80::1            the same, and prints who answers
//! neighbors --interface eth0 advertise fe80::1      I have it (to all nodes)
//! neighbors --interface eth0 routers                which routers are there? (to all routers)
//! neighbors --interface eth0 router                 I am one (to all nodes; others will believe it!)
//! neighbors --interface eth0 listen --count 10      prints what others say
//! ```
//!
//! Watch it with `tcpdump -v -n -i eth0 'icmp6 and ip6[40] >= 133'`. These are messages of ICMPv6 that are believed only with a hop limit of 255:
//! so they have come from this link. On a raw socket (`--socket raw`) the system writes the IP header, and the hop limit goes along as
//! ancillary data; on a packet socket the frame is ours, and its destination is the group's own MAC address.
//! A receiver on a raw socket gets the message without a header; what it must know of that comes as ancillary data, too.
//!
//! # Standards
//!
//! RFC 4861 (neighbour and router discovery), RFC 4862 (what hosts make of a prefix), RFC 3542 §6 (ancillary data), RFC 2464 §7 (a group's MAC address).

use std::io::IoSlice;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn6, sendmsg};
use socket2::Socket;
use sockeye_examples::interface::Interface;
use sockeye_examples::packet::Header;
use sockeye_examples::receive::Beside;
use sockeye_examples::way::{Kind, Way, packet_socket, raw_socket};
use sockeye_examples::{Explain, Result, receive, start, unsent};
use sockeye_wire::icmpv6::{self, Arrival};
use sockeye_wire::ndisc::{
    HOP_LIMIT, Message, NdOption, NeighborAdvertisement, Options, Preference, PrefixInformation, RouterAdvertisement,
};
use sockeye_wire::{EtherType, MacAddr, Protocol, ethernet, ipv6};

/// Asks, tells and hears who is on a link
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// The interface
    #[arg(long, value_name = "NAME", global = true, default_value = "eth0")]
    interface: String,
    /// The address to say it from, where it is not the interface's link-local one
    #[arg(long, value_name = "ADDRESS", global = true)]
    from: Option<Ipv6Addr>,
    /// The socket
    #[arg(long, value_enum, global = true, default_value = "raw")]
    socket: Kind,
    /// How long to listen, in seconds
    #[arg(long, value_name = "SECONDS", global = true, default_value_t = 10)]
    wait: u64,
}

#[derive(Subcommand)]
enum Verb {
    /// Asks who has an address
    Solicit {
        /// The address
        address: Ipv6Addr,
    },
    /// Asks who has an address, and prints the answer
    Ask {
        /// The address
        address: Ipv6Addr,
    },
    /// Tells everybody that an address is here
    Advertise {
        /// The address
        address: Ipv6Addr,
    },
    /// Asks for routers
    Routers,
    /// Tells everybody that a router is here, and which prefix the link has
    Router {
        /// The upper half of the addresses on this link
        #[arg(long, default_value = "2001:db8:1::")]
        prefix: Ipv6Addr,
    },
    /// Prints what comes
    Listen {
        /// Ends after so many
        #[arg(long, default_value_t = 1)]
        count: usize,
    },
}

const SILENCE: &str = "nothing came in time: say a longer --wait";

fn main() -> ExitCode {
    start(run)
}

fn run(cli: &Cli) -> Result<()> {
    let interface = Interface::named(&cli.interface)?;
    let (own, target) = (NdOption::SourceLinkLayer(interface.mac), NdOption::TargetLinkLayer(interface.mac));
    // Room for all options that are said here.
    let mut buffer = [0; 64];
    match cli.verb {
        Verb::Solicit { address } => solicit(cli, &interface, address),
        Verb::Ask { address } => {
            // Whoever asks first and listens then may miss the answer.
            let ears = ears(cli, &interface)?;
            solicit(cli, &interface, address)?;
            let answers = |message: &Message<'_>| matches!(message, Message::NeighborAdvertisement(answer) if answer.target == address);
            hear(cli, &ears, 1, answers).map_err(|error| format!("nobody on {} has {address}: {error}", interface.name))
        }
        Verb::Advertise { address } => {
            let message = Message::NeighborAdvertisement(NeighborAdvertisement {
                router: false,
                // Nobody has asked; but whoever knows another MAC address for it shall forget that one.
                solicited: false,
                overrides: true,
                target: address,
                options: Options::write(&[target], &mut buffer),
            });
            send(cli, &interface, ipv6::ALL_NODES, message)
        }
        Verb::Routers => {
            let options = Options::write(&[own], &mut buffer);
            send(cli, &interface, ipv6::ALL_ROUTERS, Message::RouterSolicitation { options })
        }
        Verb::Router { prefix } => {
            let prefix = PrefixInformation {
                prefix,
                prefix_len: 64,
                on_link: true,
                autonomous: true,
                router_address: false,
                valid_lifetime: 7200,
                preferred_lifetime: 1800,
            };
            let message = Message::RouterAdvertisement(RouterAdvertisement {
                hop_limit: 64,
                managed: false,
                other: false,
                preference: Preference::Medium,
                lifetime: 1800,
                reachable_time: 0,
                retransmit_time: 0,
                options: Options::write(&[own, NdOption::Mtu(1500), NdOption::Prefix(prefix)], &mut buffer),
            });
            send(cli, &interface, ipv6::ALL_NODES, message)
        }
        Verb::Listen { count } => {
            let ears = ears(cli, &interface)?;
            eprintln!("listening on {}", interface.name);
            hear(cli, &ears, count, |_| true)
        }
    }
}

/// Asks the group that whoever has this address is in.
fn solicit(cli: &Cli, interface: &Interface, address: Ipv6Addr) -> Result<()> {
    let mut buffer = [0; 8];
    let options = Options::write(&[NdOption::SourceLinkLayer(interface.mac)], &mut buffer);
    send(cli, interface, ipv6::solicited_node(address), Message::NeighborSolicitation { target: address, options })
}

/// Says something to a group of this link.
fn send(cli: &Cli, interface: &Interface, group: Ipv6Addr, message: Message<'_>) -> Result<()> {
    let src = cli.from.map_or_else(|| interface.link_local(), Ok)?;
    let message = icmpv6::Message::Discovery(message);
    let mut bytes = vec![0; message.total_len()];
    message.emit(src, group, &mut bytes);

    if cli.socket != Kind::Raw {
        let packet =
            Header::plain(src.into(), group.into(), 0)?.with_hops(HOP_LIMIT).packet(Protocol::ICMPV6, &bytes)?;
        let way = Way {
            interface: Some(interface.name.clone()),
            mac: (cli.socket != Kind::Hdrincl).then(|| MacAddr::for_group(group.into())),
        };
        return way.send(cli.socket, group.into(), &[packet]);
    }
    let socket = raw_socket(group.into(), Protocol::ICMPV6)?;
    let source =
        libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: src.octets() }, ipi6_ifindex: interface.index as _ };
    let hop_limit = HOP_LIMIT.into();
    let beside = [ControlMessage::Ipv6HopLimit(&hop_limit), ControlMessage::Ipv6PacketInfo(&source)];
    // Every link has this group: the interface must be said.
    let to = SockaddrIn6::from(SocketAddrV6::new(group, 0, 0, interface.index));
    let flags = MsgFlags::empty();
    let sent = sendmsg(socket.as_raw_fd(), &[IoSlice::new(&bytes)], &beside, flags, Some(&to));
    sent.map(drop).map_err(|error| unsent(group)(error.into()))
}

/// A socket that hears discovery: raw, with what it gives, or a packet socket, with all there is.
fn ears(cli: &Cli, interface: &Interface) -> Result<Socket> {
    match cli.socket {
        Kind::Packet => packet_socket(interface, EtherType::IPV6),
        Kind::Raw => {
            let socket = raw_socket(ipv6::ALL_NODES.into(), Protocol::ICMPV6)?;
            receive::ask_beside(&socket)?;
            // Routers are told by a group that a host does not otherwise hear.
            socket.join_multicast_v6(&ipv6::ALL_ROUTERS, interface.index).explain("join the group of all routers")?;
            Ok(socket)
        }
        Kind::Hdrincl | Kind::Cooked => Err("listen with --socket raw or packet".into()),
    }
}

/// Prints so many of the messages that are wanted.
fn hear(cli: &Cli, ears: &Socket, count: usize, wanted: impl Fn(&Message<'_>) -> bool) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(cli.wait);
    let mut buffer = vec![0; receive::LARGEST];
    let mut heard = 0;
    while heard < count {
        let (beside, bytes) = if cli.socket == Kind::Raw {
            receive::with_header_by(ears, until, &mut buffer)?.ok_or(SILENCE)?
        } else {
            let frame = receive::by(ears, until, &mut buffer)?.ok_or(SILENCE)?;
            let Some(message) = from_frame(frame) else { continue };
            message
        };
        let Ok(icmpv6::Message::Discovery(message)) = icmpv6::Message::parse(bytes, beside.src, beside.dst) else {
            continue;
        };
        if wanted(&message) {
            println!("{}", line(&beside, &message));
            heard += 1;
        }
    }
    Ok(())
}

/// What a message says, and whether it may be believed.
fn line(beside: &Beside, message: &Message<'_>) -> String {
    let Beside { src, dst, hop_limit } = *beside;
    let arrival = Arrival { src, dst, hop_limit, fragmented: false, router_alert: false };
    match message.validate(&arrival) {
        Ok(()) => format!("{src}: {message}"),
        Err(reason) => format!("{src}: {message} (not to be believed: {reason:?})"),
    }
}

/// A message of ICMPv6 in a frame, where all of it is ours to read.
fn from_frame(frame: &[u8]) -> Option<(Beside, &[u8])> {
    let frame = ethernet::Frame::parse(frame).ok()?;
    let packet = ipv6::Packet::parse(frame.payload()).ok()?;
    let beside = Beside { src: packet.src(), dst: packet.dst(), hop_limit: packet.hop_limit() };
    (packet.next_header() == Protocol::ICMPV6).then_some((beside, packet.payload()))
}
