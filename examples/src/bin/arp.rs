//! Address resolution by hand: who has this address of IPv4?
//!
//! ```text
//! arp ask --interface eth0 192.0.2.1           asks everybody, prints who answers
//! arp announce --interface eth0                tells everybody that this host's address is here
//! arp listen --interface eth0 --count 10       prints what others ask and tell
//! ```
//!
//! Watch it with `tcpdump -e -n -i eth0 arp`. ARP is no IP, so only a packet socket can say it: a whole frame, of which we write
//! the Ethernet header (to everybody, or whoever asked) and the 28 bytes of the question. The device pads it to 60.
//!
//! # Standards
//!
//! RFC 826 (ARP), RFC 5227 §3 (announcements); packet(7).

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use sockeye_examples::interface::Interface;
use sockeye_examples::way::packet_socket;
use sockeye_examples::{Result, packet, receive, start, unsent};
use sockeye_wire::arp::{self, Operation};
use sockeye_wire::{EtherType, MacAddr, ethernet};

/// Asks, tells and hears who has which address
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// The interface
    #[arg(long, value_name = "NAME", global = true, default_value = "eth0")]
    interface: String,
    /// The address to ask or to tell from, where it is not the interface's
    #[arg(long, value_name = "ADDRESS", global = true)]
    from: Option<Ipv4Addr>,
    /// How long to wait, in seconds
    #[arg(long, value_name = "SECONDS", global = true, default_value_t = 3)]
    wait: u64,
}

#[derive(Subcommand)]
enum Verb {
    /// Asks who has an address
    Ask {
        /// The address
        address: Ipv4Addr,
    },
    /// Tells everybody that an address is here
    Announce,
    /// Prints what comes
    Listen {
        /// Ends after so many
        #[arg(long, default_value_t = 1)]
        count: usize,
    },
}

fn main() -> ExitCode {
    start(run)
}

fn run(cli: &Cli) -> Result<()> {
    let interface = Interface::named(&cli.interface)?;
    let socket = packet_socket(&interface, EtherType::ARP)?;
    let until = Instant::now() + Duration::from_secs(cli.wait);
    let say = |operation, sender_ip, target_ip| {
        let question = arp::Repr {
            operation,
            sender_mac: interface.mac,
            sender_ip,
            // The question itself.
            target_mac: MacAddr::ZERO,
            target_ip,
        };
        let mut bytes = [0; arp::LEN];
        question.emit(&mut bytes);
        let frame = packet::frame(MacAddr::BROADCAST, interface.mac, EtherType::ARP, &bytes);
        socket.send(&frame).map(drop).map_err(unsent(&interface.name))
    };
    let ours = || cli.from.map_or_else(|| interface.ipv4(), Ok);

    match cli.verb {
        Verb::Ask { address } => {
            say(Operation::REQUEST, ours()?, address)?;
            let answers = |heard: &arp::Repr| heard.operation == Operation::REPLY && heard.sender_ip == address;
            hear(&socket, until, 1, answers)
                .map_err(|error| format!("nobody on {} has {address}: {error}", interface.name))
        }
        Verb::Announce => {
            // A request for its own address: whoever knows it already takes note, and nobody needs to answer.
            let ours = ours()?;
            say(Operation::REQUEST, ours, ours)
        }
        Verb::Listen { count } => {
            eprintln!("listening on {}", interface.name);
            hear(&socket, until, count, |_| true)
        }
    }
}

/// Prints so many of those that are wanted.
fn hear(socket: &socket2::Socket, until: Instant, count: usize, wanted: impl Fn(&arp::Repr) -> bool) -> Result<()> {
    let mut buffer = vec![0; receive::LARGEST];
    let mut heard = 0;
    while heard < count {
        let frame = receive::by(socket, until, &mut buffer)?.ok_or("nothing came in time (--wait)")?;
        // What cannot be read was for others; anybody may write anything on a wire.
        let Ok(frame) = ethernet::Frame::parse(frame) else { continue };
        let Ok(packet) = arp::Repr::parse(frame.payload()) else { continue };
        if wanted(&packet) {
            println!("{} > {}: {packet}", frame.src(), frame.dst());
            heard += 1;
        }
    }
    Ok(())
}
