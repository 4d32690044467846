//! A web page by hand: ARP or neighbour discovery, three segments to open, a request, what comes, and three to close. All of it on a
//! packet socket.
//!
//! ```text
//! http_get --interface eth0 --address 192.0.2.77 192.0.2.1 --port 80 --path /
//! ```
//!
//! Watch it with `tcpdump -n -i eth0 'arp or icmp6 or host 192.0.2.77'`. The address must be free on the link: this program *is* the host that has
//! it, and answers who asks for its hardware address. With an address of the system's own the system would answer, too: it knows nothing of our connection, and
//! resets it at the first segment that comes back. (That is why a SYN from a raw socket never gets further.)
//!
//! This is the least of TCP: what is out of order is dropped (the server sends it again), what gets no answer is sent again, and
//! the window never closes. Checksums of what comes are not verified: within one machine nobody computes them.
//!
//! # Standards
//!
//! RFC 826 (ARP), RFC 791 (IPv4), RFC 9293 (TCP), RFC 1945 (HTTP/1.0); packet(7).

use std::io::Write;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use socket2::Socket;
use sockeye_examples::complain::two_families;
use sockeye_examples::interface::Interface;
use sockeye_examples::way::packet_socket;
use sockeye_examples::{Explain, Result, host, packet, payload, receive, start, unsent};
use sockeye_wire::arp::{self, Operation};
use sockeye_wire::icmpv6::{self, Arrival};
use sockeye_wire::ndisc::{HOP_LIMIT, Message, NdOption, NeighborAdvertisement, Options};
use sockeye_wire::tcp::{self, Flags};
use sockeye_wire::{EtherType, MacAddr, Protocol, SeqNumber, ethernet, ipv4, ipv6};

/// Fetches a page from a server on this link
#[derive(Parser)]
struct Cli {
    /// The server
    #[arg(value_name = "HOST", value_parser = host::any)]
    server: IpAddr,
    /// Its port
    #[arg(long, default_value_t = 80)]
    port: u16,
    /// What to fetch
    #[arg(long, default_value = "/")]
    path: String,
    /// The interface
    #[arg(long, value_name = "NAME", default_value = "eth0")]
    interface: String,
    /// A free address on the link, to be this program's own
    #[arg(long)]
    address: IpAddr,
    /// The port to come from
    #[arg(long, default_value_t = 49_152)]
    from_port: u16,
}

/// `ETH_P_ALL`: a socket for frames of every type.
const ALL: EtherType = EtherType(3);
/// How long to wait before it is said again, and how often.
const PATIENCE: Duration = Duration::from_millis(500);
const TRIES: u32 = 10;

fn main() -> ExitCode {
    start(run)
}

fn run(cli: &Cli) -> Result<()> {
    let interface = Interface::named(&cli.interface)?;
    let socket = packet_socket(&interface, ALL)?;
    let mut host = Host { cli, socket, interface, server: MacAddr::BROADCAST };
    host.resolve()?;
    let page = host.fetch()?;
    std::io::stdout().write_all(&page).explain("print the page")
}

/// A host of one connection.
struct Host<'a> {
    cli: &'a Cli,
    socket: Socket,
    interface: Interface,
    /// The server's hardware address, once it is known.
    server: MacAddr,
}

impl Host<'_> {
    /// Asks for the server's hardware address until it tells.
    fn resolve(&mut self) -> Result<()> {
        let mut buffer = vec![0; receive::LARGEST];
        for _ in 0..TRIES {
            self.ask()?;
            let until = Instant::now() + PATIENCE;
            while let Some(frame) = receive::by(&self.socket, until, &mut buffer)? {
                if let Some((Said::Has(mac), _)) = said(frame).filter(|(_, address)| *address == self.cli.server) {
                    self.server = mac;
                    return Ok(());
                }
            }
        }
        Err(format!("nobody on {} has {}", self.interface.name, self.cli.server))
    }

    /// Opens a connection, asks, takes what comes, and closes.
    fn fetch(&self) -> Result<Vec<u8>> {
        let host = SocketAddr::new(self.cli.server, self.cli.port);
        let request = format!("GET {} HTTP/1.0\r\nHost: {host}\r\n\r\n", self.cli.path);
        let mut page = Vec::new();
        let mut buffer = vec![0; receive::LARGEST];
        // Our number: of the SYN, then of what follows it. Theirs: what we expect next.
        let mut ours = SeqNumber(0x1000_0000);
        let mut theirs = SeqNumber(0);
        let mut last: (Flags, &[u8]) = (Flags::SYN, &[]);
        let mut tries = 0;
        loop {
            self.say(last.0, ours, theirs, last.1)?;
            let Some((header, data)) = self.hear(Instant::now() + PATIENCE, &mut buffer)? else {
                tries += 1;
                if tries == TRIES {
                    return Err(format!("{} keeps silent", self.cli.server));
                }
                continue;
            };
            if header.flags.contains(Flags::RST) {
                return Err(format!("{} refuses port {}", self.cli.server, self.cli.port));
            }
            if header.flags.contains(Flags::SYN | Flags::ACK) && last.0 == Flags::SYN {
                // The SYN took a number of its own, on both sides.
                (ours, theirs) = (ours + 1, header.seq + 1);
                last = (Flags::PSH | Flags::ACK, request.as_bytes());
                continue;
            }
            if last.0 == Flags::SYN {
                continue;
            }
            if !last.1.is_empty() && header.ack == ours + last.1.len() as u32 {
                // The request has arrived; from here on we only acknowledge.
                ours = header.ack;
                last = (Flags::ACK, &[]);
            }
            if header.seq == theirs {
                tries = 0;
                page.extend(&data);
                theirs += data.len() as u32;
                if header.flags.contains(Flags::FIN) {
                    // Theirs takes a number, too. Ours goes along with its acknowledgement, and nobody waits for the last one.
                    self.say(Flags::FIN | Flags::ACK, ours, theirs + 1, &[])?;
                    return Ok(page);
                }
            }
        }
    }

    /// The next segment of the connection; whoever asks for our hardware address meanwhile is told.
    fn hear(&self, until: Instant, buffer: &mut [u8]) -> Result<Option<(tcp::Repr, Vec<u8>)>> {
        let cli = self.cli;
        loop {
            let Some(frame) = receive::by(&self.socket, until, buffer)? else { return Ok(None) };
            if let Some((Said::Asks(mac, who), address)) = said(frame)
                && address == cli.address
                && who != cli.address
            {
                self.answer(mac, who)?;
            }
            if let Some(segment) = self.read_segment(frame) {
                return Ok(Some(segment));
            }
        }
    }

    fn read_segment(&self, frame: &[u8]) -> Option<(tcp::Repr, Vec<u8>)> {
        let frame = ethernet::Frame::parse(frame).ok()?;
        let (protocol, src, dst, payload): (_, IpAddr, IpAddr, _) = match frame.ether_type() {
            EtherType::IPV4 => {
                let packet = ipv4::Packet::parse(frame.payload()).ok()?;
                (packet.protocol(), packet.src().into(), packet.dst().into(), packet.payload())
            }
            EtherType::IPV6 => {
                let packet = ipv6::Packet::parse(frame.payload()).ok()?;
                (packet.next_header(), packet.src().into(), packet.dst().into(), packet.payload())
            }
            _ => return None,
        };
        let segment = tcp::Segment::parse(payload).ok()?;
        let ours = protocol == Protocol::TCP
            && (src, dst) == (self.cli.server, self.cli.address)
            && (segment.src_port(), segment.dst_port()) == (self.cli.port, self.cli.from_port);
        ours.then(|| (segment.repr(), segment.payload().to_vec()))
    }

    /// Sends a segment.
    fn say(&self, flags: Flags, seq: SeqNumber, ack: SeqNumber, data: &[u8]) -> Result<()> {
        let (src, dst) = (self.cli.address, self.cli.server);
        // What a frame of 1500 bytes has left.
        let mss = flags.contains(Flags::SYN).then_some(if dst.is_ipv4() { 1460 } else { 1440 });
        let header = tcp::Repr {
            src_port: self.cli.from_port,
            dst_port: self.cli.port,
            seq,
            ack,
            flags,
            window: u16::MAX,
            urgent: 0,
            options: tcp::Options { mss, ..tcp::Options::default() },
        };
        let segment = payload::segment(src, dst, &header, data);
        let packet = packet::Header::plain(src, dst, 0)?.packet(Protocol::TCP, &segment)?;
        self.send(self.server, if dst.is_ipv4() { EtherType::IPV4 } else { EtherType::IPV6 }, &packet)
    }

    /// Asks for the server's hardware address.
    fn ask(&self) -> Result<()> {
        let mac = self.interface.mac;
        match (self.cli.address, self.cli.server) {
            (IpAddr::V4(sender_ip), IpAddr::V4(target_ip)) => {
                let (operation, target_mac) = (Operation::REQUEST, MacAddr::ZERO);
                self.say_arp(
                    MacAddr::BROADCAST,
                    &arp::Repr { operation, sender_mac: mac, sender_ip, target_mac, target_ip },
                )
            }
            (IpAddr::V6(own), IpAddr::V6(target)) => {
                let (mut buffer, group) = ([0; 8], ipv6::solicited_node(target));
                // It learns ours by the question.
                let options = Options::write(&[NdOption::SourceLinkLayer(mac)], &mut buffer);
                let question = Message::NeighborSolicitation { target, options };
                self.say_discovery(MacAddr::for_group(group.into()), own, group, question)
            }
            (own, server) => Err(two_families(own, server)),
        }
    }

    /// Tells who asks ours.
    fn answer(&self, to: MacAddr, who: IpAddr) -> Result<()> {
        let mac = self.interface.mac;
        match (self.cli.address, who) {
            (IpAddr::V4(sender_ip), IpAddr::V4(target_ip)) => {
                let operation = Operation::REPLY;
                self.say_arp(to, &arp::Repr { operation, sender_mac: mac, sender_ip, target_mac: to, target_ip })
            }
            (IpAddr::V6(own), IpAddr::V6(who)) => {
                let mut buffer = [0; 8];
                let options = Options::write(&[NdOption::TargetLinkLayer(mac)], &mut buffer);
                // Who has no address yet wants this one, and hears what is said to all.
                let solicited = !who.is_unspecified();
                let (to, who) =
                    if solicited { (to, who) } else { (MacAddr::for_group(ipv6::ALL_NODES.into()), ipv6::ALL_NODES) };
                let (router, overrides) = (false, true);
                let answer = NeighborAdvertisement { router, solicited, overrides, target: own, options };
                self.say_discovery(to, own, who, Message::NeighborAdvertisement(answer))
            }
            (own, who) => Err(two_families(own, who)),
        }
    }

    fn say_arp(&self, to: MacAddr, message: &arp::Repr) -> Result<()> {
        let mut bytes = [0; arp::LEN];
        message.emit(&mut bytes);
        self.send(to, EtherType::ARP, &bytes)
    }

    fn say_discovery(&self, to: MacAddr, src: Ipv6Addr, dst: Ipv6Addr, message: Message<'_>) -> Result<()> {
        let message = icmpv6::Message::Discovery(message);
        let mut bytes = vec![0; message.total_len()];
        message.emit(src, dst, &mut bytes);
        let header = packet::Header::plain(src.into(), dst.into(), 0)?.with_hops(HOP_LIMIT);
        self.send(to, EtherType::IPV6, &header.packet(Protocol::ICMPV6, &bytes)?)
    }

    fn send(&self, to: MacAddr, ether_type: EtherType, bytes: &[u8]) -> Result<()> {
        let frame = packet::frame(to, self.interface.mac, ether_type, bytes);
        self.socket.send(&frame).map(drop).map_err(unsent(&self.interface.name))
    }
}

/// What is said of an address.
enum Said {
    /// Who has it has this hardware address.
    Has(MacAddr),
    /// Who has this hardware address, and this address of its own, asks for it.
    Asks(MacAddr, IpAddr),
}

/// By ARP or by neighbour discovery; and of which address.
fn said(frame: &[u8]) -> Option<(Said, IpAddr)> {
    let frame = ethernet::Frame::parse(frame).ok()?;
    match frame.ether_type() {
        EtherType::ARP => {
            let arp::Repr { operation, sender_mac, sender_ip, target_ip, .. } =
                arp::Repr::parse(frame.payload()).ok()?;
            Some(match operation {
                Operation::REQUEST => (Said::Asks(sender_mac, sender_ip.into()), target_ip.into()),
                _ => (Said::Has(sender_mac), sender_ip.into()),
            })
        }
        EtherType::IPV6 => {
            let packet = ipv6::Packet::parse(frame.payload()).ok()?;
            let (src, dst, hop_limit) = (packet.src(), packet.dst(), packet.hop_limit());
            if packet.next_header() != Protocol::ICMPV6 {
                return None;
            }
            let icmpv6::Message::Discovery(message) = icmpv6::Message::parse(packet.payload(), src, dst).ok()? else {
                return None;
            };
            message.validate(&Arrival { src, dst, hop_limit, fragmented: false, router_alert: false }).ok()?;
            match message {
                Message::NeighborSolicitation { target, .. } => {
                    Some((Said::Asks(frame.src(), src.into()), target.into()))
                }
                Message::NeighborAdvertisement(NeighborAdvertisement { target, options, .. }) => {
                    Some((Said::Has(options.target_link_layer()?), target.into()))
                }
                _ => None,
            }
        }
        _ => None,
    }
}
